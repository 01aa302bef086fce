//! The scenarios of Kafka's own EosIntegrationTest and TransactionsTest, rebuilt on our commands.
//!
//! Of EosIntegrationTest: running with exactly once, restarting after a close, input topics that are transactional, many partitions in one
//! commit, many transactions, two topologies side by side, a task that fails between its output and its commit, closing during a restore.
//! (Fencing of isolated instances stands in `faults`.) Of TransactionsTest: undecided data, aborted data, several open transactions,
//! fencing by a newer holder of an id, expiry of a transaction, initialising again and again.
#![allow(missing_docs, reason = "tests are read, not published")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should end")]

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use serde_json::Value;
use tidegate_kafka_tests::clock::{DEADLINE, pass, until};
use tidegate_kafka_tests::cluster::Cluster;
use tidegate_kafka_tests::feeder::Undecided;
use tidegate_kafka_tests::input::{Fed, encoded, golden};
use tidegate_kafka_tests::instances::Process;
use tidegate_kafka_tests::job::Job;
use tidegate_kafka_tests::reader::{read, try_ends};
use tidegate_kafka_tests::world::World;

fn world() -> World {
    World::on(Cluster::any, env!("CARGO_BIN_EXE_tidegate-under-test"))
}

/// The invoices' derivative, cut in two.
fn halves(world: &World) -> (Vec<Fed>, Vec<Fed>) {
    let rows: Vec<Value> = golden("invoices-derivative/input.jsonl.gz");
    let mut first = encoded(&rows, &world.registry);
    let second = first.split_off(first.len() / 2);
    (first, second)
}

fn output(world: &World) -> usize {
    read(world.brokers(), "customer-totals").len()
}

/// Input that ends in control markers, committed and aborted ones: the group's position passes them, and its lag is nothing.
#[test]
fn a_transactional_input_is_processed_to_its_end_and_leaves_no_lag() {
    let world = world();
    let job = Job::totals(&world);
    job.load();
    Undecided::begin(world.brokers(), "somebody", &halves(&world).0).abort();
    let process = job.start("0");
    job.caught_up();
    process.stop();
    let committed = world.behind.committed("totals", "invoices");
    let ends = try_ends(world.brokers(), "invoices").unwrap();
    assert_eq!(committed.values().copied().collect::<Vec<_>>(), ends);
    job.finish(1);
    job.check();
}

#[test]
fn closing_and_starting_again_goes_on_where_it_was() {
    let world = world();
    let job = Job::totals(&world);
    let feeder = job.feed(900);
    for life in 1..=4 {
        let process = job.start("0");
        feeder.reach(life * job.rows() / 5);
        job.back_at_work(&job.positions().now(), Instant::now());
        process.stop();
    }
    feeder.finish();
    job.finish(1);
    job.check();
}

/// What is undecided holds its partitions back, for processors, sinks and people; then it is there, or never was.
#[test]
fn undecided_records_are_not_seen_and_neither_is_what_stands_behind_them() {
    let world = world();
    let job = Job::totals(&world);
    let (first, second) = halves(&world);
    let undecided = Undecided::begin(world.brokers(), "somebody", &first);
    let process = job.start("0");
    // Decided, but behind the undecided ones.
    Undecided::begin(world.brokers(), "somebody-else", &second).commit();
    pass(Duration::from_secs(3));
    let committed = world.behind.committed("totals", "invoices");
    assert!(committed.values().all(|offset| *offset == 0), "{committed:?}");
    undecided.commit();
    job.caught_up();
    process.stop();
    job.finish(2);
    job.check();
}

#[test]
fn aborted_records_never_happened() {
    let world = world();
    let job = Job::totals(&world);
    let (first, second) = halves(&world);
    let process = job.start("0");
    for rows in [&second, &first, &second] {
        Undecided::begin(world.brokers(), "somebody", rows).abort();
    }
    job.load();
    Undecided::begin(world.brokers(), "somebody", &first).abort();
    job.caught_up();
    process.stop();
    job.finish(2);
    job.check();
}

/// The end of a bounded run is the high watermark, open transactions included: it waits for their decision.
#[test]
fn a_bounded_run_waits_for_what_is_undecided_at_its_end() {
    let world = world();
    let job = Job::totals(&world);
    let (first, second) = halves(&world);
    tidegate_kafka_tests::feeder::load(world.brokers(), first);
    let undecided = Undecided::begin(world.brokers(), "somebody", &second);
    let mut process = Process::start(job.processor("0", "--until-end"));
    process.says("running");
    pass(Duration::from_secs(3));
    assert!(!process.has_ended(), "it would have missed half of the input: {}", process.said());
    undecided.commit();
    process.finish();
    job.finish(1);
    job.check();
}

/// Commits as often as every 10 ms: hundreds of transactions, the same output.
#[test]
fn many_transactions_over_many_partitions() {
    let world = world();
    let mut job = Job::speeding(&world);
    job.flags = "--workers 2".to_owned();
    let feeder = job.feed(1_500);
    let process = Process::start(job.processor("0", ""));
    feeder.finish();
    job.caught_up();
    process.stop();
    let ends = try_ends(world.brokers(), "speeding-changelog").unwrap();
    assert!(ends.iter().all(|end| *end > 50), "many commits: {ends:?}");
    job.finish(1);
    job.check();
}

/// Two applications on one cluster at the same time, each with its own inputs, groups and ids.
#[test]
fn two_topologies_side_by_side() {
    let world = world();
    let totals = Job::totals(&world);
    totals.load();
    world.run("simulate radars --count 3000 --duplicates 1% --malformed 1%");
    let others = [
        world.start("state-radars", "process speeding --until-end --commit-interval 20ms"),
        Process::start(totals.processor("0", "--until-end")),
    ];
    others.into_iter().for_each(Process::finish);
    totals.finish(1);
    totals.check();
    assert!(!read(world.brokers(), "infractions").is_empty());
}

/// A task fails with its output written and its commit not: readers who look see nothing of it, and its successor writes it again.
#[test]
fn output_without_its_commit_is_never_seen() {
    let world = world();
    let job = Job::totals(&world);
    job.load();
    for visit in [1, 2, 3] {
        let before = output(&world);
        let mut command = job.processor("0", "");
        command.env("TIDEGATE_FAULT_POINT", format!("after-produce-before-commit:{visit}"));
        let mut process = Process::start(command);
        assert_eq!(process.ended_within(DEADLINE).signal(), Some(9), "{}", process.said());
        let ends: i64 = try_ends(world.brokers(), "customer-totals").unwrap().iter().sum();
        let after = output(&world);
        println!("visit {visit}: {before} records, then {after}, up to {ends}");
        assert!(visit > 1 || after == 0, "nothing was committed");
    }
    job.finish(2);
    job.check();
}

/// Closed while it restores, cleanly and not: nothing of the half-restored state is ever written.
#[test]
fn closing_during_a_restore_loses_nothing() {
    let world = world();
    let job = Job::speeding(&world);
    let feeder = job.feed(2_500);
    let process = job.start("0");
    feeder.reach(4_000);
    job.back_at_work(&job.positions().now(), Instant::now());
    process.kill();
    for life in 0..4 {
        let mut process = job.start("0");
        process.says("instance 0");
        if life % 2 == 0 { process.stop() } else { process.kill() }
    }
    feeder.finish();
    job.finish(2);
    job.check();
}

/// A newer holder of an id fences every older one, however many there are and however fast they come.
#[test]
fn initialising_again_and_again_leaves_one_holder() {
    let world = world();
    let job = Job::totals(&world);
    let feeder = job.feed(400);
    feeder.reach(200);
    let line = "process totals --grace 2s --instance-id 0 --commit-interval 20ms";
    let mut all: Vec<Process> =
        (0..4).map(|number| world.start(&format!("machine-{number}"), line)).collect();
    until("all but one to end", DEADLINE, || {
        all.iter_mut().map(Process::has_ended).filter(|ended| !ended).count() == 1
    });
    feeder.finish();
    job.caught_up();
    drop(all);
    job.finish(1);
    job.check();
}

/// The broker ends a transaction of a process that stood still, but the group has not given its tasks away: no reason to die.
#[test]
fn a_transaction_that_expired_is_done_again() {
    let world = world();
    let mut job = Job::totals(&world);
    job.flags = "--instance-id 0".to_owned();
    let line = "process totals --grace 2s --instance-id 0 --commit-interval 500ms --session-timeout 30s";
    let process = world.start("state-0", line);
    let feeder = job.feed(250);
    for at in [400, 1_500] {
        feeder.reach(at);
        job.back_at_work(&job.positions().now(), Instant::now());
        process.signal("STOP");
        // Past the transaction's timeout and the broker's look at it, far from the session's.
        pass(Duration::from_secs(8));
        let before = job.positions().now();
        process.signal("CONT");
        let took = job.back_at_work(&before, Instant::now());
        println!("awake: {took:?}");
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
    feeder.finish();
    job.caught_up();
    process.stop();
    job.flags.clear();
    job.finish(1);
    job.check();
}
