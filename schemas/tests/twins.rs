//! Twins and schemas agree: in the names and order of fields, in enum symbols, in the bytes, and with older versions.

#![allow(clippy::unwrap_used, reason = "a helper of tests may panic as a test may")]

use std::collections::BTreeMap;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::RecordField;
use apache_avro::schema_compatibility::SchemaCompatibility;
use apache_avro::writer::datum::GenericDatumWriter;
use serde::Serialize;
use tidegate_schemas::{
    CustomerTotal, Infraction, InfractionState, Invoice, InvoiceLine, OwnerEvent, OwnerEventKind, RadarEvent,
    RadarEventKind, RadarKind, Reading, Record, TOPICS, VehicleEvent, VehicleEventKind,
};

fn parsed(text: &str) -> Schema {
    Schema::parse_str(text).unwrap()
}

fn encode<T: Serialize>(schema: &Schema, twin: &T) -> Vec<u8> {
    GenericDatumWriter::builder(schema).build().unwrap().write_ser_to_vec(twin).unwrap()
}

fn decode<T: Record>(schema: &Schema, mut bytes: &[u8]) -> T {
    let twin = GenericDatumReader::builder(schema).build().unwrap().read_deser(&mut bytes).unwrap();
    assert!(bytes.is_empty(), "bytes are left over");
    twin
}

fn fields(schema: &Schema) -> &[RecordField] {
    let Schema::Record(record) = schema else { panic!("no record: {schema:?}") };
    &record.fields
}

fn names_in_json(object: &serde_json::Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

fn fixtures() -> BTreeMap<&'static str, Vec<u8>> {
    let byte = |hex: &[u8]| u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap();
    include_str!("../fixtures/datums.txt")
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, hex)| (name, hex.as_bytes().chunks(2).map(byte).collect()))
        .collect()
}

/// The twin writes the fixture's bytes and reads them back; its fields are the schema's, in the schema's order; its key and
/// event time are what the table of topics says they are.
fn agrees<T: Record + PartialEq + std::fmt::Debug>(twin: &T) {
    let schema = parsed(T::TOPIC.schema);
    let name = schema.name().unwrap();
    assert_eq!(name.namespace(), Some("tidegate"));
    let bytes = encode(&schema, twin);
    assert_eq!(&bytes, &fixtures()[name.name()], "{name}");
    assert_eq!(&decode::<T>(&schema, &bytes), twin);

    let json = serde_json::to_value(twin).unwrap();
    let declared: Vec<_> = fields(&schema).iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names_in_json(&json), declared, "{name}");
    assert_eq!(json[T::TOPIC.key_field].as_str().unwrap().as_bytes(), twin.key());
    let time = json[T::TOPIC.event_time_field].as_i64().unwrap();
    assert_eq!(twin.event_time_ms(), time + T::TOPIC.event_time_shift_ms);
}

fn credit_note() -> Invoice {
    let line = |stock_code: &str, description: &str, quantity, unit_price_micros| InvoiceLine {
        stock_code: stock_code.into(),
        description: description.into(),
        quantity,
        unit_price_micros,
    };
    Invoice {
        invoice_id: "C536379".into(),
        customer_id: "14527".into(),
        issued_at: 1_291_196_460_000,
        amount_minor: -2750,
        currency: "GBP".into(),
        lines: vec![line("D", "Discount", -1, 27_500_000), line("M", "", 0, -1)],
    }
}

#[test]
fn a_reading_agrees() {
    agrees(&Reading {
        radar_id: "R-01".into(),
        sequence: 300,
        plate: "AA-123-ZZ".into(),
        measured_at: 1_477_291_049_000,
        speed_kmh: 32,
    });
}

#[test]
fn registrations_agree() {
    agrees(&RadarEvent {
        radar_id: "R-01".into(),
        kind: RadarEventKind::Changed,
        radar_kind: RadarKind::Mobile,
        speed_limit_kmh: 30,
        place: "Römerstraße".into(),
        valid_from: -1,
    });
    agrees(&VehicleEvent {
        plate: "AA-123-ZZ".into(),
        kind: VehicleEventKind::Transferred,
        owner_id: "O-7".into(),
        valid_from: 0,
    });
    agrees(&OwnerEvent {
        owner_id: "O-7".into(),
        kind: OwnerEventKind::Removed,
        name: String::new(),
        address: String::new(),
        valid_from: 1_477_291_049_000,
    });
}

fn revised_infraction() -> Infraction {
    Infraction {
        infraction_id: "i-1".into(),
        radar_id: "R-01".into(),
        plate: "AA-123-ZZ".into(),
        owner_id: "O-7".into(),
        measured_at: 1_477_291_049_000,
        measured_speed_kmh: 65,
        retained_speed_kmh: 60,
        speed_limit_kmh: 30,
        excess_kmh: 30,
        fine_minor: 13_500,
        currency: "EUR".into(),
        points: 3,
        rule: "fr:over-30".into(),
        revision: 2,
        state: InfractionState::Revised,
        reason: "vehicle".into(),
    }
}

#[test]
fn an_infraction_agrees() {
    agrees(&revised_infraction());
}

#[test]
fn billing_agrees() {
    agrees(&credit_note());
    agrees(&CustomerTotal {
        customer_id: "14527".into(),
        currency: "GBP".into(),
        window_start: 1_291_196_460_000,
        window_end: 1_291_196_465_000,
        count: 2,
        amount_minor: i64::MIN,
    });
    let line = serde_json::to_value(&credit_note().lines[0]).unwrap();
    let schema = parsed(Invoice::TOPIC.schema);
    let Schema::Array(lines) = &fields(&schema)[5].schema else { panic!("lines are no array") };
    let declared: Vec<_> = fields(&lines.items).iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names_in_json(&line), declared);
}

fn symbols<T: Serialize>(all: &[T]) -> Vec<String> {
    all.iter().map(|one| serde_json::to_value(one).unwrap().as_str().unwrap().to_owned()).collect()
}

fn declared_symbols(topic: &str, field: &str) -> Vec<String> {
    let schema = parsed(tidegate_schemas::topic(topic).unwrap().schema);
    let field = fields(&schema).iter().find(|found| found.name == field).unwrap();
    let Schema::Enum(declared) = &field.schema else { panic!("`{}` is no enum", field.name) };
    declared.symbols.clone()
}

#[test]
fn enum_symbols_agree() {
    use {OwnerEventKind as Owner, RadarEventKind as Radar, VehicleEventKind as Vehicle};
    let radar = symbols(&[Radar::Installed, Radar::Changed, Radar::Removed]);
    assert_eq!(radar, declared_symbols("radars", "kind"));
    let radar_kind = symbols(&[RadarKind::Fixed, RadarKind::Mobile]);
    assert_eq!(radar_kind, declared_symbols("radars", "radar_kind"));
    let vehicle = symbols(&[Vehicle::Registered, Vehicle::Transferred, Vehicle::Deregistered]);
    assert_eq!(vehicle, declared_symbols("vehicles", "kind"));
    let owner = symbols(&[Owner::Registered, Owner::Changed, Owner::Removed]);
    assert_eq!(owner, declared_symbols("owners", "kind"));
    let state = symbols(&[InfractionState::Issued, InfractionState::Revised, InfractionState::Voided]);
    assert_eq!(state, declared_symbols("infractions", "state"));
}

#[test]
fn every_schema_can_read_its_older_versions() {
    for topic in TOPICS {
        let reader = parsed(topic.schema);
        for older in topic.older_schemas {
            SchemaCompatibility::can_read(&parsed(older), &reader).unwrap();
        }
    }
}

#[test]
fn a_version_1_invoice_has_no_lines() {
    let older = parsed(Invoice::TOPIC.older_schemas[0]);
    let read: Invoice = decode(&older, &fixtures()["Invoice.v1"]);
    assert_eq!(read, Invoice { lines: Vec::new(), ..credit_note() });
}

#[test]
fn a_version_1_infraction_is_issued_once() {
    let older = parsed(Infraction::TOPIC.older_schemas[0]);
    let read: Infraction = decode(&older, &fixtures()["Infraction.v1"]);
    let issued = Infraction {
        revision: 1,
        state: InfractionState::Issued,
        reason: "reading".into(),
        ..revised_infraction()
    };
    assert_eq!(read, issued);
}

/// A file left in `avro/` that no row of the table names would be a version nobody reads.
#[test]
fn every_schema_file_is_in_the_table() {
    let named: Vec<_> =
        TOPICS.iter().flat_map(|topic| topic.older_schemas.iter().chain([&topic.schema])).collect();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/avro")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(named.iter().any(|schema| **schema == text), "{} is in no row", path.display());
    }
}
