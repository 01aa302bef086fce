//! The harness of the Kafka tests: a cluster, the program's processes, faults, and an exact checker that shares no code with what it checks.
//!
//! ```text
//! world ─┬─ cluster      a broker and a registry through scripts/kafka: up, killed, restarted
//!        ├─ instances    processes of the program: started, killed, stopped, listened to
//!        └─ job ─┬─ feeder   an oracle's input, written live and exactly once
//!                └─ check ─── reader   everything that came out, against the goldens
//! proxied (a cluster behind proxies) · proxy (loses a commit's answer) · behind (what others do to a cluster behind our back) · draw (faults from a seed)
//! ```
#![allow(missing_docs, reason = "tests are read, not published")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should end")]
#![allow(clippy::print_stdout, reason = "a test says what it drew")]

pub mod behind;
pub mod check;
pub mod clock;
pub mod cluster;
pub mod draw;
pub mod feeder;
pub mod input;
pub mod instances;
pub mod job;
pub mod long_run;
pub mod measure;
pub mod proxied;
pub mod proxy;
pub mod reader;
pub mod registry;
pub mod segment;
pub mod sinks;
pub mod world;
