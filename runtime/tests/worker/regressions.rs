//! Faults that a review found: each test failed before its fault was mended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate_runtime::driver::TestDriver;
use tidegate_runtime::log::embedded::EmbeddedLog;
use tidegate_runtime::log::{Cleanup, Log, Outgoing, Producer, RecordRef, TopicSpec};
use tidegate_runtime::processor::{Context, Processor};
use tidegate_runtime::store::{KeyValueStore, Store};
use tidegate_runtime::task::ErrorBudget;
use tidegate_runtime::time::EventTime;
use tidegate_runtime::topology::{Source, Topology};
use tidegate_runtime::worker::{StatusBoard, WorkerOptions};
use tidegate_runtime::{BadRecord, Error};

use crate::counting::{Place, Running, Told, live, topology, until_end, wait_for};
use crate::faulty::{Call, Fault, FaultyLog};

/// An eviction costs a rejoin: the worker goes on, and nothing is counted twice.
#[test]
fn an_evicted_worker_joins_again() {
    let mut place = Place::new();
    let database = place.path().join("log.sqlite3");
    let told = Told::default();
    let running = Running::start(&place.log, WorkerOptions { notice: told.notice(), ..live("a") });
    let database = rusqlite::Connection::open(database).unwrap();
    database.busy_timeout(Duration::from_secs(10)).unwrap();
    for round in 1..=10 {
        place.write(2_000);
        wait_for("some output", || place.count_output() as u64 > (round - 1) * 2_000);
        // What another member does when the lease is over.
        let evict = "BEGIN IMMEDIATE; DELETE FROM assignments; DELETE FROM members;
                     UPDATE groups SET generation = generation + 1; COMMIT";
        database.execute_batch(evict).unwrap();
        wait_for("the rest", || place.count_output() as u64 == round * 2_000);
    }
    running.stop().unwrap();
    place.check();
    assert!(told.count("`counting.a.0` lost its tasks 0, 1, 2, 3: it was silent") >= 9, "{:?}", told.lines());
}

/// A commit fails right after a restore: the news that ended that restore is on its way still, and must not end the next one.
#[test]
fn a_restore_is_not_ended_by_news_of_an_earlier_one() {
    for fault in [Fault::RequestLost, Fault::Transient, Fault::AnswerLost] {
        for each in 2..5 {
            let mut place = Place::new();
            place.write(1_000);
            Running::start(&place.log, until_end("a")).wait().unwrap();
            place.write(1_000);
            let log = FaultyLog::failing_commits(&place.log, fault, each);
            Running::start(&log.as_log(), until_end("a")).wait().unwrap();
            place.check();
        }
    }
}

/// A worker is replaced between reading the changelog and asking for the group's offsets, which are its successor's by then: that is no
/// contradiction, and the remedy for one would destroy the state.
#[test]
fn a_successors_offsets_are_not_taken_for_a_reset() {
    for written_before in [0, 500] {
        let mut place = Place::new();
        place.write(written_before);
        Running::start(&place.log, until_end("same")).wait().unwrap();
        place.write(500);
        let log = FaultyLog::new(&place.log);
        let (inner, status) = (place.log.clone(), StatusBoard::default());
        let (sender, successor) = std::sync::mpsc::channel();
        log.meanwhile(Call::Committed, move || {
            let successor = Running::start(&inner, WorkerOptions { status: status.clone(), ..live("same") });
            wait_for("its work", || status.total("processed") == written_before + 500);
            sender.send(successor).unwrap();
        });
        let error = Running::start(&log.as_log(), live("same")).wait().unwrap_err();
        assert!(matches!(error, Error::Fenced { .. }), "{error}");
        successor.recv().unwrap().stop().unwrap();
        place.check();
    }
}

/// A budget that was larger before the restart does not let the outcomes grow.
#[test]
fn a_smaller_error_budget_forgets_older_outcomes() {
    let mut driver = TestDriver::new(topology(), 1).unwrap();
    driver.set_error_budget(ErrorBudget { most: 50, among: 100 });
    driver.restart().unwrap();
    for time in 0..100 {
        driver.pipe("words", EventTime(time), Some(b"k"), Some(b"good")).unwrap();
    }
    driver.set_error_budget(ErrorBudget { most: 1, among: 10 });
    driver.restart().unwrap();
    for time in 0..2_000 {
        let value: &[u8] = if time % 900 == 5 { b"bad" } else { b"good" };
        driver.pipe("words", EventTime(time), Some(b"k"), Some(value)).unwrap();
    }
    assert!(driver.changelog_mut(0).back().unwrap().len() < 300);
    assert_eq!(driver.total("processed"), 2_100, "two dead letters 900 records apart are within the budget");
}

/// Counts stream records whose registrations, a millisecond older, were not there when they were judged.
struct Judge {
    latest: KeyValueStore<u32, i64>,
}

impl Processor for Judge {
    fn process(
        &mut self,
        source: usize,
        record: &RecordRef<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), BadRecord> {
        if source < 2 {
            self.latest.put(source as u32, record.time().0);
            return Ok(());
        }
        context.observe(record.time());
        context.count("judged");
        for table in [0, 1] {
            if self.latest.get(&table).copied() != Some(record.time().0 - 1) {
                context.count("missed");
            }
        }
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn Store> {
        vec![&mut self.latest]
    }
}

fn write(producer: &mut dyn Producer, records: &[(&str, i64)]) {
    let mut outgoing = Outgoing::default();
    for (topic, time) in records {
        outgoing.partition(&Arc::from(*topic), 0).push(EventTime(*time), Some(b"k"), Some(b"v"), &[]);
    }
    producer.send(&mut outgoing).unwrap();
    producer.commit(None).unwrap();
}

/// Law 18, live: what was in the log before a record is seen before it, although tables and stream are fetched apart.
#[test]
fn registrations_of_the_same_transaction_are_seen_before_the_stream_record() {
    judges_by_what_was_there_before(200, |_| {});
}

/// The same while the log does not always tell where the tables end: then the record waits.
#[test]
fn nothing_is_judged_while_the_end_of_a_table_is_not_known() {
    let log = judges_by_what_was_there_before(40, |log| log.fail(Call::Watermarks, 0, 1));
    assert!(log.met(Call::Watermarks) > 10, "{}", log.met(Call::Watermarks));
    assert_eq!(log.opened(), 1, "it is asked again without a new session");
}

fn judges_by_what_was_there_before(rounds: u64, trouble: impl Fn(&FaultyLog)) -> Arc<FaultyLog> {
    let directory = tempfile::tempdir().unwrap();
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(directory.path()).unwrap());
    let faulty = FaultyLog::new(&log);
    let spec = |name: &str| TopicSpec { name: name.to_owned(), partitions: 1, cleanup: Cleanup::Delete };
    log.create_topics(&["everywhere", "table", "stream", "results"].map(spec)).unwrap();
    let topology = Topology::new("judge", "judge", &["latest"], |_| {
        Box::new(Judge { latest: KeyValueStore::new("latest") })
    });
    let topology = topology.source(Source::broadcast("everywhere")).source(Source::table("table"));
    let topology = topology.source(Source::stream("stream")).sink("results", r#""bytes""#);
    let board = StatusBoard::default();
    let options = WorkerOptions { status: board.clone(), ..live("a") };
    let running = Running::start_topology(&faulty.as_log(), topology, options);
    let mut producer = log.producer("writer").unwrap();
    for round in 0..rounds {
        let time = 1_000 + 10 * i64::try_from(round).unwrap();
        let records = [("everywhere", time), ("table", time), ("stream", time + 1)];
        if round % 2 == 0 {
            write(producer.as_mut(), &records);
        } else {
            write(producer.as_mut(), &records[..2]);
            write(producer.as_mut(), &records[2..]);
        }
        wait_for("a judgement", || board.total("judged") > round);
        trouble(&faulty);
    }
    running.stop().unwrap();
    let counts: BTreeMap<_, _> = ["judged", "missed"].map(|name| (name, board.total(name))).into();
    assert_eq!(counts, BTreeMap::from([("judged", rounds), ("missed", 0)]));
    faulty
}

/// Nothing of its own to do, and looking how far the others are takes longer than from one tick to the next: ticks must not keep it from
/// hearing that their tasks are its own now.
#[test]
fn who_waits_for_others_hears_that_their_tasks_are_its_own() {
    let mut place = Place::new();
    place.write(1_000);
    let first = Running::start(&place.log, live("first"));
    wait_for("the first to work", || place.count_output() == 1_000);
    let log = FaultyLog::new(&place.log);
    log.slow_down(Call::Watermarks, Duration::from_millis(150));
    let second = Running::start(&log.as_log(), until_end("second"));
    wait_for("two members", || place.log.groups().unwrap().iter().any(|group| group.members.len() == 2));
    first.stop().unwrap();
    wait_for("the second to end", || second.has_ended());
    second.wait().unwrap();
    place.check();
}
