//! The changelog: how a task's state outlives its process, in blocks rather than a record per key.
//!
//! One partition per task. Every commit appends blocks: the entries that changed, now and then the snapshot of one shard of the
//! keys, and in its last block the [`Progress`] of the task. A restore reads forward from the start and simply applies what it
//! meets; a shard's snapshot begins by clearing the shard, so what an older block said about it is void. Once all shards have
//! been written anew, everything before the oldest of those snapshots can be trimmed: the cost of a restore is bounded by
//! the size of the state, not by its history.
//!
//! Promise: a restore gives the state of the last commit, or an error that names the block. Blocks are numbered, so a missing one is
//! noticed, and a changelog whose beginning is gone must have every shard's snapshot. Broken by: two writers at once (the
//! transactional id prevents them).
//!
//! Block: format version (1 byte), length of the header (varint), header (postcard), entries. Entry: tag (0 put, 1 delete, 2 clear
//! shard), then store number (byte), key and value, each with its length (varint); or the shard's number (byte).

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::log::{Coordinates, Offset, Records, put_varint, take_varint};
use crate::processor::Counters;
use crate::store::{Entries, SHARDS, StateError, Store};
use crate::time::{EventTime, StreamTime};

/// The format of a block; a newer program must still read older ones.
const FORMAT_VERSION: u8 = 1;

/// Where a block ends and the next begins: a quarter of Kafka's record limit, so that one last large entry (at most
/// [`VALUE_MAX_BYTES`](crate::processor::VALUE_MAX_BYTES) and its key) still fits behind it.
const BLOCK_TARGET_BYTES: usize = 256 * 1024;

/// A snapshot of a shard this small is not worth waiting for: without it, an almost empty state would never be trimmed.
const SNAPSHOT_MIN_BYTES: usize = 1_024;

const PUT: u8 = 0;
const DELETE: u8 = 1;
const CLEAR: u8 = 2;

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
}

#[derive(Serialize, Deserialize)]
struct Header {
    number: u64,
    progress: Option<Progress>,
}

/// Writes a task's blocks and knows what can be trimmed.
#[derive(Debug, Default)]
pub struct Changelog {
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
        let mut blocks =
            Blocks { entries: Vec::new(), number: self.next_number, written: 0, time, out, store: 0 };
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

/// Entries on their way into blocks.
struct Blocks<'a> {
    entries: Vec<u8>,
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
        if self.entries.len() + key.len() + value.len() > BLOCK_TARGET_BYTES && !self.entries.is_empty() {
            self.finish(None);
        }
        self.entries.push(tag);
        self.entries.push(self.store);
        put_varint(&mut self.entries, key.len() as u64);
        self.entries.extend_from_slice(key);
        if tag == PUT {
            put_varint(&mut self.entries, value.len() as u64);
            self.entries.extend_from_slice(value);
        }
    }

    fn finish(&mut self, progress: Option<Progress>) {
        let header = Header { number: self.number, progress };
        let header = postcard::to_stdvec(&header).expect("plain data always has a postcard form");
        let mut block = Vec::with_capacity(header.len() + self.entries.len() + 8);
        block.push(FORMAT_VERSION);
        put_varint(&mut block, header.len() as u64);
        block.extend_from_slice(&header);
        block.append(&mut self.entries);
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

/// Reads a changelog back, block by block.
#[derive(Debug, Default)]
pub struct Restore {
    first_number: Option<u64>,
    next_number: u64,
    cleared_at: [Option<Offset>; SHARDS as usize],
    progress: Option<Progress>,
    entries_bytes: usize,
}

impl Restore {
    /// Applies one block to the stores.
    ///
    /// # Errors
    /// [`Error::Corrupt`] with the block's coordinates if it is damaged, does not follow the one before, or does not fit the
    /// stores.
    pub fn apply(&mut self, at: &Coordinates, block: &[u8], stores: &mut [&mut dyn Store]) -> Result<()> {
        let corrupt = |detail: String| Error::Corrupt { at: at.clone(), detail };
        let (header, entries) = split(block).map_err(corrupt)?;
        if self.first_number.is_some() && header.number != self.next_number {
            return Err(corrupt(format!(
                "block `{}` follows block `{}`: what stood between is missing",
                header.number,
                self.next_number - 1
            )));
        }
        self.first_number.get_or_insert(header.number);
        self.next_number = header.number + 1;
        self.entries_bytes += entries.len();
        self.apply_entries(at.offset, entries, stores).map_err(|error| corrupt(error.0))?;
        if header.progress.is_some() {
            self.progress = header.progress;
        }
        Ok(())
    }

    /// The changelog has been read to its end: the progress of the last commit and the writer that continues it; nothing if there
    /// never was a block.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when its beginning is gone and some shard has no snapshot since: never taken for an empty state.
    pub fn finish(
        self,
        end: &Coordinates,
        stores: &mut [&mut dyn Store],
    ) -> Result<Option<(Progress, Changelog)>> {
        let corrupt = |detail: &str| Error::Corrupt { at: end.clone(), detail: detail.to_owned() };
        let Some(first_number) = self.first_number else { return Ok(None) };
        if first_number != 0 && self.cleared_at.contains(&None) {
            return Err(corrupt("the changelog's beginning is missing; `reset --app` starts anew"));
        }
        let progress = self.progress.ok_or_else(|| corrupt("the changelog holds no whole commit"))?;
        // In steady state the log holds a cycle of snapshots and as many bytes of deltas; what is beyond that is owed, or
        // lives that end before their first snapshot would make it grow for ever.
        let size_bytes: usize = stores.iter().map(|store| store.size_bytes()).sum();
        let changelog = Changelog {
            next_number: self.next_number,
            snapshot_at: self.cleared_at,
            debt_bytes: self.entries_bytes.saturating_sub(2 * size_bytes),
            ..Changelog::default()
        };
        Ok(Some((progress, changelog)))
    }

    fn apply_entries(
        &mut self,
        offset: Offset,
        entries: &[u8],
        stores: &mut [&mut dyn Store],
    ) -> Result<(), StateError> {
        let mut at = 0;
        while at < entries.len() {
            match take_entry(entries, &mut at).map_err(|what| StateError(what.to_owned()))? {
                Entry::Clear(shard) => {
                    stores.iter_mut().for_each(|store| store.clear(shard));
                    let slot = self.cleared_at.get_mut(shard as usize);
                    *slot.ok_or_else(|| StateError(format!("there is no shard `{shard}`")))? = Some(offset);
                }
                Entry::Set { store, key, value } => {
                    let found = stores.get_mut(store as usize);
                    found
                        .ok_or_else(|| StateError(format!("there is no store `{store}`")))?
                        .load(key, value)?;
                }
            }
        }
        Ok(())
    }
}

/// The progress in a block, if it closes a commit: for those who only want to know how far a task has come.
///
/// # Errors
/// [`Error::Corrupt`] if the block is damaged.
pub fn progress_of(at: &Coordinates, block: &[u8]) -> Result<Option<Progress>> {
    let (header, _) = split(block).map_err(|detail| Error::Corrupt { at: at.clone(), detail })?;
    Ok(header.progress)
}

fn split(block: &[u8]) -> Result<(Header, &[u8]), String> {
    match block.first() {
        None => return Err("the block is empty".to_owned()),
        Some(&FORMAT_VERSION) => {}
        Some(other) => {
            return Err(format!(
                "block format `{other}` is not known to this version, which writes `{FORMAT_VERSION}`"
            ));
        }
    }
    let mut at = 1;
    let header = take_bytes(block, &mut at)?;
    let header =
        postcard::from_bytes(header).map_err(|error| format!("its header cannot be read: {error}"))?;
    Ok((header, &block[at..]))
}

enum Entry<'a> {
    Clear(u32),
    Set { store: u8, key: &'a [u8], value: Option<&'a [u8]> },
}

fn take_entry<'a>(entries: &'a [u8], at: &mut usize) -> Result<Entry<'a>, &'static str> {
    let tag = take_byte(entries, at)?;
    let number = take_byte(entries, at)?;
    match tag {
        CLEAR => Ok(Entry::Clear(u32::from(number))),
        DELETE => Ok(Entry::Set { store: number, key: take_bytes(entries, at)?, value: None }),
        PUT => {
            let key = take_bytes(entries, at)?;
            Ok(Entry::Set { store: number, key, value: Some(take_bytes(entries, at)?) })
        }
        _ => Err("an entry's tag is unknown"),
    }
}

fn take_byte(bytes: &[u8], at: &mut usize) -> Result<u8, &'static str> {
    let byte = *bytes.get(*at).ok_or("it ends early")?;
    *at += 1;
    Ok(byte)
}

fn take_bytes<'a>(bytes: &'a [u8], at: &mut usize) -> Result<&'a [u8], &'static str> {
    let len = take_varint(bytes, at)?;
    let end = usize::try_from(len).ok().and_then(|len| at.checked_add(len)).ok_or("a length is too great")?;
    let taken = bytes.get(*at..end).ok_or("it ends early")?;
    *at = end;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log::TopicPartition;
    use crate::store::KeyValueStore;

    type State = KeyValueStore<u32, Vec<u8>>;

    /// What a log would keep: blocks with their offsets.
    #[derive(Default)]
    struct Kept(Vec<(Offset, Vec<u8>)>);

    impl Kept {
        /// Commits `state`, appends its blocks with a gap before them, and trims as told.
        fn commit(&mut self, changelog: &mut Changelog, state: &mut State, clock: i64) {
            let mut progress = Progress::default();
            progress.clock.observe(EventTime(clock));
            let mut blocks = Records::default();
            changelog.append(&mut [state], &progress, EventTime(clock), &mut blocks);
            // A transaction marker stands between the commits, as on Kafka.
            let first = Offset(self.0.last().map_or(0, |(last, _)| last.0 + 2));
            for index in 0..blocks.len() {
                self.0.push((Offset(first.0 + index as i64), blocks.value(index).unwrap().to_vec()));
            }
            if let Some(before) = changelog.committed(first) {
                self.0.retain(|(offset, _)| *offset >= before);
            }
        }

        fn restore(&self) -> Result<Option<(Progress, Changelog, State)>> {
            let mut state = State::new("s");
            let mut restore = Restore::default();
            let partition = TopicPartition::new("changelog", 0);
            for (offset, block) in &self.0 {
                restore.apply(&partition.at(*offset), block, &mut [&mut state])?;
            }
            let restored = restore.finish(&partition.at(Offset(9_999)), &mut [&mut state])?;
            Ok(restored.map(|(progress, changelog)| (progress, changelog, state)))
        }
    }

    fn contents(state: &State) -> Vec<(u32, Vec<u8>)> {
        state.iter().map(|(key, value)| (*key, value.clone())).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        /// Law 10: whenever it is read, by whichever life it was written, the changelog gives the last commit's state.
        #[test]
        fn state_comes_back_equal_at_every_commit(
            steps in prop::collection::vec(
                (prop::collection::vec((0_u32..60, 0_usize..900, any::<bool>()), 0..20), any::<bool>()), 1..80),
        ) {
            let (mut changelog, mut state, mut kept) = (Changelog::default(), State::new("s"), Kept::default());
            for (step, (changes, restart)) in steps.iter().enumerate() {
                for (key, len, put) in changes {
                    if *put { state.put(*key, vec![step as u8; *len]); } else { state.remove(key); }
                }
                kept.commit(&mut changelog, &mut state, step as i64);
                let (progress, continued, restored) = kept.restore().unwrap().unwrap();
                prop_assert_eq!(contents(&restored), contents(&state));
                prop_assert_eq!(progress.clock.now(), Some(EventTime(step as i64)));
                if *restart {
                    (changelog, state) = (continued, restored);
                }
            }
        }
    }

    /// The cost of a restore follows the size of the state, not the number of commits.
    #[test]
    fn a_long_history_of_a_small_state_stays_short() {
        let (mut changelog, mut state, mut kept) = (Changelog::default(), State::new("s"), Kept::default());
        for round in 0..5_000_u32 {
            state.put(round % 100, vec![1; 50]);
            kept.commit(&mut changelog, &mut state, i64::from(round));
        }
        let bytes: usize = kept.0.iter().map(|(_, block)| block.len()).sum();
        assert!(kept.0.len() < 700, "{} blocks are kept", kept.0.len());
        assert!(bytes < 150_000, "{bytes} bytes are kept for a state of {}", state.size_bytes());
    }

    /// The same when every life ends after a commit or two.
    #[test]
    fn lives_too_short_for_a_cycle_are_trimmed_too() {
        let (mut changelog, mut state, mut kept) = (Changelog::default(), State::new("s"), Kept::default());
        for round in 0..3_000_u32 {
            state.put(round % 100, vec![1; 200]);
            kept.commit(&mut changelog, &mut state, i64::from(round));
            (_, changelog, state) = kept.restore().unwrap().unwrap();
        }
        let bytes: usize = kept.0.iter().map(|(_, block)| block.len()).sum();
        assert!(
            bytes < 6 * state.size_bytes(),
            "{bytes} bytes are kept for a state of {}",
            state.size_bytes()
        );
    }

    fn history() -> Kept {
        let (mut changelog, mut state, mut kept) = (Changelog::default(), State::new("s"), Kept::default());
        for round in 0..6_u32 {
            state.put(round, vec![1; 300_000]);
            kept.commit(&mut changelog, &mut state, i64::from(round));
        }
        kept
    }

    #[test]
    fn a_missing_block_is_noticed_and_named() {
        let mut kept = history();
        kept.0.remove(3);
        let error = kept.restore().err().unwrap().to_string();
        assert!(error.starts_with("changelog[0]@"), "{error}");
        assert!(error.contains("what stood between is missing"), "{error}");
    }

    #[test]
    fn a_missing_beginning_is_no_empty_state() {
        let (mut changelog, mut state, mut kept) = (Changelog::default(), State::new("s"), Kept::default());
        for round in 0..4 {
            state.put(round, vec![]);
            kept.commit(&mut changelog, &mut state, 0);
        }
        kept.0.remove(0);
        let error = kept.restore().err().unwrap().to_string();
        assert!(error.contains("beginning is missing"), "{error}");
    }

    #[test]
    fn a_block_of_another_version_or_cut_short_is_refused() {
        let mut kept = history();
        kept.0[2].1[0] = 9;
        let error = kept.restore().err().unwrap().to_string();
        assert!(error.contains("block format `9`"), "{error}");
        let mut kept = history();
        let cut = kept.0[2].1.len() - 1;
        kept.0[2].1.truncate(cut);
        assert!(kept.restore().is_err());
    }

    #[test]
    fn blocks_stay_below_the_brokers_limit() {
        let kept = history();
        assert!(kept.0.iter().all(|(_, block)| block.len() < 1_000_000));
        assert!(kept.0.len() > 6, "six large values take more than a block per commit");
    }
}
