//! Twins that differ from the schema they read, and schemas that are refused before anything is read.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeOwned, SeqAccess, Visitor};

use super::*;

/// What a value of `schema` is to a twin.
fn read<T: DeserializeOwned>(schema: &'static str, datum: &[u8]) -> Result<T, BadRecord> {
    let value = [&[0, 0, 0, 0, 1][..], datum].concat();
    Decoder::new(cache(vec![(1, schema)])).decode(Some(&value))
}

#[test]
fn a_twin_may_borrow_its_text() {
    #[derive(Deserialize)]
    #[serde(rename = "Parcel")]
    struct View<'v> {
        label: &'v str,
        stops: Vec<&'v str>,
        note: Option<&'v str>,
    }
    let value = encoded(&Parcel { note: Some("fragile".into()), ..parcel() });
    let view: View<'_> = decoder().decode(Some(&value)).unwrap();
    assert_eq!((view.label, view.stops.as_slice(), view.note), ("Zürich", &["a", ""][..], Some("fragile")));
    assert!(value.as_ptr_range().contains(&view.label.as_ptr()), "it is a copy");
}

#[test]
fn what_a_twin_has_no_use_for_is_passed_over() {
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename = "R")]
    struct Last {
        last: i32,
    }
    let schema = r#"{"type": "record", "name": "R", "fields": [
        {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
            {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
            {"name": "price", "type": ["null", "double"]}]}}},
        {"name": "by_name", "type": {"type": "map", "values": "Line"}},
        {"name": "last", "type": "int"}]}"#;
    // Two lines and a sized block of one more; one entry; 21.
    let mut datum = vec![4, 0, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 2, 2, b'k', 2, 0, 0, 42];
    assert_eq!(read::<Last>(schema, &datum).unwrap(), Last { last: 21 });
    datum[1] = 4;
    let bad = read::<Last>(schema, &datum).unwrap_err();
    assert!(bad.message.contains("symbol index out of bounds: got 2"), "{bad}");
}

#[test]
fn a_twin_reads_what_avro_promotes_to_it() {
    assert_eq!(read::<i64>(r#""int""#, &[5]).unwrap(), -3);
    assert_eq!(read::<u32>(r#""int""#, &[6]).unwrap(), 3);
    assert_eq!(read::<f32>(r#""int""#, &[6]).unwrap().to_bits(), 3_f32.to_bits());
    assert_eq!(read::<f64>(r#""long""#, &[6]).unwrap().to_bits(), 3_f64.to_bits());
    let half = 0.5_f32.to_le_bytes();
    assert_eq!(read::<f64>(r#""float""#, &half).unwrap().to_bits(), 0.5_f64.to_bits());
    assert_eq!(read::<String>(r#""bytes""#, &[4, b'o', b'k']).unwrap(), "ok");
    assert_eq!(read::<Option<i64>>(r#""long""#, &[6]).unwrap(), Some(3));
    assert_eq!(read::<Option<i64>>(r#"["null", "long"]"#, &[2, 6]).unwrap(), Some(3));
    assert_eq!(read::<i64>(r#"["null", "long"]"#, &[2, 6]).unwrap(), 3);
    assert_eq!(read::<Option<i64>>(r#""null""#, &[]).unwrap(), None);
}

/// By type, whatever the value: a topic is read whole or not at all.
#[test]
fn a_twin_is_refused_what_avro_does_not_promote() {
    fn why<T: DeserializeOwned>(schema: &'static str, datum: &[u8]) -> String {
        let Err(bad) = read::<T>(schema, datum) else { panic!("`{schema}` is read") };
        assert_eq!(bad.reason, Reason::Undecodable);
        bad.message
    }
    assert!(
        why::<i32>(r#""long""#, &[6])
            .ends_with("`i32`: Expected Schema::Int | Schema::Date | Schema::TimeMillis")
    );
    assert!(why::<f32>(r#""double""#, &[0; 8]).ends_with("`f32`: Expected Schema::Float"));
    assert!(why::<i64>(r#""double""#, &[0; 8]).contains("`i64`: Expected Schema::Long"));
    assert!(why::<bool>(r#""int""#, &[0]).ends_with("`bool`: Expected Schema::Boolean"));
    let parcel = r#"{"type": "record", "name": "Package", "fields": []}"#;
    assert!(why::<Parcel>(parcel, &[]).ends_with("`struct`: Expected Schema::Record(name: Parcel)"));
    let kind = r#"{"type": "enum", "name": "Kind", "symbols": ["SMALL"]}"#;
    assert!(why::<String>(kind, &[0]).contains("`string`: Expected Schema::String"));
}

/// A visitor reserves as much as it is told to expect.
#[test]
fn no_more_elements_are_announced_than_there_are_bytes() {
    struct Announced(Option<usize>);
    impl<'de> Visitor<'de> for &mut Announced {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<(), A::Error> {
            self.0 = elements.size_hint();
            Ok(())
        }
    }
    let plan = &interned(r#"{"type": "array", "items": "long"}"#).unwrap().plan;
    let announced = |datum: &[u8]| {
        let mut announced = Announced(None);
        Datum::new(plan, &mut Input::new(datum)).deserialize_seq(&mut announced).unwrap();
        announced.0
    };
    assert_eq!(announced(&[4, 2, 2, 2, 2, 0]), Some(2));
    assert_eq!(announced(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 2, 2]), Some(2));
}

/// Records of records, named one after the other so that the text itself is flat.
fn chain(length: usize, uses: usize) -> &'static str {
    let mut fields =
        vec![r#"{"name": "f0", "type": {"type": "record", "name": "N0", "fields": []}}"#.to_owned()];
    for at in 1..length {
        let of = |name: usize| format!(r#"{{"name": "u{name}", "type": "N{}"}}"#, at - 1);
        let inner = (0..uses).map(of).collect::<Vec<_>>().join(", ");
        let record = format!(r#"{{"type": "record", "name": "N{at}", "fields": [{inner}]}}"#);
        fields.push(format!(r#"{{"name": "f{at}", "type": {record}}}"#));
    }
    format!(r#"{{"type": "record", "name": "R", "fields": [{}]}}"#, fields.join(", ")).leak()
}

#[test]
fn schemas_that_take_stack_or_time_without_bytes_are_refused() {
    assert_eq!(read::<serde::de::IgnoredAny>(chain(60, 1), &[]).err().map(|bad| bad.message), None);
    let why = |schema| read::<serde::de::IgnoredAny>(schema, &[]).unwrap_err().message;
    assert!(why(chain(9000, 1)).contains("more than `64` deep"), "{}", why(chain(9000, 1)));
    assert!(why(chain(40, 2)).contains("more than `65536` types"), "{}", why(chain(40, 2)));
}
