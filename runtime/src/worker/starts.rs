//! The start of a task, once its state is there: its earlier output, if this is its first start, and then its inputs.
//!
//! Guarantees: no input is fetched before the earlier output is read to the end that it had then. It is read in chunks with credits, so
//! that it takes no more memory than inputs do, and beside everything else that a worker hears of: commits go on, and each keeps how far
//! the reading is.

use std::collections::BTreeMap;

use super::restore::StateFrom;
use super::{Hosted, Worker};
use crate::error::{Error, Result};
use crate::fault_point;
use crate::log::{Offset, TopicPartition};
use crate::task::{Input, Phase, Turn};

impl Worker<'_> {
    /// Takes up a task whose changelog has been read to its end.
    pub(super) fn begin_processing(
        &mut self,
        number: u32,
        changelog_end: Offset,
        committed: &BTreeMap<TopicPartition, Offset>,
    ) -> Result<()> {
        let Some(Hosted { task, from, .. }) = self.tasks.get_mut(&number) else { return Ok(()) };
        let accept_errors = self.options.accept_errors;
        task.restored(changelog_end, |partition| committed.get(partition).copied(), accept_errors)?;
        *from = StateFrom::Log;
        self.meter.task_restored(number, task.counters());
        if task.phase() == Phase::ReadingOutput {
            let partitions: Vec<TopicPartition> = partitions_of(task.earlier_output());
            task.read_output_to(&self.log.watermarks_of(&partitions)?);
        }
        if task.phase() == Phase::ReadingOutput {
            self.seek_output(number);
            self.show_status();
            return Ok(());
        }
        self.begin_inputs(number)
    }

    /// Starts fetching a task's inputs.
    pub(super) fn begin_inputs(&mut self, number: u32) -> Result<()> {
        let Some(Hosted { task, .. }) = self.tasks.get_mut(&number) else { return Ok(()) };
        let marks = self.log.watermarks_of(&partitions_of(task.inputs()))?;
        match &self.run {
            Some(run) => {
                task.begin_bounded(run.number, |input| run.ends.get(input).copied().unwrap_or_default());
            }
            None => task.begin_unbounded(),
        }
        for (input, marks) in task.inputs().iter().zip(&marks) {
            refuse_gap(input, marks.low)?;
        }
        self.seek_inputs(number);
        fault_point::reached("before-first-commit");
        // The ends of a bounded run are kept before anything is processed, so that a resumed run shares them.
        self.commit()?;
        self.show_status();
        Ok(())
    }

    /// True if some task reads this partition as its earlier output.
    pub(super) fn is_earlier_output(&self, partition: &TopicPartition) -> bool {
        self.readers_of(partition).next().is_some()
    }

    fn readers_of(&self, partition: &TopicPartition) -> impl Iterator<Item = &Input> {
        let inputs = self.tasks.values().flat_map(|hosted| hosted.task.earlier_output());
        inputs.filter(move |input| input.partition() == partition && !input.has_ended())
    }

    /// A partition that several tasks read is fetched once for all of them, from where the one that knows least needs it.
    fn seek_output(&self, number: u32) {
        for input in self.tasks[&number].task.earlier_output().iter().filter(|input| !input.has_ended()) {
            if let Some(least) = self.readers_of(input.partition()).map(Input::fetched).min() {
                self.side.seek(input.partition().clone(), least);
            }
        }
    }

    /// Takes in what has come of a task's earlier output; its inputs are next once that is all.
    pub(super) fn read_output(&mut self, number: u32) -> Result<()> {
        let Some(Hosted { task, .. }) = self.tasks.get_mut(&number) else { return Ok(()) };
        let partitions = partitions_of(task.earlier_output());
        task.run(&mut self.outgoing, Turn::of_bytes(usize::MAX));
        if task.phase() == Phase::ReadingOutput {
            return Ok(());
        }
        self.release_output(partitions);
        self.begin_inputs(number)
    }

    /// Stops fetching those of these partitions of earlier output that no task reads any more.
    pub(super) fn release_output(&self, mut partitions: Vec<TopicPartition>) {
        partitions.retain(|partition| !self.is_earlier_output(partition));
        if !partitions.is_empty() {
            self.side.release(partitions);
        }
    }
}

pub(super) fn partitions_of(inputs: &[Input]) -> Vec<TopicPartition> {
    inputs.iter().map(|input| input.partition().clone()).collect()
}

/// Records that were deleted before they were processed are missed, and nothing is missed in silence.
fn refuse_gap(input: &Input, low: Offset) -> Result<()> {
    if input.position() == Offset(0) || input.position() >= low {
        return Ok(());
    }
    Err(Error::Refused {
        what: format!(
            "the records from {} to offset {low} were deleted before they were processed",
            input.partition().at(input.position())
        ),
        remedy: "give the topic a longer retention, and `tidegate reset --app` to start from what is left"
            .to_owned(),
    })
}
