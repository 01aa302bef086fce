//! A field's default, from the schema's JSON to the bytes of a datum.

use serde_json::Value;

use super::number;
use super::plan::{Node, Record};

/// The bytes of `value` as a `node`, if it is one.
pub(super) fn bytes(value: &Value, node: &Node) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    write(value, node, &mut out).then_some(out)
}

/// Appends `value`; false, with anything appended, if it is no `node`.
fn write(value: &Value, node: &Node, out: &mut Vec<u8>) -> bool {
    match (value, node) {
        (Value::Null, Node::Null) => true,
        (Value::Bool(flag), Node::Boolean) => {
            out.push(u8::from(*flag));
            true
        }
        (Value::Number(given), Node::Int) => {
            let int = given.as_i64().and_then(|given| i32::try_from(given).ok());
            int.map(|int| number::write(int.into(), out)).is_some()
        }
        (Value::Number(given), Node::Long) => given.as_i64().map(|long| number::write(long, out)).is_some(),
        (Value::Number(given), Node::Float) => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a float's default is written in decimal digits"
            )]
            let float = given.as_f64().map(|given| given as f32);
            float.map(|float| out.extend_from_slice(&float.to_le_bytes())).is_some()
        }
        (Value::Number(given), Node::Double) => {
            given.as_f64().map(|double| out.extend_from_slice(&double.to_le_bytes())).is_some()
        }
        (Value::String(text), Node::Bytes | Node::Text) => {
            number::write_bytes(text.as_bytes(), out);
            true
        }
        (Value::String(text), Node::Fixed(fixed)) => {
            out.extend_from_slice(text.as_bytes());
            text.len() == fixed.size
        }
        (Value::String(text), Node::Enum(symbols)) => {
            let index = symbols.symbols.iter().position(|symbol| symbol == text);
            index.map(|index| number::write_index(index, out)).is_some()
        }
        (Value::Array(elements), Node::Array(items)) => {
            block(elements.len(), out, |out| elements.iter().all(|element| write(element, items, out)))
        }
        (Value::Object(entries), Node::Map(values)) => block(entries.len(), out, |out| {
            entries.iter().all(|(key, value)| {
                number::write_bytes(key.as_bytes(), out);
                write(value, values, out)
            })
        }),
        (Value::Object(given), Node::Record(record)) => write_record(given, record, out),
        (_, Node::Union(union)) => {
            let variant = union.variants.iter().enumerate().find_map(|(index, variant)| {
                let bytes = bytes(value, variant)?;
                Some((index, bytes))
            });
            variant
                .map(|(index, bytes)| {
                    number::write_index(index, out);
                    out.extend_from_slice(&bytes);
                })
                .is_some()
        }
        _ => false,
    }
}

fn write_record(given: &serde_json::Map<String, Value>, record: &Record, out: &mut Vec<u8>) -> bool {
    record.fields.iter().all(|field| match (given.get(&field.name), &field.default) {
        (Some(value), _) => write(value, &field.node, out),
        (None, Some(default)) => {
            out.extend_from_slice(default);
            true
        }
        (None, None) => false,
    })
}

/// A block of `count` elements, and the end.
fn block(count: usize, out: &mut Vec<u8>, elements: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
    if count != 0 {
        number::write_index(count, out);
    }
    let written = elements(out);
    out.push(0);
    written
}
