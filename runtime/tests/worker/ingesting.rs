//! Writing a sequence exactly once (law 12): stopped at any moment, disturbed by any fault.

use std::cell::Cell;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tidegate_runtime::ingest::{IngestError, IngestOptions, IngestRecord, Ingested, SourceItem, ingest};
use tidegate_runtime::log::{Log, TopicPartition, partition_for};
use tidegate_runtime::time::EventTime;
use tidegate_runtime::{Error, Reaction};

use crate::counting::{PARTITIONS, Place, Running, Told, until_end};
use crate::faulty::{Call, Fault, FaultyLog};

const COUNT: u64 = 50_000;

fn options() -> IngestOptions {
    IngestOptions {
        app: "source".to_owned(),
        parameters: "count=50000".to_owned(),
        rate_per_second: None,
        commit_interval: Duration::from_millis(1),
        written: Arc::default(),
        notice: Told::default().notice(),
    }
}

fn key(number: u64) -> Vec<u8> {
    format!("key-{}", number % 7).into_bytes()
}

/// The sequence; counts in `made` how much of it was asked for.
fn sequence(made: &Cell<u64>) -> impl Iterator<Item = SourceItem> {
    let topic: Arc<str> = "words".into();
    (0..COUNT).map(move |number| {
        made.set(made.get() + 1);
        let value = Some(number.to_be_bytes().to_vec());
        let time = EventTime(i64::try_from(number).unwrap());
        Ok(IngestRecord { topic: topic.clone(), key: Some(key(number)), value, time })
    })
}

/// Ready when so much of the sequence was asked for.
async fn once_made(made: &Cell<u64>, count: u64) {
    poll_fn(|cx| {
        cx.waker().wake_by_ref();
        if made.get() >= count { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn run(log: &Arc<dyn Log>, made: &Cell<u64>, stop_after: u64) -> Ingested {
    made.set(0);
    let stop = once_made(made, stop_after);
    block_on(ingest(log.clone(), &options(), sequence(made), stop)).unwrap()
}

/// Every partition holds its part of the first `count` records, each once and in order.
fn check(place: &Place, count: u64) {
    let part = |partition: u32| {
        (0..count).filter(move |number| partition_for(&key(*number), PARTITIONS) == partition)
    };
    for partition in 0..PARTITIONS {
        let found = place.read_partition(&TopicPartition::new("words", partition));
        let found: Vec<u64> =
            found.into_iter().map(|(_, value)| u64::from_be_bytes(value.try_into().unwrap())).collect();
        let missing = part(partition).zip(&found).find(|(expected, found)| expected != *found);
        assert_eq!(missing, None, "what was expected and found in partition {partition}");
        assert_eq!(found.len(), part(partition).count(), "records in partition {partition}");
    }
}

#[test]
fn a_sequence_stopped_again_and_again_is_written_once() {
    let place = Place::new();
    let made = Cell::new(0);
    let mut lives = 0;
    // Each life has more to make again than the one before.
    while !run(&place.log, &made, 9_000 * (lives + 1)).finished {
        lives += 1;
        assert!(lives < 100, "it does not get on");
    }
    assert!(lives > 1, "it was stopped on the way");
    check(&place, COUNT);
    let again = run(&place.log, &made, u64::MAX);
    assert_eq!((again.before, again.written, again.finished), (COUNT, 0, true));
}

/// What is written already is made again after a restart; that may take long, and a stop does not wait for it.
#[test]
fn a_stop_is_heard_while_the_written_part_is_made_again() {
    let place = Place::new();
    let made = Cell::new(0);
    let first = run(&place.log, &made, 20_000);
    assert!(first.written > 10_000 && !first.finished, "{first:?}");
    let second = run(&place.log, &made, 2_000);
    assert_eq!((second.before, second.written), (first.written, 0));
    assert!(made.get() < first.written, "it was stopped before it had made all of it again");
}

#[test]
fn a_sequence_is_written_once_whatever_becomes_of_its_commits() {
    for fault in [Fault::AnswerLost, Fault::RequestLost, Fault::Transient] {
        let (place, made) = (Place::new(), Cell::new(0));
        let log = FaultyLog::failing_commits(&place.log, fault, 7);
        // Some of the times the id cannot be opened again at once.
        log.fail(Call::Open, 2, 1);
        // A commit for every step of a thousand records.
        let options = IngestOptions { commit_interval: Duration::ZERO, ..options() };
        let ingest = ingest(log.as_log(), &options, sequence(&made), std::future::pending());
        let ingested = block_on(ingest).unwrap();
        assert_eq!(ingested, Ingested { before: 0, written: COUNT, finished: true });
        check(&place, COUNT);
        assert_eq!(made.get(), COUNT, "nothing was made twice");
        assert!(log.opened() > 50 / 7, "{fault:?} was met");
        assert_eq!(log.met(Call::Open), 1);
    }
}

#[test]
fn a_fault_of_any_question_is_tried_again() {
    for call in [Call::Topics, Call::Open, Call::Reader, Call::Watermarks, Call::ReaderEvent, Call::Commit] {
        let (place, made, told) = (Place::new(), Cell::new(0), Told::default());
        // Something must be in the changelog, or nobody asks for it.
        assert!(!run(&place.log, &made, 1_000).finished);
        let log = FaultyLog::new(&place.log);
        log.fail(call, 0, 2);
        let options = IngestOptions { notice: told.notice(), ..options() };
        made.set(0);
        let outcome = block_on(ingest(log.as_log(), &options, sequence(&made), std::future::pending()));
        assert!(outcome.unwrap().finished);
        check(&place, COUNT);
        assert_eq!(log.met(call), 2, "{call:?}");
        let lines =
            [format!("`source` tries again: {call:?} is out of reach: test"), "`source` goes on".to_owned()];
        assert_eq!(told.lines(), lines);
    }
}

#[test]
fn a_stop_is_heard_while_the_log_is_away() {
    for call in [Call::Open, Call::Commit] {
        let (place, made) = (Place::new(), Cell::new(0));
        let log = FaultyLog::new(&place.log);
        log.fail(call, 0, u64::MAX);
        let stop = async {
            // So often that the wait for the next time is a long one.
            while log.met(call) < 4 {
                tokio::task::yield_now().await;
            }
        };
        let asked = Instant::now();
        let outcome = block_on(ingest(log.as_log(), &options(), sequence(&made), stop)).unwrap();
        assert_eq!(outcome, Ingested { before: 0, written: 0, finished: false }, "{call:?}");
        // Waits of 100, 200 and 400 ms, and not of 800.
        assert!(asked.elapsed() < Duration::from_millis(1_300), "{call:?}: {:?}", asked.elapsed());
        run(&place.log, &made, u64::MAX);
        check(&place, COUNT);
    }
}

#[test]
fn a_second_process_under_the_same_name_ends_the_first() {
    let (place, made, others) = (Place::new(), Cell::new(0), Cell::new(0));
    let options = options();
    let write = |made| ingest(place.log.clone(), &options, sequence(made), std::future::pending());
    let second = async {
        once_made(&made, 10_000).await;
        assert!(write(&others).await.unwrap().finished);
        std::future::pending().await
    };
    let first = write(&made);
    let outcome = block_on(async {
        tokio::select! {
            outcome = first => outcome,
            () = second => unreachable!("it never ends"),
        }
    });
    let Err(IngestError::Log(error)) = outcome else { panic!("{outcome:?}") };
    assert!(matches!(&error, Error::Fenced { who, .. } if who == "source"), "{error}");
    assert_eq!(error.reaction(), Reaction::Release);
    assert!(error.to_string().contains("another process writes under this name"), "{error}");
    // It ended before the second had written all.
    run(&place.log, &made, u64::MAX);
    check(&place, COUNT);
}

/// Everything before the fault is in the log, also when the commit of it did not get through at first.
#[test]
fn what_came_before_a_fault_of_the_source_is_written() {
    let (place, made) = (Place::new(), Cell::new(0));
    let log = FaultyLog::new(&place.log);
    log.fail(Call::Commit, 0, 1);
    let broken = std::iter::once_with(|| Err("line 501 cannot be read".into()));
    let records = sequence(&made).take(500).chain(broken);
    let outcome = block_on(ingest(log.as_log(), &options(), records, std::future::pending()));
    let Err(IngestError::Source(failure)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.to_string(), "line 501 cannot be read");
    assert_eq!(log.met(Call::Commit), 1);
    check(&place, 500);
}

#[test]
fn a_position_that_was_lost_is_no_first_start() {
    let (place, made) = (Place::new(), Cell::new(0));
    assert!(!run(&place.log, &made, 1_000).finished);
    let changelog = TopicPartition::new("source-changelog", 0);
    let high = place.log.watermarks(&changelog).unwrap().high;
    place.log.trim(&changelog, high).unwrap();
    let before = place.read("words").len();
    let outcome = block_on(ingest(place.log.clone(), &options(), sequence(&made), std::future::pending()));
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("`source-changelog[0]` was emptied"), "{error}");
    assert!(error.contains("reset --app source"), "{error}");
    assert_eq!(place.read("words").len(), before, "nothing was written again");
}

#[test]
fn the_name_of_a_processor_is_refused() {
    let (mut place, made) = (Place::new(), Cell::new(0));
    place.write(50);
    Running::start(&place.log, until_end("a")).wait().unwrap();
    let options = IngestOptions { app: "counting".to_owned(), ..options() };
    let outcome = block_on(ingest(place.log.clone(), &options, sequence(&made), std::future::pending()));
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("`counting` is the name of an application that processes records"), "{error}");
}
