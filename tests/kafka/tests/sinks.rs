//! Sinks on a real cluster: topics that get more partitions, and topics that are deleted and created again.
#![allow(missing_docs, reason = "tests are read, not published")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should end")]

use std::path::Path;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use tidegate_kafka_tests::clock::{DEADLINE, until};
use tidegate_kafka_tests::cluster::Cluster;
use tidegate_kafka_tests::world::World;

fn world() -> World {
    World::on(Cluster::any, env!("CARGO_BIN_EXE_tidegate-under-test"))
}

fn rows(store: &Path) -> i64 {
    let Ok(store) = rusqlite::Connection::open(store) else { return 0 };
    store.query_row("SELECT count(*) FROM invoices", [], |row| row.get(0)).unwrap_or(0)
}

/// The lines of all CSV files, those that are still open included.
fn lines(directory: &Path) -> usize {
    let Ok(files) = std::fs::read_dir(directory) else { return 0 };
    let files = files.map(|file| file.unwrap().path()).filter(|path| path.to_string_lossy().contains(".csv"));
    files.map(|path| std::fs::read_to_string(path).unwrap_or_default().lines().skip(1).count()).sum()
}

fn sinks(world: &World) -> [String; 2] {
    let path = |name: &str| world.path(name).to_str().unwrap().to_owned();
    [
        format!("sink sqlite --topic invoices --out {}", path("read.sqlite3")),
        format!("sink csv --topic invoices --out {}", path("files")),
    ]
}

/// Within seconds, and without a setting of the client that makes it look more often.
#[test]
fn partitions_that_are_added_while_a_sink_runs_are_read() {
    let world = world();
    world.run("simulate invoices --count 100");
    let (store, files) = (world.path("read.sqlite3"), world.path("files"));
    let running = sinks(&world).map(|line| world.start("state", &line));
    until("the first rows", DEADLINE, || rows(&store) == 100 && lines(&files) == 100);

    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", world.brokers()).create().unwrap();
    let more = NewPartitions::new("invoices", 8);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(admin.create_partitions(&[more], &AdminOptions::new())).unwrap()[0].as_ref().unwrap();
    world.run("simulate invoices --app others --seed 9 --count 200");
    let added = "SELECT count(*) FROM invoices WHERE source_partition >= 4";
    until("the rows of the new partitions", Duration::from_secs(20), || {
        rows(&store) == 300 && lines(&files) == 300
    });
    let store = rusqlite::Connection::open(&store).unwrap();
    assert!(store.query_row(added, [], |row| row.get::<_, i64>(0)).unwrap() > 0);
    drop(store);
    for process in running {
        process.stop();
    }
    // The position that `groups` shows has the new partitions too.
    assert_eq!(world.behind.committed("sqlite", "invoices").len(), 8);
    for line in sinks(&world) {
        world.run(&format!("{line} --until-end"));
    }
    assert_eq!((rows(&world.path("read.sqlite3")), lines(&files)), (300, 300));
}

/// Its old offsets would pass over as many records of the new topic.
#[test]
fn a_topic_that_was_created_again_is_refused() {
    let world = world();
    world.run("simulate invoices --count 100");
    for line in sinks(&world) {
        world.run(&format!("{line} --until-end"));
    }
    world.behind.delete_topics(&["invoices"]);
    world.run("simulate invoices --app others --count 300");
    for line in sinks(&world) {
        let refused = world.start("state", &format!("{line} --until-end"));
        refused.refuses(4, &["topic `invoices` was deleted and created again"]);
    }
    assert_eq!((rows(&world.path("read.sqlite3")), lines(&world.path("files"))), (100, 100));
}
