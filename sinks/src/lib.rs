//! Sinks: a topic into CSV files ([`csv`]) or into a SQLite read store ([`sqlite`]), exactly once (law 9).
//!
//! A sink keeps the next offset where its rows are: in the same SQLite transaction, or in the names of finished files. That
//! offset decides where it goes on. The one it publishes in the log, for `groups` to show, is news and nothing else: if the two
//! differ, the sink's own wins. A place belongs to one named sink, a topic of one log and one running process; anybody
//! else is refused. A sink is *not* a processor: it joins no group, has no transaction with the log, and puts bad records
//! beside its rows rather than into a dead-letter topic.
//!
//! Both `run` functions block while they write and ask the log: give each a thread and a runtime of its own
//! (`Builder::new_current_thread().enable_all().build()?.block_on(run(…))`).

pub mod csv;
pub mod sqlite;

mod driver;
mod intake;
mod layout;
mod lookout;
mod place;
mod publisher;
mod row;
mod status;
#[cfg(test)]
mod tests;

pub use status::{LaneStatus, SinkBoard, SinkStatus};

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_runtime::log::{Offset, TopicPartition};
use tidegate_runtime::notice::Notice;
use tidegate_runtime::patience::Patience;
use tidegate_runtime::time::EventTime;

/// How often a sink makes durable or visible what it has, unless told otherwise.
pub const COMMIT_INTERVAL: Duration = Duration::from_millis(500);

/// The bound on fetched, unwritten bytes over all partitions, unless told otherwise: a tenth of a second's work for
/// the quicker of the sinks.
pub const BUFFER_BYTES: usize = 16 << 20;

/// How often a sink that runs on looks whether its topics have more partitions, unless told otherwise: soon enough for a person who has just
/// added some, and seldom enough to cost nothing.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// What every sink is told.
#[derive(Clone)]
pub struct Settings {
    /// Its name: the group its position is published under. No two sinks of a log share one.
    pub name: String,
    /// Read to the high watermarks found at the first start, then finish and return (law 5).
    pub until_end: bool,
    /// How often it commits; see [`COMMIT_INTERVAL`].
    pub commit_interval: Duration,
    /// See [`LOOK_INTERVAL`].
    pub look_interval: Duration,
    /// See [`BUFFER_BYTES`].
    pub buffer_bytes: usize,
    /// Records of a later time are bad (law 14).
    pub max_event_time: EventTime,
    /// Told what a user should know while it runs: faults that are tried again.
    pub notice: Notice,
    /// Where it shows how it is doing.
    pub board: SinkBoard,
}

impl Settings {
    /// The defaults under a name.
    pub fn named(name: impl Into<String>) -> Settings {
        Settings {
            name: name.into(),
            until_end: false,
            commit_interval: COMMIT_INTERVAL,
            look_interval: LOOK_INTERVAL,
            buffer_bytes: BUFFER_BYTES,
            max_event_time: EventTime::DEFAULT_MAX,
            notice: Notice::default(),
            board: SinkBoard::default(),
        }
    }

    fn patience(&self) -> Patience {
        Patience::new(format!("sink `{}`", self.name), self.notice.clone())
    }
}

/// What one run of a sink did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rows written, those a restart cut back and wrote again included.
    pub rows: u64,
    /// Bad records put beside them.
    pub rejects: u64,
    /// Where the sink stands now, per partition.
    pub positions: BTreeMap<TopicPartition, Offset>,
    /// True if it ended because it reached the end it was given, false if it was stopped.
    pub reached_end: bool,
}
