//! A topic's table as an insert: made once from the read store's tables and the topic's columns.
//!
//! Promise: one way for every topic, driven by the tables of `tidegate-schemas`. A row's place in the log is unique, so that a record that
//! comes twice is an error and never a second row; where a table has an upsert key, the later record replaces the earlier. A table that shows
//! what is in force is not written here: its history is, and a trigger of the read store does the rest in the same transaction.

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Statement, ToSql, Transaction};
use tidegate_runtime::Error;
use tidegate_runtime::log::Coordinates;
use tidegate_schemas::NamedTable;

use super::store::Fault;
use crate::layout::{Kind, Layout};
use crate::row::{Cell, Row};

/// How the rows of one topic are written.
pub(super) struct Insert {
    table: String,
    sql: String,
    /// Which cells are columns of the table itself.
    own: Vec<usize>,
    /// The cell whose elements go into a table of their own, and how.
    child: Option<(usize, String)>,
}

impl Insert {
    /// The insert of a table whose records have the columns of `layout`.
    pub(super) fn of(table: &NamedTable, layout: &Layout) -> Insert {
        let is_list = |at: &usize| matches!(layout.columns[*at].kind, Kind::List(_));
        let own: Vec<usize> = (0..layout.columns.len()).filter(|at| !is_list(at)).collect();
        let mut names: Vec<&str> = own.iter().map(|at| layout.columns[*at].name).collect();
        names.extend(["source_partition", "source_offset"]);
        let sql = format!("{}{}", insert_into(table.written(), &names), on_conflict(table, &names));
        Insert { table: table.written().to_owned(), sql, own, child: child_of(table, layout) }
    }

    /// Writes one row.
    pub(super) fn run(&self, to: &Transaction<'_>, at: &Coordinates, row: &Row) -> Result<(), Fault> {
        let written = self.write(to, at, row);
        written.map_err(|cause| match cause.sqlite_error_code() {
            Some(rusqlite::ErrorCode::ConstraintViolation) => Fault::Named(Error::Corrupt {
                at: at.clone(),
                detail: format!("it does not fit into table `{}`, or is there already: {cause}", self.table),
            }),
            _ => Fault::Sql(cause),
        })
    }

    fn write(&self, to: &Transaction<'_>, at: &Coordinates, row: &Row) -> rusqlite::Result<()> {
        let (partition, offset) = (i64::from(at.partition.partition), at.offset.0);
        let mut insert = to.prepare_cached(&self.sql)?;
        let own = self.own.iter().map(|at| &row.0[*at].1);
        bind(&mut insert, 1, own)?;
        insert.raw_bind_parameter(self.own.len() + 1, partition)?;
        insert.raw_bind_parameter(self.own.len() + 2, offset)?;
        insert.raw_execute()?;
        let Some((list, sql)) = &self.child else { return Ok(()) };
        let Cell::List(elements) = &row.0[*list].1 else { return Ok(()) };
        let mut insert = to.prepare_cached(sql)?;
        for (number, element) in (1_i64..).zip(elements) {
            insert.raw_bind_parameter(1, partition)?;
            insert.raw_bind_parameter(2, offset)?;
            insert.raw_bind_parameter(3, number)?;
            bind(&mut insert, 4, element.0.iter().map(|(_, cell)| cell))?;
            insert.raw_execute()?;
        }
        Ok(())
    }
}

fn bind<'c>(
    statement: &mut Statement<'_>,
    first: usize,
    cells: impl Iterator<Item = &'c Cell>,
) -> rusqlite::Result<()> {
    (first..).zip(cells).try_for_each(|(at, cell)| statement.raw_bind_parameter(at, cell))
}

fn child_of(table: &NamedTable, layout: &Layout) -> Option<(usize, String)> {
    let field = table.shape.child.as_ref()?.field;
    let at = layout.columns.iter().position(|column| column.name == field)?;
    let Kind::List(elements) = &layout.columns[at].kind else { return None };
    let mut names = vec!["source_partition", "source_offset", "line_number"];
    names.extend(elements.columns.iter().map(|column| column.name));
    Some((at, insert_into(table.child.as_deref()?, &names)))
}

fn insert_into(table: &str, names: &[&str]) -> String {
    let parameters = vec!["?"; names.len()].join(", ");
    format!("INSERT INTO \"{table}\" ({}) VALUES ({parameters})", names.join(", "))
}

/// The record that stands further behind counts, whichever is read first: see the table's own comment.
fn on_conflict(table: &NamedTable, names: &[&str]) -> String {
    let key = table.shape.upsert_key;
    if key.is_empty() {
        return String::new();
    }
    let others = names.iter().filter(|name| !key.contains(name));
    let set: Vec<_> = others.map(|name| format!("{name} = excluded.{name}")).collect();
    format!(
        " ON CONFLICT ({}) DO UPDATE SET {} \
         WHERE (excluded.source_partition, excluded.source_offset) > (source_partition, source_offset)",
        key.join(", "),
        set.join(", ")
    )
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Cell::Null | Cell::List(_) => ToSqlOutput::Owned(Value::Null),
            Cell::Flag(flag) => ToSqlOutput::Owned(Value::Integer((*flag).into())),
            Cell::Integer(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Cell::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

#[cfg(test)]
mod tests {
    use tidegate_schemas::{TOPICS, table_of, topics};

    use super::*;

    #[test]
    fn every_topic_has_an_insert_the_read_store_takes() {
        let store = rusqlite::Connection::open_in_memory().unwrap();
        store.execute_batch(tidegate_schemas::READ_STORE).unwrap();
        for topic in TOPICS {
            let table = NamedTable::of(table_of(topic.name).unwrap(), topic.name);
            let insert = Insert::of(&table, &Layout::of(topic).unwrap());
            store.prepare(&insert.sql).unwrap();
            let lists = topic.name == "invoices";
            assert_eq!(insert.child.is_some(), lists, "{}", topic.name);
            if let Some((_, sql)) = insert.child {
                store.prepare(&sql).unwrap();
            }
        }
    }

    #[test]
    fn a_total_replaces_the_one_before() {
        let table = NamedTable::of(table_of("customer-totals").unwrap(), "m-totals");
        let insert = Insert::of(&table, &Layout::of(&topics::CUSTOMER_TOTALS).unwrap());
        assert!(insert.sql.starts_with("INSERT INTO \"m_totals\" ("), "{}", insert.sql);
        let conflict = " ON CONFLICT (customer_id, currency, window_start, window_end) DO UPDATE SET \
             count = excluded.count, amount_minor = excluded.amount_minor, \
             source_partition = excluded.source_partition, source_offset = excluded.source_offset \
             WHERE (excluded.source_partition, excluded.source_offset) > (source_partition, source_offset)";
        assert!(insert.sql.ends_with(conflict), "{}", insert.sql);
    }
}
