//! The changelog: how a task's state outlives its process, in blocks rather than a record per key.
//!
//! One partition per task. Every commit appends blocks: the entries that changed, now and then the snapshot of one shard of the
//! keys, and in its last block the [`Progress`] of the task. A restore reads forward from the start and simply applies what it
//! meets; a shard's snapshot begins by clearing the shard, so what an older block said about it is void. Once all shards have
//! been written anew, everything before the oldest of those snapshots can be trimmed: the cost of a restore is bounded by
//! the size of the state, not by its history.
//!
//! Promise: a restore gives the state of the last commit, or an error that names the block. Blocks are numbered, so a missing one is
//! noticed, and a changelog whose beginning is gone must have every shard's snapshot. Every block names the [`History`] it belongs to, so
//! that a copy of an earlier part of it can be told from a copy of what a reset has ended. Broken by: two writers at once (the
//! transactional id prevents them).
//!
//! Block: format version (1 byte), length of the header (varint), header (postcard), entries. Entry: tag (0 put, 1 delete, 2 clear
//! shard), then store number (byte), key and value, each with its length (varint); or the shard's number (byte). An entry of any size is
//! written: one that is too large for a block is cut into parts, in blocks that follow each other. A part: tag (3 first, 4 next, 5
//! last), 0 (byte), bytes of the entry with their length (varint).

mod block;
mod restore;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use block::{BlockId, block_id, progress_of};
pub use restore::Restore;

use self::block::Header;
use crate::identity::Identity;
use crate::log::{Offset, Records, put_varint};
use crate::processor::Counters;
use crate::store::{Entries, SHARDS, Store};
use crate::time::{EventTime, StreamTime};

/// Where a block ends and the next begins: a quarter of Kafka's record limit.
const BLOCK_TARGET_BYTES: usize = 256 * 1024;

/// An entry that is larger is written in parts. With the greatest whole entry and its progress a block stays well below the limit of
/// Kafka, 1 048 588 bytes; parts of a large entry have [`BLOCK_TARGET_BYTES`].
const ENTRY_WHOLE_BYTES: usize = 512 * 1024;

/// A snapshot of a shard this small is not worth waiting for: without it, an almost empty state would never be trimmed.
const SNAPSHOT_MIN_BYTES: usize = 1_024;

const PUT: u8 = 0;
const DELETE: u8 = 1;
const CLEAR: u8 = 2;
const FIRST_PART: u8 = 3;
const NEXT_PART: u8 = 4;
const LAST_PART: u8 = 5;

/// Names what a task remembers from its first commit until a reset: drawn at random when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History(pub u64);

/// How far a task has come: committed with its state, in the last block of every commit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The parameters its results depend on.
    pub parameters: String,
    /// The next offset of every input partition.
    pub inputs: Vec<(String, u32, Offset)>,
    /// Stream time.
    pub clock: StreamTime,
    /// Counts.
    pub counters: Counters,
    /// The bounded run it is in, or was in last.
    pub bounded: Option<BoundedRun>,
    /// The outcome of the last records, newest last: true for a dead letter. Empty unless `--max-errors` is on.
    pub outcomes: Vec<bool>,
    /// It stopped on too many errors and waits for `--accept-errors`.
    pub stopped: bool,
    /// What application it belongs to; missing in blocks of an older version.
    pub identity: Option<Identity>,
    /// What is left of its earlier output: the next offset and the end of each partition. Empty once that is read.
    pub earlier_output: Vec<(String, u32, Offset, Offset)>,
}

/// A run with `--until-end`: where its input ends (law 5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundedRun {
    /// Which run of the application; processes that resume or join a run share its number.
    pub number: u64,
    /// The high watermarks at its first start, per input partition.
    pub ends: Vec<(String, u32, Offset)>,
    /// Everything before the ends is processed and every window closed.
    pub done: bool,
    /// The task has worked without an end since: nobody resumes this run.
    pub left: bool,
}

/// Writes a task's blocks and knows what can be trimmed.
#[derive(Debug)]
pub struct Changelog {
    history: History,
    next_number: u64,
    snapshot_at: [Option<Offset>; SHARDS as usize],
    next_shard: u32,
    /// Bytes of deltas not yet matched by bytes of snapshots.
    debt_bytes: usize,
    /// Shards written in the commit under way, with the number of their first block within it.
    pending: Vec<(u32, usize)>,
    trimmed_to: Option<Offset>,
}

impl Changelog {
    /// One without a block yet.
    #[must_use]
    pub fn new(history: History) -> Changelog {
        Changelog {
            history,
            next_number: 0,
            snapshot_at: [None; SHARDS as usize],
            next_shard: 0,
            debt_bytes: 0,
            pending: Vec::new(),
            trimmed_to: None,
        }
    }

    /// Appends one commit's blocks to `out`: snapshots first, then what changed, then the progress.
    ///
    /// The order matters: trimming to the oldest snapshot keeps that commit's progress, which stands behind it.
    pub fn append(
        &mut self,
        stores: &mut [&mut dyn Store],
        progress: &Progress,
        time: EventTime,
        out: &mut Records,
    ) {
        let mut blocks = Blocks {
            entries: Vec::new(),
            history: self.history,
            number: self.next_number,
            written: 0,
            time,
            out,
            store: 0,
        };
        let size_bytes: usize = stores.iter().map(|store| store.size_bytes()).sum();
        let share_bytes = (size_bytes / SHARDS as usize).max(SNAPSHOT_MIN_BYTES);
        self.pending.clear();
        // At most one cycle per commit: more would only write the same shards again.
        for _ in 0..SHARDS {
            if self.debt_bytes < share_bytes {
                break;
            }
            self.debt_bytes -= share_bytes;
            self.pending.push((self.next_shard, blocks.written));
            blocks.snapshot(stores, self.next_shard);
            self.next_shard = (self.next_shard + 1) % SHARDS;
        }
        let before = blocks.total_bytes();
        for (number, store) in stores.iter_mut().enumerate() {
            blocks.store = store_number(number);
            store.drain_changes(&mut blocks);
        }
        // An empty delta still costs its block, and a log of empty blocks must be trimmed too.
        self.debt_bytes += blocks.total_bytes() - before + size_of::<Progress>();
        blocks.finish(Some(progress.clone()));
        self.next_number = blocks.number;
    }

    /// The commit is known, its first block stands at `first`; what lies before the result can be trimmed.
    pub fn committed(&mut self, first: Offset) -> Option<Offset> {
        for (shard, block) in self.pending.drain(..) {
            self.snapshot_at[shard as usize] = Some(Offset(first.0 + block as i64));
        }
        // Only once a cycle: a trim is a request of its own.
        let oldest = self.snapshot_at.iter().copied().min().flatten()?;
        let due = self.next_shard == 0 && self.trimmed_to.is_none_or(|trimmed| trimmed < oldest);
        due.then(|| {
            self.trimmed_to = Some(oldest);
            oldest
        })
    }
}

fn store_number(number: usize) -> u8 {
    u8::try_from(number).expect("a topology has a handful of stores")
}

fn put_entry(into: &mut Vec<u8>, tag: u8, store: u8, key: &[u8], value: &[u8]) {
    into.extend([tag, store]);
    put_varint(into, key.len() as u64);
    into.extend_from_slice(key);
    if tag == PUT {
        put_varint(into, value.len() as u64);
        into.extend_from_slice(value);
    }
}

/// Entries on their way into blocks.
struct Blocks<'a> {
    entries: Vec<u8>,
    history: History,
    number: u64,
    written: usize,
    time: EventTime,
    out: &'a mut Records,
    store: u8,
}

impl Blocks<'_> {
    fn snapshot(&mut self, stores: &mut [&mut dyn Store], shard: u32) {
        self.entries.push(CLEAR);
        self.entries.push(shard as u8);
        for (number, store) in stores.iter_mut().enumerate() {
            self.store = store_number(number);
            store.snapshot(shard, self);
        }
    }

    fn total_bytes(&self) -> usize {
        self.out.bytes().len() + self.entries.len()
    }

    fn entry(&mut self, tag: u8, key: &[u8], value: &[u8]) {
        let size = key.len() + value.len();
        if self.entries.len() + size > BLOCK_TARGET_BYTES && !self.entries.is_empty() {
            self.finish(None);
        }
        if size > ENTRY_WHOLE_BYTES {
            let mut whole = Vec::with_capacity(size + 32);
            put_entry(&mut whole, tag, self.store, key, value);
            self.parts(&whole);
        } else {
            put_entry(&mut self.entries, tag, self.store, key, value);
        }
    }

    /// The last part shares its block with what follows.
    fn parts(&mut self, entry: &[u8]) {
        let last = entry.len().div_ceil(BLOCK_TARGET_BYTES) - 1;
        for (number, part) in entry.chunks(BLOCK_TARGET_BYTES).enumerate() {
            let tag = if number == last { LAST_PART } else { NEXT_PART };
            self.entries.extend([if number == 0 { FIRST_PART } else { tag }, 0]);
            put_varint(&mut self.entries, part.len() as u64);
            self.entries.extend_from_slice(part);
            if number < last {
                self.finish(None);
            }
        }
    }

    fn finish(&mut self, progress: Option<Progress>) {
        let header = Header { number: self.number, history: Some(self.history), progress };
        let block = header.write(&self.entries);
        self.entries.clear();
        self.out.push(self.time, None, Some(&block), &[]);
        self.number += 1;
        self.written += 1;
    }
}

impl Entries for Blocks<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.entry(PUT, key, value);
    }

    fn delete(&mut self, key: &[u8]) {
        self.entry(DELETE, key, &[]);
    }
}
