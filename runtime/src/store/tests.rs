//! Stores against their own changelog.

use std::collections::BTreeMap;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use proptest::prelude::*;

use super::*;

#[derive(Debug, Default, PartialEq, Eq)]
struct Kept(Vec<(Vec<u8>, Option<Vec<u8>>)>);

impl Entries for Kept {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.0.push((key.to_vec(), Some(value.to_vec())));
    }
    fn delete(&mut self, key: &[u8]) {
        self.0.push((key.to_vec(), None));
    }
}

fn load<M: EntryMap<String, u64>>(store: &mut MapStore<String, u64, M>, entries: &Kept) {
    for (key, value) in &entries.0 {
        store.load(key, value.as_deref()).unwrap();
    }
}

/// All that stands in a store, shard by shard, each in key order.
fn content<M: EntryMap<String, u64>>(store: &MapStore<String, u64, M>) -> Vec<Kept> {
    let shards = (0..SHARDS).map(|shard| {
        let mut kept = Kept::default();
        store.snapshot(shard, &mut kept);
        kept
    });
    shards.collect()
}

/// Deltas alone, and a snapshot taken at any point with the deltas after it, both give the state back.
fn comes_back<M: EntryMap<String, u64>>(steps: &[(u8, Option<u64>)], at: usize) -> Result<(), TestCaseError> {
    let [mut store, mut by_deltas, mut by_snapshot] = [(); 3].map(|()| MapStore::<String, u64, M>::new("s"));
    let stale = postcard::to_stdvec("stale").unwrap();
    by_snapshot.load(&stale, Some(&[1])).unwrap();
    let mut expected = BTreeMap::new();
    for (step, (key, value)) in steps.iter().enumerate() {
        let key = format!("k{key}");
        match value {
            Some(value) => {
                store.put(key.clone(), *value);
                expected.insert(key, *value);
            }
            None => prop_assert_eq!(store.remove(&key), expected.remove(&key)),
        }
        let mut delta = Kept::default();
        store.drain_changes(&mut delta);
        load(&mut by_deltas, &delta);
        load(&mut by_snapshot, &delta);
        if step == at {
            for (shard, snapshot) in (0..).zip(content(&store)) {
                by_snapshot.clear(shard);
                load(&mut by_snapshot, &snapshot);
            }
        }
    }
    for (key, value) in &expected {
        prop_assert_eq!(store.get(key), Some(value));
    }
    prop_assert_eq!((store.len(), by_deltas.len()), (expected.len(), expected.len()));
    prop_assert_eq!(content(&by_deltas), content(&store));
    prop_assert_eq!(by_deltas.size_bytes(), store.size_bytes());
    if at < steps.len() {
        prop_assert_eq!(content(&by_snapshot), content(&store));
        prop_assert_eq!(by_snapshot.size_bytes(), store.size_bytes());
    }
    let in_order = |kept: &Kept| {
        kept.0.is_sorted_by_key(|(key, _)| postcard::from_bytes::<String>(key).unwrap_or_default())
    };
    prop_assert!(content(&store).iter().all(in_order), "the order of hashes shows");
    Ok(())
}

proptest! {
    #[test]
    fn a_store_comes_back_equal(
        steps in prop::collection::vec((0_u8..30, prop::option::of(any::<u64>())), 0..120),
        at in 0_usize..120,
    ) {
        comes_back::<BTreeMap<String, Entry<u64>>>(&steps, at)?;
        comes_back::<HashMap<String, Entry<u64>, FixedState>>(&steps, at)?;
    }
}

#[test]
fn bytes_of_another_coding_are_refused() {
    let mut store = KeyValueStore::<String, u64>::new("seen");
    let error = store.load(&[200], None).unwrap_err();
    assert!(error.to_string().contains("`seen`"), "{error}");
}
