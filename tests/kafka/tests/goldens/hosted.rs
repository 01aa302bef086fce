//! Law 11: the same output, however it is interrupted and by however many processes it is hosted.

use tidegate_kafka_tests::draw::Draw;
use tidegate_kafka_tests::instances::Process;
use tidegate_kafka_tests::job::Job;

use crate::world;

/// Feeds the input while processes of all kinds are killed at random moments and started again; nobody waits for them to recover, so
/// that one is killed while it takes over from another.
fn with_kills(job: &Job<'_>, processors: usize, kills: usize, seed: u64, per_second: usize) {
    println!("seed {seed}");
    let mut draw = Draw::new(seed);
    let start = |number: usize| match number.checked_sub(processors) {
        None => job.start(&number.to_string()),
        Some(sink) => job.world.start("state-sinks", &job.sinks()[sink]),
    };
    let mut running: Vec<Process> = (0..processors + 2).map(start).collect();
    let feeder = job.feed(per_second);
    for kill in 0..kills {
        let stretch = job.rows() / (kills + 1);
        feeder.reach(kill * stretch + draw.index(stretch));
        let victim = draw.index(running.len());
        let fresh = {
            running.remove(victim).kill();
            start(victim)
        };
        running.insert(victim, fresh);
    }
    feeder.finish();
    running.into_iter().for_each(Process::kill);
    job.finish(processors);
    job.check();
}

#[test]
fn totals_by_one_process() {
    let world = world();
    with_kills(&Job::totals(&world), 1, 4, 1, 250);
}

#[test]
fn totals_by_two_processes() {
    let world = world();
    with_kills(&Job::totals(&world), 2, 5, 2, 250);
}

#[test]
fn totals_by_four_processes() {
    let world = world();
    with_kills(&Job::totals(&world), 4, 6, 3, 250);
}

#[test]
fn infractions_by_one_process() {
    let world = world();
    with_kills(&Job::speeding(&world), 1, 4, 4, 500);
}

#[test]
fn infractions_by_two_processes() {
    let world = world();
    with_kills(&Job::speeding(&world), 2, 5, 5, 500);
}

#[test]
fn infractions_by_four_processes() {
    let world = world();
    with_kills(&Job::speeding(&world), 4, 6, 6, 500);
}

/// Four workers in one process are as good as four processes, and the other rebalance protocol as good as the first.
#[test]
fn totals_by_four_workers_where_the_broker_assigns() {
    let world = world();
    let mut job = Job::totals(&world);
    job.flags = "--workers 4 --group-protocol consumer".to_owned();
    with_kills(&job, 1, 2, 7, 400);
}
