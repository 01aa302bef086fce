//! What it costs to stand still, and to be far behind.
//!
//! (What waiting for a broker costs is measured where one is away: `faults::brokers`.)
#![allow(clippy::print_stdout, reason = "what a test measured is part of its report")]
#![allow(missing_docs, reason = "tests are read, not published")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should end")]

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use tidegate_kafka_tests::cluster::Cluster;
use tidegate_kafka_tests::instances::Process;
use tidegate_kafka_tests::job::Job;
use tidegate_kafka_tests::measure::{cpu_per_mille, peak_kib};
use tidegate_kafka_tests::world::{World, words};
use tidegate_runtime::avro::Encoder;
use tidegate_runtime::log::{SchemaId, partition_for};
use tidegate_schemas::Invoice;
use tidegate_schemas::topics::INVOICES;

fn world() -> World {
    World::on(Cluster::any, env!("CARGO_BIN_EXE_tidegate-under-test"))
}

/// Below 2 % of a core each, live and caught up.
#[test]
fn standing_still_costs_next_to_nothing() {
    let world = world();
    let job = Job::totals(&world);
    job.load();
    let processor = Process::start(world.command("state-0", &words("process totals --grace 2s")));
    let sinks = job.start_sinks();
    job.caught_up();
    tidegate_kafka_tests::clock::pass(Duration::from_secs(3));
    for process in [&processor, &sinks[0], &sinks[1]] {
        let share = cpu_per_mille(process.id(), Duration::from_secs(5));
        println!("idle: {share} per mille of a core");
        assert!(share < 20, "{share} per mille of a core: {}", process.said());
    }
}

/// Writes invoices of 100 customers, a millisecond apart, as fast as a plain client can.
fn write(world: &World, count: i64) {
    let id = world.registry.register("invoices-value", INVOICES.schema);
    let encoder = Encoder::new(SchemaId(id), INVOICES.schema).unwrap();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", world.brokers()).set("linger.ms", "50").set("compression.type", "zstd");
    let producer: ThreadedProducer<_> = config.create().unwrap();
    let mut value = Vec::new();
    for number in 0..count {
        let invoice = Invoice {
            invoice_id: format!("INV-{number:010}"),
            customer_id: format!("C{:06}", number % 100),
            issued_at: 1_700_000_000_000 + number,
            amount_minor: number % 10_000,
            currency: "EUR".to_owned(),
            lines: Vec::new(),
        };
        value.clear();
        encoder.encode(&invoice, &mut value).unwrap();
        let key = invoice.customer_id.as_bytes();
        let partition = i32::try_from(partition_for(key, INVOICES.partitions)).unwrap();
        loop {
            let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to("invoices").key(key).payload(&value);
            match producer.send(record.partition(partition).timestamp(invoice.issued_at)) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    producer.poll(Duration::from_millis(10));
                }
                Err((error, _)) => panic!("{error}"),
            }
        }
    }
    producer.flush(Duration::from_secs(60)).unwrap();
}

/// The most memory a line takes that reads so much from the start.
fn peak_over(count: i64, line: &str) -> u64 {
    let world = world();
    world.create_topics();
    write(&world, count);
    let line = line.replace("OUT", world.path("out").to_str().unwrap());
    let mut process = world.start("state-0", &line);
    let mut peak = 0;
    while !process.has_ended() {
        peak = peak.max(peak_kib(process.id()).unwrap_or_default());
        std::thread::park_timeout(Duration::from_millis(5));
    }
    process.finish();
    peak
}

/// Ten times the lag, the same memory. `TIDEGATE_LAG_RECORDS` for the 5 million of a long run.
fn flat(line: &str) {
    let large = std::env::var("TIDEGATE_LAG_RECORDS").map_or(1_000_000, |text| text.parse().unwrap());
    let (less, more) = (peak_over(large / 10, line), peak_over(large, line));
    println!("`{line}`: {less} KiB over {} records, {more} KiB over {large}", large / 10);
    assert!(less > 0, "the peak could be read");
    // A quarter more for what is in proportion to nothing: allocator slack, a client's buffers at full speed.
    assert!(more * 4 < less * 5 + 32_768 * 4, "{less} KiB, then {more} KiB");
}

#[test]
fn a_processors_memory_does_not_grow_with_its_lag() {
    flat("process totals --until-end");
}

#[test]
fn a_sinks_memory_does_not_grow_with_its_lag() {
    flat("sink sqlite --topic invoices --out OUT --until-end");
}
