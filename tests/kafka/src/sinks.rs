//! What stands in CSV files and read stores, as the tests of the embedded home read them.

#[path = "../../pipeline/files.rs"]
mod files;

pub(crate) use files::{as_csv, csv_rows, table_rows, values};
