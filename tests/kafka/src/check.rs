//! The exact checker: everything that came out, record by record, against what an oracle says must come out.
//!
//! Read by a plain client, read_committed; decoded by apache-avro with the registry's schemas. Nothing may be lost, doubled or wrong, and
//! no result may stand in another order (law 11).

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::reader::{Record, read};
use crate::registry::Registry;
use crate::sinks::{as_csv, csv_rows, table_rows, values};

/// What is said of a record of this kind.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Results,
    DeadLetters,
    Late,
    Duplicates,
}

/// How many differences are shown.
const SHOWN: usize = 5;

/// A topic against rows like those of `tests/golden`.
pub fn topic(
    brokers: &str,
    registry: &Registry,
    name: &str,
    kind: Kind,
    expected: &[Value],
) -> Result<(), String> {
    let mut found: Vec<Value> =
        read(brokers, name).iter().map(|record| describe(record, kind, registry)).collect();
    let mut expected = expected.to_vec();
    if !matches!(kind, Kind::Results) {
        in_no_order(&mut found, &mut expected);
    }
    compare(name, &found, &expected)
}

/// Puts both in one order, by all that is expected of a record: late, duplicate and dead letters are multisets (law 11).
fn in_no_order(found: &mut [Value], expected: &mut [Value]) {
    let first = expected.first().and_then(Value::as_object);
    let fields: Vec<String> = first.into_iter().flat_map(Map::keys).cloned().collect();
    for rows in [found, expected] {
        rows.sort_by_cached_key(|row| {
            fields.iter().map(|field| row[field.as_str()].to_string()).collect::<Vec<_>>()
        });
    }
}

/// A record in the oracle's words.
pub fn describe(record: &Record, kind: Kind, registry: &Registry) -> Value {
    let mut row = Map::new();
    row.insert("partition".into(), record.partition.into());
    row.insert("key".into(), record.key_text().into());
    row.insert("time_ms".into(), record.time_ms.into());
    if !matches!(kind, Kind::Results) {
        let origin = record.header("origin").unwrap_or_default();
        row.insert("topic".into(), origin.split('[').next().unwrap_or_default().into());
    }
    if matches!(kind, Kind::DeadLetters) {
        row.insert("reason".into(), record.header("reason").into());
        return Value::Object(row);
    }
    let value = record.decode(registry);
    row.insert("value".into(), value.unwrap_or_else(|error| json!({ "undecodable": error })));
    if matches!(kind, Kind::Late) {
        let ms = |text: &str| json!(text.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        if let Some((start, end)) =
            record.header("window").as_deref().and_then(|window| window.split_once('/'))
        {
            row.insert("window_start".into(), ms(start));
            row.insert("window_end".into(), ms(end));
        }
        if let Some(time) = record.header("stream-time") {
            row.insert("stream_time".into(), ms(&time));
        }
        if let Some(lateness) = record.header("lateness-ms") {
            row.insert("lateness_ms".into(), json!(lateness.parse::<i64>().unwrap()));
        }
    }
    Value::Object(row)
}

/// All of a record that is output (law 11): no offsets, no schema ids.
pub fn content(records: &[Record]) -> Vec<Value> {
    let text = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let value = |record: &Record| match record.value.as_deref() {
        // Framed: the id is the registry's own.
        Some([0, _, _, _, _, datum @ ..]) => text(datum),
        // What a simulator has spoiled at its first byte was framed, too.
        Some([spoiled, _, _, _, _, datum @ ..]) => format!("raw {spoiled:02x} {}", text(datum)),
        Some(other) => format!("raw {}", text(other)),
        None => "null".to_owned(),
    };
    let header = |(name, value): &(String, Vec<u8>)| {
        let value = String::from_utf8_lossy(value);
        // `topic[partition]@offset`: where it stood is no part of what it is.
        let value = if name == "origin" { value.split('@').next().unwrap_or_default() } else { &value };
        format!("{name}={value}")
    };
    let row = |record: &Record| {
        json!({
            "partition": record.partition,
            "key": record.key.as_deref().map(text),
            "time_ms": record.time_ms,
            "value": value(record),
            "headers": record.headers.iter().map(header).collect::<Vec<_>>(),
        })
    };
    records.iter().map(row).collect()
}

/// Both sinks of a topic against the topic's expected rows.
pub struct Sinks<'p> {
    pub csv: &'p Path,
    pub store: &'p Path,
    pub table: &'p str,
    /// The fields that hold a time.
    pub times: &'p [&'p str],
}

impl Sinks<'_> {
    pub fn check(&self, expected: &[Value]) -> Result<(), String> {
        compare("CSV", &csv_rows(self.csv), &as_csv(expected, self.times))?;
        let (found, mut expected) = (table_rows(self.store, self.table), values(expected));
        let fields: Vec<String> = expected
            .first()
            .map(|row| row.as_object().unwrap().keys().cloned().collect())
            .unwrap_or_default();
        let narrowed = |row: Value| {
            let fields = fields.iter().map(|field| (field.clone(), row[field.as_str()].clone()));
            Value::Object(fields.collect())
        };
        let mut found: Vec<Value> = found.into_iter().map(narrowed).collect();
        // Some tables are kept by their key, not in the order of their source.
        for rows in [&mut found, &mut expected] {
            rows.sort_by_key(Value::to_string);
        }
        compare("read store", &found, &expected)
    }
}

/// Row by row, in all the expected row says; a difference is told as what is lost, what is too many, and where the order breaks.
pub fn compare(what: &str, found: &[Value], expected: &[Value]) -> Result<(), String> {
    let agrees = |found: &Value, expected: &Value| {
        expected.as_object().unwrap().iter().all(|(field, value)| found.get(field) == Some(value))
    };
    let same = found.iter().zip(expected).take_while(|(found, expected)| agrees(found, expected)).count();
    if same == found.len() && same == expected.len() {
        return Ok(());
    }
    // Only the fields the oracle names are compared.
    let fields: Vec<&String> =
        expected.first().map(|row| row.as_object().unwrap().keys().collect()).unwrap_or_default();
    let narrowed = |row: &Value| match fields.is_empty() {
        true => row.to_string(),
        false => fields.iter().map(|field| format!("{field}={} ", row[field.as_str()])).collect(),
    };
    let mut balance: BTreeMap<String, i64> = BTreeMap::new();
    expected.iter().for_each(|row| *balance.entry(narrowed(row)).or_default() += 1);
    found.iter().for_each(|row| *balance.entry(narrowed(row)).or_default() -= 1);
    let some = |sign: i64| {
        let rows = balance.iter().filter(|(_, count)| count.signum() == sign);
        let total: i64 = rows.clone().map(|(_, count)| count.abs()).sum();
        let shown: Vec<&str> = rows.map(|(row, _)| row.as_str()).take(SHOWN).collect();
        format!("{total}: {}", shown.join("\n      "))
    };
    let row = |rows: &[Value]| rows.get(same).map_or("nothing".to_owned(), &narrowed);
    Err(format!(
        "{what}: {} records instead of {}\n  lost {}\n  too many {}\n  first difference at {same}: {}\n    expected {}",
        found.len(),
        expected.len(),
        some(1),
        some(-1),
        row(found),
        row(expected)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(numbers: &[i32]) -> Vec<Value> {
        numbers.iter().map(|number| json!({ "n": number, "more": "not said by the oracle" })).collect()
    }

    fn oracle(numbers: &[i32]) -> Vec<Value> {
        numbers.iter().map(|number| json!({ "n": number })).collect()
    }

    #[test]
    fn what_is_lost_doubled_wrong_or_out_of_order_is_found() {
        assert_eq!(compare("t", &rows(&[1, 2, 3]), &oracle(&[1, 2, 3])), Ok(()));
        for wrong in [&[1, 3][..], &[1, 2, 2, 3], &[1, 2, 4], &[1, 3, 2], &[1, 2], &[1, 2, 3, 4], &[]] {
            let told = compare("t", &rows(wrong), &oracle(&[1, 2, 3])).unwrap_err();
            assert!(told.contains(&format!("{} records instead of 3", wrong.len())), "{told}");
        }
        let told = compare("t", &rows(&[1, 2, 2]), &oracle(&[1, 2, 3])).unwrap_err();
        assert!(told.contains("lost 1: n=3") && told.contains("too many 1: n=2"), "{told}");
    }
}
