//! Producers that place keys by another hash: librdkafka's default is CRC32, and processors read by murmur2.
#![allow(missing_docs, reason = "tests are read, not published")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should end")]

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::json;
use tidegate_kafka_tests::cluster::Cluster;
use tidegate_kafka_tests::input::{Fed, encoded};
use tidegate_kafka_tests::instances::Process;
use tidegate_kafka_tests::reader::{Record, read};
use tidegate_kafka_tests::world::{World, words};
use tidegate_runtime::log::partition_for;

const CUSTOMERS: usize = 40;
const PARTITIONS: u32 = 4;
const UNFIT: i32 = 9;

/// An invoice of each customer, all in one window.
fn invoices(world: &World) -> Vec<Fed> {
    let row = |number: usize| {
        let (customer, time) = (format!("C{number}"), 1_000 + number);
        let invoice = json!({
            "invoice_id": format!("I{number}"), "customer_id": customer, "issued_at": time, "amount_minor": 100, "currency": "EUR",
            "lines": [],
        });
        json!({ "topic": "invoices", "key": customer, "time_ms": time, "value": invoice })
    };
    encoded(&(0..CUSTOMERS).map(row).collect::<Vec<_>>(), &world.registry)
}

/// Writes as a program does that leaves the partition to its client.
fn produce(world: &World, rows: &[Fed], settings: &[(&str, &str)]) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", world.brokers());
    for (name, value) in settings {
        config.set(*name, *value);
    }
    let producer: BaseProducer = config.create().unwrap();
    for row in rows {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&row.topic).timestamp(row.time_ms);
        (record.key, record.payload) = (row.key.as_deref(), row.value.as_deref());
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(20)).unwrap();
}

fn is_misplaced(record: &Record) -> bool {
    partition_for(record.key.as_deref().unwrap(), PARTITIONS) != record.partition
}

#[test]
fn what_librdkafka_places_by_default_is_dead_lettered_and_the_rest_is_counted() {
    let world = World::on(Cluster::any, env!("CARGO_BIN_EXE_tidegate-under-test"));
    world.create_topics();
    let rows = invoices(&world);
    produce(&world, &rows, &[("partitioner", "murmur2_random")]);
    assert!(!read(world.brokers(), "invoices").iter().any(is_misplaced), "librdkafka's murmur2 is Kafka's");
    let doctor = |code: i32, words_said: &[&str]| {
        let output = world.command("state", &words("doctor")).stdout(Stdio::piped()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(words_said.iter().all(|word| said.contains(word)), "{said}");
        assert_eq!(output.status.code() == Some(UNFIT), code == UNFIT, "{said}");
    };
    doctor(0, &["keys of invoices: of the newest 40 records, all stand in the partitions of their keys"]);

    produce(&world, &rows, &[]);
    let written = read(world.brokers(), "invoices");
    let misplaced = written.iter().filter(|record| is_misplaced(record)).count();
    assert!(misplaced > CUSTOMERS / 2, "CRC32 puts most of them elsewhere: {misplaced}");
    doctor(UNFIT, &["FAIL  keys of invoices", "partitioner=murmur2_random"]);

    let mut process =
        Process::start(world.command("state", &words("process totals --until-end --workers 2")));
    assert!(process.ended_within(Duration::from_secs(60)).success(), "{}", process.said());
    let said = process.said();
    assert!(said.contains(&format!("wrong-partition {misplaced}")), "{said}");
    let told: Vec<&str> = said.lines().filter(|line| line.contains("partitioner=murmur2_random")).collect();
    assert!(told.len() == 1 && told[0].contains("invoices["), "{said}");

    let mut counted: BTreeMap<String, u64> = BTreeMap::new();
    for record in written.iter().filter(|record| !is_misplaced(record)) {
        *counted.entry(record.key_text().unwrap()).or_default() += 1;
    }
    let totals = read(world.brokers(), "customer-totals");
    let of = |record: &Record| {
        (record.key_text().unwrap(), record.decode(&world.registry).unwrap()["count"].as_u64().unwrap())
    };
    assert_eq!(totals.len(), CUSTOMERS, "one final total for each customer");
    assert_eq!(totals.iter().map(of).collect::<BTreeMap<_, _>>(), counted);
    let dead = read(world.brokers(), "totals-dead-letters");
    assert_eq!(dead.len(), misplaced);
    for record in &dead {
        assert_eq!(record.header("reason").as_deref(), Some("wrong-partition"));
        assert!(record.header("message").unwrap().contains("partitioner=murmur2_random"));
    }
}
