//! What a [`MapStore`](super::MapStore) keeps its entries in.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash};

use hashbrown::HashMap;

use super::entry::Entry;

/// Sees an entry, with a way to its key.
pub type Visit<'v, 'm, K, V> = &'v mut dyn FnMut(&'m Entry<V>, &dyn Fn() -> K);

/// Says whether an entry stays, with a way to its key.
pub type Wanted<'w, K, V> = &'w mut dyn FnMut(&Entry<V>, &dyn Fn() -> K) -> bool;

/// A map from keys to entries. The order it hands them out in is never seen: the store puts them in order.
pub trait EntryMap<K, V>: Default + Send {
    /// The entry of a key.
    fn entry(&self, key: &K) -> Option<&Entry<V>>;
    /// The same, to be changed.
    fn entry_mut(&mut self, key: &K) -> Option<&mut Entry<V>>;
    /// Sets a key's entry; the one it had.
    fn set(&mut self, key: K, entry: Entry<V>) -> Option<Entry<V>>;
    /// Takes a key's entry away.
    fn unset(&mut self, key: &K) -> Option<Entry<V>>;
    /// Shows every entry.
    fn each<'m>(&'m self, visit: Visit<'_, 'm, K, V>);
    /// Takes those entries away that are refused.
    fn keep(&mut self, wanted: Wanted<'_, K, V>);
    /// How many there are.
    fn count(&self) -> usize;
}

impl<K: Ord + Clone + Send, V: Send> EntryMap<K, V> for BTreeMap<K, Entry<V>> {
    fn entry(&self, key: &K) -> Option<&Entry<V>> {
        self.get(key)
    }

    fn entry_mut(&mut self, key: &K) -> Option<&mut Entry<V>> {
        self.get_mut(key)
    }

    fn set(&mut self, key: K, entry: Entry<V>) -> Option<Entry<V>> {
        self.insert(key, entry)
    }

    fn unset(&mut self, key: &K) -> Option<Entry<V>> {
        self.remove(key)
    }

    fn each<'m>(&'m self, visit: Visit<'_, 'm, K, V>) {
        self.iter().for_each(|(key, entry)| visit(entry, &|| key.clone()));
    }

    fn keep(&mut self, wanted: Wanted<'_, K, V>) {
        self.retain(|key, entry| wanted(entry, &|| key.clone()));
    }

    fn count(&self) -> usize {
        self.len()
    }
}

impl<K, V, S> EntryMap<K, V> for HashMap<K, Entry<V>, S>
where
    K: Eq + Hash + Clone + Send,
    V: Send,
    S: BuildHasher + Default + Send,
{
    fn entry(&self, key: &K) -> Option<&Entry<V>> {
        self.get(key)
    }

    fn entry_mut(&mut self, key: &K) -> Option<&mut Entry<V>> {
        self.get_mut(key)
    }

    fn set(&mut self, key: K, entry: Entry<V>) -> Option<Entry<V>> {
        self.insert(key, entry)
    }

    fn unset(&mut self, key: &K) -> Option<Entry<V>> {
        self.remove(key)
    }

    fn each<'m>(&'m self, visit: Visit<'_, 'm, K, V>) {
        self.iter().for_each(|(key, entry)| visit(entry, &|| key.clone()));
    }

    fn keep(&mut self, wanted: Wanted<'_, K, V>) {
        self.retain(|key, entry| wanted(entry, &|| key.clone()));
    }

    fn count(&self) -> usize {
        self.len()
    }
}
