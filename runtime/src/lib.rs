//! The engine of Tidegate: tasks that read topics of a log and process every record's effect exactly once.
//!
//! It is for Rust programs that would otherwise start a JVM and Kafka Streams. It features
//!
//! - a [`log`] with two homes behind one interface: embedded (one SQLite file, any number of processes) and Apache Kafka;
//! - [`topology`]s as data, built by one function for production, tests and `describe`;
//! - tumbling and hopping [`window`]s with grace, final results or updates, persistent stream time;
//! - versioned as-of [`join`]s that hold a record until what it needs is known;
//! - state [`store`]s whose [`changelog`] is read back in proportion to the state, not to its history;
//! - a [`worker`] that hosts tasks, commits everything a step did in one transaction, and takes over from others;
//! - a [`driver`] for tests without a log, and the window operator [over any stream](window::windowed).
//!
//! It is not a broker, not a query language, and has no state on disk beside the log.
//!
//! The pure core ([`task`], [`window`], [`join`], [`store`], [`changelog`], [`processor`]) reads no clock, does no IO and draws no
//! random number: where chunks and commits fall, and who hosts a task, cannot be seen in the output. Around it stands the shell
//! ([`log`], [`worker`], [`ingest`]), which bears passing faults with [`patience`]. A program starts at [`topology::Topology`] and [`worker::run`]; `examples/` shows two.

pub mod avro;
pub mod changelog;
mod draw;
pub mod driver;
pub mod error;
pub mod fault_point;
pub mod identity;
pub mod ingest;
pub mod join;
pub mod kept;
mod key;
pub mod log;
pub mod notice;
pub mod patience;
pub mod processor;
pub mod quote;
pub mod store;
pub mod task;
pub mod time;
pub mod topology;
pub mod window;
pub mod worker;

pub use error::{BadRecord, Error, Reaction, Reason, Result};
pub use key::Key;
