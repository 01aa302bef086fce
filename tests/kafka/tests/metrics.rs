//! `--metrics` on a real cluster: readiness and numbers while all is well, and while the broker is away.
#![allow(missing_docs, reason = "tests are read, not published")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should end")]

#[path = "../../cli/exposition.rs"]
mod exposition;

use std::process::Stdio;

use tidegate_kafka_tests::clock::{DEADLINE, until};
use tidegate_kafka_tests::cluster::{Cluster, Settings};
use tidegate_kafka_tests::instances::Process;
use tidegate_kafka_tests::world::{World, words};

use self::exposition::Page;

const PROCESSED: &str = "kafka_streams_stream_task_metrics_process_total";
const COMMITS: &str = "kafka_streams_stream_thread_metrics_commit_total";
const LAG: &str = "kafka_consumer_consumer_fetch_manager_metrics_records_lag";

/// A process that serves its metrics.
struct Served {
    process: Process,
    address: String,
}

impl Served {
    fn start(world: &World, line: &str) -> Served {
        let mut process = world.start("state", &format!("{line} --metrics 127.0.0.1:0"));
        process.says("/metrics");
        let said = process.said();
        let address = said.lines().find_map(|line| line.strip_prefix("metrics: ")?.strip_suffix("/metrics"));
        Served { address: address.unwrap().to_owned(), process }
    }

    fn get(&self, path: &str) -> (u16, String) {
        let answer = reqwest::blocking::get(format!("{}{path}", self.address)).unwrap();
        (answer.status().as_u16(), answer.text().unwrap())
    }

    fn until_ready(&self) {
        until("readiness", DEADLINE, || self.get("/readyz") == (200, "ready\n".to_owned()));
    }

    /// The page that shows so many records processed, and no lag.
    fn page_of(&self, records: f64) -> Page {
        let mut page = Page::default();
        until(&format!("{records} records"), DEADLINE, || {
            page = Page::read(&self.get("/metrics").1).unwrap();
            // A task that has moved knows its lag once the broker has answered its first fetch.
            let has_no_lag = |number: u32| {
                let partition = [("topic", "invoices"), ("partition", &*number.to_string())];
                page.value(LAG, &partition) == Some(0.0)
            };
            page.sum(PROCESSED, &[]) >= records && (0..4).all(has_no_lag)
        });
        assert_eq!(page.sum(PROCESSED, &[]), records, "each record counts once");
        page
    }
}

/// What `groups` says of the lag.
fn lag_by_groups(world: &World) -> String {
    let output = world.command("state", &words("groups totals")).stdout(Stdio::piped()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().next().unwrap().to_owned()
}

#[test]
fn a_process_on_kafka_serves_readiness_lag_and_commits_also_when_the_broker_was_away() {
    let world = World::on(|| Cluster::own(Settings::default()), env!("CARGO_BIN_EXE_tidegate-under-test"));
    world.run("simulate invoices --count 4000");
    let line = "process totals --instance-id one --workers 5";
    let served = Served::start(&world, line);
    served.until_ready();
    let page = served.page_of(4_000.0);
    assert_eq!(page.sum("tidegate_task_phase", &[("phase", "running")]), 4.0, "the fifth worker is a spare");
    assert!(page.sum(COMMITS, &[]) >= 4.0, "each worker with a task has committed");
    until("no lag for `groups`", DEADLINE, || {
        lag_by_groups(&world) == "group totals: 5 members, lag 0 offsets"
    });

    world.cluster.kill_broker();
    until("the outage to show", DEADLINE, || served.get("/readyz").0 == 503);
    assert_eq!(served.get("/healthz"), (200, "ok\n".to_owned()), "there is no reason to restart it");
    world.cluster.start_broker();
    served.until_ready();
    world.run("simulate invoices --count 1000 --app more");
    served.page_of(5_000.0);
    served.process.stop();
}

/// Where the broker assigns, it never says that there is nothing for a member.
#[test]
fn a_spare_is_ready_too_where_the_broker_assigns() {
    let world = World::on(|| Cluster::own(Settings::default()), env!("CARGO_BIN_EXE_tidegate-under-test"));
    world.run("simulate invoices --count 100");
    let line = "process totals --instance-id one --workers 5 --group-protocol consumer";
    let served = Served::start(&world, line);
    served.until_ready();
    let page = served.page_of(100.0);
    assert_eq!(page.sum("tidegate_task_phase", &[("phase", "running")]), 4.0);
    assert_eq!(page.sum("kafka_streams_stream_metrics_alive_stream_threads", &[]), 5.0);
}
