//! The file: opening it, and refusing what is not ours.
//!
//! Promise: whatever stands in `log.sqlite3` was put there by this format of this program. `application_id` tells other programs'
//! databases, `user_version` other formats; both are written in the transaction that makes the tables, so that a
//! process killed while creating leaves an empty file, which the next one fills.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::batches::add_checksums;
use super::fault::{Fault, Outcome};
use crate::error::{Error, Result};

/// "TGlg": what `file` and SQLite's own tools show as the application.
const APPLICATION_ID: i32 = 0x5447_6c67;
/// The format of the tables and of the batches in them.
const FORMAT: i32 = 2;
/// The format without a checksum over the row of a partition, nor one over a batch's columns alone.
const FORMAT_1: i32 = 1;
/// Nobody of ours holds SQLite's lock for longer than a commit and a checkpoint; a tool opened on the file may.
const BUSY_TIMEOUT: Duration = Duration::from_secs(60);
/// Every page costs a write into the write-ahead log, one into the file and one read. Twice SQLite's usual size takes a quarter off the CPU
/// of appending and a tenth off that of reading; a small commit writes 1.4 times the bytes for it, and at four times the size twice as many.
const PAGE_BYTES: u32 = 8 << 10;
/// How long the write-ahead log may grow between checkpoints: long enough to write a page changed often only once, short enough to keep a
/// checkpoint below a tenth of a second.
const CHECKPOINT_BYTES: u32 = 16 << 20;
/// The write-ahead log is cut back to this after a long reader had let it grow.
const WAL_LIMIT_BYTES: u32 = 64 << 20;
/// Room for every statement this home has, so that none is compiled twice.
const STATEMENTS: usize = 64;

/// How sure a connection's commits are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// On the disk when the commit returns.
    Disk,
    /// Survives the process, not a power cut. Enough for leases and assignments: no process they speak of survives one
    /// either, and whatever is committed to the disk later takes them along.
    Process,
}

/// Opens the file, which exists and is ours.
pub(super) fn connect(file: &Path, durability: Durability) -> Result<Connection> {
    configure(file, durability).map_err(|fault| fault.named("open the log", file))
}

/// Opens the file, making its tables if it is empty. The caller holds the write lock.
pub(super) fn open_or_create(file: &Path) -> Result<Connection> {
    configure(file, Durability::Disk)
        .and_then(|mut connection| {
            identify(&mut connection, file)?;
            Ok(connection)
        })
        .map_err(|fault| unopened(fault, file))
}

/// The error of an opening that failed.
pub(super) fn unopened(fault: Fault, file: &Path) -> Error {
    match fault {
        Fault::Sql(cause) if cause.sqlite_error_code() == Some(ErrorCode::NotADatabase) => foreign(file),
        fault => fault.named("open the log", file),
    }
}

/// What every connection needs.
pub(super) fn prepare(connection: &Connection) -> Outcome<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

fn configure(file: &Path, durability: Durability) -> Outcome<Connection> {
    let connection = Connection::open(file)?;
    prepare(&connection)?;
    let synchronous = match durability {
        Durability::Disk => "FULL",
        Durability::Process => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    bound_write_ahead_log(&connection)?;
    connection.pragma_update(None, "journal_size_limit", WAL_LIMIT_BYTES)?;
    Ok(connection)
}

/// SQLite counts pages, and files made by earlier versions have smaller ones.
fn bound_write_ahead_log(connection: &Connection) -> Outcome<()> {
    let page_bytes: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_BYTES / page_bytes)?;
    Ok(())
}

/// What a file is.
enum Kind {
    Empty,
    Ours(i32),
    Foreign,
}

impl Kind {
    fn of(connection: &Connection) -> Outcome<Kind> {
        let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
        let (application, format) = (number("application_id")?, number("user_version")?);
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok(match (application, format, tables) {
            (0, 0, 0) => Kind::Empty,
            (APPLICATION_ID, format, _) => Kind::Ours(format),
            _ => Kind::Foreign,
        })
    }
}

/// Refuses, for one who only looks, whatever is not a log of this format as it is.
pub(super) fn check_format(connection: &Connection, file: &Path) -> Outcome<()> {
    let (what, remedy) = match Kind::of(connection)? {
        Kind::Ours(FORMAT_1) => (
            format!("has format version {FORMAT_1}, and looking at it does not change that"),
            "start any command that writes, as `tidegate schemas register`: it takes the log over, once and for all",
        ),
        Kind::Empty => {
            ("is empty: nobody has finished making it".to_owned(), "start one with `tidegate simulate`")
        }
        kind => return accept(&kind, file),
    };
    Err(Error::Refused { what: format!("`{}` {what}", file.display()), remedy: remedy.to_owned() }.into())
}

fn identify(connection: &mut Connection, file: &Path) -> Outcome<()> {
    match Kind::of(connection)? {
        Kind::Empty => create(connection, file),
        Kind::Ours(FORMAT_1) => migrate(connection, file),
        kind => accept(&kind, file),
    }
}

fn accept(kind: &Kind, file: &Path) -> Outcome<()> {
    match kind {
        Kind::Ours(FORMAT) => Ok(()),
        Kind::Ours(other) => Err(Error::Refused {
            what: format!(
                "`{}` has format version {other}, and this program reads version {FORMAT}",
                file.display()
            ),
            remedy: "use the version of tidegate that wrote it, or name another directory with --data"
                .to_owned(),
        }
        .into()),
        Kind::Empty | Kind::Foreign => Err(foreign(file).into()),
    }
}

/// Takes a log of format 1 over, in place and in one transaction: a process killed on the way leaves format 1. Batches stay as they are;
/// the lower halves of their checksums, which they have, cover them as before.
///
/// A program of that format that has the file open would go on writing it: it must have ended. Nobody else has it open exactly when it
/// can leave the write-ahead log, and the caller's lock keeps others of this program out.
fn migrate(connection: &mut Connection, file: &Path) -> Outcome<()> {
    connection.busy_timeout(Duration::ZERO)?;
    let alone =
        connection.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get::<_, String>(0));
    connection.busy_timeout(BUSY_TIMEOUT)?;
    match alone {
        Ok(mode) if mode == "delete" => {}
        Err(cause)
            if !matches!(
                cause.sqlite_error_code(),
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
            ) =>
        {
            return Err(cause.into());
        }
        _ => {
            return Err(Error::Refused {
                what: format!(
                    "`{}` has format version {FORMAT_1} and is used by another process",
                    file.display()
                ),
                remedy: "stop every process that uses it; then start this one, which takes it over"
                    .to_owned(),
            }
            .into());
        }
    }
    share(connection, file)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch("ALTER TABLE partitions ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0")?;
    add_checksums(&transaction)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()?;
    Ok(())
}

/// Puts the file into the mode in which processes read and write it at once.
fn share(connection: &Connection, file: &Path) -> Outcome<()> {
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(Error::Refused {
            what: format!("the file system of `{}` cannot share memory between processes", file.display()),
            remedy: "name a directory on a local disk with --data".to_owned(),
        }
        .into());
    }
    Ok(())
}

fn create(connection: &mut Connection, file: &Path) -> Outcome<()> {
    // Only while the file is empty.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    bound_write_ahead_log(connection)?;
    share(connection, file)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(include_str!("schema.sql"))?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()?;
    Ok(())
}

fn foreign(file: &Path) -> Error {
    Error::Refused {
        what: format!("`{}` was not made by tidegate", file.display()),
        remedy: "name another directory with --data".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The setting is ignored in silence once anything stands in the file.
    #[test]
    fn a_new_file_has_pages_of_the_size_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let connection = open_or_create(&directory.path().join("log.sqlite3")).unwrap();
        assert_eq!(pragma(&connection, "page_size"), PAGE_BYTES);
    }

    #[test]
    fn the_write_ahead_log_has_one_bound_whatever_the_pages() {
        for page_bytes in [4_096, PAGE_BYTES] {
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join("log.sqlite3");
            let older = Connection::open(&file).unwrap();
            older.pragma_update(None, "page_size", page_bytes).unwrap();
            older.execute_batch("CREATE TABLE t (c)").unwrap();
            let connection = connect(&file, Durability::Disk).unwrap();
            assert_eq!(pragma(&connection, "wal_autocheckpoint") * page_bytes, CHECKPOINT_BYTES);
            let new = open_or_create(&directory.path().join("new.sqlite3")).unwrap();
            assert_eq!(pragma(&new, "wal_autocheckpoint") * PAGE_BYTES, CHECKPOINT_BYTES);
        }
    }

    fn pragma(connection: &Connection, name: &str) -> u32 {
        connection.pragma_query_value(None, name, |row| row.get(0)).unwrap()
    }
}
