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
    check(&readings, &radars, &vehicles, reported, infractions).iter().map(|check| check.ok).collect()
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
    let more = [infractions.clone(), infractions[..1].to_vec()].concat();
    assert_eq!(outcome(Fates { judged: 3, ..fates }, &more), [false, false, false, false]);
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
