//! The checker is checked: a world of a few readings, right and then tampered with.

use tidegate_schemas::InfractionState;

use super::*;

const NOON_MS: i64 = 1_709_553_600_000;
const DAY_MS: i64 = 86_400_000;

fn seen<T>(key: &str, twin: T) -> Seen<T> {
    Seen { twin: Some(twin), key: key.as_bytes().to_vec() }
}

fn reading(radar: &str, plate: &str, sequence: i64, measured_at: i64, speed_kmh: i32) -> Seen<Reading> {
    let twin = Reading { radar_id: radar.into(), sequence, plate: plate.into(), measured_at, speed_kmh };
    seen(plate, twin)
}

type World = (Vec<Vec<Seen<Reading>>>, Vec<Seen<RadarEvent>>, Vec<Seen<VehicleEvent>>);

fn world() -> World {
    let radar = RadarEvent {
        radar_id: "R".into(),
        kind: RadarEventKind::Installed,
        radar_kind: RadarKind::Fixed,
        speed_limit_kmh: 50,
        place: "D1".into(),
        valid_from: 0,
    };
    let vehicle = |kind, owner: &str, valid_from| VehicleEvent {
        plate: "A".into(),
        kind,
        owner_id: owner.into(),
        valid_from,
    };
    let vehicles = vec![
        seen("A", vehicle(VehicleEventKind::Registered, "first", 0)),
        seen("A", vehicle(VehicleEventKind::Transferred, "second", NOON_MS - 5)),
    ];
    let broken = Seen { twin: None, key: b"A".to_vec() };
    let readings = vec![
        vec![
            reading("R", "A", 1, NOON_MS, 76),
            reading("R", "A", 1, NOON_MS, 76),
            reading("R", "A", 2, NOON_MS - 10, 60),
            reading("R", "A", 3, NOON_MS, 55),
            reading("unknown", "A", 4, NOON_MS, 30),
            reading("R", "A", 5, NOON_MS - 31 * DAY_MS, 90),
            broken,
            seen("another key", reading("R", "A", 6, NOON_MS, 90).twin.unwrap()),
        ],
        vec![reading("R", "stranger", 7, NOON_MS, 90), reading("R", "stranger", 8, NOON_MS, 50)],
    ];
    (readings, vec![seen("R", radar)], vehicles)
}

fn infraction(owner: &str, measured_at: i64, measured: i32, excess: i32, points: i32) -> Infraction {
    Infraction {
        infraction_id: format!("{measured_at}"),
        radar_id: "R".into(),
        plate: "A".into(),
        owner_id: owner.into(),
        measured_at,
        measured_speed_kmh: measured,
        retained_speed_kmh: 50 + excess,
        speed_limit_kmh: 50,
        excess_kmh: excess,
        fine_minor: 13_500,
        currency: "EUR".into(),
        points,
        rule: "a rule".into(),
        revision: 1,
        state: InfractionState::Issued,
        reason: "reading".into(),
    }
}

fn right() -> (Fates, Vec<Seen<Infraction>>) {
    let fates = Fates { judged: 2, under_limit: 2, held: 2, duplicates: 1, late: 1, dead_letters: 2 };
    let infractions = [infraction("second", NOON_MS, 76, 21, 2), infraction("first", NOON_MS - 10, 60, 5, 1)];
    (fates, infractions.map(|infraction| seen("A", infraction)).into())
}

fn outcome(reported: Fates, infractions: &[Seen<Infraction>]) -> Vec<bool> {
    let (readings, radars, vehicles) = world();
    check(&readings, &radars, &vehicles, reported, &[infractions.to_vec()])
        .iter()
        .map(|check| check.ok)
        .collect()
}

#[test]
fn what_is_right_passes() {
    let (fates, infractions) = right();
    assert_eq!(outcome(fates, &infractions), [true; 4]);
}

#[test]
fn a_missing_and_a_doubled_infraction_are_found() {
    let (fates, infractions) = right();
    let fewer = Fates { judged: 1, ..fates };
    assert_eq!(outcome(fewer, &infractions[..1]), [false, false, false, true]);
    let doubled = event(&infractions[0], InfractionState::Issued, |twin| twin.infraction_id = "x".into());
    let more = [&infractions[..], &[doubled]].concat();
    assert_eq!(outcome(Fates { judged: 3, under_limit: 1, ..fates }, &more), [false, false, false, true]);
}

#[test]
fn another_owner_fine_or_speed_is_found() {
    let (fates, infractions) = right();
    for tamper in [
        (|infraction| infraction.owner_id = "third".into()) as fn(&mut Infraction),
        |infraction| infraction.fine_minor += 1,
        |infraction| infraction.retained_speed_kmh -= 1,
        |infraction| infraction.points += 1,
    ] {
        let mut tampered = infractions.clone();
        tamper(tampered[0].twin.as_mut().unwrap());
        assert_eq!(outcome(fates, &tampered), [true, true, false, true]);
    }
}

#[test]
fn readings_that_moved_from_one_count_to_another_are_found() {
    let (fates, infractions) = right();
    let moved = Fates { held: 1, under_limit: 3, ..fates };
    assert_eq!(outcome(moved, &infractions), [true, false, true, true]);
}

/// An event of the same infraction, changed.
fn event(
    of: &Seen<Infraction>,
    state: InfractionState,
    change: impl Fn(&mut Infraction),
) -> Seen<Infraction> {
    let mut event = of.clone();
    let twin = event.twin.as_mut().unwrap();
    (twin.state, twin.revision) = (state, 2);
    change(twin);
    event
}

#[test]
fn the_last_event_of_an_id_is_what_is_compared() {
    let (fates, infractions) = right();
    let wrong_first = event(&infractions[0], InfractionState::Issued, |twin| twin.owner_id = "first".into());
    let revised = event(&infractions[0], InfractionState::Revised, |_| {});
    let unfounded = event(&infractions[1], InfractionState::Issued, |twin| twin.infraction_id = "x".into());
    let voided = event(&unfounded, InfractionState::Voided, |_| {});
    let events = [&[wrong_first.clone(), unfounded.clone(), revised, voided], &infractions[1..]].concat();
    // Those under their limit were counted before they were corrected: that number is not looked at.
    let reported = Fates { under_limit: 1, ..fates };
    assert_eq!(outcome(reported, &events), [true; 4]);
    // Neither corrected, nor voided.
    let events = [&[wrong_first, unfounded][..], &infractions[1..]].concat();
    assert_eq!(outcome(Fates { judged: 3, ..reported }, &events), [false, false, false, true]);
}

#[test]
fn an_event_that_does_not_follow_on_is_found() {
    let (fates, infractions) = right();
    let again = [&infractions[..], &infractions[..1]].concat();
    assert_eq!(outcome(fates, &again), [true, true, true, false]);
    let revised = event(&infractions[0], InfractionState::Revised, |_| {});
    assert_eq!(outcome(fates, &[revised, infractions[1].clone()]), [true, true, true, false]);
}

#[test]
fn an_id_with_other_content_is_dead_and_a_forgotten_one_is_late() {
    let (mut readings, radars, vehicles) = world();
    let (fates, infractions) = right();
    // While it is remembered, and a month later.
    readings[0].push(reading("R", "A", 1, NOON_MS, 77));
    readings[0].push(reading("R", "A", 9, NOON_MS + 31 * DAY_MS, 40));
    readings[0].push(reading("R", "A", 1, NOON_MS, 76));
    readings[0].push(reading("unknown", "A", 4, NOON_MS, 30));
    let reported = Fates {
        dead_letters: fates.dead_letters + 1,
        under_limit: fates.under_limit + 1,
        late: fates.late + 1,
        duplicates: fates.duplicates + 1,
        ..fates
    };
    let checks = check(&readings, &radars, &vehicles, reported, &[infractions]);
    assert!(checks.iter().all(|check| check.ok), "{checks:?}");
}
