//! The versions of all keys in memory: [`VersionMap`].
//!
//! Most keys have one version, and most lookups ask for the latest. So a key is found by its hash, and only where it has several
//! versions are they searched by time.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry as Place;

use crate::Key;
use crate::store::{Entry, EntryMap, Visit, Wanted};
use crate::time::EventTime;

/// Latest first.
pub(super) type VersionKey = (Key, Reverse<EventTime>);

/// Keys with their versions.
pub(super) struct VersionMap<V> {
    keys: HashMap<Key, Versions<V>, FixedState>,
    /// Of all keys together.
    count: usize,
}

/// The versions of one key: never none.
enum Versions<V> {
    One(EventTime, Entry<V>),
    /// Two or more.
    Many(BTreeMap<Reverse<EventTime>, Entry<V>>),
}

impl<V> VersionMap<V> {
    /// The version with the greatest time that is not after `time`.
    pub(super) fn in_force(&self, key: &[u8], time: EventTime) -> Option<(EventTime, &V)> {
        let (from, entry) = match self.keys.get(key)? {
            Versions::One(from, entry) if *from <= time => (*from, entry),
            Versions::One(..) => return None,
            Versions::Many(all) => all.range(Reverse(time)..).next().map(|(from, entry)| (from.0, entry))?,
        };
        Some((from, entry.value()))
    }

    /// The time of the first version after `time`.
    pub(super) fn next_after(&self, key: &[u8], time: EventTime) -> Option<EventTime> {
        match self.keys.get(key)? {
            Versions::One(from, _) => (*from > time).then_some(*from),
            Versions::Many(all) => all.range(..Reverse(time)).next_back().map(|(from, _)| from.0),
        }
    }

    /// The times of all versions that have an older one, in no order.
    pub(super) fn superseding(&self) -> impl Iterator<Item = (EventTime, Key)> {
        self.keys.iter().flat_map(|(key, versions)| {
            let times = match versions {
                Versions::One(..) => None,
                Versions::Many(all) => Some(all.keys().take(all.len() - 1)),
            };
            times.into_iter().flatten().map(|from| (from.0, key.clone()))
        })
    }
}

impl<V> Default for VersionMap<V> {
    fn default() -> VersionMap<V> {
        VersionMap { keys: HashMap::default(), count: 0 }
    }
}

impl<V> Versions<V> {
    fn get(&self, time: EventTime) -> Option<&Entry<V>> {
        match self {
            Versions::One(from, entry) => (*from == time).then_some(entry),
            Versions::Many(all) => all.get(&Reverse(time)),
        }
    }

    fn get_mut(&mut self, time: EventTime) -> Option<&mut Entry<V>> {
        match self {
            Versions::One(from, entry) => (*from == time).then_some(entry),
            Versions::Many(all) => all.get_mut(&Reverse(time)),
        }
    }

    /// Sets one; the one it replaces.
    fn set(&mut self, time: EventTime, entry: Entry<V>) -> Option<Entry<V>> {
        if let Some(known) = self.get_mut(time) {
            return Some(std::mem::replace(known, entry));
        }
        let mut all = self.take_all();
        all.insert(Reverse(time), entry);
        *self = Versions::Many(all);
        None
    }

    /// Takes one away. The last one leaves an empty map behind, which must not stay.
    fn unset(&mut self, time: EventTime) -> Option<Entry<V>> {
        let mut all = self.take_all();
        let gone = all.remove(&Reverse(time));
        let only = if all.len() == 1 { all.pop_first() } else { None };
        *self = match only {
            Some((from, entry)) => Versions::One(from.0, entry),
            None => Versions::Many(all),
        };
        gone
    }

    fn take_all(&mut self) -> BTreeMap<Reverse<EventTime>, Entry<V>> {
        match std::mem::replace(self, Versions::Many(BTreeMap::new())) {
            Versions::One(from, entry) => BTreeMap::from([(Reverse(from), entry)]),
            Versions::Many(all) => all,
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Versions::Many(all) if all.is_empty())
    }
}

impl<V: Send> EntryMap<VersionKey, V> for VersionMap<V> {
    fn entry(&self, (key, Reverse(time)): &VersionKey) -> Option<&Entry<V>> {
        self.keys.get(key)?.get(*time)
    }

    fn entry_mut(&mut self, (key, Reverse(time)): &VersionKey) -> Option<&mut Entry<V>> {
        self.keys.get_mut(key)?.get_mut(*time)
    }

    fn set(&mut self, (key, Reverse(time)): VersionKey, entry: Entry<V>) -> Option<Entry<V>> {
        let old = match self.keys.entry(key) {
            Place::Occupied(mut versions) => versions.get_mut().set(time, entry),
            Place::Vacant(place) => {
                place.insert(Versions::One(time, entry));
                None
            }
        };
        self.count += usize::from(old.is_none());
        old
    }

    fn unset(&mut self, (key, Reverse(time)): &VersionKey) -> Option<Entry<V>> {
        let versions = self.keys.get_mut(key)?;
        let gone = versions.unset(*time);
        if versions.is_empty() {
            self.keys.remove(key);
        }
        self.count -= usize::from(gone.is_some());
        gone
    }

    fn each<'m>(&'m self, visit: Visit<'_, 'm, VersionKey, V>) {
        for (key, versions) in &self.keys {
            match versions {
                Versions::One(from, entry) => visit(entry, &|| (key.clone(), Reverse(*from))),
                Versions::Many(all) => {
                    all.iter().for_each(|(from, entry)| visit(entry, &|| (key.clone(), *from)));
                }
            }
        }
    }

    fn keep(&mut self, wanted: Wanted<'_, VersionKey, V>) {
        let mut goes = Vec::new();
        self.each(&mut |entry, key| {
            if !wanted(entry, key) {
                goes.push(key());
            }
        });
        for key in &goes {
            self.unset(key);
        }
    }

    fn count(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::{KeyValueStore, MapStore};

    fn place(key: u8, time: i64) -> VersionKey {
        (Key::from([key].as_slice()), Reverse(EventTime(time)))
    }

    proptest! {
        /// Against an ordered store of the same entries.
        #[test]
        fn a_version_map_is_a_map(
            steps in prop::collection::vec((0_u8..3, 0_i64..6, prop::option::of(any::<u8>())), 0..60),
        ) {
            let mut store = MapStore::<VersionKey, Option<u8>, VersionMap<Option<u8>>>::new("s");
            let mut oracle = KeyValueStore::<VersionKey, Option<u8>>::new("s");
            for (key, time, value) in steps {
                match value {
                    Some(0) => prop_assert_eq!(store.remove(&place(key, time)), oracle.remove(&place(key, time))),
                    value => {
                        store.put(place(key, time), value);
                        oracle.put(place(key, time), value);
                    }
                }
                prop_assert_eq!(store.len(), oracle.len());
                let mut superseding: Vec<_> = store.map().superseding().collect();
                superseding.sort();
                let of = |key| oracle.range(place(key, i64::MAX)..=place(key, i64::MIN));
                let mut expected: Vec<_> = (0..3)
                    .flat_map(|key| of(key).take(of(key).count().saturating_sub(1)).map(|((key, from), _)| (from.0, key.clone())))
                    .collect();
                expected.sort();
                prop_assert_eq!(superseding, expected);
                for (key, time) in (0..3).flat_map(|key| (-1..7).map(move |time| (key, time))) {
                    prop_assert_eq!(store.get(&place(key, time)), oracle.get(&place(key, time)));
                    let in_force = of(key).find(|((_, from), _)| from.0.0 <= time);
                    let in_force = in_force.map(|((_, from), value)| (from.0, value));
                    prop_assert_eq!(store.map().in_force(&[key], EventTime(time)), in_force);
                    let after = of(key).filter(|((_, from), _)| from.0.0 > time).last();
                    let after = after.map(|((_, from), _)| from.0);
                    prop_assert_eq!(store.map().next_after(&[key], EventTime(time)), after);
                }
            }
        }
    }
}
