//! The consumer's thread, the same for every home: obeys commands, passes on what its feed has, waits.
//!
//! Promise: it never waits for the worker. What does not fit into the event channel stays in an outbox that the credits bound, and the
//! membership is kept whatever the worker does. An error is its last event. It never panics: a panic would take the
//! membership with it in silence.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;

use super::bell::Bell;
use super::{Chunk, Command, Consumer, Event, EventSender, Membership, Notice, Offset, TopicPartition};
use crate::error::{Error, Result};

/// The credits of a few dozen partitions; with more, the outbox holds what is over.
const EVENTS: usize = 64;
/// A full channel rings no bell when it is drained of events without credit: it is tried again this often.
const RETRY: Duration = Duration::from_millis(10);

/// What a home feeds its consumers from. Every call comes from the consumer's own thread.
pub(super) trait Feed: Send {
    /// Reads `partition` from `offset` on, instead of wherever it stood.
    fn seek(&mut self, partition: TopicPartition, offset: Offset);

    /// Stops reading these, and gives back those the group has assigned.
    fn release(&mut self, partitions: &[TopicPartition]) -> Result<()>;

    /// Keeps the membership. What has changed goes behind `notices`, also when the call then fails: a loss above all.
    fn tend(&mut self, notices: &mut VecDeque<Notice>) -> Result<()>;

    /// The next chunk of whichever partition's turn it is, if there is one.
    fn fetch(&mut self) -> Result<Option<Chunk>>;

    /// Waits until the bell rings, at most `patience`, or as long as the feed has nothing else to do.
    fn wait(&mut self, patience: Option<Duration>);

    /// Leaves the group.
    fn leave(&mut self);
}

/// Starts the thread.
pub(super) fn start(
    feed: impl Feed + 'static,
    bell: Arc<Bell>,
    membership: Option<Membership>,
) -> Result<Consumer> {
    let (commands, received) = channel();
    let (events, receiver) = tokio::sync::mpsc::channel(EVENTS);
    let pump = Pump { feed, commands: received, events, outbox: VecDeque::new() };
    let spawned = std::thread::Builder::new().name("log-consumer".to_owned()).spawn(move || pump.run());
    let handle = spawned.map_err(|cause| Error::Storage {
        what: "could not start a thread to read the log".to_owned(),
        cause: Box::new(cause),
    })?;
    Ok(Consumer::new(receiver, commands, move || bell.ring(false), membership, handle))
}

/// How many partitions topics have that are read together: all the same number.
pub(super) fn common_partitions(
    topics: &[String],
    count_of: impl Fn(&str) -> Result<Option<u32>>,
) -> Result<u32> {
    let mut first: Option<(&str, u32)> = None;
    for topic in topics {
        let partitions = count_of(topic)?.ok_or_else(|| Error::UnknownTopic(topic.clone()))?;
        let (other, others) = *first.get_or_insert((topic, partitions));
        if partitions != others {
            return Err(Error::Refused {
                what: format!("`{other}` has {others} partitions and `{topic}` has {partitions}"),
                remedy: "topics read together must have the same number of partitions".to_owned(),
            });
        }
    }
    first.map(|(_, partitions)| partitions).ok_or_else(|| Error::Refused {
        what: "a subscription names no topic".to_owned(),
        remedy: "name at least one".to_owned(),
    })
}

struct Pump<F> {
    feed: F,
    commands: Receiver<Command>,
    events: EventSender,
    outbox: VecDeque<Notice>,
}

/// Whether the consumer is still there.
#[derive(PartialEq, Eq)]
enum Open {
    Yes,
    No,
}

impl<F: Feed> Pump<F> {
    fn run(mut self) {
        let ended = self.work();
        self.feed.leave();
        let Err(error) = ended else { return };
        // Nothing is left to keep, so it may wait here; a consumer that is dropped closes the channel.
        for notice in std::mem::take(&mut self.outbox) {
            if self.events.blocking_send(Ok(notice)).is_err() {
                return;
            }
        }
        let _ = self.events.blocking_send(Err(error));
    }

    fn work(&mut self) -> Result<()> {
        loop {
            if self.obey()? == Open::No {
                return Ok(());
            }
            self.feed.tend(&mut self.outbox)?;
            if self.flush() == Open::No {
                return Ok(());
            }
            if !self.outbox.is_empty() {
                self.feed.wait(Some(RETRY));
            } else if let Some(chunk) = self.feed.fetch()? {
                self.outbox.push_back(Notice::Event(Event::Chunk(chunk)));
                self.feed.wait(Some(Duration::ZERO));
            } else {
                self.feed.wait(None);
            }
        }
    }

    fn obey(&mut self) -> Result<Open> {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Seek(partition, offset)) => self.feed.seek(partition, offset),
                Ok(Command::Release(partitions)) => self.feed.release(&partitions)?,
                Ok(Command::Close) | Err(TryRecvError::Disconnected) => return Ok(Open::No),
                Err(TryRecvError::Empty) => return Ok(Open::Yes),
            }
        }
    }

    /// Sends what fits.
    fn flush(&mut self) -> Open {
        while let Some(notice) = self.outbox.pop_front() {
            match self.events.try_send(Ok(notice)) {
                Ok(()) => {}
                Err(TrySendError::Full(Ok(notice))) => {
                    self.outbox.push_front(notice);
                    return Open::Yes;
                }
                Err(_) => return Open::No,
            }
        }
        Open::Yes
    }
}
