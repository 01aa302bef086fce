//! One judgement of validity: what totals counts, the sinks keep, and the batch discounts those alone.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::files::{csv_rows, table_rows};
use crate::place::Place;
use crate::topics::Kind;

const DAY_MS: i64 = 1_704_110_400_000; // 2024-01-01T12:00:00Z
const MAX_MS: i64 = 4_102_444_800_000;

/// An invoice of a customer of its own, under a timestamp that has nothing to do with its time.
fn row(customer: &str, timestamp_ms: i64, changes: &Value) -> Value {
    let mut value = json!({
        "invoice_id": format!("N{customer}"), "customer_id": customer, "issued_at": DAY_MS,
        "amount_minor": 100, "currency": "EUR", "lines": [],
    });
    value.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    json!({"topic": "invoices", "key": customer, "time_ms": timestamp_ms, "value": value})
}

fn customers(rows: &[Value]) -> BTreeSet<String> {
    rows.iter().map(|row| row["customer_id"].as_str().unwrap().to_owned()).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn totals_sinks_and_the_batch_take_the_same_invoices() {
    let place = Place::new();
    let mut other_key = row("other-key", DAY_MS, &json!({}));
    other_key["key"] = json!("somebody else");
    place.load(&[
        row("plain", DAY_MS, &json!({})),
        row("no-timestamp", -1, &json!({})),
        row("late-timestamp", MAX_MS + 77, &json!({})),
        row("greatest-amount", DAY_MS, &json!({"amount_minor": i64::MAX})),
        row("greatest-time", 5, &json!({"issued_at": MAX_MS})),
        row("lower-case", DAY_MS, &json!({"currency": "eur"})),
        row("no-currency", DAY_MS, &json!({"currency": ""})),
        row("sign", DAY_MS, &json!({"currency": "US$"})),
        row("before-1970", DAY_MS, &json!({"issued_at": -1})),
        row("year-55969", DAY_MS, &json!({"issued_at": DAY_MS * 1_000})),
        row("no-number", DAY_MS, &json!({"invoice_id": ""})),
        other_key,
    ]);
    let (files, totals_files, store) =
        (place.path("csv"), place.path("totals-csv"), place.path("store.sqlite3"));
    let [files_text, totals_text, store_text] =
        [&files, &totals_files, &store].map(|path| path.to_str().unwrap().to_owned());
    // A grace longer than all that time, so that no order of the partitions makes anything late.
    place.run(&["process", "totals", "--grace", "50000d", "--until-end"]);
    let topics = ["--topic", "invoices", "--topic", "customer-totals"];
    place.run(&[&["sink", "sqlite", "--out", &store_text, "--until-end"][..], &topics].concat());
    place.run(&["sink", "csv", "--topic", "invoices", "--out", &files_text, "--until-end"]);
    place.run(&["sink", "csv", "--topic", "customer-totals", "--out", &totals_text, "--until-end"]);
    let discounts = place.path("discounts.sqlite3");
    let batch = ["--from", &store_text, "--out", discounts.to_str().unwrap()];
    place.run(&[&["batch", "discount", "--date", "2024-01-01"], &batch[..]].concat());

    let valid = set(&["plain", "no-timestamp", "late-timestamp", "greatest-amount", "greatest-time"]);
    let counted: Vec<Value> =
        place.content("customer-totals", Kind::Results).iter().map(|row| row["value"].clone()).collect();
    assert_eq!(customers(&counted), valid, "counted");
    assert_eq!(customers(&table_rows(&store, "invoices")), valid, "in the read store");
    assert_eq!(customers(&csv_rows(Path::new(&files))), valid, "in CSV files");
    // A window that ends past the bound holds a valid invoice: no sink rejects it.
    assert_eq!(customers(&table_rows(&store, "customer_totals")), valid, "totals in the read store");
    assert_eq!(customers(&csv_rows(Path::new(&totals_files))), valid, "totals in CSV files");
    let found = rusqlite::Connection::open(&discounts).unwrap();
    let mut statement = found.prepare("SELECT customer_id FROM discounts").unwrap();
    let found: BTreeSet<String> =
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(found, set(&["plain", "no-timestamp", "late-timestamp", "greatest-amount"]), "discounted");
}

#[test]
fn speeding_and_the_sinks_take_the_same_readings() {
    let place = Place::new();
    let time = DAY_MS;
    let reading = |plate: &str, timestamp_ms: i64, speed_kmh: i64| {
        let value = json!({
            "radar_id": "R", "sequence": 1, "plate": plate, "measured_at": time, "speed_kmh": speed_kmh,
        });
        json!({"topic": "readings", "key": plate, "time_ms": timestamp_ms, "value": value})
    };
    let vehicle = |plate: &str, owner: &str| {
        let value = json!({"plate": plate, "kind": "REGISTERED", "owner_id": owner, "valid_from": 5});
        json!({"topic": "vehicles", "key": plate, "time_ms": 5, "value": value})
    };
    let radar = json!({
        "radar_id": "R", "kind": "INSTALLED", "radar_kind": "FIXED", "speed_limit_kmh": 30, "place": "",
        "valid_from": 5,
    });
    place.load(&[
        json!({"topic": "radars", "key": "R", "time_ms": 5, "value": radar}),
        vehicle("A", "O"),
        vehicle("B", "O"),
        vehicle("C", "O"),
        vehicle("D", ""),
        vehicle("E", "O"),
        reading("A", time, 100),
        reading("B", -1, 400),
        reading("C", time, 401),
        reading("E", time, -1),
    ]);
    place.run(&["process", "speeding", "--until-end"]);
    let store = place.path("store.sqlite3");
    let topics = ["--topic", "readings", "--topic", "vehicles"];
    let sink = ["sink", "sqlite", "--out", store.to_str().unwrap(), "--until-end"];
    place.run(&[&sink[..], &topics].concat());
    let plates = |rows: &[Value]| -> BTreeSet<String> {
        rows.iter().map(|row| row["plate"].as_str().unwrap().to_owned()).collect()
    };
    let fined: Vec<Value> =
        place.content("infractions", Kind::Results).iter().map(|row| row["value"].clone()).collect();
    assert_eq!(plates(&fined), set(&["A", "B"]));
    assert_eq!(plates(&table_rows(&store, "readings")), set(&["A", "B"]));
    assert_eq!(plates(&table_rows(&store, "vehicles")), set(&["A", "B", "C", "E"]));
    assert_eq!(place.count("speeding-dead-letters"), 3);
}
