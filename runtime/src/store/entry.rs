//! An entry of a store, which knows what was last written of it.

use serde::Serialize;

use super::{SHARDS, shard_of};

/// A value, and what was found out when it was last written or loaded, in eight bytes: a store holds millions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<V> {
    pub(super) value: V,
    pub(super) is_changed: bool,
    /// [`SHARDS`] until it is known.
    shard: u8,
    /// Of key and value together; none before it was written.
    bytes: u32,
}

/// No shard.
const UNKNOWN: u8 = SHARDS as u8;

impl<V> Entry<V> {
    pub(super) fn new(value: V, is_changed: bool) -> Entry<V> {
        Entry { value, is_changed, shard: UNKNOWN, bytes: 0 }
    }

    /// Its value.
    pub fn value(&self) -> &V {
        &self.value
    }

    pub(super) fn note_written(&mut self, key: &[u8], value: &[u8]) {
        self.is_changed = false;
        self.shard = shard_of(key) as u8;
        // Far below 4 GiB: it stands in a record.
        self.bytes = (key.len() + value.len()) as u32;
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// True if it stands in `shard`; its key is only asked for when that is not known yet.
    pub(super) fn is_in<K: Serialize>(
        &self,
        shard: u32,
        key: impl FnOnce() -> K,
        coding: &mut Coding,
    ) -> bool {
        match self.shard {
            UNKNOWN => shard_of(coding.key(&key())) == shard,
            known => u32::from(known) == shard,
        }
    }
}

/// Buffers for coded keys and values, used again and again.
#[derive(Debug, Default)]
pub(super) struct Coding {
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Coding {
    pub(super) fn key<K: Serialize>(&mut self, key: &K) -> &[u8] {
        overwrite(&mut self.key, key);
        &self.key
    }

    pub(super) fn entry<K: Serialize, V: Serialize>(&mut self, key: &K, value: &V) -> (&[u8], &[u8]) {
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
