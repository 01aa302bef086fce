//! `--metrics ADDR`: how a running command is doing, for Prometheus, a balancer and a supervisor.
//!
//! Promise: an address that cannot be had ends the command before it has joined, made or locked anything; what is shown costs those who work a
//! copy at their ticks and nothing else; the log is asked by a thread of its own, at most once a second, and only while somebody asks for
//! /readyz.

mod catalogue;
mod exposition;
mod own_process;
mod processor;
mod readiness;
mod server;
mod sink;
#[cfg(test)]
mod tests;

use std::io::ErrorKind;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::Args;
use tidegate_runtime::log::{Log, TopicPartition};
use tidegate_runtime::worker::StatusBoard;
use tidegate_sinks::SinkBoard;

use self::exposition::Exposition;
use self::readiness::Probe;
pub(crate) use self::readiness::{Missing, of_workers as missing_in};
use crate::console::Console;
use crate::exit::Exit;
use crate::signals::Stop;

/// Where to show it.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct MetricsArgs {
    /// Serve Prometheus metrics, /healthz and /readyz over HTTP; port 0 takes any free one and prints it.
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_address)]
    metrics: Option<String>,
}

/// Reads `HOST:PORT`.
fn parse_address(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text.to_owned()),
        _ => Err(format!(
            "`{text}` is no address; write `127.0.0.1:9464`, or `0.0.0.0:9464` for every network"
        )),
    }
}

impl MetricsArgs {
    /// Takes the port: before anything else is done.
    pub(crate) fn bind(&self) -> Result<Metrics> {
        let Some(address) = &self.metrics else { return Ok(Metrics { listener: None }) };
        let listener = TcpListener::bind(address).map_err(|error| cannot_bind(address, error))?;
        Ok(Metrics { listener: Some(listener) })
    }
}

fn cannot_bind(address: &str, error: std::io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::AddrInUse => Exit::Refused.because(format!(
            "`{address}` is in use already; give --metrics another port, or 0 for any free one"
        )),
        ErrorKind::AddrNotAvailable => Exit::NoAccess
            .because(format!("`{address}` is no address of this machine; give --metrics one of its own")),
        _ => anyhow::Error::new(error).context(format!("could not listen on `{address}` for --metrics")),
    }
}

/// The port, if one was asked for.
pub(crate) struct Metrics {
    listener: Option<TcpListener>,
}

impl Metrics {
    /// Begins to serve what `source` shows: before the log is opened, which may have to be waited for.
    pub(crate) fn serve(self, source: Source, stop: &Stop, console: Console) -> Result<Watch> {
        let watch = Watch::default();
        let Some(listener) = self.listener else { return Ok(watch) };
        let address = listener.local_addr().context("could not look at the metrics' port")?;
        let watched = Watched { source, watch: watch.clone(), stop: stop.clone() };
        server::start(listener, watched)?;
        console.say(format_args!("metrics: http://{address}/metrics"));
        Ok(watch)
    }
}

/// What is shown.
pub(crate) enum Source {
    /// `process`.
    Processor { app: String, board: StatusBoard, workers: u32 },
    /// `sink`.
    Sink { name: String, board: SinkBoard },
    /// `simulate`, `replay`: how many records are written.
    Producer { app: String, written: Arc<AtomicU64> },
}

/// What a command tells whoever looks, beside its source. Without `--metrics` nobody does.
#[derive(Clone, Default)]
pub(crate) struct Watch {
    log: Arc<Probe>,
    fatal: Arc<Mutex<Fatal>>,
}

#[derive(Debug, Default)]
struct Fatal {
    first: Option<String>,
    count: u64,
}

impl Watch {
    /// The log is open; it is asked where the first partition of `topic` ends.
    pub(crate) fn opened(&self, log: &Arc<dyn Log>, topic: &str) {
        self.log.opened(log, TopicPartition::new(topic, 0));
    }

    /// A worker has failed: the process goes on only to end well.
    pub(crate) fn failed(&self, error: &anyhow::Error) {
        let mut fatal = self.fatal();
        fatal.first.get_or_insert_with(|| format!("{error:#}"));
        fatal.count += 1;
    }

    fn fatal(&self) -> MutexGuard<'_, Fatal> {
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All the server looks at.
struct Watched {
    source: Source,
    watch: Watch,
    stop: Stop,
}

impl Watched {
    fn text(&self) -> Result<String, prometheus::Error> {
        let mut out = Exposition::default();
        match &self.source {
            Source::Processor { app, board, .. } => {
                processor::collect(&mut out, app, &board.snapshot(), self.watch.fatal().count);
            }
            Source::Sink { name, board } => sink::collect(&mut out, name, &board.status()),
            Source::Producer { app, written } => {
                out.whole(&catalogue::PRODUCED, &[("app", app)], written.load(Ordering::Relaxed));
            }
        }
        out.whole(&catalogue::READY, &[], u64::from(self.missing().is_empty()));
        out.whole(&catalogue::BUILD_INFO, &[("version", env!("CARGO_PKG_VERSION"))], 1);
        own_process::collect(&mut out);
        out.text()
    }

    /// What ended a part of this process, if something did.
    fn illness(&self) -> Option<String> {
        self.watch.fatal().first.clone()
    }

    /// What is missing, in words; nothing if it does its work.
    async fn missing_now(&self) -> Vec<String> {
        let mut missing = self.missing();
        missing.extend(self.watch.log.silence().await);
        missing
    }

    fn missing(&self) -> Vec<String> {
        let mut missing = match &self.source {
            Source::Processor { board, workers, .. } => {
                let missing = missing_in(&board.snapshot(), *workers, Instant::now());
                missing.into_iter().map(Missing::into_text).collect()
            }
            Source::Sink { board, .. } => readiness::of_sink(&board.status()),
            Source::Producer { .. } => Vec::new(),
        };
        missing.extend((!self.watch.log.is_open()).then(|| "the log has not been opened yet".to_owned()));
        missing.extend(self.stop.is_requested().then(|| "the process is about to end".to_owned()));
        missing
    }
}
