//! Straight through: every golden the oracle made, by the commands a user types.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tidegate_kafka_tests::check::{Kind, compare, describe, topic};
use tidegate_kafka_tests::input::{golden, tests_path};
use tidegate_kafka_tests::instances::Process;
use tidegate_kafka_tests::job::Job;
use tidegate_kafka_tests::reader::{count, read};
use tidegate_kafka_tests::world::{World, words};

use crate::world;

const OF_TOTALS: [(&str, &str, Kind); 3] = [
    ("customer-totals", "customer-totals", Kind::Results),
    ("totals-late", "late", Kind::Late),
    ("totals-dead-letters", "dead-letters", Kind::DeadLetters),
];

fn totals_equal(world: &World, folder: &str) {
    for (name, file, kind) in OF_TOTALS {
        let expected = golden(&format!("{folder}/{file}.jsonl.gz"));
        topic(world.brokers(), &world.registry, name, kind, &expected).unwrap();
    }
}

fn results(world: &World, topic: &str) -> Vec<Value> {
    let records = read(world.brokers(), topic);
    let rows = records.iter().map(|record| describe(record, Kind::Results, &world.registry));
    rows.map(|row| row["value"].clone()).collect()
}

/// The nightly batch on a read store that a sink filled from Kafka: twice, and with another percentage, which changes nothing.
fn discount(world: &World, date: &str, folder: &str) {
    let (store, out) = (world.path("store.sqlite3"), world.path("discounts.sqlite3"));
    let (from, to) = (store.to_str().unwrap(), out.to_str().unwrap());
    world.run(&format!("sink sqlite --topic invoices --out {from} --until-end"));
    let line = format!("batch discount --date {date} --zone Europe/London --from {from} --out {to}");
    // On the read store alone: it takes no cluster.
    let start = |line: &str| Process::start(world.program.command(&words(line)));
    for _ in 0..2 {
        start(&line).finish();
        discounts_equal(&out, folder);
    }
    start(&format!("{line} --percent 50")).refuses(4, &["run it with `--percent 30 --zone Europe/London`"]);
    discounts_equal(&out, folder);
}

fn discounts_equal(store: &Path, folder: &str) {
    let fields = ["invoice_id", "discount_minor", "remaining_minor"];
    let mut expected = golden(&format!("{folder}/discounts.jsonl.gz"));
    for row in &mut expected {
        row.as_object_mut().unwrap().retain(|name, _| fields.contains(&name.as_str()));
    }
    expected.sort_by(|a, b| a["invoice_id"].as_str().cmp(&b["invoice_id"].as_str()));
    let query = "SELECT invoice_id, discount_minor, remaining_minor FROM discounts ORDER BY invoice_id";
    let database = rusqlite::Connection::open(store).unwrap();
    let mut statement = database.prepare(query).unwrap();
    let found = statement.query_map([], |row| {
        let (discount, remaining): (i64, i64) = (row.get(1)?, row.get(2)?);
        let invoice: String = row.get(0)?;
        Ok(json!({ "invoice_id": invoice, "discount_minor": discount, "remaining_minor": remaining }))
    });
    let found: Vec<Value> = found.unwrap().map(Result::unwrap).collect();
    compare("discounts", &found, &expected).unwrap();
}

fn retail(world: &World, file: &Path, folder: &str) {
    world.run(&format!("replay invoices --from {}", file.display()));
    world.run("process totals --until-end");
    totals_equal(world, folder);
}

#[test]
fn retail_excerpt() {
    let world = world();
    retail(&world, &tests_path("data/online-retail-2010-12-01-to-08.csv.gz"), "retail-excerpt/totals");
    discount(&world, "2010-12-01", "retail-excerpt/discount-2010-12-01");
}

/// Three applications on one input: their names keep them apart.
#[test]
fn retail_derivative_with_every_setting_of_the_windows() {
    for (size, advance, grace) in [(5_000, 5_000, 0), (5_000, 5_000, 2_000), (10_000, 5_000, 2_000)] {
        let world = world();
        Job::totals(&world).load();
        world.run(&format!(
            "process totals --until-end --size {size}ms --advance {advance}ms --grace {grace}ms"
        ));
        totals_equal(&world, &format!("invoices-derivative/size-{size}-advance-{advance}-grace-{grace}"));
        if grace == 0 {
            discount(&world, "2010-12-01", "invoices-derivative/discount-2010-12-01");
        }
    }
}

#[test]
fn running_results_end_in_the_final_ones() {
    let world = world();
    Job::totals(&world).load();
    world.run("process totals --until-end --emit updates --commit-interval 10ms");
    let of = |value: &Value| {
        (value["customer_id"].to_string(), value["currency"].to_string(), value["window_start"].as_i64())
    };
    let updates = results(&world, "customer-totals");
    let last: std::collections::BTreeMap<_, _> =
        updates.into_iter().map(|value| (of(&value), value)).collect();
    let found: Vec<Value> = last.into_values().collect();
    let final_ones = golden("invoices-derivative/size-5000-advance-5000-grace-0/customer-totals.jsonl.gz");
    let mut expected: Vec<Value> = final_ones.iter().map(|row| row["value"].clone()).collect();
    expected.sort_by_key(of);
    compare("last results", &found, &expected).unwrap();
}

#[test]
fn readings_derivative_and_its_sinks() {
    let world = world();
    let job = Job::speeding(&world);
    job.load();
    job.finish(1);
    job.check();
}

/// The plates are the program's choice, so the golden names the lines of the file.
fn moers(world: &World, file: &Path, folder: &str) {
    world.run(&format!("replay radars --from {}", file.display()));
    world.run("process speeding --until-end");
    let mut found = results(world, "infractions");
    let mut expected = golden(&format!("{folder}/over.jsonl.gz"));
    let order = |value: &Value| (value["measured_at"].as_i64(), value["measured_speed_kmh"].as_i64());
    found.sort_by_key(order);
    expected.sort_by_key(order);
    for row in &mut expected {
        row.as_object_mut().unwrap().remove("line");
    }
    compare("infractions", &found, &expected).unwrap();
    for topic in ["speeding-late", "speeding-duplicates", "speeding-dead-letters"] {
        assert_eq!(count(world.brokers(), topic), 0, "{topic}");
    }
}

#[test]
fn moers_excerpt() {
    moers(&world(), &tests_path("data/moers-2016-10-24.txt"), "moers-excerpt");
}

/// The folder with the whole real files, where there is one: elsewhere the excerpts have to do.
fn real_files() -> Option<PathBuf> {
    std::env::var_os("TIDEGATE_DATA").map(PathBuf::from)
}

#[test]
fn retail_whole() {
    let Some(folder) = real_files() else { return };
    let world = world();
    retail(&world, &folder.join("online-retail.csv.gz"), "retail-full/totals");
    assert_eq!(count(world.brokers(), "invoices"), 25_900);
    discount(&world, "2011-10-30", "retail-full/discount-2011-10-30");
}

#[test]
fn moers_whole() {
    let Some(folder) = real_files() else { return };
    moers(&world(), &folder.join("moers-roemerstrasse-30kmh.txt"), "moers-full");
}
