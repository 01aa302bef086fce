//! The consumer's thread: obeys commands, keeps the lease, fetches.
//!
//! Promise: it never waits for the worker. What does not fit into the event channel stays in an outbox that the credits bound, and the lease
//! is renewed whatever the worker does. An error is its last event. It never panics: a panic would take the lease's
//! renewal with it in silence.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::mpsc::error::TrySendError;

use super::bell::{Bell, Rung};
use super::database::{Durability, connect};
use super::fetch::Positions;
use super::groups::Joining;
use super::home::Home;
use super::member::{Change, Member};
use crate::error::{Error, Result};
use crate::log::{Command, Consumer, Event, EventSender, Notice, Subscription, TopicPartition};

/// The credits of a few dozen partitions; with more, the outbox holds what is over.
const EVENTS: usize = 64;
/// A full channel rings no bell when it is drained of events without credit: it is tried again this often.
const RETRY: Duration = Duration::from_millis(10);
/// Below this a lease ends before a busy machine comes to renew it.
const SHORTEST_SESSION_MS: u64 = 100;
/// Without a lease there is nothing to do before a bell rings.
const NOTHING_DUE: Duration = Duration::from_secs(3_600);

/// A consumer outside of any group.
pub(super) fn reader(home: &Arc<Home>, buffer_bytes: usize) -> Result<Consumer> {
    let connection = connect(&home.file, Durability::Process)?;
    start(home, connection, buffer_bytes, Vec::new(), None)
}

/// A consumer that is a member of a group.
pub(super) fn subscribe(home: &Arc<Home>, subscription: &Subscription) -> Result<Consumer> {
    if subscription.session_timeout_ms < SHORTEST_SESSION_MS {
        return Err(Error::Refused {
            what: format!("a session timeout of `{}` ms is too short", subscription.session_timeout_ms),
            remedy: format!("allow at least {SHORTEST_SESSION_MS} ms"),
        });
    }
    let partitions = common_partitions(home, &subscription.topics)?;
    let mut connection = connect(&home.file, Durability::Process)?;
    let mut topics = subscription.topics.clone();
    topics.sort();
    let joining = Joining {
        group: subscription.group.clone(),
        member: subscription.member.clone(),
        topics,
        session_timeout_ms: i64::try_from(subscription.session_timeout_ms).unwrap_or(i64::MAX),
    };
    let member = Member::join(home, &mut connection, joining, partitions)?;
    let topics = subscription.topics.iter().map(|topic| Arc::from(topic.as_str())).collect();
    start(home, connection, subscription.buffer_bytes, topics, Some(member))
}

fn common_partitions(home: &Home, topics: &[String]) -> Result<u32> {
    let mut first: Option<(&str, u32)> = None;
    for topic in topics {
        let found = home.read("look up a topic", |connection| super::topics::find(connection, topic))?;
        let partitions = found.ok_or_else(|| Error::UnknownTopic(topic.clone()))?.partitions;
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

fn start(
    home: &Arc<Home>,
    connection: Connection,
    buffer_bytes: usize,
    topics: Vec<Arc<str>>,
    member: Option<Member>,
) -> Result<Consumer> {
    let bell = home.belfry.hang(&home.file)?;
    let (commands, received) = channel();
    let (events, receiver) = tokio::sync::mpsc::channel(EVENTS);
    let membership = member.as_ref().map(Member::membership);
    let thread = Thread {
        home: home.clone(),
        connection,
        bell: bell.clone(),
        commands: received,
        events,
        outbox: VecDeque::new(),
        positions: Positions::new(buffer_bytes),
        topics,
        member,
    };
    let spawned = std::thread::Builder::new().name("log-consumer".to_owned()).spawn(move || thread.run());
    let handle = spawned.map_err(|cause| Error::Storage {
        what: format!("could not start a thread to read `{}`", home.file.display()),
        cause: Box::new(cause),
    })?;
    Ok(Consumer::new(receiver, commands, move || bell.ring(false), membership, handle))
}

struct Thread {
    home: Arc<Home>,
    connection: Connection,
    bell: Arc<Bell>,
    commands: Receiver<Command>,
    events: EventSender,
    outbox: VecDeque<Notice>,
    positions: Positions,
    /// The subscribed topics; none without a group.
    topics: Vec<Arc<str>>,
    member: Option<Member>,
}

/// Whether the consumer is still there.
#[derive(PartialEq, Eq)]
enum Open {
    Yes,
    No,
}

impl Thread {
    fn run(mut self) {
        let ended = self.work();
        if let Some(member) = &self.member {
            // If even this fails, the lease runs out by itself.
            let _ = member.leave(&self.home, &mut self.connection);
        }
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
        let mut rung = Rung { any: true, committed: true };
        loop {
            if self.obey()? == Open::No {
                return Ok(());
            }
            self.tend(rung.committed)?;
            if rung.committed {
                self.positions.mark_stale();
            }
            if self.flush() == Open::No {
                return Ok(());
            }
            let fetched = self.outbox.is_empty() && self.fetch()?;
            rung =
                if fetched { self.bell.take() } else { self.home.belfry.wait(&self.bell, self.patience()) };
        }
    }

    fn obey(&mut self) -> Result<Open> {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Seek(partition, offset)) => {
                    if self.may_read(&partition) {
                        self.positions.seek(partition, offset, &self.bell);
                    }
                }
                Ok(Command::Release(partitions)) => self.release(&partitions)?,
                Ok(Command::Close) | Err(TryRecvError::Disconnected) => return Ok(Open::No),
                Err(TryRecvError::Empty) => return Ok(Open::Yes),
            }
        }
    }

    /// A seek may cross the news that its partition was lost: then it asks for something that is no longer ours.
    fn may_read(&self, partition: &TopicPartition) -> bool {
        let owned = self.member.as_ref().is_none_or(|member| member.owns(partition.partition));
        owned || !self.topics.contains(&partition.topic)
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let subscribed = partitions.iter().filter(|partition| self.topics.contains(&partition.topic));
        let numbers: BTreeSet<u32> = subscribed.map(|partition| partition.partition).collect();
        self.positions.stop(|reading| partitions.contains(reading));
        self.stop_numbers(&numbers);
        match &mut self.member {
            Some(member) => member.release(&self.home, &mut self.connection, &numbers),
            None => Ok(()),
        }
    }

    fn stop_numbers(&mut self, numbers: &BTreeSet<u32>) {
        let topics = &self.topics;
        self.positions
            .stop(|reading| topics.contains(&reading.topic) && numbers.contains(&reading.partition));
    }

    fn tend(&mut self, woken: bool) -> Result<()> {
        let Some(member) = &mut self.member else { return Ok(()) };
        let mut changes = Vec::new();
        // What has changed is told even if the next step failed: a loss above all.
        let tended = member.tend(&self.home, &mut self.connection, woken, &mut changes);
        for change in changes {
            let notice = match change {
                Change::Assigned(numbers) => Notice::Event(Event::Assigned(self.of_all_topics(&numbers))),
                Change::Revoked(numbers) => Notice::Event(Event::Revoked(self.of_all_topics(&numbers))),
                Change::Lost(numbers) => {
                    self.stop_numbers(&numbers);
                    Notice::Event(Event::Lost(self.of_all_topics(&numbers)))
                }
                Change::Rejoined(membership) => Notice::Rejoined(membership),
            };
            self.outbox.push_back(notice);
        }
        tended
    }

    fn of_all_topics(&self, numbers: &BTreeSet<u32>) -> Vec<TopicPartition> {
        let of_number =
            |number| self.topics.iter().map(move |topic| TopicPartition::new(topic.clone(), number));
        numbers.iter().flat_map(|number| of_number(*number)).collect()
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

    /// Fetches one chunk; false if there is none to fetch.
    fn fetch(&mut self) -> Result<bool> {
        let fetched = self.positions.next_chunk(&self.connection);
        let chunk = fetched.map_err(|fault| fault.named("read records", &self.home.file))?;
        let found = chunk.is_some();
        self.outbox.extend(chunk.map(|chunk| Notice::Event(Event::Chunk(chunk))));
        Ok(found)
    }

    fn patience(&self) -> Duration {
        if !self.outbox.is_empty() {
            return RETRY;
        }
        let due = self.member.as_ref().map(Member::due);
        due.map_or(NOTHING_DUE, |due| due.saturating_duration_since(Instant::now()))
    }
}
