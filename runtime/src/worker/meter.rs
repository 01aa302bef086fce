//! What a worker notes about itself between two looks: plain numbers of its own, without a lock.
//!
//! It outlives the sessions of its worker. Promise: what is counted here never goes back while the process lives, and is counted when it
//! is committed. What a *task* did is counted in [`ledger`](super::ledger).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::ledger::Ledger;
use super::measure::{Histogram, Recent};
use crate::error::{Error, Result};
use crate::log::{Event, Receipt};
use crate::processor::Counters;
use crate::task::Task;

/// A worker as it saw itself at its last tick.
#[derive(Clone, Debug)]
pub struct WorkerStatus {
    /// `app.instance.worker`, as `groups` shows it.
    pub name: Arc<str>,
    /// When it started.
    pub started: SystemTime,
    /// How often it ticks.
    pub commit_interval: Duration,
    /// How it stands to its group.
    pub standing: Standing,
    /// What it asks for again and again while its records wait: a schema, where a table ends.
    pub unanswered: Option<String>,
    /// When it last looked after its tasks.
    pub ticked: Instant,
    /// When it last committed something.
    pub committed: Option<SystemTime>,
    /// How long commits took that were made.
    pub commits: Histogram,
    /// The same lately, in nanoseconds.
    pub recent_commits: Recent,
    /// Commits that were not made, or nobody knows.
    pub failed_commits: FailedCommits,
    /// Sessions that a passing fault ended.
    pub failed_sessions: u64,
    /// Chunks of input it was given.
    pub polls: u64,
    /// The same lately, in records.
    pub recent_polls: Recent,
    /// Steps of work lately, in nanoseconds.
    pub recent_work: Recent,
    /// Committed records lately.
    pub recent_records: Recent,
    /// Offsets of changelogs that were restored lately.
    pub recent_restored: Recent,
    /// How long it waited for something to do.
    pub waited: Duration,
    /// How often it took up a task, anew after a failed commit included.
    pub tasks_created: u64,
    /// How often it let go of one.
    pub tasks_closed: u64,
}

impl WorkerStatus {
    /// A worker that starts now.
    #[must_use]
    pub fn new(name: &str, commit_interval: Duration) -> WorkerStatus {
        WorkerStatus {
            name: name.into(),
            started: SystemTime::now(),
            commit_interval,
            standing: Standing::Outside(None),
            unanswered: None,
            ticked: Instant::now(),
            committed: None,
            commits: Histogram::default(),
            recent_commits: Recent::default(),
            failed_commits: FailedCommits::default(),
            failed_sessions: 0,
            polls: 0,
            recent_polls: Recent::default(),
            recent_work: Recent::default(),
            recent_records: Recent::default(),
            recent_restored: Recent::default(),
            waited: Duration::ZERO,
            tasks_created: 0,
            tasks_closed: 0,
        }
    }
}

/// How a worker stands to its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not in it: it has not joined yet, or a passing fault, which is tried again, ended its session.
    Outside(Option<String>),
    /// It has joined, or lost what it had, and has not been told yet what is its.
    Waiting,
    /// The group has told it what is its: its tasks, or that there are none for it.
    Member,
}

/// Commits that were not made, by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FailedCommits {
    /// Nobody knows whether they were made; the tasks went back to what is there (law 8).
    pub unknown: u64,
    /// Refused, because the task or the worker's id belongs to another now.
    pub fenced: u64,
    /// Not made, for any other reason.
    pub failed: u64,
}

/// A worker's own notes.
pub(super) struct Meter {
    pub(super) number: u32,
    pub(super) status: WorkerStatus,
    ledgers: BTreeMap<u32, Ledger>,
    /// Since when it waits, or works.
    moment: Instant,
    /// When the commit under way began.
    commit_begun: Instant,
    /// How much of the work under way was commits.
    committing: Duration,
}

impl Meter {
    pub(super) fn new(name: &str, number: u32, commit_interval: Duration) -> Meter {
        let now = Instant::now();
        Meter {
            number,
            status: WorkerStatus::new(name, commit_interval),
            ledgers: BTreeMap::new(),
            moment: now,
            commit_begun: now,
            committing: Duration::ZERO,
        }
    }

    /// A session has begun: it has joined the group.
    pub(super) fn joined(&mut self) {
        (self.moment, self.committing) = (Instant::now(), Duration::ZERO);
        self.status.standing = Standing::Waiting;
    }

    /// A passing fault ended the session, or kept it from beginning.
    pub(super) fn left(&mut self, fault: Option<&str>) {
        self.status.standing = Standing::Outside(fault.map(str::to_owned));
        self.status.unanswered = None;
        self.status.failed_sessions += 1;
    }

    /// From here on it waits for something to do.
    pub(super) fn waits(&mut self) {
        let now = Instant::now();
        let worked = now.saturating_duration_since(self.moment).saturating_sub(self.committing);
        self.status.recent_work.note(now, 1, as_ns(worked), as_ns(worked));
        (self.moment, self.committing) = (now, Duration::ZERO);
    }

    /// From here on it works.
    pub(super) fn works(&mut self) {
        let now = Instant::now();
        self.status.waited += now.saturating_duration_since(self.moment);
        self.moment = now;
    }

    /// Takes note of what the group's consumer has told.
    pub(super) fn heard(&mut self, event: &Event) {
        match event {
            Event::Assigned(_) => self.status.standing = Standing::Member,
            Event::Lost(_) => self.status.standing = Standing::Waiting,
            Event::Revoked(_) => {}
            Event::Chunk(chunk) => {
                let records = chunk.len() as u64;
                self.status.polls += 1;
                // When this stretch of work began is when the chunk came: no need to ask the clock again.
                self.status.recent_polls.note(self.moment, 1, records, records);
            }
        }
    }

    pub(super) fn commit_begins(&mut self) {
        self.commit_begun = Instant::now();
    }

    /// The commit of what `tasks` did has ended.
    pub(super) fn commit_ends(&mut self, outcome: &Result<Receipt>, tasks: &[u32]) {
        let now = Instant::now();
        let took = now.saturating_duration_since(self.commit_begun);
        self.committing += took;
        let failed = &mut self.status.failed_commits;
        match outcome {
            Ok(_) => {
                self.status.committed = Some(SystemTime::now());
                self.status.commits.note(took);
                self.status.recent_commits.note(now, 1, as_ns(took), as_ns(took));
            }
            Err(Error::UnknownOutcome { .. }) => {
                failed.unknown += 1;
                tasks.iter().for_each(|number| self.ledger(*number).doubt());
            }
            Err(Error::Fenced { .. }) => failed.fenced += 1,
            Err(_) => failed.failed += 1,
        }
    }

    /// A task is taken up, or built anew because its last commit failed.
    pub(super) fn task_created(&mut self, number: u32) {
        self.status.tasks_created += 1;
        // Shown while it is 0 still: a rate needs to see where a counter begins.
        self.ledger(number).changed = true;
    }

    pub(super) fn task_closed(&mut self, number: u32) {
        self.status.tasks_closed += 1;
        self.ledger(number).closed();
    }

    /// `offsets` more of a task's changelog are read.
    pub(super) fn restored_offsets(&mut self, number: u32, offsets: i64) {
        let offsets = u64::try_from(offsets).unwrap_or_default();
        self.ledger(number).read(offsets);
        self.status.recent_restored.note(self.moment, offsets, 0, 0);
    }

    /// A task's changelog is read to its end: its counters begin here.
    pub(super) fn task_restored(&mut self, number: u32, counters: &Counters) {
        self.ledger(number).restored(counters);
    }

    /// What the task did until now is committed.
    pub(super) fn task_committed(&mut self, task: &Task) {
        let ledger = self.ledger(task.number());
        let before = ledger.processed();
        ledger.committed(task.counters());
        ledger.wrote(task.changelog_bytes());
        let processed = ledger.processed() - before;
        self.status.recent_records.note(self.moment, processed, 0, 0);
    }

    /// The ledgers that changed since this was last asked.
    pub(super) fn changed_ledgers(&mut self) -> impl Iterator<Item = (u32, &Ledger)> {
        self.ledgers.iter_mut().filter_map(|(number, ledger)| {
            let changed = std::mem::take(&mut ledger.changed);
            changed.then_some((*number, &*ledger))
        })
    }

    fn ledger(&mut self, number: u32) -> &mut Ledger {
        self.ledgers.entry(number).or_default()
    }
}

fn as_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(processed: u64) -> Counters {
        let mut counters = Counters::default();
        counters.add("processed", processed);
        counters
    }

    fn meter() -> Meter {
        Meter::new("a.0.0", 0, Duration::ZERO)
    }

    fn unknown() -> Result<Receipt> {
        Err(Error::UnknownOutcome { transactional_id: "a.0.0".to_owned(), cause: "lost".into() })
    }

    #[test]
    fn a_commit_nobody_knew_of_counts_when_the_restore_shows_it() {
        let mut meter = meter();
        for number in [3, 4] {
            meter.task_created(number);
            meter.task_restored(number, &counters(10));
        }
        meter.commit_begins();
        meter.commit_ends(&unknown(), &[3]);
        meter.task_created(3);
        // Task 4 was not part of it: it is given away and comes back, while the other is still being restored.
        meter.task_closed(4);
        meter.task_created(4);
        meter.commit_begins();
        meter.commit_ends(&Ok(Receipt::default()), &[]);
        meter.task_restored(3, &counters(15));
        meter.task_restored(4, &counters(99));
        let counts = |meter: &Meter| [3, 4].map(|number| meter.ledgers[&number].processed());
        assert_eq!(counts(&meter), [5, 0]);
        meter.task_restored(3, &counters(99));
        assert_eq!(counts(&meter), [5, 0], "that was somebody else");
        assert_eq!(meter.status.failed_commits, FailedCommits { unknown: 1, fenced: 0, failed: 0 });
        assert_eq!(meter.status.commits.count(), 1);
    }

    #[test]
    fn a_worker_is_a_member_once_the_group_has_told_it_what_is_its() {
        let mut meter = meter();
        let mut after = |step: &dyn Fn(&mut Meter)| {
            step(&mut meter);
            meter.status.standing.clone()
        };
        assert_eq!(after(&|_| {}), Standing::Outside(None));
        assert_eq!(after(&Meter::joined), Standing::Waiting);
        assert_eq!(after(&|meter| meter.heard(&Event::Assigned(Vec::new()))), Standing::Member);
        assert_eq!(
            after(&|meter| meter.heard(&Event::Revoked(Vec::new()))),
            Standing::Member,
            "it stays one"
        );
        assert_eq!(after(&|meter| meter.heard(&Event::Lost(Vec::new()))), Standing::Waiting);
        assert_eq!(after(&|meter| meter.left(Some("away"))), Standing::Outside(Some("away".to_owned())));
    }
}
