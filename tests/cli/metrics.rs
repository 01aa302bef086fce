//! `--metrics`: what is served while a command runs, and what the dashboard asks for.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::exposition::Page;
use crate::program::{Place, until};

/// A command that serves its metrics on a port of its own choice; killed when dropped.
struct Served {
    child: Child,
    address: String,
}

/// An answer: its code, its head, its body.
struct Answer {
    code: u16,
    head: String,
    body: String,
}

impl Served {
    fn start(place: &Place, line: &str) -> Served {
        let mut child =
            place.command(&format!("{line} --metrics 127.0.0.1:0")).stdout(Stdio::null()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut address = None;
        while address.is_none() {
            let mut line = String::new();
            assert!(said.read_line(&mut line).unwrap() > 0, "it ended without naming its port");
            let named = line
                .trim()
                .strip_prefix("metrics: http://")
                .map(|rest| rest.strip_suffix("/metrics").unwrap());
            address = named.map(str::to_owned);
        }
        // What else it says must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Served { child, address: address.unwrap() }
    }

    fn ask(&self, method: &str, path: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { code, head: head.to_lowercase(), body: body.to_owned() }
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path)
    }

    fn page(&self) -> Page {
        let answer = self.get("/metrics");
        assert_eq!(answer.code, 200, "{}", answer.body);
        assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
        Page::read(&answer.body).unwrap()
    }

    /// A page that shows this.
    fn page_when(&self, what: &str, mut shows: impl FnMut(&Page) -> bool) -> Page {
        let mut found = None;
        until(what, || {
            found = Some(self.page()).filter(|page| shows(page));
            found.is_some()
        });
        found.unwrap()
    }

    fn until_ready(&self) {
        until("readiness", || self.get("/readyz").code == 200);
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PROCESSED: &str = "kafka_streams_stream_task_metrics_process_total";
const BY_WORKER: &str = "kafka_streams_stream_thread_metrics_process_total";
const LAG: &str = "kafka_consumer_consumer_fetch_manager_metrics_records_lag";
const COMMITTED: &str = "tidegate_task_committed_count";

/// A count as the summary of a run gives it.
fn in_summary(summary: &str, name: &str) -> f64 {
    let line = summary.lines().find(|line| line.contains("since its first start")).unwrap();
    let counts = line.split("start: ").nth(1).unwrap();
    let count = counts.split([',', ';']).find_map(|part| part.trim().strip_prefix(&format!("{name} ")));
    count.unwrap_or("0").parse().unwrap()
}

#[test]
fn a_processor_shows_what_its_summary_says() {
    let place = Place::with_invoices();
    let served = Served::start(&place, "process totals --grace 10s --workers 2");
    let invoices = place.records("invoices") as f64;
    let page = served
        .page_when("all of it", |page| page.sum(PROCESSED, &[]) >= invoices && page.sum(LAG, &[]) == 0.0);
    served.until_ready();
    assert_eq!(served.get("/healthz").code, 200);
    drop(served);

    // The same log, to its end: what is committed is what was shown, but for the windows that the end closes.
    let summary = place.done("process totals --grace 10s --until-end").err;
    for (count, shown) in [
        ("processed", page.sum(PROCESSED, &[])),
        ("late", page.sum("tidegate_late_records_total", &[])),
        ("dead-letters", page.sum("tidegate_dead_letters_total", &[])),
    ] {
        assert!(shown > 0.0, "there is something to count: {count}");
        assert_eq!(shown, in_summary(&summary, count), "{count}");
        assert_eq!(shown, page.sum(COMMITTED, &[("count", count)]), "{count}");
    }
    let closed = page.sum("tidegate_windows_closed_total", &[]);
    assert!(closed > 0.0 && closed < in_summary(&summary, "windows-closed"));
    let dropped = page.sum("kafka_streams_stream_task_metrics_dropped_records_total", &[]);
    assert_eq!(dropped, in_summary(&summary, "late") + in_summary(&summary, "dead-letters"));
    assert_eq!(page.sum(BY_WORKER, &[]), page.sum(PROCESSED, &[]), "workers did what their tasks did");
    for thread in ["totals.0.0", "totals.0.1"] {
        let of_thread = [("thread_id", thread)];
        assert!(page.value(BY_WORKER, &of_thread) > Some(0.0), "both work");
        let commits = page.value("kafka_streams_stream_thread_metrics_commit_total", &of_thread);
        assert_eq!(commits, page.value("tidegate_commit_duration_seconds_count", &of_thread));
    }
    for number in 0..4 {
        let place = [("topic", "invoices"), ("partition", &*number.to_string())];
        assert_eq!(page.value(LAG, &place), Some(0.0));
        let task = format!("0_{number}");
        let state = |name: &str| page.value(name, &[("task_id", &task), ("store", "totals")]);
        assert!(state("tidegate_state_size_bytes") > Some(0.0), "open windows have a size");
        assert!(state("tidegate_state_entries") > Some(0.0), "open windows have entries");
        assert_eq!(page.value("tidegate_task_phase", &[("task_id", &task), ("phase", "running")]), Some(1.0));
        assert!(page.sum("tidegate_changelog_written_bytes_total", &[("task_id", &task)]) > 0.0);
    }
    assert_eq!(page.value("tidegate_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
    assert!(page.value("process_resident_memory_bytes", &[]) > Some(1e6));
    assert!(page.value("process_cpu_seconds_total", &[]).is_some());
}

#[test]
fn counters_are_of_this_process_and_totals_of_the_application() {
    let place = Place::with_totals();
    let before = place.records("invoices") as f64;
    place.done("simulate invoices --count 100 --app more");
    let after = place.records("invoices") as f64;
    let served = Served::start(&place, "process totals --grace 10s");
    let page = served.page_when("the rest", |page| page.sum(COMMITTED, &[("count", "processed")]) == after);
    assert_eq!(page.sum(PROCESSED, &[]), after - before, "others did the rest");
    let restored = page.sum("kafka_streams_stream_task_metrics_restore_total", &[]);
    assert!(restored > 0.0, "it took up their state");
    assert_eq!(page.sum("kafka_streams_stream_task_metrics_restore_remaining_records_total", &[]), 0.0);
}

#[test]
fn counters_stay_when_a_task_leaves_and_what_it_is_goes_with_it() {
    let place = Place::with_invoices();
    let first = Served::start(&place, "process totals --grace 10s");
    let all = place.records("invoices") as f64;
    first.page_when("all of it", |page| page.sum(PROCESSED, &[]) == all);
    let second = Served::start(&place, "process totals --grace 10s");
    second.until_ready();
    let hosted = |page: &Page| page.sum("tidegate_task_phase", &[("phase", "running")]);
    let theirs = second.page_when("two tasks", |page| hosted(page) == 2.0);
    assert_eq!(theirs.sum(PROCESSED, &[]), 0.0, "the first process did it");
    let ours = first.page_when("two tasks", |page| hosted(page) == 2.0);
    assert_eq!(ours.sum(PROCESSED, &[]), all, "that two of the tasks left takes nothing back");
    let committed = |page: &Page| page.sum(COMMITTED, &[("count", "processed")]);
    assert_eq!(committed(&ours) + committed(&theirs), all, "a total is shown where its task is");
}

/// That it is not ready while a task is being restored is held up and looked at where the log can be: in the program's own tests.
#[test]
fn a_worker_there_is_nothing_for_does_not_keep_the_process_from_being_ready() {
    let place = Place::with_invoices();
    // No look comes before its session timeout is over: it is not by waiting that it becomes ready.
    let served = Served::start(&place, "process totals --workers 5 --session-timeout 10m");
    served.until_ready();
    assert_eq!(served.get("/readyz").body, "ready\n");
    let page = served.page_when("readiness", |page| page.value("tidegate_ready", &[]) == Some(1.0));
    assert_eq!(page.sum("tidegate_task_phase", &[("phase", "running")]), 4.0);
    assert_eq!(page.sum("kafka_streams_stream_metrics_alive_stream_threads", &[]), 5.0);
}

#[test]
fn a_process_that_waits_for_its_broker_is_healthy_and_says_what_it_waits_for() {
    let place = Place::new();
    // It takes connections and answers nothing.
    let broker = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = broker.local_addr().unwrap();
    let served =
        Served::start(&place, &format!("process totals --brokers {address} --registry http://{address}"));
    let answer = served.get("/readyz");
    assert_eq!(answer.code, 503);
    assert_eq!(answer.body, "worker `0` has not started yet\nthe log has not been opened yet\n");
    assert_eq!((served.get("/healthz").code, served.get("/healthz").body.as_str()), (200, "ok\n"));
    assert_eq!(served.page().value("tidegate_ready", &[]), Some(0.0));
}

#[test]
fn the_address_may_come_from_a_variable_or_a_file() {
    let place = Place::with_invoices();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = |command: &mut std::process::Command| {
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(said.contains(&format!("`{address}` is in use already")), "{said}");
    };
    refused(place.command("process totals").env("TIDEGATE_METRICS", &address));
    std::fs::write(place.path("flags.toml"), format!("[process]\nmetrics = \"{address}\"\n")).unwrap();
    refused(&mut place.command("process totals --config flags.toml"));
}

#[test]
fn a_sink_shows_its_rows_rejects_and_lag() {
    let place = Place::with_invoices();
    let served = Served::start(&place, "sink sqlite --topic invoices --out store.sqlite3");
    let invoices = place.records("invoices") as f64;
    let (rows, rejects) = ("tidegate_sink_rows_total", "tidegate_sink_rejects_total");
    let commits = "tidegate_sink_commit_duration_seconds_count";
    let page = served.page_when("all of it", |page| {
        page.sum(rows, &[]) + page.sum(rejects, &[]) == invoices && page.sum(commits, &[]) > 0.0
    });
    served.until_ready();
    assert_eq!(page.sum("tidegate_sink_lag_records", &[]), 0.0);
    assert_eq!(page.sum("tidegate_sink_position_offset", &[("topic", "invoices")]), invoices);
    let store = rusqlite::Connection::open(place.path("store.sqlite3")).unwrap();
    let written =
        || -> f64 { store.query_row("SELECT count(*) FROM invoices", [], |row| row.get(0)).unwrap() };
    // Rows count when they are handed to their place: the last of them may not be committed yet, and a kill would undo them.
    until("the commit of all rows", || written() == page.sum(rows, &[("sink", "sqlite")]));
    drop(served);
    assert_eq!(page.sum(rows, &[("sink", "sqlite")]), written());
    assert!(page.sum(rejects, &[]) > 0.0, "some were malformed");
}

#[test]
fn other_paths_and_methods_are_refused_and_dawdlers_hold_up_nobody() {
    let place = Place::with_invoices();
    let served = Served::start(&place, "process totals");
    // These say nothing, for as long as the test lasts.
    let _dawdling: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(&served.address).unwrap()).collect();
    let answer = served.get("/metrics/");
    assert_eq!((answer.code, answer.body.as_str()), (404, "there is `/metrics`, `/healthz` and `/readyz`\n"));
    assert_eq!(served.get("/").code, 404);
    assert_eq!(served.ask("POST", "/metrics").code, 405);
    let head = served.ask("HEAD", "/metrics");
    assert_eq!((head.code, head.body.as_str()), (200, ""));
}

#[test]
fn a_port_in_use_is_refused_before_anything_is_made() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let place = Place::new();
    for line in ["process totals", "sink csv --topic invoices --out files", "simulate invoices"] {
        place.fails(&format!("{line} --metrics {address}"), 4, &format!("`{address}` is in use already"));
    }
    assert!(!place.path("tidegate-data").exists() && !place.path("files").exists(), "nothing was made");
    place.fails("process totals --metrics 192.0.2.1:9464", 6, "is no address of this machine");
    for address in ["9464", "127.0.0.1", ":9464", "127.0.0.1:http", "127.0.0.1:99999"] {
        place.fails(&format!("process totals --metrics {address}"), 2, "is no address");
    }
}

#[test]
fn a_producer_counts_what_it_writes() {
    let place = Place::new();
    let served = Served::start(&place, "simulate invoices --count 100000 --rate 200");
    let produced = "tidegate_produced_records";
    let page =
        served.page_when("some records", |page| page.sum(produced, &[("app", "simulate-invoices")]) > 20.0);
    assert!(page.sum(produced, &[]) <= 100_000.0);
    assert_eq!(served.get("/readyz").code, 200);
}

fn docs(name: &str) -> String {
    std::fs::read_to_string(format!("{}/docs/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn dashboards(name: &str) -> String {
    std::fs::read_to_string(format!("{}/dashboards/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The metrics named in a query: words with a prefix of ours, without what a histogram adds.
fn named_in(query: &str) -> BTreeSet<String> {
    let words = query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let ours = words
        .filter(|word| ["kafka_", "tidegate_", "process_"].iter().any(|prefix| word.starts_with(prefix)));
    let without = |word: &str| {
        let suffix = ["_bucket", "_sum", "_count"].iter().find(|suffix| word.ends_with(**suffix));
        match suffix {
            Some(suffix) if word.contains("duration_seconds") => word.trim_end_matches(suffix).to_owned(),
            _ => word.to_owned(),
        }
    };
    ours.map(without).collect()
}

/// Every query of a dashboard, wherever it stands.
fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(query) if name == "expr" || name == "query" || name == "definition" => {
                        found.push(query.to_owned())
                    }
                    _ => queries(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| queries(value, found)),
        _ => {}
    }
}

#[test]
fn dashboard_alerts_and_the_list_name_only_metrics_that_are_there() {
    let mut served = BTreeSet::new();
    let place = Place::with_invoices();
    let processing = Served::start(&place, "process totals --grace 10s");
    let all = place.records("invoices") as f64;
    served
        .extend(processing.page_when("all of it", |page| page.sum(PROCESSED, &[]) == all).types.into_keys());
    let sinking = Served::start(&place, "sink sqlite --topic invoices --out store.sqlite3");
    let last = "tidegate_sink_last_commit_timestamp_seconds";
    served.extend(sinking.page_when("a commit", |page| page.types.contains_key(last)).types.into_keys());
    place.done("simulate radars --count 200 --app radars");
    let judging = Served::start(&place, "process speeding");
    let counts = "tidegate_topology_counts_total";
    served.extend(
        judging.page_when("its own counts", |page| page.types.contains_key(counts)).types.into_keys(),
    );
    let simulating = Served::start(&place, "simulate invoices --count 1000 --rate 1 --app slow");
    served.extend(simulating.page().types.into_keys());

    let board: Value = serde_json::from_str(&dashboards("tidegate-grafana.json")).unwrap();
    let mut found = Vec::new();
    queries(&board, &mut found);
    assert!(found.len() >= 20, "the dashboard has {} queries", found.len());
    found.push(dashboards("alerts.yml"));
    for query in &found {
        let missing: Vec<String> = named_in(query).difference(&served).cloned().collect();
        assert!(missing.is_empty(), "no such metric: {missing:?} in {query}");
    }

    let listed: BTreeSet<String> = docs("metrics.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(str::to_owned))
        .collect();
    assert_eq!(listed, served, "the list in docs/metrics.md is what is served");
    drop(simulating);
}

#[test]
fn an_end_is_announced() {
    let place = Place::with_invoices();
    let mut served = Served::start(&place, "process totals");
    served.until_ready();
    // Held up in its last commit, it still answers.
    let holder = rusqlite::Connection::open(place.path("tidegate-data/log.sqlite3")).unwrap();
    holder.execute_batch("PRAGMA busy_timeout = 60000; BEGIN IMMEDIATE").unwrap();
    let kill = format!("kill -TERM {}", served.child.id());
    assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    until("the announcement", || served.get("/readyz").body.contains("the process is about to end"));
    holder.execute_batch("COMMIT").unwrap();
    until("its end", || served.child.try_wait().unwrap().is_some());
    assert!(TcpStream::connect_timeout(&served.address.parse().unwrap(), Duration::from_secs(1)).is_err());
}
