//! What a sink refuses, and how it says so.

use std::fs;
use std::sync::Arc;

use rusqlite::Connection;
use tempfile::TempDir;
use tidegate_runtime::log::embedded::EmbeddedLog;
use tidegate_runtime::log::{Cleanup, Log, TopicSpec};
use tidegate_runtime::{Error, Result};

use super::scripted::{Partition, Scripted};
use super::{block_on, csv_to_end, sqlite_to_end};
use crate::{Settings, Summary, csv, sqlite};

/// A log of one partition that begins at `low` and ends at `high`.
fn log(low: i64, high: i64) -> Arc<Scripted> {
    let mut partition = Partition::default();
    (0..high).for_each(|offset| partition.invoice(offset));
    partition.low = low;
    Scripted::new(vec![partition])
}

/// Both sinks in a place, with what they are told.
struct Both {
    place: TempDir,
    csv: csv::Options,
    sqlite: sqlite::Options,
}

impl Both {
    fn new() -> Both {
        let place = TempDir::new().unwrap();
        let settings = Settings { until_end: true, ..Settings::named("mine") };
        let (topic, directory) = ("invoices".to_owned(), place.path().join("files"));
        let database = place.path().join("read.sqlite3");
        let (topics, wal_max_bytes) = (vec![topic.clone()], sqlite::WAL_MAX_BYTES);
        Both {
            csv: csv::Options { settings: settings.clone(), topic, directory, segment_records: 10 },
            sqlite: sqlite::Options { settings, topics, database, wal_max_bytes },
            place,
        }
    }

    fn run(&self, log: &Arc<Scripted>) -> [Result<Summary>; 2] {
        [csv_to_end(log.clone(), &self.csv), sqlite_to_end(log.clone(), &self.sqlite)]
    }

    fn succeed(&self, log: &Arc<Scripted>) {
        for outcome in self.run(log) {
            outcome.unwrap();
        }
    }

    fn rename(&mut self, name: &str) {
        self.csv.settings.name = name.into();
        self.sqlite.settings.name = name.into();
    }

    /// Both refuse; their messages without the remedies, and without the place's path.
    fn refuse(&self, log: &Arc<Scripted>) -> [String; 2] {
        self.run(log).map(|outcome| self.what(outcome))
    }

    fn what(&self, outcome: Result<Summary>) -> String {
        let error = outcome.unwrap_err();
        let Error::Refused { what, remedy } = &error else { panic!("{error:?}") };
        assert!(!remedy.is_empty());
        what.replace(&self.place.path().display().to_string(), "PLACE")
    }
}

#[test]
fn a_second_holder() {
    let both = Both::new();
    let log = log(0, 3);
    let mut told = Vec::new();
    let mut live =
        Both { place: TempDir::new().unwrap(), csv: both.csv.clone(), sqlite: both.sqlite.clone() };
    (live.csv.settings.until_end, live.sqlite.settings.until_end) = (false, false);
    let others = || std::thread::scope(|scope| scope.spawn(|| both.run(&log)).join().unwrap());
    let stop = async {
        log.published_at(3).await;
        told.extend(others().into_iter().filter_map(Result::err));
    };
    block_on(csv::run(log.clone(), &live.csv, stop)).unwrap();
    assert_eq!(told.len(), 1);
    fs::remove_file(&both.sqlite.database).unwrap();
    let stop = async { told.extend(others().into_iter().filter_map(Result::err)) };
    block_on(sqlite::run(log.clone(), &live.sqlite, stop)).unwrap();
    let told: Vec<_> = told.into_iter().map(|error| both.what(Err(error))).collect();
    let held = ["files", "read.sqlite3"].map(|name| format!("another process is writing `PLACE/{name}`"));
    assert_eq!(told, held);
}

#[test]
fn a_place_of_another_sink_topic_log_or_size() {
    let mut both = Both::new();
    let log = log(0, 3);
    both.succeed(&log);
    both.rename("other");
    let foreign = |name: &str| format!("`PLACE/{name}` belongs to sink `mine`, not to `other`");
    assert_eq!(both.refuse(&log), [foreign("files"), foreign("read.sqlite3")]);
    both.rename("mine");
    both.csv.segment_records = 20;
    assert_eq!(
        both.what(csv_to_end(log.clone(), &both.csv)),
        "`PLACE/files` belongs to segment-records `10`, not to `20`"
    );
    both.csv.segment_records = 10;
    let store = Connection::open(&both.sqlite.database).unwrap();
    store.execute("UPDATE sink_identity SET log = 'another-log'", []).unwrap();
    let file = both.csv.directory.join("sink.json");
    fs::write(&file, fs::read_to_string(&file).unwrap().replace("scripted-log", "another-log")).unwrap();
    let foreign = |name: &str| format!("`PLACE/{name}` belongs to log `another-log`, not to `scripted-log`");
    assert_eq!(both.refuse(&log), [foreign("files"), foreign("read.sqlite3")]);
}

/// The log's directory was removed and a new log made in its place: its records are not those the sink has.
#[test]
fn a_new_log_at_the_old_address() {
    let (data, place) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let settings = Settings { until_end: true, ..Settings::named("mine") };
    let directory = place.path().to_owned();
    let options = csv::Options { settings, topic: "invoices".into(), directory, segment_records: 10 };
    let fresh_log = || {
        let _ = fs::remove_dir_all(data.path());
        let log = EmbeddedLog::open(data.path()).unwrap();
        let spec = TopicSpec { name: "invoices".into(), partitions: 1, cleanup: Cleanup::Delete };
        log.create_topics(&[spec]).unwrap();
        Arc::new(log)
    };
    csv_to_end(fresh_log(), &options).unwrap();
    let error = csv_to_end(fresh_log(), &options).unwrap_err();
    assert!(matches!(&error, Error::Refused { what, .. } if what.contains("belongs to log")), "{error}");
}

#[test]
fn a_place_that_is_nobodys() {
    let both = Both::new();
    fs::create_dir(&both.csv.directory).unwrap();
    fs::write(both.csv.directory.join("letter.txt"), "").unwrap();
    Connection::open(&both.sqlite.database).unwrap().execute("CREATE TABLE theirs (a)", []).unwrap();
    let told = both.refuse(&log(0, 3));
    assert_eq!(told[0], "`PLACE/files` is no sink's directory, and there is `letter.txt` in it");
    assert_eq!(told[1], "`PLACE/read.sqlite3` was not made by a sink of tidegate");
    fs::write(
        &both.sqlite.database,
        "a letter, longer than the header of a database would be, to be sure of it",
    )
    .unwrap();
    assert_eq!(both.refuse(&log(0, 3))[1], told[1]);
}

#[test]
fn another_format() {
    let both = Both::new();
    both.succeed(&log(0, 3));
    let file = both.csv.directory.join("sink.json");
    let state = fs::read_to_string(&file).unwrap();
    // What a later version adds must not read as damage.
    fs::write(&file, state.replace("\"format\": 3", "\"format\": 4, \"news\": true")).unwrap();
    Connection::open(&both.sqlite.database).unwrap().pragma_update(None, "user_version", 3).unwrap();
    assert_eq!(
        both.refuse(&log(0, 3)),
        [("files/sink.json", 4, 3), ("read.sqlite3", 3, 2)].map(|(name, format, ours)| {
            format!("`PLACE/{name}` has format version {format}, and this program reads version {ours}")
        })
    );
    for damaged in ["{\"format\": 3".to_owned(), state.replace("null", "[]")] {
        fs::write(&file, damaged).unwrap();
        assert!(both.refuse(&log(0, 3))[0].starts_with("`PLACE/files/sink.json` is damaged: "));
    }
}

/// Of a store that can be made again from the log it is said so.
#[test]
fn a_read_store_of_an_earlier_format_names_the_remedy() {
    let both = Both::new();
    both.succeed(&log(0, 3));
    Connection::open(&both.sqlite.database).unwrap().pragma_update(None, "user_version", 1).unwrap();
    let error = sqlite_to_end(log(0, 3), &both.sqlite).unwrap_err();
    let Error::Refused { what, remedy } = &error else { panic!("{error:?}") };
    assert!(what.ends_with("has format version 1, and this program reads version 2"), "{what}");
    assert!(remedy.contains("delete the file or name another one"), "{remedy}");
}

/// Its offsets are those of the old topic: they would pass over as many records of the new one.
#[test]
fn a_topic_that_was_deleted_and_created_again() {
    let both = Both::new();
    both.succeed(&log(0, 13));
    let again = log(0, 20);
    *again.topic_id.lock().unwrap() = Some("another".into());
    let told = "topic `invoices` was deleted and created again: sink `mine` has read the one with id `scripted-topic`, and this one has \
                id `another`";
    assert_eq!(both.refuse(&again), [told, told]);
    // A log that tells no ids is no reason to refuse, and no reason to forget.
    *again.topic_id.lock().unwrap() = None;
    both.succeed(&again);
    *again.topic_id.lock().unwrap() = Some("another".into());
    assert_eq!(both.refuse(&again), [told, told]);
}

#[test]
fn a_topic_that_is_created_again_while_the_sink_runs() {
    let mut both = Both::new();
    for settings in [&mut both.csv.settings, &mut both.sqlite.settings] {
        settings.until_end = false;
        settings.look_interval = std::time::Duration::from_millis(5);
    }
    let running = || {
        let log = log(0, 13);
        let recreated = log.clone();
        // Never ready: only the sink's own refusal ends it.
        let stop = async move {
            recreated.published_at(13).await;
            *recreated.topic_id.lock().unwrap() = Some("another".into());
            std::future::pending::<()>().await;
        };
        (log, stop)
    };
    let (log, stop) = running();
    let csv = block_on(csv::run(log, &both.csv, stop));
    let (log, stop) = running();
    let sqlite = block_on(sqlite::run(log, &both.sqlite, stop));
    for outcome in [csv, sqlite] {
        assert!(both.what(outcome).starts_with("topic `invoices` was deleted and created again"));
    }
}

/// Directories of the version before this one have no id: they take the topic's as it is now.
#[test]
fn a_directory_without_a_topic_id_takes_the_one_there_is() {
    let both = Both::new();
    both.succeed(&log(0, 13));
    let file = both.csv.directory.join("sink.json");
    let state: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let mut old = state.clone();
    old["format"] = 1.into();
    old.as_object_mut().unwrap().remove("topic_id").unwrap();
    fs::write(&file, old.to_string()).unwrap();
    csv_to_end(log(0, 13), &both.csv).unwrap();
    let now: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(now, state);
}

#[test]
fn a_directory_whose_files_have_other_columns() {
    let both = Both::new();
    both.succeed(&log(0, 23));
    let name = "invoices-0-00000000000000000010-00000000000000000020.csv";
    let file = both.csv.directory.join(name);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen(",lines\r\n", "\r\n", 1)).unwrap();
    // An older file may be anything: what counts is what was written last.
    csv_to_end(log(0, 23), &both.csv).unwrap();
    fs::remove_file(both.csv.directory.join("invoices-0-00000000000000000020-00000000000000000023.csv"))
        .unwrap();
    let told = both.what(csv_to_end(log(0, 30), &both.csv));
    assert_eq!(told, format!("`PLACE/files/{name}` has other columns than topic `invoices` has now"));
}

#[test]
fn a_position_the_log_does_not_have() {
    let both = Both::new();
    both.succeed(&log(0, 13));
    let past = "sink `mine` stands at `invoices[0]@13`, and `scripted:0` ends at `7`: it was written from another log";
    assert_eq!(both.refuse(&log(0, 7)), [past, past]);
    let trimmed = "records from `invoices[0]@13` on were removed from the log before sink `mine` had finished with them, \
                   and those that are left begin at `invoices[0]@15`";
    assert_eq!(both.refuse(&log(15, 20)), [trimmed, trimmed]);
    both.succeed(&log(13, 20));
}

#[test]
fn records_trimmed_while_the_sink_was_on_its_way() {
    let both = Both::new();
    let log = log(0, 20);
    // Known to begin at 0 when it starts, gone when it is read: between the two, somebody trims.
    *log.reader_faults.lock().unwrap() = 1;
    let mut trimming = both.csv.clone();
    trimming.settings.commit_interval = std::time::Duration::from_millis(5);
    trimming.settings.notice = crate::Notice::new({
        let log = log.clone();
        move |_| log.partitions.lock().unwrap()[0].low = 4
    });
    let told = both.what(csv_to_end(log, &trimming));
    assert!(told.contains("records from `invoices[0]@0` on were removed"), "{told}");
    assert!(told.contains("begin at `invoices[0]@4`"), "{told}");
}

#[test]
fn a_first_start_begins_where_the_log_does() {
    let both = Both::new();
    let [csv, sqlite] = both.run(&log(15, 20)).map(Result::unwrap);
    assert_eq!((csv.rows, sqlite.rows), (5, 5));
}

#[test]
fn fewer_partitions_than_before() {
    let both = Both::new();
    both.succeed(&log(0, 3));
    let partition = log(0, 3).partitions.lock().unwrap().remove(0);
    both.succeed(&Scripted::new(vec![partition; 2]));
    let told = "topic `invoices` has 1 partitions, and the sink has read 2";
    assert_eq!(both.refuse(&log(0, 3)), [told, told]);
}

#[test]
fn names_and_numbers_that_cannot_be() {
    let mut both = Both::new();
    let log = log(0, 3);
    both.rename("a b");
    assert_eq!(both.refuse(&log), ["`a b` cannot name a sink"; 2]);
    both.rename("mine");
    for name in ["readings", "invoice"] {
        both.csv.topic = name.into();
        both.sqlite.topics = vec![name.into()];
        for outcome in both.run(&log) {
            assert!(matches!(outcome.unwrap_err(), Error::UnknownTopic(unknown) if unknown == name));
        }
    }
    both.csv.topic = "invoices".into();
    both.csv.segment_records = 0;
    assert_eq!(both.what(csv_to_end(log, &both.csv)), "a segment of `0` records cannot be");
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let mut both = Both::new();
    fs::write(both.place.path().join("plain"), "").unwrap();
    both.csv.directory = both.place.path().join("plain/files");
    both.sqlite.database = both.place.path().join("plain/read.sqlite3");
    for (outcome, path) in both.run(&log(0, 3)).into_iter().zip(["plain/files", "plain"]) {
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::Storage { .. }), "{error:?}");
        let path = both.place.path().join(path);
        assert_eq!(error.to_string(), format!("could not create `{}`", path.display()));
    }
}

#[test]
fn files_that_somebody_else_put_there() {
    let both = Both::new();
    both.succeed(&log(0, 13));
    let name = "invoices-0-00000000000000000005-00000000000000000009.csv";
    fs::write(both.csv.directory.join(name), "").unwrap();
    let told = both.what(csv_to_end(log(0, 13), &both.csv));
    assert!(told.ends_with("does not fit what is in its directory"), "{told}");
}
