//! The read store as the job sees it: the `invoices` of a span of time, in one snapshot.
//!
//! Promise: every invoice comes from the same read transaction, however long the run and whatever the sink writes meanwhile; and
//! in `(invoice_id, source_partition, source_offset)` order, which the core needs to see doubles. SQLite sorts in a temporary file
//! beyond its cache, so memory stays flat. The price: while the snapshot is open the sink's write-ahead log cannot be shortened, and
//! grows by what the sink writes during the run; it shrinks again after. Nothing in here can write.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};

use crate::discount::Invoice;
use crate::error::{Error, Result};

/// How long to wait for the sink's lock when opening. Readers of a write-ahead log hardly ever wait; this covers a checkpoint.
const BUSY: Duration = Duration::from_secs(10);

/// The columns the job reads, in the order of [`Invoice`]'s fields.
const COLUMNS: [&str; 7] = [
    "invoice_id",
    "customer_id",
    "issued_at",
    "amount_minor",
    "currency",
    "source_partition",
    "source_offset",
];

/// One read transaction on a read store.
pub(crate) struct Snapshot {
    path: PathBuf,
    connection: Connection,
}

impl Snapshot {
    /// Opens the store for reading and checks that it is one. The snapshot itself is taken by the first read.
    pub(crate) fn open(path: &Path) -> Result<Snapshot> {
        // A place that may not be searched is another thing than one that holds no store.
        let found =
            path.try_exists().map_err(|cause| Error::ReadStorePlace { path: path.to_owned(), cause })?;
        if !found || !path.is_file() {
            return Err(Error::MissingReadStore { path: path.to_owned() });
        }
        let failed = |cause| unreadable(path, cause);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        let missing = missing_columns(&connection).map_err(failed)?;
        if !missing.is_empty() {
            let why = format!("its table `invoices` lacks `{}`", missing.join("`, `"));
            return Err(Error::NotAReadStore { path: path.to_owned(), why });
        }
        // Deferred: the snapshot is taken by the first read and held until the connection is dropped.
        connection.execute_batch("BEGIN").map_err(failed)?;
        Ok(Snapshot { path: path.to_owned(), connection })
    }

    /// Hands the invoices issued in `[start_ms, end_ms)` to `consume`.
    pub(crate) fn invoices<T>(
        &self,
        start_ms: i64,
        end_ms: i64,
        consume: impl FnOnce(&mut dyn Iterator<Item = Result<Invoice>>) -> Result<T>,
    ) -> Result<T> {
        let failed = |cause| unreadable(&self.path, cause);
        let sql = format!(
            "SELECT {} FROM invoices WHERE issued_at >= ?1 AND issued_at < ?2
             ORDER BY invoice_id COLLATE BINARY, source_partition, source_offset",
            COLUMNS.join(", ")
        );
        let mut statement = self.connection.prepare(&sql).map_err(failed)?;
        let rows = statement.query_map(params![start_ms, end_ms], Invoice::of).map_err(failed)?;
        consume(&mut rows.map(|row| row.map_err(failed)))
    }
}

fn missing_columns(connection: &Connection) -> rusqlite::Result<Vec<&'static str>> {
    let mut statement = connection.prepare("SELECT name FROM pragma_table_info('invoices')")?;
    let present = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    Ok(COLUMNS.into_iter().filter(|column| !present.iter().any(|name| name == column)).collect())
}

/// A file that is no database at all says so only when it is first read.
fn unreadable(path: &Path, cause: rusqlite::Error) -> Error {
    match cause.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => {
            Error::NotAReadStore { path: path.to_owned(), why: "it is no SQLite database".to_owned() }
        }
        _ => Error::ReadStore { path: path.to_owned(), cause },
    }
}
