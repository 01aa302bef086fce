//! The commit: one transaction for everything a step did, and the way back when it fails.

use super::Worker;
use crate::error::{Error, Reaction, Result};
use crate::log::{GroupOffsets, Offset, TopicPartition};

/// How much output is gathered before it is handed to the producer: enough to make the hand-over cheap.
pub(super) const SEND_BYTES: usize = 256 * 1024;

/// How much an open transaction may hold: it is kept in memory until the commit, so this bounds a worker that catches up.
pub(super) const TRANSACTION_BYTES: usize = 4 << 20;

impl Worker<'_> {
    pub(super) fn send(&mut self) -> Result<()> {
        self.open_bytes += self.outgoing.size_bytes();
        self.producer.send(&mut self.outgoing)
    }

    /// Commits what the tasks did since the last commit: outputs, changelog blocks, offsets. Does nothing when nothing happened.
    pub(super) fn commit(&mut self) -> Result<()> {
        let mut offsets: Vec<(TopicPartition, Offset)> = Vec::new();
        let mut committed = Vec::new();
        for (number, hosted) in &mut self.tasks {
            hosted.touched |= hosted.task.is_dirty();
            if hosted.touched {
                offsets.extend(hosted.task.prepare_commit(&mut self.outgoing));
                committed.push(*number);
            }
        }
        if committed.is_empty() {
            return Ok(());
        }
        let offsets = GroupOffsets {
            group: self.plan.app.clone(),
            membership: self.group.membership().cloned(),
            offsets,
        };
        let outcome = self.send().and_then(|()| self.producer.commit(Some(&offsets)));
        self.open_bytes = 0;
        let receipt = match outcome {
            Ok(receipt) => receipt,
            Err(error) => return self.commit_failed(error),
        };
        for number in committed {
            let Some(hosted) = self.tasks.get_mut(&number) else { continue };
            hosted.touched = false;
            let first = receipt.first_offsets.get(&hosted.task.changelog_partition());
            let first = first.ok_or_else(|| {
                Error::Defect(format!("a commit of task `{number}` wrote no changelog block"))
            })?;
            if let Some(before) = hosted.task.committed(*first) {
                match self.log.trim(&before.partition, before.offset) {
                    // The next cycle trims as well.
                    Err(error) if error.reaction() == Reaction::Retry => {}
                    outcome => outcome?,
                }
            }
        }
        Ok(())
    }

    /// A newer holder of our own id ends this worker. Any other failure that is not final sends the tasks back to what is committed:
    /// those the group has given away meanwhile are reported as lost by the consumer.
    fn commit_failed(&mut self, error: Error) -> Result<()> {
        let replaced = matches!(&error, Error::Fenced { who, .. } if *who == self.transactional_id());
        match error.reaction() {
            Reaction::Stop => Err(error),
            Reaction::Release if replaced => Err(error),
            Reaction::Release | Reaction::Retry => self.abort(),
            Reaction::Restore => {
                // Opening the id again fences a request that is still on its way (law 8). Only here: opened for any other
                // reason, it would fence the newer instance that may have taken our place.
                self.producer = self.log.producer(&self.transactional_id())?;
                self.back_to_committed()
            }
        }
    }

    /// Gives up the open transaction: every task it holds something of goes back to what is committed.
    pub(super) fn abort(&mut self) -> Result<()> {
        self.producer.abort()?;
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
