//! Offsets of partitions: their ends, the first one from a time on, and the end that a trim moves.
//!
//! The high watermark is the real one, open transactions included: this client reads uncommitted. On a client that reads committed,
//! Kafka would answer with the last stable offset.
#![allow(unsafe_code, reason = "librdkafka's admin interface, see `request`")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka_sys as sys;
use sys::rd_kafka_OffsetSpec_t as Spec;
use sys::rd_kafka_admin_op_t as Kind;

use super::super::fault::{Code, Failure};
use super::super::native::{Client, Listed, PartitionList, is_fine, listed, listed_one, word_for};
use super::request::{Request, each};
use super::topics;
use crate::error::{Error, Result};
use crate::log::{Offset, TopicPartition, Watermarks};
use crate::time::EventTime;

/// A topic that was just made is known everywhere within this, and a leader found.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks at it.
const SETTLING: Duration = Duration::from_millis(10);

type Found = BTreeMap<TopicPartition, Offset>;

/// The ends of these partitions, in their order; both ends of all of them are asked for at once.
pub(super) fn ends(client: &Client, partitions: &[TopicPartition]) -> Result<Vec<Watermarks>> {
    let lowest = Asked::new(partitions, Spec::RD_KAFKA_OFFSET_SPEC_EARLIEST as i64)?;
    let highest = Asked::new(partitions, Spec::RD_KAFKA_OFFSET_SPEC_LATEST as i64)?;
    let (low, high) = of_known(client, partitions, "look up the ends of", || {
        let (low, high) = (lowest.send(client)?, highest.send(client)?);
        Ok((found(client, low)?, found(client, high)?))
    })?;
    partitions
        .iter()
        .map(|partition| Ok(Watermarks { low: end_of(&low, partition)?, high: end_of(&high, partition)? }))
        .collect()
}

/// How far these partitions can be read by who reads committed, in their order: their last stable offsets.
pub(super) fn stable_ends(client: &Client, partitions: &[TopicPartition]) -> Result<Vec<Offset>> {
    let asked = Asked::new(partitions, Spec::RD_KAFKA_OFFSET_SPEC_LATEST as i64)?;
    let ends = of_known(client, partitions, "look up how far readers come in", || {
        found(client, asked.send_as(client, Request::reading_committed)?)
    })?;
    partitions.iter().map(|partition| end_of(&ends, partition)).collect()
}

fn end_of(ends: &Found, partition: &TopicPartition) -> Result<Offset> {
    ends.get(partition).copied().ok_or_else(|| Error::Defect(format!("no offset of `{partition}` came back")))
}

/// The first offset at which anything has this time or a later one; `None` if nothing has. A transaction's marker counts too, with
/// the time it was written at.
pub(super) fn from_time(
    client: &Client,
    partition: &TopicPartition,
    time: EventTime,
) -> Result<Option<Offset>> {
    let partitions = std::slice::from_ref(partition);
    let asked = Asked::new(partitions, time.0)?;
    let found = of_known(client, partitions, "look up a time in", || found(client, asked.send(client)?))?;
    Ok(found.get(partition).copied().filter(|offset| offset.0 >= 0))
}

/// Removes the records before an offset. Kafka moves the low end exactly there; the bytes go with their segments.
pub(super) fn trim(client: &Client, partition: &TopicPartition, before: Offset) -> Result<()> {
    // Kafka takes a negative offset for the high watermark.
    if before.0 < 0 {
        return Err(past_the_end(partition, before));
    }
    let list = PartitionList::new([(partition, before.0)].into_iter())?;
    let trimmed = of_known(client, std::slice::from_ref(partition), "trim", || {
        let request = Request::new(client, Kind::RD_KAFKA_ADMIN_OP_DELETERECORDS)?;
        // SAFETY: the list lives through the call, which copies it; the object is destroyed once, after the call that copies it.
        let request = request.waiting_for_the_change().send(|client, options, queue| unsafe {
            let mut records = sys::rd_kafka_DeleteRecords_new(list.as_ptr());
            sys::rd_kafka_DeleteRecords(client, &raw mut records, 1, options, queue);
            sys::rd_kafka_DeleteRecords_destroy(records);
        });
        let answer = request.answer()?;
        // SAFETY: the result belongs to the answer.
        let results = unsafe {
            let result = sys::rd_kafka_event_DeleteRecords_result(answer.as_ptr());
            listed(sys::rd_kafka_DeleteRecords_result_offsets(result))
        };
        match results.into_iter().map(checked).collect::<std::result::Result<Vec<_>, _>>() {
            Ok(_) => Ok(true),
            Err(failure) if failure.code == Code::OffsetOutOfRange => Ok(false),
            Err(failure) => Err(failure),
        }
    })?;
    if trimmed { Ok(()) } else { Err(past_the_end(partition, before)) }
}

fn past_the_end(partition: &TopicPartition, before: Offset) -> Error {
    Error::Refused {
        what: format!("cannot trim `{partition}` before {before}: that is not between its ends"),
        remedy: "name an offset up to its high watermark".to_owned(),
    }
}

/// Asks about partitions. The client's picture of the topics may be older than a change: before a partition is called unknown, the
/// cluster is asked whether it is; while it is not, the question is asked again, each time with a fresh picture.
fn of_known<T>(
    client: &Client,
    partitions: &[TopicPartition],
    what: &str,
    ask: impl Fn() -> std::result::Result<T, Failure>,
) -> Result<T> {
    let what = match partitions {
        [partition] => format!("{what} `{partition}`"),
        _ => format!("{what} partitions"),
    };
    let until = Instant::now() + SETTLES_WITHIN;
    loop {
        match ask() {
            Err(failure) if is_of_old_picture(&failure) && Instant::now() < until => {
                check_known(client, partitions)?;
                topics::list(client)?;
                std::thread::sleep(SETTLING);
            }
            Err(failure) => {
                // It may stand within an answer that the client has made up itself.
                client.retire_over(&failure);
                return Err(failure.named(&what));
            }
            Ok(answer) => return Ok(answer),
        }
    }
}

/// The topic was made, made anew or moved a moment ago, and somebody does not know of it yet.
fn is_of_old_picture(failure: &Failure) -> bool {
    failure.is_unknown_topic()
        || matches!(
            failure.code,
            Code::NoEnt
                | Code::NotLeaderForPartition
                | Code::LeaderNotAvailable
                // A broker that was restarted counts its leaderships anew, and the picture holds the old count.
                | Code::FencedLeaderEpoch
                | Code::UnknownLeaderEpoch
                | Code::KafkaStorageError
        )
}

fn check_known(client: &Client, partitions: &[TopicPartition]) -> Result<()> {
    let names: std::collections::BTreeSet<&str> = partitions.iter().map(|one| &*one.topic).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let seen = topics::describe(client, &names, "look up topics")?;
    for partition in partitions {
        match seen.get(&*partition.topic) {
            None => return Err(Error::UnknownTopic(partition.topic.to_string())),
            // The topic's name alone would send the user looking in vain.
            Some(seen) if partition.partition >= seen.partitions => {
                return Err(Error::UnknownTopic(partition.to_string()));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// A question for one offset of each partition: at a time in milliseconds, or at one of the ends, whose names are below zero.
struct Asked(PartitionList);

impl Asked {
    fn new(partitions: &[TopicPartition], spec: i64) -> Result<Asked> {
        PartitionList::new(partitions.iter().map(|partition| (partition, spec))).map(Asked)
    }

    fn send<'c>(&self, client: &'c Client) -> std::result::Result<Request<'c>, Failure> {
        self.send_as(client, |request| request)
    }

    fn send_as<'c>(
        &self,
        client: &'c Client,
        with: impl Fn(Request<'c>) -> Request<'c>,
    ) -> std::result::Result<Request<'c>, Failure> {
        let request = with(Request::new(client, Kind::RD_KAFKA_ADMIN_OP_LISTOFFSETS)?);
        // SAFETY: the list lives through the call, which copies it.
        Ok(request.send(|client, options, queue| unsafe {
            sys::rd_kafka_ListOffsets(client, self.0.as_ptr(), options, queue);
        }))
    }
}

/// The offsets of an answer; -1 where nothing has the time that was asked for. librdkafka loses the error of a request that no broker
/// answers: its partitions come back without an error and without an offset.
fn found(client: &Client, request: Request<'_>) -> std::result::Result<Found, Failure> {
    let answer = request.answer()?;
    // SAFETY: everything read belongs to the answer, which lives through the block.
    let listed: Vec<Listed> = unsafe {
        let mut count = 0;
        let result = sys::rd_kafka_event_ListOffsets_result(answer.as_ptr());
        let infos = each(sys::rd_kafka_ListOffsets_result_infos(result, &raw mut count), count).into_iter();
        infos.map(|info| listed_one(sys::rd_kafka_ListOffsetsResultInfo_topic_partition(info))).collect()
    };
    let is_lost =
        |one: &Listed| is_fine(one.error) && one.offset.0 == i64::from(sys::RD_KAFKA_OFFSET_INVALID);
    if listed.iter().any(is_lost) {
        return Err(client.failure(sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT, None));
    }
    listed.into_iter().map(checked).collect()
}

fn checked(one: Listed) -> std::result::Result<(TopicPartition, Offset), Failure> {
    match is_fine(one.error) {
        true => Ok((one.partition, one.offset)),
        false => Err(Failure::new(one.error.into(), format!("{}: {}", one.partition, word_for(one.error)))),
    }
}
