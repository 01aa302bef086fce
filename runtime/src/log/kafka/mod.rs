//! The Kafka home, on rdkafka.
//!
//! ```text
//! mod (Log) ─┬─ admin                    topics, watermarks, groups: questions and changes
//!            ├─ producer                 one Kafka transaction per commit
//!            ├─ consumer ─┬─ member      the group: assignment and revocation
//!            │            └─ fetch       positions and chunks, from per-partition queues
//!            └─ registry                 any Confluent-compatible schema registry
//! connection (where and how to connect) · property (what the user may set) · native (clients by the C interface) · fault
//! (errors) · heard (what connections report) · proof (of membership, from member to producer) · diagnosis (what a cluster and
//! a registry tell about themselves)
//! ```

mod admin;
mod connection;
mod consumer;
pub mod diagnosis;
mod fault;
mod fetch;
mod heard;
mod lives;
mod member;
mod native;
mod producer;
mod proof;
mod property;
mod queue;
mod registry;
mod serving;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::admin::Admin;
pub use self::connection::{Connection, RegistryConnection};
use self::lives::Lives;
pub use self::property::check_property;
use self::registry::ConfluentRegistry;
use super::{
    Consumer, GroupInfo, Log, Offset, Producer, SchemaRegistry, Subscription, TopicInfo, TopicPartition,
    TopicSpec, Watermarks,
};
use crate::error::Result;
use crate::time::EventTime;

/// A Kafka cluster with a schema registry. Clones share everything.
#[derive(Clone)]
pub struct KafkaLog {
    connection: Arc<Connection>,
    admin: Arc<Admin>,
    registry: Arc<ConfluentRegistry>,
    lives: Arc<Lives>,
}

impl KafkaLog {
    /// Makes the clients; connects when it is first asked something.
    ///
    /// # Errors
    /// [`Refused`](crate::Error::Refused) when a property is unknown or does not fit, naming it and never its value.
    pub fn open(connection: Connection) -> Result<KafkaLog> {
        let connection = Arc::new(connection);
        let admin = Arc::new(Admin::new(&connection)?);
        let registry = Arc::new(ConfluentRegistry::new(&connection.registry)?);
        Ok(KafkaLog { connection, admin, registry, lives: Arc::default() })
    }
}

impl Log for KafkaLog {
    fn address(&self) -> String {
        self.connection.brokers.clone()
    }

    fn identity(&self) -> Result<String> {
        self.admin.cluster_id()
    }

    fn create_topics(&self, specs: &[TopicSpec]) -> Result<()> {
        self.admin.create_topics(specs)
    }

    fn topics(&self) -> Result<Vec<TopicInfo>> {
        self.admin.topics()
    }

    fn topic(&self, name: &str) -> Result<Option<TopicInfo>> {
        self.admin.topic(name)
    }

    fn topics_of(&self, names: &[&str]) -> Result<Vec<TopicInfo>> {
        self.admin.infos(names)
    }

    fn delete_topic(&self, name: &str) -> Result<()> {
        self.admin.delete_topic(name)
    }

    fn watermarks(&self, partition: &TopicPartition) -> Result<Watermarks> {
        self.admin.watermarks(partition)
    }

    fn watermarks_of(&self, partitions: &[TopicPartition]) -> Result<Vec<Watermarks>> {
        self.admin.ends(partitions)
    }

    fn stable_ends(&self, partitions: &[TopicPartition]) -> Result<Vec<Offset>> {
        self.admin.stable_ends(partitions)
    }

    fn offset_at_time(&self, partition: &TopicPartition, time: EventTime) -> Result<Offset> {
        self.admin.offset_at_time(partition, time)
    }

    fn trim(&self, partition: &TopicPartition, before: Offset) -> Result<()> {
        self.admin.trim(partition, before)
    }

    fn groups(&self) -> Result<Vec<GroupInfo>> {
        self.admin.groups()
    }

    fn committed(&self, group: &str) -> Result<BTreeMap<TopicPartition, Offset>> {
        self.admin.committed(group)
    }

    fn commit_offsets(&self, group: &str, offsets: &[(TopicPartition, Offset)]) -> Result<()> {
        self.admin.commit_memberless(group, offsets)
    }

    fn delete_group(&self, group: &str) -> Result<()> {
        self.admin.delete_group(group)
    }

    fn subscribe(&self, subscription: &Subscription) -> Result<Consumer> {
        consumer::subscribe(&self.connection, &self.admin, &self.lives, subscription)
    }

    fn is_replaced(&self, group: &str, member: &str) -> Result<bool> {
        let lives = self.admin.members_named(group, member)?;
        Ok(lives.iter().any(|life| !self.lives.is_own(life)))
    }

    fn reader(&self, buffer_bytes: usize) -> Result<Consumer> {
        consumer::reader(&self.connection, &self.admin, buffer_bytes)
    }

    fn producer(&self, transactional_id: &str) -> Result<Box<dyn Producer>> {
        producer::open(&self.connection, &self.admin, transactional_id)
    }

    fn registry(&self) -> &dyn SchemaRegistry {
        self.registry.as_ref()
    }
}
