//! A plain Kafka client for watching and checking: it shares nothing with the one that is measured.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// How long a broker may take to answer.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a transaction may stay open after the process that wrote it has been stopped.
const OPEN_AT_MOST: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// A consumer in the name of a group, without joining it.
pub(crate) fn consumer(brokers: &str, group: &str, committed_only: bool) -> Result<BaseConsumer> {
    config(brokers, group, committed_only).create().context("could not make a Kafka client")
}

/// What every reader starts from.
pub(crate) fn config(brokers: &str, group: &str, committed_only: bool) -> ClientConfig {
    let isolation = if committed_only { "read_committed" } else { "read_uncommitted" };
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", group).set("client.id", "bench");
    config.set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    config.set("isolation.level", isolation).set("fetch.queue.backoff.ms", "5");
    config
}

/// Where a topic's partitions end: the offsets that the next records take.
pub(crate) fn ends(consumer: &BaseConsumer, topic: &str) -> Result<BTreeMap<i32, i64>> {
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER)?;
    let found = metadata.topics().first().map_or(&[][..], |topic| topic.partitions());
    let end = |number: i32| Ok((number, consumer.fetch_watermarks(topic, number, ANSWER)?.1));
    found.iter().map(|partition| end(partition.id())).collect()
}

/// How far a group has come in a topic: committed offsets, each at most as far as `ends`; 0 where nothing is committed.
pub(crate) fn progress(consumer: &BaseConsumer, topic: &str, ends: &BTreeMap<i32, i64>) -> Result<i64> {
    let mut asked = TopicPartitionList::new();
    for number in ends.keys() {
        asked.add_partition(topic, *number);
    }
    let committed = consumer.committed_offsets(asked, ANSWER)?;
    let done = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        let offset = element.offset().to_raw().unwrap_or(0);
        offset.clamp(0, ends.get(&element.partition()).copied().unwrap_or(0))
    };
    Ok(committed.elements().iter().map(done).sum())
}

/// Waits until nothing is open in a topic any more; tells its ends.
pub(crate) fn settled(brokers: &str, topic: &str) -> Result<BTreeMap<i32, i64>> {
    let (all, committed) = (consumer(brokers, "bench", false)?, consumer(brokers, "bench", true)?);
    let started = Instant::now();
    loop {
        let (high, stable) = (ends(&all, topic)?, ends(&committed, topic)?);
        if high == stable {
            return Ok(high);
        }
        if started.elapsed() > OPEN_AT_MOST {
            bail!("a transaction stays open in `{topic}`: {high:?} written, {stable:?} readable");
        }
        std::thread::sleep(LOOK);
    }
}

/// Hands out every committed record of a topic, once nothing is open in it.
pub(crate) fn read(
    brokers: &str,
    topic: &str,
    mut take: impl FnMut(&BorrowedMessage<'_>) -> Result<()>,
) -> Result<()> {
    let ends = settled(brokers, topic)?;
    let consumer = consumer(brokers, "bench", true)?;
    let mut wanted = TopicPartitionList::new();
    for number in ends.keys() {
        wanted.add_partition_offset(topic, *number, Offset::Beginning)?;
    }
    consumer.assign(&wanted)?;
    let mut left: usize = ends.len();
    while left > 0 {
        match consumer.poll(ANSWER) {
            Some(Ok(message)) => take(&message)?,
            Some(Err(KafkaError::PartitionEOF(_))) => left -= 1,
            Some(Err(error)) => return Err(error).with_context(|| format!("could not read `{topic}`")),
            None => bail!("the end of `{topic}` does not come"),
        }
    }
    Ok(())
}
