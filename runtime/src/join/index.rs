//! The remembered records of each key: [`KeyIndex`].
//!
//! Most plates have one or two remembered records, a radar has many. So a key is found by its hash, and only where it has several records are
//! they kept in the order of time. An index is derived from a store and never written.

use std::collections::BTreeSet;
use std::ops::Bound;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::{Entry, EntryRef};

use super::remembered::RememberedKey;
use crate::Key;

/// Keys of one side with the records that have them. It cannot be iterated as a whole, so that the order of hashes is never seen.
#[derive(Default)]
pub(super) struct KeyIndex(HashMap<Key, Records, FixedState>);

/// The records of one key: never none.
enum Records {
    One(RememberedKey),
    /// Two or more.
    Many(BTreeSet<RememberedKey>),
}

impl KeyIndex {
    pub(super) fn add(&mut self, key: &Key, record: RememberedKey) {
        match self.0.entry_ref(key) {
            EntryRef::Vacant(place) => {
                place.insert(Records::One(record));
            }
            EntryRef::Occupied(mut records) => records.get_mut().add(record),
        }
    }

    pub(super) fn remove(&mut self, key: &Key, record: RememberedKey) {
        let Entry::Occupied(mut records) = self.0.entry(key.clone()) else { return };
        if records.get_mut().remove(record) {
            records.remove();
        }
    }

    /// The records of a key in `bounds`, in order.
    pub(super) fn range(
        &self,
        key: &[u8],
        bounds: (Bound<RememberedKey>, Bound<RememberedKey>),
    ) -> impl DoubleEndedIterator<Item = RememberedKey> + '_ {
        let (one, many) = match self.0.get(key) {
            None => (None, None),
            Some(Records::One(record)) => (Some(*record).filter(|record| is_in(record, bounds)), None),
            Some(Records::Many(all)) => (None, (!is_empty(bounds)).then(|| all.range(bounds).copied())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

impl Records {
    fn add(&mut self, record: RememberedKey) {
        match self {
            Records::One(known) => *self = Records::Many(BTreeSet::from([*known, record])),
            Records::Many(all) => {
                all.insert(record);
            }
        }
    }

    /// True if none is left.
    fn remove(&mut self, record: RememberedKey) -> bool {
        match self {
            Records::One(known) => *known == record,
            Records::Many(all) => {
                all.remove(&record);
                if all.len() == 1
                    && let Some(last) = all.pop_first()
                {
                    *self = Records::One(last);
                }
                false
            }
        }
    }
}

fn is_in(record: &RememberedKey, (from, until): (Bound<RememberedKey>, Bound<RememberedKey>)) -> bool {
    let is_after = match from {
        Bound::Included(from) => *record >= from,
        Bound::Excluded(from) => *record > from,
        Bound::Unbounded => true,
    };
    let is_before = match until {
        Bound::Included(until) => *record <= until,
        Bound::Excluded(until) => *record < until,
        Bound::Unbounded => true,
    };
    is_after && is_before
}

/// A map panics when it is asked for bounds that cross each other.
fn is_empty((from, until): (Bound<RememberedKey>, Bound<RememberedKey>)) -> bool {
    match (from, until) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(from), Bound::Included(until)) => from > until,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(until) | Bound::Included(until)) => {
            from >= until
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::join::OutcomeId;
    use crate::time::EventTime;

    fn record(time: u8) -> RememberedKey {
        (EventTime(time.into()), OutcomeId([time; 16]))
    }

    fn bound(kind: u8, time: u8) -> Bound<RememberedKey> {
        match kind {
            0 => Bound::Included(record(time)),
            1 => Bound::Excluded(record(time)),
            _ => Bound::Unbounded,
        }
    }

    proptest! {
        /// Against a list per key.
        #[test]
        fn an_index_finds_what_was_added_and_not_removed(
            steps in prop::collection::vec((0_u8..3, 0_u8..6, any::<bool>()), 0..40),
            bounds in ((0_u8..3, 0_u8..7), (0_u8..3, 0_u8..7)),
        ) {
            let (mut index, mut oracle) = (KeyIndex::default(), BTreeMap::<u8, BTreeSet<RememberedKey>>::new());
            for (key, time, is_added) in steps {
                let name = Key::from([key].as_slice());
                let known = oracle.entry(key).or_default();
                if is_added {
                    if known.insert(record(time)) {
                        index.add(&name, record(time));
                    }
                } else if known.remove(&record(time)) {
                    index.remove(&name, record(time));
                }
            }
            let bounds = (bound(bounds.0.0, bounds.0.1), bound(bounds.1.0, bounds.1.1));
            for key in 0..3 {
                let of_key = oracle.get(&key).into_iter().flatten();
                let expected: Vec<_> = of_key.filter(|record| is_in(record, bounds)).copied().collect();
                prop_assert_eq!(index.range(&[key], bounds).collect::<Vec<_>>(), expected);
            }
            prop_assert_eq!(index.0.len(), oracle.values().filter(|records| !records.is_empty()).count());
        }
    }
}
