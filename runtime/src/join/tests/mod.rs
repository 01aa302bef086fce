//! The join driven without a log: readings, the limits of gates (broadcast) and the owners of wagons (table).
//!
//! `task` hosts the operator as a worker does: in steps that read the tables first, with commits, kills and resets. `cases` are the named
//! cases of laws 12, 18 and 19. `worlds` plays random interleavings against `oracle`, which sees all input before it decides anything and shares no
//! code with the operator. `stories` has one test per guarantee that these do not reach, with the numbers written out.

mod cases;
mod oracle;
mod stories;
mod task;
mod worlds;

use std::cell::Cell;

use serde::{Deserialize, Serialize};

use super::*;
use crate::Key;
use crate::error::{BadRecord, Reason};
use crate::log::RecordRef;
use crate::time::EventTime;

pub(super) const DAY: i64 = 24 * 60 * 60 * 1_000;

/// Inputs are known by number: the readings, two partitions of gates, one of wagons.
pub(super) const READINGS: usize = 0;
pub(super) const TABLES: [usize; 3] = [1, 2, 3];

/// A reading. Times are days.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Reading {
    pub(super) gate: char,
    pub(super) tag: char,
    pub(super) time: i64,
    pub(super) sequence: u8,
    pub(super) speed: i64,
}

impl Reading {
    pub(super) fn id(&self) -> OutcomeId {
        let text = format!("{} {} {} {}", self.gate, self.tag, self.time, self.sequence);
        OutcomeId::of(&[text.as_bytes()])
    }
}

/// From `from` on, the gate `key` has a limit, or the wagon `key` an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Registered {
    pub(super) key: char,
    pub(super) from: i64,
    pub(super) value: Option<i64>,
}

/// What a speeder gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fined {
    pub(super) owner: i64,
    pub(super) speed: i64,
    pub(super) limit: i64,
    pub(super) fine: i64,
}

/// A record of the output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) reading: Reading,
    pub(super) state: OutcomeState,
    pub(super) revision: u32,
    pub(super) reason: OutcomeReason,
    pub(super) fined: Fined,
}

pub(super) struct Fines;

thread_local! {
    /// How often this thread has judged a reading.
    pub(super) static JUDGED: Cell<u64> = const { Cell::new(0) };
}

fn value<'r, T: Deserialize<'r>>(record: &RecordRef<'r>) -> Result<T, BadRecord> {
    let bad = |error: serde_json::Error| BadRecord::new(Reason::Undecodable, error.to_string());
    serde_json::from_slice(record.value().unwrap_or_default()).map_err(bad)
}

fn registration(record: &RecordRef<'_>) -> Result<Registration<i64>, BadRecord> {
    let (days, value): (i64, Option<i64>) = value(record)?;
    Ok(Registration { key: record.key().unwrap().into(), valid_from: EventTime(days * DAY), value })
}

pub(super) fn bytes_of(key: char) -> [u8; 1] {
    [u8::try_from(key).unwrap()]
}

impl JoinRules for Fines {
    type Item = Reading;
    type Table = i64;
    type Broadcast = i64;
    type Outcome = Fined;
    type Measure = i64;

    fn read_item(&mut self, record: &RecordRef<'_>) -> Result<JoinItem<Reading>, BadRecord> {
        let item: Reading = value(record)?;
        let (broadcast_key, table_key) =
            (Key::from(bytes_of(item.gate).as_slice()), Key::from(bytes_of(item.tag).as_slice()));
        Ok(JoinItem { time: EventTime(item.time * DAY), broadcast_key, table_key, item })
    }

    fn read_table(&mut self, record: &RecordRef<'_>) -> Result<Registration<i64>, BadRecord> {
        registration(record)
    }

    fn read_broadcast(&mut self, record: &RecordRef<'_>) -> Result<Registration<i64>, BadRecord> {
        registration(record)
    }

    fn read_earlier(&mut self, record: &RecordRef<'_>) -> Result<EarlierEvent<Fined>, BadRecord> {
        let told: Told = value(record)?;
        let time = EventTime(told.reading.time * DAY);
        Ok(EarlierEvent { time, id: told.reading.id(), outcome: told.fined, state: told.state })
    }

    fn outcome_id(&self, item: &JoinItem<Reading>) -> OutcomeId {
        item.item.id()
    }

    fn judge(
        &self,
        item: &JoinItem<Reading>,
        limit: &Lookup<'_, i64>,
        owner: &Lookup<'_, i64>,
    ) -> Verdict<Fined> {
        JUDGED.set(JUDGED.get() + 1);
        let speed = item.item.speed;
        let Some(&limit) = limit.get() else { return Verdict::Missing(Side::Broadcast) };
        if speed <= limit {
            return Verdict::Ignore("under-limit");
        }
        let Some(&owner) = owner.get() else { return Verdict::Missing(Side::Table) };
        Verdict::Emit(Fined { owner, speed, limit, fine: if speed - limit >= 20 { 135 } else { 68 } })
    }

    fn encode(&self, item: &JoinItem<Reading>, event: &OutcomeEvent<'_, Fined>) -> (Key, Vec<u8>) {
        let told = Told {
            reading: item.item.clone(),
            state: event.state,
            revision: event.revision,
            reason: event.reason,
            fined: event.outcome.clone(),
        };
        (item.table_key.clone(), serde_json::to_vec(&told).unwrap())
    }

    fn measure(&self, item: &JoinItem<Reading>) -> i64 {
        item.item.speed
    }

    fn broadcast_could_catch(&self, limit: &i64, _valid_from: EventTime, let_go: &LetGo<i64>) -> bool {
        *limit < let_go.greatest
    }
}
