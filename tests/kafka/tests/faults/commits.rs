//! Commits whose answer is lost on the way, and commits the broker never hears of (law 8).

use std::time::{Duration, Instant};

use tidegate_kafka_tests::clock::{DEADLINE, until};
use tidegate_kafka_tests::instances::Process;
use tidegate_kafka_tests::job::Job;
use tidegate_kafka_tests::proxied::{broker, broker_flags};
use tidegate_kafka_tests::proxy::Mode;

use crate::world;

/// Loses commits in a way until `enough` are lost, lets things calm down, and again.
fn through_losses(mode: Mode, enough: usize, for_at_least: Duration) {
    let world = world();
    let proxy = broker();
    proxy.set(Mode::Pass);
    let mut job = Job::totals(&world);
    job.through = Some(broker_flags(&world.cluster));
    let instances = [job.start("0"), job.start("1")];
    let feeder = job.feed(150);
    for at in [500, 1_500] {
        feeder.reach(at);
        let lost = proxy.lost();
        let started = Instant::now();
        proxy.set(mode);
        until("commits to be lost", DEADLINE, || {
            proxy.lost() >= lost + enough && started.elapsed() >= for_at_least
        });
        proxy.set(Mode::Pass);
        let passes_again = Instant::now();
        let took = job.back_at_work(&job.settled(), passes_again);
        println!("{} commits lost, back at work after {took:?}", proxy.lost() - lost);
        assert!(took < Duration::from_secs(30), "back at work after {took:?}");
    }
    feeder.finish();
    job.caught_up();
    instances.into_iter().for_each(Process::stop);
    job.through = None;
    job.finish(2);
    job.check();
}

#[test]
fn the_answer_to_one_commit_is_lost() {
    through_losses(Mode::LoseAnswers, 1, Duration::ZERO);
}

/// Longer than any patience with one request: the outcome stays unknown until the id is opened anew.
#[test]
fn the_answers_to_all_commits_are_lost_for_eight_seconds() {
    through_losses(Mode::LoseAnswers, 2, Duration::from_secs(8));
}

#[test]
fn commits_the_broker_never_hears_of() {
    through_losses(Mode::LoseRequests, 2, Duration::from_secs(8));
}
