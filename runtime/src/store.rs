//! State stores: what a task remembers, and how that reaches its changelog.
//!
//! A store lives in memory and keeps track of what changed since the last commit. Its keys are spread over [`SHARDS`]
//! shards, so that a changelog can replace old deltas by one shard's snapshot at a time. What every store promises, and
//! law 10 rests on: loading its snapshots and deltas into an empty store of the same kind gives an equal store.
//! Broken by: changing a value without marking it changed, or a coding that is not the same for equal values.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Place;

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
/// Iteration is in key order, so what a processor derives from it is the same in every run. Coding is the dear part, so it is done once per
/// change that is written, and never to find out what an entry's shard or length is.
#[derive(Debug)]
pub struct KeyValueStore<K, V> {
    name: String,
    entries: BTreeMap<K, Entry<V>>,
    /// Keys changed since the last call of [`drain_changes`](Store::drain_changes); some may stand here twice.
    changed: Vec<K>,
    /// Of the entries as they were last written or loaded.
    size_bytes: usize,
    /// Used by whoever writes entries.
    coding: Coding,
}

/// A value, and what was found out when it was last written or loaded, in eight bytes: a store holds millions.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry<V> {
    value: V,
    is_changed: bool,
    /// [`SHARDS`] until it is known.
    shard: u8,
    /// Of key and value together; none before it was written.
    bytes: u32,
}

/// No shard.
const UNKNOWN: u8 = SHARDS as u8;

impl<V> Entry<V> {
    fn new(value: V) -> Entry<V> {
        Entry { value, is_changed: true, shard: UNKNOWN, bytes: 0 }
    }

    /// True if it was not marked before.
    fn mark_changed(&mut self) -> bool {
        !std::mem::replace(&mut self.is_changed, true)
    }

    fn note_written(&mut self, key: &[u8], value: &[u8]) {
        self.is_changed = false;
        self.shard = shard_of(key) as u8;
        // Far below 4 GiB: it stands in a record.
        self.bytes = (key.len() + value.len()) as u32;
    }

    fn bytes(&self) -> usize {
        self.bytes as usize
    }

    fn is_in(&self, shard: u32, key: &impl Serialize, coding: &mut Coding) -> bool {
        match self.shard {
            UNKNOWN => shard_of(coding.key(key)) == shard,
            known => u32::from(known) == shard,
        }
    }
}

impl<K, V> KeyValueStore<K, V>
where
    K: Ord + Clone + Serialize + DeserializeOwned + Send,
    V: Serialize + DeserializeOwned + Send,
{
    /// An empty store.
    pub fn new(name: impl Into<String>) -> KeyValueStore<K, V> {
        KeyValueStore {
            name: name.into(),
            entries: BTreeMap::new(),
            changed: Vec::new(),
            size_bytes: 0,
            coding: Coding::default(),
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// The value of a key, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let entry = self.entries.get_mut(key)?;
        if entry.mark_changed() {
            self.changed.push(key.clone());
        }
        Some(&mut entry.value)
    }

    /// Sets a value.
    pub fn put(&mut self, key: K, value: V) {
        match self.entries.entry(key) {
            Place::Vacant(place) => {
                self.changed.push(place.key().clone());
                place.insert(Entry::new(value));
            }
            Place::Occupied(mut place) => {
                place.get_mut().value = value;
                if place.get_mut().mark_changed() {
                    self.changed.push(place.key().clone());
                }
            }
        }
    }

    /// Removes a key; its value, if it had one.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let (key, entry) = self.entries.remove_entry(key)?;
        self.size_bytes -= entry.bytes();
        if !entry.is_changed {
            self.changed.push(key);
        }
        Some(entry.value)
    }

    /// Every entry in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.value))
    }

    /// The entries with keys in `range`, in key order.
    pub fn range<R: std::ops::RangeBounds<K>>(&self, range: R) -> impl Iterator<Item = (&K, &V)> {
        self.entries.range(range).map(|(key, entry)| (key, &entry.value))
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
        self.changed.sort_unstable();
        self.changed.dedup();
        for key in self.changed.drain(..) {
            let Some(entry) = self.entries.get_mut(&key) else {
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
        let mut coding = Coding::default();
        for (key, entry) in &self.entries {
            if entry.is_in(shard, key, &mut coding) {
                let (key, value) = coding.entry(key, &entry.value);
                out.put(key, value);
            }
        }
    }

    fn clear(&mut self, shard: u32) {
        let (coding, size_bytes) = (&mut self.coding, &mut self.size_bytes);
        self.entries.retain(|key, entry| {
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
            None => self.entries.remove(&typed),
            Some(coded) => {
                let mut entry = Entry::new(postcard::from_bytes(coded).map_err(unreadable)?);
                entry.note_written(key, coded);
                self.size_bytes += entry.bytes();
                self.entries.insert(typed, entry)
            }
        };
        self.size_bytes -= old.map_or(0, |old| old.bytes());
        Ok(())
    }

    fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    fn count_entries(&self) -> usize {
        self.entries.len()
    }
}

/// Buffers for coded keys and values, used again and again.
#[derive(Debug, Default)]
struct Coding {
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Coding {
    fn key<K: Serialize>(&mut self, key: &K) -> &[u8] {
        overwrite(&mut self.key, key);
        &self.key
    }

    fn entry<K: Serialize, V: Serialize>(&mut self, key: &K, value: &V) -> (&[u8], &[u8]) {
        overwrite(&mut self.key, key);
        overwrite(&mut self.value, value);
        (&self.key, &self.value)
    }
}

/// Writes a value's changelog form over what `bytes` held, in the same memory.
pub(crate) fn overwrite(bytes: &mut Vec<u8>, value: &impl Serialize) {
    bytes.clear();
    let coded = postcard::to_extend(value, std::mem::take(bytes));
    *bytes = coded.expect("plain data with known lengths always has a postcard form");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            let (mut coding, stale) = (Coding::default(), "stale".to_owned());
            let (key, value) = coding.entry(&stale, &1_u64);
            by_snapshot.load(key, Some(value)).unwrap();
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
