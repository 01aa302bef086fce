//! The SQLite read store: rows and offsets together, readers meanwhile, and what makes it wait.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;
use tidegate_runtime::avro::Encoder;
use tidegate_runtime::log::embedded::EmbeddedLog;
use tidegate_runtime::log::{
    Cleanup, Log, Offset, Outgoing, TopicPartition, TopicSpec, partition_for, subject_of_value,
};
use tidegate_runtime::time::EventTime;
use tidegate_runtime::{Error, Reaction};
use tidegate_schemas::{CustomerTotal, Record as _, topics};

use super::scripted::{Partition, Record, Scripted};
use super::{block_on, invoice, sqlite_to_end};
use crate::sqlite::{Options, run};
use crate::{Notice, Settings};

fn options(database: &Path) -> Options {
    Options {
        settings: Settings {
            until_end: true,
            commit_interval: Duration::from_millis(5),
            ..Settings::named("store")
        },
        topics: vec!["invoices".into()],
        database: database.to_owned(),
        wal_max_bytes: crate::sqlite::WAL_MAX_BYTES,
    }
}

fn place() -> (TempDir, PathBuf) {
    let place = TempDir::new().unwrap();
    let database = place.path().join("read.sqlite3");
    (place, database)
}

fn filled(records: i64) -> Partition {
    let mut partition = Partition::default();
    (0..records).for_each(|offset| partition.invoice(offset));
    partition
}

type Stored = (String, String, i64, i64, String, i64, i64);

fn stored(database: &Path) -> Vec<Stored> {
    let store = Connection::open(database).unwrap();
    let mut select =
        store.prepare("SELECT * FROM invoices ORDER BY source_partition, source_offset").unwrap();
    let rows = select
        .query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?))
        })
        .unwrap();
    rows.map(Result::unwrap).collect()
}

fn expected(partition: i64, offsets: impl IntoIterator<Item = i64>) -> Vec<Stored> {
    let row = |offset| {
        let made = invoice(offset);
        (
            made.invoice_id,
            made.customer_id,
            made.issued_at,
            made.amount_minor,
            made.currency,
            partition,
            offset,
        )
    };
    offsets.into_iter().map(row).collect()
}

fn number(database: &Path, sql: &str) -> i64 {
    Connection::open(database).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

const NEXT: &str = "SELECT next_offset FROM sink_offsets WHERE topic = 'invoices' AND partition = 0";

#[test]
fn rows_lines_and_rejects_stand_where_they_belong() {
    let (_place, database) = place();
    let mut partition = filled(9);
    partition.put(4, Record { value: Some(vec![7]), ..partition.records[&4].clone() });
    partition.high = 11; // markers
    let log = Scripted::new(vec![partition, filled(3)]);
    let summary = sqlite_to_end(log.clone(), &options(&database)).unwrap();
    assert_eq!((summary.rows, summary.rejects, summary.reached_end), (11, 1, true));
    let rows = [expected(0, (0..9).filter(|offset| *offset != 4)), expected(1, 0..3)].concat();
    assert_eq!(stored(&database), rows);
    assert_eq!(number(&database, NEXT), 11);
    assert_eq!(*log.published.borrow(), summary.positions);

    let store = Connection::open(&database).unwrap();
    let line: (i64, String, i64) = store
        .query_row(
            "SELECT line_number, description, quantity FROM invoice_lines WHERE source_partition = 0 AND source_offset = 8
             ORDER BY line_number DESC",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .unwrap();
    assert_eq!(line, (2, "item \"8\", 1".into(), 0));
    let reject: (i64, String, Vec<u8>, Vec<u8>) = store
        .query_row("SELECT offset, reason, key, value FROM sink_rejects", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .unwrap();
    assert_eq!(reject, (4, "wrong-magic".into(), b"=4".to_vec(), vec![7]));
}

#[test]
fn a_transaction_that_fails_leaves_neither_rows_nor_offset() {
    let (_place, database) = place();
    sqlite_to_end(Scripted::new(vec![filled(5)]), &options(&database)).unwrap();
    // What a defect of ours would look like: a row is there that the offset says was never read. (Invoice 3 has no lines.)
    let store = Connection::open(&database).unwrap();
    store.execute("UPDATE invoices SET source_offset = 7 WHERE source_offset = 3", []).unwrap();
    let log = Scripted::new(vec![filled(9)]);
    let error = sqlite_to_end(log.clone(), &options(&database)).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    assert!(error.to_string().starts_with("invoices[0]@7: "), "{error}");
    assert_eq!(error.reaction(), Reaction::Stop);
    assert_eq!(stored(&database).len(), 5);
    assert_eq!(number(&database, NEXT), 5);
    assert!(log.published.borrow().values().all(|position| *position == Offset(5)));

    store.execute("UPDATE invoices SET source_offset = 3 WHERE source_offset = 7", []).unwrap();
    sqlite_to_end(log, &options(&database)).unwrap();
    assert_eq!(stored(&database), expected(0, 0..9));
}

#[test]
fn a_resumed_until_end_keeps_its_first_end() {
    let (_place, database) = place();
    let log = Scripted::new(vec![filled(20)]);
    // It stops at once: the end is known, and nothing is read.
    let stopped = block_on(run(log.clone(), &options(&database), std::future::ready(()))).unwrap();
    assert!(!stopped.reached_end);
    *log.partitions.lock().unwrap() = vec![filled(30)];
    sqlite_to_end(log.clone(), &options(&database)).unwrap();
    assert_eq!(stored(&database), expected(0, 0..20));
    // That end is done with: the next one is new.
    sqlite_to_end(log, &options(&database)).unwrap();
    assert_eq!(stored(&database), expected(0, 0..30));
    assert_eq!(number(&database, "SELECT count(*) FROM sink_offsets WHERE until_offset IS NOT NULL"), 0);
}

#[test]
fn a_run_without_an_end_forgets_the_one_before() {
    let (_place, database) = place();
    let log = Scripted::new(vec![filled(20)]);
    block_on(run(log.clone(), &options(&database), std::future::ready(()))).unwrap();
    *log.partitions.lock().unwrap() = vec![filled(30)];
    let mut live = options(&database);
    live.settings.until_end = false;
    block_on(run(log.clone(), &live, log.published_at(30))).unwrap();
    assert_eq!(stored(&database), expected(0, 0..30));
}

#[test]
fn a_reader_sees_whole_transactions_while_the_sink_writes() {
    let (_place, database) = place();
    let log = Scripted::new(vec![filled(20_000)]);
    let mut live = options(&database);
    live.settings.until_end = false;
    live.settings.commit_interval = Duration::from_millis(1);
    std::thread::scope(|scope| {
        let sink = scope.spawn(|| block_on(run(log.clone(), &live, log.published_at(20_000))));
        block_on(log.published_at(0));
        let reader = Connection::open(&database).unwrap();
        let mut seen = 0;
        while seen < 20_000 {
            let snapshot = reader.unchecked_transaction().unwrap();
            let count = |sql| snapshot.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
            let (rows, next) = (count("SELECT count(*) FROM invoices"), count(NEXT));
            assert_eq!(rows, next);
            assert!(next >= seen);
            seen = next;
        }
        sink.join().unwrap().unwrap();
    });
}

#[test]
fn behind_a_long_reader_the_sink_says_so_and_waits() {
    // Two batches and more, and no commit but for a full one.
    const RECORDS: i64 = 60_000;
    let (_place, database) = place();
    let log = Scripted::new(vec![filled(RECORDS)]);
    let (told, tell) = (Arc::new(Mutex::new(Vec::new())), tokio::sync::watch::Sender::new(()));
    let mut options = options(&database);
    options.wal_max_bytes = 100_000;
    options.settings.commit_interval = Duration::from_secs(3_600);
    options.settings.notice = Notice::new({
        let (told, tell) = (told.clone(), tell.clone());
        move |line| {
            told.lock().unwrap().push(line.to_owned());
            tell.send_replace(());
        }
    });
    // The tables, and a reader that has looked at them and does not end.
    block_on(run(log.clone(), &options, std::future::ready(()))).unwrap();
    let reader = Connection::open(&database).unwrap();
    let snapshot = reader.unchecked_transaction().unwrap();
    let rows: i64 = snapshot.query_row("SELECT count(*) FROM invoices", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 0);
    let mut heard = tell.subscribe();
    let stopped = block_on(run(log.clone(), &options, async { heard.changed().await.unwrap() })).unwrap();
    assert!(!stopped.reached_end);
    let line = told.lock().unwrap().join("\n");
    assert!(line.contains("a reader keeps a transaction open"), "{line}");
    let wal_bytes = std::fs::metadata(database.with_extension("sqlite3-wal")).unwrap().len();
    // A batch of rows and its indices past the bound, and no more.
    assert!(wal_bytes < 100_000 + 32_000_000, "{wal_bytes}");
    assert!(stored(&database).len() < RECORDS as usize);
    drop(snapshot);
    sqlite_to_end(log, &options).unwrap();
    assert_eq!(stored(&database), expected(0, 0..RECORDS));
}

#[test]
fn while_another_program_writes_the_sink_waits() {
    let (_place, database) = place();
    let log = Scripted::new(vec![filled(20)]);
    block_on(run(log.clone(), &options(&database), std::future::ready(()))).unwrap();
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let mut options = options(&database);
    options.settings.notice = Notice::new(move |line| told.send(line.to_owned()).unwrap());
    let other = Connection::open(&database).unwrap();
    // The sink has begun when it publishes where it stands; then the other program takes the lock.
    let other_program = async {
        log.published_at(0).await;
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let line = heard.recv().await.unwrap();
        assert!(line.starts_with("another program is writing"), "{line}");
        other.execute_batch("COMMIT").unwrap();
        std::future::pending::<()>().await;
    };
    let outcome = block_on(run(log.clone(), &options, other_program));
    assert!(outcome.unwrap().reached_end);
    assert_eq!(stored(&database), expected(0, 0..20));
}

/// Three topics of an embedded log in one store; a total that comes twice stands once, with its last value.
#[test]
fn several_topics_share_a_store_and_the_last_total_stands() {
    let (place, database) = place();
    let log = EmbeddedLog::open(&place.path().join("log")).unwrap();
    let spec = |topic: &tidegate_schemas::Topic| TopicSpec {
        name: topic.name.into(),
        partitions: topic.partitions,
        cleanup: Cleanup::Delete,
    };
    log.create_topics(&tidegate_schemas::TOPICS.map(spec)).unwrap();
    let mut outgoing = Outgoing::default();
    let total = |customer: i64, count: i64| CustomerTotal {
        customer_id: format!("c{customer}"),
        currency: "GBP".into(),
        window_start: 5_000,
        window_end: 10_000,
        count,
        amount_minor: count * 100,
    };
    let totals = [total(1, 1), total(2, 1), total(1, 2), total(3, 1), total(1, 3)];
    totals.iter().for_each(|total| put(&log, &mut outgoing, total));
    (0..50).for_each(|at| put(&log, &mut outgoing, &invoice(at)));
    let mut producer = log.producer("writer").unwrap();
    producer.send(&mut outgoing).unwrap();
    producer.commit(None).unwrap();

    let log: Arc<dyn Log> = Arc::new(log);
    let mut options = options(&database);
    options.topics = vec!["customer-totals".into(), "invoices".into()];
    let summary = sqlite_to_end(log.clone(), &options).unwrap();
    assert_eq!((summary.rows, summary.rejects), (55, 0));
    assert_eq!(number(&database, "SELECT count(*) FROM customer_totals"), 3);
    assert_eq!(number(&database, "SELECT count FROM customer_totals WHERE customer_id = 'c1'"), 3);
    assert_eq!(
        number(&database, "SELECT sum(amount_minor) FROM invoices"),
        (0..50).map(|at| at - 50).sum::<i64>()
    );
    assert_eq!(log.committed("store").unwrap(), summary.positions);
    // A topic may join later.
    options.topics.push("readings".into());
    assert_eq!(sqlite_to_end(log, &options).unwrap().rows, 0);
    assert_eq!(number(&database, "SELECT count(*) FROM sink_offsets"), 12);
}

fn put<R: tidegate_schemas::Record>(log: &EmbeddedLog, outgoing: &mut Outgoing, record: &R) {
    let schema = R::TOPIC.schema;
    let id = log.registry().register(&subject_of_value(R::TOPIC.name), schema).unwrap();
    let mut value = Vec::new();
    Encoder::new(id, schema).unwrap().encode(record, &mut value).unwrap();
    let partition = partition_for(record.key(), R::TOPIC.partitions);
    let time = EventTime(record.event_time_ms());
    outgoing.partition(&R::TOPIC.name.into(), partition).push(time, Some(record.key()), Some(&value), &[]);
}

#[test]
fn the_position_in_the_log_is_not_asked() {
    let (_place, database) = place();
    let log = Scripted::new(vec![filled(5)]);
    let at = TopicPartition::new(topics::INVOICES.name, 0);
    log.published.send_replace([(at, Offset(3))].into());
    sqlite_to_end(log.clone(), &options(&database)).unwrap();
    assert_eq!(stored(&database), expected(0, 0..5));
    assert_eq!(invoice(4).key(), b"=4");
}
