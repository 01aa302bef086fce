//! The read store's tables: which one holds a topic's records, and which columns a sink fills.
//!
//! Promise: a table's columns are the fields of its topic's schema, in their order, then `source_partition` and
//! `source_offset`. An array field is no column but a table of its own. `tests/read_store.rs` compares both with the schemas.

use crate::topics::{self, Topic};

/// The whole read store as one SQL script; every statement in it may be run again.
pub const READ_STORE: &str = include_str!("../sql/read_store.sql");

/// Where the records of a topic stand in the read store.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The topic it holds.
    pub topic: &'static Topic,
    /// Columns that name a row: a later record with the same values replaces it. Empty where every record is a row.
    pub upsert_key: &'static [&'static str],
    /// Where the elements of an array field go.
    pub child: Option<ChildTable>,
}

/// Where the elements of an array field stand: a row each, under the parent's `source_partition` and `source_offset` and a
/// `line_number` from 1, then the element's fields in their order.
#[derive(Debug, PartialEq, Eq)]
pub struct ChildTable {
    /// Its name.
    pub name: &'static str,
    /// The array field.
    pub field: &'static str,
}

/// A table per topic, in the order of the table of topics.
pub static TABLES: [Table; 7] = [
    Table { name: "readings", topic: &topics::READINGS, upsert_key: &[], child: None },
    Table { name: "radars", topic: &topics::RADARS, upsert_key: &[], child: None },
    Table { name: "vehicles", topic: &topics::VEHICLES, upsert_key: &[], child: None },
    Table { name: "owners", topic: &topics::OWNERS, upsert_key: &[], child: None },
    Table { name: "infractions", topic: &topics::INFRACTIONS, upsert_key: &[], child: None },
    Table {
        name: "invoices",
        topic: &topics::INVOICES,
        upsert_key: &[],
        child: Some(ChildTable { name: "invoice_lines", field: "lines" }),
    },
    Table {
        name: "customer_totals",
        topic: &topics::CUSTOMER_TOTALS,
        upsert_key: &["customer_id", "currency", "window_start"],
        child: None,
    },
];

/// The table that holds `topic`.
#[must_use]
pub fn table_of(topic: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.topic.name == topic)
}
