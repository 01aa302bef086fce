//! What registrations left to be judged again (law 18): [`Corrections`].
//!
//! Guarantees: a registration takes one entry of state, however many remembered records it touches. The entry says how far it has been worked
//! off, so it survives a commit and a restart. An entry stands for the times that its version decides, up to the next version: where
//! another version decides by now, that one has an entry of its own or was worked off before.

use super::remembered::RememberedKey;
use super::rules::Side;
use crate::Key;
use crate::store::{KeyValueStore, Store};
use crate::time::EventTime;

/// A version: its table, its key, and its validity.
pub(super) type VersionName = (Side, Key, EventTime);

/// The versions whose records have not all been judged again, each with the last one that has.
pub(super) struct Corrections(KeyValueStore<VersionName, Option<RememberedKey>>);

impl Corrections {
    pub(super) fn new(name: &str) -> Corrections {
        Corrections(KeyValueStore::new(name))
    }

    /// Begins with the records of a version, anew if it was under way.
    pub(super) fn begin(&mut self, version: VersionName) {
        self.0.put(version, None);
    }

    /// The records of `version` up to `record` are done.
    pub(super) fn advance(&mut self, version: &VersionName, record: RememberedKey) {
        if let Some(done) = self.0.get_mut(version) {
            *done = Some(record);
        }
    }

    pub(super) fn finish(&mut self, version: &VersionName) {
        self.0.remove(version);
    }

    /// The version to work off next, and how far it is. The order does not depend on the order of registrations.
    pub(super) fn first(&self) -> Option<(VersionName, Option<RememberedKey>)> {
        self.0.iter().next().map(|(version, done)| (version.clone(), *done))
    }

    /// True if a version of `key` is under way.
    pub(super) fn has(&self, side: Side, key: &Key) -> bool {
        if self.is_empty() {
            return false;
        }
        let of_key = (side, key.clone(), EventTime(i64::MIN))..=(side, key.clone(), EventTime(i64::MAX));
        self.0.range(of_key).next().is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn store(&mut self) -> &mut dyn Store {
        &mut self.0
    }
}
