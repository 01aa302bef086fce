//! Small inputs that were once discounted wrongly, from the log to the output store and the CSV file.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use tidegate_schemas::csv_text::unescaped;

use crate::files::csv_rows;
use crate::place::Place;

const NEW_YEAR_MS: i64 = 1_704_110_400_000; // 2024-01-01T12:00:00Z

fn invoice(number: &str, customer: &str, issued_at: i64, amount_minor: i64, currency: &str) -> Value {
    let value = json!({
        "invoice_id": number, "customer_id": customer, "issued_at": issued_at,
        "amount_minor": amount_minor, "currency": currency, "lines": [],
    });
    json!({"topic": "invoices", "key": customer, "time_ms": issued_at, "value": value})
}

fn sunk(rows: &[Value]) -> Place {
    let place = Place::new();
    place.load(rows);
    place.run(&["sink", "sqlite", "--topic", "invoices", "--out", &text(&place, "s.db"), "--until-end"]);
    place
}

fn text(place: &Place, name: &str) -> String {
    place.path(name).to_str().unwrap().to_owned()
}

/// `batch discount` for a date, with its code and what it said.
fn discount(place: &Place, code: i32, date: &str, more: &[&str]) -> String {
    let (from, out) = (text(place, "s.db"), text(place, "discounts.sqlite3"));
    let arguments = ["batch", "discount", "--date", date, "--from", &from, "--out", &out];
    place.ends(code, &[&arguments[..], more].concat())
}

fn rows(place: &Place, sql: &str) -> Vec<(String, String, i64)> {
    let store = rusqlite::Connection::open(place.path("discounts.sqlite3")).unwrap();
    let mut statement = store.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn invoices_with_one_number_of_other_customers_and_days() {
    let day_ms = 86_400_000;
    let place = sunk(&[
        invoice("1001", "shop-a:7", NEW_YEAR_MS, 10_000, "EUR"),
        invoice("1001", "shop-b:9", NEW_YEAR_MS + 1_000, 500_000, "JPY"),
        invoice("1002", "shop-a:7", NEW_YEAR_MS, 100, "EUR"),
        invoice("1002", "shop-a:7", NEW_YEAR_MS + day_ms, 300, "EUR"),
        invoice("1003", "shop-a:7", NEW_YEAR_MS, 50, "EUR"),
        invoice("1003", "shop-a:7", NEW_YEAR_MS, 50, "EUR"),
    ]);
    let said = discount(&place, 3, "2024-01-01", &["--quiet"]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].starts_with("discount: conflict 1: invoice `1001` of customer `shop-"), "{said}");
    assert!(lines[0].contains(" is not discounted; execution 1 discounted invoice `1001` of"), "{said}");
    assert!(lines[1].starts_with("error: some invoices of 2024-01-01 (Europe/London) are not"), "{said}");
    let said = discount(&place, 3, "2024-01-02", &[]);
    assert!(
        said.contains("1 invoices: 0 discounted, 0 doubled and skipped, 0 discounted before, 1 in conflict")
    );
    assert!(
        said.contains("conflict 2: invoice `1002` of customer `shop-a:7` (2024-01-02T12:00:00.000Z, 300 EUR")
    );

    let discounted = rows(&place, "SELECT invoice_id, customer_id, amount_minor FROM discounts ORDER BY 1");
    let numbers: Vec<&str> = discounted.iter().map(|row| row.0.as_str()).collect();
    assert_eq!(numbers, ["1001", "1002", "1003"]);
    let conflicts = rows(&place, "SELECT invoice_id, customer_id, amount_minor FROM conflicts ORDER BY 1");
    let mut both: Vec<_> = [&discounted[..1], &conflicts[..1]].concat();
    both.sort();
    let row = |customer: &str, amount| ("1001".to_owned(), customer.to_owned(), amount);
    assert_eq!(both, [row("shop-a:7", 10_000), row("shop-b:9", 500_000)]);
    assert_eq!(conflicts[1], ("1002".to_owned(), "shop-a:7".to_owned(), 300));
}

/// Both files give the same texts and times for the same invoices, and every text can be had back.
#[test]
fn the_csv_of_the_batch_and_of_the_sink_are_written_alike_and_reversible() {
    let customers = [
        "=1+1", "'=1+1", "''=1+1", "-x", "@a", "+1", "a\tb", "\tb", "a\rb", "\rb", "\nb", "a\"b", "a,b", "",
        "x\0y", "＝1", "＋1", "－1", "＠1", "'quoted'", "'",
    ];
    let invoices = customers.iter().enumerate().map(|(number, customer)| {
        let ms = i64::try_from(number).unwrap();
        invoice(&format!("={number}"), customer, NEW_YEAR_MS + ms, -5, "EUR")
    });
    let place = sunk(&invoices.collect::<Vec<_>>());
    let (files, day) = (text(&place, "csv"), text(&place, "day.csv"));
    place.run(&["sink", "csv", "--topic", "invoices", "--out", &files, "--until-end"]);
    let said = discount(&place, 0, "2024-01-01", &["--csv", &day]);
    assert!(said.contains(&format!(
        "in `{}`, into `{}`",
        text(&place, "s.db"),
        text(&place, "discounts.sqlite3")
    )));
    assert!(said.contains(&format!("exported 21 rows to `{day}`")), "{said}");

    let columns = ["customer_id", "issued_at", "currency"];
    let of_sink: BTreeMap<String, Vec<String>> = csv_rows(Path::new(&files))
        .iter()
        .map(|row| {
            let cell = |name: &str| row[name].as_str().unwrap().to_owned();
            (cell("invoice_id"), columns.map(cell).to_vec())
        })
        .collect();
    let mut of_batch = BTreeMap::new();
    let mut reader = csv::Reader::from_path(&day).unwrap();
    let header = reader.headers().unwrap().clone();
    for record in reader.records().map(Result::unwrap) {
        let cell = |name: &str| record[header.iter().position(|column| column == name).unwrap()].to_owned();
        of_batch.insert(cell("invoice_id"), columns.map(cell).to_vec());
    }
    assert_eq!(of_batch, of_sink);
    for (number, customer) in customers.iter().enumerate() {
        let row = &of_batch[&format!("'={number}")];
        assert_eq!(unescaped(&row[0]), *customer);
        assert!(
            !row[0].starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']),
            "{row:?}"
        );
    }
}

/// Where SQLite may not make the files that it needs beside a store: as in a directory that can only be read.
#[test]
fn a_read_store_that_cannot_be_opened_is_named_and_has_its_code() {
    let place = sunk(&[invoice("1", "a", NEW_YEAR_MS, 5, "EUR")]);
    for name in ["s.db-shm", "s.db-wal"] {
        let _ = std::fs::remove_file(place.path(name));
        std::fs::create_dir(place.path(name)).unwrap();
    }
    let said = discount(&place, 6, "2024-01-01", &["--quiet"]);
    assert!(said.contains("s.db`"), "{said}");
}
