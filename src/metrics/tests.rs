//! A worker on a log that can be held up, and what is served meanwhile.

#[path = "../../tests/cli/exposition.rs"]
mod exposition;

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use hyper::body::Body as _;
use tidegate_processors::billing::{TotalsOptions, totals_topology};
use tidegate_runtime::Result;
use tidegate_runtime::log::embedded::EmbeddedLog;
use tidegate_runtime::log::{
    Cleanup, Consumer, GroupInfo, Log, Offset, Producer, SchemaRegistry, Subscription, TopicInfo,
    TopicPartition, TopicSpec, Watermarks,
};
use tidegate_runtime::time::EventTime;
use tidegate_runtime::topology::Topology;
use tidegate_runtime::window::{Emit, TimeWindows};
use tidegate_runtime::worker::{self, Histogram, StatusBoard, WorkerOptions};

use self::exposition::Page;
use super::exposition::Exposition;
use super::{Source, Watch, Watched, catalogue, server};
use crate::signals::Stop;
use crate::workers::block_on;

/// A log that gives no committed offsets while its gate is shut: a task's restore cannot end.
struct Gated {
    inner: EmbeddedLog,
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Gated {
    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

impl Log for Gated {
    fn committed(&self, group: &str) -> Result<BTreeMap<TopicPartition, Offset>> {
        let shut = self.is_open.lock().unwrap();
        drop(self.opened.wait_while(shut, |is_open| !*is_open).unwrap());
        self.inner.committed(group)
    }

    fn address(&self) -> String {
        self.inner.address()
    }
    fn identity(&self) -> Result<String> {
        self.inner.identity()
    }
    fn create_topics(&self, specs: &[TopicSpec]) -> Result<()> {
        self.inner.create_topics(specs)
    }
    fn topics(&self) -> Result<Vec<TopicInfo>> {
        self.inner.topics()
    }
    fn delete_topic(&self, name: &str) -> Result<()> {
        self.inner.delete_topic(name)
    }
    fn watermarks(&self, partition: &TopicPartition) -> Result<Watermarks> {
        self.inner.watermarks(partition)
    }
    fn offset_at_time(&self, partition: &TopicPartition, time: EventTime) -> Result<Offset> {
        self.inner.offset_at_time(partition, time)
    }
    fn trim(&self, partition: &TopicPartition, before: Offset) -> Result<()> {
        self.inner.trim(partition, before)
    }
    fn groups(&self) -> Result<Vec<GroupInfo>> {
        self.inner.groups()
    }
    fn commit_offsets(&self, group: &str, offsets: &[(TopicPartition, Offset)]) -> Result<()> {
        self.inner.commit_offsets(group, offsets)
    }
    fn delete_group(&self, group: &str) -> Result<()> {
        self.inner.delete_group(group)
    }
    fn subscribe(&self, subscription: &Subscription) -> Result<Consumer> {
        self.inner.subscribe(subscription)
    }
    fn reader(&self, buffer_bytes: usize) -> Result<Consumer> {
        self.inner.reader(buffer_bytes)
    }
    fn producer(&self, transactional_id: &str) -> Result<Box<dyn Producer>> {
        self.inner.producer(transactional_id)
    }
    fn registry(&self) -> &dyn SchemaRegistry {
        self.inner.registry()
    }
}

/// Asks as a client would; code and body.
fn get(watched: &Arc<Watched>, path: &str) -> (StatusCode, String) {
    use hyper_util::service::TowerToHyperService;
    let service = TowerToHyperService::new(server::routes(watched.clone()));
    block_on(async {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let answer = hyper::service::Service::call(&service, request).await.unwrap();
        let (head, body) = answer.into_parts();
        assert!(body.size_hint().exact().is_some(), "every answer has its length");
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (head.status, String::from_utf8(body.to_vec()).unwrap())
    })
    .unwrap()
}

fn watched(source: Source) -> Arc<Watched> {
    Arc::new(Watched { source, watch: Watch::default(), stop: Stop::on_signals().unwrap() })
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen within 30 s");
        std::thread::yield_now();
    }
}

const NOT_YET: &str = "worker `0` has not started yet\nthe log has not been opened yet\n";

#[test]
fn a_process_is_not_ready_while_a_task_is_restored() {
    let directory = tempfile::tempdir().unwrap();
    let inner = EmbeddedLog::open(directory.path()).unwrap();
    let spec = |name: &str| TopicSpec { name: name.to_owned(), partitions: 2, cleanup: Cleanup::Delete };
    inner.create_topics(&[spec("invoices"), spec("customer-totals")]).unwrap();
    // With a changelog there, committed offsets are asked for at the end of a restore only.
    inner.create_topics(&Topology::own_topics("totals", 2)).unwrap();
    let gated = Arc::new(Gated { inner, is_open: Mutex::new(false), opened: Condvar::new() });

    let board = StatusBoard::default();
    let source = Source::Processor { app: "totals".to_owned(), board: board.clone(), workers: 1 };
    let watched = watched(source);
    assert_eq!(get(&watched, "/readyz"), (StatusCode::SERVICE_UNAVAILABLE, NOT_YET.to_owned()));
    watched.watch.opened(&(gated.clone() as Arc<dyn Log>), "counting-changelog");

    let (log, options) = (gated.clone(), WorkerOptions { status: board, ..WorkerOptions::default() });
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = std::thread::spawn(move || {
        let windows = TimeWindows::tumbling(5_000, 0).unwrap();
        let max_event_time = EventTime::DEFAULT_MAX;
        let topology =
            totals_topology("totals", TotalsOptions { windows, emit: Emit::OnClose, max_event_time });
        let stopped = async move { drop(stopped.await) };
        block_on(worker::run(log, &topology, options, stopped)).unwrap()
    });
    let restoring = "task 0 is being restored: 0 offsets of its changelog are left\n\
                     task 1 is being restored: 0 offsets of its changelog are left\n";
    wait_for("the restore", || get(&watched, "/readyz").1 == restoring);
    let (_, text) = get(&watched, "/metrics");
    let page = Page::read(&text).unwrap();
    assert_eq!(page.value(catalogue::RESTORING_TASKS.name, &[("thread_id", "totals.0.0")]), Some(2.0));
    assert_eq!(page.sum(catalogue::TASK_PHASE.name, &[("phase", "restoring")]), 2.0);
    assert_eq!(page.value(catalogue::READY.name, &[]), Some(0.0));

    gated.open();
    wait_for("readiness", || get(&watched, "/readyz") == (StatusCode::OK, "ready\n".to_owned()));
    let (_, text) = get(&watched, "/metrics");
    let page = Page::read(&text).unwrap();
    assert_eq!(page.value(catalogue::RESTORING_TASKS.name, &[("thread_id", "totals.0.0")]), Some(0.0));
    assert_eq!(page.value(catalogue::READY.name, &[]), Some(1.0));
    stop.send(()).unwrap();
    worker.join().unwrap().unwrap();
}

#[test]
fn a_failed_worker_is_told_by_healthz() {
    let source = Source::Producer { app: "a".to_owned(), written: Arc::default() };
    let watched = watched(source);
    assert_eq!(get(&watched, "/healthz"), (StatusCode::OK, "ok\n".to_owned()));
    watched.watch.failed(&anyhow::anyhow!("the disk is full").context("could not commit"));
    watched.watch.failed(&anyhow::anyhow!("another"));
    let told = "could not commit: the disk is full\n".to_owned();
    assert_eq!(get(&watched, "/healthz"), (StatusCode::SERVICE_UNAVAILABLE, told));
    assert_eq!(watched.watch.fatal().count, 2);
}

/// 500 clients that hold a connection without a complete request; each that is closed comes again, as a client that wants to harm would.
struct SlowClients {
    ending: Arc<std::sync::atomic::AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl SlowClients {
    fn start(address: std::net::SocketAddr, connected: &Arc<std::sync::atomic::AtomicUsize>) -> SlowClients {
        use std::io::{Read as _, Write as _};
        use std::sync::atomic::Ordering;
        let ending = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let client = |number: usize| {
            let (ending, connected) = (ending.clone(), connected.clone());
            let hold = move || {
                while !ending.load(Ordering::Relaxed) {
                    let Ok(mut stream) = std::net::TcpStream::connect(address) else { continue };
                    // Every second one begins to speak.
                    let begun = if number.is_multiple_of(2) { "" } else { "GET /metrics HTTP/1.1\r\nHost: " };
                    let _ = stream.write_all(begun.as_bytes());
                    connected.fetch_add(1, Ordering::Relaxed);
                    let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
                    let kind = |ended: std::io::Result<usize>| ended.map_err(|error| error.kind());
                    while kind(stream.read(&mut [0; 512])) == Err(std::io::ErrorKind::WouldBlock) {
                        if ending.load(Ordering::Relaxed) {
                            return;
                        }
                    }
                }
            };
            std::thread::Builder::new().stack_size(64 * 1024).spawn(hold).unwrap()
        };
        let threads = (0..500).map(client).collect();
        SlowClients { ending, threads }
    }

    fn end(self) {
        self.ending.store(true, std::sync::atomic::Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

#[test]
fn a_scrape_is_answered_beside_many_slow_clients() {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let source = Source::Producer { app: "a".to_owned(), written: Arc::default() };
    let watched = Arc::into_inner(watched(source)).unwrap();
    server::start(listener, watched).unwrap();
    let connected = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let slow = SlowClients::start(address, &connected);
    wait_for("500 connections", || connected.load(std::sync::atomic::Ordering::Relaxed) >= 500);
    for scrape in 0..5 {
        let began = Instant::now();
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "scrape {scrape}: {answer}");
        assert!(began.elapsed() < Duration::from_secs(1), "scrape {scrape} took {:?}", began.elapsed());
    }
    slow.end();
}

#[test]
fn nothing_yet_is_a_page_too() {
    let source = Source::Processor { app: "a".to_owned(), board: StatusBoard::default(), workers: 3 };
    let (code, text) = get(&watched(source), "/metrics");
    assert_eq!(code, StatusCode::OK);
    let page = Page::read(&text).unwrap();
    assert_eq!(page.value(catalogue::BUILD_INFO.name, &[]), Some(1.0));
    assert_eq!(page.value(catalogue::READY.name, &[]), Some(0.0));
}

#[test]
fn every_kind_is_written_as_a_scraper_reads_it() {
    let mut out = Exposition::default();
    let awkward = "a \"quoted\" \\ back\nslash, é";
    out.whole(&catalogue::LATE, &[("task_id", awkward)], u64::from(u32::MAX));
    out.number(&catalogue::PROCESS_RATE, &[], 0.25);
    out.number(&catalogue::PROCESS_RATE, &[("thread_id", "never")], f64::NAN);
    out.number(&catalogue::PROCESS_RATE, &[("thread_id", "never")], f64::INFINITY);
    let mut histogram = Histogram::default();
    for ms in [1, 3, 300_000] {
        histogram.note(Duration::from_millis(ms));
    }
    out.histogram(&catalogue::COMMIT_DURATION, &[("thread_id", "a.0.0")], &histogram);
    out.histogram(&catalogue::COMMIT_DURATION, &[("thread_id", "a.0.1")], &Histogram::default());
    let page = Page::read(&out.text().unwrap()).unwrap();
    assert_eq!(page.value(catalogue::LATE.name, &[("task_id", awkward)]), Some(4_294_967_295.0));
    assert_eq!(page.value(catalogue::PROCESS_RATE.name, &[]), Some(0.25), "what is no number is left out");
    let bucket = |bound: &str| {
        page.value("tidegate_commit_duration_seconds_bucket", &[("thread_id", "a.0.0"), ("le", bound)])
    };
    assert_eq!(
        [bucket("0.001"), bucket("0.005"), bucket("10"), bucket("+Inf")],
        [Some(1.0), Some(2.0), Some(2.0), Some(3.0)]
    );
    assert_eq!(page.value("tidegate_commit_duration_seconds_sum", &[("thread_id", "a.0.0")]), Some(300.004));
    assert_eq!(page.types[catalogue::COMMIT_DURATION.name], "histogram");
}
