//! Groups: every partition number has one owner, handed over without loss, and nobody else can commit.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tidegate_runtime::Error;
use tidegate_runtime::log::{Event, Log, Membership, Offset, Producer, TopicPartition};

use super::home::*;

fn numbers(worker: &Worker) -> BTreeSet<u32> {
    worker.owned.iter().map(|partition| partition.partition).collect()
}

/// True if the workers own all of `partitions` numbers of both topics, each once, in even shares.
fn shared_out(workers: &[Worker], partitions: u32) -> bool {
    let all: Vec<&TopicPartition> = workers.iter().flat_map(|worker| &worker.owned).collect();
    let distinct: BTreeSet<_> = all.iter().collect();
    assert_eq!(all.len(), distinct.len(), "no partition has two owners");
    let share = partitions as usize / workers.len();
    all.len() == 2 * partitions as usize
        && workers.iter().all(|worker| worker.owned.len() / 2 - share <= 1 && worker.owned.len() >= 2 * share)
}

fn two_topics(log: &dyn Log) {
    log.create_topics(&[spec("t", 6), spec("u", 6)]).unwrap();
}

fn join(home: &dyn Home, member: &str) -> Worker {
    Worker::join(&*home.open(), "g", member, &["t", "u"], home.session_timeout_ms())
}

fn commit(producer: &mut dyn Producer, worker: &Worker, number: u32, next: i64) -> Result<(), Error> {
    commit_as(producer, worker.membership(), number, next)
}

fn commit_as(producer: &mut dyn Producer, who: Membership, number: u32, next: i64) -> Result<(), Error> {
    let offsets = offsets("g", Some(who), &[(at("t", number), next), (at("u", number), next)]);
    producer.commit(Some(&offsets)).map(drop)
}

pub(crate) fn one_two_four_and_one_member_share_the_partitions(home: &dyn Home) {
    let log = home.open();
    two_topics(&*log);
    let mut workers = vec![join(home, "m1")];
    settle(&mut workers, |workers| shared_out(workers, 6));
    let mut generation = group(&*log, "g").generation;
    for count in [2, 4] {
        while workers.len() < count {
            workers.push(join(home, &format!("m{}", workers.len() + 1)));
        }
        settle(&mut workers, |workers| shared_out(workers, 6));
        let group = group(&*log, "g");
        // Where the log does not tell it, there is nothing to compare.
        assert!(group.generation.is_none() || group.generation > generation, "it grows with the members");
        generation = group.generation;
        assert_eq!(group.members.len(), count);
        for (member, worker) in group.members.iter().zip(&workers) {
            let listed: BTreeSet<_> = member.partitions.iter().cloned().collect();
            assert_eq!(listed, worker.owned, "{}", member.member);
        }
    }
    workers.truncate(1);
    settle(&mut workers, |workers| shared_out(workers, 6));
    // A number is owned over all topics: co-partitioned records meet in one task.
    assert!(workers[0].owned.iter().all(|owned| workers[0].owned.contains(&at("u", owned.partition))));
    drop(workers);
    assert!(group(&*log, "g").members.is_empty(), "leaving is at once");
}

pub(crate) fn a_partition_wanted_elsewhere_is_kept_until_it_is_given_back(home: &dyn Home) {
    let log = home.open();
    two_topics(&*log);
    let mut first = join(home, "m1");
    first.until(|worker| worker.owned.len() == 12);
    let before = first.membership();
    let mut second = join(home, "m2");
    let revoked = match first.event().unwrap() {
        Event::Revoked(partitions) => partitions,
        other => panic!("{other:?} instead of a revocation"),
    };
    // Still the owner: what it has in hand, it can commit. The other one cannot yet, if it has been let in at all.
    let number = revoked[0].partition;
    let mut producer = log.producer("p").unwrap();
    commit(&mut *producer, &first, number, 1).unwrap();
    if let Some(membership) = second.consumer.membership().cloned() {
        let error = commit_as(&mut *producer, membership, number, 2).unwrap_err();
        assert!(matches!(error, Error::Fenced { .. }), "{error}");
        producer.abort().unwrap();
    }
    // Given back one number at a time: the other one gets nothing that is still owned.
    let (given, kept): (Vec<_>, Vec<_>) =
        revoked.iter().cloned().partition(|partition| partition.partition == number);
    first.owned.retain(|owned| !revoked.contains(owned));
    first.consumer.release(given.clone());
    if home.hands_over_singly() {
        second.until(|worker| !worker.owned.is_empty());
        assert_eq!(second.owned, given.into_iter().collect());
    }
    commit(&mut *producer, &first, kept[0].partition, 5).unwrap();
    first.consumer.release(kept.clone());
    let mut both = [first, second];
    settle(&mut both, |workers| shared_out(workers, 6));
    let [first, second] = both;
    let moved = second.owned.first().unwrap().partition;
    commit(&mut *producer, &second, moved, 3).unwrap();
    // Whoever does not own it any more cannot commit it, whatever it shows.
    for old in [before, first.membership()] {
        if home.proves_partitions() || old != first.membership() {
            let error = commit_as(&mut *producer, old, moved, 4).unwrap_err();
            assert!(matches!(error, Error::Fenced { .. }), "{error}");
            producer.abort().unwrap();
        }
    }
    assert_eq!(committed(&*log, "g")[&at("t", moved)], 3);
    assert_eq!(
        committed(&*log, "g")[&at("t", kept[0].partition)],
        if kept[0].partition == moved { 3 } else { 5 }
    );
}

pub(crate) fn a_fenced_commit_writes_nothing_at_all(home: &dyn Home) {
    let log = home.open();
    two_topics(&*log);
    let mut evicted = join(home, "m1");
    evicted.until(|worker| worker.owned.len() == 12);
    let membership = evicted.membership();
    drop(evicted);
    let mut heir = join(home, "m2");
    heir.until(|worker| worker.owned.len() == 12);
    let mut producer = log.producer("p").unwrap();
    send(&mut *producer, "t", 0, 0..5);
    let both = offsets("g", Some(membership), &[(at("t", 0), 1)]);
    let error = producer.commit(Some(&both)).unwrap_err();
    assert!(matches!(error, Error::Fenced { .. }), "{error}");
    drop(producer);
    assert!(times(&*log, "t", 0).is_empty());
    assert!(committed(&*log, "g").is_empty());
}

pub(crate) fn the_same_name_again_replaces_the_older_member_at_once(home: &dyn Home) {
    let log = home.open();
    two_topics(&*log);
    let join = |member| {
        Worker::join(&*home.open_for_instances(), "g", member, &["t", "u"], home.session_timeout_ms())
    };
    let mut older = join("m1");
    older.until(|worker| worker.owned.len() == 12);
    let membership = older.membership();
    let mut newer = join("m1");
    newer.until(|worker| worker.owned.len() == 12);
    let mut producer = log.producer("p").unwrap();
    let zombie = offsets("g", Some(membership), &[(at("t", 0), 1)]);
    let error = producer.commit(Some(&zombie)).unwrap_err();
    assert!(matches!(error, Error::Fenced { .. }), "{error}");
    producer.abort().unwrap();
    commit(&mut *producer, &newer, 0, 2).unwrap();
    // The older one hears of its loss, then of the reason, and does not fight back.
    let error = loop {
        match older.event() {
            Ok(event) => older.follow(event),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Fenced { .. }), "{error}");
    assert!(older.owned.is_empty());
    assert_eq!(group(&*log, "g").members.len(), 1);
}

pub(crate) fn records_are_handed_over_without_loss_or_doubling(home: &dyn Home) {
    let log = home.open();
    log.create_topics(&[spec("t", 6), spec("u", 6), spec("out", 6)]).unwrap();
    for partition in 0..6 {
        write(&*log, "t", partition, 0..500);
    }
    let mut workers: Vec<Copier> = Vec::new();
    let mut joined = 0;
    let end = std::time::Instant::now() + DEADLINE;
    while committed(&*log, "g").values().filter(|next| **next >= 500).count() < 6 {
        assert!(std::time::Instant::now() < end, "{:?}", committed(&*log, "g"));
        // Members come and go while records are copied.
        match joined {
            0..4 => {
                joined += 1;
                workers.push(Copier::join(home, &format!("m{joined}")));
            }
            4 => {
                joined += 1;
                workers.truncate(1);
            }
            _ => {}
        }
        for worker in &mut workers {
            worker.step(&*log);
        }
    }
    for partition in 0..6 {
        assert!(times(&*log, "out", partition).into_iter().eq(0..500), "partition {partition}");
    }
}

/// A worker that copies `t` to `out`, with offsets in the transaction.
struct Copier {
    worker: Worker,
    producer: Box<dyn Producer>,
}

impl Copier {
    fn join(home: &dyn Home, member: &str) -> Copier {
        let log = home.open();
        let producer = log.producer(member).unwrap();
        Copier { worker: join(home, member), producer }
    }

    fn step(&mut self, log: &dyn Log) {
        let Some(event) = self.worker.event_within(std::time::Duration::from_millis(2)) else { return };
        match event.unwrap() {
            Event::Assigned(partitions) => {
                let committed = log.committed("g").unwrap();
                for partition in partitions.iter().filter(|partition| &*partition.topic == "t") {
                    let next = committed.get(partition).copied().unwrap_or_default();
                    self.worker.consumer.seek(partition.clone(), next);
                }
                self.worker.follow(Event::Assigned(partitions));
            }
            Event::Chunk(chunk) if !chunk.is_empty() && self.worker.owned.contains(&chunk.partition) => {
                let number = chunk.partition.partition;
                let records: Vec<i64> = seen(&chunk).into_iter().map(|record| record.1).collect();
                // Fifty at a time, so that a handover falls between two commits of one chunk.
                for run in records.chunks(50) {
                    send(&mut *self.producer, "out", number, run.iter().copied());
                    let next = [(chunk.partition.clone(), run[run.len() - 1] + 1)];
                    let offsets = offsets("g", Some(self.worker.membership()), &next);
                    self.producer.commit(Some(&offsets)).unwrap();
                }
            }
            event => self.worker.follow(event),
        }
    }
}

pub(crate) fn topics_read_together_have_the_same_number_of_partitions(home: &dyn Home) {
    let log = home.open();
    log.create_topics(&[spec("t", 4), spec("u", 6)]).unwrap();
    let timeout_ms = home.session_timeout_ms();
    let Err(error) = log.subscribe(&subscription("g", "m", &["t", "u"], timeout_ms)) else {
        panic!("subscribed to topics that do not fit together")
    };
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    assert!(error.to_string().contains('4') && error.to_string().contains('6'), "{error}");
    let groups = log.groups().unwrap();
    assert!(groups.iter().filter(|group| group.group == "g").all(|group| group.members.is_empty()));
}

pub(crate) fn a_group_with_members_keeps_its_offsets(home: &dyn Home) {
    let log = home.open();
    two_topics(&*log);
    let mut worker = join(home, "m1");
    worker.until(|worker| worker.owned.len() == 12);
    let mut producer = log.producer("p").unwrap();
    commit(&mut *producer, &worker, 2, 9).unwrap();
    let error = log.delete_group("g").unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    let past_it = producer.commit(Some(&offsets("g", None, &[(at("t", 2), 10)])));
    assert!(past_it.is_err(), "no commit past the members");
    let error = log.commit_offsets("g", &[(at("t", 2), Offset(10))]).unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    drop(worker);
    assert_eq!(committed(&*log, "g")[&at("t", 2)], 9);
    log.delete_group("g").unwrap();
    assert!(committed(&*log, "g").is_empty());
}

pub(crate) fn a_member_can_fetch_what_it_owns(home: &dyn Home) {
    let log = home.open();
    two_topics(&*log);
    write(&*log, "t", 5, 0..10);
    let mut worker = join(home, "m1");
    worker.until(|worker| numbers(worker).len() == 6);
    worker.consumer.seek(at("t", 5), Offset(4));
    let chunk = worker.chunk();
    assert_eq!((chunk.partition.clone(), seen(&chunk)[0].1), (at("t", 5), 4));
}

pub(crate) fn a_member_there_is_nothing_for_is_told_so(home: &dyn Home) {
    let log = home.open();
    log.create_topics(&[spec("t", 1)]).unwrap();
    let join = |member| Worker::join(&*home.open(), "g", member, &["t"], home.session_timeout_ms());
    let mut workers = [join("m1"), join("m2")];
    let mut is_told = [false; 2];
    // The group may ask the first one to give back what it gets again: both follow.
    let end = Instant::now() + DEADLINE;
    while !workers.iter().zip(is_told).any(|(worker, is_told)| is_told && worker.owned.is_empty()) {
        assert!(Instant::now() < end, "nobody was told that there is nothing");
        for (worker, is_told) in workers.iter_mut().zip(&mut is_told) {
            let Some(event) = worker.event_within(Duration::from_millis(5)) else { continue };
            let event = event.unwrap();
            if let Event::Assigned(partitions) = &event {
                *is_told = partitions.is_empty();
            }
            worker.follow(event);
        }
    }
}
