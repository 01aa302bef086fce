//! What stands in CSV files and read stores, in the oracle's words.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use serde_json::{Map, Value};

/// The rows of a sink's finished files, partition by partition in the order of their offsets; each a JSON object of texts.
/// They are all that `*.csv` finds: rejects stand in a folder of their own.
pub(crate) fn csv_rows(directory: &Path) -> Vec<Value> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    // Partition and offsets stand in the name, filled up with zeros.
    files.sort();
    let is_rows = |path: &&PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.ends_with(".csv")
    };
    let mut rows = Vec::new();
    for file in files.iter().filter(is_rows) {
        let mut reader = csv::Reader::from_path(file).unwrap();
        let header = reader.headers().unwrap().clone();
        rows.extend(reader.records().map(|record| {
            let record = record.unwrap();
            let fields = header.iter().zip(record.iter());
            Value::Object(fields.map(|(name, text)| (name.to_owned(), text.into())).collect())
        }));
    }
    rows
}

/// The rows of a table, in the order of their source; without the source's columns.
pub(crate) fn table_rows(database: &Path, table: &str) -> Vec<Value> {
    let database = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let query = format!("SELECT * FROM {table} ORDER BY source_partition, source_offset");
    let mut statement = database.prepare(&query).unwrap();
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let rows = statement.query_map([], |row| {
        let mut object = Map::new();
        for (index, name) in names.iter().enumerate().filter(|(_, name)| !name.starts_with("source_")) {
            let value = match row.get::<_, rusqlite::types::Value>(index)? {
                rusqlite::types::Value::Integer(number) => number.into(),
                rusqlite::types::Value::Text(text) => text.into(),
                other => panic!("`{name}` is {other:?}"),
            };
            object.insert(name.clone(), value);
        }
        Ok(Value::Object(object))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// A golden's values as the CSV sink writes them: numbers as text, times in RFC 3339.
pub(crate) fn as_csv(rows: &[Value], time_fields: &[&str]) -> Vec<Value> {
    let text = |name: &str, value: &Value| match value {
        Value::Number(ms) if time_fields.contains(&name) => {
            let time = jiff::Timestamp::from_millisecond(ms.as_i64().unwrap()).unwrap();
            format!("{time:.3}")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let row = |row: &Value| {
        let fields = row["value"].as_object().unwrap().iter();
        Value::Object(fields.map(|(name, value)| (name.clone(), text(name, value).into())).collect())
    };
    rows.iter().map(row).collect()
}

/// A golden's values as they are.
pub(crate) fn values(rows: &[Value]) -> Vec<Value> {
    rows.iter().map(|row| row["value"].clone()).collect()
}
