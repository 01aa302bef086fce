//! Registries that come behind their readings or out of order: what is in force in the end does not depend on it.

use std::collections::BTreeMap;

use tidegate_runtime::avro::Decoder;
use tidegate_runtime::driver::TestDriver;
use tidegate_runtime::log::SchemaId;
use tidegate_schemas::{
    Infraction, InfractionState, RadarEvent, RadarEventKind, RadarKind, Reading, Record, VehicleEvent,
    VehicleEventKind,
};

use super::topology::{Infractions, driver};
use super::*;
use tidegate_runtime::avro::SchemaCache;

/// 1 January 2024, 12:00 UTC.
const START: i64 = 1_704_110_400_000;

fn append<R: Record>(driver: &mut TestDriver, record: &R) {
    let value = driver.encode(R::TOPIC.name, R::TOPIC.schema, record).unwrap();
    let time = EventTime(record.event_time_ms());
    driver.append(R::TOPIC.name, time, Some(record.key()), Some(&value)).unwrap();
}

/// From a second on, radar `R` has a limit.
fn limit(second: i64, speed_limit_kmh: i32) -> RadarEvent {
    let kind = if second == 0 { RadarEventKind::Installed } else { RadarEventKind::Changed };
    let valid_from = START + second * 1_000;
    let (radar_id, place) = ("R".to_owned(), "p".to_owned());
    RadarEvent { radar_id, kind, radar_kind: RadarKind::Fixed, speed_limit_kmh, place, valid_from }
}

fn owner(plate: &str, second: i64, owner: &str) -> VehicleEvent {
    let kind = if second == 0 { VehicleEventKind::Registered } else { VehicleEventKind::Transferred };
    let valid_from = START + second * 1_000;
    VehicleEvent { plate: plate.to_owned(), kind, owner_id: owner.to_owned(), valid_from }
}

fn passes(plate: &str, second: i64, speed_kmh: i32) -> Reading {
    let measured_at = START + second * 1_000;
    Reading { radar_id: "R".to_owned(), sequence: 1, plate: plate.to_owned(), measured_at, speed_kmh }
}

/// Ends the input, and gives owner, limit and fine of what is in force.
fn in_force(driver: &mut TestDriver) -> Vec<(String, i32, i64)> {
    driver.end_input().unwrap();
    let schemas = SchemaCache::new();
    schemas.resolve(SchemaId(1), &Infractions).unwrap();
    let mut found = BTreeMap::new();
    for record in driver.read(INFRACTIONS.name) {
        let infraction: Infraction = Decoder::new(schemas.clone()).decode(record.value.as_deref()).unwrap();
        match infraction.state {
            InfractionState::Voided => found.remove(&infraction.infraction_id),
            _ => found.insert(infraction.infraction_id.clone(), infraction),
        };
    }
    let line = |found: Infraction| (found.owner_id, found.speed_limit_kmh, found.fine_minor);
    found.into_values().map(line).collect()
}

/// A held reading went to the first owner that came, not to the one of its time.
#[test]
fn owners_that_come_oldest_first_behind_their_reading() {
    for is_restarted in [false, true] {
        let mut driver = driver(1);
        append(&mut driver, &limit(0, 50));
        append(&mut driver, &passes("V", 7, 100));
        driver.end_input().unwrap();
        driver.restart().unwrap();
        append(&mut driver, &owner("V", 0, "O1"));
        append(&mut driver, &owner("V", 5, "O2"));
        driver.process().unwrap();
        if is_restarted {
            driver.restart().unwrap();
        }
        assert_eq!(in_force(&mut driver), [("O2".to_owned(), 50, 13_500)]);
    }
}

/// The same with a limit: it was fined under 30, and the limit was 70.
#[test]
fn limits_that_come_oldest_first_behind_their_reading() {
    let mut driver = driver(1);
    append(&mut driver, &owner("V", 0, "O1"));
    append(&mut driver, &passes("V", 7, 60));
    driver.end_input().unwrap();
    driver.restart().unwrap();
    append(&mut driver, &limit(0, 30));
    append(&mut driver, &limit(5, 70));
    assert_eq!(in_force(&mut driver), []);
    assert_eq!(driver.total("under-limit"), 1);
}

/// Straight through it went to O1, and after a restart to O2.
#[test]
fn a_transfer_behind_a_later_one_of_another_vehicle() {
    for is_restarted in [false, true] {
        let mut driver = driver(1);
        append(&mut driver, &limit(0, 50));
        append(&mut driver, &owner("V", 0, "O1"));
        append(&mut driver, &owner("W", 0, "OW"));
        driver.process().unwrap();
        driver.commit().unwrap();
        append(&mut driver, &owner("W", 20, "OW2"));
        append(&mut driver, &owner("V", 5, "O2"));
        append(&mut driver, &passes("V", 10, 100));
        if is_restarted {
            driver.restart().unwrap();
        }
        driver.process().unwrap();
        assert_eq!(in_force(&mut driver), [("O2".to_owned(), 50, 13_500)]);
    }
}

/// Held for its vehicle while the limit is raised: it is under the limit, and not unidentified.
#[test]
fn a_limit_that_is_raised_while_its_reading_waits_for_the_vehicle() {
    let mut driver = driver(1);
    append(&mut driver, &limit(0, 30));
    append(&mut driver, &owner("Z", 0, "OZ"));
    append(&mut driver, &passes("V", 7, 60));
    driver.end_input().unwrap();
    assert_eq!(driver.total("held"), 1);
    driver.restart().unwrap();
    append(&mut driver, &limit(5, 70));
    driver.end_input().unwrap();
    driver.restart().unwrap();
    append(&mut driver, &passes("Z", 31 * 24 * 60 * 60, 20));
    assert_eq!(in_force(&mut driver), []);
    assert_eq!(
        (driver.total("unidentified"), driver.total("released"), driver.total("under-limit")),
        (0, 1, 2)
    );
    assert!(driver.read("speeding-dead-letters").is_empty());
}
