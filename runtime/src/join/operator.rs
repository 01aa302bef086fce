//! The operator: [`AsOfJoin`].

use std::ops::Bound;

use super::corrections::Corrections;
use super::part::{PART_RECORDS, Part};
use super::remembered::{
    Counted, Held, REMEMBERED_MS, RawRecord, Remembered, RememberedKey, RememberedRecords, Standing, start_of,
};
use super::rules::{
    JoinItem, JoinRules, LetGo, Lookup, OutcomeEvent, OutcomeReason, OutcomeState, Registration, Side,
    TableValue, Verdict,
};
use super::settle::Settling;
use super::versions::{TablePosition, VersionedTable};
use crate::Key;
use crate::error::{BadRecord, Reason};
use crate::log::RecordRef;
use crate::processor::{Aside, Context, Processor};
use crate::store::{KeyValueStore, PointStore, Store};
use crate::time::EventTime;

/// The stores of every [`AsOfJoin`], in order: the argument of [`Topology::new`](crate::topology::Topology::new).
pub const STORES: [&str; 9] = [
    "broadcast-registrations",
    "broadcast-forgotten",
    "broadcast-let-go",
    "table-registrations",
    "table-forgotten",
    "table-let-go",
    "remembered",
    "corrections",
    "earlier-outcomes",
];

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

/// One of the two tables, with what the records say that are not remembered one by one. Both are kept for good: one entry per
/// key (law 18).
pub(super) struct Table<V, M> {
    pub(super) versions: VersionedTable<V>,
    /// Per key, the latest time of a record that was remembered and is not any more.
    pub(super) forgotten: PointStore<Key, EventTime>,
    /// Per key that was asked for.
    pub(super) let_go: PointStore<Key, LetGo<M>>,
}

impl<V: TableValue, M: Copy + Ord + serde::Serialize + serde::de::DeserializeOwned + Send> Table<V, M> {
    fn new(names: &[&str]) -> Table<V, M> {
        Table {
            versions: VersionedTable::new(names[0]),
            forgotten: PointStore::new(names[1]),
            let_go: PointStore::new(names[2]),
        }
    }

    pub(super) fn note_forgotten(&mut self, key: &Key, time: EventTime) {
        match self.forgotten.get_mut(key) {
            Some(latest) => *latest = time.max(*latest),
            None => self.forgotten.put(key.clone(), time),
        }
    }

    fn note_let_go(&mut self, key: &Key, time: EventTime, measure: M) {
        match self.let_go.get_mut(key) {
            Some(known) => {
                known.latest = time.max(known.latest);
                known.greatest = measure.max(known.greatest);
            }
            None => self.let_go.put(key.clone(), LetGo { latest: time, greatest: measure }),
        }
    }
}

/// What [`AsOfJoin::register`] needs of one side.
struct SideOf<R: JoinRules, V> {
    side: Side,
    table: fn(&mut AsOfJoin<R>) -> &mut Table<V, R::Measure>,
    could_catch: fn(&R, &V, EventTime, &LetGo<R::Measure>) -> bool,
}

/// Joins a stream with two tables as of each record's time. See the [module](super) for what it promises.
pub struct AsOfJoin<R: JoinRules> {
    pub(super) rules: R,
    pub(super) options: JoinOptions,
    pub(super) broadcast: Table<R::Broadcast, R::Measure>,
    pub(super) table: Table<R::Table, R::Measure>,
    pub(super) remembered: RememberedRecords<R::Item, R::Outcome>,
    pub(super) corrections: Corrections,
    /// What an earlier run left in force in the output, until its record is met.
    pub(super) earlier: KeyValueStore<RememberedKey, R::Outcome>,
    /// How many records a part of the work has.
    pub(super) part_records: usize,
    /// Nothing falls due while stream time is not past it; unknown after a change. Derived.
    pub(super) quiet_until: Option<EventTime>,
    /// Stream time has moved past something that was not done yet, or nobody has looked since the state was loaded. Derived.
    pub(super) is_overdue: bool,
}

impl<R: JoinRules> AsOfJoin<R> {
    /// A join without state yet. `hold_for_ms` below zero counts as zero.
    pub fn new(rules: R, options: JoinOptions) -> AsOfJoin<R> {
        AsOfJoin {
            rules,
            options: JoinOptions { hold_for_ms: options.hold_for_ms.max(0), ..options },
            broadcast: Table::new(&STORES[0..3]),
            table: Table::new(&STORES[3..6]),
            remembered: RememberedRecords::new(STORES[6]),
            corrections: Corrections::new(STORES[7]),
            earlier: KeyValueStore::new(STORES[8]),
            part_records: PART_RECORDS,
            quiet_until: None,
            is_overdue: true,
        }
    }

    /// The records that are held now, in the order of their times.
    pub fn held(&self) -> impl Iterator<Item = Held<'_, R::Item>> {
        self.remembered.held()
    }

    fn take_item(&mut self, record: &RecordRef<'_>, context: &mut Context<'_>) -> Result<(), BadRecord> {
        let item = self.rules.read_item(record)?;
        self.finish_work(context);
        let key = self.key_if_met(&item);
        if let Some(known) = key.and_then(|key| self.remembered.get(&key)) {
            if known.item == item {
                context.duplicate(&Aside::from(record));
                return Ok(());
            }
            context.count("id-reused");
            let message = format!("{} has the same id and says something else", known.record.coordinates());
            return Err(BadRecord::new(Reason::IdReused, message));
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
        let earlier = key.and_then(|key| self.earlier.remove(&key));
        let (verdict, asked) = self.judge(&item);
        match verdict {
            Verdict::Ignore(label) => {
                context.count(label);
                self.let_go(&item, asked);
                self.void_earlier(&item, earlier, context);
            }
            verdict => {
                let key = key.unwrap_or_else(|| (item.time, self.rules.outcome_id(&item)));
                self.remember(key, item, RawRecord::from(record), (verdict, earlier), context);
            }
        }
        Ok(())
    }

    /// Ids are digests and most records are never remembered, so an id is worked out only where one could be met.
    fn key_if_met(&self, item: &JoinItem<R::Item>) -> Option<RememberedKey> {
        let is_left_behind =
            || self.earlier.range(start_of(item.time)..start_of(item.time.plus_ms(1))).next();
        let is_possible =
            self.remembered.any_at(item.time) || (!self.earlier.is_empty() && is_left_behind().is_some());
        is_possible.then(|| (item.time, self.rules.outcome_id(item)))
    }

    /// The rules' verdict as the tables stand, and whether it asked for the broadcast table and the table.
    pub(super) fn judge(&self, item: &JoinItem<R::Item>) -> (Verdict<R::Outcome>, (bool, bool)) {
        let broadcast = Lookup::of(&self.broadcast.versions, &item.broadcast_key, item.time);
        let table = Lookup::of(&self.table.versions, &item.table_key, item.time);
        let verdict = self.rules.judge(item, &broadcast, &table);
        (verdict, (broadcast.asked(), table.asked()))
    }

    fn let_go(&mut self, item: &JoinItem<R::Item>, (by_broadcast, by_table): (bool, bool)) {
        let measure = self.rules.measure(item);
        if by_broadcast {
            self.broadcast.note_let_go(&item.broadcast_key, item.time, measure);
        }
        if by_table {
            self.table.note_let_go(&item.table_key, item.time, measure);
        }
    }

    fn void_earlier(
        &mut self,
        item: &JoinItem<R::Item>,
        earlier: Option<R::Outcome>,
        context: &mut Context<'_>,
    ) {
        let Some(outcome) = earlier else { return };
        let (state, reason) = (OutcomeState::Voided, OutcomeReason::EarlierRun);
        let event = OutcomeEvent { outcome: &outcome, state, revision: 1, reason };
        Settling { rules: &self.rules, options: &self.options }.send(item, &event, context);
        context.count("voided");
    }

    /// Remembers a record after its first judgement.
    fn remember(
        &mut self,
        key: RememberedKey,
        item: JoinItem<R::Item>,
        record: RawRecord,
        (verdict, earlier): (Verdict<R::Outcome>, Option<R::Outcome>),
        context: &mut Context<'_>,
    ) {
        let reason = if earlier.is_some() { OutcomeReason::EarlierRun } else { OutcomeReason::Item };
        let (standing, counted) = (Standing::Ignored, Counted::Not);
        let mut known = Remembered { item, record, in_force: earlier, standing, revision: 0, counted };
        let settling = Settling { rules: &self.rules, options: &self.options };
        settling.settle(&mut known, verdict, reason, context);
        self.remembered.insert(key, known);
        self.quiet_until = None;
    }

    /// A table record: it may be too late for some records, and others are to be judged again.
    fn register<V: TableValue>(
        &mut self,
        of: &SideOf<R, V>,
        registration: Registration<V>,
        record: &RecordRef<'_>,
        context: &mut Context<'_>,
    ) {
        let position: TablePosition = (record.partition().partition, record.offset());
        let (key, valid_from) = (registration.key.clone(), registration.valid_from);
        let is_forgotten = self.was_forgotten(of, &key, valid_from, context.stream_time());
        let is_let_go = self.could_catch(of, &registration);
        let horizon = context.stream_time().map(|now| self.horizon(now));
        let Some(change) = (of.table)(self).versions.put(registration, position, horizon) else { return };
        self.quiet_until = None;
        let kind = match (is_forgotten, is_let_go) {
            (false, false) => None,
            (true, false) => Some("forgotten"),
            (false, true) => Some("let-go"),
            (true, true) => Some("forgotten,let-go"),
        };
        if let Some(kind) = kind {
            for (count, is_counted) in [("late-forgotten", is_forgotten), ("late-let-go", is_let_go)] {
                if is_counted {
                    context.count(count);
                }
            }
            context.late(&Aside::from(record), &[("kind", kind.to_owned())]);
        }
        // An equal value changes nothing, unless records wait to be judged by the version that it takes over from.
        if change.effective || self.corrections.has(of.side, &key) {
            let from = Bound::Included(start_of(change.from));
            if self.remembered.of_key(of.side, &key, from, change.until).next().is_some() {
                self.corrections.begin((of.side, key, valid_from));
            }
        }
    }

    /// True if a record of `key` of a time at or after `valid_from` was remembered and is not any more.
    fn was_forgotten<V: TableValue>(
        &mut self,
        of: &SideOf<R, V>,
        key: &Key,
        valid_from: EventTime,
        now: Option<EventTime>,
    ) -> bool {
        let is_noted = (of.table)(self).forgotten.get(key).is_some_and(|latest| valid_from <= *latest);
        is_noted || (self.is_overdue && now.is_some_and(|now| self.is_due(of.side, key, valid_from, now)))
    }

    /// True if a record that was let go could have an outcome now.
    fn could_catch<V: TableValue>(&mut self, of: &SideOf<R, V>, registration: &Registration<V>) -> bool {
        let valid_from = registration.valid_from;
        let let_go = (of.table)(self).let_go.get(&registration.key).copied();
        match (let_go.filter(|let_go| valid_from <= let_go.latest), &registration.value) {
            (Some(let_go), Some(value)) => (of.could_catch)(&self.rules, value, valid_from, &let_go),
            _ => false,
        }
    }

    /// Judges the records again that registrations touched, as far as `part` allows: true if more is left.
    pub(super) fn judge_again(&mut self, part: &mut Part, context: &mut Context<'_>) -> bool {
        while let Some((version, mut done)) = self.corrections.first() {
            if part.is_used_up() {
                return true;
            }
            let (side, key, valid_from) = &version;
            let decides = match side {
                Side::Broadcast => self.broadcast.versions.decides(key, *valid_from),
                Side::Table => self.table.versions.decides(key, *valid_from),
            };
            // A version that was pruned decides nothing that is remembered.
            let touched: Vec<RememberedKey> = decides.map_or(Vec::new(), |(from, until)| {
                let after = done.map_or(Bound::Included(start_of(from)), Bound::Excluded);
                self.remembered.of_key(*side, key, after, until).take(part.room()).collect()
            });
            if touched.is_empty() {
                part.spend(0);
                self.corrections.finish(&version);
                continue;
            }
            for record in touched {
                if part.is_used_up() {
                    break;
                }
                part.spend(self.judge_record_again(record, *side, context));
                done = Some(record);
            }
            if let Some(done) = done {
                self.corrections.advance(&version, done);
            }
        }
        false
    }

    fn judge_record_again(&mut self, key: RememberedKey, side: Side, context: &mut Context<'_>) -> usize {
        let Some(known) = self.remembered.get(&key) else { return 0 };
        let (verdict, _) = self.judge(&known.item);
        if known.stands_by(&verdict) {
            return 0;
        }
        let settling = Settling { rules: &self.rules, options: &self.options };
        let reason = OutcomeReason::Registration(side);
        let settled = self.remembered.change(key, |known| {
            let bytes = settling.settle(known, verdict, reason, context);
            (bytes, known.is_held())
        });
        self.quiet_until = None;
        let (bytes, is_held) = settled.unwrap_or_default();
        if !is_held {
            self.forget_if_old(key, context);
        }
        bytes
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
            let of = SideOf {
                side: Side::Broadcast,
                table: |join| &mut join.broadcast,
                could_catch: R::broadcast_could_catch,
            };
            self.register(&of, registration, record, context);
            return Ok(());
        }
        assert!(
            source == self.options.table,
            "source {source} is none of this join's: its options are wrong"
        );
        let registration = self.rules.read_table(record)?;
        let of =
            SideOf { side: Side::Table, table: |join| &mut join.table, could_catch: R::table_could_catch };
        self.register(&of, registration, record, context);
        Ok(())
    }

    fn take_earlier_output(&mut self, sink: usize, record: &RecordRef<'_>) -> Result<(), BadRecord> {
        if sink != self.options.sink {
            return Ok(());
        }
        let event = self.rules.read_earlier(record)?;
        let key = (event.time, event.id);
        match event.state {
            OutcomeState::Voided => drop(self.earlier.remove(&key)),
            OutcomeState::Issued | OutcomeState::Revised => self.earlier.put(key, event.outcome),
        }
        self.quiet_until = None;
        Ok(())
    }

    fn work_off(&mut self, context: &mut Context<'_>) -> bool {
        let mut part = Part::new(self.part_records);
        // Called behind every record of the stream: nothing is looked for while nothing can be due.
        if self.is_overdue || self.quiet_until.is_none() {
            self.is_overdue = self.catch_up(&mut part, context);
        }
        self.is_overdue || self.judge_again(&mut part, context)
    }

    fn time_moved(&mut self, context: &mut Context<'_>) {
        if self.quiet_until.is_none_or(|until| context.stream_time() > Some(until)) {
            let mut part = Part::new(self.part_records);
            self.is_overdue = self.catch_up(&mut part, context);
        }
    }

    fn input_ended(&mut self, context: &mut Context<'_>) {
        self.finish_work(context);
    }

    fn stores(&mut self) -> Vec<&mut dyn Store> {
        vec![
            &mut self.broadcast.versions,
            &mut self.broadcast.forgotten,
            &mut self.broadcast.let_go,
            &mut self.table.versions,
            &mut self.table.forgotten,
            &mut self.table.let_go,
            &mut self.remembered,
            self.corrections.store(),
            &mut self.earlier,
        ]
    }
}
