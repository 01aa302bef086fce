//! Topics beside those of the table, corrections, and partitions that are added.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;
use tidegate_runtime::Error;
use tidegate_runtime::avro::Encoder;
use tidegate_runtime::log::embedded::EmbeddedLog;
use tidegate_runtime::log::{Cleanup, Log, Outgoing, TopicSpec, subject_of_value};
use tidegate_runtime::time::EventTime;
use tidegate_schemas::{CustomerTotal, Infraction, InfractionState, Record};

use super::scripted::{Partition, Scripted};
use super::{block_on, csv_to_end, sqlite_to_end};
use crate::{Settings, csv, sqlite};

/// An embedded log, and the places of a sink of each kind.
struct World {
    place: TempDir,
    log: Arc<dyn Log>,
}

impl World {
    fn new() -> World {
        let place = TempDir::new().unwrap();
        let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(&place.path().join("log")).unwrap());
        World { place, log }
    }

    fn topic(&self, name: &str, partitions: u32) {
        let spec = TopicSpec { name: name.into(), partitions, cleanup: Cleanup::Delete };
        self.log.create_topics(&[spec]).unwrap();
    }

    /// Writes records to a topic under the schema of their kind, each into the partition it comes with.
    fn write<R: Record>(&self, topic: &str, records: &[(u32, R)]) {
        let schema = R::TOPIC.schema;
        let id = self.log.registry().register(&subject_of_value(topic), schema).unwrap();
        let encoder = Encoder::new(id, schema).unwrap();
        let mut outgoing = Outgoing::default();
        for (partition, record) in records {
            let mut value = Vec::new();
            encoder.encode(record, &mut value).unwrap();
            let time = EventTime(record.event_time_ms());
            outgoing.partition(&topic.into(), *partition).push(time, Some(record.key()), Some(&value), &[]);
        }
        let mut producer = self.log.producer("writer").unwrap();
        producer.send(&mut outgoing).unwrap();
        producer.commit(None).unwrap();
    }

    fn sqlite(&self, topics: &[&str]) -> sqlite::Options {
        sqlite::Options {
            settings: Settings { until_end: true, ..Settings::named("store") },
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            database: self.place.path().join("read.sqlite3"),
            wal_max_bytes: sqlite::WAL_MAX_BYTES,
        }
    }

    fn csv(&self, topic: &str) -> csv::Options {
        csv::Options {
            settings: Settings { until_end: true, ..Settings::named("files") },
            topic: topic.to_owned(),
            directory: self.place.path().join("files"),
            segment_records: 10,
        }
    }

    fn number(&self, sql: &str) -> i64 {
        let store = Connection::open(self.place.path().join("read.sqlite3")).unwrap();
        store.query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

fn total(start_ms: i64, size_ms: i64, count: i64) -> CustomerTotal {
    CustomerTotal {
        customer_id: "A".into(),
        currency: "EUR".into(),
        window_start: start_ms,
        window_end: start_ms + size_ms,
        count,
        amount_minor: 100 * count,
    }
}

/// Two applications, of windows of 5 s and of a minute: neither overwrites the other's results.
#[test]
fn each_topic_has_a_table_of_its_own() {
    let world = World::new();
    for topic in ["customer-totals", "m-customer-totals"] {
        world.topic(topic, 1);
    }
    let minute = 1_704_110_400_000;
    world.write("customer-totals", &[(0, total(minute, 5_000, 1)), (0, total(minute + 5_000, 5_000, 1))]);
    world.write("m-customer-totals", &[(0, total(minute, 60_000, 2))]);
    let summary =
        sqlite_to_end(world.log.clone(), &world.sqlite(&["customer-totals", "m-customer-totals"])).unwrap();
    assert_eq!((summary.rows, summary.rejects), (3, 0));
    assert_eq!(world.number("SELECT count(*) FROM customer_totals"), 2);
    assert_eq!(world.number("SELECT count FROM m_customer_totals"), 2);
    // The same again, and what comes later.
    world.write("m-customer-totals", &[(0, total(minute + 60_000, 60_000, 5))]);
    sqlite_to_end(world.log.clone(), &world.sqlite(&["m-customer-totals"])).unwrap();
    assert_eq!(world.number("SELECT sum(count) FROM m_customer_totals"), 7);

    csv_to_end(world.log.clone(), &world.csv("m-customer-totals")).unwrap();
    let name = "m-customer-totals-0-00000000000000000000-00000000000000000002.csv";
    let text = fs::read_to_string(world.place.path().join("files").join(name)).unwrap();
    assert_eq!(text.lines().nth(1), Some("A,EUR,2024-01-01T12:00:00.000Z,2024-01-01T12:01:00.000Z,2,200"));
}

/// `reset` and another size of window, into the same topic: the results of both stand.
#[test]
fn windows_of_two_sizes_in_one_topic_do_not_overwrite_each_other() {
    let world = World::new();
    world.topic("customer-totals", 1);
    world.write(
        "customer-totals",
        &[(0, total(0, 5_000, 1)), (0, total(0, 60_000, 4)), (0, total(0, 5_000, 2))],
    );
    sqlite_to_end(world.log.clone(), &world.sqlite(&["customer-totals"])).unwrap();
    assert_eq!(world.number("SELECT sum(count) FROM customer_totals"), 6);
}

/// The remedy where the name belongs to every read store.
const ALWAYS_THERE: &str = "every read store has one: sink the topic into CSV files";

#[test]
fn names_that_lead_to_one_table_are_refused() {
    let world = World::new();
    let topics = [
        "m-totals",
        "M.totals",
        "infraction-history",
        "sink-offsets",
        "customer_totals",
        "invoice_lines",
        "sqlite-totals",
    ];
    for topic in topics {
        world.topic(topic, 1);
        world.write(topic, &[(0, total(0, 5_000, 1))]);
    }
    sqlite_to_end(world.log.clone(), &world.sqlite(&["m-totals"])).unwrap();
    for (topic, said, helps) in [
        (
            "M.totals",
            "the table of topic `M.totals` would be called `M_totals`, and there is a `m_totals` already",
            "sink it into a database of its own, with another --name",
        ),
        ("infraction-history", "there is a `infraction_history` already", ALWAYS_THERE),
        ("sink-offsets", "there is a `sink_offsets` already", ALWAYS_THERE),
        ("customer_totals", "there is a `customer_totals` already", ALWAYS_THERE),
        ("invoice_lines", "there is a `invoice_lines` already", ALWAYS_THERE),
        ("sqlite-totals", "topic `sqlite-totals` cannot name a table", "sink it into CSV files"),
    ] {
        let error = sqlite_to_end(world.log.clone(), &world.sqlite(&[topic])).unwrap_err();
        let Error::Refused { what, remedy } = &error else { panic!("{error}") };
        assert!(what.contains(said) && remedy == helps, "{error}");
    }
    // What is told helps.
    csv_to_end(world.log.clone(), &world.csv("invoice_lines")).unwrap();
    assert_eq!(world.number("SELECT count(*) FROM sink_topics"), 1);
}

#[test]
fn a_topic_without_a_schema_of_ours_is_refused() {
    let world = World::new();
    world.topic("theirs", 1);
    world.topic("empty", 1);
    let theirs = r#"{"type": "record", "name": "Thing", "fields": [{"name": "a", "type": "long"}]}"#;
    world.log.registry().register(&subject_of_value("theirs"), theirs).unwrap();
    for topic in ["theirs", "empty"] {
        let csv = csv_to_end(world.log.clone(), &world.csv(topic)).unwrap_err();
        let sqlite = sqlite_to_end(world.log.clone(), &world.sqlite(&[topic])).unwrap_err();
        for error in [csv, sqlite] {
            let said = format!("topic `{topic}` has no schema a sink could take columns from");
            assert!(matches!(&error, Error::Refused { what, .. } if *what == said), "{error}");
        }
    }
}

fn event(id: &str, owner: &str, state: InfractionState, revision: i32) -> Infraction {
    Infraction {
        infraction_id: id.into(),
        radar_id: "r".into(),
        plate: format!("plate of {id}"),
        owner_id: owner.into(),
        measured_at: 1_704_110_400_000,
        measured_speed_kmh: 65,
        retained_speed_kmh: 60,
        speed_limit_kmh: 30,
        excess_kmh: 30,
        fine_minor: 13_500,
        currency: "EUR".into(),
        points: 3,
        rule: "a rule".into(),
        revision,
        state,
        reason: "vehicle".into(),
    }
}

/// Every cell of a table, in the order of its rows' sources.
fn rows(database: &Path, table: &str) -> Vec<String> {
    let store = Connection::open(database).unwrap();
    let mut select =
        store.prepare(&format!("SELECT * FROM {table} ORDER BY source_partition, source_offset")).unwrap();
    let columns = select.column_count();
    let rows = select.query_map([], |row| {
        let cells =
            (0..columns).map(|at| row.get::<_, rusqlite::types::Value>(at).map(|cell| format!("{cell:?}")));
        Ok(cells.collect::<Result<Vec<_>, _>>()?.join(","))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// The read store shows what is in force, however often and however far at a time the sink is started.
#[test]
fn corrections_replace_and_remove_what_was_in_force() {
    use InfractionState::{Issued, Revised, Voided};
    let world = World::new();
    world.topic("infractions", 2);
    let phases = [
        vec![
            (0, event("a", "O1", Issued, 1)),
            (0, event("b", "O1", Issued, 1)),
            (1, event("c", "O1", Issued, 1)),
        ],
        vec![
            (0, event("a", "O2", Revised, 2)),
            (1, event("c", "O1", Voided, 2)),
            (0, event("b", "O1", Voided, 2)),
        ],
        // After a reset revisions begin again, and `b` is restored.
        vec![(0, event("a", "O2", Issued, 1)), (0, event("b", "O3", Issued, 1))],
    ];
    let mut shown = Vec::new();
    for phase in &phases {
        world.write("infractions", phase);
        sqlite_to_end(world.log.clone(), &world.sqlite(&["infractions"])).unwrap();
        let in_force =
            "SELECT group_concat(infraction_id || owner_id, ' ' ORDER BY infraction_id) FROM infractions";
        let store = Connection::open(world.place.path().join("read.sqlite3")).unwrap();
        shown.push(store.query_row(in_force, [], |row| row.get::<_, String>(0)).unwrap());
    }
    assert_eq!(shown, ["aO1 bO1 cO1", "aO2", "aO2 bO3"]);
    assert_eq!(world.number("SELECT count(*) FROM infraction_history"), 8);
    assert_eq!(world.number("SELECT sum(fine_minor) FROM infractions"), 27_000);

    // A sink that reads all of it at once writes the same tables.
    let mut whole = world.sqlite(&["infractions"]);
    whole.database = world.place.path().join("whole.sqlite3");
    sqlite_to_end(world.log.clone(), &whole).unwrap();
    for table in ["infractions", "infraction_history"] {
        let parts = rows(&world.place.path().join("read.sqlite3"), table);
        assert_eq!(parts, rows(&whole.database, table), "{table}");
    }
}

fn filled(records: i64) -> Partition {
    let mut partition = Partition::default();
    (0..records).for_each(|offset| partition.invoice(offset));
    partition
}

/// As on Kafka: partitions are added to a topic while a sink runs, and between two runs.
#[test]
fn partitions_that_are_added_are_read() {
    let world = World::new();
    let (mut csv, mut sqlite) = (world.csv("invoices"), world.sqlite(&["invoices"]));
    for settings in [&mut csv.settings, &mut sqlite.settings] {
        settings.until_end = false;
        settings.commit_interval = Duration::from_millis(5);
        settings.look_interval = Duration::from_millis(5);
    }
    let running = |first: i64| {
        let log = Scripted::new(vec![filled(first)]);
        let added = log.clone();
        let stop = async move {
            added.published_at(first).await;
            added.partitions.lock().unwrap().push(filled(25));
            let at = tidegate_runtime::log::TopicPartition::new("invoices", 1);
            let mut published = added.published.subscribe();
            published
                .wait_for(|positions| positions.get(&at).is_some_and(|next| next.0 == 25))
                .await
                .unwrap();
        };
        (log, stop)
    };
    let (log, stop) = running(13);
    assert_eq!(block_on(csv::run(log, &csv, stop)).unwrap().rows, 38);
    let (log, stop) = running(13);
    let summary = block_on(sqlite::run(log, &sqlite, stop)).unwrap();
    assert_eq!((summary.rows, summary.positions.len()), (38, 2));
    assert_eq!(summary.positions.values().map(|position| position.0).sum::<i64>(), 38);

    // One more while nobody runs.
    let log = Scripted::new(vec![filled(13), filled(25), filled(4)]);
    for settings in [&mut csv.settings, &mut sqlite.settings] {
        settings.until_end = true;
    }
    csv_to_end(log.clone(), &csv).unwrap();
    sqlite_to_end(log, &sqlite).unwrap();
    assert_eq!(world.number("SELECT count(*) FROM invoices"), 42);
    let lines = |name: &str| fs::read_to_string(csv.directory.join(name)).unwrap().lines().count() - 1;
    assert_eq!(lines("invoices-1-00000000000000000010-00000000000000000020.csv"), 10);
    assert_eq!(lines("invoices-2-00000000000000000000-00000000000000000004.csv"), 4);
}

/// The ends of a bounded run are those of its first start: what was added since is for the next one.
#[test]
fn partitions_that_are_added_to_a_run_under_way_are_for_the_next() {
    let world = World::new();
    let (csv, sqlite) = (world.csv("invoices"), world.sqlite(&["invoices"]));
    let begun = Scripted::new(vec![filled(13)]);
    // They stop at once: the ends are known, and nothing is read.
    block_on(csv::run(begun.clone(), &csv, std::future::ready(()))).unwrap();
    block_on(sqlite::run(begun, &sqlite, std::future::ready(()))).unwrap();
    let log = Scripted::new(vec![filled(20), filled(5)]);
    for rows in [13, 12] {
        assert_eq!(csv_to_end(log.clone(), &csv).unwrap().rows, rows);
        assert_eq!(sqlite_to_end(log.clone(), &sqlite).unwrap().rows, rows);
    }
}
