//! The floor: librdkafka alone, reading by batch, nothing decoded, nothing written. No stream processor on it can cost less.
//!
//! It ends up like every peer: what it has read is committed for its group, and it waits to be told to stop.
#![allow(unsafe_code, reason = "rdkafka offers no batches")]

use std::ffi::CString;
use std::ptr::{self, NonNull};

use anyhow::{Context, Result, bail};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use rdkafka_sys as sys;

use crate::kafka::client;

/// How many messages are taken at once.
const BATCH: usize = 10_000;
const WAIT_MS: i32 = 100;

/// Reads a topic to its end, commits that, and waits.
pub(crate) fn run(brokers: &str, topic: &str, group: &str) -> Result<()> {
    // A client of a group may not read this way: there are two.
    let committing = client::consumer(brokers, group, false)?;
    let ends = client::ends(&committing, topic)?;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("client.id", "floor").set("enable.auto.commit", "false");
    // A full queue is looked at again soon: by default the reader would stand still for a second.
    config.set("enable.auto.offset.store", "false").set("fetch.queue.backoff.ms", "5");
    let reading: BaseConsumer = config.create().context("could not make a Kafka client")?;
    let name = CString::new(topic)?;
    let reader = Reader::start(&reading, &name, ends.keys().copied())?;
    let mut left: i64 = ends.values().sum();
    while left > 0 {
        left -= reader.take()?;
    }
    drop(reader);
    let mut positions = TopicPartitionList::new();
    for (number, end) in &ends {
        positions.add_partition_offset(topic, *number, Offset::Offset(*end))?;
    }
    committing.commit(&positions, CommitMode::Sync)?;
    loop {
        std::thread::park();
    }
}

/// All partitions of a topic in one queue.
struct Reader {
    topic: NonNull<sys::rd_kafka_topic_t>,
    queue: NonNull<sys::rd_kafka_queue_t>,
    partitions: Vec<i32>,
}

impl Reader {
    fn start(client: &BaseConsumer, name: &CString, partitions: impl Iterator<Item = i32>) -> Result<Reader> {
        let native = client.client().native_ptr();
        // SAFETY: the client outlives the reader, which `run` drops first; the name lives through the call.
        let (topic, queue) = unsafe {
            (sys::rd_kafka_topic_new(native, name.as_ptr(), ptr::null_mut()), sys::rd_kafka_queue_new(native))
        };
        let topic = NonNull::new(topic).context("librdkafka made no topic")?;
        let queue = NonNull::new(queue).context("librdkafka made no queue")?;
        let mut reader = Reader { topic, queue, partitions: Vec::new() };
        for number in partitions {
            // SAFETY: both live until the reader is dropped.
            let refused =
                unsafe { sys::rd_kafka_consume_start_queue(topic.as_ptr(), number, 0, queue.as_ptr()) };
            if refused != 0 {
                bail!("librdkafka does not start to read partition {number}");
            }
            reader.partitions.push(number);
        }
        Ok(reader)
    }

    /// How many records came.
    fn take(&self) -> Result<i64> {
        let mut batch = vec![ptr::null_mut(); BATCH];
        // SAFETY: the buffer has room for as many pointers as are asked for.
        let count = unsafe {
            sys::rd_kafka_consume_batch_queue(self.queue.as_ptr(), WAIT_MS, batch.as_mut_ptr(), BATCH)
        };
        let mut records = 0;
        let mut failed = None;
        for message in &batch[..usize::try_from(count).context("librdkafka read nothing")?] {
            // SAFETY: librdkafka has handed over so many messages, each ours until it is destroyed, once, here.
            unsafe {
                match (**message).err {
                    sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => records += 1,
                    error => failed = Some(error),
                }
                sys::rd_kafka_message_destroy(*message);
            }
        }
        match failed {
            None => Ok(records),
            Some(error) => bail!("the input cannot be read: {error:?}"),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // SAFETY: stopped before the queue goes, and each is destroyed once.
        unsafe {
            for number in &self.partitions {
                sys::rd_kafka_consume_stop(self.topic.as_ptr(), *number);
            }
            sys::rd_kafka_queue_destroy(self.queue.as_ptr());
            sys::rd_kafka_topic_destroy(self.topic.as_ptr());
        }
    }
}
