//! The pipeline end to end, by the program itself, against goldens that an independent oracle made (`tests/oracle`).
//!
//! - `place`: a log in a directory, loaded from an oracle's input; the program run on it as a user would.
//! - `topics`: what stands in topics, in the oracle's words.
//! - `files`: what stands in CSV files and read stores, in the same words.
//! - `straight`: excerpts and derivatives of the real files, straight through; the full files where `TIDEGATE_DATA` points at them.
//! - `corrections`: law 18: registrations that come behind their readings; what is in force in the end, also after kills and a `reset`.
//! - `discounts`: small inputs that were once discounted wrongly.
//! - `hosted`: law 11: killed at random points and resumed, hosted by one, two and four processes, sinks included.
//! - `judged`: what one stage takes for valid, all do.
//! - `backlog`: memory stays flat however far a processor starts behind.
#![allow(missing_docs, reason = "tests are read, not published")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should end")]

mod backlog;
mod corrections;
mod discounts;
mod files;
mod hosted;
mod judged;
mod place;
mod rows;
mod straight;
mod topics;
