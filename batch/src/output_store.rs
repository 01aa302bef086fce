//! The output store: discounts with their identity, and the record of every execution.
//!
//! Promise: a discount is written at most once, because `(job, invoice_id)` is its primary key and is written in the same
//! transaction as the row and the counts; a kill at any moment leaves whole chunks; one execution at a time, because it holds the
//! lock file; a file of another program or version is refused untouched. After a failed write the store takes nothing more
//! (law 15): the value is consumed by the error path of `job.rs`, and the next execution finds and closes the one left open.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, params};

use crate::day::BusinessDay;
use crate::discount::Outcome;
use crate::error::{Error, Result};
use crate::job::JOB;
use crate::rule::Percent;

/// The file's name unless the user gives another.
pub const DEFAULT_OUTPUT_STORE: &str = "discounts.sqlite3";

/// "TGds" in SQLite's header: whose file it is.
const APPLICATION_ID: i32 = 0x5447_6473;

/// The version of `schema.sql`.
const FORMAT: i32 = 1;

/// How long to wait for a reader of the output store; writers are kept apart by the lock file.
const BUSY: Duration = Duration::from_secs(10);

/// What happened to the invoices of an execution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Invoices read from the snapshot.
    pub read: u64,
    /// Discounts written.
    pub discounted: u64,
    /// Skipped: further records of a doubled invoice.
    pub doubled: u64,
    /// Left as they are: an earlier execution discounted them.
    pub discounted_before: u64,
    /// Chunks committed.
    pub chunks: u64,
}

/// An open output store; the lock is released when it is dropped or its process ends.
pub(crate) struct OutputStore {
    path: PathBuf,
    connection: Connection,
    _lock: Lock, // last, so that the connection is closed under it
}

/// The execution that is running.
#[derive(Clone, Copy)]
pub(crate) struct Execution {
    pub(crate) id: i64,
    pub(crate) instance: i64,
    pub(crate) percent: Percent,
}

/// The steps of the job.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    Discount,
    Export,
}

impl OutputStore {
    /// Takes the lock, then opens or makes the store.
    pub(crate) fn open(path: &Path) -> Result<OutputStore> {
        let lock = lock(path)?;
        let failed = |cause: rusqlite::Error| match cause.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => foreign(path, "it is no SQLite database"),
            _ => Error::OutputStore { what: "open", path: path.to_owned(), cause },
        };
        let mut connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
        let (application, format) =
            (pragma("application_id").map_err(failed)?, pragma("user_version").map_err(failed)?);
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(failed)?;
        match (application, format) {
            (APPLICATION_ID, FORMAT) => {}
            (APPLICATION_ID, other) => {
                return Err(foreign(path, &format!("its format is {other}, not {FORMAT}")));
            }
            (0, 0) if tables == 0 => create(&mut connection).map_err(failed)?,
            _ => return Err(foreign(path, "another program made it")),
        }
        // FULL: after a power cut no invoice is free to be discounted again.
        connection
            .execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON")
            .map_err(failed)?;
        Ok(OutputStore { path: path.to_owned(), connection, _lock: lock })
    }

    /// Records the start of an execution. One that is still open was killed, or could not write its end: nobody else holds the
    /// lock.
    pub(crate) fn start(
        &mut self,
        day: &BusinessDay,
        read_store: &Path,
        percent: Percent,
        now_ms: i64,
    ) -> Result<Execution> {
        self.transaction("start an execution in", |tx| {
            tx.execute(
                "UPDATE executions SET status = 'FAILED', exit_message = 'ended without a word; closed by the next'
                 WHERE status = 'STARTED'",
                [],
            )?;
            tx.execute(
                "INSERT INTO job_instances (job, business_date, zone) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                params![JOB, day.date(), day.zone()],
            )?;
            let instance = tx.query_row(
                "SELECT instance_id FROM job_instances WHERE job = ?1 AND business_date = ?2 AND zone = ?3",
                params![JOB, day.date(), day.zone()],
                |row| row.get(0),
            )?;
            tx.execute(
                "INSERT INTO executions (instance_id, read_store, percent, started_at, status)
                 VALUES (?1, ?2, ?3, ?4, 'STARTED')",
                params![instance, read_store.to_string_lossy(), percent.to_string(), now_ms],
            )?;
            Ok(Execution { id: tx.last_insert_rowid(), instance, percent })
        })
    }

    /// Writes a chunk: its discounts, and the counts with it. Only a committed chunk moves `counts`.
    pub(crate) fn write_chunk(
        &mut self,
        execution: Execution,
        counts: &mut Counts,
        chunk: &[Outcome],
    ) -> Result<()> {
        let mut after =
            Counts { chunks: counts.chunks + 1, read: counts.read + chunk.len() as u64, ..*counts };
        self.transaction("write a chunk to", |tx| {
            for outcome in chunk {
                match outcome {
                    Outcome::Doubled(_) => after.doubled += 1,
                    Outcome::Discounted(..) if insert(tx, execution, outcome)? => after.discounted += 1,
                    Outcome::Discounted(..) => after.discounted_before += 1,
                }
            }
            record_step(tx, execution, Step::Discount, &after)
        })?;
        *counts = after;
        Ok(())
    }

    /// Records that the export has written `rows` rows.
    pub(crate) fn exported(&mut self, execution: Execution, rows: u64) -> Result<()> {
        let counts = Counts { read: rows, discounted: rows, chunks: 1, ..Counts::default() };
        self.transaction("record the export in", |tx| record_step(tx, execution, Step::Export, &counts))
    }

    /// Records the end of an execution: without a word it completed, with one it failed.
    pub(crate) fn finish(&mut self, execution: Execution, failure: Option<&str>, now_ms: i64) -> Result<()> {
        let status = if failure.is_none() { "COMPLETED" } else { "FAILED" };
        self.transaction("end an execution in", |tx| {
            tx.execute(
                "UPDATE executions SET status = ?2, exit_message = ?3, ended_at = ?4 WHERE execution_id = ?1",
                params![execution.id, status, failure.unwrap_or(""), now_ms],
            )?;
            Ok(())
        })
    }

    /// The connection and the path, for the queries of `export.rs` and `job.rs`.
    pub(crate) fn reader(&self) -> (&Connection, &Path) {
        (&self.connection, &self.path)
    }

    fn transaction<T>(
        &mut self,
        what: &'static str,
        write: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let path = &self.path;
        let failed = |cause| Error::OutputStore { what, path: path.clone(), cause };
        let tx = self.connection.transaction().map_err(failed)?;
        let value = write(&tx).map_err(failed)?;
        tx.commit().map_err(failed)?;
        Ok(value)
    }
}

/// True if the discount is new.
fn insert(tx: &Connection, execution: Execution, outcome: &Outcome) -> rusqlite::Result<bool> {
    let Outcome::Discounted(invoice, split) = outcome else { return Ok(false) };
    let mut statement = tx.prepare_cached(
        "INSERT INTO discounts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
         ON CONFLICT (job, invoice_id) DO NOTHING",
    )?;
    let rows = statement.execute(params![
        JOB,
        invoice.invoice_id,
        execution.instance,
        execution.id,
        invoice.customer_id,
        invoice.issued_at,
        invoice.currency,
        execution.percent.to_string(),
        invoice.amount_minor,
        split.discount_minor,
        split.remaining_minor,
        invoice.source_partition,
        invoice.source_offset,
    ])?;
    Ok(rows == 1)
}

fn record_step(tx: &Connection, execution: Execution, step: Step, counts: &Counts) -> rusqlite::Result<()> {
    let name = match step {
        Step::Discount => "discount",
        Step::Export => "export",
    };
    tx.execute(
        "INSERT OR REPLACE INTO steps VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            execution.id,
            name,
            counts.read.cast_signed(),
            counts.discounted.cast_signed(),
            counts.doubled.cast_signed(),
            counts.discounted_before.cast_signed(),
            counts.chunks.cast_signed()
        ],
    )?;
    Ok(())
}

/// Header and tables in one transaction: a kill in between leaves an empty file, which the next start takes as new.
fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    let tx = connection.transaction()?;
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", FORMAT)?;
    tx.execute_batch(include_str!("schema.sql"))?;
    tx.commit()
}

/// The lock is a file of its own: closing a second handle on a SQLite file would drop SQLite's own locks. It stays behind when the
/// run has ended, because removing it could let in two at once.
fn lock(store: &Path) -> Result<Lock> {
    let place = |cause| Error::Place { path: store.to_owned(), cause };
    // Through a link or another spelling it is still one store.
    let real = if store.exists() { store.canonicalize().map_err(place)? } else { store.to_owned() };
    let mut name = real.into_os_string();
    name.push(".lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(name).map_err(place)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(Error::Busy { path: store.to_owned() }),
        Err(TryLockError::Error(cause)) => Err(place(cause)),
    }
}

/// Let go of by name: a handle that a child process of this one has inherited, if only until its exec, would keep it otherwise.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file, which follows, lets go too; there is nobody left to tell.
        let _ = self.0.unlock();
    }
}

fn foreign(path: &Path, why: &str) -> Error {
    Error::ForeignOutputStore { path: path.to_owned(), why: why.to_owned() }
}
