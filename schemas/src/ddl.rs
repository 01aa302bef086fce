//! The read store's tables: which one holds a topic's records, and which columns a sink fills.
//!
//! Promise: a table's columns are the fields of its topic's schema, in their order, then `source_partition` and
//! `source_offset`. An array field is no column but a table of its own. `tests/read_store.rs` compares both with the schemas.
//!
//! A topic that is not in the table of topics, but whose records are of one of its schemas, has a table of the same shape under its own
//! name: see [`NamedTable`].

use crate::topics::{self, Topic};

/// The whole read store as one SQL script; every statement in it may be run again.
pub const READ_STORE: &str = concat!(
    include_str!("../sql/read_store.sql"),
    include_str!("../sql/readings.sql"),
    include_str!("../sql/radars.sql"),
    include_str!("../sql/vehicles.sql"),
    include_str!("../sql/owners.sql"),
    include_str!("../sql/infractions.sql"),
    include_str!("../sql/invoices.sql"),
    include_str!("../sql/customer_totals.sql"),
);

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
    /// The table that gets every record, where this one shows only what is in force: it has the same columns, and a trigger on it keeps this one.
    pub history: Option<&'static str>,
    /// The statements that make it and everything that belongs to it.
    ddl: &'static str,
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

const PLAIN: Table =
    Table { name: "", topic: &topics::READINGS, upsert_key: &[], child: None, history: None, ddl: "" };

/// A table per topic, in the order of the table of topics.
pub static TABLES: [Table; 7] = [
    Table { name: "readings", topic: &topics::READINGS, ddl: include_str!("../sql/readings.sql"), ..PLAIN },
    Table { name: "radars", topic: &topics::RADARS, ddl: include_str!("../sql/radars.sql"), ..PLAIN },
    Table { name: "vehicles", topic: &topics::VEHICLES, ddl: include_str!("../sql/vehicles.sql"), ..PLAIN },
    Table { name: "owners", topic: &topics::OWNERS, ddl: include_str!("../sql/owners.sql"), ..PLAIN },
    Table {
        name: "infractions",
        topic: &topics::INFRACTIONS,
        history: Some("infraction_history"),
        ddl: include_str!("../sql/infractions.sql"),
        ..PLAIN
    },
    Table {
        name: "invoices",
        topic: &topics::INVOICES,
        child: Some(ChildTable { name: "invoice_lines", field: "lines" }),
        ddl: include_str!("../sql/invoices.sql"),
        ..PLAIN
    },
    Table {
        name: "customer_totals",
        topic: &topics::CUSTOMER_TOTALS,
        upsert_key: &["customer_id", "currency", "window_start", "window_end"],
        ddl: include_str!("../sql/customer_totals.sql"),
        ..PLAIN
    },
];

/// The table that holds `topic`.
#[must_use]
pub fn table_of(topic: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.topic.name == topic)
}

/// A table's shape under the name of a topic. Of a topic in the table of topics it is the table itself.
///
/// Promise: names are made of letters, digits and `_` only, so that quoting them is always safe. Two topics may lead to the same name:
/// whoever makes the tables refuses the second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTable {
    /// Its shape.
    pub shape: &'static Table,
    /// Its name: the topic's, with `_` for `-` and `.`.
    pub name: String,
    /// The name of its [`ChildTable`].
    pub child: Option<String>,
    /// The name of its [`history`](Table::history).
    pub history: Option<String>,
}

impl NamedTable {
    /// The table of `topic`, in the shape of `shape`.
    #[must_use]
    pub fn of(shape: &'static Table, topic: &str) -> NamedTable {
        let name = topic.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        // `invoices` and `invoice_lines`: what belongs to a table bears its name in the singular.
        let own = |of_shape: &str| {
            let end = of_shape.strip_prefix(singular(shape.name)).unwrap_or(of_shape);
            format!("{}{end}", singular(&name))
        };
        let child = shape.child.as_ref().map(|child| own(child.name));
        let history = shape.history.map(own);
        NamedTable { shape, name, child, history }
    }

    /// The table that gets the records: the history where there is one.
    #[must_use]
    pub fn written(&self) -> &str {
        self.history.as_deref().unwrap_or(&self.name)
    }

    /// The statements that make it and everything that belongs to it; each may be run again.
    #[must_use]
    pub fn ddl(&self) -> String {
        let child = self.shape.child.as_ref().map(|child| child.name).zip(self.child.as_deref());
        let history = self.shape.history.zip(self.history.as_deref());
        let names: Vec<(&str, &str)> =
            [Some((self.shape.name, &*self.name)), child, history].into_iter().flatten().collect();
        renamed(self.shape.ddl, &names)
    }
}

fn singular(name: &str) -> &str {
    name.strip_suffix('s').unwrap_or(name)
}

/// `sql` with other names for its tables, and for what is named after them: `invoices` is one, and `invoices_by_id`.
fn renamed(sql: &str, names: &[(&str, &str)]) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::with_capacity(2 * sql.len());
    let mut rest = sql;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        let own = names.iter().find_map(|(from, to)| {
            let end = word.strip_prefix(from)?;
            (end.is_empty() || end.starts_with('_')).then(|| format!("\"{to}{end}\""))
        });
        out.push_str(own.as_deref().unwrap_or(word));
        let next = behind.find(is_word).unwrap_or(behind.len());
        out.push_str(&behind[..next]);
        rest = &behind[next..];
    }
    out
}
