//! The format of the output store: whose file it is, which version, and the migrations from older versions.
//!
//! Guarantees: a store of discounts is never given up, because another one would discount everything again. A store of an older
//! format is migrated in place, in one transaction: a crash in the middle leaves the old store, which works as before. A store of a newer
//! format or of another program is refused untouched.
//!
//! Requires: the lock of the store, so that nobody else migrates it.

use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::error::{Error, Result};

/// "TGds" in SQLite's header: whose file it is.
const APPLICATION_ID: i32 = 0x5447_6473;

/// The version of `sql/schema.sql`.
pub(crate) const FORMAT: i32 = 2;

/// How many days a [`Migration`] lists; the store has all of them.
const LISTED_DAYS: i64 = 20;

/// A migration of an older output store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// The format that the store had.
    pub from: i32,
    /// The format that it has now.
    pub to: i32,
    /// How many discounts it holds; all are kept.
    pub discounts: u64,
    /// Days whose discounts were made with different parameters, at most 20 of them. Their discounts stay as they are.
    pub mixed_days: Vec<MixedDay>,
    /// How many such days there are.
    pub mixed_day_count: u64,
}

/// A business day that an older version discounted with different parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MixedDay {
    /// The date.
    pub business_date: String,
    /// Its parameters from now on: those of its first execution that discounted anything.
    pub percent: String,
    /// The zone, likewise.
    pub zone: String,
}

/// Makes the tables of a new store, checks an existing one, and migrates an older one.
pub(crate) fn prepare(connection: &mut Connection, path: &Path) -> Result<Option<Migration>> {
    let failed = |cause| opening(path, cause);
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, format) =
        (pragma("application_id").map_err(failed)?, pragma("user_version").map_err(failed)?);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    let ours = match (application, format) {
        (APPLICATION_ID, FORMAT) | (APPLICATION_ID, 1) => true,
        (APPLICATION_ID, newer) if newer > FORMAT => {
            return Err(Error::NewerOutputStore { path: path.to_owned(), format: newer, known: FORMAT });
        }
        (0, 0) if tables == 0 => false,
        (APPLICATION_ID, _) => return Err(Error::DamagedOutputStore { path: path.to_owned() }),
        _ => return Err(foreign(path, "another program made it")),
    };
    if !ours {
        create(connection).map_err(failed)?;
    }
    // FULL: after a power cut no invoice is free to be discounted again.
    connection.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL").map_err(failed)?;
    let migration = if ours && format < FORMAT { Some(migrate(connection, path)?) } else { None };
    connection.execute_batch("PRAGMA foreign_keys=ON").map_err(failed)?;
    Ok(migration)
}

pub(crate) fn opening(path: &Path, cause: rusqlite::Error) -> Error {
    match cause.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => foreign(path, "it is no SQLite database"),
        _ => Error::OutputStore { what: "open", path: path.to_owned(), cause },
    }
}

/// Header and tables in one transaction: a kill in between leaves an empty file, which the next start takes as new.
fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    let tx = connection.transaction()?;
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", FORMAT)?;
    tx.execute_batch(include_str!("../sql/schema.sql"))?;
    tx.commit()
}

/// One transaction for everything. Foreign keys are off, because tables that others refer to are made again; they are checked
/// before the commit.
fn migrate(connection: &mut Connection, path: &Path) -> Result<Migration> {
    let failed = |cause| Error::OutputStore { what: "migrate", path: path.to_owned(), cause };
    connection.execute_batch("PRAGMA foreign_keys=OFF").map_err(failed)?;
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let migration = rebuild(&tx).map_err(failed)?;
    let broken = tx.prepare("PRAGMA foreign_key_check").and_then(|mut check| check.exists([]));
    if broken.map_err(failed)? {
        return Err(Error::DamagedOutputStore { path: path.to_owned() });
    }
    tx.commit().map_err(failed)?;
    Ok(migration)
}

fn rebuild(tx: &Transaction<'_>) -> rusqlite::Result<Migration> {
    tx.execute_batch(include_str!("../sql/from_1_to_2.sql"))?;
    let migration = described(tx)?;
    tx.execute_batch("DROP TABLE temp.old_executions")?;
    tx.pragma_update(None, "user_version", FORMAT)?;
    Ok(migration)
}

fn described(tx: &Transaction<'_>) -> rusqlite::Result<Migration> {
    const MIXED: &str = "SELECT job, business_date FROM temp.old_executions WHERE discounted > 0
                         GROUP BY job, business_date HAVING count(DISTINCT percent || ' ' || zone) > 1";
    let count = |sql: &str| tx.query_row(sql, [], |row| row.get::<_, i64>(0));
    let discounts = count("SELECT count(*) FROM discounts")?;
    let mixed_day_count = count(&format!("SELECT count(*) FROM ({MIXED})"))?;
    let mut statement = tx.prepare(&format!(
        "SELECT business_date, percent, zone FROM ({MIXED}) JOIN job_instances USING (job, business_date)
         ORDER BY business_date LIMIT {LISTED_DAYS}"
    ))?;
    let day = |row: &rusqlite::Row<'_>| {
        Ok(MixedDay { business_date: row.get(0)?, percent: row.get(1)?, zone: row.get(2)? })
    };
    Ok(Migration {
        from: 1,
        to: FORMAT,
        discounts: discounts.cast_unsigned(),
        mixed_days: statement.query_map([], day)?.collect::<rusqlite::Result<_>>()?,
        mixed_day_count: mixed_day_count.cast_unsigned(),
    })
}

fn foreign(path: &Path, why: &str) -> Error {
    Error::ForeignOutputStore { path: path.to_owned(), why: why.to_owned() }
}
