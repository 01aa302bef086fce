//! One input partition of a task: its position, what is fetched, and the order in which inputs are merged.
//!
//! Promise: records are handed on in the order of their offsets, each once; inputs are merged by time, tables before streams
//! at the same time, and an empty input is waited for only while it lags (law 18).

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
    /// Everything before it is processed.
    position: Offset,
    /// Everything before it is processed or queued.
    fetched: Offset,
    queue: VecDeque<Queued>,
    high_watermark: Option<Offset>,
    bootstrap_end: Option<Offset>,
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
            position: Offset(0),
            fetched: Offset(0),
            queue: VecDeque::new(),
            high_watermark: None,
            bootstrap_end: None,
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
        self.position = offset;
        self.fetched = offset;
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

    pub(super) fn bootstrap_to(&mut self, end: Offset) {
        self.bootstrap_end = Some(end);
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
    pub(super) fn has_ended(&self) -> bool {
        self.end
            .is_some_and(|end| self.position >= end || self.head().is_some_and(|(offset, _)| offset >= end))
    }

    pub(super) fn is_at_high_watermark(&self) -> bool {
        self.queue.is_empty() && self.high_watermark.is_some_and(|high| self.fetched >= high)
    }

    fn is_bootstrapping(&self) -> bool {
        self.bootstrap_end.is_some_and(|end| self.position < end)
    }

    /// The next record's offset and time, if one is queued.
    fn head(&self) -> Option<(Offset, EventTime)> {
        let front = self.queue.iter().find(|queued| queued.cursor < queued.chunk.len())?;
        let record = front.chunk.record(front.cursor);
        Some((record.offset(), record.time()))
    }

    /// Up to `most` queued records that are not after `not_after`: at least one.
    pub(super) fn run(
        &self,
        most: usize,
        not_after: Option<EventTime>,
    ) -> Option<(Arc<Chunk>, Range<usize>)> {
        let front = self.queue.front()?;
        let limit = front.chunk.len().min(front.cursor + most);
        let fits = |index: &usize| {
            let record = front.chunk.record(*index);
            let in_order = *index == front.cursor || not_after.is_none_or(|bound| record.time() <= bound);
            in_order && self.end.is_none_or(|end| record.offset() < end)
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

    /// The order of inputs whose records have the same time: what is known before what is judged by it.
    fn rank(&self) -> u8 {
        match self.kind {
            SourceKind::Broadcast => 0,
            SourceKind::Table => 1,
            SourceKind::Stream => 2,
        }
    }
}

/// Which input comes next, and the time up to which it stays first.
pub(super) struct Next {
    pub(super) input: usize,
    pub(super) not_after: Option<EventTime>,
}

/// The input with the earliest head; nothing while an input that has more to come is empty.
pub(super) fn choose(inputs: &[Input]) -> Option<Next> {
    if let Some(table) = inputs.iter().position(|input| input.is_bootstrapping() && !input.has_ended()) {
        // Tables are read to their end first, one after the other: nothing is judged meanwhile.
        return inputs[table].head().map(|_| Next { input: table, not_after: None });
    }
    let mut first: Option<(EventTime, u8, usize)> = None;
    let mut second: Option<(EventTime, u8, usize)> = None;
    for (number, input) in inputs.iter().enumerate().filter(|(_, input)| !input.has_ended()) {
        let Some((_, time)) = input.head() else {
            if input.is_at_high_watermark() {
                continue;
            }
            return None;
        };
        let candidate = (time, input.rank(), number);
        if first.is_none_or(|first| candidate < first) {
            second = first.replace(candidate);
        } else if second.is_none_or(|second| candidate < second) {
            second = Some(candidate);
        }
    }
    let (_, rank, input) = first?;
    // At the other's time the rank decides, and after a tie in rank the number.
    let not_after = second.map(
        |(time, other_rank, other)| {
            if (rank, input) < (other_rank, other) { time } else { time.plus_ms(-1) }
        },
    );
    Some(Next { input, not_after })
}
