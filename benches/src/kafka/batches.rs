//! Reading by batch, which is how librdkafka costs the least: for the floor, and for a stopwatch that must not be late.
#![allow(unsafe_code, reason = "rdkafka offers no batches")]

use std::ffi::CString;
use std::ptr::{self, NonNull};
use std::slice;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka_sys as sys;

/// How many messages are taken at once.
const BATCH: usize = 10_000;
const WAIT_MS: i32 = 100;

/// Partitions of a topic, read from their beginning through one queue.
pub(crate) struct Batches {
    topic: NonNull<sys::rd_kafka_topic_t>,
    queue: NonNull<sys::rd_kafka_queue_t>,
    partitions: Vec<i32>,
    messages: Vec<*mut sys::rd_kafka_message_t>,
    // Goes last: the others are its own.
    _client: BaseConsumer,
}

// SAFETY: librdkafka's handles may be used from any thread; the messages are empty between two calls.
unsafe impl Send for Batches {}

impl Batches {
    pub(crate) fn start(
        config: &ClientConfig,
        name: &str,
        partitions: impl IntoIterator<Item = i32>,
    ) -> Result<Batches> {
        let client: BaseConsumer = config.create().context("could not make a Kafka client")?;
        let name = CString::new(name)?;
        let native = client.client().native_ptr();
        // SAFETY: the client lives as long as both; the name lives through the call.
        let (topic, queue) = unsafe {
            (sys::rd_kafka_topic_new(native, name.as_ptr(), ptr::null_mut()), sys::rd_kafka_queue_new(native))
        };
        let topic = NonNull::new(topic).context("librdkafka made no topic")?;
        let queue = NonNull::new(queue).context("librdkafka made no queue")?;
        let messages = vec![ptr::null_mut(); BATCH];
        let mut batches = Batches { topic, queue, partitions: Vec::new(), messages, _client: client };
        for number in partitions {
            // SAFETY: both live until they are dropped.
            let refused =
                unsafe { sys::rd_kafka_consume_start_queue(topic.as_ptr(), number, 0, queue.as_ptr()) };
            if refused != 0 {
                bail!("librdkafka does not start to read partition {number}");
            }
            batches.partitions.push(number);
        }
        Ok(batches)
    }

    /// Waits a while for a first record and hands out it and all that came with it: when that was, key, value. Tells how many.
    pub(crate) fn take(&mut self, mut each: impl FnMut(Instant, &[u8], &[u8])) -> Result<u64> {
        let mut count = self.consume(0, 1, WAIT_MS)?;
        if count == 0 {
            return Ok(0);
        }
        let arrived = Instant::now();
        // librdkafka waits until a batch is full, if it is let.
        count += self.consume(count, BATCH - count, 0)?;
        let (mut records, mut failed) = (0, None);
        for message in &mut self.messages[..count] {
            let message = std::mem::replace(message, ptr::null_mut());
            // SAFETY: librdkafka has handed over so many messages, each ours until it is destroyed, once, here; what they point to lives
            // until then.
            unsafe {
                match (*message).err {
                    sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => {
                        records += 1;
                        each(
                            arrived,
                            bytes((*message).key.cast(), (*message).key_len),
                            bytes((*message).payload.cast(), (*message).len),
                        );
                    }
                    error => failed = Some(error),
                }
                sys::rd_kafka_message_destroy(message);
            }
        }
        match failed {
            None => Ok(records),
            Some(error) => bail!("the topic cannot be read: {error:?}"),
        }
    }

    fn consume(&mut self, from: usize, room: usize, wait_ms: i32) -> Result<usize> {
        let into = &mut self.messages[from..from + room];
        // SAFETY: the buffer has room for as many pointers as are asked for.
        let count = unsafe {
            sys::rd_kafka_consume_batch_queue(self.queue.as_ptr(), wait_ms, into.as_mut_ptr(), into.len())
        };
        usize::try_from(count).context("librdkafka read nothing")
    }
}

/// Nothing, where nothing stands.
///
/// # Safety
/// `start` is null or points to `length` bytes that outlive what is made of them.
unsafe fn bytes<'m>(start: *const u8, length: usize) -> &'m [u8] {
    match start.is_null() {
        true => &[],
        // SAFETY: as the caller promises.
        false => unsafe { slice::from_raw_parts(start, length) },
    }
}

impl Drop for Batches {
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
