//! The records that a task remembers (law 12): those that were not let go when they were first judged.
//!
//! Guarantees: everything that judging again needs is in the store, so it comes back from the changelog. The indices (by broadcast key, by
//! table key, and of what is held) are derived from the store: never written, gone after a load, rebuilt when needed.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::index::KeyIndex;
use super::rules::{JoinItem, OutcomeId, Side, Verdict};
use crate::Key;
use crate::log::{Coordinates, Offset, RecordRef, TopicPartition};
use crate::processor::Aside;
use crate::store::{Entries, KeyValueStore, StateError, Store};
use crate::time::EventTime;

/// How long ids are remembered, and how far back a record may lie to be judged: 30 days of event time. A bound of the laws,
/// not a setting: it is what producers may rely on when they send again.
pub const REMEMBERED_MS: i64 = 30 * 24 * 60 * 60 * 1_000;

/// The time and id of a record: forgetting takes the front, and most records are told from duplicates by their time alone.
pub(super) type RememberedKey = (EventTime, OutcomeId);

/// Before every record of `time`.
pub(super) fn start_of(time: EventTime) -> RememberedKey {
    (time, OutcomeId([0; 16]))
}

/// A remembered record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered<I, O> {
    pub(super) item: JoinItem<I>,
    /// As it came: it becomes a dead letter if it is held for too long, also long after it was first judged.
    pub(super) record: RawRecord,
    /// The outcome in force.
    pub(super) in_force: Option<O>,
    pub(super) standing: Standing,
    /// Of its last event; 0 before the first.
    pub(super) revision: u32,
    pub(super) counted: Counted,
}

/// What the last judgement of a remembered record came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Standing {
    /// It has an outcome.
    Issued,
    /// It has none.
    Ignored,
    /// It waits for this side.
    Held(Side),
    /// It has waited for this side too long: it was put into the dead-letter topic.
    Unidentified(Side),
}

/// As what a record was counted so far: each counts once as `judged` and, unless it was that first, once as ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Counted {
    Not,
    AsIgnored,
    AsJudged,
}

/// A stream record as it came, without its key, which is its table key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RawRecord {
    topic: Arc<str>,
    partition: u32,
    offset: Offset,
    time: EventTime,
    value: Option<Box<[u8]>>,
    headers: Box<[(String, Vec<u8>)]>,
}

impl From<&RecordRef<'_>> for RawRecord {
    fn from(record: &RecordRef<'_>) -> RawRecord {
        RawRecord {
            topic: record.partition().topic.clone(),
            partition: record.partition().partition,
            offset: record.offset(),
            time: record.time(),
            value: record.value().map(Box::from),
            headers: record.headers().map(|(name, value)| (name.to_owned(), value.to_vec())).collect(),
        }
    }
}

impl RawRecord {
    /// With its key.
    pub(super) fn with_key(&self, key: &Key) -> Aside {
        Aside {
            topic: self.topic.clone(),
            partition: self.partition,
            offset: self.offset,
            time: self.time,
            key: Some(key.to_vec()),
            value: self.value.as_deref().map(<[u8]>::to_vec),
            headers: self.headers.to_vec(),
        }
    }

    pub(super) fn coordinates(&self) -> Coordinates {
        TopicPartition::new(self.topic.clone(), self.partition).at(self.offset)
    }

    pub(super) fn value_bytes(&self) -> usize {
        self.value.as_ref().map_or(0, |value| value.len())
    }
}

/// A held record, for listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held<'a, I> {
    /// What it says.
    pub item: &'a JoinItem<I>,
    /// Its id.
    pub id: OutcomeId,
    /// The side that has no value for it.
    pub missing: Side,
}

impl<I, O> Remembered<I, O> {
    /// Its key in the table of `side`.
    pub(super) fn key_of(&self, side: Side) -> &Key {
        match side {
            Side::Broadcast => &self.item.broadcast_key,
            Side::Table => &self.item.table_key,
        }
    }

    /// True if `verdict` says what the last one said.
    pub(super) fn stands_by(&self, verdict: &Verdict<O>) -> bool
    where
        O: PartialEq,
    {
        match (verdict, self.standing) {
            (Verdict::Emit(outcome), Standing::Issued) => self.in_force.as_ref() == Some(outcome),
            (Verdict::Ignore(_), Standing::Ignored) => true,
            (Verdict::Missing(side), Standing::Held(known) | Standing::Unidentified(known)) => *side == known,
            _ => false,
        }
    }

    pub(super) fn is_held(&self) -> bool {
        matches!(self.standing, Standing::Held(_))
    }
}

/// The remembered records of a task.
pub(super) struct RememberedRecords<I, O> {
    records: KeyValueStore<RememberedKey, Remembered<I, O>>,
    index: Option<Index>,
    /// Every record up to it, this one included, is held: forgetting does not look at them again.
    held_through: Option<RememberedKey>,
}

#[derive(Default)]
struct Index {
    by_broadcast: KeyIndex,
    by_table: KeyIndex,
    held: BTreeSet<RememberedKey>,
}

impl<I, O> RememberedRecords<I, O>
where
    I: Serialize + DeserializeOwned + Send,
    O: Serialize + DeserializeOwned + Send,
{
    pub(super) fn new(name: &str) -> RememberedRecords<I, O> {
        RememberedRecords { records: KeyValueStore::new(name), index: None, held_through: None }
    }

    pub(super) fn get(&self, key: &RememberedKey) -> Option<&Remembered<I, O>> {
        self.records.get(key)
    }

    /// True if a record of this very time is remembered: only then is its id worth working out.
    pub(super) fn any_at(&self, time: EventTime) -> bool {
        // Most records come in the order of time, and then the last one answers without a search.
        self.records.last().is_some_and(|((last, _), _)| *last >= time)
            && self.records.range(start_of(time)..=(time, OutcomeId([u8::MAX; 16]))).next().is_some()
    }

    pub(super) fn insert(&mut self, key: RememberedKey, known: Remembered<I, O>) {
        self.index().add(key, &known);
        self.records.put(key, known);
    }

    /// Changes what is remembered of a record, but not its keys.
    pub(super) fn change<T>(
        &mut self,
        key: RememberedKey,
        change: impl FnOnce(&mut Remembered<I, O>) -> T,
    ) -> Option<T> {
        self.index();
        let known = self.records.get_mut(&key)?;
        let (was_held, changed, is_held) = (known.is_held(), change(known), known.is_held());
        if let Some(index) = self.index.as_mut().filter(|_| was_held != is_held) {
            match is_held {
                true => index.held.insert(key),
                false => index.held.remove(&key),
            };
        }
        Some(changed)
    }

    pub(super) fn remove(&mut self, key: RememberedKey) -> Option<Remembered<I, O>> {
        let known = self.records.remove(&key)?;
        self.index().remove(key, &known);
        Some(known)
    }

    /// The records of `key` of `side` after `after` and before the time `until`, in order.
    pub(super) fn of_key(
        &mut self,
        side: Side,
        key: &[u8],
        after: Bound<RememberedKey>,
        until: Option<EventTime>,
    ) -> impl DoubleEndedIterator<Item = RememberedKey> + '_ {
        let until = until.map_or(Bound::Unbounded, |until| Bound::Excluded(start_of(until)));
        self.index().of(side).range(key, (after, until))
    }

    /// The earliest record that is held.
    pub(super) fn first_held(&mut self) -> Option<RememberedKey> {
        self.index().held.first().copied()
    }

    /// The earliest record that is not held, if it is from before `time`.
    pub(super) fn first_settled_before(&mut self, time: EventTime) -> Option<RememberedKey> {
        let from = self.held_through.map_or(Bound::Unbounded, Bound::Excluded);
        for (key, known) in self.records.range((from, Bound::Excluded(start_of(time)))) {
            if !known.is_held() {
                return Some(*key);
            }
            self.held_through = Some(*key);
        }
        None
    }

    /// The earliest time of a record that may still have to be forgotten.
    pub(super) fn first_time(&self) -> Option<EventTime> {
        let from = self.held_through.map_or(Bound::Unbounded, Bound::Excluded);
        self.records.range((from, Bound::Unbounded)).next().map(|((time, _), _)| *time)
    }

    /// Every record that is held, in order.
    pub(super) fn held(&self) -> impl Iterator<Item = Held<'_, I>> {
        self.records.iter().filter_map(|((_, id), known)| match known.standing {
            Standing::Held(missing) => Some(Held { item: &known.item, id: *id, missing }),
            _ => None,
        })
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (&RememberedKey, &Remembered<I, O>)> {
        self.records.iter()
    }

    fn index(&mut self) -> &mut Index {
        let records = &self.records;
        self.index.get_or_insert_with(|| {
            let mut index = Index::default();
            records.iter().for_each(|(key, known)| index.add(*key, known));
            index
        })
    }
}

impl Index {
    fn of(&self, side: Side) -> &KeyIndex {
        match side {
            Side::Broadcast => &self.by_broadcast,
            Side::Table => &self.by_table,
        }
    }

    fn add<I, O>(&mut self, key: RememberedKey, known: &Remembered<I, O>) {
        self.by_broadcast.add(&known.item.broadcast_key, key);
        self.by_table.add(&known.item.table_key, key);
        if known.is_held() {
            self.held.insert(key);
        }
    }

    fn remove<I, O>(&mut self, key: RememberedKey, known: &Remembered<I, O>) {
        self.by_broadcast.remove(&known.item.broadcast_key, key);
        self.by_table.remove(&known.item.table_key, key);
        self.held.remove(&key);
    }
}

impl<I, O> Store for RememberedRecords<I, O>
where
    I: Serialize + DeserializeOwned + Send,
    O: Serialize + DeserializeOwned + Send,
{
    fn name(&self) -> &str {
        self.records.name()
    }

    fn drain_changes(&mut self, out: &mut dyn Entries) {
        self.records.drain_changes(out);
    }

    fn snapshot(&self, shard: u32, out: &mut dyn Entries) {
        self.records.snapshot(shard, out);
    }

    fn clear(&mut self, shard: u32) {
        (self.index, self.held_through) = (None, None);
        self.records.clear(shard);
    }

    fn load(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError> {
        (self.index, self.held_through) = (None, None);
        self.records.load(key, value)
    }

    fn size_bytes(&self) -> usize {
        self.records.size_bytes()
    }

    fn count_entries(&self) -> usize {
        self.records.count_entries()
    }
}
