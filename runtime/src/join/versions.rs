//! A table's values by validity time.
//!
//! Promise: [`as_of`](VersionedTable::as_of) gives what was in force at a time, whatever order registrations came in, and
//! pruning never shows: a version goes only when another one superseded it at or before the *horizon*, the earliest
//! time anybody may still ask for; and a registration from before the version in force at the horizon is answered without
//! looking at what may or may not have been pruned. Broken by: asking for a time before a horizon that was given.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::rules::{Registration, TableValue};
use super::version_map::{VersionKey, VersionMap};
use crate::Key;
use crate::store::{Entries, MapStore, StateError, Store};
use crate::time::EventTime;

/// Keys with their versions. One entry of state per version: a key with a long history is not written again as a whole
/// with each registration.
pub struct VersionedTable<V> {
    versions: MapStore<VersionKey, Option<V>, VersionMap<V>>,
    /// Every version that has an older one, by the time it superseded that one. Derived from `versions`: gone after a
    /// load, rebuilt when needed.
    superseding: Option<BTreeSet<(EventTime, Key)>>,
}

/// What a registration changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The first time it changed.
    pub from: EventTime,
    /// The next version's time, which it did not change any more.
    pub until: Option<EventTime>,
    /// False if the same value, or the same lack of one, was in force at `from` before. True where that cannot be told.
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
        self.in_force(key, time).and_then(|(_, value)| value)
    }

    /// Takes a registration; the same `valid_from` again replaces. `horizon` is the earliest time that may be asked for from now on.
    pub fn put(&mut self, registration: Registration<V>, horizon: Option<EventTime>) -> Change {
        let Registration { key, valid_from: from, value } = registration;
        let base = horizon.and_then(|horizon| self.in_force(&key, horizon));
        if let Some((base, _)) = base
            && from < base
        {
            return Change { from, until: Some(base), effective: true };
        }
        let older = self.in_force(&key, from);
        let effective = older.and_then(|(_, value)| value) != value.as_ref();
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
        self.versions.put((key, Reverse(from)), value);
        Change { from, until, effective }
    }

    /// Forgets every version that was superseded at or before `horizon`.
    pub fn prune(&mut self, horizon: EventTime) {
        let versions = &mut self.versions;
        let superseding = self.superseding.get_or_insert_with(|| versions.map().superseding().collect());
        while let Some((time, _)) = superseding.first()
            && *time <= horizon
        {
            let Some((time, key)) = superseding.pop_first() else { break };
            let superseded = versions.map().in_force(&key, time.plus_ms(-1)).map(|(from, _)| from);
            if let Some(from) = superseded {
                versions.remove(&(key, Reverse(from)));
            }
        }
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

    fn in_force(&self, key: &[u8], time: EventTime) -> Option<(EventTime, Option<&V>)> {
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

    fn change(from: i64, until: Option<i64>, effective: bool) -> Change {
        Change { from: EventTime(from), until: until.map(EventTime), effective }
    }

    #[test]
    fn a_lookup_finds_the_version_in_force() {
        let mut table = VersionedTable::new("t");
        table.put(Registration { key: Key::from("a"), valid_from: EventTime(0), value: Some(9) }, None);
        table.put(Registration { key: Key::from("ka"), valid_from: EventTime(0), value: Some(8) }, None);
        table.put(registration(20, Some(2)), None);
        table.put(registration(10, Some(1)), None);
        table.put(registration(30, None), None);
        for (time, value) in
            [(9, None), (10, Some(1)), (19, Some(1)), (20, Some(2)), (29, Some(2)), (30, None), (99, None)]
        {
            assert_eq!(table.as_of(b"k", EventTime(time)).copied(), value, "at {time}");
        }
    }

    #[test]
    fn a_change_says_what_it_changed() {
        let mut table = VersionedTable::new("t");
        assert_eq!(table.put(registration(10, Some(1)), None), change(10, None, true));
        assert_eq!(table.put(registration(30, Some(3)), None), change(30, None, true));
        assert_eq!(table.put(registration(20, Some(1)), None), change(20, Some(30), false));
        assert_eq!(table.put(registration(20, Some(2)), None), change(20, Some(30), true));
        assert_eq!(table.as_of(b"k", EventTime(25)), Some(&2), "the same validity again replaces");
        assert_eq!(table.put(registration(5, None), None), change(5, Some(10), false));
    }

    #[test]
    fn what_was_superseded_by_the_horizon_goes_and_stays_gone() {
        let mut table = VersionedTable::new("t");
        for from in [10, 20, 30] {
            table.put(registration(from, u8::try_from(from).ok()), None);
        }
        table.prune(EventTime(19));
        assert_eq!(table.len(), 3);
        table.prune(EventTime(20));
        assert_eq!(table.len(), 2);
        assert_eq!(table.put(registration(15, Some(15)), Some(EventTime(20))), change(15, Some(20), true));
        assert_eq!(table.len(), 2);
        assert_eq!(table.put(registration(25, Some(25)), Some(EventTime(20))), change(25, Some(30), true));
        table.prune(EventTime(40));
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
            steps in prop::collection::vec((0_u8..3, 0_i64..60, prop::option::of(0_u8..3), 0_i64..4), 1..80),
            restore_at in 0_usize..80,
        ) {
            let mut all = VersionedTable::new("t");
            let mut pruned = VersionedTable::new("t");
            let mut deltas = Kept::default();
            let mut horizon = EventTime(0);
            for (step, (key, valid_from, value, advance)) in steps.into_iter().enumerate() {
                horizon = horizon.plus_ms(advance);
                pruned.prune(horizon);
                let made = Registration { key: Key::from([key].as_slice()), valid_from: EventTime(valid_from), value };
                prop_assert_eq!(pruned.put(made.clone(), Some(horizon)), all.put(made, Some(horizon)));
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
            pruned.prune(EventTime(64));
            prop_assert!(pruned.len() <= 3);
        }
    }
}
