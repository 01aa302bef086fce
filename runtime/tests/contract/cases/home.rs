//! What a case needs: a home to open, and a worker's view of a consumer with a deadline on everything.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_runtime::log::{
    Chunk, Cleanup, Consumer, Event, GroupInfo, GroupOffsets, Log, Membership, Offset, Outgoing, Producer,
    Receipt, Subscription, TopicPartition, TopicSpec,
};
use tidegate_runtime::time::EventTime;
use tidegate_runtime::{Error, Result};
use tokio_stream::StreamExt;

/// A log that is empty at first; every `open` is another client of the same one, as from another process.
pub(crate) trait Home: Sync {
    /// Another client of this home's log.
    fn open(&self) -> Arc<dyn Log>;

    /// Another client whose members are known by their names: the same name again replaces the older member.
    fn open_for_instances(&self) -> Arc<dyn Log> {
        self.open()
    }

    /// True if what is given back goes to others at once; false if a group waits until all of a revocation is given back.
    fn hands_over_singly(&self) -> bool {
        true
    }

    /// True if a commit is checked against the partitions a member owns; false if only against the member and its generation.
    fn proves_partitions(&self) -> bool {
        true
    }

    /// The shortest session timeout the home allows.
    fn session_timeout_ms(&self) -> u64;

    /// A process that plays a role ([`super::child::play`]) on this log.
    fn child(&self, role: &str) -> Command;

    /// Stops a process as if its machine stood still, at a moment when it keeps nobody else waiting.
    fn stop(&self, process: u32);
}

/// Lets a stopped process run on.
pub(crate) fn resume(process: u32) {
    signal("CONT", process);
}

/// Sends a signal, by the shell: the standard library can only kill.
pub(crate) fn signal(name: &str, process: u32) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {process}")]).status().unwrap();
    assert!(status.success());
}

/// Whatever is waited for comes well within this, or never.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Records as they are compared: offset, time, key and value.
pub(crate) type Seen = (i64, i64, String, String);

pub(crate) fn topic(log: &dyn Log, name: &str, partitions: u32) {
    log.create_topics(&[spec(name, partitions)]).unwrap();
}

pub(crate) fn spec(name: &str, partitions: u32) -> TopicSpec {
    TopicSpec { name: name.to_owned(), partitions, cleanup: Cleanup::Delete }
}

pub(crate) fn at(name: &str, partition: u32) -> TopicPartition {
    TopicPartition::new(name, partition)
}

/// Puts records with these times into `outgoing`; the value is the time in text.
pub(crate) fn put(outgoing: &mut Outgoing, name: &str, partition: u32, times: impl IntoIterator<Item = i64>) {
    let records = outgoing.partition(&name.into(), partition);
    for time in times {
        records.push(EventTime(time), Some(b"k"), Some(time.to_string().as_bytes()), &[]);
    }
}

/// Sends records with these times without committing them.
pub(crate) fn send(
    producer: &mut dyn Producer,
    name: &str,
    partition: u32,
    times: impl IntoIterator<Item = i64>,
) {
    let mut outgoing = Outgoing::default();
    put(&mut outgoing, name, partition, times);
    producer.send(&mut outgoing).unwrap();
    assert!(outgoing.is_empty(), "what is sent is moved");
}

/// Writes records with these times in one transaction of its own.
pub(crate) fn write(
    log: &dyn Log,
    name: &str,
    partition: u32,
    times: impl IntoIterator<Item = i64>,
) -> Receipt {
    let mut producer = log.producer(&format!("writer-of-{name}-{partition}")).unwrap();
    send(&mut *producer, name, partition, times);
    producer.commit(None).unwrap()
}

/// A worker's end of a consumer.
pub(crate) struct Worker {
    pub(crate) consumer: Consumer,
    runtime: tokio::runtime::Runtime,
    /// What it owns and has been told to give back nothing of.
    pub(crate) owned: BTreeSet<TopicPartition>,
}

impl Worker {
    pub(crate) fn new(consumer: Consumer) -> Worker {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Worker { consumer, runtime, owned: BTreeSet::new() }
    }

    pub(crate) fn join(
        log: &dyn Log,
        group: &str,
        member: &str,
        topics: &[&str],
        session_timeout_ms: u64,
    ) -> Worker {
        Worker::new(log.subscribe(&subscription(group, member, topics, session_timeout_ms)).unwrap())
    }

    /// The next event within `patience`.
    pub(crate) fn event_within(&mut self, patience: Duration) -> Option<Result<Event>> {
        let Worker { consumer, runtime, .. } = self;
        runtime
            .block_on(async { tokio::time::timeout(patience, consumer.next()).await })
            .ok()
            .map(|event| event.expect("the stream ends with an error first"))
    }

    pub(crate) fn event(&mut self) -> Result<Event> {
        self.event_within(DEADLINE).expect("an event in time")
    }

    pub(crate) fn chunk(&mut self) -> Chunk {
        match self.event().unwrap() {
            Event::Chunk(chunk) => chunk,
            other => panic!("{other:?} instead of a chunk"),
        }
    }

    pub(crate) fn error(&mut self) -> Error {
        loop {
            if let Err(error) = self.event() {
                return error;
            }
        }
    }

    /// Does what a worker does about its partitions: takes, gives back, takes note.
    pub(crate) fn follow(&mut self, event: Event) {
        match event {
            Event::Assigned(partitions) => self.owned.extend(partitions),
            Event::Revoked(partitions) => {
                self.owned.retain(|owned| !partitions.contains(owned));
                self.consumer.release(partitions);
            }
            Event::Lost(partitions) => self.owned.retain(|owned| !partitions.contains(owned)),
            Event::Chunk(_) => {}
        }
    }

    /// Follows events until `done`.
    pub(crate) fn until(&mut self, done: impl Fn(&Worker) -> bool) {
        while !done(self) {
            let event = self.event().unwrap();
            self.follow(event);
        }
    }

    pub(crate) fn membership(&self) -> Membership {
        self.consumer.membership().cloned().unwrap()
    }
}

/// Follows several workers' events until `done` says so of all of them.
pub(crate) fn settle(workers: &mut [Worker], done: impl Fn(&[Worker]) -> bool) {
    let end = Instant::now() + DEADLINE;
    while !done(workers) {
        assert!(
            Instant::now() < end,
            "settled in time: {:?}",
            workers.iter().map(|w| &w.owned).collect::<Vec<_>>()
        );
        for worker in &mut *workers {
            while let Some(event) = worker.event_within(Duration::from_millis(5)) {
                worker.follow(event.unwrap());
            }
        }
    }
}

pub(crate) fn subscription(
    group: &str,
    member: &str,
    topics: &[&str],
    session_timeout_ms: u64,
) -> Subscription {
    Subscription {
        group: group.to_owned(),
        member: member.to_owned(),
        topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        session_timeout_ms,
        buffer_bytes: 1 << 20,
        linger: Duration::ZERO,
    }
}

pub(crate) fn seen(chunk: &Chunk) -> Vec<Seen> {
    let text = |part: Option<&[u8]>| String::from_utf8(part.unwrap_or_default().to_vec()).unwrap();
    let record = |record: tidegate_runtime::log::RecordRef<'_>| {
        (record.offset().0, record.time().0, text(record.key()), text(record.value()))
    };
    chunk.records().map(record).collect()
}

/// Everything from `from` to the end of one partition, checking that positions join up.
pub(crate) fn read_from(log: &dyn Log, name: &str, partition: u32, from: i64) -> Vec<Seen> {
    let mut worker = Worker::new(log.reader(1 << 20).unwrap());
    worker.consumer.seek(at(name, partition), Offset(from));
    let (mut records, mut position) = (Vec::new(), Offset(from));
    loop {
        let chunk = worker.chunk();
        assert_eq!(chunk.partition, at(name, partition));
        assert_eq!(chunk.from, position, "chunks join up");
        position = chunk.next;
        assert!(chunk.next <= chunk.high_watermark);
        records.extend(seen(&chunk));
        if chunk.is_empty() && chunk.next == chunk.high_watermark {
            return records;
        }
    }
}

/// The times of everything in a partition.
pub(crate) fn times(log: &dyn Log, name: &str, partition: u32) -> Vec<i64> {
    let low = log.watermarks(&at(name, partition)).unwrap().low;
    read_from(log, name, partition, low.0).into_iter().map(|(_, time, _, _)| time).collect()
}

pub(crate) fn offsets(
    group: &str,
    membership: Option<Membership>,
    next: &[(TopicPartition, i64)],
) -> GroupOffsets {
    let offsets = next.iter().map(|(partition, offset)| (partition.clone(), Offset(*offset))).collect();
    GroupOffsets { group: group.to_owned(), membership, offsets }
}

pub(crate) fn committed(log: &dyn Log, group: &str) -> BTreeMap<TopicPartition, i64> {
    log.committed(group).unwrap().into_iter().map(|(partition, offset)| (partition, offset.0)).collect()
}

/// A group by its name: on a shared cluster others have groups, too.
pub(crate) fn group(log: &dyn Log, name: &str) -> GroupInfo {
    log.groups().unwrap().into_iter().find(|group| group.group == name).unwrap()
}
