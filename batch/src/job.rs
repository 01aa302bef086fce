//! The job: snapshot, core and output store put together, chunk by chunk.
//!
//! Promise: killed after any chunk and run again, it ends with the same rows as straight through, because every invoice of the
//! day is offered again and the store takes each once. It reads no clock: the caller passes one in. What it needs memory for is one chunk,
//! and a line of totals per currency.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use crate::chunk::{Conflict, Progress, Reject};
use crate::day::BusinessDay;
use crate::discount::{Invoice, discounts};
use crate::error::{Error, Result};
use crate::export;
use crate::format::Migration;
use crate::output_store::{Counts, End, Execution, OutputStore};
use crate::read_store::Snapshot;
use crate::rule::Percent;

/// The job's name: the first half of a discount's identity.
pub const JOB: &str = "discount";

/// How many invoices are committed at a time: at 1 000 rows an fsync costs a tenth of the rows' own time, and a kill loses a
/// few milliseconds of work.
pub const CHUNK_INVOICES: NonZeroUsize = NonZeroUsize::new(1_000).expect("1 000 is not zero");

/// An execution to be run: `batch discount` with its parameters.
#[derive(Clone, Debug)]
pub struct Discount {
    /// The read store that `sink sqlite` writes.
    pub read_store: PathBuf,
    /// Where the results go; made when missing.
    pub output_store: PathBuf,
    /// Where to write the day's results as CSV, if anywhere.
    pub export: Option<PathBuf>,
    /// Whose invoices.
    pub day: BusinessDay,
    /// How much.
    pub percent: Percent,
    /// Invoices issued after this are not valid, in UTC milliseconds.
    pub max_event_time_ms: i64,
    /// How many invoices are committed at a time.
    pub chunk_invoices: NonZeroUsize,
}

/// What an execution did, and where the business day stands after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The execution's number in the output store.
    pub execution_id: i64,
    /// What this execution did.
    pub counts: Counts,
    /// All discounts of the business day, this execution's and earlier ones', by currency.
    pub totals: Vec<CurrencyTotals>,
    /// Rows in the CSV file, if one was asked for.
    pub exported: Option<u64>,
    /// The first conflicts of this execution, at most [`LISTED_MOST`](crate::LISTED_MOST) of them. All are in the output store.
    pub conflicts: Vec<Conflict>,
    /// The first rejects of this execution, at most [`LISTED_MOST`](crate::LISTED_MOST) of them.
    pub rejects: Vec<Reject>,
}

impl Summary {
    /// True if the input holds invoices that a person must look at: open conflicts or rejects.
    #[must_use]
    pub fn needs_a_person(&self) -> bool {
        self.counts.conflicts + self.counts.rejected > 0
    }
}

/// What a caller learns while an execution runs.
#[derive(Clone, Copy, Debug)]
pub enum Event<'e> {
    /// The output store had an older format and was migrated.
    Migrated(&'e Migration),
    /// A chunk was committed; the counts so far.
    Chunk(&'e Counts),
}

/// The discounts of a business day in one currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrencyTotals {
    /// ISO 4217 code.
    pub currency: String,
    /// How many invoices.
    pub invoices: u64,
    /// Their totals.
    pub amount_minor: i128,
    /// What was taken off.
    pub discount_minor: i128,
    /// What remains.
    pub remaining_minor: i128,
}

impl Discount {
    /// Runs it. `now_ms` returns the wall clock in UTC milliseconds and stamps the execution; `on_event` is called for a migration
    /// and for every committed chunk.
    ///
    /// # Errors
    /// Nothing is written if the read store is missing or foreign, if the output store is foreign, newer or in use, or if the day has
    /// other parameters. After any other error whole chunks stay, and the same call goes on from there.
    pub fn run(
        &self,
        now_ms: &mut dyn FnMut() -> i64,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Summary> {
        let snapshot = Snapshot::open(&self.read_store)?;
        let mut store = OutputStore::open(&self.output_store)?;
        if let Some(migration) = &store.migration {
            on_event(Event::Migrated(migration));
        }
        let execution = store.start(&self.day, &self.read_store, self.percent, now_ms())?;
        match self.steps(&snapshot, &mut store, execution, on_event) {
            Ok(summary) => {
                store.finish(execution, End::Completed, &exit_message(&summary.counts), now_ms())?;
                Ok(summary)
            }
            // The store itself failed: it is not written to again, and the next execution closes this one (law 15).
            Err(error @ Error::OutputStore { .. }) => Err(error),
            Err(error) => {
                store.finish(execution, End::Failed, &error.to_string(), now_ms())?;
                Err(error)
            }
        }
    }

    fn steps(
        &self,
        snapshot: &Snapshot,
        store: &mut OutputStore,
        execution: Execution,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Summary> {
        let progress = snapshot.invoices(self.day.start_ms(), self.day.end_ms(), |invoices| {
            self.discount_step(invoices, store, execution, on_event)
        })?;
        let exported = match &self.export {
            Some(path) => {
                let rows = export::write(store, execution, path)?;
                store.exported(execution, rows)?;
                Some(rows)
            }
            None => None,
        };
        let Progress { counts, conflicts, rejects, .. } = progress;
        let totals = totals(store, execution)?;
        Ok(Summary { execution_id: execution.id, counts, totals, exported, conflicts, rejects })
    }

    fn discount_step(
        &self,
        invoices: &mut dyn Iterator<Item = Result<Invoice>>,
        store: &mut OutputStore,
        execution: Execution,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Progress> {
        let mut progress = Progress::default();
        let mut outcomes = discounts(invoices, self.percent, self.max_event_time_ms);
        loop {
            let chunk = outcomes.by_ref().take(self.chunk_invoices.get()).collect::<Result<Vec<_>>>()?;
            if chunk.is_empty() {
                return Ok(progress);
            }
            store.write_chunk(execution, &mut progress, &chunk)?;
            on_event(Event::Chunk(&progress.counts));
        }
    }
}

/// Empty if nobody needs to look at the input.
fn exit_message(counts: &Counts) -> String {
    match (counts.conflicts, counts.rejected) {
        (0, 0) => String::new(),
        (conflicts, rejects) => format!("{conflicts} conflicts and {rejects} rejects"),
    }
}

/// How sums are kept from overflowing in SQLite's 64 bits: summed apart above and below this, put together in 128.
const SPLIT: i64 = 1_000_000_000;

fn totals(store: &OutputStore, execution: Execution) -> Result<Vec<CurrencyTotals>> {
    let (connection, path) = store.reader();
    query_totals(connection, execution).map_err(|cause| failed_totals(path, cause))
}

fn failed_totals(path: &Path, cause: rusqlite::Error) -> Error {
    Error::OutputStore { what: "add up the results in", path: path.to_owned(), cause }
}

fn query_totals(
    connection: &rusqlite::Connection,
    execution: Execution,
) -> rusqlite::Result<Vec<CurrencyTotals>> {
    let halves = |column: &str| format!("sum({column} / {SPLIT}), sum({column} % {SPLIT})");
    let sql = format!(
        "SELECT currency, count(*), {}, {}, {} FROM discounts WHERE instance_id = ?1 GROUP BY currency ORDER BY currency",
        halves("amount_minor"),
        halves("discount_minor"),
        halves("remaining_minor"),
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([execution.instance], |row| {
        let sum = |at: usize| {
            let (high, low): (i64, i64) = (row.get(at)?, row.get(at + 1)?);
            Ok::<_, rusqlite::Error>(i128::from(high) * i128::from(SPLIT) + i128::from(low))
        };
        Ok(CurrencyTotals {
            currency: row.get(0)?,
            invoices: row.get::<_, i64>(1)?.cast_unsigned(),
            amount_minor: sum(2)?,
            discount_minor: sum(4)?,
            remaining_minor: sum(6)?,
        })
    })?;
    rows.collect()
}
