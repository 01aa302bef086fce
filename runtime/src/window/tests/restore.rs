//! State and its changelog: a small one of our own, cut, killed and read back at any point.

use proptest::prelude::*;

use super::oracle::{any_records, any_sizes};
use super::*;
use crate::store::{Entries, SHARDS, Store};

/// What happens after a record.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    On,
    /// Commit, with the snapshots of so many shards.
    Commit(u32),
    /// Lose everything since the last commit and restore.
    Kill,
}

#[derive(Clone, Debug)]
pub(super) struct Fates(Vec<Step>);

pub(super) fn any_fates() -> impl Strategy<Value = Fates> {
    let step = prop_oneof![
        4 => Just(Step::On),
        2 => (0_u32..6).prop_map(Step::Commit),
        1 => Just(Step::Kill),
    ];
    prop::collection::vec(step, 0..200).prop_map(Fates)
}

/// A block of the changelog: a delta, or a shard's snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
struct Block {
    snapshot_of: Option<u32>,
    entries: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entries for Block {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.entries.push((key.to_vec(), value.to_vec()));
    }
    fn delete(&mut self, _key: &[u8]) {
        panic!("a window store deletes nothing");
    }
}

impl Block {
    fn load(&self, store: &mut dyn Store) {
        if let Some(shard) = self.snapshot_of {
            store.clear(shard);
        }
        for (key, value) in &self.entries {
            store.load(key, Some(value)).unwrap();
        }
    }
}

fn snapshot(store: &dyn Store, shard: u32) -> Block {
    let mut block = Block { snapshot_of: Some(shard), ..Block::default() };
    store.snapshot(shard, &mut block);
    block
}

/// Everything in a store.
fn snapshots(store: &dyn Store) -> Vec<Block> {
    (0..SHARDS).map(|shard| snapshot(store, shard)).collect()
}

fn store(harness: &mut Harness<Chain>) -> &mut dyn Store {
    harness.processor.stores().remove(0)
}

/// A harness whose commits survive and whose other work does not.
pub(super) struct Fate {
    pub(super) harness: Harness<Chain>,
    pub(super) committed_out: Vec<Out>,
    pub(super) committed_late: Vec<Late>,
    fates: std::vec::IntoIter<Step>,
    blocks: Vec<Block>,
    next_shard: u32,
    position: usize,
    committed: (StreamTime, Counters, usize),
    /// The state of the last commit.
    state: Vec<Block>,
}

impl Fate {
    pub(super) fn new(mut harness: Harness<Chain>, fates: Fates) -> Fate {
        let state = snapshots(store(&mut harness));
        Fate {
            harness,
            committed_out: Vec::new(),
            committed_late: Vec::new(),
            fates: fates.0.into_iter(),
            blocks: Vec::new(),
            next_shard: 0,
            position: 0,
            committed: Default::default(),
            state,
        }
    }

    pub(super) fn next_record(&mut self, len: usize) -> Option<usize> {
        (self.position < len).then(|| {
            self.position += 1;
            self.position - 1
        })
    }

    pub(super) fn after_record(&mut self, fresh: impl FnOnce() -> Harness<Chain>) {
        match self.fates.next() {
            Some(Step::Commit(shards)) => self.commit_with(shards),
            Some(Step::Kill) => self.restore(fresh()),
            Some(Step::On) | None => {}
        }
    }

    pub(super) fn commit(&mut self) {
        self.commit_with(0);
    }

    /// As the engine does: snapshots first, then the delta; what no restore needs any more is cut off.
    fn commit_with(&mut self, shards: u32) {
        self.harness.with(|processor, context| processor.before_commit(context));
        for _ in 0..shards {
            let shard = self.next_shard;
            self.blocks.push(snapshot(store(&mut self.harness), shard));
            self.next_shard = (shard + 1) % SHARDS;
        }
        let mut delta = Block::default();
        store(&mut self.harness).drain_changes(&mut delta);
        self.blocks.push(delta);
        let newest = |shard| self.blocks.iter().rposition(|block| block.snapshot_of == Some(shard));
        if let Some(oldest) = (0..SHARDS).map(newest).min().flatten() {
            self.blocks.drain(..oldest);
        }
        self.state = snapshots(store(&mut self.harness));
        self.committed = (self.harness.clock, self.harness.counters.clone(), self.position);
        self.committed_out.append(&mut self.harness.take_out());
        self.committed_late.append(&mut self.harness.take_late());
    }

    fn restore(&mut self, fresh: Harness<Chain>) {
        self.harness = fresh;
        (self.harness.clock, self.harness.counters, self.position) = self.committed.clone();
        let store = store(&mut self.harness);
        self.blocks.iter().for_each(|block| block.load(store));
        assert_eq!(snapshots(store), self.state);
        let mut changes = Block::default();
        store.drain_changes(&mut changes);
        assert_eq!(changes.entries, []);
    }
}

proptest! {
    /// Law 10, by snapshots alone, in any order of shards, over a store that held something else.
    #[test]
    fn a_store_comes_back_from_its_snapshots(
        sizes in any_sizes(), records in any_records(100), stale in any_records(2_000), turn in 0..SHARDS,
    ) {
        let mut harness = Harness::new(sizes.windows(), Emit::OnClose, Chain);
        let mut other = Harness::new(sizes.windows(), Emit::OnClose, Chain);
        for (harness, records) in [(&mut harness, records), (&mut other, stale)] {
            for (time, key) in records.iter().filter(|(time, _)| *time >= 0) {
                harness.push(*time, Some(key), "1").unwrap();
            }
        }
        let wanted = snapshots(store(&mut harness));
        let size_bytes = store(&mut harness).size_bytes();
        for shard in 0..SHARDS {
            wanted[((shard + turn) % SHARDS) as usize].load(store(&mut other));
        }
        prop_assert_eq!(snapshots(store(&mut other)), wanted);
        harness.clock = StreamTime::default();
        other.clock = StreamTime::default();
        for harness in [&mut harness, &mut other] {
            let _ = harness.take_out();
            harness.with(|processor, context| processor.input_ended(context));
        }
        prop_assert_eq!(harness.take_out(), other.take_out());
        prop_assert_eq!(harness.clock, other.clock);
        prop_assert!(size_bytes < 40_000);
    }
}

#[test]
fn closing_costs_the_changelog_one_entry() {
    let mut harness = Harness::new(TimeWindows::tumbling(5_000, 0).unwrap(), Emit::OnClose, Chain);
    for key in 0..1_000 {
        harness.push(1, Some(&format!("k{key}")), "1").unwrap();
    }
    harness.push(5_000, Some("k"), "1").unwrap();
    let mut delta = Block::default();
    store(&mut harness).drain_changes(&mut delta);
    assert_eq!(delta.entries.len(), 2);
    let mut again = Block::default();
    store(&mut harness).drain_changes(&mut again);
    assert_eq!(again.entries, []);
}

/// Law 3: neither a lost clock nor an older block that is read after the marker brings a window back.
#[test]
fn what_was_handed_out_stays_known() {
    let fresh = || Harness::new(TimeWindows::tumbling(5_000, 0).unwrap(), Emit::OnClose, Chain);
    let mut harness = fresh();
    harness.push(1, Some("k"), "1").unwrap();
    let mut older = Block::default();
    store(&mut harness).drain_changes(&mut older);
    harness.push(5_000, Some("k"), "2").unwrap();
    let state = snapshots(store(&mut harness));

    let mut restored = fresh();
    state.iter().chain([&older]).for_each(|block| block.load(store(&mut restored)));
    assert_eq!(snapshots(store(&mut restored)), state);
    restored.push(2, Some("k"), "again").unwrap();
    restored.with(|processor, context| processor.input_ended(context));
    assert_eq!(restored.take_out(), [out("k", 5_000, 10_000, "+2")]);
    let late: Vec<_> = restored.take_late().into_iter().map(|(_, text, _)| text).collect();
    assert_eq!(late, ["again"]);
}

#[test]
fn entries_of_another_coding_are_refused() {
    let mut harness = Harness::new(TimeWindows::tumbling(5_000, 0).unwrap(), Emit::OnClose, Chain);
    let store = store(&mut harness);
    for (key, value) in [(&[][..], Some(&[0][..])), (&[2, b'k'], Some(&[9])), (&[2, b'k'], None)] {
        let error = store.load(key, value).unwrap_err();
        assert!(error.to_string().contains("`windows`"), "{error}");
    }
}
