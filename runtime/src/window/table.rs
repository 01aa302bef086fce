//! One open window: a hash table from key bytes to accumulators.
//!
//! Keys stand one behind the other in one buffer and entries in one vector, so that adding to a known key allocates nothing and a
//! table that is used again for a later window allocates nothing for new keys either. Promise: nothing that leaves a table depends on the
//! hash or on the order of arrival: whatever is handed out was ordered by key before. Broken by: iterating without ordering.

use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

use hashbrown::HashTable;

/// The entry changed since it was last written to the changelog.
pub(super) const UNSAVED: u8 = 1;

/// The entry changed since it was last forwarded as an update.
pub(super) const UNSENT: u8 = 2;

#[derive(Debug)]
pub(super) struct Table<A> {
    /// Positions in `entries`.
    index: HashTable<u32>,
    entries: Vec<Entry<A>>,
    keys: Vec<u8>,
    unsaved: Vec<u32>,
    unsent: Vec<u32>,
}

#[derive(Debug)]
struct Entry<A> {
    key: Range<u32>,
    marks: u8,
    accumulator: A,
}

/// An entry on its way into order: the first bytes of its key decide nearly always, without a look at the key itself.
type Ordered = (u64, u32);

impl<A> Default for Table<A> {
    fn default() -> Table<A> {
        Table {
            index: HashTable::new(),
            entries: Vec::new(),
            keys: Vec::new(),
            unsaved: Vec::new(),
            unsent: Vec::new(),
        }
    }
}

impl<A> Table<A> {
    /// The entry of a key with this hash.
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        self.index.find(hash, |at| self.key(*at) == key).copied()
    }

    /// Adds a key that [`find`](Table::find) did not.
    pub(super) fn insert(&mut self, hash: u64, key: &[u8], accumulator: A) -> u32 {
        let start = position(self.keys.len());
        self.keys.extend_from_slice(key);
        let at = position(self.entries.len());
        self.entries.push(Entry { key: start..position(self.keys.len()), marks: 0, accumulator });
        let (entries, keys) = (&self.entries, &self.keys);
        self.index.insert_unique(hash, at, |at| hash_of(key_of(entries, keys, *at)));
        at
    }

    pub(super) fn accumulator(&self, at: u32) -> &A {
        &self.entries[at as usize].accumulator
    }

    /// The accumulator for a change; the entry gets those of `marks` it does not have.
    pub(super) fn change(&mut self, at: u32, marks: u8) -> &mut A {
        let entry = &mut self.entries[at as usize];
        let fresh = marks & !entry.marks;
        if fresh != 0 {
            entry.marks |= fresh;
            if fresh & UNSAVED != 0 {
                self.unsaved.push(at);
            }
            if fresh & UNSENT != 0 {
                self.unsent.push(at);
            }
        }
        &mut entry.accumulator
    }

    pub(super) fn key(&self, at: u32) -> &[u8] {
        key_of(&self.entries, &self.keys, at)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn key_bytes(&self) -> usize {
        self.keys.len()
    }

    /// The entries with keys that `wanted` accepts, by key.
    pub(super) fn select(&self, wanted: impl Fn(&[u8]) -> bool, order: &mut Order) {
        self.order((0..position(self.entries.len())).filter(|at| wanted(self.key(*at))), order);
    }

    /// The entries that bear `mark`, by key; they bear it no longer.
    pub(super) fn take_marked(&mut self, mark: u8, order: &mut Order) {
        let list = if mark == UNSAVED { &mut self.unsaved } else { &mut self.unsent };
        let list = std::mem::take(list);
        self.order(list.iter().copied(), order);
        for at in &list {
            self.entries[*at as usize].marks &= !mark;
        }
        self.keep_list(mark, list);
    }

    /// Forgets all entries, keeps the memory.
    pub(super) fn clear(&mut self) {
        self.index.clear();
        self.entries.clear();
        self.keys.clear();
        self.unsaved.clear();
        self.unsent.clear();
    }

    /// Forgets the entries with keys that `wanted` does not accept, and all marks.
    pub(super) fn retain(&mut self, wanted: impl Fn(&[u8]) -> bool) {
        if (0..position(self.entries.len())).all(|at| wanted(self.key(at))) {
            return;
        }
        let (keys, entries) = (std::mem::take(&mut self.keys), std::mem::take(&mut self.entries));
        self.clear();
        for entry in entries {
            let key = &keys[entry.key.start as usize..entry.key.end as usize];
            if wanted(key) {
                self.insert(hash_of(key), key, entry.accumulator);
            }
        }
    }

    fn keep_list(&mut self, mark: u8, mut list: Vec<u32>) {
        list.clear();
        *(if mark == UNSAVED { &mut self.unsaved } else { &mut self.unsent }) = list;
    }

    fn order(&self, entries: impl Iterator<Item = u32>, order: &mut Order) {
        order.next = 0;
        order.entries.clear();
        order.entries.extend(entries.map(|at| (prefix_of(self.key(at)), at)));
        order.entries.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| self.key(a.1).cmp(self.key(b.1))));
    }
}

impl<A: Default> Table<A> {
    /// Takes an accumulator out of a table that is about to be cleared.
    pub(super) fn take(&mut self, at: u32) -> A {
        std::mem::take(&mut self.entries[at as usize].accumulator)
    }
}

/// Entries of one table, in the order of their keys; handed out one by one. Used again and again.
#[derive(Debug, Default)]
pub(super) struct Order {
    entries: Vec<Ordered>,
    next: usize,
}

impl Iterator for Order {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (_, at) = self.entries.get(self.next)?;
        self.next += 1;
        Some(*at)
    }
}

/// The hash of a key: the same in every run. That keys can be made up to collide only costs time, and only that of their author's own task.
#[inline]
pub(super) fn hash_of(key: &[u8]) -> u64 {
    let mut hasher = foldhash::fast::FixedState::with_seed(0).build_hasher();
    hasher.write(key);
    hasher.finish()
}

fn key_of<'a, A>(entries: &[Entry<A>], keys: &'a [u8], at: u32) -> &'a [u8] {
    let range = &entries[at as usize].key;
    &keys[range.start as usize..range.end as usize]
}

/// The first eight bytes as a number that orders as they do; a shorter key is filled up with zeros and ties with a longer one.
fn prefix_of(key: &[u8]) -> u64 {
    let mut prefix = [0; 8];
    let len = key.len().min(8);
    prefix[..len].copy_from_slice(&key[..len]);
    u64::from_be_bytes(prefix)
}

fn position(at: usize) -> u32 {
    u32::try_from(at).expect("the keys of one window in one task stay below 4 GiB: they are held in memory")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn add(table: &mut Table<u64>, key: &[u8], amount: u64, marks: u8) {
        let hash = hash_of(key);
        let at = table.find(hash, key).unwrap_or_else(|| table.insert(hash, key, 0));
        *table.change(at, marks) += amount;
    }

    fn listed(table: &Table<u64>, order: Order) -> Vec<(Vec<u8>, u64)> {
        order.map(|at| (table.key(at).to_vec(), *table.accumulator(at))).collect()
    }

    proptest! {
        /// Short keys of few letters, zeros among them, so that prefixes tie.
        #[test]
        fn a_table_is_an_ordered_map(
            steps in prop::collection::vec((prop::collection::vec(0_u8..3, 0..12), 0_u64..9), 0..80), cut in 0_usize..80,
        ) {
            let mut table = Table::default();
            add(&mut table, b"left over", 1, UNSAVED | UNSENT);
            table.clear();
            let mut expected = BTreeMap::<Vec<u8>, u64>::new();
            let mut changed = BTreeMap::new();
            let mut order = Order::default();
            for (step, (key, amount)) in steps.iter().enumerate() {
                if step == cut {
                    table.take_marked(UNSAVED, &mut order);
                    changed.clear();
                }
                add(&mut table, key, *amount, UNSAVED | UNSENT);
                let sum = expected.entry(key.clone()).or_default();
                *sum += amount;
                changed.insert(key.clone(), *sum);
            }
            prop_assert_eq!(table.len(), expected.len());
            let mut order = Order::default();
            table.select(|_| true, &mut order);
            prop_assert_eq!(listed(&table, order), expected.clone().into_iter().collect::<Vec<_>>());
            let mut order = Order::default();
            table.take_marked(UNSENT, &mut order);
            prop_assert_eq!(listed(&table, order), expected.into_iter().collect::<Vec<_>>());
            let mut order = Order::default();
            table.take_marked(UNSAVED, &mut order);
            prop_assert_eq!(listed(&table, order), changed.into_iter().collect::<Vec<_>>());
            let mut order = Order::default();
            table.take_marked(UNSAVED, &mut order);
            prop_assert_eq!(order.next(), None);
            table.clear();
            prop_assert_eq!((table.len(), table.key_bytes()), (0, 0));
        }
    }
}
