//! What falls due as stream time moves: giving up, forgetting, pruning (laws 12, 18 and 19).
//!
//! Guarantees: however far time moves at once, it is done in parts (law 16), and that is invisible. A record that is due is met by nobody before
//! its turn: the next stream record comes after it, records are judged again after it, and a registration asks
//! [`is_due`](AsOfJoin::is_due). Only time forgets.

use std::ops::Bound;

use super::operator::AsOfJoin;
use super::part::Part;
use super::remembered::{REMEMBERED_MS, RememberedKey, start_of};
use super::rules::{JoinRules, Side, TableValue};
use super::settle::Settling;
use super::versions::VersionedTable;
use crate::Key;
use crate::processor::{Context, Processor};
use crate::time::EventTime;

impl<R: JoinRules> AsOfJoin<R> {
    /// Does all that is left to do. The task has done it part by part before: this is for whoever drives a join without that.
    pub(super) fn finish_work(&mut self, context: &mut Context<'_>) {
        if self.is_overdue || !self.corrections.is_empty() {
            while self.work_off(context) {}
        }
    }

    /// Does what has fallen due, as far as `part` allows: true if more is left.
    pub(super) fn catch_up(&mut self, part: &mut Part, context: &mut Context<'_>) -> bool {
        let Some(now) = context.stream_time() else { return false };
        let due = now.plus_ms(-self.options.hold_for_ms);
        while let Some(key) = self.remembered.first_held().filter(|(time, _)| *time < due) {
            if part.is_used_up() {
                return true;
            }
            part.spend(self.give_up(key, context));
        }
        let oldest = oldest_remembered(now);
        while let Some(key) = self.remembered.first_settled_before(oldest) {
            if part.is_used_up() {
                return true;
            }
            part.spend(0);
            self.forget(key);
        }
        while let Some(key) = self.first_earlier().filter(|(time, _)| *time < oldest) {
            if part.is_used_up() {
                return true;
            }
            part.spend(0);
            self.earlier.remove(&key);
            context.count("left-behind");
        }
        let horizon = self.horizon(now);
        if prune(&mut self.broadcast.versions, horizon, part)
            || prune(&mut self.table.versions, horizon, part)
        {
            return true;
        }
        self.quiet_until = Some(self.next_due().plus_ms(-1));
        false
    }

    /// The earliest stream time at which something more falls due.
    fn next_due(&mut self) -> EventTime {
        let (hold_for_ms, memory_ms) = (self.options.hold_for_ms, self.memory_ms());
        let held = self.remembered.first_held().map(|(time, _)| time.plus_ms(hold_for_ms).plus_ms(1));
        let first_times = [self.remembered.first_time(), self.first_earlier().map(|(time, _)| time)];
        let forgotten = first_times.into_iter().flatten().map(|time| time.plus_ms(REMEMBERED_MS).plus_ms(1));
        let pruned = [self.broadcast.versions.next_prune(), self.table.versions.next_prune()];
        let pruned = pruned.into_iter().flatten().map(|time| time.plus_ms(memory_ms));
        held.into_iter().chain(forgotten).chain(pruned).min().unwrap_or(EventTime(i64::MAX))
    }

    fn give_up(&mut self, key: RememberedKey, context: &mut Context<'_>) -> usize {
        let settling = Settling { rules: &self.rules, options: &self.options };
        let bytes = self.remembered.change(key, |known| settling.give_up_if_due(known, context));
        self.forget_if_old(key, context);
        bytes.unwrap_or_default()
    }

    /// Forgets a record that is not held any more, if it was only remembered because it was held.
    pub(super) fn forget_if_old(&mut self, key: RememberedKey, context: &Context<'_>) {
        if context.stream_time().is_some_and(|now| key.0 < oldest_remembered(now)) {
            self.forget(key);
        }
    }

    fn forget(&mut self, key: RememberedKey) {
        let Some(known) = self.remembered.remove(key) else { return };
        self.broadcast.note_forgotten(&known.item.broadcast_key, key.0);
        self.table.note_forgotten(&known.item.table_key, key.0);
    }

    /// True if a record of `key` of a time at or after `valid_from` is forgotten as soon as its turn comes.
    pub(super) fn is_due(&mut self, side: Side, key: &Key, valid_from: EventTime, now: EventTime) -> bool {
        let due = now.plus_ms(-self.options.hold_for_ms);
        let from = Bound::Included(start_of(valid_from));
        let old: Vec<RememberedKey> =
            self.remembered.of_key(side, key, from, Some(oldest_remembered(now))).collect();
        let is_forgotten = |key: &RememberedKey| {
            key.0 < due || self.remembered.get(key).is_some_and(|known| !known.is_held())
        };
        old.iter().any(is_forgotten)
    }

    /// The earliest time that can still be looked up: of a record that is not too late, or of one that is held.
    pub(super) fn horizon(&self, now: EventTime) -> EventTime {
        now.plus_ms(-self.memory_ms())
    }

    fn memory_ms(&self) -> i64 {
        self.options.hold_for_ms.max(REMEMBERED_MS)
    }

    fn first_earlier(&self) -> Option<RememberedKey> {
        self.earlier.iter().next().map(|(key, _)| *key)
    }
}

/// Records from before it are forgotten.
fn oldest_remembered(now: EventTime) -> EventTime {
    now.plus_ms(-REMEMBERED_MS)
}

/// True if more is left.
fn prune<V: TableValue>(versions: &mut VersionedTable<V>, horizon: EventTime, part: &mut Part) -> bool {
    while versions.next_prune().is_some_and(|time| time <= horizon) {
        if part.is_used_up() {
            return true;
        }
        part.spend(0);
        versions.prune_one(horizon);
    }
    false
}
