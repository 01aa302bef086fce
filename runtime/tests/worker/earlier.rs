//! A first start reads its earlier output, once, before any input, and what it learns is committed with the rest.

use std::sync::Arc;
use std::time::Duration;

use tidegate_runtime::BadRecord;
use tidegate_runtime::driver::TestDriver;
use tidegate_runtime::log::embedded::EmbeddedLog;
use tidegate_runtime::log::{Cleanup, Log, Outgoing, RecordRef, TopicPartition, TopicSpec, partition_for};
use tidegate_runtime::processor::{Context, Processor};
use tidegate_runtime::store::{KeyValueStore, Store};
use tidegate_runtime::task::Phase;
use tidegate_runtime::time::EventTime;
use tidegate_runtime::topology::{Source, Topology};
use tidegate_runtime::worker::{StatusBoard, WorkerOptions};

use crate::counting::{PARTITIONS, Running, live, until_end, wait_for};
use crate::faulty::{Call, FaultyLog};

const KEYS: u8 = 20;

/// Answers each record with how many earlier results of its key there were at the first start.
struct Remembering {
    earlier: KeyValueStore<Vec<u8>, u64>,
}

impl Processor for Remembering {
    fn process(
        &mut self,
        _source: usize,
        record: &RecordRef<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), BadRecord> {
        let key = record.key().unwrap();
        let earlier = self.earlier.get(&key.to_vec()).copied().unwrap_or_default();
        context.forward(0, record.time(), key, &earlier.to_be_bytes());
        Ok(())
    }

    fn take_earlier_output(&mut self, _sink: usize, record: &RecordRef<'_>) -> Result<(), BadRecord> {
        let key = record.key().unwrap().to_vec();
        let earlier = self.earlier.get(&key).copied().unwrap_or_default();
        self.earlier.put(key, earlier + 1);
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn Store> {
        vec![&mut self.earlier]
    }
}

fn remembering() -> Topology {
    let supplier =
        |_: &_| Box::new(Remembering { earlier: KeyValueStore::new("earlier") }) as Box<dyn Processor>;
    Topology::new("remembering", "remember", &["earlier"], supplier)
        .source(Source::stream("words"))
        .sink("results", r#""bytes""#)
        .reads_earlier_output(0)
}

struct Place {
    _directory: tempfile::TempDir,
    log: Arc<dyn Log>,
    result_partitions: u32,
}

impl Place {
    fn new(result_partitions: u32) -> Place {
        let directory = tempfile::tempdir().unwrap();
        let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(directory.path()).unwrap());
        let spec = |(name, partitions): (&str, u32)| TopicSpec {
            name: name.to_owned(),
            partitions,
            cleanup: Cleanup::Delete,
        };
        log.create_topics(&[("words", PARTITIONS), ("results", result_partitions)].map(spec)).unwrap();
        Place { _directory: directory, log, result_partitions }
    }

    /// A record of each key.
    fn write(&self) {
        let mut producer = self.log.producer("writer").unwrap();
        let (topic, mut outgoing) = (Arc::from("words"), Outgoing::default());
        for key in 0..KEYS {
            let words = outgoing.partition(&topic, partition_for(&[key], PARTITIONS));
            words.push(EventTime(1_000), Some(&[key]), Some(b"word"), &[]);
        }
        producer.send(&mut outgoing).unwrap();
        producer.commit(None).unwrap();
    }

    fn reset(&self) {
        self.log.delete_group("remembering").unwrap();
        for own in Topology::own_topics("remembering", 1) {
            self.log.delete_topic(&own.name).unwrap();
        }
    }

    fn count_results(&self) -> i64 {
        let ends = |partition| self.log.watermarks(&TopicPartition::new("results", partition)).unwrap();
        (0..self.result_partitions).map(|partition| ends(partition).high.0).sum()
    }

    /// The answers, in order for each key: how many there are of each key, and how many earlier ones each tells of.
    fn check(&self, expected: &[u64]) {
        let mut driver = self.log.reader(1 << 20).unwrap();
        let mut answers = vec![Vec::new(); KEYS as usize];
        for partition in 0..self.result_partitions {
            let partition = TopicPartition::new("results", partition);
            let end = self.log.watermarks(&partition).unwrap().high;
            let (mut position, wanted) = (tidegate_runtime::log::Offset(0), partition.clone());
            driver.seek(partition, position);
            while position < end {
                if let tidegate_runtime::log::Event::Chunk(chunk) = driver.blocking_next().unwrap()
                    && chunk.partition == wanted
                    && chunk.from == position
                {
                    position = chunk.next;
                    for record in chunk.records() {
                        let answer = u64::from_be_bytes(record.value().unwrap().try_into().unwrap());
                        answers[usize::from(record.key().unwrap()[0])].push(answer);
                    }
                }
            }
        }
        assert!(answers.iter().all(|answers| answers == expected), "{answers:?}");
    }
}

#[test]
fn a_first_start_reads_its_earlier_output_and_a_restart_does_not() {
    // One partition for each task, and fewer.
    for partitions in [PARTITIONS, 3] {
        let place = Place::new(partitions);
        place.write();
        let run = |log: &Arc<dyn Log>| {
            Running::start_topology(log, remembering(), until_end("a")).wait().unwrap();
        };
        run(&place.log);
        place.check(&[0]);
        place.write();
        run(&place.log);
        place.check(&[0, 0]);
        place.reset();
        run(&place.log);
        // Both records again: two results of each key stood in the output then.
        place.check(&[0, 0, 2, 2]);
        place.write();
        run(&place.log);
        place.check(&[0, 0, 2, 2, 2]);
    }
}

/// The first commit is not made: what was learned until then is learned again, and counts once.
#[test]
fn a_first_commit_that_fails_lets_it_read_again() {
    let place = Place::new(3);
    place.write();
    Running::start_topology(&place.log, remembering(), until_end("a")).wait().unwrap();
    place.reset();
    let log = FaultyLog::new(&place.log);
    log.fail(Call::Commit, 0, 2);
    Running::start_topology(&log.as_log(), remembering(), until_end("a")).wait().unwrap();
    assert_eq!(log.met(Call::Commit), 2);
    place.check(&[0, 1]);
}

#[test]
fn reading_its_earlier_output_is_shown_as_a_phase() {
    let place = Place::new(3);
    place.write();
    Running::start_topology(&place.log, remembering(), until_end("a")).wait().unwrap();
    place.reset();
    let (log, status) = (FaultyLog::new(&place.log), StatusBoard::default());
    log.slow_down(Call::ReaderEvent, Duration::from_millis(50));
    let options = WorkerOptions { status: status.clone(), ..live("a") };
    let running = Running::start_topology(&log.as_log(), remembering(), options);
    wait_for("a task to read its earlier output", || {
        let tasks = status.tasks();
        tasks.values().any(|task| {
            task.phase == Phase::ReadingOutput && task.earlier_output_offsets.1 == i64::from(KEYS)
        })
    });
    wait_for("the results", || place.count_results() == 2 * i64::from(KEYS));
    running.stop().unwrap();
    place.check(&[0, 1]);
}

#[test]
fn the_test_driver_reads_it_too() {
    for others in [&[][..], &[("results", 3)]] {
        let mut driver = TestDriver::with_partitions(remembering(), 2, others).unwrap();
        let answers = |driver: &mut TestDriver| {
            let value = |value: Option<Vec<u8>>| u64::from_be_bytes(value.unwrap().try_into().unwrap());
            driver.read("results").into_iter().map(|record| value(record.value)).collect::<Vec<_>>()
        };
        for key in 0..KEYS {
            driver.pipe("words", EventTime(1), Some(&[key]), Some(b"word")).unwrap();
        }
        assert_eq!(answers(&mut driver), vec![0; usize::from(KEYS)]);
        driver.reset();
        for _life in 0..2 {
            driver.restart().unwrap();
        }
        driver.commit().unwrap();
        driver.restart().unwrap();
        assert_eq!(answers(&mut driver), vec![1; usize::from(KEYS)], "it was killed once before its commit");
    }
}
