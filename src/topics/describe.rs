//! `topics describe`: what is known of one topic, from the table of topics, the registry and the log.

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use tidegate_runtime::log::{Log, SchemaId, TopicInfo, Watermarks, subject_of_value};
use tidegate_schemas::{KeyKind, Topic};

use super::shape::shape;
use super::{Format, cleanup, find, watermarks};
use crate::console::Output;
use crate::exit::Exit;
use crate::table;

/// `topics describe`.
#[derive(Args, Debug)]
pub(crate) struct Describe {
    /// The topic's name.
    topic: String,
    /// For people, or JSON objects, one a line.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Prints one topic.
pub(super) fn run(args: &Describe, log: &dyn Log) -> Result<Exit> {
    let found = find(log, &args.topic)?;
    let marks = watermarks(log, &found)?;
    let versions = log.registry().versions(&subject_of_value(&found.name))?;
    let row = shape(&found.name, &versions);
    let mut output = Output::new();
    match args.format {
        Format::Json => output.json(as_json(&found, row, &versions, &marks))?,
        Format::Text => {
            as_text(&found, row, &versions, &marks).iter().try_for_each(|line| output.line(line))?;
        }
    }
    output.flush()?;
    Ok(Exit::Done)
}

fn as_text(
    found: &TopicInfo,
    row: Option<&Topic>,
    versions: &[(SchemaId, String)],
    marks: &[Watermarks],
) -> Vec<String> {
    let mut lines = vec![
        format!("topic       {}", found.name),
        format!("partitions  {}", found.partitions),
        format!("cleanup     {}", cleanup(found)),
    ];
    if let Some(id) = &found.id {
        lines.push(format!("id          {id}"));
    }
    if let Some(row) = row.filter(|row| row.name != found.name) {
        lines.push(format!("shape       that of `{}`", row.name));
    }
    if let Some(row) = row {
        lines.push(format!("key         {}, the value's `{}`", key(row), row.key_field));
        lines.push(format!("event time  the value's `{}`{}", row.event_time_field, shift(row)));
        lines.push(format!("written by  {}", row.writers.join(", ")));
        lines.push(format!("read by     {}", row.readers.join(", ")));
    }
    for (version, (id, schema)) in versions.iter().enumerate() {
        lines.push(format!("schema      version {}, id {id}: {}", version + 1, one_line(schema)));
    }
    lines.push(String::new());
    let cells: Vec<Vec<String>> = marks
        .iter()
        .enumerate()
        .map(|(number, marks)| {
            let offsets = marks.high.since(marks.low);
            vec![number.to_string(), marks.low.to_string(), marks.high.to_string(), offsets.to_string()]
        })
        .collect();
    lines.extend(table::lines(&["PARTITION", "START", "END", "OFFSETS"], &cells));
    lines
}

fn as_json(
    found: &TopicInfo,
    row: Option<&Topic>,
    versions: &[(SchemaId, String)],
    marks: &[Watermarks],
) -> Value {
    let ends = marks
        .iter()
        .enumerate()
        .map(|(number, marks)| json!({ "partition": number, "start": marks.low.0, "end": marks.high.0 }));
    let schemas = versions.iter().enumerate().map(|(version, (id, schema))| {
        let schema = serde_json::from_str(schema).unwrap_or_else(|_| Value::String(schema.clone()));
        json!({ "version": version + 1, "id": id.0, "schema": schema })
    });
    let mut object = json!({
        "topic": found.name,
        "id": found.id,
        "partitions": ends.collect::<Vec<_>>(),
        "cleanup": cleanup(found),
        "schemas": schemas.collect::<Vec<_>>(),
    });
    if let Some(row) = row {
        object["shape"] = row.name.into();
        object["key"] = key(row).into();
        object["key_field"] = row.key_field.into();
        object["event_time_field"] = row.event_time_field.into();
        object["writers"] = row.writers.into();
        object["readers"] = row.readers.into();
    }
    object
}

fn key(row: &Topic) -> &'static str {
    match row.key {
        KeyKind::Utf8 => "UTF-8 text",
        KeyKind::BigEndianInteger => "big-endian integer",
    }
}

fn shift(row: &Topic) -> String {
    match row.event_time_shift_ms {
        0 => String::new(),
        ms => format!(" {ms:+} ms"),
    }
}

/// A schema is registered as it was written, line breaks and all.
fn one_line(schema: &str) -> String {
    serde_json::from_str::<Value>(schema).map_or_else(|_| schema.to_owned(), |schema| schema.to_string())
}
