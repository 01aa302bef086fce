//! Stopping: the first Ctrl-C, SIGTERM or SIGHUP asks, the second one ends the process at once.
//!
//! Promise: a second signal never waits for anything, because a thread of its own takes it. Whoever works looks at a [`Stop`], which
//! a failing worker can request too.

use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result};
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::exit::Exit;

/// Why to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// A signal, with the code of a run that ends before its work is done.
    Signal(Exit),
    /// A worker of this process failed.
    Failure,
}

/// The wish to stop, shared by all threads.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    cause: Arc<watch::Sender<Option<Cause>>>,
}

impl Stop {
    /// Listens for signals from now on.
    pub(crate) fn on_signals() -> Result<Stop> {
        let stop = Stop { cause: Arc::new(watch::Sender::new(None)) };
        let cause = stop.cause.clone();
        let runtime =
            Builder::new_current_thread().enable_io().build().context("could not listen for signals")?;
        // Registered before anything else runs: a signal in the first millisecond counts too.
        let signals = {
            let _entered = runtime.enter();
            let listen = |kind| signal(kind).context("could not listen for signals");
            // What was started by `nohup` lives on when its terminal goes.
            let hangup = (!is_hangup_ignored()).then(|| listen(SignalKind::hangup())).transpose()?;
            (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, hangup)
        };
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(listen(&cause, signals)))
            .context("could not start the thread for signals")?;
        Ok(stop)
    }

    /// Asks everybody to stop because a worker failed.
    pub(crate) fn request(&self) {
        // What was there first stays: after a signal, the next one must still be taken for the second.
        self.cause.send_if_modified(|cause| {
            let is_first = cause.is_none();
            if is_first {
                *cause = Some(Cause::Failure);
            }
            is_first
        });
    }

    /// Ready once somebody asks to stop.
    pub(crate) async fn requested(&self) {
        // The sender lives as long as this value: waiting cannot fail.
        let _ = self.cause.subscribe().wait_for(Option::is_some).await;
    }

    /// True once somebody has asked to stop.
    pub(crate) fn is_requested(&self) -> bool {
        self.cause.borrow().is_some()
    }

    /// How a run that has an end of its own exits: done, or stopped before it was.
    pub(crate) fn exit(&self, finished: bool) -> Exit {
        match *self.cause.borrow() {
            Some(Cause::Signal(exit)) if !finished => exit,
            _ => Exit::Done,
        }
    }
}

/// True if whoever started this process had it ignore SIGHUP. Where the system does not tell, it is taken for not ignored.
fn is_hangup_ignored() -> bool {
    let ignored = std::fs::read_to_string("/proc/self/status").ok();
    let mask =
        ignored.as_deref().and_then(|status| status.lines().find_map(|line| line.strip_prefix("SigIgn:")));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

async fn hung_up(hangup: &mut Option<Signal>) {
    match hangup {
        Some(hangup) => drop(hangup.recv().await),
        None => std::future::pending().await,
    }
}

async fn listen(
    cause: &watch::Sender<Option<Cause>>,
    (mut interrupt, mut terminate, mut hangup): (Signal, Signal, Option<Signal>),
) {
    loop {
        let exit = tokio::select! {
            _ = interrupt.recv() => Exit::Interrupted,
            _ = terminate.recv() => Exit::Terminated,
            () = hung_up(&mut hangup) => Exit::Terminated,
        };
        if matches!(*cause.borrow(), Some(Cause::Signal(_))) {
            std::process::exit(exit as i32);
        }
        cause.send_replace(Some(Cause::Signal(exit)));
    }
}
