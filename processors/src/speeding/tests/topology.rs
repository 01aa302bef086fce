//! The topology of speeding, driven as production drives it.

use std::sync::Arc;

use tidegate_runtime::avro::{Decoder, Encoder, SchemaCache};
use tidegate_runtime::driver::{DrivenRecord, TestDriver};
use tidegate_runtime::log::{SchemaId, SchemaRegistry};
use tidegate_schemas::{
    Infraction, InfractionState, RadarEvent, RadarEventKind, RadarKind, Reading, Record, VehicleEvent,
    VehicleEventKind,
};

use super::*;

const APP: &str = "speeding";
const DAY: i64 = 24 * 60 * 60 * 1_000;
/// 1 June 2026, 12:00 UTC.
const NOON: i64 = 1_780_315_200_000;

pub(super) fn driver(partitions: u32) -> TestDriver {
    TestDriver::new(speeding_topology(APP, SpeedingOptions::default()), partitions).unwrap()
}

fn pipe<R: Record>(driver: &mut TestDriver, record: &R) {
    pipe_under(driver, record, Some(record.key()));
}

fn pipe_under<R: Record>(driver: &mut TestDriver, record: &R, key: Option<&[u8]>) {
    let value = driver.encode(R::TOPIC.name, R::TOPIC.schema, record).unwrap();
    driver.pipe(R::TOPIC.name, EventTime(record.event_time_ms()), key, Some(&value)).unwrap();
}

fn radar(kind: RadarEventKind, radar_kind: RadarKind, speed_limit_kmh: i32, valid_from: i64) -> RadarEvent {
    let (radar_id, place) = ("r1".to_owned(), "Roemerstrasse".to_owned());
    RadarEvent { radar_id, kind, radar_kind, speed_limit_kmh, place, valid_from }
}

fn installed(speed_limit_kmh: i32, valid_from: i64) -> RadarEvent {
    radar(RadarEventKind::Installed, RadarKind::Fixed, speed_limit_kmh, valid_from)
}

fn vehicle(kind: VehicleEventKind, owner: &str, valid_from: i64) -> VehicleEvent {
    VehicleEvent { plate: "AB-123-CD".to_owned(), kind, owner_id: owner.to_owned(), valid_from }
}

fn reading(measured_at: i64, speed_kmh: i32) -> Reading {
    let (radar_id, plate) = ("r1".to_owned(), "AB-123-CD".to_owned());
    Reading { radar_id, sequence: 7, plate, measured_at, speed_kmh }
}

/// Knows the one schema infractions are written under.
pub(super) struct Infractions;

impl SchemaRegistry for Infractions {
    fn register(&self, _subject: &str, _schema: &str) -> tidegate_runtime::Result<SchemaId> {
        Ok(SchemaId(1))
    }
    fn schema(&self, _id: SchemaId) -> tidegate_runtime::Result<Option<String>> {
        Ok(Some(INFRACTIONS.schema.to_owned()))
    }
    fn versions(&self, _subject: &str) -> tidegate_runtime::Result<Vec<(SchemaId, String)>> {
        Ok(Vec::new())
    }
    fn subjects(&self) -> tidegate_runtime::Result<Vec<String>> {
        Ok(Vec::new())
    }
}

fn infractions(driver: &mut TestDriver) -> Vec<Infraction> {
    let schemas = SchemaCache::new();
    let read = |record: DrivenRecord| {
        let value = record.value.unwrap();
        let id = SchemaId(u32::from_be_bytes(value[1..5].try_into().unwrap()));
        schemas.resolve(id, &Infractions).unwrap();
        let infraction: Infraction = Decoder::new(schemas.clone()).decode(Some(&value)).unwrap();
        assert_eq!(record.key.as_deref(), Some(infraction.key()));
        assert_eq!(record.time.0, infraction.event_time_ms());
        infraction
    };
    driver.read(INFRACTIONS.name).into_iter().map(read).collect()
}

fn headers(driver: &mut TestDriver, topic: &str, names: &[&str]) -> Vec<String> {
    let said = |record: &DrivenRecord, name: &str| {
        let found = record.headers.iter().find(|(header, _)| header == name);
        String::from_utf8(found.unwrap().1.clone()).unwrap()
    };
    let line =
        |record: &DrivenRecord| names.iter().map(|name| said(record, name)).collect::<Vec<_>>().join("; ");
    driver.read(topic).iter().map(line).collect()
}

#[test]
fn a_reading_over_the_limit_becomes_an_infraction_of_its_owner() {
    let mut driver = driver(4);
    pipe(&mut driver, &installed(30, NOON - DAY));
    pipe(&mut driver, &vehicle(VehicleEventKind::Registered, "ann", NOON - DAY));
    pipe(&mut driver, &vehicle(VehicleEventKind::Transferred, "bob", NOON));
    pipe(&mut driver, &reading(NOON - 1, 60));
    pipe(&mut driver, &reading(NOON, 35));
    pipe(&mut driver, &reading(NOON, 36));
    let expected = Infraction {
        // From Python: hashlib.sha256 over struct.pack(">I", len(part)) + part of each part, hexdigest()[:32].
        infraction_id: "cf599ddb69638b3695f4982b756c4ee8".to_owned(),
        radar_id: "r1".to_owned(),
        plate: "AB-123-CD".to_owned(),
        owner_id: "ann".to_owned(),
        measured_at: NOON - 1,
        measured_speed_kmh: 60,
        retained_speed_kmh: 55,
        speed_limit_kmh: 30,
        excess_kmh: 25,
        fine_minor: 13_500,
        currency: "EUR".to_owned(),
        points: 2,
        rule: "code de la route R413-14 I al. 1, III 3".to_owned(),
        revision: 1,
        state: InfractionState::Issued,
        reason: "reading".to_owned(),
    };
    assert_eq!(expected.infraction_id, infraction_id("r1", NOON - 1, "AB-123-CD", 7));
    let found = infractions(&mut driver);
    assert_eq!(found[0], expected);
    let of_bob = (&*found[1].owner_id, found[1].excess_kmh, found[1].fine_minor, found[1].points);
    assert_eq!((found.len(), of_bob), (2, ("bob", 1, 13_500, 0)));
    assert_eq!((driver.total("judged"), driver.total("under-limit")), (2, 1));
}

/// Lets the tasks do all that is left, and goes on from there.
fn settle(driver: &mut TestDriver) {
    driver.end_input().unwrap();
    driver.restart().unwrap();
}

#[test]
fn a_mobile_radar_grants_its_own_margin_and_another_place_changes_nothing() {
    let mut driver = driver(1);
    pipe(&mut driver, &vehicle(VehicleEventKind::Registered, "ann", NOON - DAY));
    pipe(&mut driver, &radar(RadarEventKind::Installed, RadarKind::Mobile, 110, NOON - DAY));
    pipe(&mut driver, &reading(NOON, 123));
    pipe(&mut driver, &reading(NOON, 124));
    let found = infractions(&mut driver);
    assert_eq!((found.len(), found[0].retained_speed_kmh, found[0].fine_minor), (1, 111, 6_800));
    let moved = RadarEvent {
        place: "elsewhere".to_owned(),
        ..radar(RadarEventKind::Changed, RadarKind::Mobile, 110, NOON)
    };
    pipe(&mut driver, &moved);
    settle(&mut driver);
    assert_eq!((driver.total("late"), infractions(&mut driver)), (0, vec![]));
    pipe(&mut driver, &radar(RadarEventKind::Changed, RadarKind::Fixed, 110, NOON));
    settle(&mut driver);
    let found = infractions(&mut driver);
    let revised = (found[0].retained_speed_kmh, found[0].revision, found[0].state, &*found[0].reason);
    assert_eq!(revised, (117, 2, InfractionState::Revised, "radar"));
    // The 123 km/h that were let go at first are over the limit of a fixed radar.
    assert_eq!(headers(&mut driver, "speeding-late", &["kind"]), ["let-go"]);
}

#[test]
fn an_unknown_radar_and_an_unknown_vehicle_are_waited_for_over_a_restart() {
    let mut driver = driver(1);
    pipe(&mut driver, &reading(NOON, 60));
    pipe(&mut driver, &reading(NOON + 1, 30));
    driver.restart().unwrap();
    pipe(&mut driver, &installed(30, NOON - DAY));
    settle(&mut driver);
    assert_eq!((driver.total("held"), driver.total("released"), driver.total("under-limit")), (2, 1, 1));
    pipe(&mut driver, &reading(NOON, 60));
    pipe(&mut driver, &vehicle(VehicleEventKind::Registered, "ann", NOON - DAY));
    settle(&mut driver);
    pipe(&mut driver, &reading(NOON, 60));
    let found = infractions(&mut driver);
    assert_eq!((found.len(), &*found[0].owner_id, &*found[0].reason), (1, "ann", "vehicle"));
    assert_eq!((driver.total("duplicates"), driver.total("late")), (2, 0));
}

#[test]
fn an_infraction_is_revised_voided_and_issued_again() {
    let mut driver = driver(1);
    pipe(&mut driver, &installed(30, NOON - DAY));
    pipe(&mut driver, &vehicle(VehicleEventKind::Registered, "ann", NOON - DAY));
    pipe(&mut driver, &reading(NOON, 60));
    settle(&mut driver);
    for (kind, owner, valid_from) in [
        (VehicleEventKind::Transferred, "bob", NOON - 5),
        (VehicleEventKind::Deregistered, "bob", NOON - 4),
        (VehicleEventKind::Registered, "cid", NOON),
    ] {
        pipe(&mut driver, &vehicle(kind, owner, valid_from));
        settle(&mut driver);
    }
    pipe(&mut driver, &installed(31, NOON));
    settle(&mut driver);
    let found = infractions(&mut driver);
    let lines: Vec<String> = found
        .iter()
        .map(|event| {
            let Infraction { revision, state, owner_id, reason, speed_limit_kmh, .. } = event;
            format!("{revision} {state:?} {owner_id} {speed_limit_kmh} {reason}")
        })
        .collect();
    let expected = [
        "1 Issued ann 30 reading",
        "2 Revised bob 30 vehicle",
        "3 Voided bob 30 vehicle",
        "4 Issued cid 30 vehicle",
        "5 Revised cid 31 radar",
    ];
    assert_eq!(lines, expected);
    assert!(found.iter().all(|event| event.infraction_id == found[0].infraction_id));
    let count = |name| driver.total(name);
    assert_eq!((count("judged"), count("revised"), count("voided"), count("reissued")), (1, 2, 1, 1));
}

#[test]
fn one_id_with_two_contents_is_a_bad_record() {
    let mut driver = driver(1);
    pipe(&mut driver, &reading(NOON, 60));
    pipe(&mut driver, &reading(NOON, 61));
    let dead = "id-reused; readings[0]@1; readings[0]@0 has the same id and says something else";
    assert_eq!(headers(&mut driver, "speeding-dead-letters", &["reason", "origin", "message"]), [dead]);
}

#[test]
fn a_deregistered_vehicle_has_no_owner_to_send_a_fine_to() {
    let mut driver = driver(1);
    pipe(&mut driver, &installed(30, NOON - DAY));
    pipe(&mut driver, &vehicle(VehicleEventKind::Registered, "ann", NOON - DAY));
    pipe(&mut driver, &vehicle(VehicleEventKind::Deregistered, "ann", NOON));
    pipe(&mut driver, &reading(NOON, 60));
    pipe(&mut driver, &reading(NOON + 30 * DAY, 20));
    assert_eq!(driver.total("unidentified"), 0);
    pipe(&mut driver, &reading(NOON + 30 * DAY + 1, 20));
    assert_eq!(infractions(&mut driver), []);
    let dead = "unidentified; readings[0]@0; no registration of vehicle `AB-123-CD` as of 2026-06-01T12:00:00.000Z \
        came within 2592000000 ms";
    assert_eq!(headers(&mut driver, "speeding-dead-letters", &["reason", "origin", "message"]), [dead]);
}

#[test]
fn a_removed_radar_measures_nothing_any_more() {
    let mut driver = driver(1);
    pipe(&mut driver, &installed(30, NOON - DAY));
    pipe(&mut driver, &radar(RadarEventKind::Removed, RadarKind::Fixed, 0, NOON));
    pipe(&mut driver, &reading(NOON - 1, 30));
    pipe(&mut driver, &reading(NOON, 30));
    assert_eq!((driver.total("under-limit"), driver.total("held")), (1, 1));
}

#[test]
fn what_cannot_be_right_is_refused_with_its_reason() {
    let mut driver = driver(1);
    let begins = 1_102_460_400_000;
    for bad in [
        reading(-1, 60),
        reading(EventTime::DEFAULT_MAX.0 + 1, 60),
        reading(begins - 1, 60),
        reading(NOON, -1),
    ] {
        pipe(&mut driver, &bad);
    }
    pipe_under(&mut driver, &reading(NOON, 60), Some(b"other"));
    pipe_under(&mut driver, &reading(NOON, 60), None);
    pipe(&mut driver, &installed(0, NOON));
    pipe(&mut driver, &vehicle(VehicleEventKind::Registered, "", NOON));
    pipe_under(&mut driver, &vehicle(VehicleEventKind::Registered, "ann", NOON), Some(b"other"));
    pipe(&mut driver, &installed(30, EventTime::DEFAULT_MAX.0 + 1));
    driver.pipe(READINGS.name, EventTime(NOON), Some(b"k"), Some(&[0, 0, 0])).unwrap();
    let dead = headers(&mut driver, "speeding-dead-letters", &["reason", "message"]);
    let expected = [
        "event-time; measured_at `-1` is before 1970 or past `4102444800000`, the greatest event time",
        "event-time; measured_at `4102444800001` is before 1970 or past `4102444800000`, the greatest event time",
        "rule; measured_at `2004-12-07T22:59:59.999Z` is before 2004-12-07T23:00:00.000Z, where schedule `France` begins",
        "rule; speed_kmh `-1` is below 0",
        "rule; key `other` is not the plate, `AB-123-CD`",
        "null-key; the record has no key; its plate is `AB-123-CD`",
        "rule; speed_limit_kmh `0` is below 1",
        "rule; owner_id is empty",
        "rule; key `other` is not the plate, `AB-123-CD`",
        "event-time; valid_from `4102444800001` is before 1970 or past `4102444800000`, the greatest event time",
        "undecodable; the value ends within its header",
    ];
    assert_eq!(dead, expected);
    pipe(&mut driver, &reading(begins, 60));
    assert_eq!(driver.total("held"), 1, "the bounds themselves are fine, and nothing bad moved time");
}

#[test]
fn the_topology_says_what_it_is() {
    let topology = speeding_topology(APP, SpeedingOptions { hold_for_ms: 5, ..SpeedingOptions::default() });
    let digest = Schedule::france().digest();
    let stores = STORES.join(", ");
    let expected = format!(
        "topology speeding\n  source     radars (broadcast table) -> speeding\n  source     vehicles (table) -> speeding\n  \
        source     readings (stream) -> speeding\n  processor  speeding (stores: {stores})\n  sink       infractions <- speeding\n  \
        own topic  speeding-changelog\n  own topic  speeding-dead-letters\n  own topic  speeding-late\n  \
        own topic  speeding-duplicates\n  parameter  hold-for = 5ms\n  parameter  schedule = {digest}\n  parameter  state = 2\n"
    );
    assert_eq!(topology.describe(), expected);
    let encoder = Arc::new(Encoder::new(SchemaId(1), INFRACTIONS.schema).unwrap());
    let environment = TaskEnvironment::new(SchemaCache::new(), vec![encoder]);
    let mut processor = topology.build(&environment).unwrap();
    let names: Vec<String> = processor.stores().iter().map(|store| store.name().to_owned()).collect();
    assert_eq!(names, topology.stores(), "the declaration tells the truth");
}

/// Its stores hold other things under other names: read as what it is not, it would be garbage.
#[test]
fn state_of_a_version_without_corrections_has_other_parameters() {
    let now = speeding_topology("speeding", SpeedingOptions::default()).parameters_line();
    let before = format!("hold-for={REMEMBERED_MS}ms schedule={}", Schedule::france().digest());
    assert_eq!(now, format!("{before} state=2"));
}
