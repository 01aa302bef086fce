//! The first record at a time, found by reading.
//!
//! A broker looks for the first *entry* whose time is late enough, and the markers that end transactions are entries, dated by the
//! clock: in a topic of historical event times the first marker beats every record. A broker's answer is therefore only where to begin:
//! nothing before it is late enough. From there committed records are read up to the first that is. Where event times are near the
//! clock, that is the first record read; where they lie in the past, it reads on from the first transaction.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset as At, TopicPartitionList};

use super::super::connection::{Connection, refused};
use super::super::fault::Code;
use super::super::fault::Failure;
use crate::error::{Error, Result};
use crate::log::{Offset, TopicPartition};
use crate::time::EventTime;

/// How long a broker may be silent in the middle of a read.
const SILENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);

/// The first committed record in `from..to` whose time is `time` or later; `to` if there is none. A transaction that is still open ends
/// the search at its first record: what it holds may yet be the answer.
pub(super) fn first_at(
    connection: &Connection,
    partition: &TopicPartition,
    from: Offset,
    to: Offset,
    time: EventTime,
) -> Result<Offset> {
    if from >= to {
        return Ok(to);
    }
    let what = format!("search `{partition}` for a time");
    let named = |error: KafkaError| Failure::from(error).about(&partition.topic, &what);
    let consumer = reader(connection)?;
    let number =
        i32::try_from(partition.partition).map_err(|_| Error::UnknownTopic(partition.to_string()))?;
    let mut assigned = TopicPartitionList::with_capacity(1);
    assigned.add_partition_offset(&partition.topic, number, At::Offset(from.0)).map_err(named)?;
    consumer.assign(&assigned).map_err(named)?;
    let mut heard = Instant::now();
    loop {
        match consumer.poll(POLL) {
            Some(Ok(record)) => {
                heard = Instant::now();
                if record.offset() >= to.0 {
                    return Ok(to);
                }
                if record.timestamp().to_millis().is_some_and(|found| found >= time.0) {
                    return Ok(Offset(record.offset()));
                }
            }
            // As far as it is committed: to the end, or to the first open transaction.
            Some(Err(KafkaError::PartitionEOF(_))) => {
                let position = consumer.position().map_err(named)?;
                let reached = position.find_partition(&partition.topic, number).map(|one| one.offset());
                return match reached {
                    Some(At::Offset(reached)) => Ok(Offset(reached).min(to)),
                    _ => Ok(from),
                };
            }
            Some(Err(error)) => {
                let failure = Failure::from(error);
                if failure.code != Code::AllBrokersDown && failure.code != Code::BrokerTransportFailure {
                    return Err(failure.about(&partition.topic, &what));
                }
            }
            None => {}
        }
        if heard.elapsed() > SILENCE {
            return Err(Failure::new(Code::OperationTimedOut, "no record came for a while").named(&what));
        }
    }
}

fn reader(connection: &Connection) -> Result<BaseConsumer<Quiet>> {
    let mut config = connection.client();
    // The group is never joined and nothing is committed in its name: librdkafka wants one to be named.
    config.set("group.id", "tidegate-search").set("enable.auto.commit", "false");
    config.set("isolation.level", "read_committed").set("enable.partition.eof", "true");
    // At the end of what is committed the answer is known: nobody waits for more to come.
    config.set("auto.offset.reset", "error").set("fetch.wait.max.ms", "10");
    config.create_with_context(Quiet).map_err(refused)
}

/// Says nothing: an error comes back from the poll.
struct Quiet;

impl rdkafka::ClientContext for Quiet {
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: KafkaError, _: &str) {}
}

impl rdkafka::consumer::ConsumerContext for Quiet {}
