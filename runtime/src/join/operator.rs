//! The operator: [`AsOfJoin`].

use super::held::{Held, HeldRecords};
use super::late::Late;
use super::outcomes::{Outcomes, REMEMBERED_MS};
use super::rules::{JoinItem, JoinRules, Lookup, OutcomeId, Registration, Side, TableValue, Verdict};
use super::versions::VersionedTable;
use crate::Key;
use crate::error::{BadRecord, Reason};
use crate::log::RecordRef;
use crate::processor::{Aside, Context, Processor};
use crate::store::{PointStore, Store};
use crate::time::EventTime;

/// The stores of every [`AsOfJoin`], in order: what [`Topology::new`](crate::topology::Topology::new) is told.
pub const STORES: [&str; 6] =
    ["broadcast-versions", "broadcast-judged", "table-versions", "table-judged", "held", "outcomes"];

/// How a join stands in its topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinOptions {
    /// The number of the source that is the broadcast table.
    pub broadcast: usize,
    /// The number of the source that is the co-partitioned table.
    pub table: usize,
    /// The number of the source that is the stream.
    pub stream: usize,
    /// The number of the sink results go to.
    pub sink: usize,
    /// How long a record is held for a missing registration, in event time (`--hold-for`).
    pub hold_for_ms: i64,
}

impl Default for JoinOptions {
    /// Broadcast table, table, stream in this order; the first sink; held for 30 days.
    fn default() -> JoinOptions {
        JoinOptions { broadcast: 0, table: 1, stream: 2, sink: 0, hold_for_ms: REMEMBERED_MS }
    }
}

/// One of the two tables, with the time up to which its keys have decided something.
struct Table<V> {
    versions: VersionedTable<V>,
    /// Per key, the latest time of a record in whose judgement it was asked for. Kept for good: one entry per key (law 18).
    judged: PointStore<Key, EventTime>,
}

impl<V: TableValue> Table<V> {
    fn new(versions: &str, judged: &str) -> Table<V> {
        Table { versions: VersionedTable::new(versions), judged: PointStore::new(judged) }
    }

    fn judged_at(&mut self, key: &Key, time: EventTime) {
        match self.judged.get_mut(key) {
            Some(latest) => *latest = time.max(*latest),
            None => self.judged.put(key.clone(), time),
        }
    }
}

/// Joins a stream with two tables as of each record's time. See the [module](super) for what it promises.
pub struct AsOfJoin<R: JoinRules> {
    rules: R,
    options: JoinOptions,
    broadcast: Table<R::Broadcast>,
    table: Table<R::Table>,
    held: HeldRecords<R::Item>,
    outcomes: Outcomes,
}

impl<R: JoinRules> AsOfJoin<R> {
    /// A join without state yet. `hold_for_ms` below zero counts as zero.
    pub fn new(rules: R, options: JoinOptions) -> AsOfJoin<R> {
        AsOfJoin {
            rules,
            options: JoinOptions { hold_for_ms: options.hold_for_ms.max(0), ..options },
            broadcast: Table::new(STORES[0], STORES[1]),
            table: Table::new(STORES[2], STORES[3]),
            held: HeldRecords::new(STORES[4]),
            outcomes: Outcomes::new(STORES[5]),
        }
    }

    /// What is held now, in the order it will be judged or given up.
    #[must_use]
    pub fn held(&self) -> &HeldRecords<R::Item> {
        &self.held
    }

    fn take_item(&mut self, record: &RecordRef<'_>, context: &mut Context<'_>) -> Result<(), BadRecord> {
        let item = self.rules.read_item(record)?;
        if self.is_known(&item) {
            context.duplicate(&Aside::from(record));
            return Ok(());
        }
        if let Some(now) = context.stream_time()
            && item.time < now.plus_ms(-REMEMBERED_MS)
        {
            let lateness = now.0 - item.time.plus_ms(REMEMBERED_MS).0;
            let details = [("stream-time", now.to_string()), ("lateness-ms", lateness.to_string())];
            context.late(&Aside::from(record), &details);
            return Ok(());
        }
        if context.observe(item.time) {
            self.time_moved(context);
        }
        match self.judge(&item) {
            Verdict::Missing(missing) => {
                context.count("held");
                let id = self.rules.outcome_id(&item);
                self.held.put(Held { missing, id, item, record: Aside::from(record) });
                // It may have come so late that its time of waiting is over.
                if let Some(now) = context.stream_time() {
                    self.give_up(now, context);
                }
            }
            Verdict::Emit { key, value } => {
                let id = self.rules.outcome_id(&item);
                self.emit(id, &item, &key, &value, context);
            }
            Verdict::Ignore(label) => context.count(label),
            Verdict::Bad(bad) => return Err(bad),
        }
        Ok(())
    }

    /// Ids are digests and most records are never remembered, so an id is worked out only where one could be met.
    fn is_known(&mut self, item: &JoinItem<R::Item>) -> bool {
        if !self.outcomes.any_at(item.time) && !self.held.any_at(item.time) {
            return false;
        }
        let id = self.rules.outcome_id(item);
        self.outcomes.contains(item.time, id) || self.held.contains(item.time, id)
    }

    /// The rules' verdict; takes note of what it rests on.
    fn judge(&mut self, item: &JoinItem<R::Item>) -> Verdict {
        let broadcast = Lookup::of(&self.broadcast.versions, &item.broadcast_key, item.time);
        let table = Lookup::of(&self.table.versions, &item.table_key, item.time);
        let verdict = self.rules.judge(item, &broadcast, &table);
        let (by_broadcast, by_table) = (broadcast.asked(), table.asked());
        if !matches!(verdict, Verdict::Missing(_)) {
            if by_broadcast {
                self.broadcast.judged_at(&item.broadcast_key, item.time);
            }
            if by_table {
                self.table.judged_at(&item.table_key, item.time);
            }
        }
        verdict
    }

    fn emit(
        &mut self,
        id: OutcomeId,
        item: &JoinItem<R::Item>,
        key: &[u8],
        value: &[u8],
        context: &mut Context<'_>,
    ) {
        context.count("judged");
        context.forward(self.options.sink, item.time, key, value);
        self.outcomes.emitted(id, item);
    }

    /// A table record: what it changed is told apart by what was judged already, what was judged and what still waits.
    fn register<V: TableValue>(
        &mut self,
        side: Side,
        table: fn(&mut Self) -> &mut Table<V>,
        registration: Registration<V>,
        record: &RecordRef<'_>,
        context: &mut Context<'_>,
    ) {
        let horizon = context.stream_time().map(|now| self.horizon(now));
        let key = registration.key.clone();
        let change = table(self).versions.put(registration, horizon);
        if !change.effective {
            return;
        }
        let judged = table(self).judged.get(&key).copied();
        if let Some(judged_through) = judged.filter(|judged| *judged >= change.from) {
            let affected = self.outcomes.affected(side, &key, change.from, change.until);
            Late { judged_through, affected }.put_aside(&Aside::from(record), context);
        }
        for place in self.held.waiting(side, &key, change.from, change.until) {
            if let Some(held) = self.held.take(place) {
                self.release(held, context);
            }
        }
        if let Some(now) = context.stream_time() {
            self.outcomes.forget(now);
        }
    }

    /// Judges a held record again; it may go on waiting, for the same side or the other.
    fn release(&mut self, held: Held<R::Item>, context: &mut Context<'_>) {
        let Held { id, item, record, .. } = held;
        let verdict = self.judge(&item);
        if let Verdict::Missing(missing) = verdict {
            self.held.put(Held { missing, id, item, record });
            return;
        }
        context.count("released");
        if let Verdict::Emit { key, value } = verdict {
            self.emit(id, &item, &key, &value, context);
            return;
        }
        self.outcomes.settled(item.time, id);
        match verdict {
            Verdict::Ignore(label) => context.count(label),
            Verdict::Bad(bad) => context.dead_letter(&record, &bad),
            Verdict::Emit { .. } | Verdict::Missing(_) => {}
        }
    }

    /// Gives up what has been held for too long. That decides the record as judging does: a registration that would have
    /// identified it is late from now on.
    fn give_up(&mut self, now: EventTime, context: &mut Context<'_>) {
        let hold_for_ms = self.options.hold_for_ms;
        while let Some(held) = self.held.take_before(now.plus_ms(-hold_for_ms)) {
            context.count("unidentified");
            let missing = self.rules.name_missing(held.missing, held.missing_key());
            let message =
                format!("no registration of {missing} as of {} came within {hold_for_ms} ms", held.item.time);
            context.dead_letter(&held.record, &BadRecord::new(Reason::Unidentified, message));
            match held.missing {
                Side::Broadcast => self.broadcast.judged_at(&held.item.broadcast_key, held.item.time),
                Side::Table => self.table.judged_at(&held.item.table_key, held.item.time),
            }
            self.outcomes.settled(held.item.time, held.id);
        }
    }

    /// The earliest time that can still be looked up: of a record that is not too late, or of one that is held.
    fn horizon(&self, stream_time: EventTime) -> EventTime {
        stream_time.plus_ms(-self.options.hold_for_ms.max(REMEMBERED_MS))
    }
}

impl<R: JoinRules> Processor for AsOfJoin<R> {
    fn process(
        &mut self,
        source: usize,
        record: &RecordRef<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), BadRecord> {
        if source == self.options.stream {
            return self.take_item(record, context);
        }
        if source == self.options.broadcast {
            let registration = self.rules.read_broadcast(record)?;
            self.register(Side::Broadcast, |join| &mut join.broadcast, registration, record, context);
            return Ok(());
        }
        assert!(
            source == self.options.table,
            "source {source} is none of this join's: its options are wrong"
        );
        let registration = self.rules.read_table(record)?;
        self.register(Side::Table, |join| &mut join.table, registration, record, context);
        Ok(())
    }

    fn time_moved(&mut self, context: &mut Context<'_>) {
        let Some(now) = context.stream_time() else { return };
        self.give_up(now, context);
        self.outcomes.forget(now);
        let horizon = self.horizon(now);
        self.broadcast.versions.prune(horizon);
        self.table.versions.prune(horizon);
    }

    fn stores(&mut self) -> Vec<&mut dyn Store> {
        vec![
            &mut self.broadcast.versions,
            &mut self.broadcast.judged,
            &mut self.table.versions,
            &mut self.table.judged,
            &mut self.held,
            self.outcomes.store(),
        ]
    }
}
