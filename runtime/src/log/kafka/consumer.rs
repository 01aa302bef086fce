//! What feeds a consumer of a Kafka cluster: its membership, and its fetcher.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::admin::Admin;
use super::connection::Connection;
use super::fetch::Fetcher;
use super::lives::Lives;
use super::member::Member;
use crate::error::Result;
use crate::log::bell::Bell;
use crate::log::pump::{self, Feed, common_partitions};
use crate::log::{Chunk, Consumer, Event, Notice, Offset, Subscription, TopicPartition};

/// How many partitions a reader without a group is expected to read at once; with more of them each still has the least there is.
const READER_PARTITIONS: usize = 16;

/// A consumer that is a member of a group.
pub(super) fn subscribe(
    connection: &Connection,
    admin: &Arc<Admin>,
    lives: &Arc<Lives>,
    subscription: &Subscription,
) -> Result<Consumer> {
    let partitions =
        common_partitions(&subscription.topics, |name| Ok(admin.topic(name)?.map(|topic| topic.partitions)))?;
    let bell = Arc::new(Bell::default());
    let fetched = partitions as usize * subscription.topics.len();
    let fetcher =
        Fetcher::new(connection, admin, &bell, subscription.buffer_bytes, fetched, subscription.linger)?;
    let member = Member::join(connection, subscription, lives, &bell)?;
    pump::start(KafkaFeed { bell: bell.clone(), fetcher, member: Some(member) }, bell, None)
}

/// A consumer outside of any group.
pub(super) fn reader(connection: &Connection, admin: &Arc<Admin>, buffer_bytes: usize) -> Result<Consumer> {
    let bell = Arc::new(Bell::default());
    let fetcher = Fetcher::new(connection, admin, &bell, buffer_bytes, READER_PARTITIONS, Duration::ZERO)?;
    pump::start(KafkaFeed { bell: bell.clone(), fetcher, member: None }, bell, None)
}

struct KafkaFeed {
    bell: Arc<Bell>,
    fetcher: Fetcher,
    member: Option<Member>,
}

impl Feed for KafkaFeed {
    fn seek(&mut self, partition: TopicPartition, offset: Offset) {
        // A seek may cross the news that its partition was lost: then it asks for something that is no longer ours.
        if self.member.as_ref().is_none_or(|member| member.may_read(&partition)) {
            self.fetcher.seek(partition, offset);
        }
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.fetcher.stop(|reading| partitions.contains(reading));
        if let Some(member) = &mut self.member {
            self.fetcher.stop(|reading| member.gives_back(reading, partitions));
            member.release(partitions);
        }
        Ok(())
    }

    fn tend(&mut self, notices: &mut VecDeque<Notice>) -> Result<()> {
        let Some(member) = &mut self.member else { return Ok(()) };
        let known = notices.len();
        let tended = member.tend(notices);
        for notice in notices.iter().skip(known) {
            if let Notice::Event(Event::Lost(partitions)) = notice {
                self.fetcher.stop(|reading| partitions.contains(reading));
            }
        }
        tended
    }

    fn fetch(&mut self) -> Result<Option<Chunk>> {
        self.fetcher.next_chunk()
    }

    fn wait(&mut self, patience: Option<Duration>) {
        self.bell.wait(patience.unwrap_or_else(|| self.fetcher.patience()));
    }

    fn leave(&mut self) {
        if let Some(member) = &mut self.member {
            member.leave();
        }
    }
}
