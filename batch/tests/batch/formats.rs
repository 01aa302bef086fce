//! Is a store of an older version migrated in place, whole or not at all?

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tidegate_batch::{BusinessDay, Discount, Event, Invoice, Migration, MixedDay};

use crate::world::{DAY_MS, ResultRow, World, invoice, run};

const FORMAT_1: &str = include_str!("stores/format_1.sql");
const MINUTES_A_DAY: i64 = 24 * 60;

/// A world whose output store was made by the first version.
fn old_world(invoices: &[Invoice]) -> World {
    let world = World::new(invoices);
    let store = Connection::open(world.path("discounts.sqlite3")).unwrap();
    store.execute_batch(FORMAT_1).unwrap();
    world
}

fn format(world: &World) -> i64 {
    world.query("PRAGMA user_version", |row| row.get(0))[0]
}

/// What every table and index was made with; the fixture's own comments are not part of it.
fn schema(store: &Connection) -> Vec<(String, String)> {
    let mut statement =
        store.prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

fn parameters(world: &World) -> Vec<(String, String, String, String)> {
    world.query(
        "SELECT business_date, percent, zone, rounding FROM job_instances ORDER BY business_date",
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
    )
}

#[test]
fn a_store_of_format_1_is_migrated_in_place_and_keeps_every_discount() {
    let world = old_world(&[]);
    let before = world.results();
    let mut told = Vec::new();
    let mut listen = |event: Event<'_>| {
        if let Event::Migrated(migration) = event {
            told.push(migration.clone());
        }
    };
    world.job("2010-12-09", "30", 100).run(&mut || 0, &mut listen).unwrap();
    assert_eq!((format(&world), world.results()), (2, before));
    let day = MixedDay {
        business_date: "2010-12-02".to_owned(),
        percent: "30".to_owned(),
        zone: "Europe/London".to_owned(),
    };
    let migration = Migration { from: 1, to: 2, discounts: 6, mixed_days: vec![day], mixed_day_count: 1 };
    assert_eq!(told, [migration]);

    let row = |date: &str, percent: &str, zone: &str| {
        (date.to_owned(), percent.to_owned(), zone.to_owned(), "half-up".to_owned())
    };
    let expected = [
        row("2010-12-01", "30", "Europe/London"),
        row("2010-12-02", "30", "Europe/London"), // of its first execution that discounted anything
        row("2010-12-03", "40", "UTC"),           // of its last one, because none discounted anything
        row("2010-12-04", "15", "UTC"),
        row("2010-12-09", "30", "Europe/London"),
    ];
    assert_eq!(parameters(&world), expected);
    // Each discount belongs to the one instance of its date, and each execution keeps what it ran with.
    let of_date = world.query(
        "SELECT i.business_date, count(*) FROM discounts JOIN job_instances AS i USING (instance_id) GROUP BY 1",
        |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)),
    );
    let counts = [("2010-12-01", 2), ("2010-12-02", 3), ("2010-12-04", 1)];
    assert_eq!(of_date, counts.map(|(date, count)| (date.to_owned(), count)));
    let ran_with = world.query(
        "SELECT percent, zone FROM executions WHERE execution_id IN (2, 6) ORDER BY execution_id",
        |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
    );
    let texts = [("50", "Europe/London"), ("12.5", "Asia/Tokyo")];
    assert_eq!(ran_with, texts.map(|(percent, zone)| (percent.to_owned(), zone.to_owned())));
    let step = world
        .query("SELECT read_count, write_count, commit_count FROM steps WHERE execution_id = 5", |row| {
            Ok::<[i64; 3], _>([row.get(0)?, row.get(1)?, row.get(2)?])
        });
    assert_eq!(step, [[2, 1, 1]]);
    assert_eq!(world.executions()[8].0, "FAILED", "the killed execution was closed");

    // Once more: there is nothing to migrate.
    let mut again = 0;
    let mut listen = |event: Event<'_>| again += u32::from(matches!(event, Event::Migrated(_)));
    world.job("2010-12-09", "30", 100).run(&mut || 0, &mut listen).unwrap();
    assert_eq!(again, 0);
}

#[test]
fn a_migrated_store_is_made_like_a_new_one() {
    let (migrated, new) = (old_world(&[]), World::new(&[]));
    for world in [&migrated, &new] {
        run(&world.job("2010-12-09", "30", 100)).unwrap();
    }
    let [migrated, new] =
        [migrated, new].map(|world| schema(&Connection::open(world.path("discounts.sqlite3")).unwrap()));
    assert_eq!(migrated, new);
}

/// The same input on the old store: what was discounted stays so, and nothing of it is discounted again.
#[test]
fn a_migrated_store_discounts_nothing_twice_and_finds_what_the_old_version_hid() {
    let same = invoice("536365", 13_912, 506, 0);
    assert_eq!(same.issued_at, 1_291_191_960_000);
    let hidden = Invoice { customer_id: "another".to_owned(), ..invoice("C536379", -2_750, 581, 2) };
    let nameless = Invoice { customer_id: "17853".to_owned(), ..invoice("", 100, 3 * MINUTES_A_DAY, 7) };
    let world = old_world(&[same, hidden, invoice("new", 1_000, 0, 3), nameless]);
    let before = world.results();
    let summary = run(&world.job("2010-12-01", "30", 100)).unwrap();
    let counts = summary.counts;
    assert_eq!((counts.discounted, counts.discounted_before, counts.conflicts), (1, 1, 1));
    assert_eq!(summary.conflicts[0].invoice.customer_id, "another");
    let after = world.results();
    assert!(before.iter().all(|row| after.contains(row)));
    assert_eq!(after.len(), before.len() + 1);
    // The day is held to its parameters.
    let refused = run(&world.job("2010-12-01", "50", 100)).unwrap_err().to_string();
    assert!(refused.contains("run it with `--percent 30 --zone Europe/London`"), "{refused}");
    // What had no number keeps its discount, and its record is a reject from now on.
    let day = BusinessDay::parse("2010-12-04", "UTC").unwrap();
    let rejected = run(&Discount { day, ..world.job("2010-12-04", "15", 100) }).unwrap();
    assert_eq!((rejected.counts.rejected, rejected.counts.discounted), (1, 0));
    assert_eq!(world.results().len(), after.len());
}

/// A day whose rows contradict the new table makes the migration fail: the store must be as before, and of use to the old version.
#[test]
fn a_migration_that_fails_leaves_the_old_store() {
    let world = old_world(&[]);
    let store = Connection::open(world.path("discounts.sqlite3")).unwrap();
    store
        .execute_batch(
            "PRAGMA foreign_keys=OFF; UPDATE discounts SET instance_id = 77 WHERE invoice_id = '536365'",
        )
        .unwrap();
    let before = (schema(&store), world.results(), world.executions());
    drop(store);
    let refused = run(&world.job("2010-12-01", "30", 100)).unwrap_err().to_string();
    assert!(refused.ends_with("is damaged; restore it from a copy"), "{refused}");
    assert_eq!(format(&world), 1);
    let store = Connection::open(world.path("discounts.sqlite3")).unwrap();
    assert_eq!((schema(&store), world.results(), world.executions()), before);
}

const DIRECTORY: &str = "TIDEGATE_BATCH_TEST_MIGRATION";

/// The killed process. Without a parent there is nothing to do.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(std::path::PathBuf::from) else { return };
    let job = Discount {
        read_store: directory.join("read.sqlite3"),
        output_store: directory.join("discounts.sqlite3"),
        export: None,
        day: BusinessDay::parse("2010-12-09", "Europe/London").unwrap(),
        percent: "30".parse().unwrap(),
        max_event_time_ms: 4_102_444_800_000,
        chunk_invoices: 100.try_into().unwrap(),
    };
    run(&job).unwrap();
}

/// Discounts of a date that was run in two zones: the migration moves all of the second to the instance of the first, and writes
/// more than SQLite keeps in memory.
fn fill(world: &World, rows: i64) {
    let mut store = Connection::open(world.path("discounts.sqlite3")).unwrap();
    store.execute_batch("PRAGMA synchronous=OFF").unwrap();
    let tx = store.transaction().unwrap();
    for number in 0..rows {
        let row = "INSERT INTO discounts VALUES ('discount', 'N' || ?1, 3, 6, 'c', ?2, 'EUR', '12.5', 8, 1, 7, 3, ?1)";
        tx.execute(row, [number, DAY_MS]).unwrap();
    }
    tx.commit().unwrap();
    store.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}

/// Kills the migration once it has written so many bytes of its transaction. True if it was still migrating.
fn kill_migration(world: &World, written_bytes: u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "formats::child"])
        .env(DIRECTORY, world.path(""))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let log = world.path("discounts.sqlite3-wal");
    while child.try_wait().unwrap().is_none()
        && fs::metadata(&log).map_or(0, |found| found.len()) < written_bytes
    {
        assert!(Instant::now() < deadline, "the migration neither writes nor ends");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_migration_that_is_killed_leaves_the_old_store_or_the_new_one() {
    const ROWS: i64 = 40_000;
    let everything = |world: &World| -> (usize, ResultRow) {
        let rows = world.results();
        (rows.len(), rows[rows.len() - 1].clone())
    };
    let world = old_world(&[]);
    fill(&world, ROWS);
    let before = everything(&world);
    let mut left_old = 0;
    // From its first page to past its end; each attempt that is killed early begins again from the old store.
    for written_bytes in [1, 100 << 10, 500 << 10, 1 << 20, 2 << 20, 3 << 20, 4 << 20, u64::MAX] {
        kill_migration(&world, written_bytes);
        assert_eq!(everything(&world), before);
        let instances =
            world.query("SELECT count(DISTINCT instance_id) FROM discounts", |row| row.get::<_, i64>(0));
        match format(&world) {
            1 => {
                left_old += 1;
                assert_eq!(instances, [4], "none of it is visible");
            }
            found => {
                assert_eq!(found, 2);
                assert_eq!(instances, [3]);
                break;
            }
        }
    }
    assert!(left_old > 0, "no attempt was killed before its end");
    run(&world.job("2010-12-09", "30", 100)).unwrap();
    assert_eq!((format(&world), everything(&world)), (2, before));
}
