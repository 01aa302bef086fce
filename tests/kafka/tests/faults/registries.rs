//! The schema registry out of reach: a passing fault, never a dead letter.

use std::time::{Duration, Instant};

use tidegate_kafka_tests::clock::pass;
use tidegate_kafka_tests::instances::Process;
use tidegate_kafka_tests::job::Job;
use tidegate_kafka_tests::proxied::{registry, registry_flags};
use tidegate_kafka_tests::proxy::Mode;
use tidegate_kafka_tests::world::words;

use crate::world;

/// Down while records are processed, and down when another instance takes their tasks over with no schema in its cache.
#[test]
fn a_registry_that_goes_down_while_records_are_processed() {
    let world = world();
    let proxy = registry();
    proxy.set(Mode::Pass);
    let mut job = Job::speeding(&world);
    job.through = Some(registry_flags(&world.cluster));
    let process = job.start("0");
    let feeder = job.feed(300);
    feeder.reach(600);
    job.back_at_work(&job.positions().now(), Instant::now());
    proxy.set(Mode::Cut);
    // What it knows it knows: known ids need no registry.
    let before = job.positions().now();
    let took = job.back_at_work(&before, Instant::now());
    println!("without a registry: {took:?}");
    assert!(took < Duration::from_secs(5), "it went on after {took:?}");
    // A newcomer knows nothing: it waits, and dead-letters nothing meanwhile.
    let mut newcomer = job.start("1");
    process.kill();
    pass(Duration::from_secs(9));
    assert!(!newcomer.has_ended(), "it waits for the registry: {}", newcomer.said());
    newcomer.says("registry");
    let before = job.positions().now();
    proxy.set(Mode::Pass);
    let took = job.back_at_work(&before, Instant::now());
    println!("registry back: {took:?}");
    assert!(took < Duration::from_secs(15), "it went on after {took:?}");
    feeder.finish();
    job.caught_up();
    newcomer.stop();
    job.through = None;
    job.finish(2);
    job.check();
}

/// Down when everything starts: all of it waits, says why, and goes on.
#[test]
fn a_registry_that_is_down_at_the_start() {
    let world = world();
    let proxy = registry();
    let mut job = Job::totals(&world);
    job.through = Some(registry_flags(&world.cluster));
    job.load();
    proxy.set(Mode::Cut);
    let mut early = job.start("0");
    early.says("registry");
    pass(Duration::from_secs(3));
    assert!(!early.has_ended(), "{}", early.said());
    proxy.set(Mode::Pass);
    job.caught_up();
    early.stop();
    job.through = None;
    job.finish(2);
    job.check();
}

/// A sink meets ids it does not know: they are no rejects.
#[test]
fn a_registry_that_is_down_while_sinks_start() {
    let world = world();
    let proxy = registry();
    proxy.set(Mode::Pass);
    let job = Job::totals(&world);
    job.load();
    let process = job.start("0");
    job.caught_up();
    process.stop();
    proxy.set(Mode::Cut);
    let log = registry_flags(&world.cluster);
    let sink = |line: &String| Process::start(world.command_on(&log, "state-sinks", &words(line)));
    let mut sinks: Vec<Process> = job.sinks().iter().map(sink).collect();
    sinks.iter_mut().for_each(|sink| sink.says("registry"));
    proxy.set(Mode::Pass);
    sinks.into_iter().for_each(Process::stop);
    job.finish(1);
    job.check();
}
