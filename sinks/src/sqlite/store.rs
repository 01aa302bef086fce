//! The database: whose it is, and where its sink stands.
//!
//! Promise: what is in it was put there by this format of this program, for one sink and one log. `application_id` tells other
//! programs' databases, `user_version` other formats, `sink_identity` other sinks; all are written in the transaction that
//! makes the tables. Any SQLite tool may read it meanwhile (WAL). A reader that keeps a transaction open keeps the write-ahead log
//! from being emptied: past a bound the sink says so and waits for it, rather than fill the disk.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params};
use tidegate_runtime::log::{Offset, TopicPartition};
use tidegate_runtime::{Error, Result};
use tidegate_schemas::READ_STORE;

use crate::place::{self, storage};

/// "TGrs": what SQLite's own tools show as the application.
const APPLICATION_ID: i32 = 0x5447_7273;
/// The format of the tables, the read store's included. In 1 a total was told by its window's start alone, an infraction by its record.
const FORMAT: i32 = 2;
/// How long a commit waits for another program that is writing; below the two seconds in which a stop must end.
const BUSY_TIMEOUT: Duration = Duration::from_millis(500);
/// About 16 MB of write-ahead log between checkpoints: a page changed often is written to the database once.
const CHECKPOINT_PAGES: u32 = 4_000;
/// The write-ahead log is cut back to this after a long reader had let it grow.
const WAL_KEPT_BYTES: u32 = 64 << 20;
/// Room for the upper levels of every index and the pages of a batch; SQLite's own default of 2 MB reads them again and again.
const CACHE_KIB: i32 = 32 << 10;

/// What makes the tables that every read store has.
pub(super) const OWN_TABLES: [&str; 2] = [READ_STORE, include_str!("sink.sql")];

/// The sink's database, ours while this lives.
pub(super) struct Store {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    _lock: File,
}

/// What the store knows of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) next: Offset,
    pub(super) until: Option<Offset>,
}

impl Store {
    /// Takes the database for `sink`, making it if it is not there.
    pub(super) fn open(path: &Path, sink: &str, log: &str) -> Result<Store> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(|cause| storage("create", parent, cause))?;
        }
        // Through a link or another spelling it is still one database.
        let real = if path.exists() {
            path.canonicalize().map_err(|cause| storage("find", path, cause))?
        } else {
            path.to_owned()
        };
        let mut lock_name = real.into_os_string();
        lock_name.push(".lock");
        let lock = place::lock(Path::new(&lock_name), path)?;
        let mut connection = configure(path).map_err(|cause| foreign_or(cause, path, "open"))?;
        let foreign = is_foreign(&connection).map_err(|cause| foreign_or(cause, path, "read"))?;
        if let Some(refused) = foreign.map(|why| why.refusal(path)) {
            return Err(refused);
        }
        claim(&mut connection, path, sink, log)?;
        Ok(Store { connection, path: path.to_owned(), _lock: lock })
    }

    /// Where each of `topic`'s partitions stands, by number; empty before its first start.
    pub(super) fn standings(&self, topic: &str) -> Result<Vec<Standing>> {
        let read = || -> rusqlite::Result<Vec<Standing>> {
            let mut select = self.connection.prepare_cached(
                "SELECT next_offset, until_offset FROM sink_offsets WHERE topic = ?1 ORDER BY partition",
            )?;
            let rows = select.query_map([topic], |row| {
                Ok(Standing { next: Offset(row.get(0)?), until: row.get::<_, Option<i64>>(1)?.map(Offset) })
            })?;
            rows.collect()
        };
        read().map_err(|cause| failed("read", &self.path, cause))
    }

    /// Runs `body` in a transaction and commits it. `None` if another program is writing: then nothing was done.
    pub(super) fn write(
        &mut self,
        body: impl FnOnce(&Transaction<'_>) -> Result<(), Fault>,
    ) -> Result<Option<()>> {
        let begun = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = match begun {
            Err(cause) if cause.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => return Ok(None),
            begun => begun.map_err(|cause| failed("write", &self.path, cause))?,
        };
        body(&transaction).map_err(|fault| match fault {
            Fault::Named(error) => error,
            Fault::Sql(cause) => failed("write", &self.path, cause),
        })?;
        transaction.commit().map_err(|cause| failed("commit to", &self.path, cause))?;
        Ok(Some(()))
    }

    /// The size of the write-ahead log after trying to empty it, if it is past `max_bytes`.
    pub(super) fn overgrown_wal(&self, max_bytes: u64) -> Result<Option<u64>> {
        let mut name = self.path.as_os_str().to_owned();
        name.push("-wal");
        let size = || fs::metadata(&name).map_or(0, |wal| wal.len());
        if size() <= max_bytes {
            return Ok(None);
        }
        let emptied = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        match emptied {
            Err(cause) if cause.sqlite_error_code() != Some(ErrorCode::DatabaseBusy) => {
                Err(failed("checkpoint", &self.path, cause))
            }
            _ => Ok(Some(size()).filter(|left| *left > max_bytes)),
        }
    }
}

/// What stopped the body of a transaction.
pub(super) enum Fault {
    Named(Error),
    Sql(rusqlite::Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Named(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(cause: rusqlite::Error) -> Fault {
        Fault::Sql(cause)
    }
}

/// Writes where a partition stands.
pub(super) fn set_standing(
    transaction: &Transaction<'_>,
    at: &TopicPartition,
    standing: Standing,
) -> rusqlite::Result<()> {
    let mut set = transaction.prepare_cached(
        "INSERT INTO sink_offsets (topic, partition, next_offset, until_offset) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset, until_offset = excluded.until_offset",
    )?;
    set.execute(params![&*at.topic, at.partition, standing.next.0, standing.until.map(|until| until.0)])?;
    Ok(())
}

fn configure(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    // A line is written in the transaction of its invoice: looking the invoice up for each would check nothing.
    connection.pragma_update(None, "foreign_keys", false)?;
    Ok(connection)
}

/// Why a database is not ours.
enum Foreign {
    Program,
    Format(i32),
}

impl Foreign {
    fn refusal(&self, path: &Path) -> Error {
        let path = path.display();
        match self {
            Foreign::Program => Error::Refused {
                what: format!("`{path}` was not made by a sink of tidegate"),
                remedy: "name another file".into(),
            },
            Foreign::Format(format) => Error::Refused {
                what: format!(
                    "`{path}` has format version {format}, and this program reads version {FORMAT}"
                ),
                remedy: if *format < FORMAT {
                    "a read store can be made again from the log: delete the file or name another one, and start the sink again".into()
                } else {
                    "use the version of tidegate that wrote it, or name another file".into()
                },
            },
        }
    }
}

fn is_foreign(connection: &Connection) -> rusqlite::Result<Option<Foreign>> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, format) = (number("application_id")?, number("user_version")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (application, format, tables) {
        (0, 0, 0) | (APPLICATION_ID, FORMAT, _) => None,
        (APPLICATION_ID, other, _) => Some(Foreign::Format(other)),
        _ => Some(Foreign::Program),
    })
}

fn claim(connection: &mut Connection, path: &Path, sink: &str, log: &str) -> Result<()> {
    let mut run = || -> rusqlite::Result<(String, String)> {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        OWN_TABLES.iter().try_for_each(|ddl| transaction.execute_batch(ddl))?;
        let found = transaction
            .query_row("SELECT sink, log FROM sink_identity", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let found = match found {
            Some(found) => found,
            None => {
                transaction.execute("INSERT INTO sink_identity VALUES (1, ?1, ?2)", [sink, log])?;
                (sink.to_owned(), log.to_owned())
            }
        };
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
        transaction.commit()?;
        Ok(found)
    };
    let (its_sink, its_log) = run().map_err(|cause| failed("open", path, cause))?;
    let pairs = [("sink", sink, its_sink), ("log", log, its_log)];
    match pairs.into_iter().find(|(_, asked, found)| asked != found) {
        None => Ok(()),
        Some((what, asked, found)) => Err(Error::Refused {
            what: format!("`{}` belongs to {what} `{found}`, not to `{asked}`", path.display()),
            remedy:
                "name another file, or go on with what it was started with (a log that was made anew in the same \
                     place is another log)"
                    .into(),
        }),
    }
}

fn foreign_or(cause: rusqlite::Error, path: &Path, what: &str) -> Error {
    if cause.sqlite_error_code() == Some(ErrorCode::NotADatabase) {
        return Foreign::Program.refusal(path);
    }
    failed(what, path, cause)
}

fn failed(what: &str, path: &Path, cause: rusqlite::Error) -> Error {
    if cause.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) {
        let what = format!("could not {what} `{}`: another program keeps it locked", path.display());
        return Error::Transient { what, cause: Box::new(cause) };
    }
    Error::Storage { what: format!("could not {what} `{}`", path.display()), cause: Box::new(cause) }
}
