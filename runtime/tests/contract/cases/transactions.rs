//! A transaction shows all at once or never, and one holder at a time can make one.

use std::time::Duration;

use tidegate_runtime::log::{Event, Offset, Outgoing};
use tidegate_runtime::{Error, Reaction};

use super::home::*;

/// Long enough for anything that should not have been committed to show up.
const NOTHING_COMES: Duration = Duration::from_millis(50);

pub(crate) fn nothing_shows_before_the_commit_and_everything_after(home: &dyn Home) {
    let (log, other) = (home.open(), home.open());
    topic(&*log, "t", 2);
    let mut worker = Worker::new(other.reader(1 << 20).unwrap());
    for partition in 0..2 {
        worker.consumer.seek(at("t", partition), Offset(0));
        assert!(worker.chunk().is_empty(), "news of the end comes first");
    }
    let mut producer = log.producer("p").unwrap();
    send(&mut *producer, "t", 0, 0..5);
    send(&mut *producer, "t", 1, 5..10);
    assert!(worker.event_within(NOTHING_COMES).is_none(), "nothing before the commit");
    producer.commit(None).unwrap();
    let mut records = Vec::new();
    while records.len() < 10 {
        records.extend(seen(&worker.chunk()).into_iter().map(|record| record.1));
    }
    records.sort_unstable();
    assert!(records.into_iter().eq(0..10));
}

pub(crate) fn an_aborted_transaction_never_shows(home: &dyn Home) {
    let log = home.open();
    topic(&*log, "t", 1);
    let mut producer = log.producer("p").unwrap();
    send(&mut *producer, "t", 0, 0..5);
    producer.abort().unwrap();
    send(&mut *producer, "t", 0, 5..10);
    producer.commit(None).unwrap();
    send(&mut *producer, "t", 0, 10..15);
    drop(producer);
    write(&*log, "t", 0, 15..20);
    assert!(times(&*log, "t", 0).into_iter().eq((5..10).chain(15..20)));
}

pub(crate) fn a_commit_of_nothing_is_no_error(home: &dyn Home) {
    let log = home.open();
    topic(&*log, "t", 1);
    let mut producer = log.producer("p").unwrap();
    assert!(producer.commit(None).unwrap().first_offsets.is_empty());
    producer.send(&mut Outgoing::default()).unwrap();
    assert!(producer.commit(None).unwrap().first_offsets.is_empty());
    producer.abort().unwrap();
}

pub(crate) fn opening_a_transactional_id_fences_its_older_holder(home: &dyn Home) {
    let (log, other) = (home.open(), home.open());
    topic(&*log, "t", 1);
    let mut older = log.producer("p").unwrap();
    send(&mut *older, "t", 0, 0..5);
    let mut newer = other.producer("p").unwrap();
    let error = older.commit(Some(&offsets("g", None, &[(at("t", 0), 5)]))).unwrap_err();
    assert!(matches!(error, Error::Fenced { .. }), "{error}");
    assert_eq!(error.reaction(), Reaction::Release);
    assert!(committed(&*log, "g").is_empty(), "nothing of a fenced commit is written");
    send(&mut *newer, "t", 0, 5..10);
    newer.commit(None).unwrap();
    // The fenced one cannot come back by trying again.
    let again = older.abort().and_then(|()| {
        let mut outgoing = Outgoing::default();
        put(&mut outgoing, "t", 0, [99]);
        older.send(&mut outgoing)?;
        older.commit(None)
    });
    assert!(matches!(again, Err(Error::Fenced { .. })), "{again:?}");
    assert!(times(&*log, "t", 0).into_iter().eq(5..10));
}

pub(crate) fn another_transactional_id_is_not_fenced(home: &dyn Home) {
    let log = home.open();
    topic(&*log, "t", 1);
    let (mut one, mut other) = (log.producer("p.1").unwrap(), log.producer("p.2").unwrap());
    send(&mut *one, "t", 0, [1]);
    send(&mut *other, "t", 0, [2]);
    other.commit(None).unwrap();
    one.commit(None).unwrap();
    let mut all = times(&*log, "t", 0);
    all.sort_unstable();
    assert_eq!(all, [1, 2]);
}

pub(crate) fn offsets_are_committed_with_the_records_or_not_at_all(home: &dyn Home) {
    let log = home.open();
    topic(&*log, "t", 2);
    let mut producer = log.producer("p").unwrap();
    send(&mut *producer, "t", 0, [1]);
    producer.commit(Some(&offsets("g", None, &[(at("t", 0), 7), (at("t", 1), 8)]))).unwrap();
    let expected = [(at("t", 0), 7), (at("t", 1), 8)].into();
    assert_eq!(committed(&*home.open(), "g"), expected);
    send(&mut *producer, "t", 0, [2]);
    producer.abort().unwrap();
    assert_eq!(committed(&*log, "g"), expected);
    producer.commit(Some(&offsets("g", None, &[(at("t", 1), 9)]))).unwrap();
    assert_eq!(committed(&*log, "g"), [(at("t", 0), 7), (at("t", 1), 9)].into());
    assert!(committed(&*log, "another").is_empty());
}

/// As a sink does it, which only reads: a transaction under the same name goes on.
pub(crate) fn offsets_are_committed_without_a_transaction_and_fence_nobody(home: &dyn Home) {
    let log = home.open();
    topic(&*log, "t", 2);
    let mut producer = log.producer("g").unwrap();
    send(&mut *producer, "t", 0, [1]);
    log.commit_offsets("g", &[(at("t", 0), Offset(7))]).unwrap();
    log.commit_offsets("g", &[(at("t", 1), Offset(8))]).unwrap();
    assert_eq!(committed(&*home.open(), "g"), [(at("t", 0), 7), (at("t", 1), 8)].into());
    producer.commit(None).unwrap();
    assert_eq!(times(&*log, "t", 0), [1]);
}

pub(crate) fn an_unknown_topic_cannot_be_written(home: &dyn Home) {
    let log = home.open();
    topic(&*log, "t", 1);
    let mut producer = log.producer("p").unwrap();
    for (name, partition) in [("nowhere", 0), ("t", 1)] {
        let mut outgoing = Outgoing::default();
        put(&mut outgoing, "t", 0, [1]);
        put(&mut outgoing, name, partition, [2]);
        let error = producer.send(&mut outgoing).unwrap_err();
        assert!(matches!(error, Error::UnknownTopic(_)), "{error}");
        producer.commit(None).unwrap_err();
        producer.abort().unwrap();
    }
    send(&mut *producer, "t", 0, [3]);
    producer.commit(None).unwrap();
    assert_eq!(times(&*log, "t", 0), [3]);
}

pub(crate) fn a_commit_wakes_a_reader_that_waits(home: &dyn Home) {
    let (log, other) = (home.open(), home.open());
    topic(&*log, "t", 1);
    let mut worker = Worker::new(other.reader(1 << 20).unwrap());
    worker.consumer.seek(at("t", 0), Offset(0));
    assert!(worker.chunk().is_empty());
    for time in 0..5 {
        write(&*log, "t", 0, [time]);
        let chunk = worker.chunk();
        assert_eq!(seen(&chunk).first().map(|record| record.1), Some(time));
        let news = worker.chunk();
        assert!(news.is_empty() && news.next == news.high_watermark, "the end is reached anew: {news:?}");
        let nothing = worker.event_within(Duration::from_millis(20));
        assert!(!matches!(nothing, Some(Ok(Event::Chunk(_)))), "and told once: {nothing:?}");
    }
}
