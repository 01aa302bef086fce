//! Readings, radars and vehicles, as the join asks for them.
//!
//! Guarantees: an infraction follows from its reading, the radar as of the reading's time, the vehicle as of the reading's
//! time, and the schedule; from nothing else.

use std::fmt::Display;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_runtime::avro::{Decoder, Encoder};
use tidegate_runtime::join::{
    EarlierEvent, JoinItem, JoinRules, LetGo, Lookup, OutcomeEvent, OutcomeId, OutcomeReason, OutcomeState,
    Registration, Side, Verdict,
};
use tidegate_runtime::log::RecordRef;
use tidegate_runtime::quote::quoted;
use tidegate_runtime::time::EventTime;
use tidegate_runtime::{BadRecord, Key, Reason};
use tidegate_schemas::{
    InfractionState, RadarEvent, RadarEventFields, RadarEventKind, RadarKind, ReadingFields,
    VehicleEventFields, VehicleEventKind,
};

use super::schedule::{BracketPlace, Schedule};
use crate::invalid::bad_record;

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
#[derive(Serialize, Deserialize)]
#[serde(rename = "Infraction")]
struct InfractionRef<'s> {
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
    // Version 1 did not carry these: its infractions were issued once.
    #[serde(default)]
    revision: i32,
    #[serde(default = "issued")]
    state: InfractionState,
    #[serde(default)]
    reason: &'s str,
}

fn issued() -> InfractionState {
    InfractionState::Issued
}

/// What of a reading is not in its keys and time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Measured {
    sequence: i64,
    speed_kmh: i32,
}

/// What is in force for a reading over the limit, beside what the reading says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct InForce {
    owner_id: Key,
    measured_kmh: i32,
    retained_kmh: i32,
    limit_kmh: i32,
    penalty: Penalty,
}

/// Where fine and points stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Penalty {
    /// In the schedule: it is the same one for as long as the state is kept.
    Bracket(BracketPlace),
    /// In an event of an earlier run, which may have had another schedule.
    Earlier(Box<EarlierPenalty>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct EarlierPenalty {
    fine_minor: i64,
    currency: String,
    points: i32,
    rule: String,
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

/// What an event of the join is called in an infraction.
fn state_and_reason(state: OutcomeState, reason: OutcomeReason) -> (InfractionState, &'static str) {
    let state = match state {
        OutcomeState::Issued => InfractionState::Issued,
        OutcomeState::Revised => InfractionState::Revised,
        OutcomeState::Voided => InfractionState::Voided,
    };
    let reason = match reason {
        OutcomeReason::Item => "reading",
        OutcomeReason::Registration(Side::Broadcast) => "radar",
        OutcomeReason::Registration(Side::Table) => "vehicle",
        OutcomeReason::EarlierRun => "earlier-run",
    };
    (state, reason)
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
    type Outcome = InForce;
    /// The measured speed in km/h.
    type Measure = i32;

    fn read_item(&mut self, record: &RecordRef<'_>) -> Result<JoinItem<Measured>, BadRecord> {
        let reading: Seen<'_> = self.decoder.decode(record.value())?;
        let Seen { measured_at, speed_kmh, .. } = reading;
        let fields = ReadingFields { measured_at, speed_kmh: speed_kmh.into() };
        fields.judge(self.max_event_time.0).map_err(bad_record)?;
        let time = EventTime(measured_at);
        let table_key = same_key(record, "plate", reading.plate)?;
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
        let fields = VehicleEventFields {
            in_force: event.kind != VehicleEventKind::Deregistered,
            owner_id: event.owner_id.as_bytes(),
            valid_from: event.valid_from,
        };
        fields.judge(self.max_event_time.0).map_err(bad_record)?;
        let valid_from = EventTime(event.valid_from);
        let key = same_key(record, "plate", event.plate)?;
        let value = match event.kind {
            VehicleEventKind::Deregistered => None,
            VehicleEventKind::Registered | VehicleEventKind::Transferred => Some(Key::from(event.owner_id)),
        };
        Ok(Registration { key, valid_from, value })
    }

    fn read_broadcast(&mut self, record: &RecordRef<'_>) -> Result<Registration<Enforced>, BadRecord> {
        let event: RadarEvent = self.decoder.decode(record.value())?;
        let fields = RadarEventFields {
            in_force: event.kind != RadarEventKind::Removed,
            speed_limit_kmh: event.speed_limit_kmh.into(),
            valid_from: event.valid_from,
        };
        fields.judge(self.max_event_time.0).map_err(bad_record)?;
        let valid_from = EventTime(event.valid_from);
        let key = same_key(record, "radar_id", &event.radar_id)?;
        let value = match event.kind {
            RadarEventKind::Removed => None,
            RadarEventKind::Installed | RadarEventKind::Changed => {
                Some(Enforced { kind: event.radar_kind, limit_kmh: event.speed_limit_kmh })
            }
        };
        Ok(Registration { key, valid_from, value })
    }

    fn read_earlier(&mut self, record: &RecordRef<'_>) -> Result<EarlierEvent<InForce>, BadRecord> {
        let read: InfractionRef<'_> = self.decoder.decode(record.value())?;
        let id = OutcomeId::parse(read.infraction_id)
            .ok_or_else(|| refused(format!("infraction_id `{}` is none", read.infraction_id)))?;
        let state = match read.state {
            InfractionState::Issued => OutcomeState::Issued,
            InfractionState::Revised => OutcomeState::Revised,
            InfractionState::Voided => OutcomeState::Voided,
        };
        let outcome = InForce {
            owner_id: Key::from(read.owner_id),
            measured_kmh: read.measured_speed_kmh,
            retained_kmh: read.retained_speed_kmh,
            limit_kmh: read.speed_limit_kmh,
            penalty: Penalty::Earlier(Box::new(EarlierPenalty {
                fine_minor: read.fine_minor,
                currency: read.currency.to_owned(),
                points: read.points,
                rule: read.rule.to_owned(),
            })),
        };
        Ok(EarlierEvent { time: EventTime(read.measured_at), id, outcome, state })
    }

    fn outcome_id(&self, item: &JoinItem<Measured>) -> OutcomeId {
        id(&item.broadcast_key, item.time, &item.table_key, item.item.sequence)
    }

    fn judge(
        &self,
        item: &JoinItem<Measured>,
        radar: &Lookup<'_, Enforced>,
        vehicle: &Lookup<'_, Key>,
    ) -> Verdict<InForce> {
        let Some(radar) = radar.get() else { return Verdict::Missing(Side::Broadcast) };
        let measured_kmh = item.item.speed_kmh;
        // A reading from before the schedule was refused when it was read.
        let period = self.schedule.at(item.time);
        let offence = period.and_then(|period| period.judge(radar.kind, measured_kmh, radar.limit_kmh));
        let Some(offence) = offence else { return Verdict::Ignore("under-limit") };
        let Some(owner) = vehicle.get() else { return Verdict::Missing(Side::Table) };
        Verdict::Emit(InForce {
            owner_id: owner.clone(),
            measured_kmh,
            retained_kmh: offence.retained_kmh,
            limit_kmh: radar.limit_kmh,
            penalty: Penalty::Bracket(self.schedule.place_of(item.time, &offence)),
        })
    }

    fn encode(&self, item: &JoinItem<Measured>, event: &OutcomeEvent<'_, InForce>) -> (Key, Vec<u8>) {
        let InForce { owner_id, measured_kmh, retained_kmh, limit_kmh, penalty } = event.outcome;
        let (fine_minor, currency, points, rule) = match penalty {
            Penalty::Bracket(place) => {
                let (period, bracket) = self.schedule.bracket(*place);
                (bracket.fine_minor, &*period.currency, bracket.points, &*bracket.rule)
            }
            Penalty::Earlier(said) => (said.fine_minor, &*said.currency, said.points, &*said.rule),
        };
        let (state, reason) = state_and_reason(event.state, event.reason);
        let infraction = InfractionRef {
            infraction_id: &self.outcome_id(item).to_string(),
            radar_id: &String::from_utf8_lossy(&item.broadcast_key),
            plate: &String::from_utf8_lossy(&item.table_key),
            owner_id: &String::from_utf8_lossy(owner_id),
            measured_at: item.time.0,
            measured_speed_kmh: *measured_kmh,
            retained_speed_kmh: *retained_kmh,
            speed_limit_kmh: *limit_kmh,
            excess_kmh: retained_kmh.saturating_sub(*limit_kmh),
            fine_minor,
            currency,
            points,
            rule,
            revision: i32::try_from(event.revision).unwrap_or(i32::MAX),
            state,
            reason,
        };
        let mut value = Vec::new();
        self.infractions
            .encode(&infraction, &mut value)
            .expect("it has the fields of its schema: the tests of speeding write it");
        (item.table_key.clone(), value)
    }

    fn measure(&self, item: &JoinItem<Measured>) -> i32 {
        item.item.speed_kmh
    }

    /// Margins differ between periods and need not grow with the speed: any reading up to the fastest one counts, in any period.
    fn broadcast_could_catch(&self, radar: &Enforced, valid_from: EventTime, let_go: &LetGo<i32>) -> bool {
        let mut periods = self.schedule.between(valid_from, let_go.latest);
        periods.any(|period| period.most_retained_kmh(radar.kind, let_go.greatest) > radar.limit_kmh)
    }

    /// A reading is let go without a look at its vehicle.
    fn table_could_catch(&self, _owner: &Key, _valid_from: EventTime, _let_go: &LetGo<i32>) -> bool {
        false
    }

    fn name_missing(&self, side: Side, key: &[u8]) -> String {
        match side {
            Side::Broadcast => format!("radar {}", quoted(key)),
            Side::Table => format!("vehicle {}", quoted(key)),
        }
    }
}
