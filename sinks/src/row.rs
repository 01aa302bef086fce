//! A record's value as cells, straight from its bytes, whatever its schema.
//!
//! Promise: one way for every topic. Field names are not allocated: those of the table of topics are known beforehand,
//! and a field nobody knows has no column to go to. Numbers with a fraction are refused (law 17).

use std::collections::BTreeSet;
use std::fmt;
use std::sync::LazyLock;

use apache_avro::Schema;
use serde::de::{Deserialize, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess, Visitor};
use tidegate_schemas::TOPICS;

/// One field's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    Flag(bool),
    Integer(i64),
    /// Text, or an enum's symbol.
    Text(String),
    /// The elements of an array of records.
    List(Vec<Row>),
}

/// A record's fields: as decoded in the order of its writer, later in the order of a [`Layout`](crate::layout::Layout).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row(pub(crate) Vec<(&'static str, Cell)>);

/// `name`, if a schema of the table of topics has such a field.
pub(crate) fn known_field(name: &str) -> Option<&'static str> {
    static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
        let mut names = BTreeSet::new();
        for schema in TOPICS.iter().filter_map(|topic| Schema::parse_str(topic.schema).ok()) {
            collect_names(&schema, &mut names);
        }
        names.into_iter().collect()
    });
    NAMES.binary_search_by(|known| known.as_str().cmp(name)).ok().map(|at| NAMES[at].as_str())
}

fn collect_names(schema: &Schema, names: &mut BTreeSet<String>) {
    match schema {
        Schema::Record(record) => {
            for field in &record.fields {
                names.insert(field.name.clone());
                collect_names(&field.schema, names);
            }
        }
        Schema::Array(array) => collect_names(&array.items, names),
        _ => {}
    }
}

/// A field's name, if it is a known one.
struct FieldName(Option<&'static str>);

impl<'de> Deserialize<'de> for FieldName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FieldName, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = FieldName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name")
            }

            fn visit_str<E>(self, name: &str) -> Result<FieldName, E> {
                Ok(FieldName(known_field(name)))
            }
        }
        deserializer.deserialize_identifier(NameVisitor)
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Row, D::Error> {
        struct RowVisitor;
        impl<'de> Visitor<'de> for RowVisitor {
            type Value = Row;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Row, A::Error> {
                let mut row = Row(Vec::with_capacity(fields.size_hint().unwrap_or(0)));
                while let Some(FieldName(name)) = fields.next_key()? {
                    match name {
                        Some(name) => row.0.push((name, fields.next_value()?)),
                        None => drop(fields.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(row)
            }
        }
        deserializer.deserialize_any(RowVisitor)
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Cell, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, text, a flag or a list of records")
    }

    fn visit_unit<E>(self) -> Result<Cell, E> {
        Ok(Cell::Null)
    }

    fn visit_none<E>(self) -> Result<Cell, E> {
        Ok(Cell::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cell, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Cell, E> {
        Ok(Cell::Flag(value))
    }

    fn visit_i32<E>(self, value: i32) -> Result<Cell, E> {
        Ok(Cell::Integer(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Cell, E> {
        Ok(Cell::Integer(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Cell, E> {
        Ok(Cell::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Cell, E> {
        Ok(Cell::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Cell, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(Cell::List(list))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Cell, A::Error> {
        let (symbol, _) = data.variant()?;
        Ok(Cell::Text(symbol))
    }
}
