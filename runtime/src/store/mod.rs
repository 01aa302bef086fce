//! State stores: what a task remembers, and how that reaches its changelog.
//!
//! A store lives in memory and keeps track of what changed since the last commit. Its keys are spread over [`SHARDS`]
//! shards, so that a changelog can replace old deltas by one shard's snapshot at a time. What every store promises, and
//! law 10 rests on: loading its snapshots and deltas into an empty store of the same kind gives an equal store.
//! Broken by: changing a value without marking it changed, or a coding that is not the same for equal values.

mod entry;
mod map;
mod map_store;
#[cfg(test)]
mod tests;

pub use entry::Entry;
pub(crate) use entry::overwrite;
pub use map::{EntryMap, Visit, Wanted};
pub use map_store::{KeyValueStore, MapStore, PointStore};

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
