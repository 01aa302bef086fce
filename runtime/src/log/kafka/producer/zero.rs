//! Records dated exactly 1970-01-01T00:00:00.000Z.
//!
//! librdkafka takes a timestamp of zero for "now" and offers no other way to write one. Such a record is handed over with a mark for its
//! time, and an interceptor, which librdkafka calls with the message it has just made, writes the zero over the mark. The time stands
//! behind the public part of a message, in a place that no header declares: nothing is written unless exactly the mark is found there, and
//! a mark that was not found is an error of the send. The test below fails when another version of librdkafka keeps the time elsewhere.
#![allow(unsafe_code, reason = "the time of a message is behind librdkafka's public interface")]

use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka_sys as sys;

/// Stands for a time of zero on the way into librdkafka. As a time it would lie 268 million years ago.
pub(super) const MARK: i64 = -0x75A0_E1F2_3C48_69BE;

/// Behind the public part: two pointers that link messages, the flags, the kind of the timestamp.
const TIME_AT: usize =
    size_of::<sys::rd_kafka_message_t>() + 2 * size_of::<*const u8>() + 2 * size_of::<c_int>();

/// Set when a mark was not found where it must be.
static LOST: AtomicBool = AtomicBool::new(false);

/// True if a mark has gone to a broker, or would.
pub(super) fn is_lost() -> bool {
    LOST.load(Ordering::Relaxed)
}

/// The time as it is handed to librdkafka.
pub(super) fn marked(time: i64) -> i64 {
    if time == 0 { MARK } else { time }
}

/// Makes a producer of this configuration write zero for the mark.
pub(super) fn prepare(config: *mut sys::rd_kafka_conf_t) {
    // SAFETY: the configuration is one that is being made, and the function has the type it must have.
    unsafe {
        sys::rd_kafka_conf_interceptor_add_on_new(
            config,
            c"zero".as_ptr(),
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
        sys::rd_kafka_interceptor_add_on_send(client, c"zero".as_ptr(), Some(on_send), std::ptr::null_mut())
    }
}

unsafe extern "C" fn on_send(
    _: *mut sys::rd_kafka_t,
    message: *mut sys::rd_kafka_message_t,
    _: *mut c_void,
) -> sys::rd_kafka_resp_err_t {
    // SAFETY: the message is a whole one, made by librdkafka a moment ago and not yet shown to another thread; what is read behind its
    // public part lies within it, since its private part is longer than this in every version there is.
    unsafe {
        if sys::rd_kafka_message_timestamp(message, std::ptr::null_mut()) == MARK {
            let time = message.cast::<u8>().add(TIME_AT).cast::<i64>();
            if time.read() == MARK {
                time.write(0);
            }
            let now = sys::rd_kafka_message_timestamp(message, std::ptr::null_mut());
            LOST.fetch_or(now != 0, Ordering::Relaxed);
        }
    }
    sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
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
            TIMES.lock().unwrap().push(((*message)._private as i64, time));
        }
    }

    #[test]
    fn a_time_of_zero_is_not_taken_for_now() {
        // SAFETY: a producer without brokers is made, given records, emptied and destroyed; everything handed over outlives it.
        unsafe {
            let config = sys::rd_kafka_conf_new();
            sys::rd_kafka_conf_set_dr_msg_cb(config, Some(note));
            sys::rd_kafka_conf_set_log_cb(config, None);
            prepare(config);
            let (text, kind) = (std::ptr::null_mut(), sys::rd_kafka_type_t::RD_KAFKA_PRODUCER);
            let client = sys::rd_kafka_new(kind, config, text, 0);
            let topic = sys::rd_kafka_topic_new(client, c"t".as_ptr(), std::ptr::null_mut());
            for (number, time) in [(1_i64, 0_i64), (2, 5), (3, -5)] {
                let field = |vtype, u| sys::rd_kafka_vu_t { vtype, u };
                use sys::rd_kafka_vtype_t as Field;
                let fields = [
                    field(Field::RD_KAFKA_VTYPE_RKT, sys::rd_kafka_vu_s__bindgen_ty_1 { rkt: topic }),
                    field(
                        Field::RD_KAFKA_VTYPE_TIMESTAMP,
                        sys::rd_kafka_vu_s__bindgen_ty_1 { i64_: marked(time) },
                    ),
                    field(
                        Field::RD_KAFKA_VTYPE_OPAQUE,
                        sys::rd_kafka_vu_s__bindgen_ty_1 { ptr: number as *mut c_void },
                    ),
                ];
                assert!(sys::rd_kafka_produceva(client, fields.as_ptr(), fields.len()).is_null());
            }
            sys::rd_kafka_purge(client, sys::RD_KAFKA_PURGE_F_QUEUE);
            sys::rd_kafka_flush(client, 10_000);
            sys::rd_kafka_topic_destroy(topic);
            sys::rd_kafka_destroy(client);
        }
        assert!(!is_lost());
        let mut times = TIMES.lock().unwrap().clone();
        times.sort_unstable();
        assert_eq!(times, [(1, 0), (2, 5), (3, -5)]);
    }
}
