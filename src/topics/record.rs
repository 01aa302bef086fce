//! One record as a line: decoded where it can be, raw with the reason where it cannot. Nothing a record holds can make this fail.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tidegate_runtime::avro::{Decoder, SchemaCache};
use tidegate_runtime::changelog::{Progress, progress_of};
use tidegate_runtime::log::{Headers, Offset, RecordRef, TopicPartition};
use tidegate_runtime::quote::printable;
use tidegate_runtime::topology::Topology;

use super::Format;

/// What the values of a topic are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Framed Avro.
    Avro,
    /// Blocks of an application's state: shown by how far it had come.
    Changelog,
    /// Records somebody could not read: not being able to either is no news.
    DeadLetters,
}

/// Makes lines of the records of one topic.
pub(super) struct Lines {
    kind: Kind,
    format: Format,
    decoder: Decoder,
}

/// A value as it can be shown.
enum Shown {
    /// As JSON; for a dead letter beside its bytes.
    Value(Value),
    /// Its bytes, and why there is nothing better.
    Raw(Option<(&'static str, String)>),
}

impl Lines {
    /// For `topic`, whose kind is told by its name; `schemas` must know the ids of a chunk before its records come.
    pub(super) fn new(topic: &str, format: Format, schemas: SchemaCache) -> Lines {
        // The names the runtime gives are built from the application's, so an empty one leaves the ending.
        let kind = match topic {
            _ if topic.ends_with(&Topology::changelog_of("")) => Kind::Changelog,
            _ if topic.ends_with(&Topology::dead_letters_of("")) => Kind::DeadLetters,
            _ => Kind::Avro,
        };
        Lines { kind, format, decoder: Decoder::new(schemas) }
    }

    /// The record's line.
    pub(super) fn line(&mut self, record: &RecordRef<'_>) -> String {
        let shown = self.show(record);
        match self.format {
            Format::Json => Value::Object(self.json(record, shown)).to_string(),
            Format::Text => self.text(record, shown),
        }
    }

    fn show(&mut self, record: &RecordRef<'_>) -> Shown {
        match self.kind {
            Kind::Avro => match self.decoder.decode_json(record.value()) {
                Ok(value) => Shown::Value(value),
                Err(bad) => Shown::Raw(Some((bad.reason.code(), bad.message))),
            },
            Kind::DeadLetters => {
                self.decoder.decode_json(record.value()).map_or(Shown::Raw(None), Shown::Value)
            }
            Kind::Changelog => {
                let block = record.value().unwrap_or_default();
                match progress_of(&record.coordinates(), block) {
                    Ok(progress) => Shown::Value(
                        json!({ "block_bytes": block.len(), "progress": progress.as_ref().map(summary) }),
                    ),
                    Err(error) => Shown::Raw(Some(("undecodable", error.to_string()))),
                }
            }
        }
    }

    fn json(&self, record: &RecordRef<'_>, shown: Shown) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("topic".into(), Value::from(&*record.partition().topic));
        object.insert("partition".into(), record.partition().partition.into());
        object.insert("offset".into(), record.offset().0.into());
        object.insert("timestamp".into(), record.time().0.into());
        match record.key().map(std::str::from_utf8) {
            None => object.insert("key".into(), Value::Null),
            Some(Ok(key)) => object.insert("key".into(), key.into()),
            Some(Err(_)) => object.insert("key_base64".into(), base64(record.key())),
        };
        let raw_too = self.kind == Kind::DeadLetters;
        match shown {
            Shown::Value(value) => {
                object.insert("value".into(), value);
                if raw_too {
                    object.insert("raw_base64".into(), base64(record.value()));
                }
            }
            Shown::Raw(error) => {
                if let Some((reason, message)) = error {
                    object.insert("error".into(), json!({ "reason": reason, "message": message }));
                }
                object.insert("raw_base64".into(), base64(record.value()));
            }
        }
        object.insert("headers".into(), Value::Object(headers(record.headers())));
        object
    }

    fn text(&self, record: &RecordRef<'_>, shown: Shown) -> String {
        let key = match record.key().map(std::str::from_utf8) {
            None => "(no key)".to_owned(),
            Some(Ok(key)) => printable(key).into_owned(),
            Some(Err(_)) => format!("base64:{}", plain_base64(record.key().unwrap_or_default())),
        };
        let raw = || {
            record
                .value()
                .map_or_else(|| "(no value)".to_owned(), |value| format!("base64:{}", plain_base64(value)))
        };
        let value = match shown {
            Shown::Value(value) => printable(&value.to_string()).into_owned(),
            Shown::Raw(None) => raw(),
            Shown::Raw(Some((reason, message))) => {
                format!("error {reason}: {}; {}", printable(&message), raw())
            }
        };
        let headers = headers(record.headers());
        let headers = if headers.is_empty() {
            String::new()
        } else {
            format!("  headers {}", printable(&Value::Object(headers).to_string()))
        };
        format!("{}  {}  {key}  {value}{headers}", record.coordinates(), record.time())
    }
}

/// How far a task had come. Only the last block of a commit says so.
fn summary(progress: &Progress) -> Value {
    let at = |(topic, partition, offset): &(String, u32, Offset)| {
        (TopicPartition::new(topic.as_str(), *partition).to_string(), Value::from(offset.0))
    };
    let places = |places: &[(String, u32, Offset)]| Value::Object(places.iter().map(at).collect());
    let bounded = progress.bounded.as_ref();
    let counters = progress.counters.iter().map(|(name, count)| (name.to_owned(), Value::from(count)));
    json!({
        "stream_time": progress.clock.now().map(|time| time.0),
        "inputs": places(&progress.inputs),
        "counters": counters.collect::<Map<_, _>>(),
        "parameters": progress.parameters,
        "until_end": bounded.map(|run| json!({ "run": run.number, "done": run.done, "ends": places(&run.ends) })),
        "stopped": progress.stopped,
    })
}

/// A header's value is text where it can be; a name that comes twice gets a list.
fn headers(headers: Headers<'_>) -> Map<String, Value> {
    let mut object: Map<String, Value> = Map::new();
    for (name, value) in headers {
        let value = std::str::from_utf8(value)
            .map_or_else(|_| json!({ "base64": plain_base64(value) }), |text| Value::String(text.to_owned()));
        match object.get_mut(name) {
            None => {
                object.insert(name.to_owned(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    object
}

fn base64(bytes: Option<&[u8]>) -> Value {
    bytes.map_or(Value::Null, |bytes| Value::String(plain_base64(bytes)))
}

fn plain_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
