//! How a sink is doing, for whoever shows it.
//!
//! Promise: what is counted never goes back while the process lives, and looking costs the sink no more than a copy. Rows count when they are
//! handed to their place; what a restart cuts back and writes again counts again, in the process that does so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tidegate_runtime::log::{Offset, TopicPartition};
use tidegate_runtime::worker::Histogram;

use crate::driver::Lane;

/// A sink as it saw itself last.
#[derive(Clone, Debug, Default)]
pub struct SinkStatus {
    /// What it reads, once its place is opened.
    pub lanes: BTreeMap<TopicPartition, LaneStatus>,
    /// How long commits took that made something durable or visible.
    pub commits: Histogram,
    /// When it last did.
    pub committed: Option<SystemTime>,
    /// Commits that had to wait: the place was busy.
    pub waits: u64,
    /// True since the last of them.
    pub is_waiting: bool,
    /// What the log did not answer, while that is tried again.
    pub unanswered: Option<String>,
    has_news: bool,
}

/// One partition a sink reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneStatus {
    /// The next offset.
    pub position: Offset,
    /// Records between it and the high watermark, once that is known.
    pub lag_records: Option<i64>,
    /// Rows written by this process.
    pub rows: u64,
    /// Bad records put beside them by this process.
    pub rejects: u64,
}

/// Shared by a sink and whoever shows it.
#[derive(Clone, Debug, Default)]
pub struct SinkBoard(Arc<Mutex<SinkStatus>>);

impl SinkBoard {
    /// Everything, as of one moment.
    #[must_use]
    pub fn status(&self) -> SinkStatus {
        self.lock().clone()
    }

    /// Its place is open for these, and this is where they begin.
    pub(crate) fn opened(&self, lanes: &[Lane]) {
        let shown = |lane: &Lane| {
            (lane.partition.clone(), LaneStatus { position: lane.position, ..LaneStatus::default() })
        };
        self.lock().lanes.extend(lanes.iter().map(shown));
    }

    /// So much more of a partition is handed to its place.
    pub(crate) fn wrote(&self, lane: &Lane, high_watermark: Offset, rows: u64, rejects: u64) {
        let mut status = self.lock();
        let Some(shown) = status.lanes.get_mut(&lane.partition) else { return };
        let moved = shown.position != lane.position;
        shown.position = lane.position;
        shown.lag_records = Some(high_watermark.since(lane.position).max(0));
        shown.rows += rows;
        shown.rejects += rejects;
        status.has_news |= moved;
    }

    /// It asked its place to commit; `done` is false if that has to wait.
    pub(crate) fn committed(&self, took: Duration, done: bool) {
        let mut status = self.lock();
        status.is_waiting = !done;
        if !done {
            status.waits += 1;
        } else if std::mem::take(&mut status.has_news) {
            // A commit of nothing is over at once and would drown the others.
            status.commits.note(took);
            status.committed = Some(SystemTime::now());
        }
    }

    /// What the log does not answer, if it goes on only when that is answered.
    pub(crate) fn waits_for(&self, unanswered: Option<&str>) {
        self.lock().unanswered = unanswered.map(str::to_owned);
    }

    fn lock(&self) -> MutexGuard<'_, SinkStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(position: i64) -> Lane {
        Lane {
            shape: &tidegate_schemas::topics::INVOICES,
            partition: TopicPartition::new("invoices", 2),
            position: Offset(position),
            until: None,
        }
    }

    #[test]
    fn a_lane_shows_where_it_stands_and_what_it_wrote_here() {
        let board = SinkBoard::default();
        board.opened(&[lane(10)]);
        board.wrote(&lane(15), Offset(40), 4, 1);
        board.wrote(&lane(40), Offset(40), 25, 0);
        let expected = LaneStatus { position: Offset(40), lag_records: Some(0), rows: 29, rejects: 1 };
        assert_eq!(board.status().lanes[&lane(0).partition], expected);
    }

    #[test]
    fn only_commits_of_something_are_measured() {
        let board = SinkBoard::default();
        board.opened(&[lane(0)]);
        let took = Duration::from_millis(3);
        board.committed(took, true);
        assert_eq!(board.status().commits.count(), 0, "there was nothing to commit");
        board.wrote(&lane(5), Offset(5), 5, 0);
        board.committed(took, false);
        assert!(board.status().is_waiting);
        board.committed(took, true);
        board.committed(took, true);
        let status = board.status();
        assert_eq!((status.commits.count(), status.waits, status.is_waiting), (1, 1, false));
    }
}
