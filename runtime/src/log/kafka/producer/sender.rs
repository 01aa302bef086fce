//! Records on their way to partitions: handed to librdkafka, waited for, found again.
//!
//! What both kinds of producer share. The path of one record has no allocation and no lookup of ours: topic, partition and number are
//! found once per run of records, and only the first record of each partition in a transaction asks where it came to stand. Nothing is
//! sent to a topic that is not known to exist: asking is done by [`Admin`], which never makes one.
#![allow(unsafe_code, reason = "librdkafka's producer interface, see `native`")]

use std::collections::HashMap;
use std::ffi::{CString, c_int, c_void};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use rdkafka_sys as sys;
use sys::rd_kafka_vtype_t as Field;
use sys::rd_kafka_vu_s__bindgen_ty_1 as Value;

use super::super::admin::Admin;
use super::super::fault::{Code, Failure};
use super::super::native::{Client, c_name, is_fine};
use super::zero;
use crate::error::{Error, Result};
use crate::log::{Headers, Outgoing, Receipt, Records, TopicPartition};

/// Not delivered yet, or delivered without a word where to.
const NOWHERE: i64 = -1;
/// How long a full queue is waited for before it is looked at again.
const FULL_QUEUE_MS: c_int = 10;

/// Sends records by one client.
pub(super) struct Sender {
    // Fields are dropped in this order; places that late reports may write to must go last, see `drop`.
    topics: HashMap<Arc<str>, Topic>,
    pub(super) client: Client,
    kept: Vec<Vec<Place>>,
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
    offset: Box<AtomicI64>,
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
        Sender { topics: HashMap::new(), client, kept: Vec::new(), admin, patience }
    }

    /// Moves the records to librdkafka, which sends them in the background. First, all topics are known to exist.
    pub(super) fn send(&mut self, outgoing: &mut Outgoing) -> Result<(), Unsent> {
        for (to, _) in outgoing.batches() {
            self.check(to)?;
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
        let mut message = Message::to(handle, to.partition);
        if !place.is_used {
            place.is_used = true;
            place.offset.store(NOWHERE, Ordering::Relaxed);
            message.report_to(&place.offset);
        }
        let mut has_zero = false;
        for index in 0..records.len() {
            let time = records.time(index).0;
            has_zero |= time == 0;
            message.fill(time, records.key(index), records.value(index));
            let headers = HeaderList::new(records.headers(index));
            message.put(&self.client, headers, self.patience).map_err(Unsent::Failure)?;
            message.report_to_nobody();
        }
        if has_zero && zero::is_lost() {
            let what =
                "this librdkafka keeps the time of a message elsewhere: a time of zero cannot be written";
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
                    // is too early and safe: whoever trims by it keeps more.
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

impl Drop for Sender {
    fn drop(&mut self) {
        self.kept.extend(self.topics.drain().map(|(_, topic)| topic.places));
    }
}

impl Default for Place {
    fn default() -> Place {
        Place { offset: Box::new(AtomicI64::new(NOWHERE)), is_used: false }
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

/// The arguments of one record, filled in anew for every record of a run.
struct Message([sys::rd_kafka_vu_t; 8]);

const TIME: usize = 3;
const KEY: usize = 4;
const VALUE: usize = 5;
const REPORT: usize = 6;
const HEADERS: usize = 7;

impl Message {
    fn to(topic: &Handle, partition: u32) -> Message {
        let field = |vtype, u| sys::rd_kafka_vu_t { vtype, u };
        // Partitions were counted by a cluster that counts them in 31 bits.
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        Message([
            field(Field::RD_KAFKA_VTYPE_RKT, Value { rkt: topic.0.as_ptr() }),
            field(Field::RD_KAFKA_VTYPE_PARTITION, Value { i32_: number }),
            field(Field::RD_KAFKA_VTYPE_MSGFLAGS, Value { i: sys::RD_KAFKA_MSG_F_COPY }),
            field(Field::RD_KAFKA_VTYPE_TIMESTAMP, Value { i64_: 0 }),
            field(Field::RD_KAFKA_VTYPE_KEY, nothing()),
            field(Field::RD_KAFKA_VTYPE_VALUE, nothing()),
            field(Field::RD_KAFKA_VTYPE_OPAQUE, Value { ptr: std::ptr::null_mut() }),
            field(Field::RD_KAFKA_VTYPE_HEADERS, Value { headers: std::ptr::null_mut() }),
        ])
    }

    fn report_to(&mut self, place: &AtomicI64) {
        self.0[REPORT].u = Value { ptr: std::ptr::from_ref(place).cast_mut().cast() };
    }

    fn report_to_nobody(&mut self) {
        self.0[REPORT].u = Value { ptr: std::ptr::null_mut() };
    }

    fn fill(&mut self, time: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.0[TIME].u = Value { i64_: zero::marked(time) };
        self.0[KEY].u = key.map_or_else(nothing, bytes);
        self.0[VALUE].u = value.map_or_else(nothing, bytes);
    }

    /// Queues the record. A full queue is waited for: its records are delivered, or given up when their time is over.
    fn put(
        &mut self,
        client: &Client,
        headers: Option<HeaderList>,
        patience: Duration,
    ) -> Result<(), Failure> {
        let count = if headers.is_some() { self.0.len() } else { HEADERS };
        self.0[HEADERS].u =
            Value { headers: headers.as_ref().map_or(std::ptr::null_mut(), HeaderList::as_ptr) };
        let mut end: Option<Instant> = None;
        loop {
            // SAFETY: key, value and headers live through the call, which copies the first two; the place of the report outlives the client.
            let error = unsafe { sys::rd_kafka_produceva(client.as_ptr(), self.0.as_ptr(), count) };
            if error.is_null() {
                // They belong to the message now.
                std::mem::forget(headers);
                return Ok(());
            }
            // SAFETY: the error is ours.
            let Err(failure) = (unsafe { client.outcome(error) }) else { return Ok(()) };
            let end = *end.get_or_insert_with(|| Instant::now() + 2 * patience);
            if failure.code != Code::QueueFull || Instant::now() >= end {
                return Err(failure);
            }
            client.poll(FULL_QUEUE_MS);
        }
    }
}

fn nothing() -> Value {
    Value { mem: sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr: std::ptr::null_mut(), size: 0 } }
}

fn bytes(part: &[u8]) -> Value {
    let ptr = part.as_ptr().cast_mut().cast::<c_void>();
    Value { mem: sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr, size: part.len() } }
}

/// Headers of one record; most have none.
struct HeaderList(NonNull<sys::rd_kafka_headers_t>);

impl HeaderList {
    fn new(headers: Headers<'_>) -> Option<HeaderList> {
        let mut list: Option<HeaderList> = None;
        for (name, value) in headers {
            if list.is_none() {
                // SAFETY: it is made for us; the number is a hint.
                list = NonNull::new(unsafe { sys::rd_kafka_headers_new(8) }).map(HeaderList);
            }
            let list = list.as_ref()?;
            // SAFETY: name and value live through the call, which copies them.
            unsafe {
                sys::rd_kafka_header_add(
                    list.as_ptr(),
                    name.as_ptr().cast(),
                    name.len().cast_signed(),
                    value.as_ptr().cast(),
                    value.len().cast_signed(),
                );
            }
        }
        list
    }

    fn as_ptr(&self) -> *mut sys::rd_kafka_headers_t {
        self.0.as_ptr()
    }
}

impl Drop for HeaderList {
    fn drop(&mut self) {
        // SAFETY: it was made for us, and no message took it over.
        unsafe { sys::rd_kafka_headers_destroy(self.as_ptr()) };
    }
}

/// For librdkafka, which counts timeouts in 31 bits.
pub(super) fn millis(time: Duration) -> c_int {
    c_int::try_from(time.as_millis()).unwrap_or(c_int::MAX)
}
