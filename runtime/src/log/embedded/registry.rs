//! The schema registry in the log's own database.
//!
//! Promise: an id names one schema for ever. Which schemas are the same and which may follow which stands in
//! [`compatibility`](crate::log::compatibility), for every home.

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Outcome;
use crate::log::compatibility::{refusal, standing};
use crate::log::{SchemaId, Standing};

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
    let older = versions(connection, subject)?;
    match standing(subject, schema, &older)? {
        Standing::Registered(id) | Standing::Overtaken(id, _) => return Ok(id),
        Standing::Incompatible(what) => return Err(refusal(what).into()),
        Standing::Compatible | Standing::Missing => {}
    }
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
