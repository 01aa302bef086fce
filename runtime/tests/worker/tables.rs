//! Tables run ahead, live: a record of a stream is judged by everything that was in the tables before it (law 18).
//!
//! The topology counts the readings that are judged without a registration that was committed before they were.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate_runtime::BadRecord;
use tidegate_runtime::log::embedded::EmbeddedLog;
use tidegate_runtime::log::{Cleanup, Log, Outgoing, Producer, RecordRef, TopicSpec, partition_for};
use tidegate_runtime::processor::{Context, Processor};
use tidegate_runtime::store::{KeyValueStore, Store};
use tidegate_runtime::time::EventTime;
use tidegate_runtime::topology::{Source, Topology};
use tidegate_runtime::worker::{StatusBoard, WorkerOptions};

use crate::counting::{Running, live, wait_for};
use crate::faulty::{Call, FaultyLog};

const PARTITIONS: u32 = 2;

/// Keeps the greatest number of each key in both tables; a reading's value is the number that both have reached before it is written.
struct Judge {
    numbers: [KeyValueStore<Vec<u8>, u64>; 2],
}

fn number(record: &RecordRef<'_>) -> u64 {
    u64::from_be_bytes(record.value().unwrap().try_into().unwrap())
}

impl Processor for Judge {
    fn process(
        &mut self,
        source: usize,
        record: &RecordRef<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), BadRecord> {
        let key = record.key().unwrap().to_vec();
        if let Some(table) = self.numbers.get_mut(source) {
            let reached = table.get(&key).copied().unwrap_or_default();
            table.put(key, reached.max(number(record)));
            return Ok(());
        }
        context.observe(record.time());
        context.count("judged");
        for table in &self.numbers {
            if table.get(&key).is_none_or(|reached| *reached < number(record)) {
                context.count("missed");
            }
        }
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn Store> {
        self.numbers.iter_mut().map(|table| table as &mut dyn Store).collect()
    }
}

pub(crate) fn judging() -> Topology {
    let judge = |_: &_| {
        Box::new(Judge { numbers: ["owners", "limits"].map(KeyValueStore::new) }) as Box<dyn Processor>
    };
    Topology::new("judge", "judge", &["owners", "limits"], judge)
        .source(Source::table("owners"))
        .source(Source::broadcast("limits"))
        .source(Source::stream("readings"))
        .sink("results", r#""bytes""#)
}

fn log_of(directory: &std::path::Path) -> Arc<dyn Log> {
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(directory).unwrap());
    let spec =
        |name: &str| TopicSpec { name: name.to_owned(), partitions: PARTITIONS, cleanup: Cleanup::Delete };
    log.create_topics(&["owners", "limits", "readings", "results"].map(spec)).unwrap();
    log
}

fn write(producer: &mut dyn Producer, topic: &str, key: &[u8], time: i64, number: u64) {
    let mut outgoing = Outgoing::default();
    let partition = partition_for(key, PARTITIONS);
    let value = number.to_be_bytes();
    outgoing.partition(&Arc::from(topic), partition).push(EventTime(time), Some(key), Some(&value), &[]);
    producer.send(&mut outgoing).unwrap();
    producer.commit(None).unwrap();
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
        for number in 0..readings {
            let time = 1_000 + 10 * i64::try_from(number).unwrap();
            let key = [b'a' + (number % 7) as u8];
            write(producer.as_mut(), "owners", &key, time, number);
            write(producer.as_mut(), "limits", &key, time, number);
            write(producer.as_mut(), "readings", &key, time + 1, number);
        }
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
