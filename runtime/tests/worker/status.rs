//! What a board shows: counters that never go back and count each record once, whatever becomes of tasks and commits.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_runtime::task::Phase;
use tidegate_runtime::worker::{FailedCommits, Snapshot, Standing, StatusBoard, WorkerOptions};

use crate::counting::{PARTITIONS, Place, Running, live, until_end, wait_for};
use crate::faulty::{Call, Fault, FaultyLog};

fn shown_on(board: &StatusBoard, options: WorkerOptions) -> WorkerOptions {
    WorkerOptions { status: board.clone(), ..options }
}

/// What the workers of a process did together.
fn processed(snapshot: &Snapshot) -> u64 {
    snapshot.ledgers.values().map(|ledger| ledger.processed()).sum()
}

/// Looks all the time, and remembers if a counter ever went back.
#[derive(Default)]
struct Watch {
    last: BTreeMap<(u32, u32), u64>,
}

impl Watch {
    fn look(&mut self, board: &StatusBoard) -> u64 {
        let snapshot = board.snapshot();
        for (place, ledger) in &snapshot.ledgers {
            let count = ledger.processed();
            let before = self.last.insert(*place, count).unwrap_or_default();
            assert!(
                before <= count,
                "the counter of worker and task {place:?} went from {before} to {count}"
            );
        }
        for place in self.last.keys() {
            assert!(snapshot.ledgers.contains_key(place), "the counter of {place:?} has gone");
        }
        processed(&snapshot)
    }
}

fn counts_exactly_under(fault: Fault) -> FailedCommits {
    let mut place = Place::new();
    let log = FaultyLog::failing_commits(&place.log, fault, 3);
    let board = StatusBoard::default();
    let running = Running::start(&log.as_log(), shown_on(&board, live("a")));
    let mut watch = Watch::default();
    for round in 1..=8_u64 {
        place.write(400);
        wait_for("the counters", || watch.look(&board) >= round * 400);
    }
    running.stop().unwrap();
    place.check();
    assert_eq!(watch.look(&board), 3_200, "each record counts once");
    let failed = board.snapshot().workers[&0].failed_commits;
    let faults = log.commits() / 3;
    assert!(faults >= 2, "the fault was met");
    assert_eq!(failed.unknown + failed.failed, faults, "and counted");
    failed
}

#[test]
fn a_commit_whose_answer_is_lost_counts_once_its_task_shows_it() {
    let failed = counts_exactly_under(Fault::AnswerLost);
    assert_eq!((failed.fenced, failed.failed), (0, 0));
}

#[test]
fn a_commit_that_is_lost_does_not_count() {
    let failed = counts_exactly_under(Fault::RequestLost);
    assert_eq!((failed.fenced, failed.failed), (0, 0));
}

#[test]
fn a_commit_that_fails_does_not_count() {
    let failed = counts_exactly_under(Fault::Transient);
    assert_eq!((failed.unknown, failed.fenced), (0, 0));
}

#[test]
fn tasks_that_come_and_go_count_where_they_were_processed() {
    let mut place = Place::new();
    let here = StatusBoard::default();
    let constant = Running::start(&place.log, shown_on(&here, live("constant")));
    let mut watch = Watch::default();
    // What guests did that are gone again: each is a process of its own, with a board of its own.
    let mut gone = 0;
    for round in 1..=4_u64 {
        let (elsewhere, mut guests) = (StatusBoard::default(), Watch::default());
        let guest = Running::start(&place.log, shown_on(&elsewhere, live("guest")));
        wait_for("two owners", || here.tasks().len() == 2 && elsewhere.tasks().len() == 2);
        place.write(1_000);
        let before = (2 * round - 1) * 1_000;
        wait_for("all of it", || gone + watch.look(&here) + guests.look(&elsewhere) >= before);
        assert!(guests.look(&elsewhere) > 0, "the guest works too");
        guest.stop().unwrap();
        gone += guests.look(&elsewhere);
        wait_for("one owner", || here.tasks().len() == PARTITIONS as usize);
        place.write(1_000);
        wait_for("all of it", || gone + watch.look(&here) >= before + 1_000);
    }
    constant.stop().unwrap();
    place.check();
    assert_eq!(gone + watch.look(&here), 8_000, "each record counts once");
    let worker = &here.snapshot().workers[&0];
    assert_eq!(worker.tasks_created - worker.tasks_closed, u64::from(PARTITIONS), "it hosts all of them");
}

#[test]
fn a_board_shows_phase_lag_state_and_what_was_restored() {
    let mut place = Place::new();
    place.write(2_000);
    let first = StatusBoard::default();
    Running::start(&place.log, shown_on(&first, until_end("a"))).wait().unwrap();
    let before = first.snapshot();
    for (number, task) in &before.tasks {
        assert_eq!((task.phase, task.lag_records, task.restore_left_offsets), (Phase::Ended, 0, 0));
        let [input] = task.inputs.as_slice() else { panic!("it has one input") };
        assert_eq!(input.partition.to_string(), format!("words[{number}]"));
        assert_eq!(input.lag_records, Some(0));
        let [store] = task.stores.as_slice() else { panic!("it has one store") };
        assert_eq!(store.name, "counts");
        assert!(store.size_bytes > store.entries, "{store:?}");
    }
    let entries: usize = before.tasks.values().flat_map(|task| &task.stores).map(|store| store.entries).sum();
    assert_eq!(entries, 50, "a key each");
    let restored = |snapshot: &Snapshot| -> u64 {
        snapshot.ledgers.values().map(|ledger| ledger.restored_offsets).sum()
    };
    assert_eq!(restored(&before), 0, "there was nothing to restore");
    assert!(before.ledgers.values().all(|ledger| ledger.changelog_bytes > 0));
    let worker = &before.workers[&0];
    assert_eq!(&*worker.name, "counting.a.0");
    assert!(worker.polls > 0 && worker.commits.count() > 0 && worker.committed.is_some());
    assert_eq!((&worker.standing, &worker.unanswered), (&Standing::Member, &None));
    assert!(worker.waited > Duration::ZERO);

    let second = StatusBoard::default();
    Running::start(&place.log, shown_on(&second, until_end("b"))).wait().unwrap();
    let after = second.snapshot();
    assert_eq!(processed(&after), 0, "the first one did it");
    assert_eq!(second.total("processed"), 2_000, "the application's own count");
    assert!(restored(&after) >= u64::from(PARTITIONS));
    let stores =
        |snapshot: &Snapshot| -> Vec<_> { snapshot.tasks.values().map(|task| task.stores.clone()).collect() };
    assert_eq!(stores(&before), stores(&after), "state comes back equal");
}

fn standing(board: &StatusBoard) -> Option<Standing> {
    board.snapshot().workers.get(&0).map(|worker| worker.standing.clone())
}

#[test]
fn counters_outlive_a_session_and_what_ended_it_is_shown_until_the_next_has_joined() {
    let mut place = Place::new();
    let log = FaultyLog::new(&place.log);
    let board = StatusBoard::default();
    log.fail(Call::Topics, 0, u64::MAX);
    let running = Running::start(&log.as_log(), shown_on(&board, live("a")));
    let away = |what: &str| Some(Standing::Outside(Some(format!("{what} is out of reach: test"))));
    wait_for("the reason it cannot begin", || standing(&board) == away("Topics"));
    log.fail(Call::Topics, 0, 0);
    let mut watch = Watch::default();
    place.write(400);
    wait_for("the first records", || watch.look(&board) == 400);
    assert_eq!(standing(&board), Some(Standing::Member));

    log.fail(Call::Subscribe, 0, u64::MAX);
    log.fail(Call::GroupEvent, 0, 1);
    place.write(400);
    wait_for("the reason it is out", || standing(&board) == away("Subscribe"));
    let between = board.snapshot();
    assert!(between.tasks.is_empty(), "it hosts nothing now");
    let worker = &between.workers[&0];
    assert_eq!(worker.tasks_created, worker.tasks_closed);
    assert!(worker.failed_sessions >= 3, "one at the start, the one that ended, one that could not begin");
    log.fail(Call::Subscribe, 0, 0);
    wait_for("the rest", || watch.look(&board) == 800);
    running.stop().unwrap();
    place.check();
}

#[test]
fn a_worker_there_is_nothing_for_is_a_member_too() {
    let place = Place::new();
    let boards = [(); PARTITIONS as usize + 1].map(|()| StatusBoard::default());
    let names = ["a", "b", "c", "d", "e"];
    let workers: Vec<Running> = boards
        .iter()
        .zip(names)
        .map(|(board, name)| Running::start(&place.log, shown_on(board, live(name))))
        .collect();
    let is_spare =
        |board: &&StatusBoard| standing(board) == Some(Standing::Member) && board.tasks().is_empty();
    wait_for("four owners and a spare", || {
        let owners = boards.iter().filter(|board| board.tasks().len() == 1).count();
        owners == PARTITIONS as usize && boards.iter().filter(is_spare).count() == 1
    });
    workers.into_iter().for_each(|worker| worker.stop().unwrap());
}
