//! What a log promises, tried on every home that is here: today the embedded one.
//!
//! - `cases`: the promises of the interface, in terms of the interface alone.
//! - `embedded`: the embedded home under them.
//! - `damage`: what its file holds is checked, and what is not ours is refused.

#![allow(clippy::unwrap_used, reason = "a case is a test: it fails where the log does")]
#![allow(
    clippy::disallowed_methods,
    reason = "the log is the shell: its tests use clocks, threads and files"
)]

mod cases;
mod damage;
mod embedded;
