//! The consumer's half that every home shares: a channel of events one way, commands the other.
//!
//! A home runs a thread that keeps the lease and fetches; the [`Consumer`] is what a worker holds of it. The thread never waits for
//! processing: each partition has a few credits (see [`Chunk`]), and what does not fit into the channel waits without blocking it.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};

use tokio::sync::mpsc as events;
use tokio_stream::{Stream, StreamExt};

use super::{Chunk, Log, Offset, TopicPartition};
use crate::error::{Error, Result};

/// What [`read_range`] fetches ahead: a few batches, so that a short range costs little.
const READ_RANGE_BYTES: usize = 256 * 1024;

/// What a consumer reports.
#[derive(Debug)]
pub enum Event {
    /// These partitions are now owned by this member; [`Consumer::seek`] starts fetching them. A member there is nothing for is told so by
    /// an empty list.
    Assigned(Vec<TopicPartition>),
    /// These partitions are wanted elsewhere: commit, then [`Consumer::release`] them. Until then they are still owned.
    Revoked(Vec<TopicPartition>),
    /// These partitions were lost without being asked: what was not committed will be done again by another.
    Lost(Vec<TopicPartition>),
    /// Records, or news of the position.
    Chunk(Chunk),
}

/// What a worker asks of its consumer's thread.
#[derive(Debug)]
pub enum Command {
    /// Fetch this partition from here on; what was fetched before is void.
    Seek(TopicPartition, Offset),
    /// Stop fetching these, and give them back if they were assigned. A group owns partition *numbers*: naming one topic's
    /// partition gives back that number of every topic.
    Release(Vec<TopicPartition>),
    /// Leave the group and end.
    Close,
}

/// Proof of ownership, checked by the log in the commit itself.
#[derive(Clone)]
pub struct Membership {
    /// The member's name.
    pub member: String,
    /// Distinguishes this life of the member from earlier ones under the same name.
    pub incarnation: i64,
    /// What else the home needs to prove it; only the home that made it can read it.
    pub proof: Option<Arc<dyn Any + Send + Sync>>,
}

impl PartialEq for Membership {
    fn eq(&self, other: &Membership) -> bool {
        (&self.member, self.incarnation) == (&other.member, other.incarnation)
    }
}

impl Eq for Membership {}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.member, self.incarnation)
    }
}

/// A consumer: a stream of events. Dropping it leaves the group and ends its thread.
pub struct Consumer {
    events: events::Receiver<Result<Notice>>,
    commands: mpsc::Sender<Command>,
    wake: Box<dyn Fn() + Send + Sync>,
    membership: Option<Membership>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What a home's thread sends: events for the worker, and news for the consumer itself.
#[derive(Debug)]
pub enum Notice {
    /// Handed to the worker.
    Event(Event),
    /// The member has joined again after losing everything. It travels behind [`Event::Lost`] in the same channel, so
    /// that a worker that has not heard of its loss cannot commit in the name of the new life.
    Rejoined(Membership),
}

/// The thread's end of the event channel.
pub type EventSender = events::Sender<Result<Notice>>;

impl Consumer {
    /// Joins a home's thread to a worker. `wake` must make the thread look at its commands soon.
    pub fn new(
        events: events::Receiver<Result<Notice>>,
        commands: mpsc::Sender<Command>,
        wake: impl Fn() + Send + Sync + 'static,
        membership: Option<Membership>,
        thread: std::thread::JoinHandle<()>,
    ) -> Consumer {
        Consumer { events, commands, wake: Box::new(wake), membership, thread: Some(thread) }
    }

    /// Fetches `partition` from `offset` on. A consumer whose thread has ended does nothing any more: why stands in its last
    /// event.
    pub fn seek(&self, partition: TopicPartition, offset: Offset) {
        self.command(Command::Seek(partition, offset));
    }

    /// Stops fetching these partitions and gives the assigned ones back to the group.
    pub fn release(&self, partitions: Vec<TopicPartition>) {
        self.command(Command::Release(partitions));
    }

    /// Proof of ownership for commits; `None` without a group. Changes when the member was evicted and has joined again:
    /// ask for it at every commit.
    #[must_use]
    pub fn membership(&self) -> Option<&Membership> {
        self.membership.as_ref()
    }

    /// True if the next event need not be waited for.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.events.is_empty()
    }

    /// The next event; waits for it without a runtime. For programs and tests without async.
    ///
    /// # Errors
    /// What the consumer's thread reports, or that it has ended.
    pub fn blocking_next(&mut self) -> Result<Event> {
        loop {
            let notice = self.events.blocking_recv().unwrap_or_else(|| Err(ended()))?;
            if let Some(event) = self.take_note(notice) {
                return Ok(event);
            }
        }
    }

    fn take_note(&mut self, notice: Notice) -> Option<Event> {
        match notice {
            Notice::Event(event) => Some(event),
            Notice::Rejoined(membership) => {
                self.membership = Some(membership);
                None
            }
        }
    }

    fn command(&self, command: Command) {
        // It fails only when the thread has ended; its error is on its way as an event then.
        let _ = self.commands.send(command);
        (self.wake)();
    }
}

/// Reads stretches of partitions, one after the other: what is known to be there, not what may come.
pub struct RangeReader(Consumer);

impl RangeReader {
    /// A reader for any number of stretches: on a cluster, each reader is a client with connections of its own.
    ///
    /// # Errors
    /// As [`Log::reader`].
    pub fn new(log: &dyn Log) -> Result<RangeReader> {
        log.reader(READ_RANGE_BYTES).map(RangeReader)
    }

    /// Reads `partition` from `from` until the position reaches `to`, chunk by chunk.
    ///
    /// # Errors
    /// What the reader reports, or what `take` does.
    pub async fn read<E: From<Error>>(
        &mut self,
        partition: &TopicPartition,
        from: Offset,
        to: Offset,
        take: impl FnMut(&Chunk) -> Result<(), E>,
    ) -> Result<(), E> {
        self.read_some(partition, from, to, true, take).await
    }

    /// The same, but only what is committed now: where a transaction is open, it ends there.
    ///
    /// # Errors
    /// What the reader reports, or what `take` does.
    pub async fn read_committed<E: From<Error>>(
        &mut self,
        partition: &TopicPartition,
        from: Offset,
        to: Offset,
        take: impl FnMut(&Chunk) -> Result<(), E>,
    ) -> Result<(), E> {
        self.read_some(partition, from, to, false, take).await
    }

    async fn read_some<E: From<Error>>(
        &mut self,
        partition: &TopicPartition,
        from: Offset,
        to: Offset,
        waits: bool,
        mut take: impl FnMut(&Chunk) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut position = from;
        if position < to {
            self.0.seek(partition.clone(), from);
        }
        while position < to {
            match self.0.next().await.unwrap_or_else(|| Err(ended()))? {
                Event::Chunk(chunk) if chunk.partition == *partition && chunk.from == position => {
                    take(&chunk)?;
                    position = chunk.next;
                    // The news that nothing more is committed.
                    if chunk.is_empty() && !waits {
                        break;
                    }
                }
                // Of a stretch that was read before.
                _ => {}
            }
        }
        self.0.release(vec![partition.clone()]);
        Ok(())
    }
}

/// Reads one stretch of a partition by a [`RangeReader`] of its own.
///
/// # Errors
/// What the reader reports, or what `take` does.
pub async fn read_range<E: From<Error>>(
    log: &dyn Log,
    partition: &TopicPartition,
    from: Offset,
    to: Offset,
    take: impl FnMut(&Chunk) -> Result<(), E>,
) -> Result<(), E> {
    RangeReader::new(log)?.read(partition, from, to, take).await
}

fn ended() -> Error {
    Error::Defect("the consumer's thread has ended".to_owned())
}

impl Stream for Consumer {
    type Item = Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Poll::Ready(notice) = self.events.poll_recv(cx) else { return Poll::Pending };
            match notice {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(notice)) => {
                    if let Some(event) = self.take_note(notice) {
                        return Poll::Ready(Some(Ok(event)));
                    }
                }
            }
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // The thread may have ended by itself: then there is nobody to tell.
        let _ = self.commands.send(Command::Close);
        (self.wake)();
        self.events.close();
        while self.events.try_recv().is_ok() {}
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
