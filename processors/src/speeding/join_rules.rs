//! Readings, radars and vehicles, as the join asks for them.
//!
//! Promise: an infraction follows from its reading, the radar as of the reading's time, the vehicle as of the reading's
//! time, and the schedule; from nothing else.

use std::fmt::Display;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_runtime::avro::{Decoder, Encoder};
use tidegate_runtime::join::{JoinItem, JoinRules, Lookup, OutcomeId, Registration, Side, Verdict};
use tidegate_runtime::log::RecordRef;
use tidegate_runtime::quote::quoted;
use tidegate_runtime::time::EventTime;
use tidegate_runtime::{BadRecord, Key, Reason};
use tidegate_schemas::{InfractionState, RadarEvent, RadarEventKind, RadarKind, VehicleEventKind};

use super::schedule::{Offence, Schedule};

/// A [`Reading`](tidegate_schemas::Reading) whose text stays in its record.
#[derive(Deserialize)]
#[serde(rename = "Reading")]
struct Seen<'v> {
    radar_id: &'v str,
    sequence: i64,
    plate: &'v str,
    measured_at: i64,
    speed_kmh: i32,
}

/// A [`VehicleEvent`](tidegate_schemas::VehicleEvent) whose text stays in its record.
#[derive(Deserialize)]
#[serde(rename = "VehicleEvent")]
struct Told<'v> {
    plate: &'v str,
    kind: VehicleEventKind,
    owner_id: &'v str,
    valid_from: i64,
}

/// An [`Infraction`](tidegate_schemas::Infraction) whose text stays where it is known from.
#[derive(Serialize)]
#[serde(rename = "Infraction")]
struct Fined<'s> {
    infraction_id: &'s str,
    radar_id: &'s str,
    plate: &'s str,
    owner_id: &'s str,
    measured_at: i64,
    measured_speed_kmh: i32,
    retained_speed_kmh: i32,
    speed_limit_kmh: i32,
    excess_kmh: i32,
    fine_minor: i64,
    currency: &'s str,
    points: i32,
    rule: &'s str,
    revision: i32,
    state: InfractionState,
    reason: &'s str,
}

/// What of a reading is not in its keys and time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Measured {
    sequence: i64,
    speed_kmh: i32,
}

/// What of a radar decides: a radar that only gets another place changes no judgement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Enforced {
    pub(super) kind: RadarKind,
    pub(super) limit_kmh: i32,
}

pub(super) struct SpeedingRules {
    pub(super) decoder: Decoder,
    pub(super) infractions: Arc<Encoder>,
    pub(super) schedule: Arc<Schedule>,
    pub(super) max_event_time: EventTime,
}

/// The id of a reading's infraction: the first 16 bytes, as 32 hexadecimal digits, of the SHA-256 over radar, time, plate
/// and sequence, in this order. Each is preceded by its length in bytes as four bytes; texts are UTF-8, time (UTC
/// milliseconds) and sequence are eight bytes; all numbers big-endian.
#[must_use]
pub fn infraction_id(radar_id: &str, measured_at: i64, plate: &str, sequence: i64) -> String {
    id(radar_id.as_bytes(), EventTime(measured_at), plate.as_bytes(), sequence).to_string()
}

fn id(radar: &[u8], time: EventTime, plate: &[u8], sequence: i64) -> OutcomeId {
    OutcomeId::of(&[radar, &time.0.to_be_bytes(), plate, &sequence.to_be_bytes()])
}

impl SpeedingRules {
    /// An event time within its bounds (law 14).
    fn event_time(&self, field: &str, ms: i64) -> Result<EventTime, BadRecord> {
        let time = EventTime(ms);
        if (EventTime(0)..=self.max_event_time).contains(&time) {
            return Ok(time);
        }
        let most = self.max_event_time;
        Err(BadRecord::new(Reason::EventTime, format!("{field} `{ms}` is before 1970 or past {most}")))
    }

    /// The value of an infraction's record.
    fn infraction(
        &self,
        item: &JoinItem<Measured>,
        limit_kmh: i32,
        owner: &[u8],
        offence: &Offence<'_>,
    ) -> Vec<u8> {
        let infraction = Fined {
            infraction_id: &self.outcome_id(item).to_string(),
            radar_id: &String::from_utf8_lossy(&item.broadcast_key),
            plate: &String::from_utf8_lossy(&item.table_key),
            owner_id: &String::from_utf8_lossy(owner),
            measured_at: item.time.0,
            measured_speed_kmh: item.item.speed_kmh,
            retained_speed_kmh: offence.retained_kmh,
            speed_limit_kmh: limit_kmh,
            excess_kmh: offence.excess_kmh,
            fine_minor: offence.bracket.fine_minor,
            currency: offence.currency,
            points: offence.bracket.points,
            rule: &offence.bracket.rule,
            revision: 1,
            state: InfractionState::Issued,
            reason: "reading",
        };
        let mut value = Vec::new();
        self.infractions
            .encode(&infraction, &mut value)
            .expect("it has the fields of its schema: the tests of speeding write it");
        value
    }
}

/// The record's key, if it is the value's: under another key it would stand in another partition, and its task would hold neither
/// its table nor its earlier copies.
fn same_key(record: &RecordRef<'_>, field: &str, value: &str) -> Result<Key, BadRecord> {
    let Some(key) = record.key() else {
        return Err(BadRecord::new(
            Reason::NullKey,
            format!("the record has no key; its {field} is {}", quoted(value)),
        ));
    };
    if key != value.as_bytes() {
        return Err(refused(format!("key {} is not the {field}, {}", quoted(key), quoted(value))));
    }
    Ok(Key::from(key))
}

fn refused(message: impl Display) -> BadRecord {
    BadRecord::new(Reason::Rule, message.to_string())
}

impl JoinRules for SpeedingRules {
    type Item = Measured;
    /// The owner's id: the key of the topic of owners.
    type Table = Key;
    type Broadcast = Enforced;

    fn read_item(&mut self, record: &RecordRef<'_>) -> Result<JoinItem<Measured>, BadRecord> {
        let reading: Seen<'_> = self.decoder.decode(record.value())?;
        let time = self.event_time("measured_at", reading.measured_at)?;
        let table_key = same_key(record, "plate", reading.plate)?;
        if reading.speed_kmh < 0 {
            return Err(refused(format!("speed_kmh `{}` is below 0", reading.speed_kmh)));
        }
        if self.schedule.at(time).is_none() {
            let (name, begins) = (&self.schedule.name, self.schedule.begins());
            return Err(refused(format!(
                "measured_at `{time}` is before {begins}, where schedule `{name}` begins"
            )));
        }
        let item = Measured { sequence: reading.sequence, speed_kmh: reading.speed_kmh };
        Ok(JoinItem { time, broadcast_key: Key::from(reading.radar_id), table_key, item })
    }

    fn read_table(&mut self, record: &RecordRef<'_>) -> Result<Registration<Key>, BadRecord> {
        let event: Told<'_> = self.decoder.decode(record.value())?;
        let valid_from = self.event_time("valid_from", event.valid_from)?;
        let key = same_key(record, "plate", event.plate)?;
        let value = match event.kind {
            VehicleEventKind::Deregistered => None,
            VehicleEventKind::Registered | VehicleEventKind::Transferred => Some(Key::from(event.owner_id)),
        };
        if value.as_ref().is_some_and(|owner| owner.is_empty()) {
            return Err(refused("owner_id is empty"));
        }
        Ok(Registration { key, valid_from, value })
    }

    fn read_broadcast(&mut self, record: &RecordRef<'_>) -> Result<Registration<Enforced>, BadRecord> {
        let event: RadarEvent = self.decoder.decode(record.value())?;
        let valid_from = self.event_time("valid_from", event.valid_from)?;
        let key = same_key(record, "radar_id", &event.radar_id)?;
        let value = match event.kind {
            RadarEventKind::Removed => None,
            RadarEventKind::Installed | RadarEventKind::Changed if event.speed_limit_kmh < 1 => {
                return Err(refused(format!("speed_limit_kmh `{}` is below 1", event.speed_limit_kmh)));
            }
            RadarEventKind::Installed | RadarEventKind::Changed => {
                Some(Enforced { kind: event.radar_kind, limit_kmh: event.speed_limit_kmh })
            }
        };
        Ok(Registration { key, valid_from, value })
    }

    fn outcome_id(&self, item: &JoinItem<Measured>) -> OutcomeId {
        id(&item.broadcast_key, item.time, &item.table_key, item.item.sequence)
    }

    fn judge(
        &self,
        item: &JoinItem<Measured>,
        radar: &Lookup<'_, Enforced>,
        vehicle: &Lookup<'_, Key>,
    ) -> Verdict {
        let Some(radar) = radar.get() else { return Verdict::Missing(Side::Broadcast) };
        let Some(period) = self.schedule.at(item.time) else {
            return Verdict::Bad(refused("it is from before the schedule begins"));
        };
        let Some(offence) = period.judge(radar.kind, item.item.speed_kmh, radar.limit_kmh) else {
            return Verdict::Ignore("under-limit");
        };
        let Some(owner) = vehicle.get() else { return Verdict::Missing(Side::Table) };
        let value = self.infraction(item, radar.limit_kmh, owner, &offence);
        Verdict::Emit { key: item.table_key.clone(), value }
    }

    fn name_missing(&self, side: Side, key: &[u8]) -> String {
        match side {
            Side::Broadcast => format!("radar {}", quoted(key)),
            Side::Table => format!("vehicle {}", quoted(key)),
        }
    }
}
