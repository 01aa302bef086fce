//! What stands in topics, in the oracle's words: one JSON object per record, per partition in order.

use serde_json::{Map, Value, json};
use tidegate_runtime::avro::{Decoder, SchemaCache};
use tidegate_runtime::log::{Event, RecordRef, TopicPartition};

use crate::place::{Place, rows, tests_path};

/// What a golden file of this kind says of a record.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Results,
    DeadLetters,
    Late,
    Duplicates,
}

impl Place {
    /// The topic must hold what the golden file says: partition, key, time and content. Results stand in its order; late, duplicate and
    /// dead letters are compared as multisets (law 11).
    pub(crate) fn compare(&self, topic: &str, kind: Kind, golden: &str) {
        let (mut found, mut expected) = (self.content(topic, kind), rows(&tests_path("golden").join(golden)));
        if !matches!(kind, Kind::Results) {
            in_no_order(&mut found, &mut expected);
        }
        compare(topic, &found, &expected);
    }

    pub(crate) fn content(&self, topic: &str, kind: Kind) -> Vec<Value> {
        let schemas = SchemaCache::new();
        let mut decoder = Decoder::new(schemas.clone());
        let partitions = self.log.topic(topic).unwrap().unwrap().partitions;
        let mut found = Vec::new();
        for partition in (0..partitions).map(|number| TopicPartition::new(topic, number)) {
            let ends = self.log.watermarks(&partition).unwrap();
            let mut reader = self.log.reader(1 << 20).unwrap();
            reader.seek(partition, ends.low);
            let mut position = ends.low;
            while position < ends.high {
                let Event::Chunk(chunk) = reader.blocking_next().unwrap() else { continue };
                for id in schemas.missing_ids(&chunk) {
                    schemas.resolve(id, self.log.registry()).unwrap();
                }
                position = chunk.next;
                found.extend(chunk.records().map(|record| describe(&record, kind, &mut decoder)));
            }
        }
        found
    }

    pub(crate) fn count(&self, topic: &str) -> i64 {
        let partitions = self.log.topic(topic).unwrap().map_or(0, |topic| topic.partitions);
        let partitions = (0..partitions).map(|number| TopicPartition::new(topic, number));
        partitions.map(|partition| self.log.watermarks(&partition).unwrap().high.0).sum()
    }
}

/// Puts both in one order, by all that is expected of a record.
fn in_no_order(found: &mut [Value], expected: &mut [Value]) {
    let first = expected.first().and_then(Value::as_object);
    let fields: Vec<String> = first.into_iter().flat_map(Map::keys).cloned().collect();
    for rows in [found, expected] {
        rows.sort_by_cached_key(|row| {
            fields.iter().map(|field| row[field.as_str()].to_string()).collect::<Vec<_>>()
        });
    }
}

/// Record by record, in all the golden says of each: a topic's headers may say more.
pub(crate) fn compare(what: &str, found: &[Value], expected: &[Value]) {
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        for (field, expected) in expected.as_object().unwrap() {
            assert_eq!(found.get(field), Some(expected), "{what}, record {index}, {field} of {found}");
        }
    }
    assert_eq!(found.len(), expected.len(), "records of {what}");
}

fn describe(record: &RecordRef<'_>, kind: Kind, decoder: &mut Decoder) -> Value {
    let header =
        |name: &str| record.headers().get(name).map(|value| String::from_utf8_lossy(value).into_owned());
    let mut row = Map::new();
    row.insert("partition".into(), record.partition().partition.into());
    row.insert("key".into(), record.key().map(|key| String::from_utf8_lossy(key).into_owned()).into());
    row.insert("time_ms".into(), record.time().0.into());
    if !matches!(kind, Kind::Results) {
        let origin = header("origin").unwrap();
        row.insert("topic".into(), origin.split('[').next().unwrap().into());
    }
    if matches!(kind, Kind::DeadLetters) {
        row.insert("reason".into(), header("reason").into());
    } else {
        row.insert("value".into(), decoder.decode_json(record.value()).unwrap());
    }
    if matches!(kind, Kind::Late) {
        let ms = |text: &str| json!(text.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        if let Some(window) = header("window") {
            let (start, end) = window.split_once('/').unwrap();
            row.insert("window_start".into(), ms(start));
            row.insert("window_end".into(), ms(end));
        }
        if let Some(time) = header("stream-time") {
            row.insert("stream_time".into(), ms(&time));
        }
        if let Some(lateness) = header("lateness-ms") {
            row.insert("lateness_ms".into(), json!(lateness.parse::<i64>().unwrap()));
        }
    }
    Value::Object(row)
}
