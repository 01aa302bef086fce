//! Twins of the road authority's records.

use serde::{Deserialize, Serialize};

use crate::validity::{Invalid, event_time, rule};

/// No vehicle on a street is faster: a greater speed is a damaged reading.
pub const MAX_SPEED_KMH: i32 = 400;

/// One vehicle passing one radar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The radar that measured.
    pub radar_id: String,
    /// The radar's own counter: tells two readings of one millisecond apart.
    pub sequence: i64,
    /// The vehicle's plate, as read.
    pub plate: String,
    /// When it passed, in UTC milliseconds; the event time.
    pub measured_at: i64,
    /// Measured speed, before any margin.
    pub speed_kmh: i32,
}

/// What of a [`Reading`] decides whether it is valid.
#[derive(Clone, Copy, Debug)]
pub struct ReadingFields {
    /// When the vehicle passed.
    pub measured_at: i64,
    /// Measured speed.
    pub speed_kmh: i64,
}

impl ReadingFields {
    /// Judges the reading.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn judge(&self, max_event_time_ms: i64) -> Result<(), Invalid> {
        event_time("measured_at", self.measured_at, max_event_time_ms)?;
        let speed = || self.speed_kmh.to_string().into_bytes();
        rule(self.speed_kmh >= 0, "speed_kmh", speed, "below 0")?;
        rule(self.speed_kmh <= i64::from(MAX_SPEED_KMH), "speed_kmh", speed, "above 400")
    }
}

/// What happened to a radar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RadarEventKind {
    /// It measures from now on.
    Installed,
    /// Its limit, kind or place is another.
    Changed,
    /// It is gone: a later reading of it is one of an unknown radar.
    Removed,
}

/// How a radar stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RadarKind {
    /// On a post.
    Fixed,
    /// In or on a vehicle: some schedules grant it a wider margin.
    Mobile,
}

/// A change to a radar, valid from a moment on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RadarEvent {
    /// Which radar.
    pub radar_id: String,
    /// What happened.
    pub kind: RadarEventKind,
    /// How it stands.
    pub radar_kind: RadarKind,
    /// The limit it enforces.
    pub speed_limit_kmh: i32,
    /// Where it stands, for people.
    pub place: String,
    /// From when on, in UTC milliseconds; the event time.
    pub valid_from: i64,
}

/// What of a [`RadarEvent`] decides whether it is valid.
#[derive(Clone, Copy, Debug)]
pub struct RadarEventFields {
    /// False if the radar is removed: then its limit means nothing.
    pub in_force: bool,
    /// The limit it enforces.
    pub speed_limit_kmh: i64,
    /// From when on.
    pub valid_from: i64,
}

impl RadarEventFields {
    /// Judges the event.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn judge(&self, max_event_time_ms: i64) -> Result<(), Invalid> {
        event_time("valid_from", self.valid_from, max_event_time_ms)?;
        let limit = || self.speed_limit_kmh.to_string().into_bytes();
        rule(!self.in_force || self.speed_limit_kmh >= 1, "speed_limit_kmh", limit, "below 1")
    }
}

/// What happened to a vehicle's registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum VehicleEventKind {
    /// It has a plate and an owner.
    Registered,
    /// It has another owner.
    Transferred,
    /// Its plate is no longer in use.
    Deregistered,
}

/// A change to a vehicle's registration, valid from a moment on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VehicleEvent {
    /// Which vehicle.
    pub plate: String,
    /// What happened.
    pub kind: VehicleEventKind,
    /// The owner from then on; of a deregistered vehicle, the last.
    pub owner_id: String,
    /// From when on, in UTC milliseconds; the event time.
    pub valid_from: i64,
}

/// What of a [`VehicleEvent`] decides whether it is valid.
#[derive(Clone, Copy, Debug)]
pub struct VehicleEventFields<'v> {
    /// False if the vehicle is deregistered: then it has no owner.
    pub in_force: bool,
    /// The owner from then on.
    pub owner_id: &'v [u8],
    /// From when on.
    pub valid_from: i64,
}

impl VehicleEventFields<'_> {
    /// Judges the event.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn judge(&self, max_event_time_ms: i64) -> Result<(), Invalid> {
        event_time("valid_from", self.valid_from, max_event_time_ms)?;
        rule(!self.in_force || !self.owner_id.is_empty(), "owner_id", Vec::new, "empty")
    }
}

/// What happened to an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OwnerEventKind {
    /// First known.
    Registered,
    /// Another name or address.
    Changed,
    /// Erased: the read store no longer shows a name for them.
    Removed,
}

/// A change to an owner: the only record with personal data in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerEvent {
    /// Which owner.
    pub owner_id: String,
    /// What happened.
    pub kind: OwnerEventKind,
    /// The owner's name; empty in [`Removed`](OwnerEventKind::Removed).
    pub name: String,
    /// The owner's address in one line; empty in [`Removed`](OwnerEventKind::Removed).
    pub address: String,
    /// From when on, in UTC milliseconds; the event time.
    pub valid_from: i64,
}

/// A judged reading over the limit. It names its owner by id only, so that a person can be erased without touching it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Infraction {
    /// Made from the content of the reading: the same reading, the same id (law 12).
    pub infraction_id: String,
    /// The radar that measured.
    pub radar_id: String,
    /// The vehicle.
    pub plate: String,
    /// The owner when it was measured.
    pub owner_id: String,
    /// When it was measured, in UTC milliseconds; the event time.
    pub measured_at: i64,
    /// Measured speed.
    pub measured_speed_kmh: i32,
    /// Measured speed less the margin.
    pub retained_speed_kmh: i32,
    /// The limit then.
    pub speed_limit_kmh: i32,
    /// Retained speed less the limit; above 0.
    pub excess_kmh: i32,
    /// The fine in minor units of `currency`.
    pub fine_minor: i64,
    /// ISO 4217 code of the fine.
    pub currency: String,
    /// Points taken off the licence.
    pub points: i32,
    /// Which bracket of which schedule decided.
    pub rule: String,
    /// 1 for the first event of this id in a run, then one more for each. The last event of an id counts, whatever its revision.
    #[serde(default = "first_revision")]
    pub revision: i32,
    /// Whether it is in force.
    #[serde(default)]
    pub state: InfractionState,
    /// The cause of this event: `reading`, `radar`, `vehicle` or `earlier-run`.
    #[serde(default = "first_reason")]
    pub reason: String,
}

/// Version 1 did not carry a revision, a state and a reason: its infractions were issued once.
fn first_revision() -> i32 {
    1
}

fn first_reason() -> String {
    "reading".to_owned()
}

/// Whether an infraction is in force (law 18).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InfractionState {
    /// In force; nothing was in force before.
    #[default]
    Issued,
    /// In force instead of what was before.
    Revised,
    /// Nothing is in force any more. The other fields repeat what was.
    Voided,
}
