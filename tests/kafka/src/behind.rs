//! What others do to a cluster behind the program's back, and what they can see of it: a plain administrator.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::clock::{DEADLINE, until};
use crate::reader;

const ANSWER: Duration = Duration::from_secs(20);

/// An administrator of a cluster.
pub struct Administrator {
    brokers: String,
    admin: AdminClient<DefaultClientContext>,
    looker: BaseConsumer,
    runtime: tokio::runtime::Runtime,
}

impl Administrator {
    pub fn new(brokers: &str) -> Administrator {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers);
        Administrator {
            brokers: brokers.to_owned(),
            admin: config.create().unwrap(),
            looker: config.create().unwrap(),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
        }
    }

    fn options() -> AdminOptions {
        AdminOptions::new().operation_timeout(Some(ANSWER)).request_timeout(Some(ANSWER))
    }

    /// Every topic that is not Kafka's own.
    pub fn topics(&self) -> Vec<String> {
        let metadata = self.looker.fetch_metadata(None, ANSWER).unwrap();
        let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
        names.filter(|name| !name.starts_with("__")).collect()
    }

    pub fn delete_topics(&self, names: &[&str]) {
        let outcome = self.runtime.block_on(self.admin.delete_topics(names, &Self::options())).unwrap();
        outcome.into_iter().for_each(|one| drop(one.unwrap()));
        until("topics to go", DEADLINE, || {
            self.topics().iter().all(|topic| !names.contains(&topic.as_str()))
        });
    }

    /// Gives a topic so many partitions in all.
    pub fn add_partitions(&self, topic: &str, all: usize) {
        let more = NewPartitions::new(topic, all);
        let outcome = self.runtime.block_on(self.admin.create_partitions([&more], &Self::options())).unwrap();
        outcome.into_iter().for_each(|one| drop(one.unwrap()));
    }

    pub fn groups(&self) -> Vec<String> {
        let groups = self.looker.fetch_group_list(None, ANSWER).unwrap();
        let names = groups.groups().iter().map(|group| group.name().to_owned());
        // The registry keeps its schemas in the broker, and is a consumer of its own.
        names.filter(|name| !name.starts_with("apicurio-")).collect()
    }

    /// How many members a group has.
    pub fn members(&self, group: &str) -> usize {
        let groups = self.looker.fetch_group_list(Some(group), ANSWER).unwrap();
        groups.groups().iter().map(|group| group.members().len()).sum()
    }

    /// Deletes every topic and every group, the latter as soon as their last members' sessions are over.
    pub fn empty(&self) {
        let topics = self.topics();
        if !topics.is_empty() {
            self.delete_topics(&topics.iter().map(String::as_str).collect::<Vec<_>>());
        }
        until("groups to go", DEADLINE, || {
            let groups = self.groups();
            let names: Vec<&str> = groups.iter().map(String::as_str).collect();
            if !names.is_empty() {
                // Refused for a group that has members still.
                let _ = self.runtime.block_on(self.admin.delete_groups(&names, &Self::options()));
            }
            names.is_empty()
        });
    }

    /// What a group has committed in a topic of four partitions.
    pub fn committed(&self, group: &str, topic: &str) -> BTreeMap<i32, i64> {
        self.positions(group, topic).now()
    }

    /// The same, to be asked again and again.
    pub fn positions(&self, group: &str, topic: &str) -> Positions {
        let consumer = RefCell::new(of_group(&self.brokers, group));
        Positions {
            brokers: self.brokers.clone(),
            group: group.to_owned(),
            topic: topic.to_owned(),
            consumer,
        }
    }

    /// Sets a group back, or ahead. It must have no members.
    pub fn set_committed(&self, group: &str, topic: &str, partition: i32, offset: i64) {
        let consumer = of_group(&self.brokers, group);
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
        until("the group to accept an offset from outside", DEADLINE, || {
            consumer.commit(&offsets, CommitMode::Sync).is_ok()
        });
    }

    /// Forgets a group, as its retention would. It must have no members.
    pub fn delete_group(&self, group: &str) {
        until("the group to go", DEADLINE, || {
            let outcome = self.runtime.block_on(self.admin.delete_groups(&[group], &Self::options()));
            outcome.unwrap().into_iter().all(|one| one.is_ok())
        });
    }

    /// DeleteRecords.
    pub fn trim(&self, topic: &str, partition: i32, before: i64) {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, partition, Offset::Offset(before)).unwrap();
        let outcome = self.runtime.block_on(self.admin.delete_records(&offsets, &Self::options())).unwrap();
        outcome.elements().iter().for_each(|one| one.error().unwrap());
    }

    /// A record by somebody else, without a transaction.
    pub fn append(&self, topic: &str, partition: i32, value: &[u8]) {
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create().unwrap();
        let record = BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(ANSWER).unwrap();
    }

    /// The first and the next offset of a partition, once no transaction is open in it.
    pub fn watermarks(&self, topic: &str, partition: i32) -> (i64, i64) {
        reader::watermarks(&self.brokers, topic, partition)
    }
}

fn of_group(brokers: &str, group: &str) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", group).set("enable.auto.commit", "false");
    config.create().unwrap()
}

/// How far a group has come in a topic.
pub struct Positions {
    brokers: String,
    group: String,
    topic: String,
    consumer: RefCell<BaseConsumer>,
}

impl Positions {
    /// The next offset of every partition that has one; nothing while the broker does not answer.
    pub fn now(&self) -> BTreeMap<i32, i64> {
        let mut asked = TopicPartitionList::new();
        // Of those that there are not, nothing is known.
        asked.add_partition_range(&self.topic, 0, 7);
        let answer = self.consumer.borrow().committed_offsets(asked, Duration::from_secs(2));
        let Ok(found) = answer else {
            // librdkafka may go on asking whoever the group's coordinator was before the broker was restarted.
            self.consumer.replace(of_group(&self.brokers, &self.group));
            return BTreeMap::new();
        };
        let known =
            found.elements().into_iter().filter_map(|one| Some((one.partition(), one.offset().to_raw()?)));
        known.filter(|(_, offset)| *offset >= 0).collect()
    }
}
