//! The broker restarted, cleanly and by SIGKILL, and away for a minute; connections that go dead without a word.

use std::time::{Duration, Instant};

use tidegate_kafka_tests::feeder::Feeder;
use tidegate_kafka_tests::input::{encoded, golden};
use tidegate_kafka_tests::instances::Process;
use tidegate_kafka_tests::job::Job;
use tidegate_kafka_tests::measure::cpu_per_mille;
use tidegate_kafka_tests::proxied::{broker, broker_flags};
use tidegate_kafka_tests::proxy::Mode;
use tidegate_kafka_tests::world::World;
use tidegate_runtime::log::kafka::{Connection, KafkaLog, RegistryConnection};
use tidegate_runtime::log::{Event, Log as _, Offset, TopicPartition};

use crate::world;

/// A broker that is back has to be found again, sessions and transactions included.
const FOUND_AGAIN: Duration = Duration::from_secs(30);

/// What is done to the cluster while the program runs.
type Outage<'o> = &'o dyn Fn(&World, &[&Process]);

fn through_outages(job: &Job<'_>, per_second: usize, outages: &[(usize, Outage<'_>)]) {
    let sinks = job.start_sinks();
    let instances = [job.start("0"), job.start("1")];
    let feeder = job.feed(per_second);
    for (at, outage) in outages {
        feeder.reach(*at);
        let all: Vec<&Process> = instances.iter().chain(&sinks).collect();
        outage(job.world, &all);
        let back = Instant::now();
        let took = job.back_at_work(&job.settled(), back);
        println!("found again: {took:?}");
        assert!(took < FOUND_AGAIN, "back at work after {took:?}");
    }
    feeder.finish();
    job.caught_up();
    // Not one of them has ended meanwhile: a broker that is away is no reason to.
    instances.into_iter().chain(sinks).for_each(Process::stop);
    job.finish(2);
    job.check();
}

#[test]
fn a_broker_restarted_cleanly_and_by_sigkill() {
    let world = world();
    let clean = |world: &World, _: &[&Process]| world.cluster.restart();
    let hard = |world: &World, _: &[&Process]| world.cluster.restart_hard();
    through_outages(&Job::totals(&world), 150, &[(500, &clean), (1_500, &hard)]);
}

/// Away for a minute: everybody waits, nobody ends, and waiting costs nothing.
#[test]
fn a_broker_away_for_a_minute() {
    let world = world();
    let away = |world: &World, all: &[&Process]| {
        world.cluster.kill_broker();
        let gone = Instant::now();
        // Long enough for every backoff to have reached its length.
        tidegate_kafka_tests::clock::pass(Duration::from_secs(15));
        let shares: Vec<u64> =
            all.iter().map(|process| cpu_per_mille(process.id(), Duration::from_secs(10))).collect();
        println!("processor time while the broker is away: {shares:?} per mille");
        tidegate_kafka_tests::clock::pass(Duration::from_secs(60).saturating_sub(gone.elapsed()));
        world.cluster.start_broker();
        assert!(shares.iter().all(|share| *share < 20), "{shares:?} per mille");
    };
    through_outages(&Job::speeding(&world), 250, &[(3_000, &away)]);
}

/// Nothing ends, and nothing is answered: each client must find out by itself that it talks to nobody.
#[test]
fn connections_that_go_dead_without_a_word() {
    let world = world();
    broker().set(Mode::Pass);
    let mut job = Job::totals(&world);
    job.through = Some(broker_flags(&world.cluster));
    let dead = |_: &World, _: &[&Process]| broker().go_dead();
    through_outages(&job, 150, &[(500, &dead), (1_500, &dead)]);
}

/// The same for who only reads, as a sink does: there is no commit that would notice.
#[test]
fn a_reader_whose_connection_goes_dead_without_a_word() {
    let world = world();
    broker().set(Mode::Pass);
    world.create_topics();
    let rows = golden("invoices-derivative/input.jsonl.gz");
    let registry =
        RegistryConnection { urls: vec![world.cluster.registry.clone()], ..RegistryConnection::default() };
    let through = format!("127.0.0.1:{}", broker().port);
    let log = KafkaLog::open(Connection::new(through, registry)).unwrap();
    let mut reader = log.reader(1 << 20).unwrap();
    (0..4).for_each(|number| reader.seek(TopicPartition::new("invoices", number), Offset(0)));
    let mut read = |goal: usize| {
        let (begun, mut read) = (Instant::now(), 0);
        while read < goal {
            if let Event::Chunk(chunk) = reader.blocking_next().unwrap() {
                read += chunk.len();
            }
        }
        (read, begun.elapsed())
    };
    let feeder = Feeder::start(world.brokers(), encoded(&rows, &world.registry), 1_000);
    let (before, _) = read(500);
    broker().go_dead();
    feeder.finish();
    let (_, took) = read(rows.len() - before);
    println!("found again: {took:?}");
    assert!(took < FOUND_AGAIN, "read after {took:?}");
}
