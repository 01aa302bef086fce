//! The read store's script runs, twice, and its tables are what the schemas and the sinks' instructions say.

#![allow(clippy::unwrap_used, reason = "a helper of tests may panic as a test may")]

use apache_avro::Schema;
use rusqlite::{Connection, params};
use tidegate_schemas::{NamedTable, READ_STORE, TABLES, TOPICS, table_of};

fn store() -> Connection {
    let store = Connection::open_in_memory().unwrap();
    store.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    store.execute_batch(READ_STORE).unwrap();
    store
}

/// Names and declared types of a table's columns.
fn columns(store: &Connection, table: &str) -> Vec<(String, String)> {
    let mut statement = store.prepare("SELECT name, type FROM pragma_table_info(?1)").unwrap();
    let rows = statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn column_of(name: &str, schema: &Schema) -> (String, String) {
    let kind = match schema {
        Schema::String | Schema::Enum(_) => "TEXT",
        Schema::Int | Schema::Long | Schema::TimestampMillis => "INTEGER",
        other => panic!("`{name}` has no column type: {other:?}"),
    };
    (name.into(), kind.into())
}

fn record_columns(schema: &Schema) -> Vec<(String, String)> {
    let Schema::Record(record) = schema else { panic!("no record: {schema:?}") };
    let scalars = record.fields.iter().filter(|field| !matches!(field.schema, Schema::Array(_)));
    scalars.map(|field| column_of(&field.name, &field.schema)).collect()
}

fn integers(names: &[&str]) -> Vec<(String, String)> {
    names.iter().map(|name| column_of(name, &Schema::Long)).collect()
}

#[test]
fn the_script_may_run_again() {
    store().execute_batch(READ_STORE).unwrap();
}

#[test]
fn every_topic_has_a_table_with_its_fields_and_its_source() {
    let store = store();
    assert_eq!(TABLES.len(), TOPICS.len());
    for topic in TOPICS {
        let table = table_of(topic.name).unwrap();
        let schema = Schema::parse_str(topic.schema).unwrap();
        let expected = [record_columns(&schema), integers(&["source_partition", "source_offset"])].concat();
        for name in [Some(table.name), table.history].into_iter().flatten() {
            assert_eq!(columns(&store, name), expected, "{name}");
        }
    }
}

#[test]
fn every_array_has_a_table_with_its_elements_fields() {
    let store = store();
    for table in &TABLES {
        let Schema::Record(record) = Schema::parse_str(table.topic.schema).unwrap() else {
            panic!("no record")
        };
        let arrays = record.fields.iter().filter_map(|field| match &field.schema {
            Schema::Array(array) => Some((field.name.as_str(), record_columns(&array.items))),
            _ => None,
        });
        let children = table.child.iter().map(|child| (child.field, child.name));
        let arrays: Vec<_> = arrays.collect();
        assert_eq!(arrays.len(), children.clone().count(), "{}", table.name);
        for ((field, elements), (child_field, child)) in arrays.into_iter().zip(children) {
            assert_eq!(field, child_field);
            let source = integers(&["source_partition", "source_offset", "line_number"]);
            assert_eq!(columns(&store, child), [source, elements].concat());
        }
    }
}

#[test]
fn tables_are_strict_and_a_record_stands_in_them_once() {
    let store = store();
    let one = |sql: &str, table: &str| store.query_row(sql, [table], |row| row.get::<_, i64>(0)).unwrap();
    let sources = "SELECT count(*) FROM pragma_index_list(?1) AS list WHERE list.\"unique\" AND (SELECT \
        group_concat(name) FROM pragma_index_info(list.name)) = 'source_partition,source_offset'";
    for table in &TABLES {
        assert_eq!(one("SELECT strict FROM pragma_table_list(?1)", table.name), 1, "{}", table.name);
        assert_eq!(one(sources, table.name), 1, "{}", table.name);
        let mut key =
            store.prepare("SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk").unwrap();
        let key: Vec<String> =
            key.query_map([table.name], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let in_force: &[&str] = &["infraction_id"];
        let expected = if table.history.is_some() { in_force } else { table.upsert_key };
        assert_eq!(key, expected, "{}", table.name);
    }
    for table in ["invoice_lines", "infraction_history"] {
        assert_eq!(one("SELECT strict FROM pragma_table_list(?1)", table), 1);
    }
    assert_eq!(one(sources, "infraction_history"), 1);
}

/// A question and the index that answers it: a full scan of a store with years in it would take minutes.
#[test]
fn the_obvious_questions_have_an_index() {
    let store = store();
    for (question, index) in [
        ("SELECT * FROM infractions WHERE owner_id = 'o' ORDER BY measured_at", "infractions_by_owner"),
        ("SELECT * FROM infractions WHERE plate = 'p' AND measured_at > 1", "infractions_by_plate"),
        ("SELECT * FROM infractions WHERE measured_at BETWEEN 1 AND 2", "infractions_by_time"),
        ("SELECT * FROM infractions WHERE infraction_id = 'i'", "sqlite_autoindex_infractions_1"),
        (
            "SELECT * FROM infraction_history WHERE infraction_id = 'i' ORDER BY source_partition, source_offset",
            "infraction_history_by_id",
        ),
        ("SELECT * FROM infractions_with_owners WHERE plate = 'p'", "owners_by_id"),
        ("SELECT * FROM invoices WHERE issued_at BETWEEN 1 AND 2", "invoices_by_time"),
        ("SELECT * FROM invoices WHERE customer_id = 'c' ORDER BY issued_at", "invoices_by_customer"),
        ("SELECT * FROM invoices WHERE invoice_id = 'i'", "invoices_by_id"),
        (
            "SELECT * FROM customer_totals WHERE customer_id = 'c' AND window_start = 1",
            "customer_totals_by_window",
        ),
        ("SELECT * FROM customer_totals WHERE window_start BETWEEN 1 AND 2", "customer_totals_by_window"),
        (
            "SELECT * FROM customer_totals WHERE customer_id = 'c' AND currency = 'EUR'",
            "sqlite_autoindex_customer_totals_1",
        ),
        (
            "SELECT * FROM vehicles WHERE plate = 'p' AND valid_from <= 1 ORDER BY valid_from DESC",
            "vehicles_by_plate",
        ),
        ("SELECT * FROM owners WHERE owner_id = 'o' ORDER BY valid_from DESC", "owners_by_id"),
    ] {
        let mut plan = store.prepare(&format!("EXPLAIN QUERY PLAN {question}")).unwrap();
        let steps: Vec<String> = plan.query_map([], |row| row.get(3)).unwrap().map(Result::unwrap).collect();
        assert!(steps.iter().any(|step| step.contains(&format!("INDEX {index}"))), "{question}: {steps:?}");
        assert!(
            !steps.iter().any(|step| step.starts_with("SCAN") || step.contains("TEMP B-TREE")),
            "{steps:?}"
        );
    }
}

/// An event of `id`, at `(partition, offset)` of the topic.
fn event(store: &Connection, id: &str, owner: &str, state: &str, revision: i64, at: (i64, i64)) {
    let sql = "INSERT INTO infraction_history VALUES \
        (?1, 'r', 'p', ?2, 1, 65, 60, 30, 30, 13500, 'EUR', 3, 'x', ?4, ?3, 'vehicle', ?5, ?6)";
    store.execute(sql, params![id, owner, state, revision, at.0, at.1]).unwrap();
}

/// Ids and owners of what is in force.
fn in_force(store: &Connection) -> Vec<(String, String)> {
    let mut statement =
        store.prepare("SELECT infraction_id, owner_id FROM infractions ORDER BY infraction_id").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn the_last_event_of_an_id_is_in_force_unless_it_voids() {
    let store = store();
    let shown = |rows: &[(&str, &str)]| {
        let expected: Vec<_> = rows.iter().map(|(id, owner)| (id.to_string(), owner.to_string())).collect();
        assert_eq!(in_force(&store), expected);
    };
    event(&store, "i", "A", "ISSUED", 1, (0, 0));
    event(&store, "j", "A", "ISSUED", 1, (0, 1));
    shown(&[("i", "A"), ("j", "A")]);
    event(&store, "i", "B", "REVISED", 2, (0, 2));
    event(&store, "j", "A", "VOIDED", 2, (0, 3));
    shown(&[("i", "B")]);
    event(&store, "j", "C", "ISSUED", 3, (0, 4));
    shown(&[("i", "B"), ("j", "C")]);
    // After a reset revisions begin again: what counts is the place.
    event(&store, "i", "D", "ISSUED", 1, (0, 5));
    shown(&[("i", "D"), ("j", "C")]);
    let count = |sql: &str| store.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM infraction_history"), 6);
    assert_eq!(count("SELECT sum(fine_minor) FROM infractions"), 27_000);
    assert_eq!(count("SELECT count(*) FROM infractions_with_owners"), 2);
}

/// Whoever writes an id into two partitions gets the same answer, in whatever order they are read.
#[test]
fn an_id_in_two_partitions_is_decided_by_the_greater_one() {
    let events =
        [("A", "ISSUED", (0, 7)), ("B", "VOIDED", (0, 9)), ("C", "ISSUED", (1, 2)), ("D", "REVISED", (1, 3))];
    for order in [[0, 1, 2, 3], [2, 3, 0, 1], [2, 0, 3, 1], [0, 2, 1, 3]] {
        let store = store();
        for (owner, state, at) in order.map(|index| events[index]) {
            event(&store, "i", owner, state, 1, at);
        }
        assert_eq!(in_force(&store), [("i".into(), "D".into())], "{order:?}");
    }
}

/// Everything that a script makes, by kind and name.
fn objects(store: &Connection) -> Vec<(String, String)> {
    let mut statement = store
        .prepare("SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name")
        .unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn a_topic_of_another_name_has_the_same_tables_under_its_own() {
    let whole = objects(&store()).len();
    let beside = store();
    let mut made = whole;
    for shape in &TABLES {
        let alone = Connection::open_in_memory().unwrap();
        alone.execute_batch(&NamedTable::of(shape, shape.topic.name).ddl()).unwrap();
        let named = NamedTable::of(shape, &format!("m.{}", shape.topic.name));
        assert_eq!(named.name, format!("m_{}", shape.name));
        assert_eq!(columns(&alone, shape.name).len(), {
            beside.execute_batch(&named.ddl()).unwrap();
            columns(&beside, &named.name).len()
        });
        made += objects(&alone).len();
        // Nothing is shared with the tables of the other topic: it may be dropped whole.
        for (_, name) in objects(&alone) {
            assert!(objects(&beside).iter().any(|(_, other)| *other == format!("m_{name}")), "{name}");
        }
    }
    assert_eq!(objects(&beside).len(), made);
    // The trigger and the view are those of their own tables.
    let insert = "INSERT INTO m_infraction_history VALUES \
        ('i', 'r', 'p', 'o', 1, 65, 60, 30, 30, 13500, 'EUR', 3, 'x', 1, 'ISSUED', 'reading', 0, 0)";
    beside.execute(insert, []).unwrap();
    let count = |sql: &str| beside.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM m_infractions_with_owners"), 1);
    assert_eq!(count("SELECT count(*) FROM infractions_with_owners"), 0);
}

#[test]
fn the_tables_of_the_table_of_topics_bear_its_names() {
    for shape in &TABLES {
        let named = NamedTable::of(shape, shape.topic.name);
        assert_eq!(named.name, shape.name);
        assert_eq!(named.child.as_deref(), shape.child.as_ref().map(|child| child.name));
        assert_eq!(named.history.as_deref(), shape.history);
    }
}

fn owner(store: &Connection, id: &str, kind: &str, name: &str, valid_from: i64, offset: i64) {
    let sql = "INSERT INTO owners VALUES (?1, ?2, ?3, 'at ' || ?3, ?4, 0, ?5)";
    store.execute(sql, params![id, kind, name, valid_from, offset]).unwrap();
}

fn owners_shown(store: &Connection) -> Vec<(String, Option<String>, Option<String>)> {
    let sql =
        "SELECT owner_id, owner_name, owner_address FROM infractions_with_owners ORDER BY source_offset";
    let mut statement = store.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn the_view_shows_the_latest_name_and_none_of_the_removed() {
    let store = store();
    for (offset, owner) in ["moved", "removed", "back", "unknown"].into_iter().enumerate() {
        event(&store, &format!("i{offset}"), owner, "ISSUED", 1, (0, offset as i64));
    }
    // Out of order in the topic; the times decide, and of two at one time the later record.
    owner(&store, "moved", "CHANGED", "Newer", 20, 0);
    owner(&store, "moved", "REGISTERED", "Older", 10, 1);
    owner(&store, "removed", "REGISTERED", "Gone", 10, 2);
    owner(&store, "removed", "REMOVED", "", 20, 3);
    owner(&store, "back", "REMOVED", "", 20, 4);
    owner(&store, "back", "REGISTERED", "Back", 20, 5);
    let shown = |id: &str, name: &str| (id.to_owned(), Some(name.to_owned()), Some(format!("at {name}")));
    let hidden = |id: &str| (id.to_owned(), None, None);
    assert_eq!(
        owners_shown(&store),
        [shown("moved", "Newer"), hidden("removed"), shown("back", "Back"), hidden("unknown")]
    );
    store.execute("DELETE FROM owners WHERE owner_id = 'moved'", []).unwrap();
    assert_eq!(owners_shown(&store)[0], hidden("moved"));
}

#[test]
fn personal_data_stands_in_the_owners_table_only() {
    let store = store();
    for table in TABLES.iter().filter(|table| table.name != "owners") {
        let columns = columns(&store, table.name);
        assert!(columns.iter().all(|(name, _)| name != "name" && name != "address"), "{}", table.name);
    }
}

#[test]
fn totals_of_two_sizes_of_window_stand_side_by_side() {
    let store = store();
    let insert = "INSERT INTO customer_totals VALUES ('c', 'EUR', 0, ?1, 1, 5, 0, ?1)";
    store.execute(insert, [5_000]).unwrap();
    store.execute(insert, [60_000]).unwrap();
    assert!(store.execute(insert, [5_000]).is_err());
}

#[test]
fn a_doubled_invoice_is_two_rows_and_the_same_record_twice_an_error() {
    let store = store();
    let insert = "INSERT INTO invoices VALUES ('i', 'c', 1, 5, 'EUR', 0, ?1)";
    store.execute(insert, [1]).unwrap();
    store.execute(insert, [2]).unwrap();
    assert!(store.execute(insert, [2]).is_err());
    store.execute("INSERT INTO invoice_lines VALUES (0, 2, 1, 's', 'd', 1, 50000)", []).unwrap();
    assert!(store.execute("INSERT INTO invoice_lines VALUES (0, 3, 1, 's', 'd', 1, 50000)", []).is_err());
    store.execute("DELETE FROM invoices WHERE source_offset = 2", []).unwrap();
    let left: i64 = store.query_row("SELECT count(*) FROM invoice_lines", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}
