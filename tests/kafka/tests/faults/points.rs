//! SIGKILL at each named point of the code, and a proof that every point was visited.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;

use tidegate_kafka_tests::check::{compare, content};
use tidegate_kafka_tests::clock::DEADLINE;
use tidegate_kafka_tests::instances::Process;
use tidegate_kafka_tests::job::Job;
use tidegate_kafka_tests::reader::read;
use tidegate_kafka_tests::world::words;
use tidegate_runtime::fault_point::POINTS;

use crate::world;

/// What brings a process to a point.
enum Way {
    /// Being started on an application that has work.
    Start,
    /// Another instance's coming, after it owns something.
    Newcomer,
    /// Waking after the group has given its tasks away.
    Waking,
    Sink,
    Producer,
}

fn way(point: &str) -> Way {
    match point {
        "in-abort" => Way::Waking,
        _ if point.starts_with("in-revocation") => Way::Newcomer,
        _ if point.starts_with("sink-") => Way::Sink,
        _ if point.starts_with("ingest-") => Way::Producer,
        _ => Way::Start,
    }
}

/// A process with a point armed must die there, by its own SIGKILL.
fn dies(mut process: Process, point: &str) {
    let status = process.ended_within(DEADLINE);
    assert_eq!(status.signal(), Some(9), "at `{point}`: {status}: {}", process.said());
}

fn armed(mut command: std::process::Command, point: &str, visit: u32) -> Process {
    command.env("TIDEGATE_FAULT_POINT", format!("{point}:{visit}"));
    Process::start(command)
}

/// So many rows come with every kill, so that there is something to do until the last of them.
const ROWS: usize = 150;

#[test]
fn totals_killed_at_every_point_of_a_processor_and_its_sinks() {
    let world = world();
    let mut job = Job::totals(&world);
    // Something uncommitted is in hand at almost every moment.
    job.commit_interval = "500ms";
    let feeder = job.feed(100);
    feeder.allow(ROWS);
    // Somebody has worked before: there is something to restore.
    let first = job.start("first");
    job.back_at_work(&job.positions().now(), first.started);
    first.stop();
    let mut kills = BTreeMap::new();
    let more = |kills: &BTreeMap<&str, usize>| feeder.allow((kills.values().sum::<usize>() + 2) * ROWS);
    for point in POINTS.into_iter().filter(|point| !matches!(way(point), Way::Producer)) {
        more(&kills);
        match way(point) {
            Way::Sink => {
                let process = job.start("alone");
                for line in job.sinks() {
                    more(&kills);
                    dies(armed(world.command("state-sinks", &words(&line)), point, 1), point);
                    *kills.entry(point).or_default() += 1;
                }
                process.stop();
            }
            Way::Waking => {
                let (victim, heir) = overtaken(&job, point);
                dies(victim, point);
                heir.stop();
                *kills.entry(point).or_default() += 1;
            }
            way => {
                let victim = armed(job.processor("victim", ""), point, 1);
                let newcomer = matches!(way, Way::Newcomer).then(|| {
                    job.back_at_work(&job.positions().now(), victim.started);
                    more(&kills);
                    job.start("newcomer")
                });
                dies(victim, point);
                newcomer.into_iter().for_each(Process::stop);
                *kills.entry(point).or_default() += 1;
            }
        }
        println!("killed at {point}");
    }
    feeder.finish();
    job.finish(2);
    job.check();
    let left_out: Vec<_> =
        POINTS.iter().filter(|point| !kills.contains_key(*point) && !point.starts_with("ingest-")).collect();
    assert!(left_out.is_empty(), "no process was killed at {left_out:?}");
}

/// An instance that stood still with something uncommitted in its hands until another had taken its tasks over; and that other.
fn overtaken(job: &Job<'_>, point: &str) -> (Process, Process) {
    let mut command = job.processor("victim", "");
    command.env("TIDEGATE_FAULT_STOP", "after-processing-before-produce:1");
    let mut victim = armed(command, point, 1);
    victim.stands_still();
    let heir = job.start("heir");
    job.back_at_work(&job.settled(), heir.started);
    victim.signal("CONT");
    (victim, heir)
}

/// Law 12: what a simulator writes is the same whether it was killed or not.
#[test]
fn a_simulator_killed_at_every_point_of_a_producer() {
    let world = world();
    let line = "simulate invoices --count 3000 --rate 1500 --duplicates 1% --malformed 1%";
    let points = POINTS.iter().filter(|point| point.starts_with("ingest-"));
    let mut kills = 0;
    for point in points {
        for visit in [1, 3] {
            dies(armed(world.command("state", &words(line)), point, visit), point);
            kills += 1;
        }
    }
    assert!(kills >= 4);
    world.run(line);
    let killed = content(&read(world.brokers(), "invoices"));
    world.behind.empty();
    world.run(line);
    compare("invoices", &killed, &content(&read(world.brokers(), "invoices"))).unwrap();
}
