//! The join driven without a log: payments, the merchants' limits (broadcast) and the cards' owners (table).
//!
//! `scenarios` are one story per guarantee, with the numbers written out. `properties` run the join against `oracle`, which
//! keeps everything for ever and knows no index, no pruning and no state store.

mod oracle;
mod properties;
mod scenarios;

use serde::{Deserialize, Serialize};

use super::*;
use crate::Key;
use crate::error::{BadRecord, Reason};
use crate::log::{Chunk, Offset, Outgoing, RecordRef, Records, TopicPartition};
use crate::processor::{Context, Counters, Processor, Routes};
use crate::store::{Entries, SHARDS, shard_of};
use crate::time::{EventTime, StreamTime};

pub(super) const DAY: i64 = 24 * 60 * 60 * 1_000;

/// A payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Payment {
    pub card: u8,
    pub merchant: u8,
    pub time: i64,
    pub amount: i64,
    pub number: u8,
}

/// One record of one of the inputs.
#[derive(Clone, Debug)]
pub(super) enum Input {
    Merchant { key: u8, from: i64, limit: Option<i64> },
    Card { key: u8, from: i64, owner: Option<u8> },
    Payment(Payment),
}

/// An amount the rules refuse once they know the limit.
pub(super) const REFUSED: i64 = 13;

struct Payments;

fn text(record: &RecordRef<'_>) -> String {
    String::from_utf8(record.value().unwrap().to_vec()).unwrap()
}

fn registration<V: serde::de::DeserializeOwned>(
    record: &RecordRef<'_>,
) -> Result<Registration<V>, BadRecord> {
    let bad = |error: serde_json::Error| BadRecord::new(Reason::Undecodable, error.to_string());
    let (from, value) = serde_json::from_str(&text(record)).map_err(bad)?;
    Ok(Registration { key: record.key().unwrap().into(), valid_from: EventTime(from), value })
}

pub(super) fn id_of(payment: &Payment) -> OutcomeId {
    OutcomeId::of(&[&[payment.card, payment.merchant, payment.number], &payment.time.to_be_bytes()])
}

/// The result's value, for the join and the oracle alike.
pub(super) fn result(payment: &Payment, limit: i64, owner: u8) -> String {
    format!("{} by {} of {owner}, over {limit}: {}", payment.amount, payment.card, id_of(payment))
}

impl JoinRules for Payments {
    type Item = Payment;
    type Table = u8;
    type Broadcast = i64;

    fn read_item(&mut self, record: &RecordRef<'_>) -> Result<JoinItem<Payment>, BadRecord> {
        let item: Payment = serde_json::from_str(&text(record))
            .map_err(|error| BadRecord::new(Reason::Undecodable, error.to_string()))?;
        let (broadcast_key, table_key) =
            (Key::from([item.merchant].as_slice()), Key::from([item.card].as_slice()));
        Ok(JoinItem { time: EventTime(item.time), broadcast_key, table_key, item })
    }

    fn read_table(&mut self, record: &RecordRef<'_>) -> Result<Registration<u8>, BadRecord> {
        registration(record)
    }

    fn read_broadcast(&mut self, record: &RecordRef<'_>) -> Result<Registration<i64>, BadRecord> {
        registration(record)
    }

    fn outcome_id(&self, item: &JoinItem<Payment>) -> OutcomeId {
        id_of(&item.item)
    }

    fn judge(
        &self,
        item: &JoinItem<Payment>,
        broadcast: &Lookup<'_, i64>,
        table: &Lookup<'_, u8>,
    ) -> Verdict {
        let payment = &item.item;
        let Some(limit) = broadcast.get() else { return Verdict::Missing(Side::Broadcast) };
        if payment.amount == REFUSED {
            return Verdict::Bad(BadRecord::new(Reason::Rule, "refused"));
        }
        if payment.amount <= *limit {
            return Verdict::Ignore("small");
        }
        let Some(owner) = table.get() else { return Verdict::Missing(Side::Table) };
        Verdict::Emit { key: item.table_key.clone(), value: result(payment, *limit, *owner).into_bytes() }
    }
}

#[derive(Default)]
struct Kept(Vec<(Vec<u8>, Option<Vec<u8>>)>);

impl Entries for Kept {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.0.push((key.to_vec(), Some(value.to_vec())));
    }
    fn delete(&mut self, key: &[u8]) {
        self.0.push((key.to_vec(), None));
    }
}

/// What a changelog holds: per store, deltas, and per shard the newest snapshot with the number of deltas it replaces.
#[derive(Default)]
struct StoreLog {
    deltas: Vec<Kept>,
    snapshots: Vec<Option<(usize, Kept)>>,
}

/// A task's worth of everything around the join.
pub(super) struct Driver {
    options: JoinOptions,
    running: AsOfJoin<Payments>,
    routes: Routes,
    clock: StreamTime,
    pub counters: Counters,
    outgoing: Outgoing,
    offsets: [i64; 3],
    changelog: Vec<StoreLog>,
}

impl Driver {
    pub(super) fn new(hold_for_ms: i64) -> Driver {
        let options = JoinOptions { hold_for_ms, ..JoinOptions::default() };
        let running = AsOfJoin::new(Payments, options);
        let routes = Routes {
            partition: 0,
            sinks: vec![("results".into(), 1)],
            dead_letters: "dead".into(),
            late: "late".into(),
            duplicates: "duplicates".into(),
        };
        let changelog = STORES.map(|_| StoreLog::default()).into();
        let (clock, counters, outgoing) = Default::default();
        Driver { options, running, routes, clock, counters, outgoing, offsets: [0; 3], changelog }
    }

    pub(super) fn feed(&mut self, input: &Input) {
        let (source, topic, key, time, value) = match input {
            Input::Merchant { key, from, limit } => (0, "merchants", key, from, json(&(from, limit))),
            Input::Card { key, from, owner } => (1, "cards", key, from, json(&(from, owner))),
            Input::Payment(payment) => (2, "payments", &payment.card, &payment.time, json(payment)),
        };
        self.feed_raw(source, topic, *key, *time, value.as_bytes());
    }

    pub(super) fn feed_raw(&mut self, source: usize, topic: &str, key: u8, time: i64, value: &[u8]) {
        let mut records = Records::default();
        records.push(EventTime(time), Some(&[key]), Some(value), &[]);
        let offset = Offset(self.offsets[source]);
        self.offsets[source] += 1;
        let chunk = Chunk::contiguous(TopicPartition::new(topic, 0), offset, offset, records, offset.next());
        let mut context = Context::new(&self.routes, &mut self.clock, &mut self.counters, &mut self.outgoing);
        if let Err(bad) = self.running.process(source, &chunk.record(0), &mut context) {
            context.dead_letter(&(&chunk.record(0)).into(), &bad);
        }
    }

    /// Idle time passes.
    pub(super) fn idle_until(&mut self, time: i64) {
        self.clock.observe(EventTime(time));
        let mut context = Context::new(&self.routes, &mut self.clock, &mut self.counters, &mut self.outgoing);
        self.running.time_moved(&mut context);
    }

    pub(super) fn held(&self) -> Vec<i64> {
        self.running.held().iter().map(|held| held.item.time.0).collect()
    }

    /// Writes what changed, and one shard's snapshot.
    pub(super) fn commit(&mut self) {
        for (store, log) in self.running.stores().into_iter().zip(&mut self.changelog) {
            let mut delta = Kept::default();
            store.drain_changes(&mut delta);
            log.deltas.push(delta);
            let shard = log.deltas.len() as u32 % SHARDS;
            let mut snapshot = Kept::default();
            store.snapshot(shard, &mut snapshot);
            log.snapshots.resize_with(SHARDS as usize, || None);
            log.snapshots[shard as usize] = Some((log.deltas.len(), snapshot));
        }
    }

    /// Drops the state and brings it back: per shard the newest snapshot, then the deltas after it.
    pub(super) fn restart(&mut self) {
        self.commit();
        self.running = AsOfJoin::new(Payments, self.options);
        for (store, log) in self.running.stores().into_iter().zip(&self.changelog) {
            for shard in 0..SHARDS {
                let (replaced, snapshot) = match &log.snapshots[shard as usize] {
                    Some((replaced, snapshot)) => (*replaced, snapshot.0.as_slice()),
                    None => (0, [].as_slice()),
                };
                store.clear(shard);
                let later = log.deltas[replaced..].iter().flat_map(|delta| &delta.0);
                for (key, value) in snapshot.iter().chain(later.filter(|(key, _)| shard_of(key) == shard)) {
                    store.load(key, value.as_deref()).unwrap();
                }
            }
        }
    }

    /// What stands in a topic, a line per record: the value of a result, else the origin and what was said of it.
    pub(super) fn lines(&self, topic: &str) -> Vec<String> {
        let batches = self.outgoing.batches().filter(|(to, _)| *to.topic == *topic);
        let line = |records: &Records, index: usize| match topic {
            "results" => String::from_utf8(records.value(index).unwrap().to_vec()).unwrap(),
            _ => {
                let said =
                    records.headers(index).map(|(_, value)| String::from_utf8(value.to_vec()).unwrap());
                said.collect::<Vec<_>>().join("; ")
            }
        };
        batches
            .flat_map(|(_, records)| (0..records.len()).map(|index| line(records, index)).collect::<Vec<_>>())
            .collect()
    }
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap()
}
