use std::time::Duration;

use tidegate_runtime::worker::{StatusBoard, WorkerOptions};

use crate::counting::{Place, Running, live, until_end, wait_for};

#[test]
fn a_bounded_run_processes_everything_and_ends() {
    let mut place = Place::new();
    place.write(5_000);
    Running::start(&place.log, until_end("a")).wait().unwrap();
    place.check();
}

#[test]
fn an_empty_input_ends_too() {
    let place = Place::new();
    Running::start(&place.log, until_end("a")).wait().unwrap();
    Running::start(&place.log, until_end("a")).wait().unwrap();
    place.check();
}

#[test]
fn the_next_run_goes_on_where_the_last_one_ended() {
    let mut place = Place::new();
    for round in 1..4 {
        place.write(round * 500);
        Running::start(&place.log, until_end("a")).wait().unwrap();
        place.check();
    }
    // And one without anything new changes nothing.
    Running::start(&place.log, until_end("b")).wait().unwrap();
    place.check();
}

#[test]
fn a_bounded_run_leaves_what_came_after_its_start() {
    let mut place = Place::new();
    place.write(1_000);
    let mut first = until_end("a");
    // A commit interval this long keeps the run from ending before the rest is written.
    first.commit_interval = Duration::from_secs(1);
    let board = first.status.clone();
    let running = Running::start(&place.log, first);
    wait_for("the start", || place.log.groups().unwrap().iter().any(|group| !group.offsets.is_empty()));
    let before = place.count_output();
    drop(board);
    place.append(&[(b"late".to_vec(), b"good")]);
    running.wait().unwrap();
    assert!(before <= 1_000);
    assert_eq!(place.count_output(), 1_000, "the record written after the start belongs to the next run");
}

#[test]
fn stopped_at_any_time_it_goes_on_exactly() {
    let mut place = Place::new();
    for life in 0..8 {
        place.write(700);
        let running = Running::start(&place.log, live("a"));
        let goal = 700 * life + 90 * life;
        wait_for("some output", || place.count_output() as u64 > goal);
        running.stop().unwrap();
    }
    Running::start(&place.log, until_end("a")).wait().unwrap();
    place.check();
}

#[test]
fn several_workers_give_the_same_answer() {
    let mut place = Place::new();
    place.write(20_000);
    let workers: Vec<_> =
        ["a", "b", "c", "d", "e"].map(|name| Running::start(&place.log, until_end(name))).into();
    for worker in workers {
        worker.wait().unwrap();
    }
    place.check();
}

#[test]
fn tasks_move_between_workers_that_come_and_go() {
    let mut place = Place::new();
    let_tasks_move(&mut place, 3_000, live);
    Running::start(&place.log, until_end("last")).wait().unwrap();
    place.check();
}

/// Half of the tasks go to a guest and come back, six times, with so many records before and after each move.
pub(crate) fn let_tasks_move(place: &mut Place, records: u64, options: impl Fn(&str) -> WorkerOptions) {
    let constant = Running::start(&place.log, options("constant"));
    for round in 0..6 {
        place.write(records);
        let guest = Running::start(&place.log, options(&format!("guest-{round}")));
        wait_for("two owners", || {
            let groups = place.log.groups().unwrap();
            let members = groups.iter().find(|group| group.group == "counting").map(|group| &group.members);
            members.is_some_and(|members| {
                members.len() == 2 && members.iter().all(|member| !member.partitions.is_empty())
            })
        });
        place.write(records);
        guest.stop().unwrap();
    }
    constant.stop().unwrap();
}

#[test]
fn idle_time_moves_stream_time_by_what_has_elapsed() {
    let mut place = Place::new();
    place.write(100);
    let status = StatusBoard::default();
    let options =
        WorkerOptions { idle_close: Some(Duration::from_millis(50)), status: status.clone(), ..live("a") };
    let running = Running::start(&place.log, options);
    wait_for("idle time", || status.total("idle-advanced-ms") > 200);
    running.stop().unwrap();
    for (number, task) in status.tasks() {
        let moved = task.counters.get("idle-advanced-ms");
        if let Some(time) = task.stream_time {
            assert!(time.0 > 1_000, "task {number} moved");
            assert!(
                time.0 <= 1_100 + i64::try_from(moved).unwrap(),
                "by {moved} ms, not to the clock: {time}"
            );
        }
    }
    place.check();
}
