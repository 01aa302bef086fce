//! What a value can be, and what the decoder says of each.

use super::*;
use crate::log::{Offset, Records, TopicPartition};
use crate::time::EventTime;
use proptest::prelude::*;

mod oracle;
mod reading;
mod shape;
mod twin;
mod writing;

const PARCEL: &str = r#"{"type": "record", "name": "Parcel", "namespace": "test", "fields": [
    {"name": "label", "type": "string"},
    {"name": "weight_grams", "type": "int"},
    {"name": "sent_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["SMALL", "LARGE"]}},
    {"name": "stops", "type": {"type": "array", "items": "string"}},
    {"name": "note", "type": ["null", "string"]}
]}"#;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Parcel {
    label: String,
    weight_grams: i32,
    sent_at: i64,
    kind: Kind,
    #[serde(default)]
    stops: Vec<String>,
    note: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Kind {
    Small,
    Large,
}

struct Fixed(Vec<(u32, &'static str)>);

impl SchemaRegistry for Fixed {
    fn register(&self, subject: &str, _: &str) -> Result<SchemaId> {
        Err(Error::UnknownTopic(subject.into()))
    }

    fn schema(&self, id: SchemaId) -> Result<Option<String>> {
        Ok(self.0.iter().find(|(known, _)| *known == id.0).map(|(_, text)| (*text).to_owned()))
    }

    fn versions(&self, _: &str) -> Result<Vec<(SchemaId, String)>> {
        Ok(Vec::new())
    }

    fn subjects(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

fn cache(schemas: Vec<(u32, &'static str)>) -> SchemaCache {
    let ids: Vec<_> = schemas.iter().map(|(id, _)| SchemaId(*id)).collect();
    let (cache, registry) = (SchemaCache::new(), Fixed(schemas));
    for id in ids {
        cache.resolve(id, &registry).unwrap();
    }
    cache
}

fn decoder() -> Decoder {
    Decoder::new(cache(vec![(7, PARCEL)]))
}

fn encoded(parcel: &Parcel) -> Vec<u8> {
    let mut out = Vec::new();
    Encoder::new(SchemaId(7), PARCEL).unwrap().encode(parcel, &mut out).unwrap();
    out
}

fn parcel() -> Parcel {
    Parcel {
        label: "Zürich".into(),
        weight_grams: -3,
        sent_at: 1_477_291_049_000,
        kind: Kind::Large,
        stops: vec!["a".into(), String::new()],
        note: None,
    }
}

fn reason(value: Option<&[u8]>) -> Reason {
    let reason = decoder().decode::<Parcel>(value).unwrap_err().reason;
    assert_eq!(decoder().decode_json(value).unwrap_err().reason, reason);
    reason
}

/// Written by hand from the Avro specification.
const PARCEL_BYTES: &[u8] = &[
    0, 0, 0, 0, 7, // magic, schema id
    14, b'Z', 0xc3, 0xbc, b'r', b'i', b'c', b'h', // 7 bytes of text
    5,    // -3
    0xd0, 0x80, 0xc4, 0xd6, 0xfe, 0x55, // 1 477 291 049 000
    2,    // the second symbol
    4, 2, b'a', 0, 0, // a block of two, then the end
    0, // null
];

#[test]
fn the_bytes_are_those_of_the_specification() {
    assert_eq!(encoded(&parcel()), PARCEL_BYTES);
    assert_eq!(decoder().decode::<Parcel>(Some(PARCEL_BYTES)).unwrap(), parcel());
}

#[test]
fn json_keeps_the_order_of_fields_and_shows_times_as_numbers() {
    let json = decoder().decode_json(Some(PARCEL_BYTES)).unwrap();
    let text = r#"{"label":"Zürich","weight_grams":-3,"sent_at":1477291049000,"kind":"LARGE","stops":["a",""],"note":null}"#;
    assert_eq!(json.to_string(), text);
}

#[test]
fn json_shows_what_twins_do_not_have() {
    let schema = r#"{"type": "record", "name": "R", "fields": [
        {"name": "raw", "type": "bytes"}, {"name": "id", "type": {"type": "fixed", "name": "F", "size": 2}},
        {"name": "ratio", "type": "double"}, {"name": "map", "type": {"type": "map", "values": "boolean"}},
        {"name": "either", "type": ["null", "string", "long"]}]}"#;
    let mut value = vec![0, 0, 0, 0, 9, 4, 0xca, 0xfe, 1, 2];
    value.extend_from_slice(&f64::NAN.to_le_bytes());
    value.extend_from_slice(&[2, 2, b'k', 1, 0, 4, 84]);
    let json = Decoder::new(cache(vec![(9, schema)])).decode_json(Some(&value)).unwrap();
    assert_eq!(json.to_string(), r#"{"raw":"cafe","id":"0102","ratio":"NaN","map":{"k":true},"either":42}"#);
}

#[test]
fn each_fault_has_its_reason() {
    let with = |at: usize, byte: u8| {
        let mut value = PARCEL_BYTES.to_vec();
        value[at] = byte;
        value
    };
    assert_eq!(reason(None), Reason::NullValue);
    assert_eq!(reason(Some(&with(0, 1))), Reason::WrongMagic);
    assert_eq!(reason(Some(&with(4, 8))), Reason::UnknownSchema);
    assert_eq!(reason(Some(&with(20, 4))), Reason::Undecodable, "no such symbol");
    assert_eq!(reason(Some(&with(7, 0xff))), Reason::Undecodable, "not UTF-8");
    assert_eq!(reason(Some(&[PARCEL_BYTES, b"x"].concat())), Reason::TrailingBytes);
}

#[test]
fn a_message_names_the_fault_in_one_short_line() {
    let message = |value: &[u8]| decoder().decode::<Parcel>(Some(value)).unwrap_err().to_string();
    assert_eq!(
        message(&PARCEL_BYTES[..9]),
        "undecodable: the value is no `test.Parcel` of schema `7`: it ends early"
    );
    assert_eq!(
        message(&[PARCEL_BYTES, &[0; 3]].concat()),
        "trailing-bytes: `3` bytes are left over behind the datum's `22`"
    );
    assert_eq!(
        message(b"{}"),
        "wrong-magic: the value begins with `0x7b`, not with the wire format's `0x00`"
    );
}

/// A length of 2^62 in five kinds of places: none may be believed.
#[test]
fn declared_lengths_do_not_allocate() {
    const HUGE: [u8; 9] = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f];
    let until_stops = &PARCEL_BYTES[..21];
    assert_eq!(reason(Some(&[&PARCEL_BYTES[..5], &HUGE].concat())), Reason::Undecodable);
    assert_eq!(reason(Some(&[until_stops, &HUGE].concat())), Reason::Undecodable);
    assert_eq!(reason(Some(&[until_stops, &[2], &HUGE].concat())), Reason::Undecodable);
    // 2 MiB and 300 MiB: apache-avro's own bound would let both through to an allocation.
    let message = |declared: &[u8]| {
        let value = [&PARCEL_BYTES[..5], declared].concat();
        decoder().decode::<Parcel>(Some(&value)).unwrap_err().message
    };
    for declared in [&[0x80, 0x80, 0x80, 2][..], &[0x80, 0x80, 0x80, 0xac, 2]] {
        assert!(message(declared).contains("allocate"), "{}", message(declared));
    }
}

#[test]
fn schemas_without_bounds_are_refused() {
    let list =
        r#"{"type": "record", "name": "List", "fields": [{"name": "next", "type": ["null", "List"]}]}"#;
    let nulls = r#"{"type": "array", "items": "null"}"#;
    let hidden = r#"{"type": "record", "name": "R", "fields": [
        {"name": "a", "type": {"type": "record", "name": "Empty", "fields": []}},
        {"name": "b", "type": {"type": "array", "items": "Empty"}}]}"#;
    let twice = r#"{"type": "record", "name": "R", "fields": [
        {"name": "a", "type": {"type": "array", "items":
            {"type": "record", "name": "P", "fields": [{"name": "x", "type": "int"}]}}},
        {"name": "b", "type": {"type": "array", "items": "P"}}]}"#;
    let mut decoder =
        Decoder::new(cache(vec![(1, list), (2, nulls), (3, hidden), (4, "no schema"), (5, twice)]));
    for id in 1..=4 {
        let bad = decoder.decode_json(Some(&[0, 0, 0, 0, id, 2, 2])).unwrap_err();
        assert_eq!(bad.reason, Reason::Undecodable);
        assert!(bad.message.starts_with(&format!("schema `{id}` cannot be read: ")), "{}", bad.message);
    }
    assert_eq!(
        decoder.decode_json(Some(&[0, 0, 0, 0, 5, 0, 2, 8, 0])).unwrap().to_string(),
        r#"{"a":[],"b":[{"x":4}]}"#
    );
}

#[test]
fn a_twin_skips_fields_it_lacks_and_defaults_fields_the_writer_lacked() {
    let other = r#"{"type": "record", "name": "Parcel", "fields": [
        {"name": "extra", "type": {"type": "array", "items": "long"}},
        {"name": "label", "type": "string"}, {"name": "weight_grams", "type": "int"},
        {"name": "sent_at", "type": "long"},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["LARGE", "SMALL"]}},
        {"name": "note", "type": ["null", "string"]}]}"#;
    let value = [0, 0, 0, 0, 3, 2, 84, 0, 2, b'l', 2, 4, 0, 2, 2, b'n'];
    let parcel: Parcel = Decoder::new(cache(vec![(3, other)])).decode(Some(&value)).unwrap();
    assert_eq!((parcel.kind, parcel.stops, parcel.note.as_deref()), (Kind::Large, vec![], Some("n")));
}

#[test]
fn a_chunk_names_the_ids_nobody_asked_for_yet() {
    let mut records = Records::default();
    let values: [Option<&[u8]>; 6] = [
        Some(PARCEL_BYTES),
        Some(&[0, 0, 0, 0, 9, 1]),
        None,
        Some(&[1, 0, 0, 0, 4]),
        Some(&[0, 0]),
        Some(&[0, 0, 0, 1, 0]),
    ];
    for value in values.into_iter().chain(values) {
        records.push(EventTime(1), None, value, &[]);
    }
    let chunk = Chunk::contiguous(TopicPartition::new("t", 0), Offset(0), Offset(0), records, Offset(12));
    let cache = SchemaCache::new();
    assert_eq!(cache.missing_ids(&chunk), [SchemaId(7), SchemaId(9), SchemaId(256)]);
    cache.resolve(SchemaId(7), &Fixed(vec![(7, PARCEL)])).unwrap();
    assert_eq!(cache.missing_ids(&chunk), [SchemaId(9), SchemaId(256)]);
    // Registered later than first asked for.
    cache.resolve(SchemaId(9), &Fixed(vec![])).unwrap();
    cache.resolve(SchemaId(9), &Fixed(vec![(9, "\"int\"")])).unwrap();
    let mut decoder = Decoder::new(cache.clone());
    assert_eq!(decoder.decode::<i32>(chunk.record(1).value()).unwrap(), -1);
    assert_eq!(cache.missing_ids(&chunk), [SchemaId(256)]);
}

#[test]
fn a_twin_that_does_not_fit_leaves_nothing_behind() {
    #[derive(Serialize)]
    struct Parcel {
        label: String,
    }
    let mut out = b"before".to_vec();
    let encoder = Encoder::new(SchemaId(7), PARCEL).unwrap();
    let error = encoder.encode(&Parcel { label: "x".into() }, &mut out).unwrap_err();
    assert!(matches!(error, Error::Defect(_)), "{error}");
    assert_eq!(out, b"before");
    assert!(Encoder::new(SchemaId(7), "{").is_err());
}

#[test]
fn a_decoder_changes_between_ids() {
    let mut decoder = Decoder::new(cache(vec![(7, PARCEL), (9, "\"int\"")]));
    for _ in 0..2 {
        assert_eq!(decoder.decode::<Parcel>(Some(PARCEL_BYTES)).unwrap(), parcel());
        assert_eq!(decoder.decode::<i32>(Some(&[0, 0, 0, 0, 9, 4])).unwrap(), 2);
        assert_eq!(
            decoder.decode::<i32>(Some(&[0, 0, 0, 0, 8, 4])).unwrap_err().reason,
            Reason::UnknownSchema
        );
    }
}

fn any_parcel() -> impl Strategy<Value = Parcel> {
    let kind = prop_oneof![Just(Kind::Small), Just(Kind::Large)];
    let stops = prop::collection::vec(".{0,9}", 0..5);
    (".{0,40}", any::<i32>(), any::<i64>(), kind, stops, prop::option::of(".{0,9}")).prop_map(
        |(label, weight_grams, sent_at, kind, stops, note)| Parcel {
            label,
            weight_grams,
            sent_at,
            kind,
            stops,
            note,
        },
    )
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(parcel in any_parcel()) {
        let value = encoded(&parcel);
        prop_assert_eq!(decoder().decode::<Parcel>(Some(&value)).unwrap(), parcel.clone());
        let json = decoder().decode_json(Some(&value)).unwrap();
        prop_assert_eq!(serde_json::from_value::<Parcel>(json).unwrap(), parcel);
    }

    #[test]
    fn every_truncation_is_an_error(parcel in any_parcel()) {
        let value = encoded(&parcel);
        for kept in 0..value.len() {
            prop_assert_eq!(reason(Some(&value[..kept])), Reason::Undecodable, "{} bytes kept", kept);
        }
    }

    #[test]
    fn every_addition_is_an_error(parcel in any_parcel(), garbage in prop::collection::vec(any::<u8>(), 1..9)) {
        prop_assert_eq!(reason(Some(&[encoded(&parcel), garbage].concat())), Reason::TrailingBytes);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let value = [&[0, 0, 0, 0, 7][..], &bytes].concat();
        let twin = decoder().decode::<Parcel>(Some(&value));
        prop_assert_eq!(twin.is_ok(), decoder().decode_json(Some(&value)).is_ok());
        let _ = decoder().decode_json(Some(&bytes));
    }
}
