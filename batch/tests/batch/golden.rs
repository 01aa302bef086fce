//! Does it agree with the independent oracle?
//!
//! The input is the seeded derivative of the real invoices, with doubles and two currencies; what must come out was computed by
//! `tests/oracle/discount.py`, which shares nothing with this crate.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tidegate_batch::Invoice;

use crate::world::{World, run};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/invoices-derivative").join(name)
}

fn lines(name: &str) -> Vec<Value> {
    let file = flate2::read::MultiGzDecoder::new(File::open(golden(name)).unwrap());
    BufReader::new(file).lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap().to_owned()
}

fn number(value: &Value, field: &str) -> i64 {
    value[field].as_i64().unwrap()
}

/// What a sink would have put into the read store. An invoice's records have one key and so one partition: the number of the
/// line orders them like their offsets.
fn read_store() -> Vec<Invoice> {
    let mut invoices = Vec::new();
    for (source_offset, record) in (0..).zip(lines("input.jsonl.gz")) {
        let value = &record["value"];
        let sound =
            value.is_object() && record["key"].is_string() && text(value, "invoice_id").len() < 1_000_000;
        if sound {
            invoices.push(Invoice {
                invoice_id: text(value, "invoice_id"),
                customer_id: text(value, "customer_id"),
                issued_at: number(value, "issued_at"),
                amount_minor: number(value, "amount_minor"),
                currency: text(value, "currency"),
                source_partition: 0,
                source_offset,
            });
        }
    }
    invoices
}

#[test]
fn the_derivatives_discounts_are_the_oracles() {
    let world = World::new(&read_store());
    let summary = run(&world.job("2010-12-01", "30", 1_000)).unwrap();

    let expected = lines("discount-2010-12-01/discounts.jsonl.gz");
    let expected: Vec<_> = expected
        .iter()
        .map(|row| (text(row, "invoice_id"), number(row, "discount_minor"), number(row, "remaining_minor")))
        .collect();
    let found: Vec<_> = world.results().into_iter().map(|row| (row.0, row.3, row.4)).collect();
    assert_eq!(found, expected);

    let counts = std::fs::read_to_string(golden("discount-2010-12-01/counts.json")).unwrap();
    let counts: Value = serde_json::from_str(&counts).unwrap();
    assert_eq!(i128::from(summary.counts.doubled), i128::from(number(&counts, "doubled")));
    for totals in &summary.totals {
        let of_currency = &counts["totals"][&totals.currency];
        assert_eq!(totals.amount_minor, i128::from(number(of_currency, "amount_minor")));
        assert_eq!(totals.discount_minor, i128::from(number(of_currency, "discount_minor")));
        assert_eq!(totals.remaining_minor, i128::from(number(of_currency, "remaining_minor")));
    }
    assert_eq!(summary.totals.len(), counts["totals"].as_object().unwrap().len());
}
