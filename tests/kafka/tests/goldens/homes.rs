//! Both homes side by side: the same commands on an embedded log and on Kafka write the same records.

use std::sync::Arc;

use serde_json::Value;
use tidegate_kafka_tests::check::{compare, content};
use tidegate_kafka_tests::instances::Process;
use tidegate_kafka_tests::reader::{embedded, read};
use tidegate_kafka_tests::world::{World, words};
use tidegate_runtime::log::Log;
use tidegate_runtime::log::embedded::EmbeddedLog;

use crate::world;

/// What both homes are held to; `TIDEGATE_RECORDS` for fewer or more.
fn records() -> usize {
    std::env::var("TIDEGATE_RECORDS").map_or(100_000, |text| text.parse().unwrap())
}

/// The same lines on both homes, then the same topics.
fn same(world: &World, lines: &[String], topics: &[&str]) {
    let data = world.path("embedded");
    for line in lines {
        world.run(line);
        let on_disk = ["--data".to_owned(), data.to_str().unwrap().to_owned()];
        Process::start(world.program.command(&[on_disk.to_vec(), words(line)].concat())).finish();
    }
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(&data).unwrap());
    for topic in topics {
        let (here, there) = (content(&read(world.brokers(), topic)), content(&embedded(&log, topic)));
        println!("{topic}: {} records", there.len());
        assert!(!there.is_empty(), "`{topic}` proves nothing");
        compare(topic, &here, &there).unwrap();
        assert!(there.iter().all(Value::is_object));
    }
}

#[test]
fn the_first_100_000_invoices_and_their_totals_are_equal_on_both_homes() {
    let world = world();
    let detours = "--out-of-order 5% --late 1% --duplicates 1% --malformed 1%";
    let lines = [
        format!("simulate invoices --count {} {detours}", records()),
        "process totals --grace 10s --until-end --commit-interval 20ms".to_owned(),
    ];
    same(&world, &lines, &["invoices", "customer-totals", "totals-late", "totals-dead-letters"]);
}

#[test]
fn the_first_100_000_readings_and_their_infractions_are_equal_on_both_homes() {
    let world = world();
    let detours = "--out-of-order 5% --late 1% --duplicates 1% --malformed 1%";
    let lines = [
        format!("simulate radars --count {} {detours}", records()),
        "process speeding --until-end --commit-interval 20ms".to_owned(),
    ];
    let topics = [
        "radars",
        "vehicles",
        "owners",
        "readings",
        "infractions",
        "speeding-duplicates",
        "speeding-dead-letters",
    ];
    same(&world, &lines, &topics);
}
