//! What a topology's author writes: a [`Processor`], and the [`Context`] it acts through.
//!
//! A processor is synchronous and pure: it does no IO, reads no clock and draws no random number, so that the same input
//! gives the same output wherever and however often it runs (law 11). All it may do is in [`Context`]: move stream time, forward records,
//! and put records aside. Iterating over a hash map while forwarding breaks the promise: use ordered stores.

mod letter;

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::letter::Letter;
use crate::error::{BadRecord, Reason};
use crate::log::{
    Coordinates, Offset, Outgoing, RECORD_MAX_BYTES, RecordRef, TopicPartition, headers_size, partition_for,
    wire_size,
};
use crate::store::Store;
use crate::time::{EventTime, StreamTime};

/// The longest value that is processed, or kept whole in a dead letter (law 14): below Kafka's `message.max.bytes`
/// of 1 048 588, with room for key, headers and framing.
pub const VALUE_MAX_BYTES: usize = 1_000_000;

/// How much of a part that is too large (value, key, headers) stays in its dead letter: enough to recognise it by.
pub const DEAD_LETTER_PREFIX_BYTES: usize = 1_024;

/// The heart of a task. One value per task; all state it keeps is in its [`stores`](Processor::stores).
pub trait Processor: Send {
    /// Takes one record of source number `source` (in the order of the topology's declaration).
    ///
    /// # Errors
    /// A [`BadRecord`] goes to the dead-letter topic; whatever was done for the record before must be complete in itself,
    /// so decode and check first, then change state.
    fn process(
        &mut self,
        source: usize,
        record: &RecordRef<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), BadRecord>;

    /// Takes one record of output number `sink` that an earlier run wrote, before a `reset`: called only at a first start, before any input,
    /// and only for the outputs that [`Topology::reads_earlier_output`](crate::topology::Topology::reads_earlier_output) names.
    ///
    /// # Errors
    /// What is wrong with it. It is counted and skipped: nothing that this task writes depends on it.
    fn take_earlier_output(&mut self, sink: usize, record: &RecordRef<'_>) -> Result<(), BadRecord> {
        let _ = (sink, record);
        Ok(())
    }

    /// Does a bounded part of what earlier records left to do (law 16): true if more is left. The task calls it until it returns false before
    /// it hands over the next record of a stream, and before it ends, and may commit in between, so what is left must be in a store. A task
    /// without tables calls it between runs of records instead, so that those who hold nothing pay nothing.
    fn work_off(&mut self, context: &mut Context<'_>) -> bool {
        let _ = context;
        false
    }

    /// Stream time has moved without a record (`--idle-close`).
    fn time_moved(&mut self, context: &mut Context<'_>) {
        let _ = context;
    }

    /// The input has ended (`--until-end`): close what time would have closed. Held records stay held.
    fn input_ended(&mut self, context: &mut Context<'_>) {
        let _ = context;
    }

    /// True if [`Processor::before_commit`] would forward something. If it is never said, what that forwards is shown all the same, as late
    /// as mere progress is committed.
    fn holds_results(&self) -> bool {
        false
    }

    /// A commit is about to be made: forward what was held back to be coalesced (`--emit updates`).
    fn before_commit(&mut self, context: &mut Context<'_>) {
        let _ = context;
    }

    /// Its stores, always the same ones in the same order.
    fn stores(&mut self) -> Vec<&mut dyn Store>;
}

/// Where a task's records go: fixed when it starts.
#[derive(Clone, Debug)]
pub struct Routes {
    /// This task's number: the partition of its inputs, and of everything it puts aside.
    pub partition: u32,
    /// Output topics and their partition counts, in the order of the topology's declaration.
    pub sinks: Vec<(Arc<str>, u32)>,
    /// Takes bad records.
    pub dead_letters: Arc<str>,
    /// Takes late records.
    pub late: Arc<str>,
    /// Takes records that were there before.
    pub duplicates: Arc<str>,
}

/// The count every task keeps of what it processed.
pub(crate) const PROCESSED: &str = "processed";

/// Counts that are part of the state: committed with the offsets, so each record counts once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters(Vec<(Cow<'static, str>, u64)>);

impl Counters {
    /// Adds to a count.
    pub fn add(&mut self, name: &'static str, count: u64) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, total)) => *total += count,
            None => self.0.push((Cow::Borrowed(name), count)),
        }
    }

    /// A count; 0 if it was never added to.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        self.0.iter().find(|(known, _)| known == name).map_or(0, |(_, total)| *total)
    }

    /// Every count by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, total)| (name.as_ref(), *total))
    }
}

/// A record to be put aside: read just now, or kept in state since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aside {
    /// Where it came from.
    pub topic: Arc<str>,
    /// Its partition there.
    pub partition: u32,
    /// Its offset there.
    pub offset: Offset,
    /// Its time in the log.
    pub time: EventTime,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl From<&RecordRef<'_>> for Aside {
    fn from(record: &RecordRef<'_>) -> Aside {
        let owned = |(name, value): (&str, &[u8])| (name.to_owned(), value.to_vec());
        Aside {
            topic: record.partition().topic.clone(),
            partition: record.partition().partition,
            offset: record.offset(),
            time: record.time(),
            key: record.key().map(<[u8]>::to_vec),
            value: record.value().map(<[u8]>::to_vec),
            headers: record.headers().map(owned).collect(),
        }
    }
}

impl Aside {
    /// Where it came from, as errors and headers write it.
    #[must_use]
    pub fn coordinates(&self) -> Coordinates {
        TopicPartition::new(self.topic.clone(), self.partition).at(self.offset)
    }
}

/// What a processor may do.
pub struct Context<'a> {
    routes: &'a Routes,
    clock: &'a mut StreamTime,
    counters: &'a mut Counters,
    outgoing: &'a mut Outgoing,
}

impl<'a> Context<'a> {
    /// Joins a task's parts for one call of its processor.
    pub fn new(
        routes: &'a Routes,
        clock: &'a mut StreamTime,
        counters: &'a mut Counters,
        outgoing: &'a mut Outgoing,
    ) -> Context<'a> {
        Context { routes, clock, counters, outgoing }
    }

    /// The greatest event time this operator has seen in this task; nothing before the first.
    #[must_use]
    #[inline]
    pub fn stream_time(&self) -> Option<EventTime> {
        self.clock.now()
    }

    /// Takes note of a stream record's time; true if stream time moved. Tables do not move it.
    #[inline]
    pub fn observe(&mut self, time: EventTime) -> bool {
        self.clock.observe(time)
    }

    /// Adds to a count that is committed with the step.
    pub fn count(&mut self, name: &'static str) {
        self.count_many(name, 1);
    }

    /// The same for several things at once.
    pub fn count_many(&mut self, name: &'static str, count: u64) {
        self.counters.add(name, count);
    }

    /// Writes a record to output number `sink`, to the partition of its key. A result that no log could take (its key came from a huge
    /// record) becomes a dead letter `too-large` instead, with as much of it as fits.
    ///
    /// # Panics
    /// If the topology declares no such sink.
    pub fn forward(&mut self, sink: usize, time: EventTime, key: &[u8], value: &[u8]) {
        let (topic, partitions) = &self.routes.sinks[sink];
        let partition = partition_for(key, *partitions);
        if key.len() + value.len() < RECORD_MAX_BYTES / 2
            || wire_size(Some(key), Some(value), std::iter::empty()) <= RECORD_MAX_BYTES
        {
            self.outgoing.partition(topic, partition).push(time, Some(key), Some(value), &[]);
            return;
        }
        let to = TopicPartition::new(topic.clone(), partition);
        let size = key.len() + value.len();
        let message =
            format!("a result for `{to}` has {size} bytes with its key; a log takes {RECORD_MAX_BYTES}");
        let result = Aside {
            topic: to.topic.clone(),
            partition,
            offset: Offset(0),
            time,
            key: Some(key.to_vec()),
            value: Some(value.to_vec()),
            headers: Vec::new(),
        };
        self.write_dead_letter(&result, &to.to_string(), &BadRecord::new(Reason::TooLarge, message));
    }

    /// Puts a record into the late topic, with what it missed: `details` become headers.
    pub fn late(&mut self, record: &Aside, details: &[(&str, String)]) {
        self.counters.add("late", 1);
        let topic = self.routes.late.clone();
        self.put_aside(&topic, record, &record.coordinates().to_string(), details);
    }

    /// Puts a record into the duplicates topic.
    pub fn duplicate(&mut self, record: &Aside) {
        self.counters.add("duplicates", 1);
        let topic = self.routes.duplicates.clone();
        self.put_aside(&topic, record, &record.coordinates().to_string(), &[]);
    }

    /// Puts a record into the dead-letter topic. An error returned from [`Processor::process`] does this by itself; this is for
    /// records that turn out bad later.
    pub fn dead_letter(&mut self, record: &Aside, bad: &BadRecord) {
        self.write_dead_letter(record, &record.coordinates().to_string(), bad);
    }

    fn write_dead_letter(&mut self, record: &Aside, origin: &str, bad: &BadRecord) {
        self.counters.add("dead-letters", 1);
        let topic = self.routes.dead_letters.clone();
        let details = [("reason", bad.reason.code().to_owned()), ("message", bad.message.clone())];
        self.put_aside(&topic, record, origin, &details);
    }

    /// The task's number, with the origin's log time (law 11).
    fn put_aside(&mut self, topic: &Arc<str>, record: &Aside, origin: &str, details: &[(&str, String)]) {
        let mut added: Vec<(&str, &[u8])> = vec![("origin", origin.as_bytes())];
        added.extend(details.iter().map(|(name, value)| (*name, value.as_bytes())));
        let letter = Letter::new(record, headers_size(added.iter().copied()));
        let mut headers = letter.headers;
        headers.extend(added);
        headers.extend(letter.facts.iter().map(|(name, value)| (*name, value.as_bytes())));
        self.outgoing.partition(topic, self.routes.partition).push(
            record.time,
            letter.key,
            letter.value,
            &headers,
        );
    }
}
