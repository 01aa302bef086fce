//! Producers: one Kafka transaction per commit, or, where the user asks for the cheaper mode, none.
//!
//! ```text
//! exactly_once (state, deadlines, errors) ─┬─ sender        records, deliveries, offsets they got
//!                                          ├─ transaction   the calls
//!                                          └─ stamp         what librdkafka's batches cannot say of a record
//! at_least_once                            the same interface without transactions
//! ```

mod at_least_once;
mod exactly_once;
mod sender;
mod stamp;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use self::at_least_once::AtLeastOnce;
use self::exactly_once::KafkaProducer;
use super::admin::Admin;
use super::connection::{Connection, SILENCE};
use super::proof::Proof;
use crate::error::{Error, Result};
use crate::log::{Membership, Producer, RECORD_MAX_BYTES};

/// A producer that goes away waits no longer than this; the broker ends what it leaves.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long after their time is over records may take to be reported.
const REPORTS_WITHIN: Duration = Duration::from_secs(1);

/// Opens a transactional id, or what stands for it where there are no transactions.
pub(super) fn open(connection: &Connection, admin: &Arc<Admin>, id: &str) -> Result<Box<dyn Producer>> {
    match connection.at_least_once {
        true => Ok(Box::new(AtLeastOnce::open(connection, admin, id)?)),
        false => Ok(Box::new(KafkaProducer::open(connection, admin, id)?)),
    }
}

/// What every producer of ours starts from; its records are given up after `patience`.
fn producing(connection: &Connection, patience: Duration) -> rdkafka::ClientConfig {
    let patience_ms = &sender::millis(patience).to_string();
    let silence_ms = &sender::millis(patience.min(SILENCE)).to_string();
    let mut config = connection.client_with(&[
        // Records gather while the step goes on; a commit does not wait for this.
        ("linger.ms", "5"),
        // What is beyond waits for its own records to be delivered. Each takes some hundred bytes here besides its own; past twenty
        // thousand a commit is no faster, at five thousand it waits.
        ("queue.buffering.max.kbytes", "65536"),
        ("queue.buffering.max.messages", "20000"),
        // `Sender` refuses a greater one: librdkafka would abort the process.
        ("message.max.bytes", &RECORD_MAX_BYTES.to_string()),
        // A transaction that begins right behind another may be told to wait until the markers of that one are written: milliseconds,
        // not the 100 librdkafka waits by default. It doubles from here up to a second. This is for its offsets; its first records wait
        // for 20 ms whatever stands here, so that a worker rests between two commits instead.
        ("retry.backoff.ms", "1"),
        ("message.timeout.ms", patience_ms),
        ("socket.timeout.ms", silence_ms),
    ]);
    config.set("enable.idempotence", "true");
    config
}

/// What a member proves its membership with.
fn proof_of<'m>(membership: &'m Membership, group: &str) -> Result<&'m Proof> {
    let proof = membership.proof.as_ref().and_then(|proof| proof.downcast_ref::<Proof>());
    proof.ok_or_else(|| Error::Fenced {
        who: member_of(membership, group),
        why: format!("group `{group}` has not let it in yet"),
    })
}

/// Not the bare name: that is also a transactional id, whose fencing means something else.
fn member_of(membership: &Membership, group: &str) -> String {
    format!("{} in group {group}", membership.member)
}
