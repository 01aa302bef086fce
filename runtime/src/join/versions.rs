//! A table's values by validity time.
//!
//! Guarantees: [`as_of`](VersionedTable::as_of) returns the value in force at a time, whatever order registrations came in. Of two
//! registrations of one key with the same validity, the one with the greater position counts. Pruning is invisible: a version is removed only
//! when another one superseded it at or before the *horizon*, the earliest time that can still be looked up. A registration from before
//! the version in force at the horizon changes nothing. Requires: no lookup of a time before a horizon that was given.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::rules::{Registration, TableValue};
use super::version_map::{VersionKey, VersionMap};
use crate::Key;
use crate::log::Offset;
use crate::store::{Entries, MapStore, StateError, Store};
use crate::time::EventTime;

/// The partition and offset of a registration.
pub type TablePosition = (u32, Offset);

/// The value of a key from some time on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Version<V> {
    value: Option<V>,
    position: TablePosition,
}

/// Keys with their versions. One entry of state per version: a key with a long history is not written again as a whole
/// with each registration.
pub struct VersionedTable<V> {
    versions: MapStore<VersionKey, Version<V>, VersionMap<Version<V>>>,
    /// Every version that has an older one, by the time it superseded that one. Derived from `versions`: gone after a
    /// load, rebuilt when needed.
    superseding: Option<BTreeSet<(EventTime, Key)>>,
}

/// The effect of a registration on lookups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The first time whose lookup it decides.
    pub from: EventTime,
    /// The validity of the next version, which decides from there on.
    pub until: Option<EventTime>,
    /// False if lookups of these times returned the same before. True where that is unknown.
    pub effective: bool,
}

impl<V: TableValue> VersionedTable<V> {
    /// An empty table.
    pub fn new(name: impl Into<String>) -> VersionedTable<V> {
        VersionedTable { versions: MapStore::new(name), superseding: None }
    }

    /// The value of `key` in force at `time`: the version with the greatest `valid_from` that is not after it.
    #[must_use]
    pub fn as_of(&self, key: &[u8], time: EventTime) -> Option<&V> {
        self.in_force(key, time).and_then(|(_, version)| version.value.as_ref())
    }

    /// The times that the version of `key` with this very `valid_from` decides, as far as the next one; nothing if it was pruned.
    #[must_use]
    pub fn decides(&self, key: &[u8], valid_from: EventTime) -> Option<(EventTime, Option<EventTime>)> {
        let (from, _) = self.in_force(key, valid_from)?;
        (from == valid_from).then(|| (from, self.versions.map().next_after(key, from)))
    }

    /// Takes a registration; nothing if one of the same validity and a greater position is there. `horizon` is the earliest time that may be
    /// looked up from now on.
    pub fn put(
        &mut self,
        registration: Registration<V>,
        position: TablePosition,
        horizon: Option<EventTime>,
    ) -> Option<Change> {
        let Registration { key, valid_from: from, value } = registration;
        let base = horizon.and_then(|horizon| self.in_force(&key, horizon));
        if let Some((base, _)) = base
            && from < base
        {
            return Some(Change { from, until: Some(base), effective: true });
        }
        let older = self.in_force(&key, from);
        if older.is_some_and(|(known, version)| known == from && version.position > position) {
            return None;
        }
        let effective = older.and_then(|(_, version)| version.value.as_ref()) != value.as_ref();
        let has_older = self.in_force(&key, from.plus_ms(-1)).is_some();
        let until = self.versions.map().next_after(&key, from);
        if let Some(superseding) = &mut self.superseding {
            if has_older {
                superseding.insert((from, key.clone()));
            }
            if let Some(until) = until {
                superseding.insert((until, key.clone()));
            }
        }
        self.versions.put((key, Reverse(from)), Version { value, position });
        Some(Change { from, until, effective })
    }

    /// Removes the version that was superseded first, if that was at or before `horizon`; true if there was one.
    pub fn prune_one(&mut self, horizon: EventTime) -> bool {
        let versions = &mut self.versions;
        let superseding = self.superseding.get_or_insert_with(|| versions.map().superseding().collect());
        if superseding.first().is_none_or(|(time, _)| *time > horizon) {
            return false;
        }
        let Some((time, key)) = superseding.pop_first() else { return false };
        let superseded = versions.map().in_force(&key, time.plus_ms(-1)).map(|(from, _)| from);
        if let Some(from) = superseded {
            versions.remove(&(key, Reverse(from)));
        }
        true
    }

    /// The horizon at which [`prune_one`](VersionedTable::prune_one) will have something to remove.
    pub fn next_prune(&mut self) -> Option<EventTime> {
        let versions = &self.versions;
        let superseding = self.superseding.get_or_insert_with(|| versions.map().superseding().collect());
        superseding.first().map(|(time, _)| *time)
    }

    /// How many versions it keeps.
    #[must_use]
    pub fn len(&self) -> usize {
        self.versions.len()
    }

    /// True if it keeps none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    fn in_force(&self, key: &[u8], time: EventTime) -> Option<(EventTime, &Version<V>)> {
        self.versions.map().in_force(key, time)
    }
}

impl<V: TableValue> Store for VersionedTable<V> {
    fn name(&self) -> &str {
        self.versions.name()
    }

    fn drain_changes(&mut self, out: &mut dyn Entries) {
        self.versions.drain_changes(out);
    }

    fn snapshot(&self, shard: u32, out: &mut dyn Entries) {
        self.versions.snapshot(shard, out);
    }

    fn clear(&mut self, shard: u32) {
        self.superseding = None;
        self.versions.clear(shard);
    }

    fn load(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError> {
        self.superseding = None;
        self.versions.load(key, value)
    }

    fn size_bytes(&self) -> usize {
        self.versions.size_bytes()
    }

    fn count_entries(&self) -> usize {
        self.versions.count_entries()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn registration(valid_from: i64, value: Option<u8>) -> Registration<u8> {
        Registration { key: Key::from("k"), valid_from: EventTime(valid_from), value }
    }

    fn change(from: i64, until: Option<i64>, effective: bool) -> Option<Change> {
        Some(Change { from: EventTime(from), until: until.map(EventTime), effective })
    }

    fn put(
        table: &mut VersionedTable<u8>,
        registration: Registration<u8>,
        horizon: Option<i64>,
    ) -> Option<Change> {
        table.put(registration, (0, Offset(0)), horizon.map(EventTime))
    }

    fn prune(table: &mut VersionedTable<u8>, horizon: i64) {
        while table.prune_one(EventTime(horizon)) {}
    }

    #[test]
    fn a_lookup_finds_the_version_in_force() {
        let mut table = VersionedTable::new("t");
        put(&mut table, Registration { key: Key::from("a"), valid_from: EventTime(0), value: Some(9) }, None);
        put(
            &mut table,
            Registration { key: Key::from("ka"), valid_from: EventTime(0), value: Some(8) },
            None,
        );
        put(&mut table, registration(20, Some(2)), None);
        put(&mut table, registration(10, Some(1)), None);
        put(&mut table, registration(30, None), None);
        for (time, value) in
            [(9, None), (10, Some(1)), (19, Some(1)), (20, Some(2)), (29, Some(2)), (30, None), (99, None)]
        {
            assert_eq!(table.as_of(b"k", EventTime(time)).copied(), value, "at {time}");
        }
    }

    #[test]
    fn a_change_says_what_it_changed() {
        let mut table = VersionedTable::new("t");
        assert_eq!(put(&mut table, registration(10, Some(1)), None), change(10, None, true));
        assert_eq!(put(&mut table, registration(30, Some(3)), None), change(30, None, true));
        assert_eq!(put(&mut table, registration(20, Some(1)), None), change(20, Some(30), false));
        assert_eq!(put(&mut table, registration(20, Some(2)), None), change(20, Some(30), true));
        assert_eq!(table.as_of(b"k", EventTime(25)), Some(&2), "the same validity again replaces");
        assert_eq!(put(&mut table, registration(5, None), None), change(5, Some(10), false));
    }

    #[test]
    fn of_one_validity_the_greater_position_counts() {
        let mut table = VersionedTable::new("t");
        let mut put = |partition, offset, value| {
            table.put(registration(10, Some(value)), (partition, Offset(offset)), None).is_some()
        };
        assert!(put(1, 5, 1));
        assert!(!put(0, 9, 2), "a lower partition");
        assert!(!put(1, 4, 3), "an earlier offset");
        assert!(put(1, 6, 4));
        assert!(put(2, 0, 5), "a higher partition");
        assert_eq!(table.as_of(b"k", EventTime(10)), Some(&5));
    }

    #[test]
    fn what_was_superseded_by_the_horizon_goes_and_stays_gone() {
        let mut table = VersionedTable::new("t");
        for from in [10, 20, 30] {
            put(&mut table, registration(from, u8::try_from(from).ok()), None);
        }
        prune(&mut table, 19);
        assert_eq!(table.len(), 3);
        prune(&mut table, 20);
        assert_eq!(table.len(), 2);
        assert_eq!(put(&mut table, registration(15, Some(15)), Some(20)), change(15, Some(20), true));
        assert_eq!(table.len(), 2);
        assert_eq!(put(&mut table, registration(25, Some(25)), Some(20)), change(25, Some(30), true));
        prune(&mut table, 40);
        assert_eq!(table.len(), 1);
        assert_eq!(table.as_of(b"k", EventTime(40)), Some(&30));
    }

    #[derive(Default)]
    struct Kept(Vec<(Vec<u8>, Option<Vec<u8>>)>);

    impl Entries for Kept {
        fn put(&mut self, key: &[u8], value: &[u8]) {
            self.0.push((key.to_vec(), Some(value.to_vec())));
        }
        fn delete(&mut self, key: &[u8]) {
            self.0.push((key.to_vec(), None));
        }
    }

    proptest! {
        /// Against every registration ever made: pruned as the horizon moves, and brought back from its deltas half-way.
        #[test]
        fn pruning_never_shows(
            steps in prop::collection::vec((0_u8..3, 0_i64..60, prop::option::of(0_u8..3), 0_i64..4, 0_u32..3), 1..80),
            restore_at in 0_usize..80,
        ) {
            let mut all = VersionedTable::new("t");
            let mut pruned = VersionedTable::new("t");
            let mut deltas = Kept::default();
            let mut horizon = EventTime(0);
            for (step, (key, valid_from, value, advance, partition)) in steps.into_iter().enumerate() {
                horizon = horizon.plus_ms(advance);
                while pruned.prune_one(horizon) {}
                let made = Registration { key: Key::from([key].as_slice()), valid_from: EventTime(valid_from), value };
                let position = (partition, Offset(step as i64));
                prop_assert_eq!(pruned.put(made.clone(), position, Some(horizon)), all.put(made, position, Some(horizon)));
                pruned.drain_changes(&mut deltas);
                if step == restore_at {
                    pruned = VersionedTable::new("t");
                    for (key, value) in &deltas.0 {
                        pruned.load(key, value.as_deref()).unwrap();
                    }
                }
                for key in 0..3 {
                    for time in horizon.0..64 {
                        let time = EventTime(time);
                        prop_assert_eq!(pruned.as_of(&[key], time), all.as_of(&[key], time));
                    }
                }
            }
            prune(&mut pruned, 64);
            prop_assert!(pruned.len() <= 3);
        }
    }
}
