//! The embedded log's file: damage is named with its coordinates, and what is not ours is refused.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::SystemTime;

use rusqlite::Connection;
use tempfile::TempDir;
use tidegate_runtime::Error;
use tidegate_runtime::log::embedded::EmbeddedLog;
use tidegate_runtime::log::{Log, Offset, read_range};
use tidegate_runtime::time::EventTime;

use crate::cases::home::*;
use crate::embedded::{Embedded, empty};

/// Three batches of ten records in each of two partitions, and nobody who has the file open.
fn filled() -> Embedded {
    let home = empty();
    let log = home.open();
    topic(&*log, "t", 2);
    for start in [100, 110, 120] {
        write(&*log, "t", 0, start..start + 10);
        write(&*log, "t", 1, start + 400..start + 410);
    }
    home
}

fn file(home: &Embedded) -> std::path::PathBuf {
    home.directory.path().join("log.sqlite3")
}

/// What reading `t[0]` from the start ends with.
fn damage(home: &Embedded) -> String {
    let log = home.open();
    let mut worker = Worker::new(log.reader(1 << 20).unwrap());
    worker.consumer.seek(at("t", 0), Offset(0));
    let error = worker.error();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    error.to_string()
}

fn change(home: &Embedded, statement: &str) {
    let changed = Connection::open(file(home)).unwrap().execute(statement, []).unwrap();
    assert!(changed > 0);
}

#[test]
fn a_flipped_byte_is_named_with_its_coordinates() {
    let home = filled();
    let bytes = fs::read(file(&home)).unwrap();
    // The value of the record at offset 14, in the batch that begins at 10.
    let mut places = bytes.windows(3).enumerate().filter(|(_, window)| *window == b"114");
    let (place, _) = places.next().unwrap();
    assert!(places.next().is_none());
    let opened = fs::File::options().write(true).open(file(&home)).unwrap();
    opened.write_all_at(b"9", place as u64).unwrap();
    assert!(damage(&home).starts_with("t[0]@10: "), "{}", damage(&home));
    // What lies before it and behind it can still be read, and so can the other partition.
    let log = home.open();
    let mut worker = Worker::new(log.reader(1 << 20).unwrap());
    worker.consumer.seek(at("t", 0), Offset(3));
    assert_eq!(worker.chunk().len(), 7);
    assert_eq!(read_from(&*log, "t", 0, 20).len(), 10);
    assert_eq!(read_from(&*log, "t", 1, 0).len(), 30);
    let error = log.offset_at_time(&at("t", 0), tidegate_runtime::time::EventTime(115)).unwrap_err();
    assert!(error.to_string().starts_with("t[0]@10: "), "{error}");
}

#[test]
fn a_row_that_moved_does_not_pass() {
    let offset = "UPDATE batches SET base_offset = 5 WHERE base_offset = 10 AND partition = 1";
    let count = "UPDATE batches SET count = 9 WHERE base_offset = 10 AND partition = 1";
    let body = "UPDATE batches SET body = (SELECT body FROM batches WHERE base_offset = 20 AND partition = 1)
                WHERE base_offset = 10 AND partition = 1";
    let missing = "DELETE FROM batches WHERE base_offset = 10 AND partition = 1";
    let last = "DELETE FROM batches WHERE base_offset = 20 AND partition = 1";
    for (statement, place) in [
        (offset, "t[0]@5: "),
        (count, "t[0]@10: "),
        (body, "t[0]@10: "),
        (missing, "t[0]@10: "),
        (last, "t[0]@20: "),
    ] {
        let home = filled();
        change(&home, statement);
        assert!(damage(&home).starts_with(place), "{statement}: {}", damage(&home));
    }
    // The other partition's batches, whole and in order, but not where they belong.
    let home = filled();
    change(&home, "UPDATE batches SET partition = partition + 10");
    change(&home, "UPDATE batches SET partition = 13 - partition");
    assert!(damage(&home).starts_with("t[0]@0: "), "{}", damage(&home));
}

#[test]
fn another_version_is_refused_with_both_numbers() {
    let home = filled();
    Connection::open(file(&home)).unwrap().pragma_update(None, "user_version", 7).unwrap();
    let text = refusal(home.directory.path());
    assert!(
        text.contains("version 7") && text.contains("version 2") && text.contains("log.sqlite3"),
        "{text}"
    );
}

#[test]
fn another_programs_file_is_refused_and_left_alone() {
    let database = |path: &Path| {
        Connection::open(path).unwrap().execute_batch("CREATE TABLE invoices (id INTEGER)").unwrap();
    };
    let named = |path: &Path| {
        Connection::open(path).unwrap().pragma_update(None, "application_id", 4_711).unwrap();
    };
    let text = |path: &Path| fs::write(path, "invoice;total\n".repeat(1_000)).unwrap();
    let makers: [&dyn Fn(&Path); 3] = [&database, &named, &text];
    for make in makers {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("log.sqlite3");
        make(&path);
        let before = fs::read(&path).unwrap();
        let text = refusal(directory.path());
        assert!(text.contains("log.sqlite3") && text.contains("--data"), "{text}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

fn refusal(directory: &Path) -> String {
    let Err(error) = EmbeddedLog::open(directory) else { panic!("opened") };
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    error.to_string()
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let directory = TempDir::new().unwrap();
    let occupied = directory.path().join("occupied");
    fs::write(&occupied, "").unwrap();
    for path in [occupied.clone(), occupied.join("below")] {
        let Err(error) = EmbeddedLog::open(&path) else { panic!("opened") };
        assert!(matches!(error, Error::Storage { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

#[test]
fn many_can_open_an_empty_directory_at_once() {
    for _ in 0..5 {
        let home = empty();
        std::thread::scope(|scope| {
            for name in ["a", "b", "c", "d", "e", "f"] {
                let home = &home;
                scope.spawn(move || topic(&*home.open(), name, 1));
            }
        });
        assert_eq!(home.open().topics().unwrap().len(), 6);
    }
}

#[test]
fn the_write_ahead_log_does_not_grow_with_what_is_written() {
    let home = empty();
    let log = home.open();
    topic(&*log, "t", 1);
    let mut worker = Worker::new(log.reader(1 << 20).unwrap());
    worker.consumer.seek(at("t", 0), Offset(0));
    let mut producer = log.producer("p").unwrap();
    let value = vec![b'v'; 1_000];
    let mut records = 0;
    for time in 0..100 {
        let mut outgoing = tidegate_runtime::log::Outgoing::default();
        for _ in 0..1_000 {
            let time = tidegate_runtime::time::EventTime(time);
            outgoing.partition(&"t".into(), 0).push(time, None, Some(&value), &[]);
        }
        producer.send(&mut outgoing).unwrap();
        producer.commit(None).unwrap();
        while records < (time + 1) * 1_000 {
            records += worker.chunk().len() as i64;
        }
    }
    let length = fs::metadata(home.directory.path().join("log.sqlite3-wal")).unwrap().len();
    assert!(length < 64 << 20, "{length} bytes after 100 MB");
}

/// What reading `t[0]` from the start gives, record by record, up to its end or the first error.
fn read_all(log: &dyn Log) -> (Vec<i64>, Option<Error>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let partition = at("t", 0);
    let mut times = Vec::new();
    let read = || {
        let marks = log.watermarks(&partition)?;
        runtime.block_on(read_range(log, &partition, marks.low, marks.high, |chunk| {
            times.extend(chunk.records().map(|record| record.time().0));
            Ok(())
        }))
    };
    let error: Option<Error> = { read }().err();
    (times, error)
}

/// The same where nothing is damaged.
fn whole(log: &dyn Log) -> Vec<i64> {
    let (times, error) = read_all(log);
    assert!(error.is_none(), "{error:?}");
    times
}

/// Flips one bit of every column that decides what is read, each in its turn: whatever is read then is right, or an error says where.
#[test]
fn no_flipped_bit_of_any_column_changes_what_is_read() {
    let home = filled();
    let log = home.open();
    let raw = Connection::open(file(&home)).unwrap();
    let expected: Vec<i64> = (100..130).collect();
    let seeks: Vec<(i64, i64)> =
        vec![(0, 0), (105, 5), (111, 11), (119, 19), (121, 21), (129, 29), (500, 30)];
    let columns = [
        ("batches", "partition"),
        ("batches", "base_offset"),
        ("batches", "count"),
        ("batches", "min_time"),
        ("batches", "max_time"),
        ("batches", "checksum"),
        ("partitions", "id"),
        ("partitions", "number"),
        ("partitions", "low"),
        ("partitions", "high"),
        ("partitions", "checksum"),
    ];
    let (mut noticed, mut flips) = (0, 0);
    for (table, column) in columns {
        let rows = match table {
            // In the middle: a batch stands before it, and one behind.
            "batches" => "partition = 1 AND base_offset = 10",
            _ => "topic = 't' AND number = 0",
        };
        let rowids: Vec<i64> = raw
            .prepare(&format!("SELECT rowid FROM {table} WHERE {rows}"))
            .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
            .unwrap();
        for (mut rowid, bit) in rowids.into_iter().flat_map(|rowid| (0..64).map(move |bit| (rowid, bit))) {
            let select = format!("SELECT {column} FROM {table} WHERE rowid = ?1");
            let before: i64 = raw.query_row(&select, [rowid], |row| row.get(0)).unwrap();
            let update = format!("UPDATE {table} SET {column} = ?2 WHERE rowid = ?1");
            // Two rows of one key are refused by the table itself.
            if raw.execute(&update, [rowid, before ^ (1 << bit)]).is_err() {
                continue;
            }
            flips += 1;
            let place = format!("{table}.{column} of row {rowid}, bit {bit}");
            let (times, error) = read_all(&*log);
            assert!(expected.starts_with(&times), "{place}: {times:?}");
            assert!(error.is_some() || times == expected, "{place}: {} records and no error", times.len());
            noticed += u32::from(error.is_some());
            for (time, offset) in &seeks {
                if let Ok(found) = log.offset_at_time(&at("t", 0), EventTime(*time)) {
                    assert_eq!(found, Offset(*offset), "{place}: time {time}");
                }
            }
            if (table, column) == ("partitions", "id") {
                rowid = before ^ (1 << bit);
            }
            raw.execute(&update, [rowid, before]).unwrap();
        }
    }
    assert!(noticed > flips / 2, "{noticed} of {flips} flips were noticed");
    assert_eq!(whole(&*log), expected, "all is as it was");
}

/// What a program of format 1 has left, as far as this one can tell.
fn of_format_1(home: &Embedded) -> Connection {
    let raw = Connection::open(file(home)).unwrap();
    raw.execute_batch(
        "UPDATE batches SET checksum = checksum & 0xffffffff;
         ALTER TABLE partitions DROP COLUMN checksum;
         PRAGMA user_version = 1",
    )
    .unwrap();
    raw
}

fn version(home: &Embedded) -> i64 {
    let raw = Connection::open(file(home)).unwrap();
    raw.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

#[test]
fn a_log_of_the_older_format_is_taken_over_in_place() {
    for leaves_write_ahead_log in [false, true] {
        let home = filled();
        let raw = of_format_1(&home);
        if leaves_write_ahead_log {
            // Where a process ends that is killed while it takes the log over.
            raw.pragma_update(None, "journal_mode", "DELETE").unwrap();
        }
        drop(raw);
        let log = home.open();
        let expected: Vec<i64> = (100..130).collect();
        assert_eq!(whole(&*log), expected);
        assert_eq!(log.offset_at_time(&at("t", 0), EventTime(115)).unwrap(), Offset(15));
        write(&*log, "t", 0, 130..140);
        let longer: Vec<i64> = (100..140).collect();
        assert_eq!(whole(&*log), longer, "old batches and new ones");
        assert_eq!(version(&home), 2);
        change(&home, "UPDATE batches SET max_time = 111 WHERE base_offset = 10 AND partition = 1");
        let error = log.offset_at_time(&at("t", 0), EventTime(115)).unwrap_err();
        assert!(error.to_string().starts_with("t[0]@10: "), "{error}");
    }
}

#[test]
fn a_log_of_the_older_format_is_not_taken_from_a_process_that_uses_it() {
    let home = filled();
    let raw = of_format_1(&home);
    // It has read something, as any process that uses it.
    let _: i64 = raw.query_row("SELECT count(*) FROM batches", [], |row| row.get(0)).unwrap();
    let text = refusal(home.directory.path());
    assert!(text.contains("version 1") && text.contains("stop every process"), "{text}");
    drop(raw);
    assert_eq!(whole(&*home.open()).len(), 30);
}

/// Everything in the log's directory, with its bytes and when they were written.
fn inside(directory: &Path) -> BTreeMap<OsString, (Vec<u8>, SystemTime)> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let found = entries.map(|entry| {
        let modified = entry.metadata().unwrap().modified().unwrap();
        (entry.file_name(), (fs::read(entry.path()).unwrap(), modified))
    });
    found.collect()
}

#[test]
fn looking_changes_nothing() {
    let home = filled();
    let directory = home.directory.path();
    fs::remove_file(directory.join("log.lock")).unwrap();
    let before = inside(directory);
    let log = EmbeddedLog::look(directory).unwrap();
    let expected: Vec<i64> = (100..130).collect();
    assert_eq!(whole(&log), expected);
    assert_eq!((log.topics().unwrap().len(), log.groups().unwrap().len()), (1, 0));
    // Another may write meanwhile, and it is seen.
    write(&*home.open(), "t", 0, 130..140);
    assert_eq!(whole(&log), (100..140).collect::<Vec<i64>>());
    let error = log.delete_topic("t").unwrap_err();
    assert!(matches!(error, Error::Defect(_)), "{error}");
    drop(log);
    fs::remove_file(directory.join("log.lock")).unwrap();
    let after = inside(directory);
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());

    let before = after;
    assert_eq!(whole(&EmbeddedLog::look(directory).unwrap()).len(), 40);
    assert!(inside(directory) == before, "looked at, and changed");
}

/// What a killed process leaves is part of the log, and stays where it is.
#[test]
fn looking_reads_a_write_ahead_log_and_leaves_it() {
    let home = filled();
    let log = home.open();
    write(&*log, "t", 0, 130..140);
    let left = TempDir::new().unwrap();
    for name in ["log.sqlite3", "log.sqlite3-wal"] {
        fs::copy(home.directory.path().join(name), left.path().join(name)).unwrap();
    }
    let before = inside(left.path());
    assert_eq!(whole(&EmbeddedLog::look(left.path()).unwrap()), (100..140).collect::<Vec<i64>>());
    let after = inside(left.path());
    assert!(before.iter().all(|(name, file)| after.get(name) == Some(file)), "{:?}", after.keys());
}

#[test]
fn looking_at_an_older_or_an_empty_log_does_not_change_it() {
    let home = filled();
    drop(of_format_1(&home));
    let before = inside(home.directory.path());
    let looked = || EmbeddedLog::look(home.directory.path()).err().unwrap();
    let error = looked();
    let Error::Refused { what, remedy } = &error else { panic!("{error}") };
    assert!(what.contains("has format version 1") && remedy.contains("schemas register"), "{error}");
    assert!(inside(home.directory.path()) == before, "looked at, and changed");
    fs::write(file(&home), "").unwrap();
    let error = looked();
    assert!(matches!(&error, Error::Refused { what, .. } if what.contains("is empty")), "{error}");
    assert_eq!(fs::metadata(file(&home)).unwrap().len(), 0);
}
