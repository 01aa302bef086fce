//! The commit: one transaction for everything a step did, and the way back when it fails.

use tokio::time::Instant;

use super::{Hosted, Worker};
use crate::error::{Error, Reaction, Result};
use crate::fault_point;
use crate::log::{Coordinates, GroupOffsets, Offset, Receipt, TopicPartition};
use crate::patience::with_causes;
use crate::task::Phase;

/// How much output is gathered before it is handed to the producer: enough to make the hand-over cheap.
pub(super) const SEND_BYTES: usize = 256 * 1024;

/// How much an open transaction may hold: it is kept in memory until the commit, so this bounds a worker that catches up.
pub(super) const TRANSACTION_BYTES: usize = 4 << 20;

impl Worker<'_> {
    pub(super) fn send(&mut self) -> Result<()> {
        self.open_bytes += self.outgoing.size_bytes();
        self.producer.as_mut().ok_or_else(no_producer)?.send(&mut self.outgoing)
    }

    /// True if a commit shows something to somebody: a result, a dead letter, a late record, or that a task has ended its part of a bounded
    /// run. The changelog's blocks come only with the commit itself.
    pub(super) fn holds_results(&self) -> bool {
        let shows = |hosted: &Hosted| {
            hosted.task.holds_results() || hosted.touched && hosted.task.phase() == Phase::Ended
        };
        self.open_bytes > 0 || !self.outgoing.is_empty() || self.tasks.values().any(shows)
    }

    /// Commits what the tasks did since the last commit: outputs, changelog blocks, offsets. Does nothing when nothing happened.
    pub(super) fn commit(&mut self) -> Result<()> {
        match self.try_commit() {
            Ok(committed) => self.trim(committed),
            Err(error) => self.commit_failed(error),
        }
    }

    /// Commits before the end. What the log does not take now is done again at the next start: it cannot be waited for.
    pub(super) fn last_commit(&mut self) -> Result<()> {
        match self.try_commit() {
            Ok(committed) => self.trim(committed),
            Err(error) if error.reaction() == Reaction::Stop => Err(error),
            Err(error) => {
                let (id, error) = (self.transactional_id(), with_causes(&error));
                self.options.notice.say(format_args!(
                    "`{id}` stops without its last commit: {error}; what it held is done again at the next start"
                ));
                Ok(())
            }
        }
    }

    /// The transaction; what it makes superfluous in the changelogs.
    fn try_commit(&mut self) -> Result<Vec<Coordinates>> {
        let mut offsets: Vec<(TopicPartition, Offset)> = Vec::new();
        let mut committed = Vec::new();
        for (number, hosted) in &mut self.tasks {
            hosted.touched |= hosted.task.is_dirty();
            if hosted.touched {
                offsets.extend(hosted.task.prepare_commit(&mut self.outgoing));
                if let Some(copy) = &mut hosted.copy {
                    copy.stage(hosted.task.blocks_in(&mut self.outgoing));
                }
                committed.push(*number);
            }
        }
        if committed.is_empty() {
            return Ok(Vec::new());
        }
        let offsets = GroupOffsets {
            group: self.plan.app.clone(),
            membership: self.group.membership().cloned(),
            offsets,
        };
        self.meter.commit_begins();
        let outcome = self.send_and_commit(&offsets);
        self.meter.commit_ends(&outcome, &committed);
        let receipt = outcome?;
        fault_point::reached("after-commit");
        self.committed_at = Instant::now();
        self.patience.succeeded();
        let mut superfluous = Vec::new();
        for number in committed {
            let Some(hosted) = self.tasks.get_mut(&number) else { continue };
            hosted.touched = false;
            self.meter.task_committed(&hosted.task);
            let first = receipt.first_offsets.get(&hosted.task.changelog_partition());
            let first = first.ok_or_else(|| {
                Error::Defect(format!("a commit of task `{number}` wrote no changelog block"))
            })?;
            let before = hosted.task.committed(*first);
            self.write_copy(number, |copy| {
                copy.committed(*first)?;
                before.as_ref().map_or(Ok(()), |before| copy.trim(before.offset))
            });
            superfluous.extend(before);
        }
        Ok(superfluous)
    }

    fn send_and_commit(&mut self, offsets: &GroupOffsets) -> Result<Receipt> {
        let sent = self.send();
        self.open_bytes = 0;
        sent?;
        fault_point::reached("after-produce-before-commit");
        self.producer.as_mut().ok_or_else(no_producer)?.commit(Some(offsets))
    }

    fn trim(&self, superfluous: Vec<Coordinates>) -> Result<()> {
        for before in superfluous {
            match self.log.trim(&before.partition, before.offset) {
                // The next cycle trims as well. Nor are the others asked for: each might be long in failing.
                Err(error) if error.reaction() == Reaction::Retry => break,
                outcome => outcome?,
            }
        }
        Ok(())
    }

    /// A fence on our own id ends this session: whether a newer holder is behind it is asked then. Any other failure that is not final sends
    /// the tasks back to what is committed: those the group has given away meanwhile are reported as lost by the consumer. Commits that
    /// fail one after the other end the session too: between sessions there is time, and the tasks are not restored for nothing.
    fn commit_failed(&mut self, error: Error) -> Result<()> {
        match error.reaction() {
            Reaction::Stop => Err(error),
            Reaction::Release if self.fences_us(&error) => Err(error),
            Reaction::Release => self.abort(),
            Reaction::Retry | Reaction::Restore if self.patience.is_failing() => Err(error),
            Reaction::Retry => {
                self.patience.failed(&error);
                self.abort()
            }
            Reaction::Restore => {
                self.patience.failed(&error);
                // Opening the id again fences a request that is still on its way (law 8). Only here: opened for any other
                // reason, it would fence the newer instance that may have taken our place. If it cannot be opened, the session
                // ends, and the next one opens it before all else.
                self.producer = None;
                self.producer = Some(self.log.producer(&self.transactional_id())?);
                self.back_to_committed()
            }
        }
    }

    /// Gives up the open transaction: every task it holds something of goes back to what is committed.
    pub(super) fn abort(&mut self) -> Result<()> {
        fault_point::reached("in-abort");
        self.producer.as_mut().ok_or_else(no_producer)?.abort()?;
        self.back_to_committed()
    }

    fn back_to_committed(&mut self) -> Result<()> {
        self.outgoing.clear();
        self.open_bytes = 0;
        let touched: Vec<u32> =
            self.tasks.iter().filter(|(_, hosted)| hosted.touched).map(|(number, _)| *number).collect();
        for number in touched {
            self.begin_restore(number)?;
        }
        Ok(())
    }
}

fn no_producer() -> Error {
    Error::Defect("the worker has no producer".to_owned())
}
