//! Records of extreme parts on a real broker: the application goes on, and each dead letter fits (law 14).
#![allow(missing_docs, reason = "tests are read, not published")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should end")]

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::json;
use tidegate_kafka_tests::cluster::Cluster;
use tidegate_kafka_tests::input::encoded;
use tidegate_kafka_tests::reader::read;
use tidegate_kafka_tests::world::World;
use tidegate_runtime::log::partition_for;

const START: i64 = 1_780_315_200_000;

/// A record's key, value and headers.
type Parts = (Vec<u8>, Vec<u8>, Vec<(String, Vec<u8>)>);

/// Each has a part that is as large as a broker takes, or of very many pieces. The topics take two megabytes.
fn extreme(world: &World) -> Vec<Parts> {
    let header = |name: &str, bytes: usize| (name.to_owned(), vec![b'h'; bytes]);
    let invoice = |customer: &str| {
        let value = json!({
            "invoice_id": "i", "customer_id": customer, "issued_at": START, "lines": [], "amount_minor": 1, "currency": "EUR",
        });
        let row = json!({ "topic": "invoices", "key": customer, "value": value, "time_ms": START });
        encoded(&[row], &world.registry).remove(0).value.unwrap()
    };
    let customer = "c".repeat(600_000);
    vec![
        (vec![0xff; 300_000], invoice("c"), vec![]),
        (vec![0xff; 1_900_000], vec![], vec![]),
        (vec![0; 100_000], vec![7; 900_000], vec![header("one", 900_000)]),
        (vec![], b"no frame".to_vec(), (0..60_000).map(|_| header("many", 3)).collect()),
        (vec![b'k'; 50_000], vec![7; 1_800_000], vec![header("\u{1b}[31m", 40_000)]),
        // Good, but what comes of it fits no broker: twice the customer's name.
        (customer.clone().into_bytes(), invoice(&customer), vec![]),
        (b"c".to_vec(), invoice("c"), vec![header("harmless", 10)]),
    ]
}

fn write(world: &World, records: &[Parts]) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", world.brokers()).set("message.max.bytes", "2100000");
    let producer: BaseProducer = config.create().unwrap();
    for (key, value, headers) in records {
        let begun = OwnedHeaders::new_with_capacity(headers.len());
        let headers =
            headers.iter().fold(begun, |list, (key, value)| list.insert(Header { key, value: Some(value) }));
        // Where its key belongs: elsewhere it would be a dead letter for that alone.
        let partition = i32::try_from(partition_for(key, 4)).unwrap();
        let record = BaseRecord::to("invoices").partition(partition).timestamp(START).key(key).payload(value);
        producer.send(record.headers(headers)).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
    let there = read(world.brokers(), "invoices").len();
    assert_eq!(there, records.len());
}

#[test]
fn records_as_large_as_a_broker_takes_stop_nothing() {
    let world = World::on(Cluster::any, env!("CARGO_BIN_EXE_tidegate-under-test"));
    world.create_topics();
    let records = extreme(&world);
    write(&world, &records);
    world.run("process totals --until-end");
    world.run("process totals --until-end");
    let dead = read(world.brokers(), "totals-dead-letters");
    let message = dead
        .iter()
        .find_map(|letter| letter.header("message").filter(|text| text.contains("300000 bytes")))
        .unwrap();
    assert!(message.len() < 2_000 && !message.contains(char::is_control), "{message}");
    let told = |name: &str| dead.iter().filter(|letter| letter.header(name).is_some()).count();
    assert!(told("key-sha256") >= 1 && told("headers-sha256") >= 1 && told("sha256") >= 1);
    let results = read(world.brokers(), "customer-totals").len();
    // A result that fits no broker is a dead letter too, so every record is in one of the two.
    assert_eq!(dead.len() + results, records.len());
    assert!(results >= 1);
}
