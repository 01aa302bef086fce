//! The Kafka home under the contract every home is put under (`runtime/tests/contract`): each case on an emptied cluster.
#![allow(missing_docs, reason = "tests are read, not published")]
#![allow(clippy::unwrap_used, reason = "a case is a test: it fails where the log does")]

#[path = "../../../runtime/tests/contract/cases/mod.rs"]
mod cases;

use std::process::Command;
use std::sync::Arc;

use tidegate_kafka_tests::clock::until;
use tidegate_kafka_tests::cluster::Cluster;
use tidegate_kafka_tests::world::World;
use tidegate_runtime::log::Log;
use tidegate_runtime::log::kafka::{Connection, KafkaLog, RegistryConnection};

use cases::child::play;
use cases::contract;
use cases::home::{DEADLINE, Home, Worker, settle, signal};

const CLUSTER: &str = "KAFKA_CONTRACT_CLUSTER";
const ROLE: &str = "KAFKA_CONTRACT_ROLE";

/// The cluster, empty, for as long as the case lasts.
struct Kafka {
    world: World,
}

fn empty() -> Kafka {
    Kafka { world: World::on(Cluster::any, "no program runs here") }
}

fn connection(brokers: &str, registry: &str) -> Connection {
    let registry = RegistryConnection { urls: vec![registry.to_owned()], ..RegistryConnection::default() };
    Connection::new(brokers, registry)
}

fn log(brokers: &str, registry: &str) -> KafkaLog {
    KafkaLog::open(connection(brokers, registry)).unwrap()
}

impl Home for Kafka {
    fn open(&self) -> Arc<dyn Log> {
        Arc::new(log(self.world.brokers(), &self.world.cluster.registry))
    }

    fn open_for_instances(&self) -> Arc<dyn Log> {
        let connection = connection(self.world.brokers(), &self.world.cluster.registry);
        Arc::new(KafkaLog::open(Connection { static_membership: true, ..connection }).unwrap())
    }

    fn hands_over_singly(&self) -> bool {
        // `range` is an eager protocol: everything is given back, then everything is shared out.
        false
    }

    fn proves_partitions(&self) -> bool {
        // The coordinator checks who commits and of which generation, not what.
        false
    }

    fn session_timeout_ms(&self) -> u64 {
        // What brokers allow by default.
        6_000
    }

    fn child(&self, role: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child", "--nocapture", "--test-threads=1"]);
        let cluster = format!("{} {}", self.world.brokers(), self.world.cluster.registry);
        command.env(CLUSTER, cluster).env(ROLE, role);
        command
    }

    fn stop(&self, process: u32) {
        signal("STOP", process);
    }
}

/// Not a test of its own: what [`Home::child`] runs.
#[test]
fn child() {
    if let (Ok(cluster), Ok(role)) = (std::env::var(CLUSTER), std::env::var(ROLE)) {
        let (brokers, registry) = cluster.split_once(' ').unwrap();
        play(&log(brokers, registry), &role);
    }
}

contract!(crate::empty);

/// What librdkafka has to say comes through the queue the rebalances come through; an outage fills it with lost connections.
#[test]
fn a_member_whose_client_has_much_to_say_hears_of_its_partitions_at_once() {
    let kafka = empty();
    cases::home::topic(&*kafka.open(), "t", 4);
    let mut connection = connection(kafka.world.brokers(), &kafka.world.cluster.registry);
    connection.properties.insert("statistics.interval.ms".to_owned(), "10".to_owned());
    let log = KafkaLog::open(connection).unwrap();
    let join = |member| Worker::join(&log, "g", member, &["t"], kafka.session_timeout_ms());
    let mut workers = vec![join("m1")];
    settle(&mut workers, |workers| workers[0].owned.len() == 4);
    workers.push(join("m2"));
    settle(&mut workers, |workers| workers.iter().all(|worker| worker.owned.len() == 2));
}

/// A session that ends while the broker is away leaves a member behind, whom the broker knows for a session's time after it is back.
#[test]
fn a_life_of_ours_that_could_not_say_goodbye_is_not_another_process() {
    let kafka = empty();
    let (ours, others) = (kafka.open(), kafka.open());
    cases::home::topic(&*ours, "t", 1);
    let mut worker = Worker::join(&*ours, "g", "m", &["t"], 60_000);
    worker.until(|worker| worker.owned.len() == 1);
    kafka.world.cluster.kill_broker();
    drop(worker);
    kafka.world.cluster.start_broker();
    let asked = |log: &dyn Log| {
        let mut answer = None;
        until("an answer", DEADLINE, || {
            answer = log.is_replaced("g", "m").ok();
            answer.is_some()
        });
        answer.unwrap()
    };
    assert!(asked(&*others), "the broker knows it still, and to anybody else it is another life");
    assert!(!asked(&*ours));
}
