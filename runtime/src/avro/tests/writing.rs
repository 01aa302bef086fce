//! What is written is what apache-avro writes, byte for byte; what it refuses is refused.

use apache_avro::Schema;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::*;
use serde::ser::{SerializeMap, SerializeSeq, SerializeStruct, Serializer};

use super::shape::{any_datum, any_shape, schema_of, union_of};
use super::twin::Written;
use super::*;

fn ours<T: Serialize>(schema: &str, value: &T) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let plan = &interned(schema).unwrap_or_else(|why| panic!("{schema}: {why}")).plan;
    let written = value.serialize(Place::new(plan, &mut out));
    written.map(|()| out).map_err(|misfit| misfit.to_string())
}

fn theirs<T: Serialize>(schema: &str, value: &T) -> Option<Vec<u8>> {
    let schema = Schema::parse_str(schema).unwrap();
    GenericDatumWriter::builder(&schema).build().unwrap().write_ser_to_vec(value).ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_value_is_written_as_apache_avro_writes_it((shape, value) in any_datum(), counted in any::<bool>()) {
        let (schema, twin) = (schema_of(&shape), Written { shape: &shape, value: &value, counted });
        let expected = theirs(&schema, &twin);
        prop_assert!(expected.is_some(), "{}", schema);
        prop_assert_eq!(ours(&schema, &twin).ok(), expected, "{}", schema);
    }

    /// Without being told which variant it is.
    #[test]
    fn a_value_finds_its_place_in_a_union(
        (shape, value) in any_datum(),
        before in prop::collection::vec(any_shape(), 0..3),
        counted in any::<bool>(),
    ) {
        let others = before.into_iter().chain([shape.clone()]).collect();
        let schema = schema_of(&union_of(others));
        let twin = Written { shape: &shape, value: &value, counted };
        let found = ours(&schema, &twin);
        let expected = theirs(&schema, &twin);
        prop_assert_eq!(found.as_ref().ok(), expected.as_ref(), "{} {:?}", schema, found);
    }

    #[test]
    fn what_does_not_fit_is_refused_as_apache_avro_refuses_it(
        (shape, value) in any_datum(),
        other in any_shape(),
    ) {
        let (schema, twin) = (schema_of(&other), Written { shape: &shape, value: &value, counted: true });
        let found = ours(&schema, &twin);
        let expected = theirs(&schema, &twin);
        prop_assert_eq!(found.as_ref().ok(), expected.as_ref(), "{} {:?}", schema, found);
    }
}

const DEFAULTS: &str = r#"{"type": "record", "name": "R", "fields": [
    {"name": "first", "type": "string"},
    {"name": "flag", "type": "boolean", "default": true},
    {"name": "int", "type": "int", "default": -7},
    {"name": "long", "type": {"type": "long", "logicalType": "timestamp-millis"}, "default": 1477291049000},
    {"name": "float", "type": "float", "default": 0.1},
    {"name": "double", "type": "double", "default": -2.5},
    {"name": "bytes", "type": "bytes", "default": "ab"},
    {"name": "fixed", "type": {"type": "fixed", "name": "F", "size": 2}, "default": "cd"},
    {"name": "kind", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}, "default": "B"},
    {"name": "list", "type": {"type": "array", "items": "string"}, "default": ["A", "B"]},
    {"name": "none", "type": {"type": "array", "items": "int"}, "default": []},
    {"name": "map", "type": {"type": "map", "values": "bytes"}, "default": {"k": "ef", "l": "gh"}},
    {"name": "maybe", "type": ["null", "string"], "default": null},
    {"name": "other", "type": ["string", "null"], "default": "x"},
    {"name": "one_of", "type": ["int", "string", "null"], "default": 5},
    {"name": "inner", "default": {"b": "given"}, "type": {"type": "record", "name": "I", "fields": [
        {"name": "a", "type": "int", "default": 1}, {"name": "b", "type": "string"}]}},
    {"name": "last", "type": "int", "default": 3}]}"#;

#[test]
fn what_a_twin_skips_takes_the_schema_s_default() {
    #[derive(Serialize)]
    struct Twin {
        last: i32,
        #[serde(skip_serializing_if = "Option::is_none")]
        kind: Option<Kind>,
        first: &'static str,
    }
    let twin = Twin { last: 9, kind: None, first: "f" };
    let expected = theirs(DEFAULTS, &twin).unwrap();
    assert_eq!(ours(DEFAULTS, &twin), Ok(expected.clone()));
    assert!(expected.ends_with(&[10, 2, 10, b'g', b'i', b'v', b'e', b'n', 18]), "{expected:?}");
    #[derive(Serialize)]
    struct Nothing {}
    assert_eq!(theirs(DEFAULTS, &Nothing {}), None);
    let why = ours(DEFAULTS, &Nothing {}).unwrap_err();
    assert_eq!(why, "field `first` of `R` is missing and has no default");
}

/// `fields` as a struct, as a map, and as a map without a length.
#[derive(Clone, Copy)]
enum Form {
    Struct,
    Map,
    Unsized,
}

struct Fields(Form, Vec<(&'static str, i32)>);

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let len = match self.0 {
            Form::Struct => {
                let mut record = serializer.serialize_struct("P", self.1.len())?;
                self.1.iter().try_for_each(|(name, value)| record.serialize_field(name, value))?;
                return record.end();
            }
            Form::Map => Some(self.1.len()),
            Form::Unsized => None,
        };
        let mut map = serializer.serialize_map(len)?;
        self.1.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        map.end()
    }
}

const POINT: &str = r#"{"type": "record", "name": "P", "fields": [
    {"name": "x", "type": "int"}, {"name": "y", "type": "int"}, {"name": "z", "type": "int", "default": 0}]}"#;

#[test]
fn fields_are_written_in_the_schema_s_order_however_they_come() {
    let cases = [
        vec![("x", 1), ("y", 2), ("z", 3)],
        vec![("z", 3), ("y", 2), ("x", 1)],
        vec![("y", 2), ("z", 3), ("x", 1)],
        vec![("y", 2), ("x", 1)],
        vec![("x", 1), ("x", 1), ("y", 2)],
        vec![("x", 1), ("z", 2), ("z", 2), ("y", 2)],
        vec![("x", 1), ("w", 2), ("y", 2)],
        vec![("y", 2)],
    ];
    for (number, case) in cases.into_iter().enumerate() {
        for form in [Form::Struct, Form::Map, Form::Unsized] {
            let fields = Fields(form, case.clone());
            assert_eq!(ours(POINT, &fields).ok(), theirs(POINT, &fields), "{case:?}");
            assert_eq!(ours(POINT, &fields).is_ok(), number < 4, "{case:?}");
        }
    }
    let why = |fields: Vec<_>| ours(POINT, &Fields(Form::Struct, fields)).unwrap_err();
    assert_eq!(why(vec![("x", 1), ("x", 1)]), "field `x` comes twice");
    assert_eq!(why(vec![("w", 1)]), "record `P` has no field `w`");
}

#[test]
fn a_misfit_says_where_and_what() {
    #[derive(Serialize)]
    struct Line {
        price: &'static str,
    }
    #[derive(Serialize)]
    struct Twin {
        lines: Vec<Line>,
    }
    let schema = r#"{"type": "record", "name": "T", "fields": [{"name": "lines", "type": {"type": "array", "items":
        {"type": "record", "name": "L", "fields": [{"name": "price", "type": ["null", "long"]}]}}}]}"#;
    let why = ours(schema, &Twin { lines: vec![Line { price: "free" }] }).unwrap_err();
    assert_eq!(
        why,
        "in field `lines`: in field `price`: `a string` stands where a union of null, a long belongs"
    );
}

#[test]
fn tuples_and_choices_are_written_as_apache_avro_writes_them() {
    #[derive(Serialize)]
    struct Pair(i32, &'static str);
    #[derive(Serialize)]
    struct Wrapped(i32);
    #[derive(Serialize)]
    enum Choice {
        Nothing,
        Number(i64),
        Shape { side: i32 },
        Both(i32, i32),
    }
    fn same<T: Serialize>(schema: &str, value: &T) {
        let expected = theirs(schema, value);
        assert!(expected.is_some(), "{schema}");
        assert_eq!(ours(schema, value).ok(), expected, "{schema}");
    }
    let pair = r#"{"type": "record", "name": "Pair", "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": "string"}]}"#;
    same(pair, &Pair(1, "x"));
    same(pair, &(1, "x"));
    same(r#""int""#, &(1,));
    same(r#"["null", "int"]"#, &(1,));
    let wrapped = r#"{"type": "record", "name": "Wrapped", "fields": [{"name": "a", "type": "int"}]}"#;
    same(wrapped, &Wrapped(4));
    let choice = r#"["null", "long",
        {"type": "record", "name": "Shape", "fields": [{"name": "side", "type": "int"}]},
        {"type": "record", "name": "Both", "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": "int"}]}]"#;
    for value in [Choice::Nothing, Choice::Number(3), Choice::Shape { side: 2 }, Choice::Both(1, 2)] {
        same(choice, &value);
    }
    let fixed = r#"{"type": "fixed", "name": "org.apache.avro.rust.u64", "size": 8}"#;
    same(fixed, &u64::MAX);
    same(&format!(r#"["null", {fixed}]"#), &Some(3_u64));
    same(r#""string""#, &'ü');
}

/// apache-avro writes these, as bytes nobody can read.
#[test]
fn a_length_that_is_not_kept_is_refused() {
    struct Short(usize);
    impl Serialize for Short {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut elements = serializer.serialize_seq(Some(self.0))?;
            elements.serialize_element(&1)?;
            elements.end()
        }
    }
    let array = r#"{"type": "array", "items": "int"}"#;
    assert_eq!(ours(array, &Short(1)), Ok(vec![2, 2, 0]));
    assert_eq!(ours(array, &Short(3)).unwrap_err(), "`2` elements fewer than announced were given");
    assert_eq!(ours(array, &Short(0)).unwrap_err(), "there are more elements than were announced");
}
