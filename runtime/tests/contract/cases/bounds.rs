//! What a worker does not take does not pile up, and one partition does not keep others waiting.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tidegate_runtime::log::{Chunk, Event, Offset};

use super::home::*;

/// No chunk for this long: the consumer has stopped fetching.
const STANDSTILL: Duration = Duration::from_millis(200);

/// Takes chunks without giving any back, until no more come.
fn hoard(worker: &mut Worker) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    while let Some(event) = worker.event_within(STANDSTILL) {
        if let Event::Chunk(chunk) = event.unwrap() {
            chunks.push(chunk);
        }
    }
    chunks
}

fn bytes(chunks: &[Chunk]) -> usize {
    let record = |record: tidegate_runtime::log::RecordRef<'_>| record.value().unwrap_or_default().len();
    chunks.iter().flat_map(|chunk| chunk.records().map(record)).sum()
}

fn fill(home: &dyn Home, partitions: u32, batches: i64) {
    let log = home.open();
    topic(&*log, "t", partitions);
    let mut producer = log.producer("p").unwrap();
    let value = vec![b'v'; 1_000];
    for batch in 0..batches {
        let mut outgoing = tidegate_runtime::log::Outgoing::default();
        for partition in 0..partitions {
            for index in 0..1_000 {
                let time = tidegate_runtime::time::EventTime(batch * 1_000 + index);
                outgoing.partition(&"t".into(), partition).push(time, None, Some(&value), &[]);
            }
        }
        producer.send(&mut outgoing).unwrap();
        producer.commit(None).unwrap();
    }
}

pub(crate) fn what_is_not_taken_does_not_pile_up(home: &dyn Home) {
    fill(home, 4, 20);
    let log = home.open();
    let buffer_bytes = 3 << 20;
    let mut worker = Worker::new(log.reader(buffer_bytes).unwrap());
    for partition in 0..4 {
        worker.consumer.seek(at("t", partition), Offset(0));
    }
    let held = hoard(&mut worker);
    assert!(bytes(&held) <= buffer_bytes, "{} bytes of {buffer_bytes}", bytes(&held));
    let mut per_partition = BTreeMap::new();
    for chunk in &held {
        *per_partition.entry(chunk.partition.clone()).or_insert(0) += 1;
    }
    assert_eq!(per_partition.len(), 4, "every partition had its turn");
    assert!(per_partition.values().all(|chunks| *chunks <= 2), "{per_partition:?}");
    // What is given back is fetched anew, and nothing was lost meanwhile.
    let end = Instant::now() + DEADLINE;
    let mut records: usize = held.iter().map(Chunk::len).sum();
    drop(held);
    while records < 80_000 && Instant::now() < end {
        records += worker.chunk().len();
    }
    assert_eq!(records, 80_000);
}

pub(crate) fn a_buffer_smaller_than_a_batch_still_reads(home: &dyn Home) {
    fill(home, 2, 2);
    let log = home.open();
    let mut worker = Worker::new(log.reader(1).unwrap());
    for partition in 0..2 {
        worker.consumer.seek(at("t", partition), Offset(0));
    }
    let mut records = 0;
    while records < 4_000 {
        records += worker.chunk().len();
    }
    assert_eq!(records, 4_000);
}

pub(crate) fn a_held_partition_does_not_hold_up_another(home: &dyn Home) {
    fill(home, 2, 10);
    let log = home.open();
    let mut worker = Worker::new(log.reader(1 << 20).unwrap());
    for partition in 0..2 {
        worker.consumer.seek(at("t", partition), Offset(0));
    }
    let (mut held, mut records) = (Vec::new(), 0);
    while records < 10_000 {
        let chunk = worker.chunk();
        if chunk.partition == at("t", 0) {
            held.push(chunk);
        } else {
            records += chunk.len();
        }
    }
    assert!(held.iter().map(Chunk::len).sum::<usize>() < 10_000);
}

pub(crate) fn a_consumer_that_is_dropped_ends_at_once(home: &dyn Home) {
    fill(home, 1, 5);
    let log = home.open();
    for taken in 0..3 {
        let mut worker = Worker::new(log.reader(1 << 20).unwrap());
        worker.consumer.seek(at("t", 0), Offset(0));
        let _held: Vec<Chunk> = (0..taken).map(|_| worker.chunk()).take(2).collect();
        let start = Instant::now();
        drop(worker);
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
    // With a channel full of errors and events, too.
    topic(&*log, "many", 100);
    let worker = Worker::new(log.reader(1 << 20).unwrap());
    for partition in 0..100 {
        worker.consumer.seek(at("many", partition), Offset(0));
    }
    worker.consumer.seek(at("t", 0), Offset(1_000_000));
    let start = Instant::now();
    drop(worker);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}
