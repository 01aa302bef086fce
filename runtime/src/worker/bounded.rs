//! Runs with an end (`--until-end`): which run this is, and when all of it is done.
//!
//! A run has a number, kept in every task's changelog with the ends of its inputs. Processes that resume or join a run find the
//! number there; one that starts after a run was finished by all tasks begins the next.

use std::time::Duration;

use tokio::time::Instant;
use tokio_stream::StreamExt;

use super::Worker;
use crate::changelog::{BoundedRun, progress_of};
use crate::error::Result;
use crate::log::{Event, Log, Offset, TopicPartition};
use crate::task::Phase;
use crate::topology::Topology;

/// How often a process that is done looks whether the others are: a tail of each changelog is read, which is cheap but not free.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// How far before a changelog's end the last whole commit is looked for at first.
const TAIL_OFFSETS: i64 = 8;

impl Worker<'_> {
    /// True when every task of the application has ended its part of this run, here or elsewhere.
    pub(super) async fn everything_is_done(&mut self) -> Result<bool> {
        let Some(run) = self.plan.bounded else { return Ok(false) };
        let here_is_done =
            self.tasks.values().all(|hosted| hosted.task.phase() == Phase::Ended && !hosted.touched);
        if !here_is_done {
            return Ok(false);
        }
        if self.checked_others.is_some_and(|at| at.elapsed() < CHECK_INTERVAL) {
            return Ok(false);
        }
        self.checked_others = Some(Instant::now());
        for number in (0..self.plan.partitions).filter(|number| !self.tasks.contains_key(number)) {
            let last = last_run(self.log.as_ref(), &self.plan.app, number).await?;
            // A task that is in a later run has finished this one.
            if !last.is_some_and(|last| last.number > run || (last.number == run && last.done)) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The number of the run to take part in: the latest one, unless all tasks have finished it.
pub(super) async fn run_number(log: &dyn Log, app: &str, partitions: u32) -> Result<u64> {
    let mut runs = Vec::new();
    for number in 0..partitions {
        runs.push(last_run(log, app, number).await?.unwrap_or_default());
    }
    let latest = runs.iter().map(|run| run.number).max().unwrap_or_default();
    let finished = runs.iter().all(|run| run.number == latest && (run.done || latest == 0));
    Ok(if finished { latest + 1 } else { latest })
}

/// The bounded run a task is in or was in last, read from the tail of its changelog.
async fn last_run(log: &dyn Log, app: &str, number: u32) -> Result<Option<BoundedRun>> {
    let changelog = TopicPartition::new(Topology::changelog_of(app), number);
    let mut back = TAIL_OFFSETS;
    loop {
        let ends = log.watermarks(&changelog)?;
        let from = ends.low.max(Offset(ends.high.0 - back));
        let mut progress = None;
        let mut reader = log.reader(256 * 1024)?;
        reader.seek(changelog.clone(), from)?;
        let mut position = from;
        while position < ends.high {
            let Some(event) = reader.next().await else { break };
            let Event::Chunk(chunk) = event? else { continue };
            for record in chunk.records() {
                let found = progress_of(&record.coordinates(), record.value().unwrap_or_default())?;
                progress = found.or(progress);
            }
            position = chunk.next;
        }
        if progress.is_some() || from == ends.low {
            return Ok(progress.and_then(|progress| progress.bounded));
        }
        back *= 8;
    }
}
