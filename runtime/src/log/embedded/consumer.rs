//! What feeds a consumer of the embedded log: its lease, and its positions.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::database::Durability;
use super::fetch::Positions;
use super::groups::Joining;
use super::home::Home;
use super::member::{Change, Member};
use crate::error::{Error, Result};
use crate::log::bell::{Bell, Rung};
use crate::log::pump::{self, Feed, common_partitions};
use crate::log::{Chunk, Consumer, Event, Notice, Offset, Subscription, TopicPartition};

/// Below this a lease ends before a busy machine comes to renew it.
const SHORTEST_SESSION_MS: u64 = 100;
/// Without a lease there is nothing to do before a bell rings.
const NOTHING_DUE: Duration = Duration::from_secs(3_600);

/// A consumer outside of any group.
pub(super) fn reader(home: &Arc<Home>, buffer_bytes: usize) -> Result<Consumer> {
    let connection = home.connect(Durability::Process)?;
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
    let partitions = common_partitions(&subscription.topics, |topic| {
        home.read("look up a topic", |connection| super::topics::find(connection, topic))
            .map(|found| found.map(|found| found.partitions))
    })?;
    let mut connection = home.connect(Durability::Process)?;
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

fn start(
    home: &Arc<Home>,
    connection: Connection,
    buffer_bytes: usize,
    topics: Vec<Arc<str>>,
    member: Option<Member>,
) -> Result<Consumer> {
    let bell = home.hang_bell()?;
    let membership = member.as_ref().map(Member::membership);
    let feed = EmbeddedFeed {
        home: home.clone(),
        connection,
        bell: bell.clone(),
        rung: Rung { any: true, committed: true },
        positions: Positions::new(buffer_bytes),
        topics,
        member,
    };
    pump::start(feed, bell, membership)
}

struct EmbeddedFeed {
    home: Arc<Home>,
    connection: Connection,
    bell: Arc<Bell>,
    /// What it was woken by last.
    rung: Rung,
    positions: Positions,
    /// The subscribed topics; none without a group.
    topics: Vec<Arc<str>>,
    member: Option<Member>,
}

impl Feed for EmbeddedFeed {
    fn seek(&mut self, partition: TopicPartition, offset: Offset) {
        if self.may_read(&partition) {
            self.positions.seek(partition, offset, &self.bell);
        }
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

    fn tend(&mut self, notices: &mut VecDeque<Notice>) -> Result<()> {
        let woken = self.rung.committed;
        if woken {
            self.positions.mark_stale();
        }
        let Some(member) = &mut self.member else { return Ok(()) };
        let mut changes = Vec::new();
        // What has changed is told even if the next step failed: a loss above all.
        let tended = member.tend(&self.home, &mut self.connection, woken, &mut changes);
        for change in changes {
            notices.push_back(match change {
                Change::Assigned(numbers) => Notice::Event(Event::Assigned(self.of_all_topics(&numbers))),
                Change::Revoked(numbers) => Notice::Event(Event::Revoked(self.of_all_topics(&numbers))),
                Change::Lost(numbers) => {
                    self.stop_numbers(&numbers);
                    Notice::Event(Event::Lost(self.of_all_topics(&numbers)))
                }
                Change::Rejoined(membership) => Notice::Rejoined(membership),
            });
        }
        tended
    }

    fn fetch(&mut self) -> Result<Option<Chunk>> {
        let fetched = self.positions.next_chunk(&self.connection);
        fetched.map_err(|fault| fault.named("read records", &self.home.file))
    }

    fn wait(&mut self, patience: Option<Duration>) {
        let due = || {
            let due = self.member.as_ref().map(Member::due);
            due.map_or(NOTHING_DUE, |due| due.saturating_duration_since(Instant::now()))
        };
        let patience = patience.unwrap_or_else(due);
        self.rung = if patience.is_zero() {
            self.bell.wait(patience)
        } else {
            self.home.belfry.wait(&self.bell, patience)
        };
    }

    fn leave(&mut self) {
        if let Some(member) = &self.member {
            // If even this fails, the lease runs out by itself.
            let _ = member.leave(&self.home, &mut self.connection);
        }
    }
}

impl EmbeddedFeed {
    /// A seek may cross the news that its partition was lost: then it asks for something that is no longer ours.
    fn may_read(&self, partition: &TopicPartition) -> bool {
        let owned = self.member.as_ref().is_none_or(|member| member.owns(partition.partition));
        owned || !self.topics.contains(&partition.topic)
    }

    fn stop_numbers(&mut self, numbers: &BTreeSet<u32>) {
        let topics = &self.topics;
        self.positions
            .stop(|reading| topics.contains(&reading.topic) && numbers.contains(&reading.partition));
    }

    fn of_all_topics(&self, numbers: &BTreeSet<u32>) -> Vec<TopicPartition> {
        let of_number =
            |number| self.topics.iter().map(move |topic| TopicPartition::new(topic.clone(), number));
        numbers.iter().flat_map(|number| of_number(*number)).collect()
    }
}
