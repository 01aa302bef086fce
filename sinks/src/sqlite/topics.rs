//! Which topics a store holds, and their tables.
//!
//! Promise: a table holds the records of one topic only. A topic that was made anew under the same name is another topic, and so is one whose
//! name leads to a table that is there already: both are refused.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use tidegate_runtime::{Error, Result};
use tidegate_schemas::{NamedTable, table_of};

use super::store::{Fault, OWN_TABLES};
use crate::place::{self, Source};

/// Takes the topic into the store, or finds it there; makes its tables.
pub(super) fn take(to: &Transaction<'_>, sink: &str, source: &Source) -> Result<NamedTable, Fault> {
    let (name, shape) = (&source.info.name, source.shape.name);
    let table = table_of(shape).ok_or_else(|| Error::Defect(format!("topic `{shape}` has no table")))?;
    let table = NamedTable::of(table, name);
    let known: Option<(String, Option<String>)> = to
        .query_row("SELECT shape, topic_id FROM sink_topics WHERE topic = ?1", [name], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    match known {
        Some((known, _)) if known != shape => return Err(other_schema(name, &known, shape).into()),
        Some((_, topic_id)) => place::check_identity(&source.info, topic_id.as_deref(), sink)?,
        None if name == shape => {}
        None => make(to, name, &table)?,
    }
    to.execute(
        "INSERT INTO sink_topics VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (topic) DO UPDATE SET topic_id = coalesce(excluded.topic_id, topic_id)",
        params![name, source.info.id, shape, table.name],
    )?;
    Ok(table)
}

/// Makes the tables of a topic that is not in the table of topics, if none of their names is taken.
fn make(to: &Transaction<'_>, topic: &str, table: &NamedTable) -> Result<(), Fault> {
    let ddl = table.ddl();
    let own = OWN_TABLES.map(objects).into_iter().collect::<rusqlite::Result<Vec<_>>>()?.concat();
    let reserved = |cause: rusqlite::Error| Error::Refused {
        what: format!("topic `{topic}` cannot name a table: {cause}"),
        remedy: "sink it into CSV files".into(),
    };
    for object in objects(&ddl).map_err(reserved)? {
        let find = "SELECT name FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE";
        let taken: Option<String> = to.query_row(find, [&object], |row| row.get(0)).optional()?;
        if let Some(taken) = taken {
            let refused = Error::Refused {
                what: format!(
                    "the table of topic `{topic}` would be called `{object}`, and there is a `{taken}` already"
                ),
                // What every read store has would be in the way there too.
                remedy: match own.iter().any(|name| name.eq_ignore_ascii_case(&taken)) {
                    true => "every read store has one: sink the topic into CSV files",
                    false => "sink it into a database of its own, with another --name",
                }
                .into(),
            };
            return Err(refused.into());
        }
    }
    Ok(to.execute_batch(&ddl)?)
}

/// The names of everything that `ddl` makes.
fn objects(ddl: &str) -> rusqlite::Result<Vec<String>> {
    let alone = Connection::open_in_memory()?;
    alone.execute_batch(ddl)?;
    // Those that SQLite makes by itself have no statement.
    let mut select = alone.prepare("SELECT name FROM sqlite_schema WHERE sql IS NOT NULL")?;
    select.query_map([], |row| row.get(0))?.collect()
}

fn other_schema(topic: &str, known: &str, now: &str) -> Error {
    Error::Refused {
        what: format!(
            "topic `{topic}` had the schema of `{known}` when the sink began, and now has that of `{now}`"
        ),
        remedy: "start a sink of another name in another place".into(),
    }
}
