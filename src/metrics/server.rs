//! The port: `GET /metrics`, `/healthz`, `/readyz`, on a thread and a runtime of its own.
//!
//! Guarantees: processing never waits for a client. Connections are bounded in number and in time, and an answered one is closed. A
//! client that sends its request is answered beside any number of clients that send none: each new connection beyond the bound closes
//! the oldest one without a complete request.
//! Requires: no handler blocks.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::State;
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::Watched;

/// More than any number of scrapers and probes of one process; each costs a few kilobytes.
const MAX_CONNECTIONS: usize = 64;

/// How many connections the system may keep until they are accepted. With the standard library's 128, a burst of clients overflows it, and
/// whoever comes then tries again only after a second.
const BACKLOG: i32 = 4_096;

/// How long a client may take to send the head of its request: it is one packet.
const HEADER_TIMEOUT: Duration = Duration::from_secs(3);

/// How long all of one request may take: scrapers give up after 10 s themselves.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

const PATHS: &str = "there is `/metrics`, `/healthz` and `/readyz`\n";

/// Serves until the process ends.
pub(super) fn start(listener: TcpListener, watched: Watched) -> Result<()> {
    let failed = "could not start the metrics' thread";
    listener.set_nonblocking(true).context(failed)?;
    rustix::net::listen(&listener, BACKLOG).context(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // For asking the log, which is done once at a time.
        .max_blocking_threads(1)
        .build()
        .context(failed)?;
    let listener = {
        let _entered = runtime.enter();
        tokio::net::TcpListener::from_std(listener).context(failed)?
    };
    let serving = move || runtime.block_on(serve(listener, routes(Arc::new(watched))));
    std::thread::Builder::new().name("metrics".to_owned()).spawn(serving).context(failed)?;
    Ok(())
}

pub(super) fn routes(watched: Arc<Watched>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(|| async { (StatusCode::NOT_FOUND, PATHS) })
        .with_state(watched)
}

async fn serve(listener: tokio::net::TcpListener, routes: Router) {
    let connections = Connections::default();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Too many open files, a client that went: what matters is not to spin.
            connections.close_oldest_unasked();
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        connections.make_room().await;
        connections.begin(stream, routes.clone());
        // The new connection is looked at before the next one can close it.
        tokio::task::yield_now().await;
    }
}

/// The open connections, by age.
#[derive(Clone, Default)]
struct Connections {
    open: Arc<Mutex<BTreeMap<u64, Open>>>,
    /// The next one's number.
    next: Arc<AtomicU64>,
    /// One has ended.
    ended: Arc<Notify>,
}

struct Open {
    /// Its request is complete.
    has_asked: Arc<AtomicBool>,
    /// None until its task is known.
    task: Option<AbortHandle>,
}

/// Takes a connection off the list, however its task ends.
struct Place {
    connections: Connections,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.open().remove(&self.number);
        self.connections.ended.notify_one();
    }
}

impl Connections {
    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room for one more. Requests that are complete are answered first: they are bounded in time.
    async fn make_room(&self) {
        while self.open().len() >= MAX_CONNECTIONS {
            if !self.close_oldest_unasked() {
                self.ended.notified().await;
            }
        }
    }

    /// False if every client has sent its request.
    fn close_oldest_unasked(&self) -> bool {
        let mut open = self.open();
        let found = open.iter().find(|(_, open)| !open.has_asked.load(Ordering::Relaxed));
        let Some(number) = found.map(|(number, _)| *number) else { return false };
        if let Some(task) = open.remove(&number).and_then(|open| open.task) {
            task.abort();
        }
        true
    }

    fn begin(&self, stream: TcpStream, routes: Router) {
        let has_asked = Arc::new(AtomicBool::new(false));
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.open().insert(number, Open { has_asked: has_asked.clone(), task: None });
        let place = Place { connections: self.clone(), number };
        let service = TowerToHyperService::new(routes);
        // Called once the head of a request is complete; what these routes answer needs no body.
        let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
            has_asked.store(true, Ordering::Relaxed);
            hyper::service::Service::call(&service, request)
        });
        let task = tokio::spawn(async move {
            let _place = place;
            let mut http = http1::Builder::new();
            http.keep_alive(false).timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
            let connection = http.serve_connection(TokioIo::new(stream), service);
            // A client that goes away or dawdles harms nobody but itself.
            let _ = tokio::time::timeout(REQUEST_TIMEOUT, connection).await;
        });
        if let Some(open) = self.open().get_mut(&number) {
            open.task = Some(task.abort_handle());
        }
    }
}

async fn metrics(State(watched): State<Arc<Watched>>) -> Response {
    match watched.text() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn healthz(State(watched): State<Arc<Watched>>) -> Response {
    match watched.illness() {
        None => "ok\n".into_response(),
        Some(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

async fn readyz(State(watched): State<Arc<Watched>>) -> Response {
    let missing = watched.missing_now().await;
    if missing.is_empty() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, missing.join("\n") + "\n").into_response()
}
