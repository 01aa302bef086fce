//! The output store: discounts with their identity, and the record of every execution.
//!
//! Guarantees: a number is discounted at most once, because `(job, invoice_id)` is the primary key of `discounts` and is written in the
//! same transaction as the row and the counts; a kill at any moment leaves whole chunks; one execution at a time, because it holds the
//! lock file; a job instance has one set of parameters, and an execution with others is refused before it writes anything. After a
//! failed write the store takes nothing more (law 15): the value is consumed by the error path of `job.rs`, and the next execution
//! finds and closes the one left open.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, params};

use crate::chunk::{self, Progress};
use crate::day::BusinessDay;
use crate::discount::Outcome;
use crate::error::{Error, Result};
use crate::format::{self, Migration};
use crate::job::JOB;
use crate::rule::{Percent, ROUNDING};

/// The file's name unless the user gives another.
pub const DEFAULT_OUTPUT_STORE: &str = "discounts.sqlite3";

/// How long to wait for a reader of the output store; writers are kept apart by the lock file.
const BUSY: Duration = Duration::from_secs(10);

/// What happened to the invoices of an execution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Invoices read from the snapshot.
    pub read: u64,
    /// Discounts written.
    pub discounted: u64,
    /// Skipped: further records of the same invoice, with the same number and content.
    pub doubled: u64,
    /// Left as they are: an earlier execution discounted them.
    pub discounted_before: u64,
    /// Not discounted: another invoice with their number is, and nobody has settled the conflict.
    pub conflicts: u64,
    /// Not discounted: conflicts that a person has settled.
    pub settled: u64,
    /// Not discounted: no valid invoices.
    pub rejected: u64,
    /// Chunks committed.
    pub chunks: u64,
}

/// An open output store; the lock is released when it is dropped or its process ends.
pub(crate) struct OutputStore {
    path: PathBuf,
    connection: Connection,
    /// What opening it has migrated.
    pub(crate) migration: Option<Migration>,
    _lock: Lock, // last, so that the connection is closed under it
}

/// The execution that is running.
#[derive(Clone, Copy)]
pub(crate) struct Execution {
    pub(crate) id: i64,
    pub(crate) instance: i64,
    pub(crate) percent: Percent,
}

/// How an execution ended.
#[derive(Clone, Copy)]
pub(crate) enum End {
    Completed,
    Failed,
}

/// What decides the results of a job instance beside its day.
#[derive(PartialEq, Eq)]
struct Parameters {
    zone: String,
    percent: String,
    rounding: String,
}

impl Parameters {
    /// How to go on with the day of these parameters.
    fn remedy(&self) -> String {
        if self.rounding == ROUNDING {
            format!("run it with `--percent {} --zone {}`", self.percent, self.zone)
        } else {
            format!("use a version of tidegate that rounds `{}`", self.rounding)
        }
    }
}

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "percent={} rounding={} zone={}", self.percent, self.rounding, self.zone)
    }
}

/// The steps of the job.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    Discount,
    Export,
}

impl OutputStore {
    /// Takes the lock, then opens, migrates or makes the store.
    pub(crate) fn open(path: &Path) -> Result<OutputStore> {
        let lock = lock(path)?;
        let failed = |cause| format::opening(path, cause);
        let mut connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        let migration = format::prepare(&mut connection, path)?;
        Ok(OutputStore { path: path.to_owned(), connection, migration, _lock: lock })
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
        let given = Parameters {
            zone: day.zone().to_owned(),
            percent: percent.to_string(),
            rounding: ROUNDING.to_owned(),
        };
        let started = self.transaction("start an execution in", |tx| {
            let (instance, kept) = instance(tx, &day.date(), &given)?;
            if kept != given {
                return Ok(Err(kept));
            }
            tx.execute(
                "UPDATE executions SET status = 'FAILED', exit_message = 'ended without a word; closed by the next'
                 WHERE status = 'STARTED'",
                [],
            )?;
            tx.execute(
                "INSERT INTO executions (instance_id, read_store, zone, percent, rounding, started_at, status)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'STARTED')",
                params![
                    instance,
                    read_store.to_string_lossy(),
                    given.zone,
                    given.percent,
                    given.rounding,
                    now_ms
                ],
            )?;
            Ok(Ok(Execution { id: tx.last_insert_rowid(), instance, percent }))
        })?;
        started.map_err(|kept| Error::OtherParameters {
            date: day.date(),
            path: self.path.clone(),
            remedy: kept.remedy(),
            kept: kept.to_string(),
            given: given.to_string(),
        })
    }

    /// Writes a chunk: its discounts and conflicts, and the counts with them. Only a committed chunk moves `progress`.
    pub(crate) fn write_chunk(
        &mut self,
        execution: Execution,
        progress: &mut Progress,
        chunk: &[Outcome],
    ) -> Result<()> {
        let mut after = progress.clone();
        after.counts.chunks += 1;
        self.transaction("write a chunk to", |tx| {
            for outcome in chunk {
                chunk::write(tx, execution, &mut after, outcome)?;
            }
            record_step(tx, execution, Step::Discount, &after.counts)
        })?;
        *progress = after;
        Ok(())
    }

    /// Records that the export has written `rows` rows.
    pub(crate) fn exported(&mut self, execution: Execution, rows: u64) -> Result<()> {
        let counts = Counts { read: rows, discounted: rows, chunks: 1, ..Counts::default() };
        self.transaction("record the export in", |tx| record_step(tx, execution, Step::Export, &counts))
    }

    /// Records the end of an execution and a word on it.
    pub(crate) fn finish(
        &mut self,
        execution: Execution,
        end: End,
        message: &str,
        now_ms: i64,
    ) -> Result<()> {
        let status = match end {
            End::Completed => "COMPLETED",
            End::Failed => "FAILED",
        };
        self.transaction("end an execution in", |tx| {
            tx.execute(
                "UPDATE executions SET status = ?2, exit_message = ?3, ended_at = ?4 WHERE execution_id = ?1",
                params![execution.id, status, message, now_ms],
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

/// The instance of a business day and its parameters: those given now, if there is none or if it has no discount yet.
fn instance(tx: &Connection, date: &str, given: &Parameters) -> rusqlite::Result<(i64, Parameters)> {
    tx.execute(
        "INSERT INTO job_instances (job, business_date, zone, percent, rounding) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO NOTHING",
        params![JOB, date, given.zone, given.percent, given.rounding],
    )?;
    // A run that found nothing binds nobody: without this, a mistyped percentage could never be corrected.
    tx.execute(
        "UPDATE job_instances SET zone = ?3, percent = ?4, rounding = ?5 WHERE job = ?1 AND business_date = ?2
         AND NOT EXISTS (SELECT 1 FROM discounts WHERE discounts.instance_id = job_instances.instance_id)",
        params![JOB, date, given.zone, given.percent, given.rounding],
    )?;
    tx.query_row(
        "SELECT instance_id, zone, percent, rounding FROM job_instances WHERE job = ?1 AND business_date = ?2",
        params![JOB, date],
        |row| Ok((row.get(0)?, Parameters { zone: row.get(1)?, percent: row.get(2)?, rounding: row.get(3)? })),
    )
}

fn record_step(tx: &Connection, execution: Execution, step: Step, counts: &Counts) -> rusqlite::Result<()> {
    let name = match step {
        Step::Discount => "discount",
        Step::Export => "export",
    };
    tx.execute(
        "INSERT OR REPLACE INTO steps (execution_id, step, read_count, write_count, doubled_skip_count,
         discounted_before_count, conflict_count, settled_count, reject_count, commit_count)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            execution.id,
            name,
            counts.read.cast_signed(),
            counts.discounted.cast_signed(),
            counts.doubled.cast_signed(),
            counts.discounted_before.cast_signed(),
            counts.conflicts.cast_signed(),
            counts.settled.cast_signed(),
            counts.rejected.cast_signed(),
            counts.chunks.cast_signed()
        ],
    )?;
    Ok(())
}

/// The lock is a file of its own: closing a second handle on a SQLite file would drop SQLite's own locks. It stays behind when the
/// run has ended, because removing it could let in two at once.
fn lock(store: &Path) -> Result<Lock> {
    let place = |cause| Error::LockFile { path: store.to_owned(), cause };
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
