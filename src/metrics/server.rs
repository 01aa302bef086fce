//! The port: `GET /metrics`, `/healthz`, `/readyz`, on a thread and a runtime of its own.
//!
//! Promise: nobody who works ever waits for somebody who looks. Connections are bounded in number and in time, and one that is
//! answered is closed. Broken by: anything in a handler that blocks.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;

use super::Watched;

/// More than any number of scrapers and probes of one process; each costs a few kilobytes.
const MAX_CONNECTIONS: usize = 64;

/// How long a client may take to say what it wants, and all of one request may take: scrapers give up after 10 s themselves.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

const PATHS: &str = "there is `/metrics`, `/healthz` and `/readyz`\n";

/// Serves until the process ends.
pub(super) fn start(listener: TcpListener, watched: Watched) -> Result<()> {
    let failed = "could not start the metrics' thread";
    listener.set_nonblocking(true).context(failed)?;
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
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // Never closed, so there is always a place sooner or later.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Too many open files, a client that went: what matters is not to spin.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let service = TowerToHyperService::new(routes.clone());
        tokio::spawn(async move {
            let mut http = http1::Builder::new();
            http.keep_alive(false).timer(TokioTimer::new()).header_read_timeout(REQUEST_TIMEOUT);
            let connection = http.serve_connection(TokioIo::new(stream), service);
            // A client that goes away or dawdles harms nobody but itself.
            let _ = tokio::time::timeout(REQUEST_TIMEOUT, connection).await;
            drop(place);
        });
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
