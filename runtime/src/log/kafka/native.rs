//! A librdkafka client by its C interface: made, heard, ended.
//!
//! rdkafka's own wrappers stand in the way of two things: its producer takes delivery reports as events, which makes every flush wait in
//! slices of 100 ms and an abort fail that nobody polls for; and its admin client knows neither groups of the newer protocol nor
//! offsets by time. What is here is the little that [`admin`](super::admin) and [`producer`](super::producer) share.
//!
//! Promise: nothing librdkafka says reaches the terminal; every callback outlives its client.
#![allow(unsafe_code, reason = "the C interface of librdkafka, see above")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientConfig;
use rdkafka_sys as sys;

use super::connection::refused;
use super::fault::{Code, Failure};
use super::heard::Heard;
use crate::error::{Error, Result};
use crate::log::{Offset, TopicPartition};
use crate::quote::quoted;

/// How long an error text of librdkafka may be.
const ERROR_TEXT_BYTES: usize = 512;

/// A client; ends with the value.
pub(super) struct Client {
    native: NonNull<sys::rd_kafka_t>,
    /// What the callbacks write to: kept here until the client and its threads are gone.
    ears: Arc<Ears>,
    /// Nobody should ask it anything more.
    is_retired: AtomicBool,
}

/// What the callbacks of a client write to.
#[derive(Default)]
pub(super) struct Ears {
    pub(super) heard: Heard,
    /// The first record that was not delivered.
    undelivered: Mutex<Option<Failure>>,
}

// SAFETY: librdkafka's clients may be used from any thread, and the ears are shared safely.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

impl Client {
    /// A client that consumes, or asks: it never makes a topic by asking for one.
    pub(super) fn consumer(config: &ClientConfig) -> Result<Client> {
        Client::make(sys::rd_kafka_type_t::RD_KAFKA_CONSUMER, config, |_| {})
    }

    /// A client that produces; `prepare` adds callbacks of its own to the configuration.
    pub(super) fn producer(
        config: &ClientConfig,
        prepare: impl FnOnce(*mut sys::rd_kafka_conf_t),
    ) -> Result<Client> {
        Client::make(sys::rd_kafka_type_t::RD_KAFKA_PRODUCER, config, |native| {
            // SAFETY: the configuration is ours, and the callback has the type it must have.
            unsafe { sys::rd_kafka_conf_set_dr_msg_cb(native, Some(delivered)) };
            prepare(native);
        })
    }

    fn make(
        kind: sys::rd_kafka_type_t,
        config: &ClientConfig,
        prepare: impl FnOnce(*mut sys::rd_kafka_conf_t),
    ) -> Result<Client> {
        let checked = config.create_native_config().map_err(refused)?;
        let ears = Arc::new(Ears::default());
        let mut text = [0; ERROR_TEXT_BYTES];
        // SAFETY: the copy of the configuration belongs to the client once that is made, and to us otherwise; the ears live as long as
        // the client, which is destroyed first.
        let made = unsafe {
            let native = sys::rd_kafka_conf_dup(checked.ptr());
            sys::rd_kafka_conf_set_opaque(native, Arc::as_ptr(&ears).cast_mut().cast());
            sys::rd_kafka_conf_set_log_cb(native, Some(said));
            sys::rd_kafka_conf_set_error_cb(native, Some(failed));
            prepare(native);
            let made = sys::rd_kafka_new(kind, native, text.as_mut_ptr(), text.len());
            if made.is_null() {
                sys::rd_kafka_conf_destroy(native);
            }
            made
        };
        let native = NonNull::new(made).ok_or_else(|| Error::Refused {
            what: format!("the connection's properties do not fit together: {}", text_of(text.as_ptr())),
            remedy: "correct them".to_owned(),
        })?;
        Ok(Client { native, ears, is_retired: AtomicBool::new(false) })
    }

    /// For the calls of the C interface.
    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_t {
        self.native.as_ptr()
    }

    /// Serves callbacks that wait, for at most `timeout_ms` until the first of them.
    pub(super) fn poll(&self, timeout_ms: c_int) {
        // SAFETY: the client lives.
        unsafe { sys::rd_kafka_poll(self.as_ptr(), timeout_ms) };
    }

    /// The first record that was not delivered since this was last asked.
    pub(super) fn take_undelivered(&self) -> Option<Failure> {
        self.ears.undelivered.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A call has been answered.
    pub(super) fn succeeded(&self) {
        self.ears.heard.forget();
    }

    /// True if connections have failed since a call was last answered.
    pub(super) fn is_in_trouble(&self) -> bool {
        self.poll(0);
        self.ears.heard.recent().is_some()
    }

    /// Retires it over a failure after which nobody should ask it anything more. After a call that was given up its connection may be dead
    /// without a word, and what is asked on it next would be given up too; nor may the client live when some answers come after all (see
    /// `admin::request`). And librdkafka keeps the address of a coordinator that says it is none.
    pub(super) fn retire_over(&self, failure: &Failure) {
        if matches!(failure.code, Code::OperationTimedOut | Code::NotCoordinator) {
            self.is_retired.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Relaxed)
    }

    /// What a call was answered with, and what was heard meanwhile.
    pub(super) fn failure(&self, code: sys::rd_kafka_resp_err_t, text: Option<String>) -> Failure {
        // Connection errors with their codes wait in the queue.
        self.poll(0);
        let heard = self.ears.heard.recent();
        let failure = Failure { heard, ..Failure::new(code.into(), text.unwrap_or_else(|| word_for(code))) };
        self.retire_over(&failure);
        failure
    }

    /// What an error object says; frees it. Null is success.
    ///
    /// # Safety
    /// `error` is null, or an error object of this client that nobody else frees.
    pub(super) unsafe fn outcome(&self, error: *mut sys::rd_kafka_error_t) -> Result<(), Failure> {
        if error.is_null() {
            self.succeeded();
            return Ok(());
        }
        // SAFETY: as the caller says; it is read before it is freed.
        unsafe {
            let text = text_of(sys::rd_kafka_error_string(error));
            let failure = Failure {
                fatal: sys::rd_kafka_error_is_fatal(error) != 0,
                retriable: sys::rd_kafka_error_is_retriable(error) != 0,
                ..self.failure(sys::rd_kafka_error_code(error), Some(text))
            };
            sys::rd_kafka_error_destroy(error);
            Err(failure)
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Not one of these clients is a member of a group that it would have to leave.
        let flags = sys::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE;
        // SAFETY: nobody uses the client any more; its threads end before this returns, and the ears after it.
        unsafe { sys::rd_kafka_destroy_flags(self.as_ptr(), flags) };
    }
}

/// A list of partitions, with an offset each.
pub(super) struct PartitionList(NonNull<sys::rd_kafka_topic_partition_list_t>);

// SAFETY: the list is ours alone and bound to no thread.
unsafe impl Send for PartitionList {}

impl PartitionList {
    /// These partitions with these offsets.
    pub(super) fn new<'p>(
        partitions: impl ExactSizeIterator<Item = (&'p TopicPartition, i64)>,
    ) -> Result<PartitionList> {
        let size = c_int::try_from(partitions.len()).unwrap_or(0);
        // SAFETY: it is made for us; a size is only a hint.
        let made = NonNull::new(unsafe { sys::rd_kafka_topic_partition_list_new(size) });
        let list = PartitionList(made.ok_or_else(|| Error::Defect("no list was made".to_owned()))?);
        for (partition, offset) in partitions {
            let topic = c_name(&partition.topic)?;
            let number =
                i32::try_from(partition.partition).map_err(|_| Error::UnknownTopic(partition.to_string()))?;
            // SAFETY: the list is ours, the name is copied, and the added element is valid until the next one is added.
            unsafe {
                (*sys::rd_kafka_topic_partition_list_add(list.as_ptr(), topic.as_ptr(), number)).offset =
                    offset
            };
        }
        Ok(list)
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_topic_partition_list_t {
        self.0.as_ptr()
    }
}

impl Drop for PartitionList {
    fn drop(&mut self) {
        // SAFETY: it was made for us and is destroyed once.
        unsafe { sys::rd_kafka_topic_partition_list_destroy(self.as_ptr()) };
    }
}

/// One element of a list of partitions, as librdkafka gives it back.
pub(super) struct Listed {
    pub(super) partition: TopicPartition,
    pub(super) offset: Offset,
    pub(super) error: sys::rd_kafka_resp_err_t,
}

/// The elements of a list; none for null.
///
/// # Safety
/// `list` is null or points to a list that lives through the call.
pub(super) unsafe fn listed(list: *const sys::rd_kafka_topic_partition_list_t) -> Vec<Listed> {
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: as the caller says; `cnt` elements stand at `elems`.
    unsafe {
        let count = usize::try_from((*list).cnt).unwrap_or(0);
        (0..count).map(|index| listed_one((*list).elems.add(index))).collect()
    }
}

/// One element.
///
/// # Safety
/// `element` points to an element that lives through the call.
pub(super) unsafe fn listed_one(element: *const sys::rd_kafka_topic_partition_t) -> Listed {
    // SAFETY: as the caller says; a topic's name ends with a zero.
    unsafe {
        let number = u32::try_from((*element).partition).unwrap_or(u32::MAX);
        Listed {
            partition: TopicPartition::new(text_of((*element).topic), number),
            offset: Offset((*element).offset),
            error: (*element).err,
        }
    }
}

/// A name as C takes it.
pub(super) fn c_name(name: &str) -> Result<CString> {
    CString::new(name).map_err(|_| Error::Refused {
        what: format!("{} cannot be a name", quoted(name)),
        remedy: "leave out the zero byte".to_owned(),
    })
}

/// librdkafka's text; empty for null.
pub(super) fn text_of(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: every text librdkafka hands out ends with a zero and lives at least until the object it belongs to is freed, which none of
    // the callers does before.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// What a code means.
pub(super) fn word_for(code: sys::rd_kafka_resp_err_t) -> String {
    // SAFETY: the text is static.
    text_of(unsafe { sys::rd_kafka_err2str(code) })
}

/// True if there is no error.
pub(super) fn is_fine(code: sys::rd_kafka_resp_err_t) -> bool {
    code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}

unsafe extern "C" fn said(
    rk: *const sys::rd_kafka_t,
    _: c_int,
    facility: *const c_char,
    text: *const c_char,
) {
    if rk.is_null() {
        return;
    }
    // SAFETY: the opaque was set to the ears, which outlive the client.
    let ears = unsafe { &*sys::rd_kafka_opaque(rk).cast::<Ears>() };
    ears.heard.line(&text_of(facility), &text_of(text));
}

unsafe extern "C" fn failed(_: *mut sys::rd_kafka_t, code: c_int, text: *const c_char, opaque: *mut c_void) {
    // SAFETY: the opaque was set to the ears, which outlive the client.
    let ears = unsafe { &*opaque.cast::<Ears>() };
    let code = sys::rd_kafka_resp_err_t::try_from(code).map_or(Code::Fail, Code::from);
    ears.heard.error(code, &text_of(text));
}

/// A delivery report. A record whose place is asked for carries a share in the number to write it to.
unsafe extern "C" fn delivered(
    _: *mut sys::rd_kafka_t,
    message: *const sys::rd_kafka_message_t,
    opaque: *mut c_void,
) {
    // SAFETY: the message lives through the call and is reported once, the ears outlive the client, and the message's own pointer is null
    // or what `Arc::into_raw` gave for it alone.
    unsafe {
        let place = (*message)._private.cast::<AtomicI64>().cast_const();
        let place = (!place.is_null()).then(|| Arc::from_raw(place));
        if is_fine((*message).err) {
            if let Some(place) = place {
                place.store((*message).offset, Ordering::Relaxed);
            }
            return;
        }
        let topic = text_of(sys::rd_kafka_topic_name((*message).rkt));
        let text = match text_of(sys::rd_kafka_message_produce_errstr(message)) {
            text if text.is_empty() => word_for((*message).err),
            text => text,
        };
        let failure =
            Failure::new((*message).err.into(), format!("{topic}[{}]: {text}", (*message).partition));
        let ears = &*opaque.cast::<Ears>();
        ears.undelivered.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
    }
}
