//! What librdkafka's batches cannot say of a record: its time, its headers, and who wants to know where it came to stand.
//!
//! Handing records over in batches costs half of what one call for each does. But a message of a batch has no time: librdkafka writes
//! "now", and a single call takes a time of zero for "now" as well. An interceptor, which librdkafka calls in the same thread with each
//! message it has just made, writes what the [`Stamp`] says, to which the message's opaque pointer leads. The time stands behind the public
//! part of a message, in a place that no header declares: nothing is written unless exactly the time that librdkafka tells is found
//! there, and a time that is not told afterwards is an error of the send. The test below fails when another version of librdkafka keeps
//! the time elsewhere.
#![allow(unsafe_code, reason = "the time of a message is behind librdkafka's public interface")]

use std::ffi::{c_char, c_int, c_void};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use rdkafka_sys as sys;

use crate::log::Headers;
use crate::time::EventTime;

/// Behind the public part: two pointers that link messages, the flags, the kind of the timestamp.
const TIME_AT: usize =
    size_of::<sys::rd_kafka_message_t>() + 2 * size_of::<*const u8>() + 2 * size_of::<c_int>();

/// Set when a time was not found where it must be.
static LOST: AtomicBool = AtomicBool::new(false);

/// True if a message has gone to a broker with another time than its record's, or would.
pub(super) fn is_lost() -> bool {
    LOST.load(Ordering::Relaxed)
}

/// Must live, where it is, until the call that hands its message over has returned.
pub(super) struct Stamp {
    time: EventTime,
    headers: Option<HeaderList>,
    report_to: Option<Arc<AtomicI64>>,
}

impl Stamp {
    /// The offset goes to `place`.
    pub(super) fn new(time: EventTime, headers: Headers<'_>, place: Option<Arc<AtomicI64>>) -> Stamp {
        Stamp { time, headers: HeaderList::new(headers), report_to: place }
    }
}

/// Makes a producer of this configuration write stamps. All it is handed must have one.
pub(super) fn prepare(config: *mut sys::rd_kafka_conf_t) {
    // SAFETY: the configuration is one that is being made, and the function has the type it must have.
    unsafe {
        sys::rd_kafka_conf_interceptor_add_on_new(
            config,
            c"stamp".as_ptr(),
            Some(on_new),
            std::ptr::null_mut(),
        );
    }
}

unsafe extern "C" fn on_new(
    client: *mut sys::rd_kafka_t,
    _: *const sys::rd_kafka_conf_t,
    _: *mut c_void,
    _: *mut c_char,
    _: usize,
) -> sys::rd_kafka_resp_err_t {
    // SAFETY: this is the place where librdkafka lets interceptors of a client be added.
    unsafe {
        sys::rd_kafka_interceptor_add_on_send(client, c"stamp".as_ptr(), Some(on_send), std::ptr::null_mut())
    }
}

unsafe extern "C" fn on_send(
    _: *mut sys::rd_kafka_t,
    message: *mut sys::rd_kafka_message_t,
    _: *mut c_void,
) -> sys::rd_kafka_resp_err_t {
    // SAFETY: the message is a whole one, made by librdkafka a moment ago and not yet shown to another thread; what is read behind its
    // public part lies within it, since its private part is longer than this in every version there is. Its opaque pointer is that of a
    // stamp, which whoever hands over the message keeps.
    unsafe {
        let stamp = &mut *(*message)._private.cast::<Stamp>();
        // The message has a share in the place, which its report gives back, whoever serves it and whenever that is.
        let place = stamp.report_to.take().map_or(std::ptr::null(), Arc::into_raw);
        (*message)._private = place.cast_mut().cast();
        let time = message.cast::<u8>().add(TIME_AT).cast::<i64>();
        let told = || sys::rd_kafka_message_timestamp(message, std::ptr::null_mut());
        if time.read() == told() {
            time.write(stamp.time.0);
        }
        LOST.fetch_or(told() != stamp.time.0, Ordering::Relaxed);
        if let Some(headers) = stamp.headers.take() {
            // They belong to the message now.
            sys::rd_kafka_message_set_headers(message, headers.into_native());
        }
    }
    sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
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

    /// For a message, which destroys them.
    fn into_native(self) -> *mut sys::rd_kafka_headers_t {
        let native = self.as_ptr();
        std::mem::forget(self);
        native
    }
}

impl Drop for HeaderList {
    fn drop(&mut self) {
        // SAFETY: it was made for us, and no message took it over.
        unsafe { sys::rd_kafka_headers_destroy(self.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    static TIMES: Mutex<Vec<(i64, i64)>> = Mutex::new(Vec::new());

    unsafe extern "C" fn note(
        _: *mut sys::rd_kafka_t,
        message: *const sys::rd_kafka_message_t,
        _: *mut c_void,
    ) {
        // SAFETY: the message lives through the call; an error would hide its time, so it is looked up where it stands.
        unsafe {
            let time = message.cast::<u8>().add(TIME_AT).cast::<i64>().read();
            let place = Arc::from_raw((*message)._private.cast::<AtomicI64>().cast_const());
            TIMES.lock().unwrap().push((place.load(Ordering::Relaxed), time));
        }
    }

    #[test]
    fn every_message_gets_its_own_time_and_zero_is_not_taken_for_now() {
        // SAFETY: a producer without brokers is made, given records, emptied and destroyed; everything handed over outlives it.
        unsafe {
            let config = sys::rd_kafka_conf_new();
            sys::rd_kafka_conf_set_dr_msg_cb(config, Some(note));
            sys::rd_kafka_conf_set_log_cb(config, None);
            prepare(config);
            let (text, kind) = (std::ptr::null_mut(), sys::rd_kafka_type_t::RD_KAFKA_PRODUCER);
            let client = sys::rd_kafka_new(kind, config, text, 0);
            let topic = sys::rd_kafka_topic_new(client, c"t".as_ptr(), std::ptr::null_mut());
            let places = [0, 5, -5].map(|time| Arc::new(AtomicI64::new(time)));
            let mut stamps = places.each_ref().map(|place| {
                let time = EventTime(place.load(Ordering::Relaxed));
                Stamp { time, headers: None, report_to: Some(place.clone()) }
            });
            let mut messages = stamps.each_mut().map(|stamp| {
                let mut message: sys::rd_kafka_message_t = std::mem::zeroed();
                message._private = std::ptr::from_mut(stamp).cast();
                message
            });
            let taken = sys::rd_kafka_produce_batch(topic, 0, 0, messages.as_mut_ptr(), 3);
            assert_eq!(taken, 3);
            drop(stamps);
            let shares = || places.each_ref().map(Arc::strong_count);
            assert_eq!(shares(), [2; 3], "a message keeps its place");
            sys::rd_kafka_purge(client, sys::RD_KAFKA_PURGE_F_QUEUE);
            sys::rd_kafka_flush(client, 10_000);
            assert_eq!(shares(), [1; 3], "until its report has come");
            sys::rd_kafka_topic_destroy(topic);
            sys::rd_kafka_destroy(client);
        }
        assert!(!is_lost());
        let mut times = TIMES.lock().unwrap().clone();
        times.sort_unstable();
        assert_eq!(times, [(-5, -5), (0, 0), (5, 5)]);
    }
}
