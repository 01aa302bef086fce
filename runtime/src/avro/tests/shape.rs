//! Random schemas and values of them, as the oracle's tests need them.

use std::cell::RefCell;
use std::fmt::Write as _;

use proptest::prelude::*;

/// A type, before it has names. Named types of equal shape become one type and references to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    /// A type without parts, as the schema writes it.
    Plain(Plain, &'static str),
    Fixed(usize),
    Enum(usize),
    Array(Box<Shape>),
    Map(Box<Shape>),
    Union(Vec<Shape>),
    Record(Vec<Shape>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Plain {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Boolean(bool),
    Int(i32),
    Long(i64),
    /// The bits: not-a-number must compare.
    Float(u32),
    Double(u64),
    Bytes(Vec<u8>),
    Text(String),
    Symbol(usize),
    List(Vec<Value>),
    Entries(Vec<(String, Value)>),
    Variant(usize, Box<Value>),
    Record(Vec<Value>),
}

pub(super) const FIELDS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
pub(super) const SYMBOLS: [&str; 4] = ["NORTH", "EAST", "SOUTH", "WEST"];

impl Shape {
    fn is_empty(&self) -> bool {
        match self {
            Shape::Plain(Plain::Null, _) | Shape::Fixed(0) => true,
            Shape::Record(fields) => fields.iter().all(Shape::is_empty),
            _ => false,
        }
    }

    /// Told apart in a union by kind or, if named, by name.
    fn kind(&self) -> Option<String> {
        match self {
            Shape::Plain(plain, _) => Some(format!("{plain:?}")),
            Shape::Array(_) => Some("array".into()),
            Shape::Map(_) => Some("map".into()),
            Shape::Union(_) => Some("union".into()),
            Shape::Fixed(_) | Shape::Enum(_) | Shape::Record(_) => None,
        }
    }
}

/// The variants a union may hold: no union, and no kind or named shape twice.
pub(super) fn union_of(shapes: Vec<Shape>) -> Shape {
    let mut variants: Vec<Shape> = Vec::new();
    for shape in shapes {
        let again = variants.iter().any(|known| match shape.kind() {
            Some(kind) => known.kind() == Some(kind),
            None => *known == shape,
        });
        if !again && !matches!(shape, Shape::Union(_)) {
            variants.push(shape);
        }
    }
    if variants.is_empty() {
        variants.push(Shape::Plain(Plain::Long, r#""long""#));
    }
    Shape::Union(variants)
}

pub(super) fn any_shape() -> impl Strategy<Value = Shape> {
    let plain = prop::sample::select(vec![
        Shape::Plain(Plain::Null, r#""null""#),
        Shape::Plain(Plain::Boolean, r#""boolean""#),
        Shape::Plain(Plain::Int, r#""int""#),
        Shape::Plain(Plain::Int, r#"{"type": "int", "logicalType": "date"}"#),
        Shape::Plain(Plain::Long, r#""long""#),
        Shape::Plain(Plain::Long, r#"{"type": "long", "logicalType": "timestamp-millis"}"#),
        Shape::Plain(Plain::Float, r#""float""#),
        Shape::Plain(Plain::Double, r#""double""#),
        Shape::Plain(Plain::Bytes, r#""bytes""#),
        Shape::Plain(
            Plain::Bytes,
            r#"{"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}"#,
        ),
        Shape::Plain(Plain::Text, r#""string""#),
    ]);
    let leaf = prop_oneof![6 => plain, 1 => (0_usize..5).prop_map(Shape::Fixed), 1 => (1_usize..5).prop_map(Shape::Enum)];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let several = prop::collection::vec(inner.clone(), 1..6);
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 0..6).prop_map(Shape::Record),
            2 => several.prop_map(union_of),
            1 => inner.clone().prop_map(|inner| Shape::Union(match inner {
                Shape::Union(variants) => variants,
                Shape::Plain(Plain::Null, _) => vec![inner],
                _ => vec![Shape::Plain(Plain::Null, r#""null""#), inner],
            })),
            1 => inner.clone().prop_map(|items| match items {
                items if items.is_empty() => Shape::Map(Box::new(items)),
                items => Shape::Array(Box::new(items)),
            }),
            1 => inner.prop_map(|values| Shape::Map(Box::new(values))),
        ]
    })
}

thread_local! {
    static NAMED: RefCell<Vec<(Shape, &'static str)>> = const { RefCell::new(Vec::new()) };
}

/// The name of a named shape, the same on every call of a thread: serde wants names that live for ever.
pub(super) fn name_of(shape: &Shape) -> &'static str {
    NAMED.with_borrow_mut(|named| {
        if let Some((_, name)) = named.iter().find(|(known, _)| known == shape) {
            return *name;
        }
        let name: &'static str = format!("N{}", named.len()).leak();
        named.push((shape.clone(), name));
        name
    })
}

/// The schema's text.
pub(super) fn schema_of(shape: &Shape) -> String {
    let mut text = String::new();
    render(shape, &mut Vec::new(), &mut text);
    text
}

fn render<'s>(shape: &'s Shape, known: &mut Vec<&'s Shape>, out: &mut String) {
    if shape.kind().is_none() {
        if known.contains(&shape) {
            let _ = write!(out, r#""{}""#, name_of(shape));
            return;
        }
        known.push(shape);
    }
    match shape {
        Shape::Plain(_, text) => out.push_str(text),
        Shape::Fixed(size) => {
            let _ = write!(out, r#"{{"type": "fixed", "name": "{}", "size": {size}}}"#, name_of(shape));
        }
        Shape::Enum(count) => {
            let (name, symbols) = (name_of(shape), &SYMBOLS[..*count]);
            let _ = write!(out, r#"{{"type": "enum", "name": "{name}", "symbols": {symbols:?}}}"#);
        }
        Shape::Array(items) => around(r#"{"type": "array", "items": "#, items, known, out),
        Shape::Map(values) => around(r#"{"type": "map", "values": "#, values, known, out),
        Shape::Union(variants) => {
            out.push('[');
            for (at, variant) in variants.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                render(variant, known, out);
            }
            out.push(']');
        }
        Shape::Record(fields) => {
            let _ = write!(out, r#"{{"type": "record", "name": "{}", "fields": ["#, name_of(shape));
            for (at, field) in fields.iter().enumerate() {
                let comma = if at == 0 { "" } else { ", " };
                let _ = write!(out, r#"{comma}{{"name": "{}", "type": "#, FIELDS[at]);
                render(field, known, out);
                out.push('}');
            }
            out.push_str("]}");
        }
    }
}

fn around<'s>(before: &str, inner: &'s Shape, known: &mut Vec<&'s Shape>, out: &mut String) {
    out.push_str(before);
    render(inner, known, out);
    out.push('}');
}

pub(super) fn any_value(shape: &Shape) -> BoxedStrategy<Value> {
    let bytes = |range| prop::collection::vec(any::<u8>(), range);
    match shape {
        Shape::Plain(Plain::Null, _) => Just(Value::Null).boxed(),
        Shape::Plain(Plain::Boolean, _) => any::<bool>().prop_map(Value::Boolean).boxed(),
        Shape::Plain(Plain::Int, _) => any::<i32>().prop_map(Value::Int).boxed(),
        Shape::Plain(Plain::Long, _) => any::<i64>().prop_map(Value::Long).boxed(),
        Shape::Plain(Plain::Float, _) => any::<u32>().prop_map(Value::Float).boxed(),
        Shape::Plain(Plain::Double, _) => any::<u64>().prop_map(Value::Double).boxed(),
        Shape::Plain(Plain::Bytes, _) => bytes(0..70).prop_map(Value::Bytes).boxed(),
        Shape::Plain(Plain::Text, _) => ".{0,40}".prop_map(Value::Text).boxed(),
        Shape::Fixed(size) => bytes(*size..size + 1).prop_map(Value::Bytes).boxed(),
        Shape::Enum(count) => (0..*count).prop_map(Value::Symbol).boxed(),
        Shape::Array(items) => prop::collection::vec(any_value(items), 0..4).prop_map(Value::List).boxed(),
        Shape::Map(values) => {
            prop::collection::vec((".{0,9}", any_value(values)), 0..4).prop_map(Value::Entries).boxed()
        }
        Shape::Union(variants) => {
            let variant = |(at, variant)| {
                any_value(variant).prop_map(move |value| Value::Variant(at, Box::new(value))).boxed()
            };
            proptest::strategy::Union::new(variants.iter().enumerate().map(variant)).boxed()
        }
        Shape::Record(fields) => {
            fields.iter().map(any_value).collect::<Vec<_>>().prop_map(Value::Record).boxed()
        }
    }
}

/// A schema and a value of it.
pub(super) fn any_datum() -> impl Strategy<Value = (Shape, Value)> {
    any_shape().prop_flat_map(|shape| {
        let value = any_value(&shape);
        (Just(shape), value)
    })
}
