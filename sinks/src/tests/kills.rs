//! Sinks as processes of their own on an embedded log, killed at random moments while records arrive.
//!
//! The process that is killed is this test's own program, started again to run one sink; see [`a_sink_process`].

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;
use tidegate_runtime::log::embedded::EmbeddedLog;
use tidegate_runtime::log::{Cleanup, Log, Outgoing, Producer, TopicSpec, partition_for, subject_of_value};
use tidegate_runtime::time::EventTime;
use tidegate_schemas::{Record, topics};

use super::{csv_to_end, invoice, invoice_line, invoice_value, sqlite_to_end};
use crate::{Settings, csv, sqlite};

const PLACE: &str = "TIDEGATE_TEST_SINK_PLACE";
const KIND: &str = "TIDEGATE_TEST_SINK_KIND";
const PARTITIONS: u32 = 2;
const RECORDS: i64 = 40_000;
const KILLS: i64 = 20;

fn csv_options(place: &Path) -> csv::Options {
    let mut settings = Settings { until_end: true, ..Settings::named("csv") };
    settings.commit_interval = Duration::from_millis(5);
    csv::Options { settings, topic: "invoices".into(), directory: place.join("files"), segment_records: 100 }
}

fn sqlite_options(place: &Path) -> sqlite::Options {
    let mut settings = Settings { until_end: true, ..Settings::named("sqlite") };
    settings.commit_interval = Duration::from_millis(5);
    sqlite::Options {
        settings,
        topics: vec!["invoices".into()],
        database: place.join("read.sqlite3"),
        wal_max_bytes: sqlite::WAL_MAX_BYTES,
    }
}

/// One sink, to its end: what [`start`] runs in a process of its own. By itself, among the tests, it has nothing to do.
#[test]
fn a_sink_process() {
    let Some(place) = env::var_os(PLACE) else { return };
    let place = Path::new(&place);
    let log = Arc::new(EmbeddedLog::open(&place.join("log")).unwrap());
    let outcome = match env::var(KIND).unwrap().as_str() {
        "csv" => csv_to_end(log, &csv_options(place)),
        _ => sqlite_to_end(log, &sqlite_options(place)),
    };
    outcome.unwrap();
}

fn start(kind: &str, place: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["tests::kills::a_sink_process", "--exact", "--quiet"])
        .env(PLACE, place)
        .env(KIND, kind)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Lets a sink run for at most `ms`, then kills it.
fn run_and_kill(kind: &str, place: &Path, ms: u64) {
    let mut child = start(kind, place);
    let mut output = child.stdout.take().unwrap();
    let (ended, wait) = channel();
    // Its output ends when it does.
    let listener = std::thread::spawn(move || {
        std::io::copy(&mut output, &mut std::io::sink()).unwrap();
        let _ = ended.send(());
    });
    if wait.recv_timeout(Duration::from_millis(ms)).is_err() {
        child.kill().unwrap();
    }
    child.wait().unwrap();
    listener.join().unwrap();
}

/// Records of which every 50th is bad.
fn is_bad(number: i64) -> bool {
    number % 50 == 49
}

fn append(producer: &mut dyn Producer, numbers: impl Iterator<Item = i64>) {
    let mut outgoing = Outgoing::default();
    let topic: Arc<str> = "invoices".into();
    for number in numbers {
        let made = invoice(number);
        let value = if is_bad(number) { vec![7] } else { invoice_value(number) };
        let partition = partition_for(made.key(), PARTITIONS);
        let time = EventTime(made.issued_at);
        outgoing.partition(&topic, partition).push(time, Some(made.key()), Some(&value), &[]);
    }
    producer.send(&mut outgoing).unwrap();
    producer.commit(None).unwrap();
}

#[test]
fn sinks_killed_at_random_moments_lose_and_double_nothing() {
    let place = TempDir::new().unwrap();
    let place = place.path();
    let log = EmbeddedLog::open(&place.join("log")).unwrap();
    let spec = TopicSpec { name: "invoices".into(), partitions: PARTITIONS, cleanup: Cleanup::Delete };
    log.create_topics(&[spec]).unwrap();
    let id = log.registry().register(&subject_of_value("invoices"), topics::INVOICES.schema).unwrap();
    assert_eq!(id.0, 1, "the id `invoice_value` writes");
    let mut producer = log.producer("writer").unwrap();
    let mut moments =
        fs::metadata(place).unwrap().modified().unwrap().elapsed().unwrap().as_nanos() as u64 | 1;
    println!("seed {moments}");
    for kill in 0..KILLS {
        append(&mut *producer, (0..RECORDS).filter(|number| number % KILLS == kill));
        for kind in ["csv", "sqlite"] {
            moments ^= moments << 13;
            moments ^= moments >> 7;
            moments ^= moments << 17;
            run_and_kill(kind, place, moments % 50);
        }
    }
    // Twice: the first end may be one that was asked for before a kill.
    for _ in 0..2 {
        for kind in ["csv", "sqlite"] {
            assert!(start(kind, place).wait_with_output().unwrap().status.success(), "{kind}");
        }
    }
    let expected = expected();
    assert_eq!(in_files(&place.join("files"), ".csv"), expected);
    assert_eq!(in_store(&place.join("read.sqlite3")), expected);
    assert_eq!(log.committed("csv").unwrap(), log.committed("sqlite").unwrap());
}

/// The good lines of each partition in order, and how many bad ones it has.
type Content = BTreeMap<u32, (Vec<String>, usize)>;

fn expected() -> Content {
    let mut content = Content::new();
    for number in (0..KILLS).flat_map(|kill| (0..RECORDS).filter(move |number| number % KILLS == kill)) {
        let (lines, bad) = content.entry(partition_for(invoice(number).key(), PARTITIONS)).or_default();
        if is_bad(number) { *bad += 1 } else { lines.push(invoice_line(number)) }
    }
    content
}

fn in_files(directory: &Path, ending: &str) -> Content {
    let mut content = Content::new();
    for (folder, holds_rejects) in [(directory.to_owned(), false), (directory.join("rejects"), true)] {
        let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        for name in names.iter().filter(|name| name.ends_with(ending)) {
            let partition = name.split('-').nth(1).unwrap().parse().unwrap();
            let text = fs::read_to_string(folder.join(name)).unwrap();
            let lines = text.split_inclusive("\r\n").skip(1).map(str::to_owned);
            let (good, bad) = content.entry(partition).or_default();
            if holds_rejects { *bad += lines.count() } else { good.extend(lines) }
        }
    }
    content
}

fn in_store(database: &Path) -> Content {
    let store = Connection::open(database).unwrap();
    let mut content = Content::new();
    let mut select = store
        .prepare("SELECT source_partition, invoice_id FROM invoices ORDER BY source_partition, source_offset")
        .unwrap();
    let mut rows = select.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let (partition, id): (u32, String) = (row.get(0).unwrap(), row.get(1).unwrap());
        content.entry(partition).or_default().0.push(invoice_line(id[1..].parse().unwrap()));
    }
    let mut select =
        store.prepare("SELECT partition, count(*) FROM sink_rejects GROUP BY partition").unwrap();
    let mut rows = select.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        content.entry(row.get(0).unwrap()).or_default().1 = row.get::<_, i64>(1).unwrap() as usize;
    }
    content
}
