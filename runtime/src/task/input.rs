//! One input partition of a task: its position, what is fetched, and the order in which streams are merged.
//!
//! Guarantees: records are handed on in the order of their offsets, each once. Several streams of a task are merged by time, and an
//! empty stream is waited for only while it lags. Tables are not merged: [`order`](super::order) says when they are read.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::log::{Chunk, Offset, TopicPartition};
use crate::time::EventTime;
use crate::topology::SourceKind;

/// One input partition of a task.
#[derive(Debug)]
pub struct Input {
    source: usize,
    kind: SourceKind,
    partition: TopicPartition,
    /// Where it was when the task started.
    started_at: Offset,
    /// Everything before it is processed.
    position: Offset,
    /// Everything before it is processed or queued.
    fetched: Offset,
    queue: VecDeque<Queued>,
    high_watermark: Option<Offset>,
    /// Of a table: where the last answer said that it ends.
    cut: Option<Offset>,
    /// Of a stream: what lies before it was fetched before the ends of the tables were asked, and before they were answered.
    asked: Offset,
    covered: Offset,
    end: Option<Offset>,
}

#[derive(Debug)]
struct Queued {
    chunk: Arc<Chunk>,
    cursor: usize,
}

impl Input {
    /// Partition `partition` of source number `source`, from its beginning.
    #[must_use]
    pub fn new(source: usize, kind: SourceKind, partition: TopicPartition) -> Input {
        Input {
            source,
            kind,
            partition,
            started_at: Offset(0),
            position: Offset(0),
            fetched: Offset(0),
            queue: VecDeque::new(),
            high_watermark: None,
            cut: None,
            asked: Offset(0),
            covered: Offset(0),
            end: None,
        }
    }

    /// The number of its source.
    #[must_use]
    pub fn source(&self) -> usize {
        self.source
    }

    /// What it is to the topology.
    #[must_use]
    pub fn kind(&self) -> SourceKind {
        self.kind
    }

    /// The partition.
    #[must_use]
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// The next offset to process.
    #[must_use]
    pub fn position(&self) -> Offset {
        self.position
    }

    /// The next offset to fetch.
    #[must_use]
    pub fn fetched(&self) -> Offset {
        self.fetched
    }

    /// How many offsets lie between the position and the high watermark, as far as it is known.
    #[must_use]
    pub fn lag(&self) -> Option<i64> {
        self.high_watermark.map(|high| high.since(self.position).max(0))
    }

    pub(super) fn start_at(&mut self, offset: Offset) {
        self.started_at = offset;
        self.position = offset;
        self.fetched = offset;
    }

    pub(super) fn started_at(&self) -> Offset {
        self.started_at
    }

    pub(super) fn forget_queued(&mut self) {
        self.queue.clear();
    }

    /// Nothing that was fetched is left to process.
    pub(super) fn is_empty(&self) -> bool {
        self.head().is_none()
    }

    pub(super) fn note_high_watermark(&mut self, high: Offset) {
        self.high_watermark = self.high_watermark.max(Some(high));
    }

    pub(super) fn cut(&self) -> Option<Offset> {
        self.cut
    }

    pub(super) fn cut_at(&mut self, cut: Offset) {
        self.cut = self.cut.max(Some(cut));
    }

    pub(super) fn note_asked(&mut self) {
        self.asked = self.fetched;
    }

    pub(super) fn note_answered(&mut self) {
        self.covered = self.asked;
    }

    pub(super) fn covered(&self) -> Offset {
        self.covered
    }

    /// A record is queued that was fetched after the last question that was answered.
    pub(super) fn has_uncovered(&self) -> bool {
        let last = self.queue.iter().rev().find(|queued| queued.cursor < queued.chunk.len());
        last.is_some_and(|queued| queued.chunk.record(queued.chunk.len() - 1).offset() >= self.covered)
    }

    pub(super) fn end(&self) -> Option<Offset> {
        self.end
    }

    pub(super) fn end_at(&mut self, end: Offset) {
        self.end = Some(end);
    }

    pub(super) fn push(&mut self, chunk: Arc<Chunk>) {
        // A chunk from further on was fetched before a seek; one from before may hold what is known already, because
        // tasks of one worker share what is fetched of a broadcast table.
        if chunk.from > self.fetched {
            return;
        }
        self.note_high_watermark(chunk.high_watermark);
        if chunk.next < self.fetched || self.end.is_some_and(|end| self.fetched >= end) {
            return;
        }
        let known = chunk.records().take_while(|record| record.offset() < self.fetched).count();
        self.fetched = chunk.next;
        self.queue.push_back(Queued { chunk, cursor: known });
    }

    /// Lets go of chunks that are used up; true if the position moved past offsets that hold no record.
    pub(super) fn skip_consumed(&mut self) -> bool {
        let before = self.position;
        while let Some(front) = self.queue.front() {
            if front.cursor < front.chunk.len() {
                break;
            }
            self.position = self.position.max(front.chunk.next);
            self.queue.pop_front();
        }
        if self.has_ended() {
            self.forget_queued();
        }
        self.position > before
    }

    /// Everything up to the end of the bounded run is processed.
    pub(crate) fn has_ended(&self) -> bool {
        self.end.is_some_and(|end| self.is_read_to(end))
    }

    /// Everything before `offset` is processed.
    pub(super) fn is_read_to(&self, offset: Offset) -> bool {
        self.position >= offset || self.head().is_some_and(|(head, _)| head >= offset)
    }

    pub(super) fn is_at_high_watermark(&self) -> bool {
        self.queue.is_empty() && self.high_watermark.is_some_and(|high| self.fetched >= high)
    }

    /// The next record's offset and time, if one is queued.
    fn head(&self) -> Option<(Offset, EventTime)> {
        let front = self.queue.iter().find(|queued| queued.cursor < queued.chunk.len())?;
        let record = front.chunk.record(front.cursor);
        Some((record.offset(), record.time()))
    }

    /// Up to `most` queued records that are not after `not_after` and stand before `before`: at least one, if the first does.
    pub(super) fn run(
        &self,
        most: usize,
        not_after: Option<EventTime>,
        before: Option<Offset>,
    ) -> Option<(Arc<Chunk>, Range<usize>)> {
        let front = self.queue.front()?;
        let limit = front.chunk.len().min(front.cursor + most);
        let end = self.end.into_iter().chain(before).min();
        let fits = |index: &usize| {
            let record = front.chunk.record(*index);
            let in_order = *index == front.cursor || not_after.is_none_or(|bound| record.time() <= bound);
            in_order && end.is_none_or(|end| record.offset() < end)
        };
        let count = (front.cursor..limit).take_while(fits).count();
        Some((front.chunk.clone(), front.cursor..front.cursor + count))
    }

    /// `count` records of the front chunk have been processed.
    pub(super) fn advance(&mut self, count: usize) {
        let Some(front) = self.queue.front_mut() else { return };
        front.cursor += count;
        if front.cursor > 0 {
            self.position = front.chunk.record(front.cursor - 1).offset().next();
        }
    }
}

/// Which input comes next, and the time up to which it stays first.
pub(super) struct Next {
    pub(super) input: usize,
    pub(super) not_after: Option<EventTime>,
}

/// The stream with the earliest head; nothing while a stream that has more to come is empty.
pub(super) fn choose(inputs: &[Input]) -> Option<Next> {
    let mut first: Option<(EventTime, usize)> = None;
    let mut second: Option<(EventTime, usize)> = None;
    let streams = inputs.iter().enumerate().filter(|(_, input)| input.kind == SourceKind::Stream);
    for (number, input) in streams.filter(|(_, input)| !input.has_ended()) {
        let Some((_, time)) = input.head() else {
            if input.is_at_high_watermark() {
                continue;
            }
            return None;
        };
        let candidate = (time, number);
        if first.is_none_or(|first| candidate < first) {
            second = first.replace(candidate);
        } else if second.is_none_or(|second| candidate < second) {
            second = Some(candidate);
        }
    }
    let (_, input) = first?;
    // At the other's time the number decides.
    let not_after = second.map(|(time, other)| if input < other { time } else { time.plus_ms(-1) });
    Some(Next { input, not_after })
}
