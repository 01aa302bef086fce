//! Rows in CSV files and in the read store, counted with readers of their own and compared with the topics' records.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use rusqlite::{Connection, OpenFlags};
use tidegate_schemas::{TOPICS, table_of};

use super::super::place::Place;
use super::Check;
use super::topics::Tally;

/// What a place holds of a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    rows: u64,
    /// Bad records, beside the rows.
    rejects: u64,
}

/// Compares every topic's rows with its records; `csv_topics` are those that go into files as well.
pub(super) fn check(
    place: &Place,
    csv_topics: &[&str],
    tallies: &BTreeMap<&str, Tally>,
) -> Result<Vec<Check>> {
    let path = place.read_store();
    let store = open(&path)?;
    let mut checks = Vec::new();
    for topic in TOPICS {
        let in_topic = tallies.get(topic.name).copied().unwrap_or_default();
        let in_store =
            in_store(&store, topic.name).with_context(|| format!("could not read `{}`", path.display()))?;
        let files = match csv_topics.contains(&topic.name) {
            true => Some(in_files(&place.csv(topic.name))?),
            false => None,
        };
        checks.push(compare(topic.name, in_topic, in_store, files));
    }
    Ok(checks)
}

/// A database as any reader opens it.
pub(super) fn open(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).with_context(|| format!("could not open `{}`", path.display()))
}

fn compare(topic: &str, in_topic: Tally, in_store: Held, files: Option<Held>) -> Check {
    let Tally { records, unsound } = in_topic;
    let expected = Held { rows: records - unsound, rejects: unsound };
    let ok = in_store == expected && files.is_none_or(|files| files == expected);
    let words = |held: Held, place: &str| match held.rejects {
        0 => format!("{} {place} rows", held.rows),
        rejects => format!("{} {place} rows and {rejects} rejects", held.rows),
    };
    let unsound = if unsound > 0 { format!(", {unsound} of them unsound") } else { String::new() };
    let mut parts = vec![format!("{records} records{unsound}"), words(in_store, "SQLite")];
    parts.extend(files.map(|files| words(files, "CSV")));
    Check::new(ok, format!("{topic}: {}", parts.join(if ok { " = " } else { " but " })))
}

fn in_store(store: &Connection, topic: &str) -> Result<Held> {
    let table = table_of(topic).with_context(|| format!("topic `{topic}` has no table"))?;
    let count = |sql: &str, parameters: &[&dyn rusqlite::ToSql]| -> Result<u64> {
        Ok(u64::try_from(store.query_row(sql, parameters, |row| row.get::<_, i64>(0))?)?)
    };
    Ok(Held {
        rows: count(&format!("SELECT count(*) FROM {}", table.history.unwrap_or(table.name)), &[])?,
        rejects: count("SELECT count(*) FROM sink_rejects WHERE topic = ?1", &[&topic])?,
    })
}

/// How many infractions the read store shows, and their fines together.
pub(super) fn in_force(store: &Connection) -> Result<(u64, i64)> {
    let sql = "SELECT count(*), coalesce(sum(fine_minor), 0) FROM infractions";
    let (count, fines): (i64, i64) = store.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((u64::try_from(count)?, fines))
}

/// The rows of a topic's files, and of those in the folder of the rejects if there were any. Whatever a reader of `*.csv` would take for
/// rows is counted as such.
fn in_files(directory: &Path) -> Result<Held> {
    let beside = directory.join("rejects");
    let there = beside.try_exists().with_context(|| format!("could not look for `{}`", beside.display()))?;
    Ok(Held { rows: rows_in(directory)?, rejects: if there { rows_in(&beside)? } else { 0 } })
}

/// Only finished files count: one that is still open would be cut back by a restart.
fn rows_in(directory: &Path) -> Result<u64> {
    let unread = || format!("could not read the directory `{}`", directory.display());
    let mut sum = 0;
    for entry in fs::read_dir(directory).with_context(unread)? {
        let path = entry.with_context(unread)?.path();
        if path.extension().is_some_and(|ending| ending == "csv") {
            sum += rows(&path)?;
        }
    }
    Ok(sum)
}

/// Rows below the header. A cell may hold line breaks, so lines would not do.
pub(super) fn rows(path: &Path) -> Result<u64> {
    let unread = || format!("could not read `{}`", path.display());
    let mut reader = csv::Reader::from_path(path).with_context(unread)?;
    let (mut count, mut row) = (0, csv::ByteRecord::new());
    while reader.read_byte_record(&mut row).with_context(unread)? {
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_more_or_less_anywhere_is_found() {
        let held = |rows| Held { rows, rejects: 2 };
        let tally = |records| Tally { records, unsound: 2 };
        assert!(compare("invoices", tally(12), held(10), Some(held(10))).ok);
        assert!(compare("readings", tally(12), held(10), None).ok);
        assert!(!compare("invoices", tally(13), held(10), Some(held(10))).ok);
        assert!(!compare("invoices", tally(12), held(10), Some(held(9))).ok);
        assert!(!compare("invoices", tally(12), held(11), Some(held(10))).ok);
        let refused = Held { rows: 9, rejects: 3 };
        assert!(
            !compare("invoices", tally(12), refused, Some(refused)).ok,
            "a sound record is among the rejects"
        );
    }

    #[test]
    fn rows_are_counted_and_lines_are_not() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a-0-1.csv"), "x,y\r\n1,\"two\r\nlines\"\r\n3,4\r\n").unwrap();
        fs::write(directory.path().join("a-0-2.csv.open"), "x,y\r\n5,6\r\n").unwrap();
        assert_eq!(in_files(directory.path()).unwrap(), Held { rows: 2, rejects: 0 });
        fs::create_dir(directory.path().join("rejects")).unwrap();
        fs::write(directory.path().join("rejects/a-0-1-rejects.csv"), "offset\r\n7\r\n").unwrap();
        assert_eq!(in_files(directory.path()).unwrap(), Held { rows: 2, rejects: 1 });
    }
}
