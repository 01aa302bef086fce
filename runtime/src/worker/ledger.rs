//! What one worker did for one task.
//!
//! Promise: it never goes back while the process lives. Only what is committed is counted, and only what *this* worker committed: a
//! task's totals belong to its state and travel with it, so two processes that host it in turn would both show them, and after a
//! failed commit they fall back. A [`Ledger`] is therefore the sum of what was added here. Broken by: noting a task's counters while they
//! are not committed, or forgetting a ledger when its task leaves.

use std::collections::BTreeMap;

use crate::processor::{Counters, PROCESSED};

/// What one worker did for one task since the process started. It stays when the task leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    counts: BTreeMap<String, Count>,
    /// Bytes it wrote to the task's changelog.
    pub changelog_bytes: u64,
    /// Offsets of the task's changelog it read to restore it.
    pub restored_offsets: u64,
    /// How much the task had written when it was last looked at.
    seen_bytes: u64,
    /// Nobody knows whether the last commit was made. What the task is restored to tells: what is there beyond what was seen was
    /// committed here.
    in_doubt: bool,
    /// Since it was last shown.
    pub(super) changed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    /// The task's own total when it was last looked at.
    seen: u64,
    /// What was added here.
    added: u64,
}

impl Ledger {
    /// What was added here to every count of the task.
    pub fn counts(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts.iter().map(|(name, count)| (name.as_str(), count.added))
    }

    /// The records it processed.
    #[must_use]
    pub fn processed(&self) -> u64 {
        self.counts.get(PROCESSED).map_or(0, |count| count.added)
    }

    /// The outcome of a commit that the task was part of is unknown.
    pub(super) fn doubt(&mut self) {
        self.in_doubt = true;
    }

    /// The task has left: what is done with it from here on is not ours, whatever a restore shows.
    pub(super) fn closed(&mut self) {
        self.in_doubt = false;
    }

    /// `offsets` more of its changelog are read.
    pub(super) fn read(&mut self, offsets: u64) {
        self.restored_offsets += offsets;
        self.changed = true;
    }

    /// The task was restored to `counters`, which others may have moved on.
    pub(super) fn restored(&mut self, counters: &Counters) {
        if std::mem::take(&mut self.in_doubt) {
            self.committed(counters);
        }
        self.seen_bytes = 0;
        self.counts.values_mut().for_each(|count| count.seen = 0);
        for (name, total) in counters.iter() {
            self.entry(name).seen = total;
        }
    }

    pub(super) fn committed(&mut self, counters: &Counters) {
        for (name, total) in counters.iter() {
            let count = self.entry(name);
            count.added += total.saturating_sub(count.seen);
            count.seen = total;
        }
        self.changed = true;
    }

    /// The task has written `total_bytes` since it was built.
    pub(super) fn wrote(&mut self, total_bytes: u64) {
        self.changelog_bytes += total_bytes.saturating_sub(self.seen_bytes);
        self.seen_bytes = total_bytes;
        self.changed = true;
    }

    fn entry(&mut self, name: &str) -> &mut Count {
        // Not `entry`: it would ask for an owned name every time.
        if !self.counts.contains_key(name) {
            self.counts.insert(name.to_owned(), Count::default());
        }
        self.counts.get_mut(name).expect("it was put there just now")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(processed: u64, late: u64) -> Counters {
        let mut counters = Counters::default();
        counters.add(PROCESSED, processed);
        counters.add("late", late);
        counters
    }

    fn counts(ledger: &Ledger) -> Vec<u64> {
        ledger.counts().map(|(_, added)| added).collect()
    }

    #[test]
    fn a_task_that_leaves_and_comes_back_counts_here_only_what_was_done_here() {
        let mut ledger = Ledger::default();
        ledger.restored(&counters(1_000, 10));
        assert_eq!(counts(&ledger), [0, 0], "others did that");
        ledger.committed(&counters(1_200, 11));
        // It was elsewhere, and comes back.
        ledger.restored(&counters(5_000, 50));
        ledger.committed(&counters(5_001, 50));
        assert_eq!(counts(&ledger), [1, 201], "late, processed");
        // `reset --app`: it begins again.
        ledger.restored(&Counters::default());
        ledger.committed(&counters(7, 0));
        assert_eq!(counts(&ledger), [1, 208]);
        assert_eq!(ledger.processed(), 208);
    }

    #[test]
    fn a_task_lost_in_doubt_counts_nothing_of_what_others_do() {
        let mut ledger = Ledger::default();
        ledger.restored(&counters(10, 0));
        ledger.doubt();
        ledger.closed();
        ledger.restored(&counters(50, 0));
        assert_eq!(ledger.processed(), 0);
    }
}
