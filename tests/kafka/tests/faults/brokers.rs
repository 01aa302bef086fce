//! The broker restarted, cleanly and by SIGKILL, and away for a minute.

use std::time::{Duration, Instant};

use tidegate_kafka_tests::instances::Process;
use tidegate_kafka_tests::job::Job;
use tidegate_kafka_tests::measure::cpu_per_mille;
use tidegate_kafka_tests::world::World;

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
