//! Kafka's transaction calls, each with a deadline.
//!
//! librdkafka goes on with a call in the background when its time is over, and answers the same call when it is made again: that is how
//! a retriable error is waited out here. The delivery reports of this client are served by the thread that calls, so that neither a commit
//! nor an abort waits for somebody else to poll.
#![allow(unsafe_code, reason = "librdkafka's transactional interface, see `native`")]

use std::ffi::c_int;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rdkafka_sys as sys;

use super::super::fault::{Code, Failure};
use super::super::native::{Client, PartitionList};
use super::super::proof::NativeMetadata;
use super::sender::millis;

type Outcome = std::result::Result<(), Failure>;

/// Between two tries that both failed at once.
const TRY_AGAIN: Duration = Duration::from_millis(20);
/// How long after its time is over a call may take to return.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(1);
/// How long the error of a transaction that has failed is waited for; it is there already.
const VERDICT: Duration = Duration::from_secs(1);

/// Takes the transactional id over from whoever held it, ending what they left open.
pub(super) fn init(client: &Client, patience: Duration) -> Outcome {
    repeat(client, patience, |timeout_ms| {
        // SAFETY: the client lives and is transactional.
        unsafe { sys::rd_kafka_init_transactions(client.as_ptr(), timeout_ms) }
    })
}

/// Opens a transaction; the brokers hear of it with its first record.
pub(super) fn begin(client: &Client) -> Outcome {
    // SAFETY: the client lives; the error is ours.
    unsafe { client.outcome(sys::rd_kafka_begin_transaction(client.as_ptr())) }
}

/// Puts offsets into the transaction. The coordinator of the group checks who sends them.
///
/// Once in some dozen restarts of a broker librdkafka 2.12 loses the answer to this call, and waits for it for ever, whatever time it was
/// given. So a thread of its own makes the call. One that does not come back keeps its client, which nobody may destroy under it. The failure
/// is fatal: the id is opened anew by another client.
pub(super) fn add_offsets(
    client: &Arc<Client>,
    offsets: PartitionList,
    who: Arc<NativeMetadata>,
    patience: Duration,
) -> Outcome {
    let (sender, answer) = mpsc::channel();
    let owned = client.clone();
    let call = move || {
        let outcome = repeat(&owned, patience, |timeout_ms| {
            // SAFETY: client, list and metadata live through the call, which copies the latter two.
            unsafe {
                sys::rd_kafka_send_offsets_to_transaction(
                    owned.as_ptr(),
                    offsets.as_ptr(),
                    who.as_ptr(),
                    timeout_ms,
                )
            }
        });
        // Whoever waits ends the client.
        drop(owned);
        let _ = sender.send(outcome);
    };
    let started = std::thread::Builder::new().name("offsets".to_owned()).spawn(call);
    started.map_err(|error| Failure::new(Code::Fail, format!("no thread could be started: {error}")))?;
    answer.recv_timeout(patience + COMES_BACK_WITHIN).unwrap_or_else(|_| {
        let text = "librdkafka does not come back from putting offsets into a transaction";
        Err(Failure { fatal: true, ..Failure::new(Code::OperationTimedOut, text) })
    })
}

/// Ends the transaction so that all of it shows. Everything sent must have been delivered.
pub(super) fn commit(client: &Client, patience: Duration) -> Outcome {
    repeat(client, patience, |timeout_ms| {
        // SAFETY: the client lives and is transactional.
        unsafe { sys::rd_kafka_commit_transaction(client.as_ptr(), timeout_ms) }
    })
}

/// What a transaction that has failed is refused for. To be asked only when a record of it was not delivered: librdkafka then asks
/// no broker for a commit, and gives the reason instead.
pub(super) fn verdict(client: &Client) -> Outcome {
    // SAFETY: the client lives and is transactional; the error is ours.
    unsafe { client.outcome(sys::rd_kafka_commit_transaction(client.as_ptr(), millis(VERDICT))) }
}

/// Ends the transaction so that nothing of it ever shows: gives up what is queued, waits for what is on its way.
pub(super) fn abort(client: &Client, patience: Duration) -> Outcome {
    repeat(client, patience, |timeout_ms| {
        // SAFETY: the client lives and is transactional.
        unsafe { sys::rd_kafka_abort_transaction(client.as_ptr(), timeout_ms) }
    })
}

/// Makes a call until it is answered with something that waiting does not change.
fn repeat(
    client: &Client,
    patience: Duration,
    mut call: impl FnMut(c_int) -> *mut sys::rd_kafka_error_t,
) -> Outcome {
    let end = Instant::now() + patience;
    loop {
        let begun = Instant::now();
        // SAFETY: the error comes from a call on this client and is ours.
        let outcome = unsafe { client.outcome(call(millis(end.saturating_duration_since(begun)))) };
        match outcome {
            Err(failure) if failure.retriable && !failure.fatal && Instant::now() < end => {
                std::thread::sleep(TRY_AGAIN.saturating_sub(begun.elapsed()));
            }
            outcome => return outcome,
        }
    }
}
