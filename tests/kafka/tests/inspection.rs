//! What `topics` and `groups` say of a log in which not every offset is a record, and an open transaction holds readers back.
#![allow(missing_docs, reason = "tests are read, not published")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should end")]

use std::process::Stdio;

use serde_json::{Value, json};
use tidegate_kafka_tests::cluster::Cluster;
use tidegate_kafka_tests::feeder::{Undecided, load};
use tidegate_kafka_tests::input::{Fed, encoded};
use tidegate_kafka_tests::world::{World, words};

fn world() -> World {
    let world = World::on(Cluster::any, env!("CARGO_BIN_EXE_tidegate-under-test"));
    world.create_topics();
    world
}

fn invoices(world: &World, numbers: std::ops::Range<usize>) -> Vec<Fed> {
    let row = |number: usize| {
        let (customer, time) = (format!("C{}", number % 7), 1_000 + number);
        let invoice = json!({
            "invoice_id": format!("I{number}"), "customer_id": customer, "issued_at": time, "amount_minor": 100, "currency": "EUR",
            "lines": [],
        });
        json!({ "topic": "invoices", "key": customer, "time_ms": time, "value": invoice })
    };
    encoded(&numbers.map(row).collect::<Vec<_>>(), &world.registry)
}

/// Standard output and standard error of a command that ends well.
fn said(world: &World, line: &str) -> (String, String) {
    let output = world.command("state", &words(line)).stdout(Stdio::piped()).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "`{line}`: {err}");
    (out, err)
}

fn numbers(lines: &str) -> Vec<String> {
    let rows = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.map(|row| row["value"]["invoice_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_tail_prints_so_many_records_whatever_takes_offsets_behind_and_between_them() {
    let world = world();
    // A transaction each: every other offset is a marker.
    for number in 0..30 {
        Undecided::begin(world.brokers(), "somebody", &invoices(&world, number..number + 1)).commit();
    }
    Undecided::begin(world.brokers(), "somebody", &invoices(&world, 100..400)).abort();
    for count in [1, 10, 30, 40] {
        let (out, _) = said(&world, &format!("topics tail invoices -n {count} --format json"));
        let expected: Vec<String> = (30 - count.min(30)..30).map(|number| format!("I{number}")).collect();
        assert_eq!(numbers(&out), expected, "-n {count}");
    }
    let (out, _) = said(&world, "topics tail invoices --from -1 --until-end --format json");
    assert_eq!(numbers(&out).len(), 4, "the last one of each partition");
    let (out, _) = said(&world, "topics list");
    assert!(out.lines().next().unwrap().ends_with("OFFSETS"), "{out}");
}

#[test]
fn an_open_transaction_is_told_with_the_command_that_lists_its_producers() {
    let world = world();
    load(world.brokers(), invoices(&world, 0..50));
    said(&world, "process totals --until-end");
    let (out, _) = said(&world, "groups totals");
    assert!(out.contains("lag 0 offsets") && !out.contains("HELD_BACK"), "{out}");
    let open = Undecided::begin(world.brokers(), "hung", &invoices(&world, 50..60));
    let (out, err) = said(&world, "groups totals --format json");
    let row: Value = serde_json::from_str(&out).unwrap();
    let held: i64 = row["partitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["held_back_offsets"].as_i64().unwrap())
        .sum();
    assert_eq!(held, 10, "{out}");
    assert!(err.contains("describe-producers --topic invoices --partition"), "{err}");
    let (out, _) = said(&world, "groups totals");
    assert!(out.contains("HELD_BACK_OFFSETS"), "{out}");
    // The last records there are; those behind are not waited for.
    let (out, err) = said(&world, "topics tail invoices -n 5 --format json");
    assert_eq!(numbers(&out), ["I45", "I46", "I47", "I48", "I49"]);
    assert!(err.contains("stand behind an open transaction and are not shown"), "{err}");
    open.abort();
}
