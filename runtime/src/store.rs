//! State stores: what a task remembers, and how that reaches its changelog.
//!
//! A store lives in memory and keeps track of what changed since the last commit. Its keys are spread over [`SHARDS`]
//! shards, so that a changelog can replace old deltas by one shard's snapshot at a time. What every store promises, and
//! law 10 rests on: loading its snapshots and deltas into an empty store of the same kind gives an equal store.
//! Broken by: changing a value without marking it changed, or a coding that is not the same for equal values.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// How many shards the keys of a task are spread over. One sixteenth of the state is little enough to ride along with
/// a commit, and few enough that an idle store's snapshots do not turn into sixteen empty blocks of overhead each.
pub const SHARDS: u32 = 16;

/// The shard of a key. Not murmur2: all keys of a task agree in murmur2 modulo the partition count.
#[must_use]
pub fn shard_of(key: &[u8]) -> u32 {
    crc32fast::hash(key) % SHARDS
}

/// State that does not fit its store: damaged, or written by an incompatible version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("state entry cannot be read: {0}")]
pub struct StateError(pub String);

/// Receives entries on their way to the changelog.
pub trait Entries {
    /// `key` now has `value`.
    fn put(&mut self, key: &[u8], value: &[u8]);
    /// `key` is gone.
    fn delete(&mut self, key: &[u8]);
}

/// A state store: the least that is needed to write it to a changelog and to bring it back.
pub trait Store: Send {
    /// Its name in the topology.
    fn name(&self) -> &str;

    /// Hands over every entry changed since the last call, in an order that depends on the entries only.
    fn drain_changes(&mut self, out: &mut dyn Entries);

    /// Hands over every entry of a shard, in an order that depends on the entries only.
    fn snapshot(&self, shard: u32, out: &mut dyn Entries);

    /// Forgets a shard, before its snapshot is loaded.
    fn clear(&mut self, shard: u32);

    /// Takes back an entry that [`drain_changes`](Store::drain_changes) or [`snapshot`](Store::snapshot) handed over.
    /// It does not count as a change.
    ///
    /// # Errors
    /// If key or value are not of this store's coding.
    fn load(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError>;

    /// Roughly how many bytes its snapshot takes.
    fn size_bytes(&self) -> usize;

    /// How many entries it holds.
    fn count_entries(&self) -> usize;
}

/// An ordered map with typed keys and values; both are coded by postcard.
///
/// Iteration is in key order, so what a processor derives from it is the same in every run.
#[derive(Debug)]
pub struct KeyValueStore<K, V> {
    name: String,
    entries: BTreeMap<K, V>,
    changed: BTreeSet<K>,
    size_bytes: usize,
}

impl<K, V> KeyValueStore<K, V>
where
    K: Ord + Clone + Serialize + DeserializeOwned + Send,
    V: Serialize + DeserializeOwned + Send,
{
    /// An empty store.
    pub fn new(name: impl Into<String>) -> KeyValueStore<K, V> {
        KeyValueStore { name: name.into(), entries: BTreeMap::new(), changed: BTreeSet::new(), size_bytes: 0 }
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    /// Sets a value.
    pub fn put(&mut self, key: K, value: V) {
        if let Some(value) = self.replace(&key, value) {
            self.size_bytes += coded_len(&key) + coded_len(&value);
            self.entries.insert(key.clone(), value);
            self.changed.insert(key);
        }
    }

    /// Sets the value of a key that has one; gives `value` back if it has none. A key that changed since the last commit is not
    /// copied again.
    pub fn replace(&mut self, key: &K, value: V) -> Option<V> {
        let Some(known) = self.entries.get_mut(key) else { return Some(value) };
        let len = coded_len(&value);
        let old = std::mem::replace(known, value);
        self.size_bytes = self.size_bytes.saturating_sub(coded_len(&old)) + len;
        if !self.changed.contains(key) {
            self.changed.insert(key.clone());
        }
        None
    }

    /// Removes a key; its value, if it had one.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let (key, value) = self.entries.remove_entry(key)?;
        self.size_bytes = self.size_bytes.saturating_sub(coded_len(&key) + coded_len(&value));
        self.changed.insert(key);
        Some(value)
    }

    /// Every entry in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter()
    }

    /// The entries with keys in `range`, in key order.
    pub fn range<R: std::ops::RangeBounds<K>>(&self, range: R) -> impl Iterator<Item = (&K, &V)> {
        self.entries.range(range)
    }

    /// How many entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<K, V> Store for KeyValueStore<K, V>
where
    K: Ord + Clone + Serialize + DeserializeOwned + Send,
    V: Serialize + DeserializeOwned + Send,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn drain_changes(&mut self, out: &mut dyn Entries) {
        let (mut key_bytes, mut value_bytes) = (Vec::new(), Vec::new());
        for key in std::mem::take(&mut self.changed) {
            overwrite(&mut key_bytes, &key);
            if let Some(value) = self.entries.get(&key) {
                overwrite(&mut value_bytes, value);
                out.put(&key_bytes, &value_bytes);
            } else {
                out.delete(&key_bytes);
            }
        }
    }

    fn snapshot(&self, shard: u32, out: &mut dyn Entries) {
        let (mut key_bytes, mut value_bytes) = (Vec::new(), Vec::new());
        for (key, value) in &self.entries {
            overwrite(&mut key_bytes, key);
            if shard_of(&key_bytes) == shard {
                overwrite(&mut value_bytes, value);
                out.put(&key_bytes, &value_bytes);
            }
        }
    }

    fn clear(&mut self, shard: u32) {
        let mut bytes = Vec::new();
        self.entries.retain(|key, _| {
            overwrite(&mut bytes, key);
            shard_of(&bytes) != shard
        });
        self.size_bytes = self.entries.iter().map(|(key, value)| coded_len(key) + coded_len(value)).sum();
    }

    fn load(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError> {
        let unreadable = |error| StateError(format!("`{}`: {error}", self.name));
        let typed: K = postcard::from_bytes(key).map_err(unreadable)?;
        if let Some(old) = self.entries.remove(&typed) {
            self.size_bytes = self.size_bytes.saturating_sub(key.len() + coded_len(&old));
        }
        if let Some(value) = value {
            self.entries.insert(typed, postcard::from_bytes(value).map_err(unreadable)?);
            self.size_bytes += key.len() + value.len();
        }
        Ok(())
    }

    fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    fn count_entries(&self) -> usize {
        self.entries.len()
    }
}

/// Writes a value's changelog form over what `bytes` held, in the same memory.
pub(crate) fn overwrite(bytes: &mut Vec<u8>, value: &impl Serialize) {
    bytes.clear();
    *bytes = postcard::to_extend(value, std::mem::take(bytes)).expect(HAS_A_FORM);
}

/// The length of a value's changelog form.
fn coded_len(value: &impl Serialize) -> usize {
    postcard::serialize_with_flavor(value, postcard::ser_flavors::Size::default()).expect(HAS_A_FORM)
}

const HAS_A_FORM: &str = "plain data with known lengths always has a postcard form";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn coded(value: &impl Serialize) -> Vec<u8> {
        postcard::to_stdvec(value).unwrap()
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

    fn load(store: &mut KeyValueStore<String, u64>, entries: &Kept) {
        for (key, value) in &entries.0 {
            store.load(key, value.as_deref()).unwrap();
        }
    }

    proptest! {
        /// Deltas alone, and a snapshot taken at any point with the deltas after it, both give the state back.
        #[test]
        fn a_store_comes_back_equal(
            steps in prop::collection::vec((0_u8..30, prop::option::of(any::<u64>())), 0..120),
            at in 0_usize..120,
        ) {
            let mut store = KeyValueStore::<String, u64>::new("s");
            let mut by_deltas = KeyValueStore::<String, u64>::new("s");
            let mut by_snapshot = KeyValueStore::<String, u64>::new("s");
            by_snapshot.load(&coded(&"stale".to_owned()), Some(&coded(&1_u64))).unwrap();
            for (step, (key, value)) in steps.iter().enumerate() {
                match value {
                    Some(value) => store.put(format!("k{key}"), *value),
                    None => { store.remove(&format!("k{key}")); }
                }
                let mut delta = Kept::default();
                store.drain_changes(&mut delta);
                load(&mut by_deltas, &delta);
                load(&mut by_snapshot, &delta);
                if step == at {
                    for shard in 0..SHARDS {
                        let mut snapshot = Kept::default();
                        store.snapshot(shard, &mut snapshot);
                        by_snapshot.clear(shard);
                        load(&mut by_snapshot, &snapshot);
                    }
                }
            }
            prop_assert_eq!(&by_deltas.entries, &store.entries);
            prop_assert_eq!(by_deltas.size_bytes, store.size_bytes);
            if at < steps.len() {
                prop_assert_eq!(&by_snapshot.entries, &store.entries);
                prop_assert_eq!(by_snapshot.size_bytes, store.size_bytes);
            }
        }
    }

    #[test]
    fn bytes_of_another_coding_are_refused() {
        let mut store = KeyValueStore::<String, u64>::new("seen");
        let error = store.load(&[200], None).unwrap_err();
        assert!(error.to_string().contains("`seen`"), "{error}");
    }
}
