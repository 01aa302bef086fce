//! Records on their way to partitions: handed to librdkafka, waited for, found again.
//!
//! What both kinds of producer share. The path of one record has no allocation and no lookup of ours: topic, partition and number are
//! found once per run of records, and only the first record of each partition in a transaction asks where it came to stand. Nothing is
//! sent to a topic that is not known to exist: asking is done by [`Admin`], which never makes one.
#![allow(unsafe_code, reason = "librdkafka's producer interface, see `native`")]

use std::collections::HashMap;
use std::ffi::{CString, c_int, c_void};
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use rdkafka_sys as sys;

use super::super::admin::Admin;
use super::super::fault::{Code, Failure};
use super::super::native::{Client, c_name, is_fine};
use super::stamp::{self, Stamp};
use crate::error::{Error, Result};
use crate::log::{Outgoing, Receipt, Records, TopicPartition, check_sizes};

/// Not delivered yet, or delivered without a word where to.
const NOWHERE: i64 = -1;
/// How many records are handed over by one call: past it, a longer batch saves nothing.
const BATCH_RECORDS: usize = 256;
/// How long a full queue is waited for before it is looked at again.
const FULL_QUEUE_MS: c_int = 10;

/// Sends records by one client.
pub(super) struct Sender {
    // Handles of topics go before their client.
    topics: HashMap<Arc<str>, Topic>,
    pub(super) client: Arc<Client>,
    batch: Batch,
    admin: Arc<Admin>,
    /// No record waits in the queue for longer than this: librdkafka gives it up.
    patience: Duration,
}

/// A topic that exists.
#[derive(Default)]
struct Topic {
    /// Made when the first record is sent: of a topic that is only read, offsets are sent and nothing else.
    handle: Option<Handle>,
    /// One per partition.
    places: Vec<Place>,
}

/// Where the first record of a partition came to stand in this transaction.
struct Place {
    /// Shared with the record's report, which may come at any time.
    offset: Arc<AtomicI64>,
    is_used: bool,
}

/// What [`Sender::send`] can end with.
pub(super) enum Unsent {
    /// Found out here.
    Error(Error),
    /// Said by librdkafka; the transaction's own error says more.
    Failure(Failure),
}

impl From<Error> for Unsent {
    fn from(error: Error) -> Unsent {
        Unsent::Error(error)
    }
}

impl Sender {
    pub(super) fn new(client: Client, admin: Arc<Admin>, patience: Duration) -> Sender {
        Sender { topics: HashMap::new(), client: Arc::new(client), batch: Batch::default(), admin, patience }
    }

    /// Moves the records to librdkafka, which sends them in the background. First, all topics are known to exist.
    pub(super) fn send(&mut self, outgoing: &mut Outgoing) -> Result<(), Unsent> {
        for (to, _) in outgoing.batches() {
            self.check(to)?;
        }
        for (to, records) in outgoing.batches() {
            check_sizes(to, records)?;
        }
        for (to, records) in outgoing.batches_mut() {
            self.send_run(to, records)?;
            records.clear();
        }
        // Reports are taken on the way, so that they do not pile up until the commit.
        self.client.poll(0);
        Ok(())
    }

    /// Refuses a partition that does not exist.
    pub(super) fn check(&mut self, to: &TopicPartition) -> Result<()> {
        let known = self.topics.get(&to.topic).map_or(0, |topic| topic.places.len());
        if (to.partition as usize) < known {
            return Ok(());
        }
        let name = to.topic.to_string();
        let counts = self.admin.partition_counts(std::slice::from_ref(&name))?;
        let count = counts.first().map_or(0, |count| *count as usize);
        if to.partition as usize >= count {
            return Err(Error::UnknownTopic(to.to_string()));
        }
        self.topics.entry(to.topic.clone()).or_default().places.resize_with(count, Place::default);
        Ok(())
    }

    fn send_run(&mut self, to: &TopicPartition, records: &Records) -> Result<(), Unsent> {
        let missing = || Error::UnknownTopic(to.to_string());
        let topic = self.topics.get_mut(&to.topic).ok_or_else(missing)?;
        let place = topic.places.get_mut(to.partition as usize).ok_or_else(missing)?;
        let handle = match &topic.handle {
            Some(handle) => handle,
            None => topic.handle.insert(Handle::new(&self.client, &to.topic)?),
        };
        let mut first = None;
        if !place.is_used {
            place.is_used = true;
            place.offset.store(NOWHERE, Ordering::Relaxed);
            first = Some(place.offset.clone());
        }
        for start in (0..records.len()).step_by(BATCH_RECORDS) {
            let batch = start..records.len().min(start + BATCH_RECORDS);
            self.batch
                .put(&self.client, (handle, to.partition), (records, batch), first.take(), self.patience)
                .map_err(Unsent::Failure)?;
        }
        if stamp::is_lost() {
            let what = "this librdkafka keeps the time of a message elsewhere: records cannot be dated";
            return Err(Unsent::Error(Error::Defect(what.to_owned())));
        }
        Ok(())
    }

    /// Waits until every record has been delivered or given up. False if some are still on their way then.
    pub(super) fn drain(&self, patience: Duration) -> bool {
        // With callbacks served by this very thread, a flush also ends the lingering of what is queued, and returns as soon as the last
        // report is in: no slices of 100 ms.
        // SAFETY: the client lives; the reports write to places that this value keeps.
        is_fine(unsafe { sys::rd_kafka_flush(self.client.as_ptr(), millis(patience)) })
    }

    /// Gives up what is still queued, and waits a while for what is on its way.
    pub(super) fn purge(&self, patience: Duration) -> bool {
        // SAFETY: the client lives.
        unsafe { sys::rd_kafka_purge(self.client.as_ptr(), sys::RD_KAFKA_PURGE_F_QUEUE) };
        self.drain(patience)
    }

    /// Where the records came to stand that were sent since this was last asked; all of them have been delivered.
    pub(super) fn receipt(&mut self) -> Result<Receipt> {
        let mut receipt = Receipt::default();
        for (name, topic) in &mut self.topics {
            for (number, place) in topic.places.iter_mut().enumerate().filter(|(_, place)| place.is_used) {
                place.is_used = false;
                let to = TopicPartition { topic: name.clone(), partition: number as u32 };
                let offset = match place.offset.load(Ordering::Relaxed) {
                    // A request was repeated and its first answer lost: the broker has the records and does not say where. The low end
                    // is too early and safe: whoever trims by it keeps more, and a copy finds that it does not continue it.
                    offset if offset < 0 => self.admin.watermarks(&to)?.low,
                    offset => crate::log::Offset(offset),
                };
                receipt.first_offsets.insert(to, offset);
            }
        }
        Ok(receipt)
    }

    /// Forgets what was sent; nothing is on its way any more. A topic that was removed must not be remembered as existing.
    pub(super) fn forget(&mut self) {
        self.client.take_undelivered();
        self.topics.clear();
    }
}

impl Default for Place {
    fn default() -> Place {
        Place { offset: Arc::new(AtomicI64::new(NOWHERE)), is_used: false }
    }
}

/// A topic's handle in a client, which lives longer.
struct Handle(NonNull<sys::rd_kafka_topic_t>);

// SAFETY: a handle may be used from any thread.
unsafe impl Send for Handle {}

impl Handle {
    fn new(client: &Client, name: &str) -> Result<Handle> {
        let name: CString = c_name(name)?;
        // SAFETY: the client lives and copies the name; null takes the client's own settings for topics.
        let handle = unsafe { sys::rd_kafka_topic_new(client.as_ptr(), name.as_ptr(), std::ptr::null_mut()) };
        NonNull::new(handle).map(Handle).ok_or_else(|| Error::Defect("no topic handle was made".to_owned()))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: it was made for us and is destroyed once; messages on their way hold it by themselves.
        unsafe { sys::rd_kafka_topic_destroy(self.0.as_ptr()) };
    }
}

/// Records on their way into librdkafka, a batch at a time: a call for each costs half as much again. Kept, so that nothing is allocated.
#[derive(Default)]
struct Batch {
    messages: Vec<sys::rd_kafka_message_t>,
    /// What a message cannot be given; the messages point to them.
    stamps: Vec<Stamp>,
}

// SAFETY: between two calls it holds nothing.
unsafe impl Send for Batch {}

impl Batch {
    /// Queues some records; `place` gets the offset of the first of them. A full queue is waited for: its records are delivered, or given
    /// up when their time is over.
    fn put(
        &mut self,
        client: &Client,
        (topic, partition): (&Handle, u32),
        (records, range): (&Records, Range<usize>),
        mut place: Option<Arc<AtomicI64>>,
        patience: Duration,
    ) -> Result<(), Failure> {
        self.messages.clear();
        self.stamps.clear();
        for index in range {
            let place = place.take();
            self.stamps.push(Stamp::new(records.time(index), records.headers(index), place));
            self.messages.push(message(records.key(index), records.value(index)));
        }
        for (message, stamp) in self.messages.iter_mut().zip(&mut self.stamps) {
            message._private = std::ptr::from_mut(stamp).cast();
        }
        let partition = i32::try_from(partition).unwrap_or(i32::MAX);
        let (mut rest, mut end) = (&mut self.messages[..], None);
        while !rest.is_empty() {
            let count = c_int::try_from(rest.len()).unwrap_or(c_int::MAX);
            // SAFETY: keys and values live through the call, which copies them, and so do the stamps.
            let taken = unsafe {
                let flags = sys::RD_KAFKA_MSG_F_COPY;
                sys::rd_kafka_produce_batch(topic.0.as_ptr(), partition, flags, rest.as_mut_ptr(), count)
            };
            let taken = usize::try_from(taken).unwrap_or_default();
            if taken == rest.len() {
                break;
            }
            // Once the queue is full, none of those behind is taken.
            let refused = rest.iter().find(|message| !is_fine(message.err)).map(|message| message.err);
            let refused = refused.unwrap_or(sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__FAIL);
            let end = *end.get_or_insert_with(|| Instant::now() + 2 * patience);
            if Code::from(refused) != Code::QueueFull || Instant::now() >= end {
                return Err(client.failure(refused, None));
            }
            rest = &mut rest[taken..];
            client.poll(FULL_QUEUE_MS);
        }
        Ok(())
    }
}

fn message(key: Option<&[u8]>, value: Option<&[u8]>) -> sys::rd_kafka_message_t {
    let part = |part: Option<&[u8]>| {
        part.map_or((std::ptr::null_mut(), 0), |part| (part.as_ptr().cast_mut().cast::<c_void>(), part.len()))
    };
    let ((key, key_len), (payload, len)) = (part(key), part(value));
    sys::rd_kafka_message_t {
        err: sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
        rkt: std::ptr::null_mut(),
        partition: 0,
        payload,
        len,
        key,
        key_len,
        offset: 0,
        _private: std::ptr::null_mut(),
    }
}

/// For librdkafka, which counts timeouts in 31 bits.
pub(super) fn millis(time: Duration) -> c_int {
    c_int::try_from(time.as_millis()).unwrap_or(c_int::MAX)
}
