//! The earlier output of a task: what a run before a `reset` wrote, read once, before any input.
//!
//! A task that starts for the first time reads the output that its topology names to the end that it had then. What it learns is part of
//! its state, and so is how far it has read: it may commit in between, and a restart reads on from there. It takes the records chunk by
//! chunk and keeps none of them.
//!
//! Guarantees: it reads every record whose key is its own, whichever partition that stands in. Where the output has as many partitions as
//! there are tasks, only the one with the task's number can hold such records.

use super::{Input, Phase, Task};
use crate::log::{Offset, TopicPartition, Watermarks, partition_for};
use crate::topology::SourceKind;

/// How many records are taken before the input moves on: any number does.
const RUN_RECORDS: usize = 512;

/// The count of records of the earlier output that could not be read.
const UNREADABLE: &str = "earlier-output-unreadable";

/// The output that a first start reads.
#[derive(Debug)]
pub(super) struct EarlierOutput {
    sink: Option<usize>,
    /// How many tasks there are: a key belongs to one of them.
    tasks: u32,
    inputs: Vec<Input>,
}

impl EarlierOutput {
    /// Output number `sink` of task `number` of `tasks`, if one is to be read.
    pub(super) fn new(
        sink: Option<usize>,
        topic: Option<&TopicCount>,
        number: u32,
        tasks: u32,
    ) -> EarlierOutput {
        let of_topic = |sink: usize, (topic, partitions): &TopicCount| {
            let own = if *partitions == tasks { number..number + 1 } else { 0..*partitions };
            let input = |partition| TopicPartition::new(topic.clone(), partition);
            own.map(|partition| Input::new(sink, SourceKind::Stream, input(partition))).collect()
        };
        let inputs = sink.zip(topic).map_or_else(Vec::new, |(sink, topic)| of_topic(sink, topic));
        EarlierOutput { sink, tasks, inputs }
    }

    pub(super) fn is_named(&self) -> bool {
        self.sink.is_some()
    }

    /// Takes up what a commit has left of it: true if there is something.
    pub(super) fn take_up(&mut self, left: &[(String, u32, Offset, Offset)]) -> bool {
        for (topic, partition, position, end) in left {
            let at = TopicPartition::new(topic.as_str(), *partition);
            if let Some(input) = self.inputs.iter_mut().find(|input| *input.partition() == at) {
                input.start_at(*position);
                input.end_at(*end);
            }
        }
        // What has ended, or is no output any more, needs no reading.
        self.inputs.retain(|input| input.end().is_some());
        !self.inputs.is_empty()
    }

    /// What is left of it, for a commit.
    pub(super) fn left(&self) -> Vec<(String, u32, Offset, Offset)> {
        let unread = self.inputs.iter().filter(|input| !input.has_ended());
        let left = |input: &Input| {
            let partition = input.partition();
            (partition.topic.to_string(), partition.partition, input.position(), input.end())
        };
        unread
            .map(left)
            .filter_map(|(topic, partition, at, end)| Some((topic, partition, at, end?)))
            .collect()
    }

    pub(super) fn inputs_mut(&mut self) -> &mut [Input] {
        &mut self.inputs
    }
}

/// A topic and its partition count.
pub(super) type TopicCount = (std::sync::Arc<str>, u32);

impl Task {
    /// The partitions of its earlier output that it reads before its inputs; none once it is done.
    #[must_use]
    pub fn earlier_output(&self) -> &[Input] {
        if self.phase == Phase::ReadingOutput { &self.earlier.inputs } else { &[] }
    }

    /// Reads its earlier output to these ends, one for each partition in order; what was begun before is read to its end of then.
    pub fn read_output_to(&mut self, ends: &[Watermarks]) {
        if self.phase != Phase::ReadingOutput {
            return;
        }
        for (input, ends) in self.earlier.inputs.iter_mut().zip(ends) {
            match input.end() {
                Some(_) => input.start_at(input.position().max(ends.low)),
                None => {
                    input.start_at(ends.low);
                    input.end_at(ends.high);
                }
            }
        }
        self.end_of_earlier_output();
    }

    /// How much of its earlier output it has read, and how much there is, in offsets.
    #[must_use]
    pub fn output_progress(&self) -> (i64, i64) {
        self.earlier_output().iter().fold((0, 0), |(read, all), input| {
            let (start, end) = (input.started_at(), input.end().unwrap_or_default());
            let position = input.position().min(end);
            (read + position.since(start).max(0), all + end.since(start).max(0))
        })
    }

    pub(super) fn take_earlier_output(&mut self) {
        let EarlierOutput { sink: Some(sink), tasks, inputs } = &mut self.earlier else { return };
        for input in inputs {
            input.skip_consumed();
            let ready = |input: &Input| input.run(RUN_RECORDS, None, None).filter(|(_, run)| !run.is_empty());
            while let Some((chunk, range)) = ready(input) {
                for index in range.clone() {
                    let record = chunk.record(index);
                    let is_own = |key| partition_for(key, *tasks) == self.parts.routes.partition;
                    if record.key().is_some_and(is_own)
                        && self.parts.processor.take_earlier_output(*sink, &record).is_err()
                    {
                        self.counters.add(UNREADABLE, 1);
                    }
                }
                input.advance(range.len());
                input.skip_consumed();
                self.dirty = true;
            }
        }
        self.end_of_earlier_output();
    }

    /// Its inputs come next, if all of its earlier output is read.
    fn end_of_earlier_output(&mut self) {
        if !self.earlier.inputs.iter().all(Input::has_ended) {
            return;
        }
        // The first commit is due if there was anything to learn.
        self.dirty |= self.output_progress().1 > 0;
        self.earlier.inputs.clear();
        self.phase = Phase::Running;
    }
}
