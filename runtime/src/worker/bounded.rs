//! Runs with an end (`--until-end`): which run this is, and when all of it is done.
//!
//! A run has a number, kept in every task's changelog with the ends of its inputs. Processes that resume or join a run find the
//! number there; one that starts after a run was finished by all tasks begins the next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::Worker;
use crate::changelog::BoundedRun;
use crate::error::{Reaction, Result};
use crate::kept::Tails;
use crate::log::{Log, Offset, TopicPartition};
use crate::task::Phase;
use crate::topology::{Source, SourceKind, Topology};

/// How often a process that is done looks whether the others are: a tail of each changelog is read, which is cheap but not free.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

impl Worker<'_> {
    /// True when every task of the application has ended its part of this run, here or elsewhere. A log that cannot tell just now is
    /// asked again: nothing is lost by ending later.
    pub(super) async fn everything_is_done(&mut self) -> Result<bool> {
        let Some(run) = self.run.as_ref().map(|run| run.number) else { return Ok(false) };
        let here_is_done =
            self.tasks.values().all(|hosted| hosted.task.phase() == Phase::Ended && !hosted.touched);
        let checked = self.others.checked.is_some_and(|at| at.elapsed() < CHECK_INTERVAL);
        if !here_is_done || checked || !self.questions.is_due() {
            return Ok(false);
        }
        self.others.checked = Some(Instant::now());
        let elsewhere = (0..self.plan.partitions).filter(|number| !self.tasks.contains_key(number));
        match self.others.are_done(self.log.as_ref(), &self.plan.app, run, elsewhere).await {
            Err(error) if error.reaction() == Reaction::Retry => {
                self.questions.failed(&error);
                Ok(false)
            }
            answer => answer,
        }
    }
}

/// What is known of the tasks that are hosted elsewhere.
#[derive(Default)]
pub(super) struct Others {
    checked: Option<Instant>,
    /// Those that have ended their part of the run; they never begin it again.
    done: BTreeSet<u32>,
    tails: Tails,
}

impl Others {
    async fn are_done(
        &mut self,
        log: &dyn Log,
        app: &str,
        run: u64,
        numbers: impl Iterator<Item = u32>,
    ) -> Result<bool> {
        for number in numbers {
            if self.done.contains(&number) {
                continue;
            }
            let last = last_run(&mut self.tails, log, app, number).await?;
            // A task that is in a later run has finished this one.
            if !last.is_some_and(|last| last.number > run || (last.number == run && last.done)) {
                return Ok(false);
            }
            self.done.insert(number);
        }
        Ok(true)
    }
}

/// A run as a worker meets it at its start.
pub(super) struct Run {
    pub(super) number: u64,
    /// Where the inputs end now: the ends of every task that has not begun this run before.
    pub(super) ends: BTreeMap<TopicPartition, Offset>,
}

impl Run {
    pub(super) async fn find(log: &dyn Log, topology: &Topology, partitions: u32) -> Result<Run> {
        let number = run_number(log, &mut Tails::default(), topology.app(), partitions).await?;
        let names: Vec<&str> = topology.sources().iter().map(|source| source.topic.as_str()).collect();
        let topics = log.topics_of(&names)?;
        let mut ends = BTreeMap::new();
        // The ends of the streams are asked first. A record before them was in the log when the tables are asked, and so was everything that
        // was written before that record: read to their ends, the tables hold all it must be judged by. Asked the other way round, they might
        // miss what was written between the two questions (laws 5 and 18).
        let (streams, tables): (Vec<&Source>, Vec<&Source>) =
            topology.sources().iter().partition(|source| source.kind == SourceKind::Stream);
        for source in streams.into_iter().chain(tables) {
            let topic = topics.iter().find(|topic| topic.name == source.topic);
            let partitions = 0..topic.map_or(0, |topic| topic.partitions);
            let partitions: Vec<TopicPartition> =
                partitions.map(|partition| TopicPartition::new(source.topic.as_str(), partition)).collect();
            let marks = log.watermarks_of(&partitions)?;
            ends.extend(partitions.into_iter().zip(marks.iter().map(|marks| marks.high)));
        }
        Ok(Run { number, ends })
    }
}

/// The number of the run to take part in: the latest one, unless all tasks have finished it or one has gone on without an end.
async fn run_number(log: &dyn Log, tails: &mut Tails, app: &str, partitions: u32) -> Result<u64> {
    let mut runs = Vec::new();
    for number in 0..partitions {
        runs.push(last_run(tails, log, app, number).await?.unwrap_or_default());
    }
    let latest = runs.iter().map(|run| run.number).max().unwrap_or_default();
    let finished = runs.iter().all(|run| run.number == latest && (run.done || latest == 0));
    let left = runs.iter().any(|run| run.number == latest && run.left);
    Ok(if finished || left { latest + 1 } else { latest })
}

/// The bounded run a task is in or was in last.
async fn last_run(tails: &mut Tails, log: &dyn Log, app: &str, number: u32) -> Result<Option<BoundedRun>> {
    let changelog = TopicPartition::new(Topology::changelog_of(app), number);
    Ok(tails.last(log, &changelog).await?.and_then(|progress| progress.bounded))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::changelog::{Changelog, History, Progress};
    use crate::log::Outgoing;
    use crate::log::embedded::EmbeddedLog;
    use crate::time::EventTime;

    /// The run that follows when the tasks of an application stand as given: number, done, left.
    async fn next_run(tasks: [(u64, bool, bool); 3]) -> u64 {
        let directory = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(directory.path()).unwrap();
        log.create_topics(&Topology::own_topics("app", 3)).unwrap();
        let changelog: Arc<str> = Topology::changelog_of("app").into();
        let mut producer = log.producer("app").unwrap();
        for (partition, (number, done, left)) in (0..).zip(tasks) {
            if number == 0 {
                continue;
            }
            let mut outgoing = Outgoing::default();
            let bounded = Some(BoundedRun { number, ends: Vec::new(), done, left });
            let progress = Progress { bounded, ..Progress::default() };
            let blocks = outgoing.partition(&changelog, partition);
            Changelog::new(History(1)).append(&mut [], &progress, EventTime(0), blocks);
            producer.send(&mut outgoing).unwrap();
            producer.commit(None).unwrap();
        }
        run_number(&log, &mut Tails::default(), "app", 3).await.unwrap()
    }

    #[tokio::test]
    async fn an_unfinished_run_is_resumed_and_a_finished_or_left_one_is_not() {
        for (tasks, expected, why) in [
            ([(0, false, false); 3], 1, "nothing was there before"),
            ([(1, true, false); 3], 2, "all have finished"),
            ([(1, true, false), (1, false, false), (1, true, false)], 1, "one has not finished"),
            ([(2, true, false), (1, true, false), (0, false, false)], 2, "two have not begun"),
            ([(2, true, true), (2, false, true), (1, true, true)], 3, "a live run came in between"),
            ([(2, true, false), (2, false, true), (1, true, false)], 3, "a live run began in between"),
        ] {
            assert_eq!(next_run(tasks).await, expected, "{why}");
        }
    }
}
