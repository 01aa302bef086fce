//! The harness itself: what is fed arrives once whatever is lost on the way, and the checker sees what is wrong.
#![allow(missing_docs, reason = "tests are read, not published")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should end")]

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_kafka_tests::check::{Kind, describe, topic};
use tidegate_kafka_tests::clock::{DEADLINE, until};
use tidegate_kafka_tests::feeder::Feeder;
use tidegate_kafka_tests::input::{encoded, golden};
use tidegate_kafka_tests::proxied::{self, broker};
use tidegate_kafka_tests::proxy::Mode;
use tidegate_kafka_tests::reader::read;
use tidegate_kafka_tests::world::World;

fn world() -> World {
    World::on(proxied::cluster, "no program runs here")
}

/// The derivative's rows as the checker sees them, in order by partition.
fn fed_exactly(world: &World, rows: &[Value]) {
    let expected = encoded(rows, &world.registry);
    let found = read(world.brokers(), "invoices");
    assert_eq!(found.len(), expected.len());
    for partition in 0..4 {
        let found = found.iter().filter(|record| i64::from(record.partition) == i64::from(partition));
        let expected = expected.iter().filter(|record| record.partition == partition);
        for (found, expected) in found.zip(expected) {
            assert_eq!(
                (&found.key, &found.value, found.time_ms),
                (&expected.key, &expected.value, expected.time_ms)
            );
        }
    }
}

#[test]
fn a_feed_through_lost_answers_lost_requests_and_a_killed_broker_is_exact() {
    let world = world();
    world.create_topics();
    let rows = golden("invoices-derivative/input.jsonl.gz");
    let through = format!("127.0.0.1:{}", broker().port);
    let feeder = Feeder::start(&through, encoded(&rows, &world.registry), 400);
    for (at, mode) in [(400, Mode::LoseAnswers), (900, Mode::LoseRequests), (1_400, Mode::Cut)] {
        feeder.reach(at);
        let lost = broker().lost();
        broker().set(mode);
        if mode != Mode::Cut {
            until("a commit to be lost", DEADLINE, || broker().lost() > lost);
        }
        broker().set(Mode::Pass);
    }
    feeder.reach(2_000);
    world.cluster.restart_hard();
    feeder.finish();
    fed_exactly(&world, &rows);
}

#[test]
fn the_checker_sees_what_is_lost_doubled_wrong_and_out_of_order() {
    let world = world();
    world.create_topics();
    let rows: Vec<Value> = golden("invoices-derivative/input.jsonl.gz")
        .into_iter()
        .filter(|row| row.get("value").is_some_and(Value::is_object) && row["key"].is_string())
        .take(200)
        .collect();
    world.load(&rows);
    let found: Vec<Value> = read(world.brokers(), "invoices")
        .iter()
        .map(|record| describe(record, Kind::Results, &world.registry))
        .collect();
    let check =
        |expected: &[Value]| topic(world.brokers(), &world.registry, "invoices", Kind::Results, expected);
    assert_eq!(found.len(), 200);
    // Decoded by another library than the one that encoded it, a record is what the oracle wrote.
    for row in &rows {
        assert!(
            found.iter().any(|found| found["value"] == row["value"] && found["key"] == row["key"]),
            "{row}"
        );
    }
    check(&found).unwrap();
    let mut lost = found.clone();
    lost.push(found[0].clone());
    assert!(check(&lost).unwrap_err().contains("lost 1"));
    assert!(check(&found[1..]).unwrap_err().contains("too many 1"));
    let mut wrong = found.clone();
    wrong[100]["value"]["amount_minor"] = json!(1);
    assert!(check(&wrong).unwrap_err().contains("first difference at 100"));
    let mut swapped = found.clone();
    let other =
        swapped.iter().position(|row| row["partition"] == swapped[0]["partition"] && *row != swapped[0]);
    swapped.swap(0, other.unwrap());
    assert!(check(&swapped).unwrap_err().contains("lost 0"));
    // An open transaction is no output, and the checker waits for its end instead of overlooking it.
    until("nothing", Duration::from_secs(1), || true);
}
