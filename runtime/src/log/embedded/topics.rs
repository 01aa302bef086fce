//! Topics and partitions: making, listing, removing, trimming.

use rusqlite::{Connection, OptionalExtension, params};

use super::batches::{delete_trimmed, set_low};
use super::fault::Outcome;
use super::home::Home;
use crate::error::{Error, Result};
use crate::log::{Cleanup, Offset, TopicInfo, TopicPartition, TopicSpec};

/// About 64 MB of batches: a trim of much does not keep writers waiting for all of it.
const TRIMMED_AT_ONCE: u32 = 250;

/// Makes what does not exist yet.
pub(super) fn create(connection: &Connection, specs: &[TopicSpec]) -> Outcome<()> {
    let mut insert =
        connection.prepare_cached("INSERT INTO topics (name, partitions, cleanup) VALUES (?1, ?2, ?3)")?;
    let mut insert_partition =
        connection.prepare_cached("INSERT INTO partitions (topic, number) VALUES (?1, ?2)")?;
    for spec in specs {
        spec.check()?;
        match find(connection, &spec.name)? {
            Some(found) => spec.check_same(&found)?,
            None => {
                insert.execute(params![spec.name, spec.partitions, spec.cleanup.to_string()])?;
                for number in 0..spec.partitions {
                    insert_partition.execute(params![spec.name, number])?;
                }
            }
        }
    }
    Ok(())
}

/// A topic's row and its id: the log's own, and the id of the topic's first partition, which is never used again. So a log of any
/// version has topic ids, and needs no column for them.
const INFO: &str = "
    SELECT topics.name, topics.partitions, topics.cleanup, identity.id || '-' || partitions.id
    FROM identity, topics JOIN partitions ON partitions.topic = topics.name AND partitions.number = 0";

/// A topic, if it exists.
pub(super) fn find(connection: &Connection, name: &str) -> Outcome<Option<TopicInfo>> {
    let mut statement = connection.prepare_cached(&format!("{INFO} WHERE topics.name = ?1"))?;
    Ok(statement.query_row([name], info).optional()?)
}

/// Every topic, by name.
pub(super) fn list(connection: &Connection) -> Outcome<Vec<TopicInfo>> {
    let mut statement = connection.prepare_cached(&format!("{INFO} ORDER BY topics.name"))?;
    Ok(statement.query_map([], info)?.collect::<Result<_, _>>()?)
}

fn info(row: &rusqlite::Row<'_>) -> rusqlite::Result<TopicInfo> {
    let cleanup = match row.get_ref(2)?.as_str()? {
        "compact" => Cleanup::Compact,
        _ => Cleanup::Delete,
    };
    Ok(TopicInfo { name: row.get(0)?, id: row.get(3)?, partitions: row.get(1)?, cleanup })
}

/// Removes a topic with its records and the offsets in it.
pub(super) fn delete(connection: &Connection, name: &str) -> Outcome<()> {
    if find(connection, name)?.is_none() {
        return Err(Error::UnknownTopic(name.to_owned()).into());
    }
    for statement in [
        "DELETE FROM batches WHERE partition IN (SELECT id FROM partitions WHERE topic = ?1)",
        "DELETE FROM offsets WHERE partition IN (SELECT id FROM partitions WHERE topic = ?1)",
        "DELETE FROM partitions WHERE topic = ?1",
        "DELETE FROM topics WHERE name = ?1",
    ] {
        connection.execute(statement, [name])?;
    }
    Ok(())
}

/// Removes the records before `before`: out of sight at once, then off the file in steps.
pub(super) fn trim(home: &Home, partition: &TopicPartition, before: Offset) -> Result<()> {
    let what = format!("trim `{partition}`");
    let id = home.write(&what, |connection| set_low(connection, partition, before))?;
    while home.write(&what, |connection| delete_trimmed(connection, id, TRIMMED_AT_ONCE))? {}
    Ok(())
}
