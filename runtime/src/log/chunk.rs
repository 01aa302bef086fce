//! A chunk: one partition's records from one poll, and the credit that bounds how many of them are under way.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::records::Headers;
use super::{Coordinates, Offset, Records, TopicPartition};
use crate::time::EventTime;

/// One partition's records from one poll.
///
/// A chunk without records is news too: it says that the position has reached `next`, past control markers or up to the
/// high watermark. The consumer sends one when it first finds nothing more to read.
#[derive(Debug)]
pub struct Chunk {
    /// Where they come from.
    pub partition: TopicPartition,
    /// The position this chunk was read from: a receiver at another position must ignore it (it was sent before a seek).
    pub from: Offset,
    /// The position after it, control markers included.
    pub next: Offset,
    /// The high watermark when it was read; never below `next`.
    pub high_watermark: Offset,
    /// The offset of each record; empty if they simply count up from `first`.
    offsets: Vec<Offset>,
    first: Offset,
    records: Records,
    _credit: Option<Credit>,
}

impl Chunk {
    /// Records with consecutive offsets from `first`.
    #[must_use]
    pub fn contiguous(
        partition: TopicPartition,
        from: Offset,
        first: Offset,
        records: Records,
        high_watermark: Offset,
    ) -> Chunk {
        let next = Offset(first.0 + records.len() as i64);
        Chunk { partition, from, next, high_watermark, offsets: Vec::new(), first, records, _credit: None }
    }

    /// Records at these offsets, which need not be consecutive: control markers and aborted records take offsets too.
    #[must_use]
    pub fn scattered(
        partition: TopicPartition,
        span: Range<Offset>,
        offsets: Vec<Offset>,
        records: Records,
        high_watermark: Offset,
    ) -> Chunk {
        debug_assert_eq!(offsets.len(), records.len(), "an offset for each record");
        let Range { start: from, end: next } = span;
        let high_watermark = high_watermark.max(next);
        Chunk { partition, from, next, high_watermark, offsets, first: from, records, _credit: None }
    }

    /// The news that there is nothing at `position`.
    #[must_use]
    pub fn empty(partition: TopicPartition, position: Offset, high_watermark: Offset) -> Chunk {
        Chunk::contiguous(partition, position, position, Records::default(), high_watermark)
    }

    /// The same chunk holding `credit` until it is dropped.
    #[must_use]
    pub fn with_credit(self, credit: Credit) -> Chunk {
        Chunk { _credit: Some(credit), ..self }
    }

    /// The same chunk, its credit given back: more of its partition may be fetched although this one is still kept.
    #[must_use]
    pub fn without_credit(self) -> Chunk {
        Chunk { _credit: None, ..self }
    }

    /// How many records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True if it holds only news of the position.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Record `index`.
    ///
    /// # Panics
    /// If there is no such record.
    #[must_use]
    #[inline]
    pub fn record(&self, index: usize) -> RecordRef<'_> {
        RecordRef { partition: &self.partition, offset: self.offset(index), records: &self.records, index }
    }

    /// Every record in order.
    pub fn records(&self) -> impl Iterator<Item = RecordRef<'_>> {
        (0..self.len()).map(|index| self.record(index))
    }

    #[inline]
    fn offset(&self, index: usize) -> Offset {
        self.offsets.get(index).copied().unwrap_or(Offset(self.first.0 + index as i64))
    }
}

/// One record of a chunk.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    partition: &'a TopicPartition,
    offset: Offset,
    records: &'a Records,
    index: usize,
}

impl<'a> RecordRef<'a> {
    /// Its place in its partition.
    #[must_use]
    #[inline]
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// Its partition.
    #[must_use]
    pub fn partition(&self) -> &'a TopicPartition {
        self.partition
    }

    /// Its full address, for errors and listings.
    #[must_use]
    pub fn coordinates(&self) -> Coordinates {
        self.partition.at(self.offset)
    }

    /// Its time in the log.
    #[must_use]
    #[inline]
    pub fn time(&self) -> EventTime {
        self.records.time(self.index)
    }

    /// Its key.
    #[must_use]
    #[inline]
    pub fn key(&self) -> Option<&'a [u8]> {
        self.records.key(self.index)
    }

    /// Its value.
    #[must_use]
    #[inline]
    pub fn value(&self) -> Option<&'a [u8]> {
        self.records.value(self.index)
    }

    /// Its headers.
    #[must_use]
    pub fn headers(&self) -> Headers<'a> {
        self.records.headers(self.index)
    }
}

/// How many chunks of one partition may be under way (fetched and not yet dropped).
#[derive(Clone)]
pub struct Credits {
    under_way: Arc<AtomicUsize>,
    limit: usize,
    returned: Arc<dyn Fn() + Send + Sync>,
}

impl Credits {
    /// `limit` chunks at once; `returned` is called from whichever thread drops one.
    pub fn new(limit: usize, returned: impl Fn() + Send + Sync + 'static) -> Credits {
        Credits { under_way: Arc::default(), limit, returned: Arc::new(returned) }
    }

    /// True if a credit is left.
    #[must_use]
    pub fn available(&self) -> bool {
        self.under_way.load(Ordering::Acquire) < self.limit
    }

    /// A credit, if one is left. Only the fetching thread takes credits, so the check needs no loop.
    #[must_use]
    pub fn take(&self) -> Option<Credit> {
        if self.under_way.load(Ordering::Acquire) >= self.limit {
            return None;
        }
        self.under_way.fetch_add(1, Ordering::AcqRel);
        Some(Credit { credits: self.clone() })
    }
}

/// The right to have one chunk under way; comes back when dropped.
pub struct Credit {
    credits: Credits,
}

impl Drop for Credit {
    fn drop(&mut self) {
        self.credits.under_way.fetch_sub(1, Ordering::AcqRel);
        (self.credits.returned)();
    }
}

impl std::fmt::Debug for Credit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credit")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credit_comes_back_when_its_chunk_is_dropped() {
        let returns = Arc::new(AtomicUsize::new(0));
        let seen = returns.clone();
        let credits = Credits::new(1, move || {
            seen.fetch_add(1, Ordering::SeqCst);
        });
        let credit = credits.take().unwrap();
        assert!(credits.take().is_none());
        let chunk = Chunk::empty(TopicPartition::new("t", 0), Offset(3), Offset(3)).with_credit(credit);
        drop(chunk);
        assert_eq!(returns.load(Ordering::SeqCst), 1);
        assert!(credits.take().is_some());
    }

    #[test]
    fn offsets_count_up_from_the_first() {
        let mut records = Records::default();
        records.push(EventTime(7), Some(b"k"), None, &[]);
        records.push(EventTime(8), None, Some(b"v"), &[]);
        let chunk = Chunk::contiguous(TopicPartition::new("t", 1), Offset(4), Offset(5), records, Offset(9));
        assert_eq!(chunk.next, Offset(7));
        assert_eq!(chunk.record(1).coordinates().to_string(), "t[1]@6");
        assert_eq!(chunk.record(0).key(), Some(b"k".as_slice()));
        assert_eq!(chunk.record(0).value(), None);
    }
}
