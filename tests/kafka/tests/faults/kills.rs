//! SIGKILL at random points: five of them by default, `TIDEGATE_KILLS` for more.

use std::time::{Duration, Instant};

use tidegate_kafka_tests::clock::{DEADLINE, until};
use tidegate_kafka_tests::draw::Draw;
use tidegate_kafka_tests::instances::Process;
use tidegate_kafka_tests::job::{BACK_AT_WORK, Job};

use crate::world;

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Kills at random points of the input; every other time the victim stays away and the others take over.
fn killed(job: &Job<'_>, seed: u64, kills: usize, per_second: usize) {
    println!("seed {seed}");
    let mut draw = Draw::new(seed);
    let mut instances: Vec<Option<Process>> =
        (0..2).map(|number| Some(job.start(&number.to_string()))).collect();
    let mut sinks = job.start_sinks().map(Some);
    let feeder = job.feed(per_second);
    // A twentieth of the input is left to be fed when the last one is back.
    let stretch = job.rows() * 19 / 20 / (kills + 1);
    for kill in 0..kills {
        feeder.reach(kill * stretch + draw.index(stretch).max(20));
        let victim = draw.index(instances.len());
        instances[victim].take().unwrap().kill();
        let killed_at = Instant::now();
        let before = job.settled();
        // A sink's reader is no member of any group: it goes on at once.
        let sink = draw.index(sinks.len());
        sinks[sink].take().unwrap().kill();
        sinks[sink] = Some(job.world.start("state-sinks", &job.sinks()[sink]));
        let is_taken_over = kill % 2 == 1;
        if !is_taken_over {
            instances[victim] = Some(job.start(&victim.to_string()));
        }
        let took = job.back_at_work(&before, killed_at);
        println!("kill {kill}: {}: {took:?}", if is_taken_over { "taken over" } else { "restarted" });
        assert!(took < BACK_AT_WORK, "back at work after {took:?}");
        if is_taken_over {
            instances[victim] = Some(job.start(&victim.to_string()));
        }
    }
    feeder.finish();
    job.caught_up();
    instances.into_iter().flatten().chain(sinks.into_iter().flatten()).for_each(Process::stop);
    job.finish(2);
    job.check();
}

#[test]
fn totals_under_sigkill_at_random_points() {
    let world = world();
    let kills = number("TIDEGATE_KILLS", 5);
    killed(&Job::totals(&world), 11, kills, 70 * 5 / kills.max(5));
}

#[test]
fn infractions_under_sigkill_at_random_points() {
    let world = world();
    let kills = number("TIDEGATE_KILLS", 5) / 2;
    killed(&Job::speeding(&world), 12, kills, 250);
}

/// The successor, and how long it took until it worked.
fn killed_and_started_again(job: &Job<'_>, process: Process) -> (Process, Duration) {
    process.kill();
    let killed_at = Instant::now();
    let before = job.settled();
    let process = job.start("0");
    let took = job.back_at_work(&before, killed_at);
    println!("restarted: {took:?}");
    (process, took)
}

/// One instance alone, killed and started again: its successor fences it and waits for its session, and no more.
#[test]
fn an_instance_alone_is_back_at_work_within_ten_seconds() {
    let world = world();
    let job = Job::totals(&world);
    let sinks = job.start_sinks();
    let mut process = job.start("0");
    let feeder = job.feed(250);
    for kill in 1..=2 {
        feeder.reach(kill * 600);
        let (successor, took) = killed_and_started_again(&job, process);
        process = successor;
        assert!(took < BACK_AT_WORK, "back at work after {took:?}");
    }
    feeder.finish();
    job.caught_up();
    process.stop();
    sinks.into_iter().for_each(Process::stop);
    job.finish(1);
    job.check();
}

/// The dead one's session is longer than a user looks at nothing.
#[test]
fn who_waits_for_the_dead_says_so() {
    let world = world();
    let mut job = Job::totals(&world);
    job.flags = "--session-timeout 15s".to_owned();
    let process = job.start("0");
    let feeder = job.feed(2_000);
    job.back_at_work(&job.positions().now(), Instant::now());
    process.kill();
    let process = job.start("0");
    let expected = "s now: worker `totals.0.0` waits for its group to assign tasks";
    until("a word about it", DEADLINE, || process.said().contains(expected));
    feeder.finish();
    job.caught_up();
    process.stop();
}

/// With static membership nobody waits for the dead one's session.
#[test]
fn a_static_member_is_back_at_once() {
    let world = world();
    let mut job = Job::totals(&world);
    job.flags = "--static-membership".to_owned();
    let process = job.start("0");
    let feeder = job.feed(400);
    feeder.reach(600);
    let (process, took) = killed_and_started_again(&job, process);
    assert!(took < Duration::from_secs(5), "back at work after {took:?}");
    feeder.finish();
    job.caught_up();
    process.stop();
    job.finish(1);
    job.check();
}
