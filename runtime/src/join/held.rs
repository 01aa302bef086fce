//! The records that wait for a registration (law 19).
//!
//! Promise: they come out in the order of (time, offset), found by what they wait for or by who they are; all of it
//! comes back from the changelog, because the indices are derived from the store and never written.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::rules::{JoinItem, OutcomeId, Side};
use crate::Key;
use crate::log::Offset;
use crate::processor::Aside;
use crate::store::{Entries, KeyValueStore, StateError, Store};
use crate::time::EventTime;

/// Where a held record stands: a task's stream is one partition, so no two share one.
pub type HeldPlace = (EventTime, Offset);

/// A record that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held<I> {
    /// Which side has no value for it.
    pub missing: Side,
    /// Who its result will be.
    pub id: OutcomeId,
    /// What the rules need of it.
    pub item: JoinItem<I>,
    /// The record itself, for the dead letter it may become.
    pub record: Aside,
}

impl<I> Held<I> {
    /// Its place in the order of waiting.
    #[must_use]
    pub fn place(&self) -> HeldPlace {
        (self.item.time, self.record.offset)
    }

    /// The key it waits for.
    #[must_use]
    pub fn missing_key(&self) -> &Key {
        match self.missing {
            Side::Broadcast => &self.item.broadcast_key,
            Side::Table => &self.item.table_key,
        }
    }
}

/// All records of a task that wait. How many there can be is bounded by the time they are held for.
pub struct HeldRecords<I> {
    held: KeyValueStore<HeldPlace, Held<I>>,
    /// Derived from `held`: gone after a load, rebuilt when needed.
    index: Option<Index>,
}

#[derive(Default)]
struct Index {
    by_missing: BTreeMap<(Side, Key), BTreeSet<HeldPlace>>,
    by_id: BTreeSet<(EventTime, OutcomeId)>,
}

impl<I: Serialize + DeserializeOwned + Send> HeldRecords<I> {
    /// None yet.
    pub fn new(name: impl Into<String>) -> HeldRecords<I> {
        HeldRecords { held: KeyValueStore::new(name), index: None }
    }

    /// Takes a record in.
    pub fn put(&mut self, held: Held<I>) {
        self.index().add(&held);
        self.held.put(held.place(), held);
    }

    /// Lets a record out.
    pub fn take(&mut self, place: HeldPlace) -> Option<Held<I>> {
        let held = self.held.remove(&place)?;
        self.index().remove(&held);
        Some(held)
    }

    /// Lets the earliest record out, if it is from before `time`.
    pub fn take_before(&mut self, time: EventTime) -> Option<Held<I>> {
        let (place, _) = self.held.iter().next()?;
        let place = *place;
        (place.0 < time).then(|| self.take(place)).flatten()
    }

    /// The records of times `[from, until)` that wait for `key` of `side`, in order.
    pub fn waiting(
        &mut self,
        side: Side,
        key: &Key,
        from: EventTime,
        until: Option<EventTime>,
    ) -> Vec<HeldPlace> {
        let waiting = self.index().by_missing.get(&(side, key.clone()));
        let after = waiting.into_iter().flat_map(|places| places.range((from, Offset(i64::MIN))..));
        after.take_while(|place| until.is_none_or(|until| place.0 < until)).copied().collect()
    }

    /// True if a record of this id waits.
    pub fn contains(&mut self, time: EventTime, id: OutcomeId) -> bool {
        !self.held.is_empty() && self.index().by_id.contains(&(time, id))
    }

    /// True if a record of this very time waits: only then is its id worth working out.
    #[must_use]
    pub fn any_at(&self, time: EventTime) -> bool {
        self.held.range((time, Offset(i64::MIN))..=(time, Offset(i64::MAX))).next().is_some()
    }

    /// Every record that waits, in the order of (time, offset).
    pub fn iter(&self) -> impl Iterator<Item = &Held<I>> {
        self.held.iter().map(|(_, held)| held)
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// True if none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    fn index(&mut self) -> &mut Index {
        let held = &self.held;
        self.index.get_or_insert_with(|| {
            let mut index = Index::default();
            held.iter().for_each(|(_, held)| index.add(held));
            index
        })
    }
}

impl Index {
    fn add<I>(&mut self, held: &Held<I>) {
        let waiting = self.by_missing.entry((held.missing, held.missing_key().clone()));
        waiting.or_default().insert(held.place());
        self.by_id.insert((held.item.time, held.id));
    }

    fn remove<I>(&mut self, held: &Held<I>) {
        let missing = (held.missing, held.missing_key().clone());
        if let Some(waiting) = self.by_missing.get_mut(&missing) {
            waiting.remove(&held.place());
            if waiting.is_empty() {
                self.by_missing.remove(&missing);
            }
        }
        self.by_id.remove(&(held.item.time, held.id));
    }
}

impl<I: Serialize + DeserializeOwned + Send> Store for HeldRecords<I> {
    fn name(&self) -> &str {
        self.held.name()
    }

    fn drain_changes(&mut self, out: &mut dyn Entries) {
        self.held.drain_changes(out);
    }

    fn snapshot(&self, shard: u32, out: &mut dyn Entries) {
        self.held.snapshot(shard, out);
    }

    fn clear(&mut self, shard: u32) {
        self.index = None;
        self.held.clear(shard);
    }

    fn load(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError> {
        self.index = None;
        self.held.load(key, value)
    }

    fn size_bytes(&self) -> usize {
        self.held.size_bytes()
    }

    fn count_entries(&self) -> usize {
        self.held.count_entries()
    }
}
