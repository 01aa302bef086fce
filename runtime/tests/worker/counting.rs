//! Counts the records of every key: the n-th record of a key gives the value n, so a lost, doubled or wrongly restored record
//! shows as a gap or a repetition.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_runtime::log::embedded::EmbeddedLog;
use tidegate_runtime::log::{
    Chunk, Cleanup, Event, Log, Offset, Outgoing, RecordRef, TopicPartition, TopicSpec, Watermarks,
    partition_for,
};
use tidegate_runtime::notice::Notice;
use tidegate_runtime::processor::{Context, Processor};
use tidegate_runtime::store::{KeyValueStore, Store};
use tidegate_runtime::time::EventTime;
use tidegate_runtime::topology::{Source, Topology};
use tidegate_runtime::worker::{self, WorkerOptions};
use tidegate_runtime::{BadRecord, Reason, Result};

pub(crate) const PARTITIONS: u32 = 4;

struct Counting {
    seen: Arc<AtomicU64>,
    counts: KeyValueStore<Vec<u8>, u64>,
}

impl Processor for Counting {
    fn process(
        &mut self,
        _source: usize,
        record: &RecordRef<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), BadRecord> {
        let key = record.key().ok_or_else(|| BadRecord::new(Reason::NullKey, "no key"))?;
        if record.value() == Some(b"bad") {
            return Err(BadRecord::new(Reason::Rule, "it says `bad`"));
        }
        context.observe(record.time());
        self.seen.fetch_add(1, Ordering::SeqCst);
        let count = self.counts.get(&key.to_vec()).copied().unwrap_or_default() + 1;
        self.counts.put(key.to_vec(), count);
        context.forward(0, record.time(), key, &count.to_be_bytes());
        Ok(())
    }

    fn time_moved(&mut self, context: &mut Context<'_>) {
        context.forward(0, context.stream_time().unwrap(), b"idle", &[]);
    }

    fn stores(&mut self) -> Vec<&mut dyn Store> {
        vec![&mut self.counts]
    }
}

pub(crate) fn topology() -> Topology {
    observed(&Arc::default())
}

/// The same, counting in `seen` what is processed, committed or not.
pub(crate) fn observed(seen: &Arc<AtomicU64>) -> Topology {
    let seen = seen.clone();
    Topology::new("counting", "count", &["counts"], move |_| {
        Box::new(Counting { seen: seen.clone(), counts: KeyValueStore::new("counts") })
    })
    .source(Source::stream("words"))
    .sink("counts", r#""bytes""#)
}

/// A log with the topics of [`topology`] in a directory that goes with it.
pub(crate) struct Place {
    directory: tempfile::TempDir,
    pub(crate) log: Arc<dyn Log>,
    written: BTreeMap<Vec<u8>, u64>,
}

impl Place {
    pub(crate) fn new() -> Place {
        let directory = tempfile::tempdir().unwrap();
        let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(directory.path()).unwrap());
        let spec = |name: &str| TopicSpec {
            name: name.to_owned(),
            partitions: PARTITIONS,
            cleanup: Cleanup::Delete,
        };
        log.create_topics(&[spec("words"), spec("counts")]).unwrap();
        Place { directory, log, written: BTreeMap::new() }
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// Writes `count` records over 50 keys.
    pub(crate) fn write(&mut self, count: u64) {
        let values =
            (0..count).map(|index| (format!("key-{}", index * 7 % 50).into_bytes(), b"good".as_slice()));
        let records: Vec<_> = values.collect();
        for (key, _) in &records {
            *self.written.entry(key.clone()).or_default() += 1;
        }
        self.append(&records);
    }

    /// Writes records as they are.
    pub(crate) fn append(&self, records: &[(Vec<u8>, &[u8])]) {
        let topic: Arc<str> = "words".into();
        let mut producer = self.log.producer("writer").unwrap();
        let mut outgoing = Outgoing::default();
        for (index, (key, value)) in records.iter().enumerate() {
            let partition = partition_for(key, PARTITIONS);
            let time = EventTime(1_000 + index as i64);
            outgoing.partition(&topic, partition).push(time, Some(key), Some(value), &[]);
        }
        producer.send(&mut outgoing).unwrap();
        producer.commit(None).unwrap();
    }

    /// Writes each key into the partition named with it.
    pub(crate) fn append_to(&self, records: &[(u32, Vec<u8>)]) {
        let topic: Arc<str> = "words".into();
        let mut producer = self.log.producer("writer").unwrap();
        let mut outgoing = Outgoing::default();
        for (partition, key) in records {
            outgoing.partition(&topic, *partition).push(EventTime(1_000), Some(key), Some(b"good"), &[]);
        }
        producer.send(&mut outgoing).unwrap();
        producer.commit(None).unwrap();
    }

    /// Every key's output must count up from 1 to what was written.
    pub(crate) fn check(&self) {
        let mut counted: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        for (key, value) in self.read("counts") {
            if key == b"idle" {
                continue;
            }
            let expected = counted.entry(key.clone()).or_default();
            *expected += 1;
            let found = u64::from_be_bytes(value.try_into().unwrap());
            assert_eq!(found, *expected, "the next count of {}", String::from_utf8_lossy(&key));
        }
        assert_eq!(counted, self.written);
    }

    pub(crate) fn count_output(&self) -> usize {
        self.read("counts").len()
    }

    pub(crate) fn read(&self, topic: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found = Vec::new();
        for partition in 0..PARTITIONS {
            found.extend(self.read_partition(&TopicPartition::new(topic, partition)));
        }
        found
    }

    /// Where the changelog of a task begins and ends now.
    pub(crate) fn changelog_start(&self, number: u32) -> u64 {
        self.changelog(number).low.0.try_into().unwrap()
    }

    pub(crate) fn changelog_end(&self, number: u32) -> u64 {
        self.changelog(number).high.0.try_into().unwrap()
    }

    fn changelog(&self, number: u32) -> Watermarks {
        self.log.watermarks(&TopicPartition::new(Topology::changelog_of("counting"), number)).unwrap()
    }

    pub(crate) fn read_partition(&self, partition: &TopicPartition) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found = Vec::new();
        for chunk in self.chunks(partition) {
            found.extend(chunk.records().map(|record| {
                (record.key().unwrap_or_default().to_vec(), record.value().unwrap_or_default().to_vec())
            }));
        }
        found
    }

    fn chunks(&self, partition: &TopicPartition) -> Vec<Chunk> {
        let ends = self.log.watermarks(partition).unwrap();
        let mut reader = self.log.reader(64 << 20).unwrap();
        let mut position = ends.low;
        let mut chunks = Vec::new();
        while position < ends.high {
            // One at a time: chunks that are kept hold their credits.
            reader.seek(partition.clone(), position);
            loop {
                if let Event::Chunk(chunk) = reader.blocking_next().unwrap()
                    && chunk.from == position
                {
                    position = chunk.next;
                    chunks.push(chunk);
                    break;
                }
            }
            reader = self.log.reader(64 << 20).unwrap();
        }
        chunks
    }
}

/// What was said to the user.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    pub(crate) fn notice(&self) -> Notice {
        let told = self.0.clone();
        Notice::new(move |line| told.lock().unwrap().push(line.to_owned()))
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// How many lines hold `part`.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.lines().iter().filter(|line| line.contains(part)).count()
    }
}

pub(crate) fn until_end(instance: &str) -> WorkerOptions {
    WorkerOptions {
        instance: instance.to_owned(),
        until_end: true,
        commit_interval: Duration::from_millis(10),
        ..WorkerOptions::default()
    }
}

pub(crate) fn live(instance: &str) -> WorkerOptions {
    WorkerOptions { until_end: false, ..until_end(instance) }
}

/// A worker on a thread of its own, and the way to stop it.
pub(crate) struct Running {
    pub(crate) stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: std::thread::JoinHandle<Result<()>>,
}

impl Running {
    pub(crate) fn start(log: &Arc<dyn Log>, options: WorkerOptions) -> Running {
        Running::start_topology(log, topology(), options)
    }

    pub(crate) fn start_topology(log: &Arc<dyn Log>, topology: Topology, options: WorkerOptions) -> Running {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let log = log.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let stopped = async move {
                // A dropped sender is no wish to stop.
                if stopped.await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            runtime.block_on(worker::run(log, &topology, options, stopped))
        });
        Running { stop: Some(stop), thread }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    pub(crate) fn wait(self) -> Result<()> {
        self.thread.join().unwrap()
    }

    pub(crate) fn stop(mut self) -> Result<()> {
        let _ = self.stop.take().unwrap().send(());
        self.wait()
    }
}

/// Waits until `condition` holds, at most half a minute.
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "{what} did not happen within 30 s");
        std::thread::yield_now();
    }
}

pub(crate) fn start_of(partition: u32) -> (TopicPartition, Offset) {
    (TopicPartition::new("words", partition), Offset(0))
}
