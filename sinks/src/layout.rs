//! The columns of a topic, from its current schema: which there are, and which cell fits into which.
//!
//! Promise: a row that [`fit`](Layout::fit) returns has exactly the layout's columns, in its order, each cell of its column's kind.
//! Values written by an older schema take the current one's defaults; what has neither value nor default is a bad record.

use apache_avro::Schema;
use apache_avro::schema::RecordSchema;
use serde_json::Value;
use tidegate_runtime::{BadRecord, Error, Reason, Result};
use tidegate_schemas::Topic;

use crate::row::{Cell, Row, known_field};

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Flag,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    Long,
    /// UTC milliseconds.
    Time,
    Text,
    /// One of an enum's symbols.
    Symbol(Vec<String>),
    /// An array of records.
    List(Layout),
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    default: Option<Cell>,
}

/// A record's columns, in the schema's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) columns: Vec<Column>,
}

impl Layout {
    /// The columns of `topic`.
    ///
    /// # Errors
    /// [`Refused`](Error::Refused) when its schema has a field no sink has a column for.
    pub(crate) fn of(topic: &Topic) -> Result<Layout> {
        let refused = |why: String| Error::Refused {
            what: format!("topic `{}` has no columns: {why}", topic.name),
            remedy: "sinks write records of whole numbers, text, enums, flags and lists of such records"
                .into(),
        };
        match Schema::parse_str(topic.schema) {
            Ok(Schema::Record(record)) => Layout::of_record(&record).map_err(refused),
            Ok(_) => Err(refused("its schema is no record".into())),
            Err(error) => Err(refused(error.to_string())),
        }
    }

    fn of_record(record: &RecordSchema) -> Result<Layout, String> {
        let column = |field: &apache_avro::schema::RecordField| {
            let unfit = || format!("field `{}` has a type no column holds", field.name);
            let kind = Kind::of(&field.schema).ok_or_else(unfit)?;
            let default = match &field.default {
                None => None,
                Some(value) => Some(default_cell(&kind, value).ok_or_else(unfit)?),
            };
            Ok(Column { name: known_field(&field.name).ok_or_else(unfit)?, kind, default })
        };
        Ok(Layout { columns: record.fields.iter().map(column).collect::<Result<_, String>>()? })
    }

    /// `row` in the order of the columns.
    ///
    /// # Errors
    /// If a field is missing that has no default, or is of another kind.
    pub(crate) fn fit(&self, mut row: Row) -> Result<Row, BadRecord> {
        for (at, column) in self.columns.iter().enumerate() {
            // Nearly every record was written with the current schema: then each field is where it belongs.
            if row.0.get(at).is_none_or(|(name, _)| *name != column.name) {
                match row.0.iter().skip(at).position(|(name, _)| *name == column.name) {
                    Some(distance) => row.0.swap(at, at + distance),
                    None => row.0.insert(at, (column.name, column.missing()?)),
                }
            }
            column.check(&mut row.0[at].1)?;
        }
        row.0.truncate(self.columns.len());
        Ok(row)
    }
}

impl Kind {
    fn of(schema: &Schema) -> Option<Kind> {
        Some(match schema {
            Schema::Boolean => Kind::Flag,
            Schema::Int => Kind::Int,
            Schema::Long => Kind::Long,
            Schema::TimestampMillis => Kind::Time,
            Schema::String => Kind::Text,
            Schema::Enum(symbols) => Kind::Symbol(symbols.symbols.clone()),
            Schema::Array(array) => match &*array.items {
                Schema::Record(record) => Kind::List(Layout::of_record(record).ok()?),
                _ => return None,
            },
            _ => return None,
        })
    }
}

impl Column {
    fn missing(&self) -> Result<Cell, BadRecord> {
        self.default.clone().ok_or_else(|| {
            BadRecord::new(Reason::Undecodable, format!("its schema has no field `{}`", self.name))
        })
    }

    fn check(&self, cell: &mut Cell) -> Result<(), BadRecord> {
        let fits = match (&self.kind, cell) {
            (Kind::Flag, Cell::Flag(_))
            | (Kind::Long | Kind::Time, Cell::Integer(_))
            | (Kind::Text, Cell::Text(_)) => true,
            (Kind::Int, Cell::Integer(number)) => i32::try_from(*number).is_ok(),
            (Kind::Symbol(symbols), Cell::Text(symbol)) => symbols.contains(symbol),
            (Kind::List(layout), Cell::List(rows)) => {
                for row in rows {
                    *row = layout.fit(std::mem::take(row))?;
                }
                true
            }
            _ => false,
        };
        if fits {
            return Ok(());
        }
        Err(BadRecord::new(
            Reason::Undecodable,
            format!("field `{}` holds what its column cannot", self.name),
        ))
    }
}

fn default_cell(kind: &Kind, value: &Value) -> Option<Cell> {
    Some(match (kind, value) {
        (Kind::Flag, Value::Bool(flag)) => Cell::Flag(*flag),
        (Kind::Int | Kind::Long | Kind::Time, Value::Number(number)) => Cell::Integer(number.as_i64()?),
        (Kind::Text | Kind::Symbol(_), Value::String(text)) => Cell::Text(text.clone()),
        (Kind::List(_), Value::Array(elements)) if elements.is_empty() => Cell::List(Vec::new()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use tidegate_schemas::{TOPICS, topics};

    use super::*;

    fn text(name: &str, value: &str) -> (&'static str, Cell) {
        (known_field(name).unwrap(), Cell::Text(value.into()))
    }

    #[test]
    fn every_topic_of_the_table_has_a_column_for_each_field() {
        for topic in TOPICS {
            let schema: Value = serde_json::from_str(topic.schema).unwrap();
            let fields: Vec<_> =
                schema["fields"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
            let layout = Layout::of(topic).unwrap();
            assert_eq!(layout.columns.iter().map(|column| column.name).collect::<Vec<_>>(), fields);
        }
    }

    #[test]
    fn fields_in_another_order_find_their_columns() {
        let layout = Layout::of(&topics::OWNERS).unwrap();
        let time = |ms| (known_field("valid_from").unwrap(), Cell::Integer(ms));
        let row = Row(vec![
            time(7),
            text("address", "a"),
            text("plate", "of no column here"),
            text("name", "n"),
            text("kind", "CHANGED"),
            text("owner_id", "o"),
        ]);
        let fitted = layout.fit(row).unwrap();
        let names = [text("owner_id", "o"), text("kind", "CHANGED"), text("name", "n"), text("address", "a")];
        assert_eq!(fitted.0, [names.to_vec(), vec![time(7)]].concat());
    }

    #[test]
    fn what_has_no_value_takes_the_default_or_is_bad() {
        let layout = Layout::of(&topics::INVOICES).unwrap();
        let number = |name: &str, value| (known_field(name).unwrap(), Cell::Integer(value));
        let mut row = Row(vec![
            text("invoice_id", "i"),
            text("customer_id", "c"),
            number("issued_at", 1),
            number("amount_minor", -2),
            text("currency", "GBP"),
        ]);
        let fitted = layout.fit(row.clone()).unwrap();
        assert_eq!(fitted.0[5], (known_field("lines").unwrap(), Cell::List(Vec::new())));
        row.0.remove(3);
        let bad = layout.fit(row).unwrap_err();
        assert_eq!(bad.to_string(), "undecodable: its schema has no field `amount_minor`");
    }

    #[test]
    fn a_cell_of_another_kind_is_bad() {
        let layout = Layout::of(&topics::RADARS).unwrap();
        let number = |name: &str, value| (known_field(name).unwrap(), Cell::Integer(value));
        let row = |kind: &str, limit: i64| {
            Row(vec![
                text("radar_id", "r"),
                text("kind", kind),
                text("radar_kind", "FIXED"),
                number("speed_limit_kmh", limit),
                text("place", "p"),
                number("valid_from", 1),
            ])
        };
        assert!(layout.fit(row("INSTALLED", 30)).is_ok());
        for (kind, limit, field) in [("BLOWN_UP", 30, "kind"), ("CHANGED", 1 << 40, "speed_limit_kmh")] {
            let bad = layout.fit(row(kind, limit)).unwrap_err();
            assert_eq!(bad.message, format!("field `{field}` holds what its column cannot"));
        }
    }
}
