//! `replay invoices` with bad lines let go: an invoice is whole or left out, and each line left out is told with its number and text.

#![allow(clippy::unwrap_used, reason = "a helper of tests may panic as a test may")]

use std::fs;

use tidegate_producers::{ReplayBounds, ReplayError, Value, replay_invoices};
use tidegate_runtime::avro::Encoder;
use tidegate_runtime::log::{RECORD_MAX_BYTES, SchemaId, wire_size};
use tidegate_schemas::Invoice;
use tidegate_schemas::topics::INVOICES;

const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country";

/// The largest value that processors take (law 14).
const VALUE_MAX: usize = 1_000_000;

/// A line that was left out: its number, the reason and its text.
type LeftOut = (u64, String, String);

fn sifted_within(lines: &[&str], line_bytes: usize) -> (Vec<LeftOut>, Vec<Invoice>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, format!("{HEADER}\n{}\n", lines.join("\n"))).unwrap();
    let mut left_out = Vec::new();
    let mut take = |error: ReplayError| {
        let ReplayError::Value { line, field, value, remedy, text, .. } = error else { return Err(error) };
        let value = String::from_utf8_lossy(&value);
        left_out.push((line, format!("{field} {value}: {remedy}"), String::from_utf8(text).unwrap()));
        Ok(())
    };
    let bounds = ReplayBounds { line_bytes, ..ReplayBounds::default() };
    let replay = replay_invoices(&path, bounds, &mut take).unwrap();
    let made = replay.map(|record| match record.unwrap().value {
        Value::Invoice(invoice) => invoice,
        other => panic!("{other:?}"),
    });
    let made = made.collect();
    (left_out, made)
}

fn sifted(lines: &[&str]) -> (Vec<LeftOut>, Vec<Invoice>) {
    sifted_within(lines, ReplayBounds::default().line_bytes)
}

fn numbers(made: &[Invoice]) -> Vec<(&str, i64, usize)> {
    made.iter().map(|made| (made.invoice_id.as_str(), made.amount_minor, made.lines.len())).collect()
}

/// A sound line of invoice `number`.
fn line(number: &str) -> String {
    format!("{number},s,d,1,2010-12-01 08:26:00,1.0,17850.0,X")
}

#[test]
fn one_bad_line_leaves_out_its_whole_invoice() {
    let (one, two) = (line("1"), line("2"));
    // Bad in a field, cut short, and scattered behind another invoice.
    for bad in ["1,s,d,six,2010-12-01 08:26:00,1.0,17850.0,X", "1,s,d", "\"1\",s,d,1,,1.0,,X"] {
        let (left_out, made) = sifted(&[&one, &two, bad, &one]);
        assert_eq!(numbers(&made), [("2", 100, 1)], "{bad}");
        assert_eq!((left_out[0].0, left_out[0].2.as_str()), (4, bad));
        let reason = "invoice 1: line 4 of the same invoice is bad".to_owned();
        assert_eq!(left_out[1..], [(2, reason.clone(), one.clone()), (5, reason, one.clone())], "{bad}");
    }
}

#[test]
fn line_without_a_readable_number_is_left_out_alone() {
    let (one, long) = (line("1"), line(&"7".repeat(201)));
    for bad in [",s,d,1,2010-12-01 08:26:00,1.0,17850.0,X", "\"1,s,d\",1", &long] {
        let (left_out, made) = sifted(&[&one, bad, &one]);
        assert_eq!(numbers(&made), [("1", 200, 2)], "{bad}");
        assert_eq!(left_out.len(), 1, "{left_out:?}");
        assert_eq!((left_out[0].0, left_out[0].2.as_str()), (3, bad));
    }
}

#[test]
fn lines_taken_in_by_an_open_quotation_mark_leave_out_their_invoices() {
    let lines =
        [&line("1"), &line("2"), "1,s,\"open,1,2010-12-01 08:26:00,1.0,17850.0,X", &line("2"), &line("3")];
    let (left_out, made) = sifted(&lines);
    assert!(made.is_empty(), "{made:?}");
    assert_eq!((left_out[0].0, left_out[0].2.as_str()), (4, lines[2..].join("\n").as_str()));
    let reason = |line| format!("invoice {}: line {line} of the same invoice is bad", line - 3);
    assert_eq!(
        left_out[1..],
        [(2, reason(4), line("1")), (3, reason(5), line("2"))],
        "the third has no line outside the record"
    );
}

#[test]
fn record_that_ends_at_a_line_that_is_too_long_is_told_with_its_first_line() {
    let open = "5,s,\"open,1,2010-12-01 08:26:00,1.0,17850.0,X";
    let long = format!("6,{}", "x".repeat(500));
    let (left_out, made) = sifted_within(&[&line("1"), open, &long, &line("1"), &line("6")], 120);
    assert_eq!(numbers(&made), [("1", 200, 2)]);
    let told: Vec<_> = left_out.iter().map(|(line, _, text)| (*line, text.as_str())).collect();
    assert_eq!(told, [(3, open), (4, &long[..122]), (6, &line("6"))]);
    assert!(left_out[0].1.ends_with("expected a second quotation mark behind the first"), "{left_out:?}");
    assert!(left_out[1].1.starts_with("the line ") && left_out[1].1.contains("--max-line"), "{left_out:?}");
}

#[test]
fn text_behind_a_carriage_return_is_not_lost() {
    let joined = format!("{}\r{}", line("1"), line("2"));
    let (left_out, made) = sifted(&[&line("2"), &joined, &line("3")]);
    assert_eq!(numbers(&made), [("3", 100, 1)]);
    assert_eq!(left_out.iter().map(|(line, ..)| *line).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(left_out[0].2, joined);
}

#[test]
fn every_line_of_an_invoice_whose_amount_does_not_fit_is_told() {
    let huge = "1,s,d,9223372036854775807,2010-12-01 08:26:00,9223372036854,,X";
    let (left_out, made) = sifted(&[&line("1"), &line("2"), huge]);
    assert_eq!(numbers(&made), [("2", 100, 1)]);
    let reason = "invoice 1: its amount does not fit 64 bits: split it".to_owned();
    assert_eq!(left_out, [(2, reason.clone(), line("1")), (4, reason, huge.to_owned())]);
}

/// The bytes of an invoice's key and value.
fn encoded(invoice: &Invoice) -> (usize, usize) {
    let mut value = Vec::new();
    Encoder::new(SchemaId(1), INVOICES.schema).unwrap().encode(invoice, &mut value).unwrap();
    (wire_size(Some(invoice.customer_id.as_bytes()), Some(&value), std::iter::empty()), value.len())
}

/// Invoice 1 of several thousand lines with numbers and texts of all lengths, and `padding` bytes in its first one.
fn large(padding: usize, customer: &str) -> Vec<String> {
    let first = format!("1,s,{},1,2010-12-01 08:26:00,1.0,{customer},X", "d".repeat(padding));
    let more = (0..3_000_u64).map(|row| {
        let text = "é".repeat(usize::try_from(row % 100).unwrap());
        let quantity = (row.pow(3).cast_signed()) * if row % 2 == 0 { 1 } else { -1 };
        format!("1,{row},{text},{quantity},2010-12-01 08:26:00,{row}.{:03},17850.0,X", row % 1_000)
    });
    std::iter::once(first).chain(more).chain([line("2")]).collect()
}

fn sifted_large(padding: usize, customer: &str) -> (Vec<LeftOut>, Vec<Invoice>) {
    let lines = large(padding, customer);
    sifted(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn invoice_whose_record_no_log_or_processor_takes_is_left_out_and_no_smaller_one() {
    let long_customer = "7".repeat(200_000);
    for (customer, most) in [("17850", VALUE_MAX), (&long_customer, RECORD_MAX_BYTES)] {
        let size = |made: &[Invoice]| {
            let (record, value) = encoded(&made[0]);
            if most == VALUE_MAX { value } else { record }
        };
        let padding = 100_000;
        let room = most - size(&sifted_large(padding, customer).1);
        let (left_out, made) = sifted_large(padding + room, customer);
        assert!(left_out.is_empty(), "{:?}", left_out[0].1);
        assert_eq!((made.len(), size(&made)), (2, most));
        let (left_out, made) = sifted_large(padding + room + 1, customer);
        assert_eq!(numbers(&made), [("2", 100, 1)]);
        assert_eq!(left_out.len(), 3_001);
        assert_eq!((left_out[0].0, left_out[3_000].0), (2, 3_002));
        assert_eq!(
            left_out[1].1,
            "invoice 1: at most 1000000 bytes are taken as a value, and 1048000 as a record: split it"
        );
        assert!(left_out[1].2.starts_with("1,0,,0,"), "{}", left_out[1].2);
    }
}
