//! Processes that come back after others have taken over, two processes with one name, instances that come and go.

use std::time::{Duration, Instant};

use tidegate_kafka_tests::clock::pass;
use tidegate_kafka_tests::draw::Draw;
use tidegate_kafka_tests::instances::Process;
use tidegate_kafka_tests::job::{BACK_AT_WORK, Job};

use crate::world;

/// SIGSTOP beyond the session timeout, and back: the group has moved on, and the zombie is told.
#[test]
fn a_stopped_instance_is_fenced_when_it_comes_back_and_says_so() {
    let world = world();
    let job = Job::totals(&world);
    let sinks = job.start_sinks();
    let (mut zombie, heir) = (job.start("zombie"), job.start("heir"));
    let feeder = job.feed(150);
    feeder.reach(600);
    zombie.signal("STOP");
    let stopped_at = Instant::now();
    let before = job.settled();
    let took = job.back_at_work(&before, stopped_at);
    println!("taken over: {took:?}");
    assert!(took < BACK_AT_WORK, "taken over after {took:?}");
    // Not only taken over: two more seconds of commits by the heir.
    pass(Duration::from_secs(2));
    zombie.signal("CONT");
    zombie.says_one_of(&["fenced", "lost its tasks"]);
    feeder.finish();
    job.caught_up();
    zombie.stop();
    heir.stop();
    sinks.into_iter().for_each(Process::stop);
    job.finish(2);
    job.check();
}

/// The same with nobody else there: the group has forgotten it, and it joins anew by itself.
#[test]
fn an_instance_alone_that_was_stopped_goes_on_by_itself() {
    let world = world();
    let job = Job::totals(&world);
    let process = job.start("0");
    let feeder = job.feed(250);
    feeder.reach(600);
    process.signal("STOP");
    pass(Duration::from_secs(9));
    let before = job.settled();
    process.signal("CONT");
    let took = job.back_at_work(&before, Instant::now());
    println!("awake again: {took:?}");
    assert!(took < BACK_AT_WORK, "back at work after {took:?}");
    feeder.finish();
    job.caught_up();
    process.stop();
    job.finish(1);
    job.check();
}

/// On one machine the second is refused; on another machine, where no lock can be seen, the first is fenced.
#[test]
fn two_processes_with_one_instance_id() {
    let world = world();
    let job = Job::totals(&world);
    let feeder = job.feed(250);
    let mut first = job.start("0");
    feeder.reach(300);
    job.back_at_work(&job.positions().now(), Instant::now());
    job.start("0").refuses(4, &["instance `0`", "--instance-id"]);
    let line = "process totals --grace 2s --instance-id 0 --commit-interval 20ms";
    let second = world.start("state-of-another-machine", line);
    let status = first.ended_within(Duration::from_secs(30));
    assert!(!status.success(), "the older one ends: {}", first.said());
    first.says("fenced");
    feeder.finish();
    job.caught_up();
    second.stop();
    job.finish(1);
    job.check();
}

/// Instances are added and removed every few seconds; every third leaves without a word.
#[test]
fn instances_come_and_go() {
    let world = world();
    let job = Job::speeding(&world);
    let sinks = job.start_sinks();
    let mut draw = Draw::new(21);
    let feeder = job.feed(250);
    let mut running = vec![job.start("0")];
    for step in 1..=9 {
        feeder.reach(step * job.rows() / 11);
        if running.len() > 1 && (running.len() == 4 || draw.below(2) == 0) {
            let gone = running.remove(draw.index(running.len()));
            if step % 3 == 0 { gone.kill() } else { gone.stop() }
        } else {
            running.push(job.start(&step.to_string()));
        }
    }
    feeder.finish();
    job.caught_up();
    running.into_iter().chain(sinks).for_each(Process::stop);
    job.finish(3);
    job.check();
}

/// A planned stop leaves the group at once: nobody waits for a session to end.
#[test]
fn a_planned_stop_hands_over_at_once() {
    let world = world();
    let job = Job::totals(&world);
    let (one, other) = (job.start("one"), job.start("other"));
    let feeder = job.feed(250);
    feeder.reach(800);
    one.stop();
    let stopped_at = Instant::now();
    let before = job.settled();
    let took = job.back_at_work(&before, stopped_at);
    println!("handed over: {took:?}");
    assert!(took < Duration::from_secs(4), "handed over after {took:?}");
    feeder.finish();
    job.caught_up();
    other.stop();
    job.finish(1);
    job.check();
}
