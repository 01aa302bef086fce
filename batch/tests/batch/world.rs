//! A read store and an output store in a temporary directory.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use rusqlite::{Connection, params};
use tidegate_batch::{BusinessDay, Discount, Invoice, Result, Summary};

/// 2010-12-01T00:00:00Z.
pub(crate) const DAY_MS: i64 = 1_291_161_600_000;

pub(crate) struct World {
    directory: tempfile::TempDir,
}

/// A row of the results: invoice, percent, total, discount, what remains, offset of its source.
pub(crate) type ResultRow = (String, String, i64, i64, i64, i64);

impl World {
    pub(crate) fn new(invoices: &[Invoice]) -> World {
        let world = World { directory: tempfile::tempdir().unwrap() };
        let store = Connection::open(world.path("read.sqlite3")).unwrap();
        store.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF").unwrap();
        store.execute_batch(tidegate_schemas::READ_STORE).unwrap();
        world.add(invoices);
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn add(&self, invoices: &[Invoice]) {
        let mut store = Connection::open(self.path("read.sqlite3")).unwrap();
        store.execute_batch("PRAGMA synchronous=OFF").unwrap(); // only the output store's durability is tested
        let tx = store.transaction().unwrap();
        for invoice in invoices {
            tx.execute(
                "INSERT INTO invoices (invoice_id, customer_id, issued_at, amount_minor, currency, source_partition,
                 source_offset) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    invoice.invoice_id,
                    invoice.customer_id,
                    invoice.issued_at,
                    invoice.amount_minor,
                    invoice.currency,
                    invoice.source_partition,
                    invoice.source_offset
                ],
            )
            .unwrap();
        }
        tx.commit().unwrap();
    }

    pub(crate) fn job(&self, date: &str, percent: &str, chunk: usize) -> Discount {
        Discount {
            read_store: self.path("read.sqlite3"),
            output_store: self.path("discounts.sqlite3"),
            export: None,
            day: BusinessDay::parse(date, "Europe/London").unwrap(),
            percent: percent.parse().unwrap(),
            max_event_time_ms: 4_102_444_800_000,
            chunk_invoices: NonZeroUsize::new(chunk).unwrap(),
        }
    }

    pub(crate) fn results(&self) -> Vec<ResultRow> {
        self.query(
            "SELECT invoice_id, percent, amount_minor, discount_minor, remaining_minor, source_offset
             FROM discounts ORDER BY invoice_id",
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)),
        )
    }

    /// Status and message of every execution, oldest first.
    pub(crate) fn executions(&self) -> Vec<(String, String)> {
        self.query("SELECT status, exit_message FROM executions ORDER BY execution_id", |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
    }

    pub(crate) fn query<T>(
        &self,
        sql: &str,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Vec<T> {
        let store = Connection::open(self.path("discounts.sqlite3")).unwrap();
        let mut statement = store.prepare(sql).unwrap();
        statement.query_map([], read).unwrap().collect::<rusqlite::Result<_>>().unwrap()
    }
}

/// An invoice of the day, at `minute` past midnight.
pub(crate) fn invoice(id: &str, amount_minor: i64, minute: i64, source_offset: i64) -> Invoice {
    Invoice {
        invoice_id: id.to_owned(),
        customer_id: "17850".to_owned(),
        issued_at: DAY_MS + minute * 60_000,
        amount_minor,
        currency: "GBP".to_owned(),
        source_partition: 0,
        source_offset,
    }
}

/// Runs with a clock that stands still and nobody listening.
pub(crate) fn run(job: &Discount) -> Result<Summary> {
    job.run(&mut || 1_000, &mut |_| {})
}
