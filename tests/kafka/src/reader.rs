//! Reading a topic with a plain client: read_committed, to the very end, and nothing open behind it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use apache_avro::reader::datum::GenericDatumReader;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;
use tidegate_runtime::log::{Event, Log, TopicPartition};

use crate::clock::pass;
use crate::registry::Registry;

const ANSWER: Duration = Duration::from_secs(20);

/// What no transaction may outlast: ours end within 5 s, and the broker looks every second.
const OPEN_AT_MOST: Duration = Duration::from_secs(30);

/// One record as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub partition: u32,
    pub offset: i64,
    pub time_ms: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Record {
    pub fn header(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    pub fn key_text(&self) -> Option<String> {
        self.key.as_deref().map(|key| String::from_utf8_lossy(key).into_owned())
    }

    /// The value as JSON: every byte of it must belong to the datum.
    pub fn decode(&self, registry: &Registry) -> Result<Value, String> {
        let value = self.value.as_deref().ok_or("no value")?;
        let (header, mut datum) = value.split_at_checked(5).ok_or("shorter than a header")?;
        if header[0] != 0 {
            return Err(format!("begins with {}", header[0]));
        }
        let id = u32::from_be_bytes(header[1..].try_into().unwrap());
        let schema = registry.schema(id).ok_or("unknown schema id")?;
        let reader = GenericDatumReader::builder(&schema).build();
        let found =
            reader.and_then(|reader| reader.read_value(&mut datum)).map_err(|error| error.to_string())?;
        if !datum.is_empty() {
            return Err(format!("{} bytes too many", datum.len()));
        }
        Value::try_from(found).map_err(|error| error.to_string())
    }
}

/// Everything committed in a topic, partition by partition in the order of offsets. Waits for open transactions to end first.
pub fn read(brokers: &str, topic: &str) -> Vec<Record> {
    try_read(brokers, topic).unwrap_or_else(|error| panic!("`{topic}` cannot be read: {error}"))
}

/// The same, while the broker may be away.
pub fn try_read(brokers: &str, topic: &str) -> Result<Vec<Record>, String> {
    let text = |error: KafkaError| error.to_string();
    let (all, committed) = (consumer(brokers, "read_uncommitted"), consumer(brokers, "read_committed"));
    let mut wanted = TopicPartitionList::new();
    let mut waiting = BTreeSet::new();
    for partition in 0..partitions(&all, topic).map_err(text)? {
        settled(&all, &committed, topic, partition)?;
        wanted.add_partition_offset(topic, partition, Offset::Beginning).map_err(text)?;
        waiting.insert(partition);
    }
    committed.assign(&wanted).map_err(text)?;
    let mut records = Vec::new();
    while !waiting.is_empty() {
        match committed.poll(ANSWER) {
            Some(Ok(message)) => records.push(record(&message)),
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(waiting.remove(&partition)),
            Some(Err(error)) => return Err(text(error)),
            None => return Err(format!("the ends of {waiting:?} do not come")),
        }
    }
    records.sort_by_key(|record| (record.partition, record.offset));
    Ok(records)
}

/// The first and the next offset of a partition, once no transaction is open in it. (The markers of one that was committed may come
/// later than the commit's answer.)
pub fn watermarks(brokers: &str, topic: &str, partition: i32) -> (i64, i64) {
    let (all, committed) = (consumer(brokers, "read_uncommitted"), consumer(brokers, "read_committed"));
    settled(&all, &committed, topic, partition).unwrap()
}

fn settled(
    all: &BaseConsumer,
    committed: &BaseConsumer,
    topic: &str,
    partition: i32,
) -> Result<(i64, i64), String> {
    let ends = |consumer: &BaseConsumer| {
        consumer.fetch_watermarks(topic, partition, ANSWER).map_err(|error| error.to_string())
    };
    let started = Instant::now();
    loop {
        let (all, committed) = (ends(all)?, ends(committed)?);
        if all == committed {
            return Ok(all);
        }
        if started.elapsed() > OPEN_AT_MOST {
            return Err(format!("a transaction stays open in {topic}[{partition}]"));
        }
        pass(Duration::from_millis(20));
    }
}

/// How many committed records a topic has.
pub fn count(brokers: &str, topic: &str) -> usize {
    read(brokers, topic).len()
}

/// The offsets the next records of a topic's partitions will take; the broker may be away.
pub fn try_ends(brokers: &str, topic: &str) -> Result<Vec<i64>, KafkaError> {
    let all = consumer(brokers, "read_uncommitted");
    let end = |number| Ok(all.fetch_watermarks(topic, number, ANSWER)?.1);
    (0..partitions(&all, topic)?).map(end).collect()
}

/// Everything in a topic of the embedded log.
pub fn embedded(log: &Arc<dyn Log>, topic: &str) -> Vec<Record> {
    let mut records = Vec::new();
    for number in 0..log.topic(topic).unwrap().unwrap().partitions {
        let partition = TopicPartition::new(topic, number);
        let ends = log.watermarks(&partition).unwrap();
        let mut reader = log.reader(1 << 20).unwrap();
        reader.seek(partition, ends.low);
        let mut position = ends.low;
        while position < ends.high {
            let Event::Chunk(chunk) = reader.blocking_next().unwrap() else { continue };
            position = chunk.next;
            records.extend(chunk.records().map(|record| Record {
                partition: number,
                offset: record.offset().0,
                time_ms: record.time().0,
                key: record.key().map(<[u8]>::to_vec),
                value: record.value().map(<[u8]>::to_vec),
                headers: record.headers().map(|(name, value)| (name.to_owned(), value.to_vec())).collect(),
            }));
        }
    }
    records
}

/// None for a topic that does not exist.
fn partitions(consumer: &BaseConsumer, topic: &str) -> Result<i32, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER)?;
    Ok(i32::try_from(metadata.topics()[0].partitions().len()).unwrap())
}

fn consumer(brokers: &str, isolation: &str) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "the-checker");
    config.set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    config.set("isolation.level", isolation).set("check.crcs", "true");
    config.create().unwrap()
}

fn record(message: &impl Message) -> Record {
    let header = |header: rdkafka::message::Header<'_, &[u8]>| {
        (header.key.to_owned(), header.value.unwrap_or_default().to_vec())
    };
    Record {
        partition: u32::try_from(message.partition()).unwrap(),
        offset: message.offset(),
        time_ms: message.timestamp().to_millis().unwrap(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: message.headers().map(|headers| headers.iter().map(header).collect()).unwrap_or_default(),
    }
}
