//! The threads of a command: they stop together.
//!
//! Promise: when one fails the others are asked to stop, all are waited for, and the first failure is the command's. A panic counts as a
//! failure: a process that has lost a worker must not look alive.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use crate::signals::Stop;

/// How often `look` is called while the workers work: as often as a person reads.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// A runtime for one thread: blocking work of one worker never holds up another.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.context("could not start the runtime")?.block_on(future))
}

/// Runs `work` on `count` threads until all of them have ended.
pub(crate) fn run(
    count: u32,
    stop: &Stop,
    work: impl Fn(u32) -> Result<()> + Sync,
    mut look: impl FnMut(),
) -> Result<()> {
    let (sender, outcomes) = channel();
    let work = &work;
    thread::scope(|scope| {
        for number in 0..count {
            let of_worker = sender.clone();
            let started =
                thread::Builder::new().name(format!("worker-{number}")).spawn_scoped(scope, move || {
                    let outcome = catch_unwind(AssertUnwindSafe(|| work(number)));
                    // The receiver outlives this scope.
                    let _ = of_worker
                        .send(outcome.unwrap_or_else(|_| Err(anyhow!("worker `{number}` panicked"))));
                });
            if let Err(error) = started {
                let _ = sender.send(Err(anyhow::Error::new(error).context("could not start a thread")));
            }
        }
        drop(sender);
        let mut result = Ok(());
        loop {
            match outcomes.recv_timeout(LOOK_INTERVAL) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    stop.request();
                    result = result.and(Err(error));
                }
                Err(RecvTimeoutError::Timeout) => look(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        look();
        result
    })
}
