//! The results of a job instance as CSV (RFC 4180), in invoice order.
//!
//! Promise: the file holds every discount of the business day, those of earlier executions too, so that it is the same whether
//! the job ran straight through, was killed, or was run again; and it appears whole or not at all (written aside, fsync, rename, fsync of
//! the directory). An older file of the same name is replaced by the new one. Text and times are written as `sink csv` writes them
//! (`csv_text` of `tidegate-schemas`): no spreadsheet runs a cell, and every text can be had back.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, Row};
use tidegate_schemas::csv_text::escaped;

use crate::error::{Error, Result};
use crate::output_store::{Execution, OutputStore};

const HEADER: [&str; 8] = [
    "invoice_id",
    "customer_id",
    "issued_at",
    "currency",
    "percent",
    "amount_minor",
    "discount_minor",
    "remaining_minor",
];

/// Writes the file and says how many rows it has.
pub(crate) fn write(store: &OutputStore, execution: Execution, path: &Path) -> Result<u64> {
    let failed = |cause| Error::Export { path: path.to_owned(), cause };
    let aside = aside(path).map_err(failed)?;
    let file = File::create(&aside).map_err(failed)?;
    let (connection, store_path) = store.reader();
    let written = rows(connection, execution, file).map_err(|fault| match fault {
        Fault::Store(cause) => {
            Error::OutputStore { what: "read the results from", path: store_path.to_owned(), cause }
        }
        Fault::File(cause) => failed(cause),
    });
    let finished = written.and_then(|rows| {
        fs::rename(&aside, path).map_err(failed)?;
        File::open(directory(path)).and_then(|directory| directory.sync_all()).map_err(failed)?;
        Ok(rows)
    });
    if finished.is_err() {
        // What is left aside is worth nothing; that it cannot be removed would hide the error that matters.
        let _ = fs::remove_file(&aside);
    }
    finished
}

enum Fault {
    Store(rusqlite::Error),
    File(io::Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(cause: rusqlite::Error) -> Fault {
        Fault::Store(cause)
    }
}

impl From<csv::Error> for Fault {
    fn from(cause: csv::Error) -> Fault {
        Fault::File(io::Error::other(cause))
    }
}

fn rows(connection: &Connection, execution: Execution, file: File) -> Result<u64, Fault> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(file);
    writer.write_record(HEADER)?;
    let mut statement = connection.prepare(
        "SELECT invoice_id, customer_id, issued_at, currency, percent, amount_minor, discount_minor, remaining_minor
         FROM discounts WHERE instance_id = ?1 ORDER BY invoice_id",
    )?;
    let mut results = statement.query([execution.instance])?;
    let mut count = 0;
    while let Some(row) = results.next()? {
        write_row(&mut writer, row)?;
        count += 1;
    }
    let mut file = writer.into_inner().map_err(|error| Fault::File(error.into_error()))?;
    file.flush().and_then(|()| file.sync_all()).map_err(Fault::File)?;
    Ok(count)
}

fn write_row(writer: &mut csv::Writer<File>, row: &Row<'_>) -> Result<(), Fault> {
    write_text(writer, row, 0)?;
    write_text(writer, row, 1)?;
    writer.write_field(time(row.get(2)?))?;
    write_text(writer, row, 3)?;
    write_text(writer, row, 4)?;
    for column in [5, 6, 7] {
        writer.write_field(row.get::<_, i64>(column)?.to_string())?;
    }
    writer.write_record(None::<&[u8]>)?;
    Ok(())
}

fn write_text(writer: &mut csv::Writer<File>, row: &Row<'_>, column: usize) -> Result<(), Fault> {
    let text = row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?;
    Ok(writer.write_field(escaped(text).as_ref())?)
}

/// RFC 3339 in UTC to the millisecond. A business day is one of the calendar's, and so is each time in it.
fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| format!("{time:.3}"))
}

fn aside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::other("the path names no file"))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".partial");
    Ok(path.with_file_name(hidden))
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_to_the_millisecond() {
        assert_eq!(time(1_291_191_960_000), "2010-12-01T08:26:00.000Z");
        assert_eq!(time(-1), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn the_file_is_written_beside_its_place() {
        assert_eq!(aside(Path::new("out/day.csv")).unwrap(), Path::new("out/.day.csv.partial"));
        assert!(aside(Path::new("/")).is_err());
        assert_eq!(directory(Path::new("day.csv")), Path::new("."));
    }
}
