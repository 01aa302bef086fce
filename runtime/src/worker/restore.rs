//! The restore: a task's state from the log, or from the copy on this machine and what the log has behind it.
//!
//! Promise: what a task begins with is the state of the last commit in the log, wherever most of it was read. A copy is only read when the
//! log still has its last block in its place: blocks are never told twice (see [`BlockId`](crate::changelog::BlockId)), so that it is then
//! a copy of what stands before. Otherwise (a reset, an owner elsewhere that trimmed beyond it, a damaged disk) it is cleared, and
//! the changelog is read from its beginning.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::iter::once;

use super::local_copy::{LocalCopy, Replay};
use super::{Hosted, Worker};
use crate::changelog::{BlockId, block_id};
use crate::draw;
use crate::error::{Error, Result};
use crate::fault_point;
use crate::kept::refuse_emptied;
use crate::log::{Chunk, Offset, TopicPartition, Watermarks};
use crate::task::{Phase, Task, TaskBuilder};

/// How much of a copy is read before records have their turn: a chunk or so.
const COPY_TURN_BYTES: usize = 256 * 1024;

/// Where a task's state comes from while it is restored.
pub(super) enum StateFrom {
    /// The changelog in the log.
    Log,
    /// The copy, if the log has its last block: that is read first.
    CopyIfContinued(BlockId),
    /// The copy, and then the log.
    Copy(Replay),
    /// What the log has behind the copy.
    LogBehindCopy,
}

impl Hosted {
    /// How much of its changelog is still to be read, in the copy or in the log.
    pub(super) fn restore_left(&self) -> i64 {
        let at = match &self.from {
            StateFrom::Log | StateFrom::LogBehindCopy => self.restored_to,
            StateFrom::CopyIfContinued(_) => self.copy.as_ref().map_or(self.restored_to, LocalCopy::start),
            StateFrom::Copy(replay) => replay.at(),
        };
        self.restore_end.since(at).max(0)
    }
}

/// A task whose copy is being read.
pub(super) fn unread_copy(tasks: &BTreeMap<u32, Hosted>) -> Option<u32> {
    let unread = |hosted: &Hosted| matches!(hosted.from, StateFrom::Copy(_));
    tasks.iter().find(|(_, hosted)| unread(hosted)).map(|(number, _)| *number)
}

impl Worker<'_> {
    /// Builds the task anew and reads its state as of where its changelog ends now.
    pub(super) fn begin_restore(&mut self, number: u32) -> Result<()> {
        let kept = self.tasks.get_mut(&number).and_then(|hosted| hosted.copy.take());
        let copy = kept.or_else(|| self.open_copy(number));
        self.begin_restore_with(number, copy)
    }

    fn begin_restore_with(&mut self, number: u32, copy: Option<LocalCopy>) -> Result<()> {
        let task = self.new_task(number)?;
        let changelog = task.changelog_partition();
        let watermarks = self.log.watermarks(&changelog)?;
        let hosted = Hosted {
            task,
            from: StateFrom::Log,
            copy,
            restore_end: watermarks.high,
            restored_to: watermarks.low,
            touched: false,
            idle: None,
            shown_bytes: None,
            table_wait: None,
        };
        self.meter.task_created(number);
        self.tasks.insert(number, hosted);
        let from = self.begin_with_copy(number, watermarks);
        self.side.seek(changelog, from);
        Ok(())
    }

    /// Where the log is read from first: in the place of the copy's last block if there still is something in it, else from its beginning.
    fn begin_with_copy(&mut self, number: u32, watermarks: Watermarks) -> Offset {
        let mut last = None;
        self.write_copy(number, |copy| {
            let can_go_on =
                |(offset, _): &(Offset, BlockId)| (watermarks.low..watermarks.high).contains(offset);
            last = copy.find_last()?.filter(can_go_on);
            if last.is_none() { copy.clear() } else { Ok(()) }
        });
        let (Some((offset, id)), Some(hosted)) = (last, self.tasks.get_mut(&number)) else {
            return watermarks.low;
        };
        hosted.from = StateFrom::CopyIfContinued(id);
        hosted.restored_to = offset;
        offset
    }

    fn open_copy(&self, number: u32) -> Option<LocalCopy> {
        let directory = self.options.state_directory.as_ref()?.join(number.to_string());
        // Held by somebody who has not noticed yet that the task is not theirs any more: this time it goes without.
        LocalCopy::open(&directory).unwrap_or_else(|error| {
            self.say_without_copy(number, &directory.display(), &error);
            None
        })
    }

    fn new_task(&self, number: u32) -> Result<Task> {
        let builder = TaskBuilder {
            topology: self.topology,
            tasks: self.plan.partitions,
            sinks: &self.plan.sinks,
            parameters: &self.plan.parameters,
            identity: &self.plan.identity,
            environment: &self.environment(),
            error_budget: self.options.error_budget,
            history: draw::history()?,
        };
        builder.build(number, |topic| {
            let found = self.log.topic(topic)?;
            Ok(found.ok_or_else(|| Error::UnknownTopic(topic.to_owned()))?.partitions)
        })
    }

    pub(super) fn take_changelog(&mut self, chunk: &Chunk) -> Result<()> {
        let number = chunk.partition.partition;
        let Some(hosted) = self.tasks.get_mut(&number) else { return Ok(()) };
        // One from further on was fetched for an earlier restore.
        if hosted.task.phase() != Phase::Restoring || chunk.from > hosted.restored_to {
            return Ok(());
        }
        match hosted.from {
            StateFrom::Log | StateFrom::LogBehindCopy => {
                let outcome = self.take_blocks(number, chunk);
                self.or_without_copy(number, outcome)
            }
            StateFrom::CopyIfContinued(id) => self.take_proof(number, chunk, id),
            // Fetched before the copy's turn began: it comes again.
            StateFrom::Copy(_) => Ok(()),
        }
    }

    /// The log's block in the place of the copy's last one.
    fn take_proof(&mut self, number: u32, chunk: &Chunk, expected: BlockId) -> Result<()> {
        let Some(hosted) = self.tasks.get_mut(&number) else { return Ok(()) };
        let Some(copy) = &hosted.copy else { return Ok(()) };
        let last = hosted.restored_to;
        if chunk.next <= last {
            return Ok(());
        }
        let found = chunk.records().find(|record| record.offset() == last);
        if found.and_then(|record| block_id(record.value().unwrap_or_default())) != Some(expected) {
            return self.restore_from_log(number);
        }
        // What comes after it is asked for when the copy is read: that may take long, and chunks that wait cost memory. Mostly nothing does
        // but the end of its transaction.
        self.side.release(vec![chunk.partition.clone()]);
        hosted.from = StateFrom::Copy(copy.replay());
        let is_last = chunk.records().all(|record| record.offset() <= last);
        hosted.restored_to = if is_last { chunk.next } else { last.next() };
        Ok(())
    }

    /// Reads more of a task's copy.
    pub(super) fn read_copy(&mut self, number: u32) -> Result<()> {
        let Some(hosted) = self.tasks.get_mut(&number) else { return Ok(()) };
        let StateFrom::Copy(replay) = &mut hosted.from else { return Ok(()) };
        match read_turn(replay, &mut hosted.task) {
            Ok(Turn::More) => Ok(()),
            Ok(Turn::End) => {
                hosted.from = StateFrom::LogBehindCopy;
                let changelog = hosted.task.changelog_partition();
                if hosted.restored_to >= hosted.restore_end {
                    let outcome = self.take_end(number, &changelog);
                    return self.or_without_copy(number, outcome);
                }
                self.side.seek(changelog, hosted.restored_to);
                Ok(())
            }
            Err(failure) => self.without_copy(number, &failure.to_string()),
        }
    }

    /// The copy has turned out to be none.
    fn without_copy(&mut self, number: u32, why: &str) -> Result<()> {
        self.options.notice.say(format_args!(
            "the copy of task `{number}` of `{}` on this machine cannot be read: {why}; its state is read from the log instead",
            self.plan.app
        ));
        self.restore_from_log(number)
    }

    /// The copy is of no use: without it, from the beginning. Where it cannot be cleared it is not opened again either.
    fn restore_from_log(&mut self, number: u32) -> Result<()> {
        self.write_copy(number, LocalCopy::clear);
        let cleared = self.tasks.get_mut(&number).and_then(|hosted| hosted.copy.take());
        self.begin_restore_with(number, cleared)
    }

    /// What a state does not fit together with is the copy as long as some of it is from there: the log is not called damaged before it
    /// was read alone.
    fn or_without_copy(&mut self, number: u32, outcome: Result<()>) -> Result<()> {
        let is_behind_copy =
            self.tasks.get(&number).is_some_and(|hosted| matches!(hosted.from, StateFrom::LogBehindCopy));
        match outcome {
            Err(Error::Corrupt { .. }) if is_behind_copy => self.without_copy(number, "it is not whole"),
            outcome => outcome,
        }
    }

    fn take_blocks(&mut self, number: u32, chunk: &Chunk) -> Result<()> {
        let Some(hosted) = self.tasks.get_mut(&number) else { return Ok(()) };
        let new = |offset: &Offset| *offset >= hosted.restored_to;
        let first = chunk.records().map(|record| record.offset()).find(new);
        if first.is_some_and(|first| first > hosted.restored_to)
            && self.log.watermarks(&chunk.partition)?.low > hosted.restored_to
        {
            // A former owner's last trim came in between: nothing that is needed is gone, but the reading starts anew.
            return self.begin_restore(number);
        }
        let from = hosted.restored_to;
        let blocks = || {
            let records = chunk.records().filter(|record| record.offset() >= from);
            records.map(|record| (record.offset(), record.value().unwrap_or_default()))
        };
        hosted.task.restore(blocks())?;
        self.meter.restored_offsets(number, chunk.next.since(from));
        hosted.restored_to = from.max(chunk.next);
        self.write_copy(number, |copy| copy.append(blocks()));
        if !chunk.is_empty() {
            fault_point::reached("in-restore");
        }
        if self.tasks.get(&number).is_some_and(|hosted| hosted.restored_to >= hosted.restore_end) {
            return self.take_end(number, &chunk.partition);
        }
        Ok(())
    }

    /// What has been read may be all there is.
    fn take_end(&mut self, number: u32, changelog: &TopicPartition) -> Result<()> {
        let Some(hosted) = self.tasks.get_mut(&number) else { return Ok(()) };
        // The offsets first, then the end of the changelog: if these are somebody else's by now, because the group has given the task
        // away and we have not heard of it yet, then what was committed with them stands before that end, and it is no contradiction.
        let committed = self.log.committed(&self.plan.app)?;
        let (end, marks) = (hosted.restored_to, self.log.watermarks(changelog)?);
        if end < marks.high {
            hosted.restore_end = marks.high;
            self.side.seek(changelog.clone(), end);
            return Ok(());
        }
        if !hosted.task.has_state() {
            refuse_emptied(&self.plan.app, changelog, marks.low)?;
        }
        self.side.release(vec![changelog.clone()]);
        self.begin_processing(number, end, &committed)
    }

    /// Does something to a task's copy, if it has one. A disk that refuses costs the copy and nothing else.
    pub(super) fn write_copy(&mut self, number: u32, write: impl FnOnce(&mut LocalCopy) -> io::Result<()>) {
        let Some(hosted) = self.tasks.get_mut(&number) else { return };
        let Some(copy) = &mut hosted.copy else { return };
        let Err(error) = write(copy) else { return };
        let directory = copy.directory().to_owned();
        // It may be the disk that is full.
        let _ = copy.clear();
        hosted.copy = None;
        self.say_without_copy(number, &directory.display(), &error);
    }

    fn say_without_copy(&self, number: u32, directory: &dyn Display, error: &io::Error) {
        self.options.notice.say(format_args!(
            "no copy of task `{number}` of `{}` can be kept in `{directory}`: {error}; it works on, and a restart reads its state from \
             the log",
            self.plan.app
        ));
    }
}

enum Turn {
    More,
    End,
}

fn read_turn(replay: &mut Replay, task: &mut Task) -> Result<Turn, Box<dyn std::error::Error>> {
    let mut taken = 0;
    while taken < COPY_TURN_BYTES {
        let next = replay.next()?;
        let Some((offset, block)) = next else { return Ok(Turn::End) };
        taken += block.len();
        task.restore(once((offset, block)))?;
        fault_point::reached("in-restore-from-copy");
    }
    Ok(Turn::More)
}
