//! Writing a sequence of records into the log exactly once: what simulators and replays run on (law 12).
//!
//! The records come from an iterator that gives the same sequence every time. How many of them are written is committed in the same
//! transaction as the records, in a changelog of one partition; after a kill the sequence is made again, the written part is skipped,
//! and it goes on where it was. Broken by: a sequence that depends on anything but its parameters.
#![allow(clippy::disallowed_methods, reason = "the shell around the pure core: it may read the clock")]

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::changelog::{BoundedRun, Changelog, Progress, Restore};
use crate::error::{Error, Result};
use crate::log::{
    Cleanup, Log, Offset, Outgoing, Producer, TopicPartition, TopicSpec, partition_for, read_range,
};
use crate::time::EventTime;
use crate::topology::Topology;

/// How much one transaction may hold; it is kept in memory until the commit.
const TRANSACTION_BYTES: usize = 1 << 20;

/// How many records one step of the loop takes: few enough to notice a stop at once, many enough that the loop costs nothing.
const STEP_RECORDS: u64 = 1_000;

/// A record to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestRecord {
    /// The topic it goes to.
    pub topic: Arc<str>,
    /// Its key, which chooses the partition; without one it goes to partition 0.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its event time.
    pub time: EventTime,
}

/// How to write.
#[derive(Clone, Debug)]
pub struct IngestOptions {
    /// The application's name: it names the changelog and the transactional id.
    pub app: String,
    /// What the sequence depends on; kept with the position, and another value under the same name is refused.
    pub parameters: String,
    /// Records per second; as fast as the log takes them if `None`.
    pub rate_per_second: Option<u32>,
    /// How often a commit is made.
    pub commit_interval: Duration,
    /// Counts the records committed so far, earlier runs included.
    pub written: Arc<AtomicU64>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ingested {
    /// Records that were there from earlier runs.
    pub before: u64,
    /// Records this run wrote.
    pub written: u64,
    /// The whole sequence is in the log.
    pub finished: bool,
}

/// Why it ended early.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The log's doing.
    #[error(transparent)]
    Log(#[from] Error),
    /// The source's: everything before the faulty record is written.
    #[error("{0}")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// One record of the source, or why there is none.
pub type SourceItem = std::result::Result<IngestRecord, Box<dyn std::error::Error + Send + Sync>>;

/// Writes what `records` gives and has not been written yet, until it ends or `stop` is ready.
///
/// # Errors
/// [`IngestError::Log`] when the log refuses or fails, [`IngestError::Source`] when the source does.
pub async fn ingest(
    log: Arc<dyn Log>,
    options: &IngestOptions,
    records: impl Iterator<Item = SourceItem>,
    stop: impl Future<Output = ()>,
) -> std::result::Result<Ingested, IngestError> {
    let mut writer = Writer::open(log, options).await?;
    let before = writer.position;
    options.written.store(before, Ordering::Relaxed);
    if writer.finished {
        return Ok(Ingested { before, written: 0, finished: true });
    }
    let mut records = records;
    let mut stop = Box::pin(stop);
    let nothing = Ingested { before, written: 0, finished: false };
    // What is written already is made again step by step: a long sequence must not be deaf to a stop meanwhile.
    let mut skipped = 0;
    while skipped < before {
        let step = STEP_RECORDS.min(before - skipped);
        records.by_ref().take(usize::try_from(step).unwrap_or(usize::MAX)).for_each(drop);
        skipped += step;
        tokio::select! {
            biased;
            () = &mut stop => return Ok(nothing),
            () = tokio::task::yield_now() => {}
        }
    }
    let pace = Pace::new(options);
    let mut last_commit = Instant::now();
    loop {
        let outcome = writer.fill(&mut records, pace.allowed(writer.position - before));
        let done = !matches!(outcome, Ok(Filled::More));
        if done
            || writer.pending_bytes() >= TRANSACTION_BYTES
            || last_commit.elapsed() >= options.commit_interval
        {
            writer.finished = matches!(outcome, Ok(Filled::End));
            writer.commit()?;
            last_commit = Instant::now();
        }
        if done {
            outcome?;
            break;
        }
        tokio::select! {
            biased;
            () = &mut stop => {
                writer.commit()?;
                break;
            }
            () = pace.pause(writer.position - before) => {}
        }
    }
    Ok(Ingested { before, written: writer.position - before, finished: writer.finished })
}

/// The speed of writing.
struct Pace {
    started: Instant,
    rate_per_second: Option<u64>,
}

impl Pace {
    /// How often a paced writer looks whether more is due: finer than an eye sees, coarser than a timer costs.
    const STEP: Duration = Duration::from_millis(10);

    fn new(options: &IngestOptions) -> Pace {
        Pace { started: Instant::now(), rate_per_second: options.rate_per_second.map(u64::from) }
    }

    fn allowed(&self, written: u64) -> u64 {
        let Some(rate) = self.rate_per_second else { return u64::MAX };
        let elapsed_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        (elapsed_ms.saturating_mul(rate) / 1_000).saturating_sub(written)
    }

    /// Waits until more is due. Without a rate it only lets other work of the thread happen.
    async fn pause(&self, written: u64) {
        if self.allowed(written) == 0 {
            tokio::time::sleep(Pace::STEP).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}

#[derive(PartialEq, Eq)]
enum Filled {
    More,
    End,
}

struct Writer {
    log: Arc<dyn Log>,
    app: String,
    parameters: String,
    producer: Box<dyn Producer>,
    changelog: Changelog,
    changelog_topic: Arc<str>,
    partitions: HashMap<Arc<str>, u32>,
    outgoing: Outgoing,
    position: u64,
    committed: u64,
    finished: bool,
    latest: EventTime,
    written: Arc<AtomicU64>,
}

impl Writer {
    async fn open(log: Arc<dyn Log>, options: &IngestOptions) -> Result<Writer> {
        let name = Topology::changelog_of(&options.app);
        log.create_topics(&[TopicSpec { name: name.clone(), partitions: 1, cleanup: Cleanup::Delete }])?;
        // The id first: it ends a former self, so that what is read next is final.
        let producer = log.producer(&options.app)?;
        let restored = restore(log.as_ref(), &name).await?;
        let (progress, changelog) = restored.unwrap_or_default();
        let is_new = progress == Progress::default();
        if !is_new && progress.parameters != options.parameters {
            return Err(Error::Refused {
                what: format!(
                    "`{}` was started with `{}` before, and now with `{}`",
                    options.app, progress.parameters, options.parameters
                ),
                remedy: format!(
                    "choose another `--app`, or `tidegate reset --app {}` to write it again",
                    options.app
                ),
            });
        }
        let position = progress.inputs.first().map_or(0, |(_, _, offset)| offset.0);
        let position = u64::try_from(position).unwrap_or_default();
        Ok(Writer {
            log,
            app: options.app.clone(),
            parameters: options.parameters.clone(),
            producer,
            changelog,
            changelog_topic: name.into(),
            partitions: HashMap::new(),
            outgoing: Outgoing::default(),
            position,
            committed: position,
            finished: progress.bounded.is_some_and(|run| run.done),
            latest: progress.clock.now().unwrap_or_default(),
            written: options.written.clone(),
        })
    }

    fn pending_bytes(&self) -> usize {
        self.outgoing.size_bytes()
    }

    /// Takes up to `allowed` records, or as many as one step of the loop should.
    fn fill(
        &mut self,
        records: &mut impl Iterator<Item = SourceItem>,
        allowed: u64,
    ) -> std::result::Result<Filled, IngestError> {
        for _ in 0..allowed.min(STEP_RECORDS) {
            let Some(record) = records.next() else { return Ok(Filled::End) };
            let record = record.map_err(IngestError::Source)?;
            let partitions = self.partitions_of(&record.topic)?;
            let partition = record.key.as_deref().map_or(0, |key| partition_for(key, partitions));
            let to = self.outgoing.partition(&record.topic, partition);
            to.push(record.time, record.key.as_deref(), record.value.as_deref(), &[]);
            self.latest = self.latest.max(record.time);
            self.position += 1;
        }
        Ok(Filled::More)
    }

    fn partitions_of(&mut self, topic: &Arc<str>) -> Result<u32> {
        if let Some(known) = self.partitions.get(topic) {
            return Ok(*known);
        }
        let found = self.log.topic(topic)?.ok_or_else(|| Error::UnknownTopic(topic.to_string()))?;
        self.partitions.insert(topic.clone(), found.partitions);
        Ok(found.partitions)
    }

    fn commit(&mut self) -> Result<()> {
        if self.position == self.committed && !self.finished {
            return Ok(());
        }
        let position = i64::try_from(self.position).unwrap_or(i64::MAX);
        let mut progress = Progress {
            parameters: self.parameters.clone(),
            inputs: vec![(self.app.clone(), 0, Offset(position))],
            bounded: Some(BoundedRun { number: 1, done: self.finished, ..BoundedRun::default() }),
            ..Progress::default()
        };
        progress.clock.observe(self.latest);
        let blocks = self.outgoing.partition(&self.changelog_topic, 0);
        self.changelog.append(&mut [], &progress, self.latest, blocks);
        self.producer.send(&mut self.outgoing)?;
        let receipt = self.producer.commit(None)?;
        self.committed = self.position;
        self.written.store(self.position, Ordering::Relaxed);
        let partition = TopicPartition::new(self.changelog_topic.clone(), 0);
        if let Some(first) = receipt.first_offsets.get(&partition)
            && let Some(before) = self.changelog.committed(*first)
        {
            self.log.trim(&partition, before)?;
        }
        Ok(())
    }
}

async fn restore(log: &dyn Log, changelog: &str) -> Result<Option<(Progress, Changelog)>> {
    let partition = TopicPartition::new(changelog, 0);
    let ends = log.watermarks(&partition)?;
    let mut restore = Restore::default();
    read_range(log, &partition, ends.low, ends.high, |chunk| {
        chunk.records().try_for_each(|record| {
            restore.apply(&record.coordinates(), record.value().unwrap_or_default(), &mut [])
        })
    })
    .await?;
    restore.finish(&partition.at(ends.high), &mut [])
}
