//! The outcome for each record of a chunk, once the discounts and conflicts of earlier executions are known too.
//!
//! Guarantees: the invoice that was discounted first keeps its discount; of the records of one number that nobody discounted yet,
//! that is the first by `(partition, offset)`. Every other invoice with its number is in `conflicts`, whichever execution, day or
//! customer it is of, and is counted and listed by every execution that meets it until a person settles it. A further record of any of them
//! is a double.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use tidegate_schemas::validity::Invalid;

use crate::discount::{Invoice, Outcome};
use crate::job::JOB;
use crate::output_store::{Counts, Execution};
use crate::rule::Split;

/// How many conflicts and how many rejects a summary lists by name: a screenful each. All conflicts are in the store.
pub const LISTED_MOST: usize = 20;

/// An invoice that was not discounted, because its number belongs to another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Its number in the table `conflicts`.
    pub conflict_id: i64,
    /// The invoice, with the place of its record.
    pub invoice: Invoice,
    /// The invoice with that number that is discounted.
    pub discounted: Invoice,
    /// The execution that discounted it.
    pub execution_id: i64,
}

/// A record that is no valid invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The record.
    pub invoice: Invoice,
    /// Why it was rejected.
    pub why: Invalid,
}

/// The counts of an execution and the first of its conflicts and rejects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) counts: Counts,
    pub(crate) conflicts: Vec<Conflict>,
    pub(crate) rejects: Vec<Reject>,
    /// The number whose discounted invoice was met, after another one with that number: its further records are doubles.
    met: Option<String>,
}

/// Writes the outcome for one record.
pub(crate) fn write(
    tx: &Connection,
    execution: Execution,
    progress: &mut Progress,
    outcome: &Outcome,
) -> rusqlite::Result<()> {
    progress.counts.read += 1;
    match outcome {
        Outcome::First(invoice, split) => {
            if insert(tx, execution, invoice, *split)? {
                progress.counts.discounted += 1;
                return Ok(());
            }
            compare(tx, execution, progress, invoice)
        }
        Outcome::Conflicting(invoice) => compare(tx, execution, progress, invoice),
        Outcome::Doubled(_) => {
            progress.counts.doubled += 1;
            Ok(())
        }
        Outcome::Rejected(invoice, why) => {
            progress.counts.rejected += 1;
            if progress.rejects.len() < LISTED_MOST {
                progress.rejects.push(Reject { invoice: invoice.clone(), why: why.clone() });
            }
            Ok(())
        }
    }
}

/// Compares a record with the invoice that is discounted under its number.
fn compare(
    tx: &Connection,
    execution: Execution,
    progress: &mut Progress,
    invoice: &Invoice,
) -> rusqlite::Result<()> {
    let (discounted, execution_id) = discounted(tx, &invoice.invoice_id)?;
    if discounted.is_same(invoice) {
        if progress.met.replace(invoice.invoice_id.clone()).as_ref() == Some(&invoice.invoice_id) {
            progress.counts.doubled += 1;
        } else {
            progress.counts.discounted_before += 1;
        }
        return Ok(());
    }
    match record(tx, execution, invoice)? {
        None => progress.counts.doubled += 1,
        Some((_, true)) => progress.counts.settled += 1,
        Some((conflict_id, false)) => {
            progress.counts.conflicts += 1;
            if progress.conflicts.len() < LISTED_MOST {
                let invoice = invoice.clone();
                progress.conflicts.push(Conflict { conflict_id, invoice, discounted, execution_id });
            }
        }
    }
    Ok(())
}

/// True if the discount is new.
fn insert(tx: &Connection, execution: Execution, invoice: &Invoice, split: Split) -> rusqlite::Result<bool> {
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

/// The invoice that is discounted under a number, and the execution that did it.
fn discounted(tx: &Connection, invoice_id: &str) -> rusqlite::Result<(Invoice, i64)> {
    let mut statement = tx.prepare_cached(
        "SELECT invoice_id, customer_id, issued_at, amount_minor, currency, source_partition, source_offset, execution_id
         FROM discounts WHERE job = ?1 AND invoice_id = ?2",
    )?;
    statement.query_row(params![JOB, invoice_id], |row| Ok((Invoice::of(row)?, row.get(7)?)))
}

/// The number of a conflict and whether a person has settled it; `None` if this execution has met it already.
fn record(tx: &Connection, execution: Execution, invoice: &Invoice) -> rusqlite::Result<Option<(i64, bool)>> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO conflicts (job, invoice_id, customer_id, issued_at, amount_minor, currency, instance_id,
         first_execution_id, last_execution_id, source_partition, source_offset)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10)
         ON CONFLICT (job, invoice_id, customer_id, issued_at, amount_minor, currency)
         DO UPDATE SET last_execution_id = excluded.last_execution_id
         WHERE last_execution_id <> excluded.last_execution_id
         RETURNING conflict_id, resolution IS NOT NULL",
    )?;
    let values = params![
        JOB,
        invoice.invoice_id,
        invoice.customer_id,
        invoice.issued_at,
        invoice.amount_minor,
        invoice.currency,
        execution.instance,
        execution.id,
        invoice.source_partition,
        invoice.source_offset,
    ];
    statement.query_row(values, |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

impl Invoice {
    /// An invoice from the first seven columns of a row, in the order of the fields.
    pub(crate) fn of(row: &Row<'_>) -> rusqlite::Result<Invoice> {
        Ok(Invoice {
            invoice_id: row.get(0)?,
            customer_id: row.get(1)?,
            issued_at: row.get(2)?,
            amount_minor: row.get(3)?,
            currency: row.get(4)?,
            source_partition: row.get(5)?,
            source_offset: row.get(6)?,
        })
    }
}
