//! What became of each reading, worked out again from the registries as they stand at the end. Of the infractions those in force are compared:
//! the last event of each id, unless it voids.
//!
//! Plain lists and linear searches, and the rules of the schedule in force at the demo's time written out once more: nothing in
//! here is shared with the processor. That the registries' end decides as well as their growth did is the demo's own doing: see
//! [`input`](super::super::input).

use std::collections::BTreeMap;
use std::fmt;

use tidegate_schemas::{
    Infraction, InfractionState, RadarEvent, RadarEventKind, RadarKind, Reading, VehicleEvent,
    VehicleEventKind,
};

use super::Check;
use super::topics::Seen;

/// A reading older than this, by the readings before it, is not judged.
const TOO_OLD_MS: i64 = 30 * 86_400_000;

/// Where all readings went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fates {
    pub(super) judged: u64,
    pub(super) under_limit: u64,
    pub(super) held: u64,
    pub(super) duplicates: u64,
    pub(super) late: u64,
    pub(super) dead_letters: u64,
}

impl Fates {
    fn sum(self) -> u64 {
        self.judged + self.under_limit + self.held + self.duplicates + self.late + self.dead_letters
    }
}

impl fmt::Display for Fates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fates { judged, under_limit, held, duplicates, late, dead_letters } = self;
        write!(
            f,
            "{judged} judged + {under_limit} under the limit + {held} held + {duplicates} duplicate + {late} late + {dead_letters} dead-lettered"
        )
    }
}

/// All of an infraction but its id and its rule's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Offence {
    measured_at: i64,
    plate: String,
    radar_id: String,
    owner_id: String,
    measured_kmh: i32,
    retained_kmh: i32,
    limit_kmh: i32,
    excess_kmh: i32,
    fine_minor: i64,
    currency: String,
    points: i32,
}

/// The infractions in force, by id. `events` are those of each partition, in order: all events of an id stand in one.
pub(super) fn in_force(events: &[Vec<Seen<Infraction>>]) -> Vec<&Infraction> {
    let twins = events.iter().flatten().filter_map(|seen| seen.twin.as_ref());
    let last: BTreeMap<&str, &Infraction> =
        twins.map(|event| (event.infraction_id.as_str(), event)).collect();
    last.into_values().filter(|event| event.state != InfractionState::Voided).collect()
}

/// Compares what the processor says and wrote with what should be. `readings` and `events` are those of each partition, in order.
pub(super) fn check(
    readings: &[Vec<Seen<Reading>>],
    radars: &[Seen<RadarEvent>],
    vehicles: &[Seen<VehicleEvent>],
    reported: Fates,
    events: &[Vec<Seen<Infraction>>],
) -> Vec<Check> {
    let (expected, mut offences) = recompute(readings, &twins(radars), &twins(vehicles));
    // How many are under their limit leaves no record, and the processor counts a reading when it is first judged. What was corrected since may
    // have moved from there or to there.
    let is_first = |event: &Infraction| event.state == InfractionState::Issued && event.revision == 1;
    let corrected =
        events.iter().flatten().filter_map(|seen| seen.twin.as_ref()).any(|event| !is_first(event));
    let reported = if corrected { Fates { under_limit: expected.under_limit, ..reported } } else { reported };
    let incoming: u64 = readings.iter().map(|partition| partition.len() as u64).sum();
    let accounted = incoming == reported.sum();
    let sign = if accounted { "=" } else { "are not" };
    let infractions = in_force(events);
    let mut found: Vec<Offence> = infractions.iter().map(|infraction| offence_of(infraction)).collect();
    found.sort();
    offences.sort();
    let missing = offences.iter().filter(|offence| found.binary_search(offence).is_err()).count();
    let unexpected = found.iter().filter(|offence| offences.binary_search(offence).is_err()).count();
    let infractions_check = if found == offences {
        Check::new(true, format!("each of {} infractions, with owner, speed, fine and points", found.len()))
    } else {
        let what = format!("infractions: {} in force, {} recomputed", found.len(), offences.len());
        Check::new(false, format!("{what}: {missing} missing, {unexpected} unexpected"))
    };
    vec![
        Check::new(accounted, format!("{incoming} readings {sign} {reported}")),
        Check::equal("the same numbers, recomputed", &reported.to_string(), &expected.to_string()),
        infractions_check,
        issued_once(events),
    ]
}

/// Nothing is issued under an id that is in force already, and only what is in force is revised or voided.
fn issued_once(events: &[Vec<Seen<Infraction>>]) -> Check {
    let (mut in_force, mut misplaced): (BTreeMap<&str, bool>, _) = (BTreeMap::new(), 0);
    for event in events.iter().flatten().filter_map(|seen| seen.twin.as_ref()) {
        let was = in_force.insert(&event.infraction_id, event.state != InfractionState::Voided);
        let expects = event.state != InfractionState::Issued;
        misplaced += usize::from(was.unwrap_or(false) != expects);
    }
    let count = in_force.len();
    match misplaced {
        0 => Check::new(true, format!("different ids of infractions: {count}, none issued twice")),
        _ => Check::new(
            false,
            format!("different ids of infractions: {count}, {misplaced} events that do not follow on"),
        ),
    }
}

fn twins<T>(seen: &[Seen<T>]) -> Vec<&T> {
    seen.iter().filter_map(|seen| seen.twin.as_ref()).collect()
}

fn recompute(
    readings: &[Vec<Seen<Reading>>],
    radars: &[&RadarEvent],
    vehicles: &[&VehicleEvent],
) -> (Fates, Vec<Offence>) {
    let (mut fates, mut offences) = (Fates::default(), Vec::new());
    for partition in readings {
        // What is remembered, and how far time has come, is a partition's own: no plate is in two.
        let mut remembered: BTreeMap<_, (&Reading, bool)> = BTreeMap::new();
        let mut now = i64::MIN;
        for seen in partition {
            let Some(reading) = seen.twin.as_ref().filter(|reading| is_sound(reading, &seen.key)) else {
                fates.dead_letters += 1;
                continue;
            };
            let id = (&reading.radar_id, reading.measured_at, &reading.plate, reading.sequence);
            let is_too_old = reading.measured_at < now.saturating_sub(TOO_OLD_MS);
            match remembered.get(&id) {
                Some((known, is_held)) if *is_held || !is_too_old => {
                    // The same id with other content is a bad record.
                    let count =
                        if *known == reading { &mut fates.duplicates } else { &mut fates.dead_letters };
                    *count += 1;
                    continue;
                }
                _ => {}
            }
            if is_too_old {
                fates.late += 1;
                continue;
            }
            now = now.max(reading.measured_at);
            match fate(reading, radars, vehicles) {
                Fate::UnderLimit => fates.under_limit += 1,
                Fate::Held => {
                    fates.held += 1;
                    remembered.insert(id, (reading, true));
                }
                Fate::Judged(offence) => {
                    fates.judged += 1;
                    offences.push(offence);
                    remembered.insert(id, (reading, false));
                }
            }
        }
    }
    (fates, offences)
}

fn is_sound(reading: &Reading, key: &[u8]) -> bool {
    reading.plate.as_bytes() == key && reading.speed_kmh >= 0
}

enum Fate {
    UnderLimit,
    Held,
    Judged(Offence),
}

fn fate(reading: &Reading, radars: &[&RadarEvent], vehicles: &[&VehicleEvent]) -> Fate {
    // The latest event at or before the reading; of two at one time, the later in the log.
    let radar = radars
        .iter()
        .filter(|event| event.radar_id == reading.radar_id && event.valid_from <= reading.measured_at);
    let radar = radar.max_by_key(|event| event.valid_from);
    let Some(radar) = radar.filter(|event| event.kind != RadarEventKind::Removed) else { return Fate::Held };
    let retained_kmh = retained(radar.radar_kind, reading.speed_kmh);
    let excess_kmh = retained_kmh - radar.speed_limit_kmh;
    if excess_kmh <= 0 {
        return Fate::UnderLimit;
    }
    let vehicle = vehicles
        .iter()
        .filter(|event| event.plate == reading.plate && event.valid_from <= reading.measured_at);
    let vehicle = vehicle.max_by_key(|event| event.valid_from);
    let Some(vehicle) = vehicle.filter(|event| event.kind != VehicleEventKind::Deregistered) else {
        return Fate::Held;
    };
    let (fine_minor, points) = price(radar.speed_limit_kmh, excess_kmh);
    Fate::Judged(Offence {
        measured_at: reading.measured_at,
        plate: reading.plate.clone(),
        radar_id: reading.radar_id.clone(),
        owner_id: vehicle.owner_id.clone(),
        measured_kmh: reading.speed_kmh,
        retained_kmh,
        limit_kmh: radar.speed_limit_kmh,
        excess_kmh,
        fine_minor,
        currency: "EUR".to_owned(),
        points,
    })
}

/// France: 5 km/h below 100, 5 % from there; twice that for a moving radar; in the driver's favour.
fn retained(kind: RadarKind, measured_kmh: i32) -> i32 {
    let margin = match kind {
        RadarKind::Fixed => 5,
        RadarKind::Mobile => 10,
    };
    if measured_kmh < 100 { (measured_kmh - margin).max(0) } else { measured_kmh * (100 - margin) / 100 }
}

/// France since 2024: the fine in cents and the points.
fn price(limit_kmh: i32, excess_kmh: i32) -> (i64, i32) {
    match excess_kmh {
        50.. => (150_000, 6),
        40.. => (13_500, 4),
        30.. => (13_500, 3),
        20.. => (13_500, 2),
        5.. => (if limit_kmh > 50 { 6_800 } else { 13_500 }, 1),
        _ => (if limit_kmh > 50 { 6_800 } else { 13_500 }, 0),
    }
}

fn offence_of(infraction: &Infraction) -> Offence {
    Offence {
        measured_at: infraction.measured_at,
        plate: infraction.plate.clone(),
        radar_id: infraction.radar_id.clone(),
        owner_id: infraction.owner_id.clone(),
        measured_kmh: infraction.measured_speed_kmh,
        retained_kmh: infraction.retained_speed_kmh,
        limit_kmh: infraction.speed_limit_kmh,
        excess_kmh: infraction.excess_kmh,
        fine_minor: infraction.fine_minor,
        currency: infraction.currency.clone(),
        points: infraction.points,
    }
}

#[cfg(test)]
mod tests;
