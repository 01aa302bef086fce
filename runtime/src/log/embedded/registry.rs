//! The schema registry in the log's own database.
//!
//! Promise: an id names one schema for ever, and the newest version of a subject reads what every older one wrote (backward,
//! transitive). Two texts are the same schema if only white space and the order of attributes tell them apart: a
//! default or a doc string makes another one.

use apache_avro::Schema;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

use super::fault::Outcome;
use crate::error::{Error, Result};
use crate::log::SchemaId;

/// The id of `schema` under `subject`, if it is one of its versions.
pub(super) fn find(connection: &Connection, subject: &str, normalised: &str) -> Outcome<Option<SchemaId>> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM schemas JOIN versions ON schema_id = id WHERE normalised = ?1 AND subject = ?2",
    )?;
    Ok(statement.query_row([normalised, subject], |row| row.get(0).map(SchemaId)).optional()?)
}

/// Adds `schema` as the next version of `subject`, unless it is one already.
pub(super) fn register(
    connection: &Connection,
    subject: &str,
    schema: &str,
    normalised: &str,
) -> Outcome<SchemaId> {
    if let Some(id) = find(connection, subject, normalised)? {
        return Ok(id);
    }
    let older = versions(connection, subject)?;
    check_reads(subject, schema, &older)?;
    connection.execute(
        "INSERT INTO schemas (normalised, schema) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        [normalised, schema],
    )?;
    let id: u32 =
        connection
            .query_row("SELECT id FROM schemas WHERE normalised = ?1", [normalised], |row| row.get(0))?;
    connection.execute(
        "INSERT INTO versions (subject, version, schema_id) VALUES (?1, ?2, ?3)",
        params![subject, older.len() as i64 + 1, id],
    )?;
    Ok(SchemaId(id))
}

fn check_reads(subject: &str, schema: &str, older: &[(SchemaId, String)]) -> Result<()> {
    let reader = parse(subject, schema)?;
    for (version, (_, text)) in (1..).zip(older) {
        let why = match SchemaCompatibility::can_read(&parse(subject, text)?, &reader) {
            Ok(Compatibility::Full) => continue,
            Ok(Compatibility::Partial) => "not every value has a counterpart".to_owned(),
            Err(error) => error.to_string(),
        };
        return Err(Error::Refused {
            what: format!("the new schema of `{subject}` cannot read version {version}: {why}"),
            remedy: "give new fields a default, or use another topic".to_owned(),
        });
    }
    Ok(())
}

fn parse(subject: &str, schema: &str) -> Result<Schema> {
    Schema::parse_str(schema).map_err(|error| invalid(subject, &error.to_string()))
}

fn invalid(subject: &str, why: &str) -> Error {
    let what = format!("the schema of `{subject}` is no Avro schema: {why}");
    Error::Refused { what, remedy: "correct it".to_owned() }
}

/// The text two equal schemas have in common.
pub(super) fn normalise(subject: &str, schema: &str) -> Result<String> {
    let value: Value = serde_json::from_str(schema).map_err(|error| invalid(subject, &error.to_string()))?;
    Ok(sorted(value).to_string())
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(attributes) => {
            let mut attributes: Vec<_> = attributes.into_iter().collect();
            attributes.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Object(attributes.into_iter().map(|(name, value)| (name, sorted(value))).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        plain => plain,
    }
}

pub(super) fn schema(connection: &Connection, id: SchemaId) -> Outcome<Option<String>> {
    let mut statement = connection.prepare_cached("SELECT schema FROM schemas WHERE id = ?1")?;
    Ok(statement.query_row([id.0], |row| row.get(0)).optional()?)
}

pub(super) fn versions(connection: &Connection, subject: &str) -> Outcome<Vec<(SchemaId, String)>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, schema FROM versions JOIN schemas ON id = schema_id WHERE subject = ?1 ORDER BY version",
    )?;
    let rows = statement.query_map([subject], |row| Ok((SchemaId(row.get(0)?), row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn subjects(connection: &Connection) -> Outcome<Vec<String>> {
    let mut statement =
        connection.prepare_cached("SELECT DISTINCT subject FROM versions ORDER BY subject")?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}
