//! Writing a sequence of records into the log exactly once: what simulators and replays run on (law 12).
//!
//! The records come from an iterator that gives the same sequence every time. How many of them are written is committed in the same
//! transaction as the records, in a changelog of one partition; after a kill the sequence is made again, the written part is skipped,
//! and it goes on where it was. A passing fault ends at most a session: the records since the last known commit are kept, the next session
//! opens the same transactional id, reads from the changelog how far the log has come, and goes on from there, whatever became of
//! the commit in between. Broken by: a sequence that depends on anything but its parameters.
#![allow(clippy::disallowed_methods, reason = "the shell around the pure core: it may read the clock")]

mod sequence;
mod writer;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use self::sequence::Sequence;
use self::writer::{Filled, Writer, check_kept};
use crate::error::{Error, Reaction, Result};
use crate::log::Log;
use crate::notice::Notice;
use crate::patience::{Patience, with_causes};
use crate::time::EventTime;

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
    /// Told what a user should know while it runs: faults that are tried again.
    pub notice: Notice,
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

/// Writes what `records` gives and has not been written yet, until it ends or `stop` is ready. Passing faults are told to
/// `options.notice` and tried again for as long as they last.
///
/// # Errors
/// [`IngestError::Log`] when the log refuses or fails, [`IngestError::Source`] when the source does.
pub async fn ingest(
    log: Arc<dyn Log>,
    options: &IngestOptions,
    records: impl Iterator<Item = SourceItem>,
    stop: impl Future<Output = ()>,
) -> std::result::Result<Ingested, IngestError> {
    let mut stop = Box::pin(stop);
    let mut ingest = Ingest {
        log,
        options,
        sequence: Sequence::new(records),
        patience: Patience::new(format!("`{}`", options.app), options.notice.clone()),
        so_far: Ingested { before: 0, written: 0, finished: false },
        is_known: false,
        is_checked: false,
    };
    loop {
        match ingest.session(&mut stop).await {
            Ok(()) => break,
            Err(IngestError::Log(error)) => ingest.bear(error)?,
            Err(source) => return Err(source),
        }
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = ingest.patience.wait() => {}
        }
    }
    Ok(ingest.so_far)
}

/// What outlives a session.
struct Ingest<'a, I> {
    log: Arc<dyn Log>,
    options: &'a IngestOptions,
    sequence: Sequence<I>,
    patience: Patience,
    so_far: Ingested,
    /// How many were there before has been read from the log.
    is_known: bool,
    /// What is kept under the name has been found to be the position of a sequence.
    is_checked: bool,
}

impl<I: Iterator<Item = SourceItem>> Ingest<'_, I> {
    /// Writes until the end, a stop, or a fault.
    async fn session(
        &mut self,
        stop: &mut (impl Future<Output = ()> + Unpin),
    ) -> std::result::Result<(), IngestError> {
        let mut writer = tokio::select! {
            biased;
            () = &mut *stop => return Ok(()),
            opened = self.open() => opened?,
        };
        self.note(&writer);
        if writer.finished {
            return Ok(());
        }
        self.sequence.begin_at(writer.committed, &self.options.app)?;
        // What is written already is made again step by step: a long sequence must not be deaf to a stop meanwhile.
        while self.sequence.skip_towards(writer.committed) {
            tokio::select! {
                biased;
                () = &mut *stop => return Ok(()),
                () = tokio::task::yield_now() => {}
            }
        }
        let pace = Pace::new(self.options, writer.committed);
        let mut last_commit = Instant::now();
        loop {
            let filled = writer.fill(&mut self.sequence, pace.allowed(writer.position))?;
            let done = filled == Filled::End;
            if done
                || writer.pending_bytes() >= TRANSACTION_BYTES
                || last_commit.elapsed() >= self.options.commit_interval
            {
                writer.finished = done && self.sequence.has_ended();
                self.commit(&mut writer)?;
                last_commit = Instant::now();
            }
            if done {
                return self
                    .sequence
                    .take_failure()
                    .map_or(Ok(()), |failure| Err(IngestError::Source(failure)));
            }
            tokio::select! {
                biased;
                () = &mut *stop => return self.last_commit(&mut writer),
                () = pace.pause(writer.position) => {}
            }
        }
    }

    async fn open(&mut self) -> Result<Writer> {
        if !self.is_checked {
            check_kept(self.log.as_ref(), &self.options.app).await?;
            self.is_checked = true;
        }
        Writer::open(self.log.clone(), self.options).await
    }

    fn commit(&mut self, writer: &mut Writer) -> std::result::Result<(), IngestError> {
        writer.commit()?;
        self.sequence.confirm();
        self.patience.succeeded();
        self.note(writer);
        Ok(())
    }

    /// Commits before the end. What the log does not take now is written by the same command: it cannot be waited for.
    fn last_commit(&mut self, writer: &mut Writer) -> std::result::Result<(), IngestError> {
        match self.commit(writer) {
            Err(IngestError::Log(error)) if error.reaction() != Reaction::Stop => {
                let error = with_causes(&error);
                self.options
                    .notice
                    .say(format_args!("`{}` stops without its last commit: {error}", self.options.app));
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn note(&mut self, writer: &Writer) {
        if !std::mem::replace(&mut self.is_known, true) {
            self.so_far.before = writer.committed;
        }
        self.so_far.written = writer.committed.saturating_sub(self.so_far.before);
        self.so_far.finished = writer.finished;
        self.options.written.store(writer.committed, Ordering::Relaxed);
    }

    /// Takes a fault that may pass, and gives back one that does not.
    fn bear(&mut self, error: Error) -> Result<()> {
        match error.reaction() {
            Reaction::Stop => Err(error),
            Reaction::Release => Err(Error::Fenced {
                who: self.options.app.clone(),
                why: "another process writes under this name, or this one stood still for longer than its transaction timeout; \
                      the same command goes on from what is written"
                    .to_owned(),
            }),
            Reaction::Retry | Reaction::Restore => {
                self.patience.failed(&error);
                Ok(())
            }
        }
    }
}

/// The speed of writing.
struct Pace {
    started: Instant,
    rate_per_second: Option<u64>,
    /// Where it began: after an outage the clock goes on, and what was not written meanwhile is not made up for in a burst.
    from: u64,
}

impl Pace {
    /// How often a paced writer looks whether more is due: finer than an eye sees, coarser than a timer costs.
    const STEP: Duration = Duration::from_millis(10);

    fn new(options: &IngestOptions, from: u64) -> Pace {
        Pace { started: Instant::now(), rate_per_second: options.rate_per_second.map(u64::from), from }
    }

    /// How many records more are due, `position` being reached.
    fn allowed(&self, position: u64) -> u64 {
        let Some(rate) = self.rate_per_second else { return u64::MAX };
        let elapsed_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        (elapsed_ms.saturating_mul(rate) / 1_000).saturating_sub(position - self.from)
    }

    /// Waits until more is due. Without a rate it only lets other work of the thread happen.
    async fn pause(&self, position: u64) {
        if self.allowed(position) == 0 {
            tokio::time::sleep(Pace::STEP).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}
