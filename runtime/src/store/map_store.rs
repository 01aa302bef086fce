//! The store over a map: [`MapStore`], and its two everyday forms.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeBounds;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::entry::{Coding, Entry};
use super::map::EntryMap;
use super::{Entries, StateError, Store};

/// An ordered map with typed keys and values; both are coded by postcard.
///
/// Iteration is in key order, so what a processor derives from it is the same in every run.
pub type KeyValueStore<K, V> = MapStore<K, V, BTreeMap<K, Entry<V>>>;

/// The same for a store that is only asked for one key at a time: a lookup costs a fraction of an ordered one, however many keys there are.
/// It cannot be iterated, so that the order of hashes is never seen.
pub type PointStore<K, V> = MapStore<K, V, HashMap<K, Entry<V>, FixedState>>;

/// Typed keys and values in a map `M`.
///
/// Coding is the dear part, so it is done once per change that is written, and never to find out what an entry's shard or length is.
pub struct MapStore<K, V, M> {
    name: String,
    entries: M,
    /// Keys changed since the last call of [`drain_changes`](Store::drain_changes); some may stand here twice.
    changed: Vec<K>,
    /// Of the entries as they were last written or loaded.
    size_bytes: usize,
    /// Used by whoever writes entries.
    coding: Coding,
    value: std::marker::PhantomData<V>,
}

impl<K, V, M> MapStore<K, V, M>
where
    K: Ord + Clone + Serialize + DeserializeOwned + Send,
    V: Serialize + DeserializeOwned + Send,
    M: EntryMap<K, V>,
{
    /// An empty store.
    pub fn new(name: impl Into<String>) -> MapStore<K, V, M> {
        MapStore {
            name: name.into(),
            entries: M::default(),
            changed: Vec::new(),
            size_bytes: 0,
            coding: Coding::default(),
            value: std::marker::PhantomData,
        }
    }

    /// What it keeps its entries in, for lookups of its own.
    pub(crate) fn map(&self) -> &M {
        &self.entries
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.entry(key).map(Entry::value)
    }

    /// The value of a key, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let entry = self.entries.entry_mut(key)?;
        if !std::mem::replace(&mut entry.is_changed, true) {
            self.changed.push(key.clone());
        }
        Some(&mut entry.value)
    }

    /// Sets a value.
    pub fn put(&mut self, key: K, value: V) {
        if let Some(known) = self.get_mut(&key) {
            *known = value;
            return;
        }
        self.changed.push(key.clone());
        self.entries.set(key, Entry::new(value, true));
    }

    /// Removes a key; its value, if it had one.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.unset(key)?;
        self.size_bytes -= entry.bytes();
        if !entry.is_changed {
            self.changed.push(key.clone());
        }
        Some(entry.value)
    }

    /// How many entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.count()
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Ord, V> KeyValueStore<K, V> {
    /// Every entry in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.value))
    }

    /// The entries with keys in `range`, in key order.
    pub fn range<R: RangeBounds<K>>(&self, range: R) -> impl Iterator<Item = (&K, &V)> {
        self.entries.range(range).map(|(key, entry)| (key, &entry.value))
    }

    /// The entry with the greatest key.
    pub fn last(&self) -> Option<(&K, &V)> {
        self.entries.last_key_value().map(|(key, entry)| (key, &entry.value))
    }
}

impl<K, V, M> Store for MapStore<K, V, M>
where
    K: Ord + Clone + Serialize + DeserializeOwned + Send,
    V: Serialize + DeserializeOwned + Send,
    M: EntryMap<K, V>,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn drain_changes(&mut self, out: &mut dyn Entries) {
        self.changed.sort_unstable();
        self.changed.dedup();
        for key in self.changed.drain(..) {
            let Some(entry) = self.entries.entry_mut(&key) else {
                out.delete(self.coding.key(&key));
                continue;
            };
            let (key, value) = self.coding.entry(&key, &entry.value);
            self.size_bytes -= entry.bytes();
            entry.note_written(key, value);
            self.size_bytes += entry.bytes();
            out.put(key, value);
        }
    }

    fn snapshot(&self, shard: u32, out: &mut dyn Entries) {
        let (mut coding, mut found) = (Coding::default(), Vec::new());
        self.entries.each(&mut |entry, key| {
            if entry.is_in(shard, key, &mut coding) {
                found.push((key(), &entry.value));
            }
        });
        found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        for (key, value) in found {
            let (key, value) = coding.entry(&key, value);
            out.put(key, value);
        }
    }

    fn clear(&mut self, shard: u32) {
        let (coding, size_bytes) = (&mut self.coding, &mut self.size_bytes);
        self.entries.keep(&mut |entry, key| {
            let goes = entry.is_in(shard, key, coding);
            if goes {
                *size_bytes -= entry.bytes();
            }
            !goes
        });
    }

    fn load(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError> {
        let unreadable = |error| StateError(format!("`{}`: {error}", self.name));
        let typed: K = postcard::from_bytes(key).map_err(unreadable)?;
        let old = match value {
            None => self.entries.unset(&typed),
            Some(coded) => {
                let mut entry = Entry::new(postcard::from_bytes(coded).map_err(unreadable)?, false);
                entry.note_written(key, coded);
                self.size_bytes += entry.bytes();
                self.entries.set(typed, entry)
            }
        };
        self.size_bytes -= old.map_or(0, |old| old.bytes());
        Ok(())
    }

    fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    fn count_entries(&self) -> usize {
        self.len()
    }
}

impl<K, V, M> fmt::Debug for MapStore<K, V, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapStore").field("name", &self.name).finish_non_exhaustive()
    }
}
