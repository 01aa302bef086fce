//! Tables run ahead, live and on Kafka: a record of a stream is judged by everything that was in the tables before it (law 18).
//!
//! `TIDEGATE_LIVE_ROUNDS` sets the number of rounds of 200 readings each.
#![allow(missing_docs, reason = "tests are read, not published")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should end")]

#[path = "../../../runtime/tests/worker/judging.rs"]
mod judging;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tidegate_kafka_tests::clock::{DEADLINE, until};
use tidegate_kafka_tests::cluster::Cluster;
use tidegate_kafka_tests::feeder::Undecided;
use tidegate_kafka_tests::input::{encoded, golden};
use tidegate_kafka_tests::reader::count;
use tidegate_kafka_tests::world::World;
use tidegate_runtime::log::Log;
use tidegate_runtime::log::kafka::{Connection, KafkaLog, RegistryConnection};
use tidegate_runtime::worker::{self, StatusBoard, WorkerOptions};

fn world() -> World {
    World::on(Cluster::any, env!("CARGO_BIN_EXE_tidegate-under-test"))
}

fn log_of(world: &World) -> Arc<dyn Log> {
    let registry =
        RegistryConnection { urls: vec![world.cluster.registry.clone()], ..RegistryConnection::default() };
    Arc::new(KafkaLog::open(Connection::new(world.brokers(), registry)).unwrap())
}

/// A transaction for each record, as fast as it goes: a change in each table, and then the reading that needs both.
#[test]
fn a_reading_never_misses_what_was_committed_before_it() {
    let readings = 200;
    let rounds = std::env::var("TIDEGATE_LIVE_ROUNDS").map_or(2, |rounds| rounds.parse().unwrap());
    let mut missed = BTreeMap::new();
    for round in 0..rounds {
        let world = world();
        let log = log_of(&world);
        judging::create_topics(log.as_ref());
        let board = StatusBoard::default();
        let options = WorkerOptions {
            status: board.clone(),
            commit_interval: Duration::from_millis(10),
            ..WorkerOptions::default()
        };
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let hosted = log.clone();
        let running = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let stopped = async { stopped.await.unwrap_or_default() };
            runtime.block_on(worker::run(hosted, &judging::judging(), options, stopped))
        });
        until("the tasks to run", DEADLINE, || {
            board.tasks().values().filter(|task| !task.phase.is_starting()).count() == 2
        });
        judging::write_in_turn(log.producer("writer").unwrap().as_mut(), 0..readings);
        until("every judgement", DEADLINE, || board.total("judged") == readings);
        stop.send(()).unwrap();
        running.join().unwrap().unwrap();
        if board.total("missed") > 0 {
            missed.insert(round, board.total("missed"));
        }
    }
    assert_eq!(missed, BTreeMap::new(), "missed by round, of {rounds} rounds");
}

/// An open transaction on a table delays judging, and is named; nothing is judged without what it holds.
#[test]
fn an_open_transaction_on_a_table_is_waited_for_and_named() {
    let world = world();
    world.create_topics();
    let rows = golden("readings-derivative/input.jsonl.gz");
    let (readings, registrations): (Vec<Value>, Vec<Value>) =
        rows.into_iter().partition(|row| row["topic"] == "readings");
    let undecided =
        Undecided::begin(world.brokers(), "registry-office", &encoded(&registrations, &world.registry));
    world.load(&readings);
    let mut process = world.start("state-0", "process speeding --instance-id 0");
    process.says("waits for table `");
    process.says("offsets are left; an open transaction may hold them back");
    assert_eq!(count(world.brokers(), "infractions"), 0);
    undecided.commit();
    until("the infractions", DEADLINE, || count(world.brokers(), "infractions") > 0);
    process.stop();
}
