//! Partitions merged into one sequence by event time.
//!
//! Promise: within a partition the order is that of its offsets; between partitions the earlier event time comes first, and a partition
//! that lags is waited for while one that has nothing is not. What is buffered is bounded by the reader's credits.

use std::collections::VecDeque;

use tidegate_runtime::log::{Chunk, Offset, RecordRef, TopicPartition};

/// The partitions being read: up to their ends as they were at first, and on from there once [`follow`](Merge::follow) says so.
pub(super) struct Merge {
    lanes: Vec<Lane>,
}

struct Lane {
    partition: TopicPartition,
    chunks: VecDeque<Chunk>,
    /// The next record of the first chunk.
    next: usize,
    /// Where the next chunk must begin.
    fetched: Offset,
    /// Where the partition ended at first; none once it is followed.
    until: Option<Offset>,
    /// Where it is known to end now: as long as that is ahead of `fetched`, there is something to wait for.
    end: Offset,
}

impl Merge {
    /// Partitions with the position each begins at and its end as known now.
    pub(super) fn new(lanes: impl IntoIterator<Item = (TopicPartition, Offset, Offset)>) -> Merge {
        let lane = |(partition, from, end)| Lane {
            partition,
            chunks: VecDeque::new(),
            next: 0,
            fetched: from,
            until: Some(end),
            end,
        };
        Merge { lanes: lanes.into_iter().map(lane).collect() }
    }

    /// Takes a chunk; one that was read from elsewhere is ignored.
    pub(super) fn push(&mut self, chunk: Chunk) {
        let lane = self.lanes.iter_mut().find(|lane| lane.partition == chunk.partition);
        let Some(lane) = lane.filter(|lane| lane.fetched == chunk.from) else { return };
        lane.fetched = chunk.next;
        lane.end = lane.end.max(chunk.high_watermark);
        if !chunk.is_empty() {
            lane.chunks.push_back(chunk);
        }
    }

    /// Hands the earliest record to `take`; `None` while one is missing that might be earlier.
    pub(super) fn take<T>(&mut self, take: impl FnOnce(&RecordRef<'_>) -> T) -> Option<T> {
        if self.lanes.iter().any(Lane::is_behind) {
            return None;
        }
        let heads = self.lanes.iter_mut().enumerate();
        let timed = heads.filter_map(|(number, lane)| Some((lane.head()?.time(), number, lane)));
        let (_, _, lane) = timed.min_by_key(|(time, number, _)| (*time, *number))?;
        let chunk = lane.chunks.front()?;
        let taken = take(&chunk.record(lane.next));
        lane.next += 1;
        if lane.next == chunk.len() {
            lane.chunks.pop_front();
            lane.next = 0;
        }
        Some(taken)
    }

    /// True when every partition was read to its end as it is known, and all of it was taken.
    pub(super) fn is_drained(&self) -> bool {
        self.lanes.iter().all(|lane| lane.head().is_none() && !lane.is_behind())
    }

    /// From now on what lies behind the first ends counts too.
    pub(super) fn follow(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.until = None);
    }
}

impl Lane {
    fn head(&self) -> Option<RecordRef<'_>> {
        let record = self.chunks.front()?.record(self.next);
        self.until.is_none_or(|until| record.offset() < until).then_some(record)
    }

    fn is_behind(&self) -> bool {
        self.chunks.is_empty() && self.fetched < self.until.unwrap_or(self.end)
    }
}

#[cfg(test)]
mod tests {
    use tidegate_runtime::log::Records;
    use tidegate_runtime::time::EventTime;

    use super::*;

    fn chunk(partition: u32, from: i64, times: &[i64], end: i64) -> Chunk {
        let mut records = Records::default();
        times.iter().for_each(|time| records.push(EventTime(*time), None, None, &[]));
        let from = Offset(from);
        Chunk::contiguous(TopicPartition::new("t", partition), from, from, records, Offset(end))
    }

    fn lane(partition: u32, end: i64) -> (TopicPartition, Offset, Offset) {
        (TopicPartition::new("t", partition), Offset(0), Offset(end))
    }

    fn taken(merge: &mut Merge) -> Vec<i64> {
        std::iter::from_fn(|| merge.take(|record| record.time().0)).collect()
    }

    #[test]
    fn the_earlier_event_time_comes_first_and_offsets_keep_their_order() {
        let mut merge = Merge::new([lane(0, 3), lane(1, 2)]);
        merge.push(chunk(0, 0, &[5, 1, 9], 3));
        assert_eq!(taken(&mut merge), [0; 0], "partition 1 lags and might be earlier");
        merge.push(chunk(1, 0, &[4, 8], 2));
        assert_eq!(taken(&mut merge), [4, 5, 1, 8, 9]);
        assert!(merge.is_drained());
    }

    #[test]
    fn a_partition_without_records_is_not_waited_for() {
        let mut merge = Merge::new([lane(0, 1), lane(1, 0)]);
        assert!(!merge.is_drained());
        merge.push(chunk(0, 0, &[5], 1));
        assert_eq!(taken(&mut merge), [5]);
        assert!(merge.is_drained());
    }

    #[test]
    fn a_chunk_from_before_a_seek_is_ignored() {
        let mut merge = Merge::new([lane(0, 1)]);
        merge.push(chunk(0, 7, &[5], 8));
        assert_eq!(taken(&mut merge), [0; 0]);
    }

    #[test]
    fn what_is_written_meanwhile_comes_only_when_followed() {
        let mut merge = Merge::new([lane(0, 1)]);
        merge.push(chunk(0, 0, &[5, 6], 4));
        assert_eq!(taken(&mut merge), [5]);
        assert!(merge.is_drained());
        merge.follow();
        assert_eq!(taken(&mut merge), [6]);
        assert!(!merge.is_drained(), "two more are known");
    }
}
