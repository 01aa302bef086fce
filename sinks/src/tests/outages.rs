//! A log that is away for a while: a sink waits for it, says so once, and makes nothing durable that it is not sure of.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tempfile::TempDir;
use tidegate_runtime::{Error, Result};

use super::block_on;
use super::scripted::{Partition, Scripted};
use crate::{Notice, Settings, Summary, csv, sqlite};

const AGAIN: &str = "sink `mine` tries again: out of reach: as the test has it";

/// One kind of sink in a place of its own, and what it has said.
struct Sink {
    place: TempDir,
    is_csv: bool,
    settings: Settings,
    told: Arc<Mutex<Vec<String>>>,
}

impl Sink {
    fn each() -> [Sink; 2] {
        [true, false].map(|is_csv| Sink {
            place: TempDir::new().unwrap(),
            is_csv,
            settings: Settings {
                until_end: true,
                commit_interval: Duration::from_millis(5),
                ..Settings::named("mine")
            },
            told: Arc::default(),
        })
    }

    /// Runs it; `hears` is called with every notice.
    fn run(
        &self,
        log: &Arc<Scripted>,
        hears: impl Fn(&str) + Send + Sync + 'static,
        stop: impl Future<Output = ()>,
    ) -> Result<Summary> {
        let told = self.told.clone();
        let notice = Notice::new(move |line| {
            hears(line);
            told.lock().unwrap().push(line.to_owned());
        });
        let settings = Settings { notice, ..self.settings.clone() };
        let topic = "invoices".to_owned();
        if self.is_csv {
            let directory = self.place.path().join("files");
            block_on(csv::run(
                log.clone(),
                &csv::Options { settings, topic, directory, segment_records: 10 },
                stop,
            ))
        } else {
            let (topics, database) = (vec![topic], self.place.path().join("read.sqlite3"));
            let options =
                sqlite::Options { settings, topics, database, wal_max_bytes: sqlite::WAL_MAX_BYTES };
            block_on(sqlite::run(log.clone(), &options, stop))
        }
    }

    /// How many of its questions for watermarks come before the first record: where the log begins, where it ends, and whether that fits.
    fn questions_at_start(&self) -> u32 {
        if self.is_csv { 3 } else { 2 }
    }

    fn durable_rows(&self) -> usize {
        durable_rows(self.place.path(), self.is_csv)
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

/// Rows in finished files, or in the database.
fn durable_rows(place: &Path, is_csv: bool) -> usize {
    if !is_csv {
        let store = Connection::open(place.join("read.sqlite3")).unwrap();
        let count: u32 = store.query_row("SELECT count(*) FROM invoices", [], |row| row.get(0)).unwrap();
        return count as usize;
    }
    let files = std::fs::read_dir(place.join("files")).unwrap().map(|entry| entry.unwrap().path());
    let finished = files.filter(|path| path.extension().is_some_and(|ending| ending == "csv"));
    finished.map(|path| std::fs::read_to_string(path).unwrap().lines().count() - 1).sum()
}

/// Records 0 to 24, without 5, 6 and 7.
fn gapped() -> Arc<Scripted> {
    let mut partition = Partition::default();
    (0..5).chain(8..25).for_each(|offset| partition.invoice(offset));
    Scripted::new(vec![partition])
}

#[test]
fn a_log_that_is_away_at_the_start_is_asked_until_it_answers() {
    for sink in Sink::each() {
        let log = gapped();
        *log.topic_faults.lock().unwrap() = 1;
        *log.watermark_faults.lock().unwrap() = 2..4;
        let summary = sink.run(&log, |_| {}, std::future::pending()).unwrap();
        assert_eq!((summary.rows, summary.reached_end), (22, true));
        assert_eq!(sink.durable_rows(), 22);
        let told = sink.told();
        assert_eq!(told[0], AGAIN);
        assert_eq!(
            told.iter().filter(|line| *line == AGAIN).count(),
            2 - usize::from(sink.is_csv),
            "{told:?}"
        );
        assert_eq!(told.last().unwrap(), "sink `mine` goes on");
    }
}

#[test]
fn a_stop_is_heard_while_the_log_is_away() {
    for moment in 0..3 {
        for sink in Sink::each() {
            let before = [0, 1, sink.questions_at_start()][moment];
            let log = gapped();
            *log.watermark_faults.lock().unwrap() = 1 + before..u32::MAX;
            // So often that the wait for the next time is a long one.
            let stop = async {
                while *log.watermarks_asked.lock().unwrap() < before + 4 {
                    tokio::task::yield_now().await;
                }
            };
            let begun = Instant::now();
            let summary = sink.run(&log, |_| {}, stop).unwrap();
            assert!(!summary.reached_end, "{summary:?}");
            // Waits of 100, 200 and 400 ms, and not of 800.
            assert!(begun.elapsed() < Duration::from_millis(1_400), "{:?}", begun.elapsed());
            assert_eq!(sink.told(), [AGAIN]);
            sink.run(&gapped(), |_| {}, std::future::pending()).unwrap();
            assert_eq!(sink.durable_rows(), 22);
        }
    }
}

/// On Kafka almost every chunk begins behind a marker.
#[test]
fn gaps_cost_a_question_for_all_that_becomes_durable_at_once() {
    let mut partition = Partition::default();
    (0..200).for_each(|number| partition.invoice(2 * number));
    for mut sink in Sink::each() {
        let log = Scripted::new(vec![partition.clone()]);
        sink.settings.commit_interval = Duration::from_secs(3_600);
        assert_eq!(sink.run(&log, |_| {}, std::future::pending()).unwrap().rows, 200);
        let segments = if sink.is_csv { 40 } else { 0 };
        let asked = *log.watermarks_asked.lock().unwrap() - sink.questions_at_start();
        assert!(asked <= segments + 2, "{asked} questions for 200 gaps");
    }
}

#[test]
fn what_was_read_behind_a_gap_is_not_durable_before_the_log_has_told_what_it_is() {
    for sink in Sink::each() {
        let log = gapped();
        let first = sink.questions_at_start() + 1;
        *log.watermark_faults.lock().unwrap() = first..first + 3;
        let (place, is_csv) = (sink.place.path().to_owned(), sink.is_csv);
        let told = |line: &str| line == AGAIN;
        let hears = move |line: &str| {
            // The first five may be there: no gap is before them.
            assert!(!told(line) || durable_rows(&place, is_csv) <= 5);
        };
        assert_eq!(sink.run(&log, hears, std::future::pending()).unwrap().rows, 22);
        assert_eq!(sink.durable_rows(), 22);
        assert_eq!(sink.told(), [AGAIN, "sink `mine` goes on"]);
        assert!(*log.watermarks_asked.lock().unwrap() >= first + 3);
    }
}

#[test]
fn records_that_were_removed_before_they_were_read_are_missed_before_anything_behind_them_is_durable() {
    for sink in Sink::each() {
        let log = gapped();
        let first = sink.questions_at_start() + 1;
        *log.watermark_faults.lock().unwrap() = first..first + 1;
        let trimmed = log.clone();
        let trim = move |_: &str| trimmed.partitions.lock().unwrap()[0].low = 8;
        let error = sink.run(&log, trim, std::future::pending()).unwrap_err();
        let Error::Refused { what, .. } = &error else { panic!("{error:?}") };
        assert!(what.contains("records from `invoices[0]@5` on were removed"), "{what}");
        assert!(sink.durable_rows() <= 5);
    }
}

/// The position that others see is news: a log that cannot take it delays nothing.
#[test]
fn a_position_that_cannot_be_published_is_published_later() {
    for mut sink in Sink::each() {
        let log = gapped();
        *log.publishing_faults.lock().unwrap() = 2;
        sink.settings.until_end = false;
        sink.run(&log, |_| {}, log.published_at(25)).unwrap();
        let who = "sink `mine`, publishing its position,";
        let lines =
            [format!("{who} tries again: out of reach: as the test has it"), format!("{who} goes on")];
        assert_eq!(sink.told(), lines);
    }
}
