//! The log: topics with partitions, groups, transactions. One interface, and a home behind it.
//!
//! Everything meets in topics. A [`Log`] hands out three things: a [`Consumer`] (a thread of its own that fetches and
//! keeps the group's lease, joined by a bounded channel), a transactional [`Producer`], and answers about what is there.
//! What the interface promises, and `tests/contract` checks for every home:
//!
//! - a transaction shows all at once or never; readers see committed records only;
//! - records of one partition are read in the order of their offsets, each once from any position;
//! - a partition of a group has one owner at a time, and a commit by anybody else is refused;
//! - a producer's transactional id has one holder at a time: opening it again fences the older one.
#![allow(
    clippy::disallowed_methods,
    reason = "the shell around the pure core: threads, files and the clock live here"
)]

mod bell;
mod chunk;
mod compatibility;
mod consumer;
pub mod embedded;
pub mod kafka;
mod outgoing;
mod partitioner;
mod pump;
mod records;
mod registry;
mod shape;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use chunk::{Chunk, Credit, Credits, RecordRef};
pub use consumer::{Command, Consumer, Event, EventSender, Membership, Notice, RangeReader, read_range};
pub use outgoing::Outgoing;
pub use partitioner::{murmur2, partition_for};
pub use records::{Entry, Headers, Records, RecordsError};
pub(crate) use records::{put_varint, take_varint};
pub use registry::{SchemaId, SchemaRegistry, Standing, subject_of_value};
pub use wire::{RECORD_MAX_BYTES, check_sizes, headers_size, wire_size};

use crate::error::Result;
use crate::time::EventTime;

/// A position in a partition. Not a count: on Kafka, transaction markers take offsets too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub i64);

impl Offset {
    /// The offset after this one.
    #[must_use]
    pub fn next(self) -> Offset {
        Offset(self.0 + 1)
    }

    /// How many offsets lie between `earlier` and this one.
    #[must_use]
    pub fn since(self, earlier: Offset) -> i64 {
        self.0 - earlier.0
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One partition of a topic, written `topic[partition]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number, from 0.
    pub partition: u32,
}

impl TopicPartition {
    /// `topic[partition]`.
    pub fn new(topic: impl Into<Arc<str>>, partition: u32) -> TopicPartition {
        TopicPartition { topic: topic.into(), partition }
    }

    /// `topic[partition]@offset`.
    #[must_use]
    pub fn at(&self, offset: Offset) -> Coordinates {
        Coordinates { partition: self.clone(), offset }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

/// Where one record stands, written `topic[partition]@offset` everywhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coordinates {
    /// The partition.
    pub partition: TopicPartition,
    /// The offset in it.
    pub offset: Offset,
}

impl fmt::Display for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.partition, self.offset)
    }
}

/// What happens to old records of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cleanup {
    /// Kept until retention or a trim removes them.
    Delete,
    /// The latest record per key is kept.
    Compact,
}

/// A topic as it should be. Retention is unlimited in every topic made from this (DESIGN, "Retention").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name: letters, digits, `.`, `_` and `-`, at most 249.
    pub name: String,
    /// How many partitions.
    pub partitions: u32,
    /// What happens to old records.
    pub cleanup: Cleanup,
}

/// A topic as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Tells this topic from every other in its log, also from one that was deleted earlier and had the same name. On Kafka it is the
    /// topic id, as Kafka's own tools print it; `None` where the broker is too old to have topic ids.
    pub id: Option<String>,
    /// How many partitions.
    pub partitions: u32,
    /// What happens to old records.
    pub cleanup: Cleanup,
}

/// The ends of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    /// The first offset still kept.
    pub low: Offset,
    /// The offset the next record will take; open transactions included.
    pub high: Offset,
}

/// One member of a group, as `groups` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberInfo {
    /// `app.instance.worker`.
    pub member: String,
    /// What it owns now.
    pub partitions: Vec<TopicPartition>,
}

/// A group, as `groups` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    /// Its name: the application's.
    pub group: String,
    /// Grows with every change of membership; `None` where the log tells it to members only.
    pub generation: Option<i64>,
    /// Who is in it now.
    pub members: Vec<MemberInfo>,
    /// What it has committed.
    pub offsets: BTreeMap<TopicPartition, Offset>,
}

/// How to join a group.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// The group: the application's name.
    pub group: String,
    /// Stable over restarts of the same worker: joining again under it replaces the older member at once.
    pub member: String,
    /// All of them must have the same number of partitions; a partition *number* of all topics goes to one member.
    pub topics: Vec<String>,
    /// How long a member may be silent before its partitions are given to others.
    pub session_timeout_ms: u64,
    /// The bound on fetched, unprocessed bytes over all partitions.
    pub buffer_bytes: usize,
    /// How long few records may be kept waiting for more to come: a hint to a home where every fetch costs.
    pub linger: Duration,
}

/// Offsets to commit with a transaction, in the name of a group.
#[derive(Clone, Debug, Default)]
pub struct GroupOffsets {
    /// The group.
    pub group: String,
    /// Proof of ownership; `None` for a group nobody subscribes to (sinks and producers keep positions in one).
    pub membership: Option<Membership>,
    /// The next offset to read, per partition.
    pub offsets: Vec<(TopicPartition, Offset)>,
}

/// What a commit wrote: the first offset of this transaction's records in every partition it wrote to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// First offsets, per partition.
    pub first_offsets: BTreeMap<TopicPartition, Offset>,
}

/// A transactional producer. Dropping it with an open transaction aborts that transaction.
pub trait Producer: Send {
    /// Moves `outgoing` into the open transaction, opening one if there is none. What is sent stays invisible until
    /// [`commit`](Producer::commit).
    ///
    /// # Errors
    /// [`UnknownTopic`](crate::Error::UnknownTopic), or whatever the home reports; the transaction can then only be aborted.
    fn send(&mut self, outgoing: &mut Outgoing) -> Result<()>;

    /// Makes everything sent since the last commit visible at once, with the group's offsets.
    ///
    /// # Errors
    /// [`Fenced`](crate::Error::Fenced) when a newer holder of the id or another owner of a partition exists: nothing was
    /// written. [`UnknownOutcome`](crate::Error::UnknownOutcome) when it may have been written: drop this producer.
    fn commit(&mut self, offsets: Option<&GroupOffsets>) -> Result<Receipt>;

    /// Forgets everything sent since the last commit.
    ///
    /// # Errors
    /// As [`commit`](Producer::commit), without the unknown outcome.
    fn abort(&mut self) -> Result<()>;
}

/// A log. Cheap to share: every method takes `&self` and may be called from any thread; all of them block.
pub trait Log: Send + Sync {
    /// How a user names it: `./tidegate-data` or `host:9092`.
    fn address(&self) -> String;

    /// Tells this log from every other, also from one that is made later at the same address: what keeps positions in a log
    /// elsewhere keeps this beside them.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn identity(&self) -> Result<String>;

    /// Makes the topics that do not exist yet.
    ///
    /// # Errors
    /// [`Refused`](crate::Error::Refused), naming both counts, when one exists with other partitions or cleanup; a name that no home
    /// could carry is refused too. Nothing is created then.
    fn create_topics(&self, specs: &[TopicSpec]) -> Result<()>;

    /// Every topic, by name.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn topics(&self) -> Result<Vec<TopicInfo>>;

    /// One topic, if it exists.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn topic(&self, name: &str) -> Result<Option<TopicInfo>> {
        Ok(self.topics()?.into_iter().find(|topic| topic.name == name))
    }

    /// Those of these topics that exist; needs no right on any other topic.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn topics_of(&self, names: &[&str]) -> Result<Vec<TopicInfo>> {
        let found = names.iter().map(|name| self.topic(name));
        found.filter_map(Result::transpose).collect()
    }

    /// Removes a topic with its records and the groups' offsets in it; used by `reset --app` only.
    ///
    /// # Errors
    /// [`UnknownTopic`](crate::Error::UnknownTopic).
    fn delete_topic(&self, name: &str) -> Result<()>;

    /// The ends of a partition.
    ///
    /// # Errors
    /// [`UnknownTopic`](crate::Error::UnknownTopic), also for a partition past the topic's count.
    fn watermarks(&self, partition: &TopicPartition) -> Result<Watermarks>;

    /// The ends of several partitions, in their order; where a question travels, in the time of one. Each is asked for once.
    ///
    /// # Errors
    /// As [`watermarks`](Log::watermarks), for the first that has none.
    fn watermarks_of(&self, partitions: &[TopicPartition]) -> Result<Vec<Watermarks>> {
        partitions.iter().map(|partition| self.watermarks(partition)).collect()
    }

    /// Where readers of these partitions stand still now, in their order: the high watermark or, before it, the first record of the oldest
    /// open transaction (Kafka's last stable offset). A log that keeps open transactions to itself has nothing of the kind.
    ///
    /// # Errors
    /// As [`watermarks`](Log::watermarks), for the first that has none.
    fn stable_ends(&self, partitions: &[TopicPartition]) -> Result<Vec<Offset>> {
        Ok(self.watermarks_of(partitions)?.into_iter().map(|marks| marks.high).collect())
    }

    /// The first offset whose record's time is `time` or later; the high watermark if there is none.
    ///
    /// # Errors
    /// As [`watermarks`](Log::watermarks).
    fn offset_at_time(&self, partition: &TopicPartition, time: EventTime) -> Result<Offset>;

    /// Removes records before `before` (Kafka's DeleteRecords). May keep a few of them, never touches later ones.
    ///
    /// # Errors
    /// As [`watermarks`](Log::watermarks); [`Refused`](crate::Error::Refused) past the high watermark.
    fn trim(&self, partition: &TopicPartition, before: Offset) -> Result<()>;

    /// Every group.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn groups(&self) -> Result<Vec<GroupInfo>>;

    /// What a group has committed; empty if it is unknown.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn committed(&self, group: &str) -> Result<BTreeMap<TopicPartition, Offset>>;

    /// Commits offsets for a group that nobody subscribes to, outside of any transaction: sinks publish their positions this way. It needs no
    /// transactional id and fences nobody.
    ///
    /// # Errors
    /// [`Refused`](crate::Error::Refused) while the group has members.
    fn commit_offsets(&self, group: &str, offsets: &[(TopicPartition, Offset)]) -> Result<()>;

    /// Forgets a group's offsets.
    ///
    /// # Errors
    /// [`Refused`](crate::Error::Refused) while it has members.
    fn delete_group(&self, group: &str) -> Result<()>;

    /// Joins a group. Nothing is fetched from an assigned partition before [`Consumer::seek`] names a position. Once this has returned,
    /// [`is_replaced`](Log::is_replaced) finds this life of the member, whoever asks.
    ///
    /// # Errors
    /// [`UnknownTopic`](crate::Error::UnknownTopic); [`Refused`](crate::Error::Refused) when the topics' partition counts differ.
    fn subscribe(&self, subscription: &Subscription) -> Result<Consumer>;

    /// True if another life of `member` is in the group. A worker whose transactional id was fenced asks for it once it has left the group:
    /// a newer instance may have taken its place, or the log itself has ended a transaction that was open for too long (Kafka does,
    /// behind a process that stands still). Where a member may stay in the group for a while after it has left, lives that this very log
    /// has subscribed do not count.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn is_replaced(&self, group: &str, member: &str) -> Result<bool> {
        let groups = self.groups()?;
        let mut members = groups.iter().filter(|found| found.group == group).flat_map(|found| &found.members);
        Ok(members.any(|found| found.member == member))
    }

    /// A consumer without a group: it reads the partitions it is told to [`seek`](Consumer::seek) in.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn reader(&self, buffer_bytes: usize) -> Result<Consumer>;

    /// Opens a transactional id, which fences every older holder of it.
    ///
    /// # Errors
    /// When the log cannot be written.
    fn producer(&self, transactional_id: &str) -> Result<Box<dyn Producer>>;

    /// The schemas of record values.
    fn registry(&self) -> &dyn SchemaRegistry;
}
