//! Tables run ahead, live: a record of a stream is judged by everything that was in the tables before it (law 18).
//!
//! The topology counts the readings that are judged without a registration that was committed before they were.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidegate_runtime::log::embedded::EmbeddedLog;
use tidegate_runtime::log::{Log, partition_for};
use tidegate_runtime::worker::{StatusBoard, WorkerOptions};

use crate::counting::{Running, live, until_end, wait_for};
use crate::faulty::{Call, FaultyLog};
use crate::judging::{PARTITIONS, create_topics, judging, write, write_in_turn};

fn log_of(directory: &std::path::Path) -> Arc<dyn Log> {
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(directory).unwrap());
    create_topics(log.as_ref());
    log
}

/// A transaction for each record, as fast as it goes: a change in each table, and then the reading that needs both. What comes of
/// the broadcast table comes late, so that records which were fetched at different times wait together.
#[test]
fn a_reading_never_misses_what_was_committed_before_it() {
    let readings = 100;
    let rounds = std::env::var("TIDEGATE_LIVE_ROUNDS").map_or(20, |rounds| rounds.parse().unwrap());
    let mut missed = BTreeMap::new();
    for round in 0..rounds {
        let directory = tempfile::tempdir().unwrap();
        let log = log_of(directory.path());
        let board = StatusBoard::default();
        let options = WorkerOptions { status: board.clone(), ..live("a") };
        let slow = FaultyLog::new(&log);
        slow.slow_down(Call::ReaderEvent, Duration::from_millis(5));
        let running = Running::start_topology(&slow.as_log(), judging(), options);
        let mut producer = log.producer("writer").unwrap();
        write_in_turn(producer.as_mut(), 0..readings);
        wait_for("every judgement", || board.total("judged") == readings);
        running.stop().unwrap();
        if board.total("missed") > 0 {
            missed.insert(round, board.total("missed"));
        }
    }
    assert_eq!(missed, BTreeMap::new(), "missed by round, of {rounds} rounds");
}

/// A table that stands still holds back what is judged by it, and the board shows which.
#[test]
fn a_wait_for_a_table_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let log = log_of(directory.path());
    let board = StatusBoard::default();
    let options = WorkerOptions { status: board.clone(), ..live("a") };
    let slow = FaultyLog::new(&log);
    let running = Running::start_topology(&slow.as_log(), judging(), options);
    let mut producer = log.producer("writer").unwrap();
    for topic in ["owners", "limits", "readings"] {
        write(producer.as_mut(), topic, b"a", 1_000, 1);
    }
    wait_for("the first judgement", || board.total("judged") == 1);
    slow.slow_down(Call::ReaderEvent, Duration::from_millis(700));
    for topic in ["owners", "limits", "readings"] {
        write(producer.as_mut(), topic, b"a", 1_001, 2);
    }
    wait_for("the wait to be shown", || {
        let tasks = board.tasks();
        tasks.values().filter_map(|task| task.table_wait.as_ref()).any(|wait| {
            (&*wait.partition.topic, wait.partition.partition, wait.left_offsets)
                == ("limits", partition_for(b"a", PARTITIONS), 1)
        })
    });
    wait_for("the second judgement", || board.total("judged") == 2);
    wait_for("the wait to be over", || board.tasks().values().all(|task| task.table_wait.is_none()));
    running.stop().unwrap();
    assert_eq!(board.total("missed"), 0);
}

/// Law 5: a run's ends are asked while somebody writes. Asked in the other order, the tables would miss what a reading before its end needs.
#[test]
fn the_ends_of_tables_are_asked_after_those_of_streams() {
    let directory = tempfile::tempdir().unwrap();
    let log = log_of(directory.path());
    let mut producer = log.producer("writer").unwrap();
    write_in_turn(producer.as_mut(), 0..7);
    let is_over = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let is_over = is_over.clone();
        move || {
            for number in (7..).take_while(|_| !is_over.load(Ordering::Relaxed)) {
                write_in_turn(producer.as_mut(), number..number + 1);
            }
        }
    });
    let slow = FaultyLog::new(&log);
    slow.slow_down(Call::Watermarks, Duration::from_millis(20));
    let board = StatusBoard::default();
    let options = WorkerOptions { status: board.clone(), ..until_end("a") };
    let outcome = Running::start_topology(&slow.as_log(), judging(), options).wait();
    is_over.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    outcome.unwrap();
    assert!(board.total("judged") > 7, "something was written meanwhile");
    assert_eq!(board.total("missed"), 0);
}
