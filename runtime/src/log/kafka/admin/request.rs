//! One question to the cluster: asked with a deadline, answered by an event.
//!
//! librdkafka repeats a request that meets a broker on the move, within the deadline; what it gives up on becomes a
//! [`Failure`](super::super::fault::Failure). No thread serves these answers: whoever asks waits for them.
#![allow(
    unsafe_code,
    reason = "librdkafka's admin interface: rdkafka's own wraps neither groups nor offsets by time"
)]

use std::ffi::c_int;
use std::ptr::NonNull;

use rdkafka_sys as sys;

use super::super::fault::{Code, Failure};
use super::super::native::{Client, is_fine, text_of};
use crate::error::Result;

/// How long a question may take. Brokers answer within milliseconds; one that restarts takes longer than anybody should wait here.
pub(super) const REQUEST_MS: c_int = 5_000;

/// A question before it is asked.
pub(super) struct Request<'c> {
    client: &'c Client,
    options: NonNull<sys::rd_kafka_AdminOptions_t>,
    queue: NonNull<sys::rd_kafka_queue_t>,
}

impl<'c> Request<'c> {
    /// A failure when the cluster has not answered lately, and still does not.
    pub(super) fn new(client: &'c Client, kind: sys::rd_kafka_admin_op_t) -> Result<Request<'c>, Failure> {
        if client.is_in_trouble() {
            check_answers(client)?;
        }
        // SAFETY: the client lives; both are ours to destroy.
        let (options, queue) = unsafe {
            let options = sys::rd_kafka_AdminOptions_new(client.as_ptr(), kind);
            (NonNull::new(options), NonNull::new(sys::rd_kafka_queue_new(client.as_ptr())))
        };
        let (Some(options), Some(queue)) = (options, queue) else {
            return Err(Failure::new(Code::InvalidArgument, "librdkafka knows no such request"));
        };
        let request = Request { client, options, queue };
        // SAFETY: the options are ours; null is allowed for the text of an error, and these cannot fail for these kinds.
        unsafe {
            let nothing = std::ptr::null_mut();
            sys::rd_kafka_AdminOptions_set_request_timeout(options.as_ptr(), REQUEST_MS, nothing, 0);
        }
        Ok(request)
    }

    /// For a request to a group's coordinator. One that times out by itself while the coordinator is away makes librdkafka 2.12 abort the
    /// process when the coordinator comes back: its time is made too long to be over while the client lives. Whoever gives up on it gives
    /// up the client too.
    pub(super) fn for_coordinator(self) -> Request<'c> {
        // SAFETY: as in `new`; this is the longest time librdkafka takes.
        unsafe {
            let nothing = std::ptr::null_mut();
            sys::rd_kafka_AdminOptions_set_request_timeout(self.options.as_ptr(), 3_600_000, nothing, 0);
        }
        self
    }

    /// The broker waits for the change to be in force before it answers.
    pub(super) fn waiting_for_the_change(self) -> Request<'c> {
        let nothing = std::ptr::null_mut();
        // SAFETY: as in `new`.
        unsafe {
            sys::rd_kafka_AdminOptions_set_operation_timeout(self.options.as_ptr(), REQUEST_MS, nothing, 0)
        };
        self
    }

    /// The broker says what it would answer, and does nothing.
    pub(super) fn only_checked(self) -> Request<'c> {
        // SAFETY: as in `new`.
        unsafe {
            sys::rd_kafka_AdminOptions_set_validate_only(self.options.as_ptr(), 1, std::ptr::null_mut(), 0)
        };
        self
    }

    /// Offsets of a transaction that is being committed are waited for.
    pub(super) fn stable(self) -> Request<'c> {
        // SAFETY: the options are ours; the error object, if there is one, is ours to free.
        unsafe {
            let error = sys::rd_kafka_AdminOptions_set_require_stable_offsets(self.options.as_ptr(), 1);
            if !error.is_null() {
                sys::rd_kafka_error_destroy(error);
            }
        }
        self
    }

    /// What stands behind an open transaction does not count.
    pub(super) fn reading_committed(self) -> Request<'c> {
        let level = sys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED;
        // SAFETY: the options are ours; the error object, if there is one, is ours to free.
        unsafe {
            let error = sys::rd_kafka_AdminOptions_set_isolation_level(self.options.as_ptr(), level);
            if !error.is_null() {
                sys::rd_kafka_error_destroy(error);
            }
        }
        self
    }

    /// Sends it by `ask`, which gets the client, the options and the queue for the answer.
    pub(super) fn send(
        self,
        ask: impl FnOnce(*mut sys::rd_kafka_t, *const sys::rd_kafka_AdminOptions_t, *mut sys::rd_kafka_queue_t),
    ) -> Request<'c> {
        ask(self.client.as_ptr(), self.options.as_ptr(), self.queue.as_ptr());
        self
    }

    /// Waits for the answer.
    pub(super) fn answer(self) -> Result<Answer, Failure> {
        use sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT as TIMED_OUT;
        // librdkafka answers a request that ran out of time by itself; a little more than its time is waited.
        // SAFETY: the queue is ours; the event is null or ours to destroy.
        let event = unsafe { sys::rd_kafka_queue_poll(self.queue.as_ptr(), REQUEST_MS + 1_000) };
        let Some(event) = NonNull::new(event).map(Answer) else {
            return Err(self.client.failure(TIMED_OUT, None));
        };
        // SAFETY: the event lives until the answer is dropped.
        let (code, text) = unsafe {
            (sys::rd_kafka_event_error(event.as_ptr()), sys::rd_kafka_event_error_string(event.as_ptr()))
        };
        if is_fine(code) {
            self.client.succeeded();
            return Ok(event);
        }
        Err(self.client.failure(code, Some(text_of(text))))
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        // SAFETY: both were made for us and are destroyed once; an answer that still comes is dropped with the queue.
        unsafe {
            sys::rd_kafka_AdminOptions_destroy(self.options.as_ptr());
            sys::rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}

/// An answer; what it holds lives as long.
pub(super) struct Answer(NonNull<sys::rd_kafka_event_t>);

impl Answer {
    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_event_t {
        self.0.as_ptr()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: it was made for us and is destroyed once.
        unsafe { sys::rd_kafka_event_destroy(self.as_ptr()) };
    }
}

/// Asks any broker for nothing. A request for one certain broker that is away makes librdkafka 2.12 try to connect to it some thousand
/// times a second; this question waits between two tries.
fn check_answers(client: &Client) -> Result<(), Failure> {
    let mut metadata = std::ptr::null();
    // SAFETY: the client lives; on success the metadata is ours to destroy.
    let code = unsafe {
        sys::rd_kafka_metadata(client.as_ptr(), 0, std::ptr::null_mut(), &raw mut metadata, REQUEST_MS)
    };
    if !is_fine(code) {
        return Err(client.failure(code, None));
    }
    client.succeeded();
    // SAFETY: as above.
    unsafe { sys::rd_kafka_metadata_destroy(metadata) };
    Ok(())
}

/// The id of the cluster.
pub(super) fn cluster_id(client: &Client) -> Result<String> {
    use sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT as TIMED_OUT;
    // SAFETY: the client lives; the text is ours and freed after it was copied.
    let id = unsafe {
        let text = sys::rd_kafka_clusterid(client.as_ptr(), REQUEST_MS);
        let id = text_of(text);
        if !text.is_null() {
            sys::rd_kafka_mem_free(client.as_ptr(), text.cast());
        }
        id
    };
    if id.is_empty() {
        return Err(client.failure(TIMED_OUT, None).named("learn the cluster's id"));
    }
    client.succeeded();
    Ok(id)
}

/// The pointers of an array, as librdkafka hands them out with their number.
///
/// # Safety
/// `array` holds `count` pointers.
pub(super) unsafe fn each<T>(array: *const *const T, count: usize) -> Vec<*const T> {
    match array.is_null() {
        true => Vec::new(),
        // SAFETY: as the caller says.
        false => unsafe { std::slice::from_raw_parts(array, count) }.to_vec(),
    }
}
