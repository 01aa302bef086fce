//! Writing a sequence exactly once (law 12), and stopping it at any moment.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use tidegate_runtime::ingest::{IngestOptions, IngestRecord, Ingested, SourceItem, ingest};
use tidegate_runtime::time::EventTime;

use crate::counting::Place;

fn options() -> IngestOptions {
    IngestOptions {
        app: "source".to_owned(),
        parameters: "count=50000".to_owned(),
        rate_per_second: None,
        commit_interval: Duration::from_millis(1),
        written: Arc::default(),
    }
}

/// The sequence; counts in `made` how much of it was asked for.
fn sequence(made: &Cell<u64>) -> impl Iterator<Item = SourceItem> {
    let topic: Arc<str> = "words".into();
    (0..50_000).map(move |number| {
        made.set(made.get() + 1);
        let key = Some(format!("key-{}", number % 7).into_bytes());
        Ok(IngestRecord { topic: topic.clone(), key, value: Some(b"good".to_vec()), time: EventTime(number) })
    })
}

/// Ready when it has been asked this often.
async fn after(polls: u32) {
    for _ in 0..polls {
        tokio::task::yield_now().await;
    }
}

fn run(place: &Place, made: &Cell<u64>, stop_after: u32) -> Ingested {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(ingest(place.log.clone(), &options(), sequence(made), after(stop_after))).unwrap()
}

#[test]
fn a_sequence_stopped_again_and_again_is_written_once() {
    let place = Place::new();
    let made = Cell::new(0);
    let mut lives = 0;
    // Each life lasts longer than the one before, for it has more to make again.
    while !run(&place, &made, 30 * (lives + 1)).finished {
        lives += 1;
        assert!(lives < 100, "it does not get on");
    }
    assert!(lives > 1, "it was stopped on the way");
    assert_eq!(place.read("words").len(), 50_000);
    let again = run(&place, &made, u32::MAX);
    assert_eq!((again.before, again.written, again.finished), (50_000, 0, true));
}

/// What is written already is made again after a restart; that may take long, and a stop does not wait for it.
#[test]
fn a_stop_is_heard_while_the_written_part_is_made_again() {
    let place = Place::new();
    let made = Cell::new(0);
    let first = run(&place, &made, 40);
    assert!(first.written > 10_000 && !first.finished, "{first:?}");
    made.set(0);
    let second = run(&place, &made, 2);
    assert_eq!((second.before, second.written), (first.written, 0));
    assert!(made.get() < first.written, "it was stopped before it had made all of it again");
}
