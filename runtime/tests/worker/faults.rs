//! Unknown outcomes, fencing, a registry out of reach.

use std::time::Duration;

use tidegate_runtime::worker::WorkerOptions;
use tidegate_runtime::{Error, Reaction};

use crate::counting::{Place, Running, live, until_end, wait_for};
use crate::faulty::{Call, Fault, FaultyLog};

fn exact_under(fault: Fault) {
    let copies = tempfile::tempdir().unwrap();
    for state_directory in [None, Some(copies.path().to_owned())] {
        exact_with(fault, WorkerOptions { state_directory, ..live("a") });
    }
}

fn exact_with(fault: Fault, options: WorkerOptions) {
    let mut place = Place::new();
    let log = FaultyLog::failing_commits(&place.log, fault, 3);
    let running = Running::start(&log.as_log(), options);
    for round in 1..=12_u64 {
        place.write(400);
        wait_for("the output", || place.count_output() as u64 == round * 400);
    }
    running.stop().unwrap();
    place.check();
    assert!(log.commits() >= 12, "the fault was met");
}

#[test]
fn a_commit_whose_answer_is_lost_is_not_done_twice() {
    exact_under(Fault::AnswerLost);
}

#[test]
fn a_commit_that_is_lost_is_done_again() {
    exact_under(Fault::RequestLost);
}

#[test]
fn a_commit_that_passes_on_the_next_try_loses_nothing() {
    exact_under(Fault::Transient);
}

#[test]
fn a_second_process_under_the_same_id_ends_the_first() {
    let mut place = Place::new();
    place.write(1_000);
    let first = Running::start(&place.log, live("same"));
    wait_for("the first to work", || place.count_output() == 1_000);
    let second = Running::start(&place.log, live("same"));
    // The first finds out when it next commits.
    place.write(1_000);
    let error = first.wait().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`counting.same.0` was fenced: another process runs as instance `same`; give each its own --instance-id"
    );
    assert_eq!(error.reaction(), Reaction::Release);
    wait_for("the second to work", || place.count_output() == 2_000);
    second.stop().unwrap();
    place.check();
}

/// It loses its tasks before it ever commits: going back to what is committed must not fence whoever has them now.
#[test]
fn a_replaced_process_does_not_fence_its_successor() {
    for _ in 0..10 {
        let mut place = Place::new();
        place.write(1_000);
        let never = WorkerOptions { commit_interval: Duration::from_secs(3_600), ..live("same") };
        let first = Running::start(&place.log, never);
        wait_for("an assignment", || is_assigned(&place));
        let second = Running::start(&place.log, live("same"));
        let error = first.wait().unwrap_err();
        assert!(matches!(error, Error::Fenced { .. }), "{error}");
        wait_for("the second to work", || place.count_output() == 1_000);
        second.stop().unwrap();
        place.check();
    }
}

/// The first is so slow to start that it opens the transactional id behind its successor, and fences it. The successor finds nobody in its
/// place and goes on; the first finds its successor in the group.
#[test]
fn a_slow_start_does_not_end_the_successor() {
    let mut place = Place::new();
    place.write(1_000);
    let log = FaultyLog::new(&place.log);
    let (sender, second) = std::sync::mpsc::channel();
    let inner = place.log.clone();
    log.meanwhile(Call::Open, move || {
        let second = Running::start(&inner, live("same"));
        wait_for("its first commit", || {
            inner.groups().unwrap().iter().any(|group| !group.offsets.is_empty())
        });
        sender.send(second).unwrap();
    });
    let error = Running::start(&log.as_log(), live("same")).wait().unwrap_err();
    assert!(error.to_string().contains("another process runs as instance `same`"), "{error}");
    place.write(1_000);
    wait_for("the second to work", || place.count_output() == 2_000);
    second.recv().unwrap().stop().unwrap();
    place.check();
}

#[test]
fn a_silent_member_is_replaced_and_what_it_had_open_is_void() {
    let mut place = Place::new();
    place.write(1_000);
    // The silent one holds its records back for so long that it never commits them.
    let silent = WorkerOptions {
        commit_interval: Duration::from_secs(3_600),
        session_timeout: Duration::from_secs(2),
        ..live("silent")
    };
    let silent = Running::start(&place.log, silent);
    wait_for("an assignment", || is_assigned(&place));
    let other = Running::start(&place.log, live("other"));
    silent.stop().unwrap();
    wait_for("the other to finish", || place.count_output() == 1_000);
    other.stop().unwrap();
    place.check();
}

#[test]
fn a_registry_out_of_reach_makes_no_dead_letters() {
    let place = Place::new();
    let log = FaultyLog::new(&place.log);
    log.fail(Call::Schema, 0, 3);
    let id = place.log.registry().register("words-value", r#""string""#).unwrap();
    let mut value = vec![0];
    value.extend_from_slice(&id.0.to_be_bytes());
    value.extend_from_slice(&[2, b'x']);
    place.append(&[(b"k".to_vec(), &value)]);
    Running::start(&log.as_log(), until_end("a")).wait().unwrap();
    assert_eq!(place.count_output(), 1);
    assert!(place.read("counting-dead-letters").is_empty());
    assert_eq!(log.met(Call::Schema), 3, "the registry was asked until it answered");
}

fn is_assigned(place: &Place) -> bool {
    let groups = place.log.groups().unwrap();
    groups.iter().flat_map(|group| &group.members).any(|member| !member.partitions.is_empty())
}
