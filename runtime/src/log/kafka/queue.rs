//! One partition's own queue in librdkafka, read in batches.
//!
//! rdkafka's consumers hand over one message at a time, for twice to three times the CPU of a batch. This is librdkafka's simple
//! consumer instead: each partition is started at an offset on a queue of its own and stopped again, without any group. The
//! group lives in another client (see `member`), whose queue must be polled singly: read in batches, it would swallow
//! rebalances.
//!
//! Positions are counted here from the offsets of records and of ends. `rd_kafka_position` and what pausing remembers are off by one
//! once a batch has contained the end of a partition, so that neither is used.
#![allow(unsafe_code, reason = "rdkafka offers no batches and no queues of partitions")]

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use rdkafka::client::{Client, ClientContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka_sys as sys;

use crate::error::{Error, Result};
use crate::log::bell::Bell;
use crate::log::{Offset, TopicPartition};
use crate::quote::printable;
use crate::time::EventTime;

/// What a queue holds.
#[derive(Debug)]
pub(super) enum Fetched<'m> {
    /// A committed record.
    Record(FetchedRecord<'m>),
    /// Nothing more stands at this offset for now: the last stable offset was reached.
    End(Offset),
    /// The partition cannot be read.
    Fault(RDKafkaErrorCode, String),
}

impl Fetched<'_> {
    /// How much of a chunk it fills.
    fn size_bytes(&self) -> usize {
        let Fetched::Record(record) = self else { return 0 };
        let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len) + headers
    }
}

/// A record in librdkafka's memory.
#[derive(Debug)]
pub(super) struct FetchedRecord<'m> {
    pub(super) offset: Offset,
    pub(super) time: EventTime,
    pub(super) key: Option<&'m [u8]>,
    pub(super) value: Option<&'m [u8]>,
    pub(super) headers: Vec<(&'m str, &'m [u8])>,
}

/// A partition being fetched. Must be dropped before its client.
pub(super) struct PartitionQueue {
    client: NonNull<sys::rd_kafka_t>,
    name: CString,
    topic: NonNull<sys::rd_kafka_topic_t>,
    partition: i32,
    queue: NonNull<sys::rd_kafka_queue_t>,
    /// The largest of what was taken last: as large may the next be.
    largest_bytes: usize,
    /// librdkafka holds a pointer to it until the queue is destroyed.
    alarm: Box<Alarm>,
}

// SAFETY: librdkafka's objects may be used from any thread, and nothing here is bound to one.
unsafe impl Send for PartitionQueue {}

/// What is called when an empty queue is no longer empty.
struct Alarm {
    bell: Arc<Bell>,
    filled: AtomicBool,
}

impl PartitionQueue {
    /// Starts fetching `partition` at `offset` in `client`, which must have no group; `bell` rings when there is something.
    pub(super) fn start<C: ClientContext>(
        client: &Client<C>,
        partition: &TopicPartition,
        offset: Offset,
        bell: &Arc<Bell>,
    ) -> Result<PartitionQueue> {
        let name = CString::new(&*partition.topic);
        let name = name.map_err(|_| Error::UnknownTopic(printable(&partition.topic).into_owned()))?;
        let native = client.native_ptr();
        let client = NonNull::new(native).ok_or_else(|| Error::Defect("a client without a handle".into()))?;
        // SAFETY: the name lives through the call; without a configuration the client's own is used.
        let topic = NonNull::new(unsafe { sys::rd_kafka_topic_new(native, name.as_ptr(), ptr::null_mut()) });
        let topic = topic.ok_or_else(|| Error::UnknownTopic(partition.topic.to_string()))?;
        // SAFETY: the client lives.
        let queue = NonNull::new(unsafe { sys::rd_kafka_queue_new(native) });
        let queue = queue.ok_or_else(|| Error::Defect("librdkafka made no queue".into()))?;
        let alarm = Box::new(Alarm { bell: bell.clone(), filled: AtomicBool::new(false) });
        let number = i32::try_from(partition.partition).unwrap_or(i32::MAX);
        let largest_bytes = usize::MAX;
        let started = PartitionQueue { client, name, topic, partition: number, queue, largest_bytes, alarm };
        let alarm: *const Alarm = &raw const *started.alarm;
        // SAFETY: the alarm's box outlives the queue (see `drop`), and only shared references to it are made.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(queue.as_ptr(), Some(sound), alarm.cast_mut().cast());
        }
        // SAFETY: both handles live; the offset is absolute, so that no broker is asked for it.
        let refused =
            unsafe { sys::rd_kafka_consume_start_queue(topic.as_ptr(), number, offset.0, queue.as_ptr()) };
        if refused != 0 {
            return Err(Error::Defect(format!("librdkafka does not start `{partition}` at `{offset}`")));
        }
        Ok(started)
    }

    /// Hands out what there is, at most as much as fits into `batch`, and waits for nothing. A first message always fits. Where
    /// messages are much larger than those of the last time, all that librdkafka has unpacked may be handed out although it does not fit.
    pub(super) fn take(&mut self, batch: &mut MessageBatch, mut each: impl FnMut(Fetched<'_>)) {
        // Cleared before the look, so that what comes in after it is not missed.
        if !self.alarm.filled.swap(false, Ordering::AcqRel) {
            return;
        }
        let (mut messages_left, mut bytes_left, mut largest_bytes) = (batch.room.len(), batch.bytes, 0);
        while messages_left > 0 && bytes_left > 0 {
            // What is asked for is handed over, whatever its size: so much as is likely to fit.
            let fitting = bytes_left / self.largest_bytes.max(1);
            let asked = fitting.clamp(1, messages_left);
            let room = &mut batch.room[..asked];
            // SAFETY: there is room for as many pointers as are asked for.
            let count = unsafe {
                sys::rd_kafka_consume_batch_queue(self.queue.as_ptr(), 0, room.as_mut_ptr(), asked)
            };
            let count = usize::try_from(count).unwrap_or_default();
            for message in &mut room[..count] {
                let message = std::mem::replace(message, ptr::null_mut());
                // SAFETY: librdkafka has handed over `count` messages, each ours until it is destroyed, once, here.
                unsafe {
                    let fetched = read(message);
                    let size_bytes = fetched.size_bytes();
                    bytes_left = bytes_left.saturating_sub(size_bytes);
                    largest_bytes = largest_bytes.max(size_bytes);
                    each(fetched);
                    sys::rd_kafka_message_destroy(message);
                }
            }
            if largest_bytes > 0 {
                self.largest_bytes = largest_bytes;
            }
            if count < asked {
                return;
            }
            messages_left -= count;
        }
        self.alarm.filled.store(true, Ordering::Release);
    }

    /// True if `take` has something to look at.
    pub(super) fn is_filled(&self) -> bool {
        self.alarm.filled.load(Ordering::Acquire)
    }

    /// The high watermark as the last fetch has told it; asks nobody.
    pub(super) fn high_watermark(&self) -> Option<Offset> {
        let (mut low, mut high) = (0, 0);
        // SAFETY: client and name live; the two numbers are written.
        let answer = unsafe {
            sys::rd_kafka_get_watermark_offsets(
                self.client.as_ptr(),
                self.name.as_ptr(),
                self.partition,
                &raw mut low,
                &raw mut high,
            )
        };
        let known = answer == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0;
        known.then_some(Offset(high))
    }
}

impl Drop for PartitionQueue {
    fn drop(&mut self) {
        // SAFETY: stopped first, so that nothing is put into the queue any more; after it is destroyed nobody calls the alarm, whose box
        // goes last of all.
        unsafe {
            sys::rd_kafka_consume_stop(self.topic.as_ptr(), self.partition);
            sys::rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), None, ptr::null_mut());
            sys::rd_kafka_queue_destroy(self.queue.as_ptr());
            sys::rd_kafka_topic_destroy(self.topic.as_ptr());
        }
    }
}

/// How much is taken at a time, and the room for it, used again and again.
pub(super) struct MessageBatch {
    room: Vec<*mut sys::rd_kafka_message_t>,
    bytes: usize,
}

// SAFETY: between two calls it holds no message.
unsafe impl Send for MessageBatch {}

impl MessageBatch {
    /// At most `messages`, and no more once they fill `bytes`.
    pub(super) fn new(messages: usize, bytes: usize) -> MessageBatch {
        MessageBatch { room: vec![ptr::null_mut(); messages], bytes }
    }
}

/// Called by a thread of librdkafka: must not wait.
unsafe extern "C" fn sound(_: *mut sys::rd_kafka_t, alarm: *mut c_void) {
    // SAFETY: `start` gave it this pointer, and `drop` takes it back before the box goes.
    let alarm = unsafe { &*alarm.cast_const().cast::<Alarm>() };
    alarm.filled.store(true, Ordering::Release);
    alarm.bell.ring(false);
}

/// # Safety
/// The message must live as long as what is returned.
unsafe fn read<'m>(message: *mut sys::rd_kafka_message_t) -> Fetched<'m> {
    // SAFETY: by the caller's promise.
    let parts = unsafe { &*message };
    match RDKafkaErrorCode::from(parts.err) {
        RDKafkaErrorCode::NoError => {}
        RDKafkaErrorCode::PartitionEOF => return Fetched::End(Offset(parts.offset)),
        code => {
            // SAFETY: of a message that is an error, this is a text.
            let text = unsafe { CStr::from_ptr(sys::rd_kafka_message_errstr(message)) };
            return Fetched::Fault(code, text.to_string_lossy().into_owned());
        }
    }
    let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    // SAFETY: the message lives; key and payload are null or as long as they say; headers live as long as the message.
    unsafe {
        Fetched::Record(FetchedRecord {
            offset: Offset(parts.offset),
            time: EventTime(sys::rd_kafka_message_timestamp(message, &raw mut kind)),
            key: bytes(parts.key, parts.key_len),
            value: bytes(parts.payload, parts.len),
            headers: if is_without_headers(message) { Vec::new() } else { headers(message) },
        })
    }
}

/// True if the record certainly has no headers. librdkafka allocates twice to find that out, for a tenth of what reading a record
/// costs at all.
///
/// # Safety
/// The message lives and is a record.
unsafe fn is_without_headers(message: *const sys::rd_kafka_message_t) -> bool {
    // SAFETY: the message lives. Only the newer format of batches, which Kafka writes since 0.11, has a leader's epoch; there the number of
    // headers follows the value, and this version of librdkafka hands values out where they stand in the broker's answer: the byte
    // behind one is that number's.
    unsafe {
        let parts = &*message;
        *HANDS_OUT_IN_PLACE
            && parts.len > 0
            && sys::rd_kafka_message_leader_epoch(message) >= 0
            && parts.payload.cast::<u8>().add(parts.len).read() == 0
    }
}

/// Of another version nobody has looked.
static HANDS_OUT_IN_PLACE: LazyLock<bool> = LazyLock::new(|| {
    // SAFETY: a plain function.
    unsafe { sys::rd_kafka_version() >> 8 == 0x02_0c_01 }
});

/// # Safety
/// `start` is null, or `len` bytes that outlive what is returned.
unsafe fn bytes<'m>(start: *const c_void, len: usize) -> Option<&'m [u8]> {
    // SAFETY: by the caller's promise.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast(), len) })
}

/// # Safety
/// The message must outlive what is returned.
unsafe fn headers<'m>(message: *mut sys::rd_kafka_message_t) -> Vec<(&'m str, &'m [u8])> {
    let mut found = Vec::new();
    let mut list = ptr::null_mut();
    // SAFETY: the message lives; without headers the answer is an error, and nothing is allocated.
    let answer = unsafe { sys::rd_kafka_message_headers(message, &raw mut list) };
    if answer != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return found;
    }
    for index in 0.. {
        let (mut name, mut value, mut len) = (ptr::null::<c_char>(), ptr::null::<c_void>(), 0);
        // SAFETY: the list belongs to the message; past its end the answer is an error.
        let answer =
            unsafe { sys::rd_kafka_header_get_all(list, index, &raw mut name, &raw mut value, &raw mut len) };
        if answer != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            break;
        }
        // SAFETY: a name ends with a zero; a value is null or `len` bytes.
        let (name, value) = unsafe { (CStr::from_ptr(name), bytes(value, len)) };
        // A name that is no text was written by somebody else, and nothing of ours asks for it.
        if let Ok(name) = name.to_str() {
            found.push((name, value.unwrap_or_default()));
        }
    }
    found
}
