//! Passing faults outside the commit: they end a session and never the worker, and the output is exact.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tidegate_runtime::worker::WorkerOptions;

use crate::counting::{Place, Running, Told, live, observed, until_end, wait_for};
use crate::faulty::{Call, Fault, FaultyLog};

const WRITTEN: u64 = 400;

fn exact(place: &Place, written: u64) {
    wait_for("the output", || place.count_output() as u64 == written);
}

#[test]
fn a_fault_of_any_question_at_the_start_is_tried_again() {
    use Call::{Committed, GroupEvent, Open, Reader, ReaderEvent, Register, Subscribe, Topics, Watermarks};
    for call in [Topics, Register, Subscribe, Open, Reader, Watermarks, Committed, GroupEvent, ReaderEvent] {
        let (mut place, told) = (Place::new(), Told::default());
        place.write(WRITTEN);
        let log = FaultyLog::new(&place.log);
        log.fail(call, 0, 2);
        let options = WorkerOptions { notice: told.notice(), ..until_end("a") };
        Running::start(&log.as_log(), options).wait().unwrap();
        place.check();
        assert_eq!(log.met(call), 2, "{call:?}");
        let lines = [
            format!("`counting.a.0` tries again: {call:?} is out of reach: test"),
            "`counting.a.0` goes on".to_owned(),
        ];
        assert_eq!(told.lines(), lines, "said once");
    }
}

/// Every round something else is away for a moment while there is work.
#[test]
fn a_fault_in_the_middle_costs_a_session_and_nothing_else() {
    use Call::{Commit, Committed, GroupEvent, Open, Reader, ReaderEvent, Subscribe, Watermarks};
    let mut place = Place::new();
    let log = FaultyLog::new(&place.log);
    let running = Running::start(&log.as_log(), live("a"));
    let mut written = 0;
    for passing in [0, 1, 3] {
        for call in [Watermarks, Committed, Open, Subscribe, Reader, ReaderEvent] {
            log.fail(call, passing.min(1), 1);
            // What has no need to be asked while all is well is asked after a fault that ends the session.
            log.fail(GroupEvent, passing, 1);
            log.fail(Commit, 1, 1);
            place.write(WRITTEN);
            written += WRITTEN;
            exact(&place, written);
        }
    }
    running.stop().unwrap();
    place.check();
    for call in [Watermarks, Committed, Open, Subscribe, Reader, ReaderEvent, GroupEvent, Commit] {
        assert!(log.met(call) > 0, "{call:?}");
    }
}

/// Law 8, when the id cannot be opened at once: nothing is read before it is.
#[test]
fn an_unknown_outcome_is_settled_before_anything_is_read() {
    for fault in [Fault::AnswerLost, Fault::RequestLost] {
        let mut place = Place::new();
        let log = FaultyLog::failing_commits(&place.log, fault, 7);
        // The first opening passes; of the others, two in a row fail.
        let running = Running::start(&log.as_log(), live("a"));
        let mut written = 0;
        for _ in 0..4 {
            log.fail(Call::Open, 0, 2);
            let met = log.met(Call::Open);
            // Work until the fault has been met: how many commits a round takes depends on where its chunks fall.
            wait_for("an outcome that is unknown", || {
                place.write(WRITTEN);
                written += WRITTEN;
                exact(&place, written);
                log.met(Call::Open) >= met + 2
            });
        }
        running.stop().unwrap();
        place.check();
    }
}

/// A broker that takes no commits is not asked ten times a second, each time with a restore.
#[test]
fn commits_that_fail_one_after_the_other_are_tried_ever_less_often() {
    let (mut place, told) = (Place::new(), Told::default());
    place.write(WRITTEN);
    let log = FaultyLog::new(&place.log);
    log.fail(Call::Commit, 0, 4);
    let begun = Instant::now();
    Running::start(&log.as_log(), WorkerOptions { notice: told.notice(), ..until_end("a") }).wait().unwrap();
    // The first is tried again at once; waits of 200, 400 and 800 ms follow.
    assert!(begun.elapsed() > Duration::from_millis(1_400), "{:?}", begun.elapsed());
    assert_eq!(log.met(Call::Commit), 4);
    assert_eq!(log.opened(), 4, "a session for each but the first");
    assert_eq!(told.count("tries again"), 1, "{:?}", told.lines());
    place.check();
}

/// All of the run is committed, the answer is lost, and the log is away for a while: it is still the same run when it comes back.
#[test]
fn a_bounded_run_keeps_its_number_over_sessions() {
    let (mut place, told) = (Place::new(), Told::default());
    place.write(WRITTEN);
    // Each of the four tasks begins its run with a commit; the fifth holds what is left when the tick comes.
    let log = FaultyLog::failing_commits(&place.log, Fault::AnswerLost, 5);
    log.fail(Call::Open, 1, u64::MAX);
    let interval = Duration::from_secs(1);
    let options = WorkerOptions { commit_interval: interval, notice: told.notice(), ..until_end("a") };
    let running = Running::start(&log.as_log(), options);
    wait_for("the log to go away", || told.count("Open is out of reach") == 1);
    place.append(&[(b"late".to_vec(), b"good")]);
    log.fail(Call::Open, 0, 0);
    running.wait().unwrap();
    assert_eq!(
        place.count_output() as u64,
        WRITTEN,
        "what was written after the start belongs to the next run"
    );
}

/// Another process did the rest of the run and has begun the next one: an older one of ours does not take a task back to it.
#[test]
fn a_task_of_a_later_run_is_not_taken_back() {
    let (mut place, told) = (Place::new(), Told::default());
    place.write(WRITTEN);
    let log = FaultyLog::new(&place.log);
    log.fail(Call::GroupEvent, 0, u64::MAX);
    let options = WorkerOptions { notice: told.notice(), ..until_end("slow") };
    let slow = Running::start(&log.as_log(), options);
    wait_for("a session to end", || told.count("GroupEvent is out of reach") == 1);
    for _ in 0..2 {
        place.write(WRITTEN);
        Running::start(&place.log, until_end("other")).wait().unwrap();
    }
    log.fail(Call::GroupEvent, 0, 0);
    slow.wait().unwrap();
    place.check();
    assert_eq!(log.commits(), 0, "it had nothing left to do");
}

#[test]
fn a_stop_is_heard_while_the_log_is_away() {
    for call in
        [Call::Topics, Call::Open, Call::Watermarks, Call::Committed, Call::GroupEvent, Call::ReaderEvent]
    {
        let (mut place, told) = (Place::new(), Told::default());
        place.write(WRITTEN);
        let log = FaultyLog::new(&place.log);
        log.fail(call, 0, u64::MAX);
        let running = Running::start(&log.as_log(), WorkerOptions { notice: told.notice(), ..live("a") });
        // So often that the wait for the next time is a long one.
        wait_for("a fault", || log.met(call) == 4);
        let asked = Instant::now();
        running.stop().unwrap();
        assert!(asked.elapsed() < Duration::from_millis(500), "{call:?}: {:?}", asked.elapsed());
        assert_eq!(told.count("tries again"), 1, "{call:?}: {:?}", told.lines());
    }
}

/// What cannot be committed at the end is done again by the next life; the stop does not wait for it.
#[test]
fn a_stop_without_a_last_commit_loses_nothing() {
    for fault in [Fault::AnswerLost, Fault::RequestLost, Fault::Transient] {
        let (mut place, told) = (Place::new(), Told::default());
        // The four tasks begin their run with a commit each; with such an interval the next one is that of the stop.
        let log = FaultyLog::failing_commits(&place.log, fault, 5);
        place.write(WRITTEN);
        let never = Duration::from_secs(3_600);
        let options = WorkerOptions { commit_interval: never, notice: told.notice(), ..until_end("a") };
        let seen = Arc::default();
        let running = Running::start_topology(&log.as_log(), observed(&seen), options);
        wait_for("the input to be processed", || seen.load(Ordering::SeqCst) == WRITTEN);
        running.stop().unwrap();
        assert_eq!(log.commits(), 5);
        assert_eq!(told.count("stops without its last commit"), 1, "{:?}", told.lines());
        Running::start(&place.log, until_end("a")).wait().unwrap();
        place.check();
    }
}

/// On Kafka the log itself ends a transaction that was open for too long, and says the same as for a newer instance.
#[test]
fn a_worker_that_was_fenced_and_not_replaced_begins_again() {
    let (mut place, told) = (Place::new(), Told::default());
    let log = FaultyLog::new(&place.log);
    let running = Running::start(&log.as_log(), WorkerOptions { notice: told.notice(), ..live("a") });
    for round in 1..=3 {
        place.write(WRITTEN);
        exact(&place, round * WRITTEN);
        log.fail(Call::IsReplaced, 0, 1);
        // Raises the epoch, as the log does.
        drop(place.log.producer("counting.a.0").unwrap());
    }
    place.write(WRITTEN);
    exact(&place, 4 * WRITTEN);
    running.stop().unwrap();
    place.check();
    assert_eq!(log.met(Call::IsReplaced), 3);
    assert_eq!(
        told.count("this process stood still for longer than its transaction timeout"),
        1,
        "{:?}",
        told.lines()
    );
}
