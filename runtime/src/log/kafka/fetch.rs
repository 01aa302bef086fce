//! Fetching: positions, credits, and one chunk after the other, fairly over the partitions.
//!
//! Promise: chunks of one partition join up from where it was sought; a control marker, an aborted record and a trimmed one are gaps, never
//! records. What is fetched ahead is bounded per partition, in bytes and in messages, so that all partitions together
//! stay within the buffer. A partition without credit is not looked at, and holds up no other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::admin::Admin;
use super::connection::{Connection, SILENCE};
use super::fault;
use super::queue::{Fetched, MessageBatch, PartitionQueue};
use super::serving::{Calls, Counted, serve};
use crate::error::{Error, Reaction, Result};
use crate::log::bell::Bell;
use crate::log::{Chunk, Credits, Offset, Records, TopicPartition};

/// One chunk being processed, one waiting: enough to keep both halves busy.
const CREDITS: usize = 2;
/// A chunk's length: past it, a longer one saves nothing and only makes a step longer.
const CHUNK_MESSAGES: usize = 1_000;
/// Below this, asking the broker costs more than what it answers, and a chunk more than what is in it.
const SHARE_MIN_BYTES: usize = 16 << 10;
/// More saves nothing: over 5 million small records, a sixteenth of what librdkafka asks for by default costs the same. Each record takes
/// half a kilobyte in its queues besides its own bytes, and a compressed batch is unpacked whole, so that what is asked for here is
/// held ten times over.
const SHARE_MAX_BYTES: usize = 64 << 10;
/// Fetching pauses while so many are queued: few enough that small records stay within the buffer, too.
const BYTES_PER_MESSAGE: usize = 256;
/// How long a broker that has nothing new is waited for before it is asked again. Its answer without records tells the end of a partition.
const IDLE_WAIT: Duration = Duration::from_millis(50);
/// A broker that is to gather is asked again after this at the least: an idle topic costs two hundred questions a second then.
const LINGER_MIN: Duration = Duration::from_millis(5);
/// And after this at the most: gathering for longer saves nothing, and a partition that is far behind stands still meanwhile, if what is here
/// of it was full when the broker was asked for the others. Two million records in one of four partitions took 8.0 s with 50 ms, 4.8 with
/// 25, 2.4 with 10, and no less with 5.
const LINGER_MAX: Duration = Duration::from_millis(10);
/// How often a partition that stands at its end is asked for its high watermark, which is a look into memory.
const GLANCE: Duration = Duration::from_millis(100);
/// How long a partition whose brokers are out of reach is left alone: each question blocks this thread for some seconds.
const RETRY: Duration = Duration::from_secs(2);
/// How long a partition that was trimmed or removed under us is left alone: long enough not to spin on a broker that has just started and
/// does not know its topics yet.
const RESTART: Duration = Duration::from_millis(20);

/// Everything a consumer reads, by a client of its own without a group.
pub(super) struct Fetcher {
    // Queues go before their client.
    reading: Vec<Reading>,
    client: BaseConsumer<Silent>,
    admin: Arc<Admin>,
    bell: Arc<Bell>,
    batch: MessageBatch,
    /// Kept when a partition is released: its chunks may still be under way when it is fetched again.
    credits: HashMap<TopicPartition, Credits>,
    turn: usize,
    glanced: Instant,
}

/// librdkafka's own lines are not for users: what matters comes as an error of a call or of a queue.
#[derive(Default)]
pub(super) struct Silent {
    calls: Calls,
}

impl ClientContext for Silent {
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {
        self.calls.note();
    }
    fn error(&self, _: KafkaError, _: &str) {}
    fn stats_raw(&self, _: &[u8]) {
        self.calls.note();
    }
}

impl Counted for Silent {
    fn calls(&self) -> &Calls {
        &self.calls
    }
}

impl ConsumerContext for Silent {}

/// One partition being read.
struct Reading {
    partition: TopicPartition,
    /// None while it waits to be started again.
    queue: Option<PartitionQueue>,
    retry_at: Instant,
    /// Where fetching starts: past what was trimmed.
    start: Offset,
    /// The position: everything before it was handed over.
    next: Offset,
    credits: Credits,
    /// Nothing more stands at `next`.
    at_end: bool,
    /// The high watermark the receiver knows of, once it knows that there is nothing more at `next`.
    told: Option<Offset>,
}

impl Fetcher {
    /// At most `buffer_bytes` are fetched ahead over `partitions` partitions. With a `linger`, the broker gathers what it has little of for
    /// so long: an answer costs the client and the broker as much as some hundred records, however few are in it.
    pub(super) fn new(
        connection: &Connection,
        admin: &Arc<Admin>,
        bell: &Arc<Bell>,
        buffer_bytes: usize,
        partitions: usize,
        linger: Duration,
    ) -> Result<Fetcher> {
        // Half is in librdkafka's queues, and half in the chunks that are under way.
        let half = buffer_bytes / (2 * partitions.max(1));
        let share = half.clamp(SHARE_MIN_BYTES, SHARE_MAX_BYTES);
        let chunk_bytes = (half / CREDITS).max(SHARE_MIN_BYTES);
        let (enough, wait) = match linger.is_zero() {
            true => (1, IDLE_WAIT),
            false => (share, linger.clamp(LINGER_MIN, LINGER_MAX)),
        };
        let mut config = connection.client_with(&[
            // A flipped bit is an error, never a record.
            ("check.crcs", "true"),
            // These count per partition here, since each has a queue of its own.
            ("queued.max.messages.kbytes", &(share / 1024).to_string()),
            ("queued.min.messages", &(share / BYTES_PER_MESSAGE).max(1).to_string()),
            ("fetch.message.max.bytes", &share.to_string()),
            // With small queues, a second of waiting for room is what a reader would spend most of its time with.
            ("fetch.queue.backoff.ms", "2"),
            ("fetch.min.bytes", &enough.to_string()),
            ("fetch.wait.max.ms", &wait.as_millis().to_string()),
            ("socket.timeout.ms", &SILENCE.as_millis().to_string()),
        ]);
        config
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // Of a partition that is read to its end, the position is told past control markers.
            .set("enable.partition.eof", "true")
            // A position that is gone is judged here (trimmed, or past the end), never replaced in silence.
            .set("auto.offset.reset", "error")
            .set("allow.auto.create.topics", "false");
        let client = config.create_with_context(Silent::default());
        let client: BaseConsumer<Silent> =
            client.map_err(|cause| fault::named("could not make a client to read with", cause))?;
        Ok(Fetcher {
            reading: Vec::new(),
            client,
            admin: admin.clone(),
            bell: bell.clone(),
            batch: MessageBatch::new(CHUNK_MESSAGES, chunk_bytes),
            credits: HashMap::new(),
            turn: 0,
            glanced: Instant::now(),
        })
    }

    /// Reads `partition` from `next` on, instead of wherever it stood.
    pub(super) fn seek(&mut self, partition: TopicPartition, next: Offset) {
        self.stop(|reading| *reading == partition);
        let credits = self.credits.entry(partition.clone()).or_insert_with(|| {
            let bell = self.bell.clone();
            Credits::new(CREDITS, move || bell.ring(false))
        });
        let credits = credits.clone();
        self.reading.push(Reading {
            partition,
            queue: None,
            retry_at: Instant::now(),
            start: next,
            next,
            credits,
            at_end: false,
            told: None,
        });
    }

    /// Stops reading some partitions.
    pub(super) fn stop(&mut self, which: impl Fn(&TopicPartition) -> bool) {
        self.reading.retain(|reading| !which(&reading.partition));
    }

    /// The next chunk of whichever partition's turn it is; `None` when nobody has one.
    pub(super) fn next_chunk(&mut self) -> Result<Option<Chunk>> {
        self.serve_events()?;
        let now = Instant::now();
        let glance = now.duration_since(self.glanced) >= GLANCE;
        if glance {
            self.glanced = now;
        }
        for _ in 0..self.reading.len() {
            self.turn = (self.turn + 1) % self.reading.len();
            let reading = &mut self.reading[self.turn];
            if reading.queue.is_none() && now >= reading.retry_at {
                reading.begin(&self.client, &self.admin, &self.bell)?;
            }
            if let Some(chunk) = reading.fetch(&mut self.batch, glance)? {
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }

    /// How long there is nothing to do unless the bell rings.
    pub(super) fn patience(&self) -> Duration {
        if self.reading.is_empty() { Duration::from_secs(1) } else { GLANCE }
    }

    /// Errors that belong to no partition: brokers that come and go are librdkafka's business, a broken client is ours.
    fn serve_events(&self) -> Result<()> {
        serve(&self.client, |error| match error {
            cause @ KafkaError::MessageConsumptionFatal(_) => {
                Err(fault::named("could not read from the brokers", cause))
            }
            _ => Ok(()),
        })
    }
}

impl Reading {
    /// Asks what is there, and starts fetching it.
    fn begin(&mut self, client: &BaseConsumer<Silent>, admin: &Admin, bell: &Arc<Bell>) -> Result<()> {
        let marks = match admin.watermarks(&self.partition) {
            Err(error) if error.reaction() == Reaction::Retry => {
                self.retry_at = Instant::now() + RETRY;
                return Ok(());
            }
            marks => marks?,
        };
        if self.next > marks.high {
            return Err(Error::Refused {
                what: format!(
                    "cannot read `{}` from offset {}: it ends at {}",
                    self.partition, self.next, marks.high
                ),
                remedy: "start from an offset that exists".to_owned(),
            });
        }
        // What was trimmed is a gap.
        self.start = marks.low.max(self.next);
        self.at_end = false;
        self.queue = Some(PartitionQueue::start(client.client(), &self.partition, self.start, bell)?);
        Ok(())
    }

    fn fetch(&mut self, batch: &mut MessageBatch, glance: bool) -> Result<Option<Chunk>> {
        // A credit that is taken and dropped rings the bell: it must not be taken just to look.
        if !self.credits.available() {
            return Ok(None);
        }
        let Some(queue) = &mut self.queue else { return Ok(None) };
        if !queue.is_filled() && (!self.at_end || (self.told.is_some() && !glance)) {
            return Ok(None);
        }
        let (from, start) = (self.next, self.start);
        let (mut records, mut offsets, mut trouble) = (Records::default(), Vec::new(), None);
        let (next, at_end) = (&mut self.next, &mut self.at_end);
        queue.take(batch, |fetched| match fetched {
            // After a seek librdkafka drops what it had; what stands before the position is of an older one.
            Fetched::Record(record) if record.offset < start || record.offset < *next => {}
            Fetched::Record(record) => {
                records.push(record.time, record.key, record.value, &record.headers);
                offsets.push(record.offset);
                *next = record.offset.next();
                *at_end = false;
            }
            Fetched::End(offset) => {
                *next = offset.max(*next);
                *at_end = true;
            }
            // Behind a damaged batch librdkafka reads on at a place that is none, and reports what it finds there: the first word counts.
            Fetched::Fault(code, text) => trouble = trouble.take().or(Some((code, text))),
        });
        let high = queue.high_watermark().unwrap_or_default().max(self.next);
        if let Some((code, text)) = trouble {
            self.meet(code, &text)?;
        }
        if records.is_empty() && (!self.at_end || (self.told == Some(high) && self.next == from)) {
            return Ok(None);
        }
        self.told = records.is_empty().then_some(high);
        let credit = self.credits.take();
        let chunk = Chunk::scattered(self.partition.clone(), from..self.next, offsets, records, high);
        Ok(credit.map(|credit| chunk.with_credit(credit)))
    }

    /// Judges why a partition cannot be read.
    fn meet(&mut self, code: RDKafkaErrorCode, text: &str) -> Result<()> {
        let partition = &self.partition;
        match code {
            // Trimmed under us, removed, made anew: what is there decides, when it is begun again.
            RDKafkaErrorCode::OffsetOutOfRange
            | RDKafkaErrorCode::AutoOffsetReset
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::UnknownTopicOrPartition => {
                self.queue = None;
                self.retry_at = Instant::now() + RESTART;
                Ok(())
            }
            RDKafkaErrorCode::TopicAuthorizationFailed => Err(Error::Refused {
                what: format!("the broker does not let us read `{}`", partition.topic),
                remedy: "allow READ on the topic to this user".to_owned(),
            }),
            // The last one is a format nobody writes: the batch's header is damaged, which no checksum covers.
            RDKafkaErrorCode::BadMessage
            | RDKafkaErrorCode::InvalidMessage
            | RDKafkaErrorCode::BadCompression
            | RDKafkaErrorCode::NotImplemented => {
                Err(Error::Corrupt { at: partition.at(self.next), detail: text.to_owned() })
            }
            // Leaders move, connections break: librdkafka goes on by itself.
            _ => Ok(()),
        }
    }
}
