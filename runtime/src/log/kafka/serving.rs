//! Serving a consumer client of rdkafka's: everything that waits in its queue.
//!
//! A poll takes one event, and gives nothing back for one that it has handed to a callback, which looks as if there had been none. And the
//! bell rings only for a queue that was empty. So what is left behind is served as late as if nobody had rung: every second of an outage
//! leaves some lines about connections, and a rebalance behind those of half a minute waited for another.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;

use crate::error::Result;

/// How often a client's callbacks were called.
#[derive(Debug, Default)]
pub(super) struct Calls(AtomicUsize);

impl Calls {
    /// To be told by every callback of the client.
    pub(super) fn note(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A context that counts the calls of its callbacks.
pub(super) trait Counted: ConsumerContext {
    fn calls(&self) -> &Calls;
}

/// Serves what waits in the queue of a client that fetches nothing by it; `judge` says which errors count.
pub(super) fn serve<C: Counted>(
    client: &BaseConsumer<C>,
    judge: impl Fn(KafkaError) -> Result<()>,
) -> Result<()> {
    loop {
        let before = client.context().calls().count();
        match client.poll(Duration::ZERO) {
            Some(Err(error)) => judge(error)?,
            // Paused partitions have no records; one that slipped through is fetched again by another client.
            Some(Ok(_)) => {}
            None if client.context().calls().count() == before => return Ok(()),
            None => {}
        }
    }
}
