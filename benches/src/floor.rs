//! The floor: librdkafka alone, reading by batch, nothing decoded, nothing written. No stream processor on it can cost less.
//!
//! It ends up like every peer: what it has read is committed for its group, and it waits to be told to stop.

use anyhow::Result;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::kafka::batches::Batches;
use crate::kafka::client;

/// Reads a topic to its end, commits that, and waits.
pub(crate) fn run(brokers: &str, topic: &str, group: &str) -> Result<()> {
    // A client of a group may not read this way: there are two.
    let committing = client::consumer(brokers, group, false)?;
    let ends = client::ends(&committing, topic)?;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("client.id", "floor").set("enable.auto.commit", "false");
    // A full queue is looked at again soon: by default the reader would stand still for a second.
    config.set("enable.auto.offset.store", "false").set("fetch.queue.backoff.ms", "5");
    let mut reading = Batches::start(&config, topic, ends.keys().copied())?;
    let mut left: u64 = ends.values().sum::<i64>().try_into()?;
    while left > 0 {
        left -= reading.take(|_, _, _| ())?;
    }
    drop(reading);
    let mut positions = TopicPartitionList::new();
    for (number, end) in &ends {
        positions.add_partition_offset(topic, *number, Offset::Offset(*end))?;
    }
    committing.commit(&positions, CommitMode::Sync)?;
    loop {
        std::thread::park();
    }
}
