//! A task: one partition number of an application's inputs, with its own state, time and changelog.
//!
//! Everything in here is synchronous and pure: records come in by [`Task::push`], [`Task::run`] decides in which order they
//! are processed, and what they lead to stands in [`Outgoing`] until whoever hosts the task commits it. Where chunks and
//! commits fall can never be seen in the output. The worker and the test driver drive it alike.
//!
//! ```text
//! Restoring ──restored──▶ Running ──input ended──▶ Ended
//!   ▲   │                  ▲  │
//!   │   └─▶ ReadingOutput ─┘  └──too many dead letters──▶ Stopped
//!   └── built anew
//! ```
//!
//! - `admission`: what is checked of a record before its processor gets it.
//! - `build`: how a task is made from its topology.
//! - `earlier`: what a first start reads of its own output, before any input.
//! - `input`: one input partition, and how streams are merged.
//! - `order`: what comes next, and when the ends of tables are asked.
//! - `run`: what the task does with what it is given.

mod admission;
mod build;
mod earlier;
mod input;
mod order;
mod run;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use admission::Admission;
pub use admission::Misplaced;
pub use build::TaskBuilder;
pub use input::Input;
pub use order::TableWait;
pub use run::Turn;

use self::earlier::EarlierOutput;
use self::order::Order;
use crate::changelog::{BoundedRun, Changelog, History, Progress, Restore};
use crate::error::{Error, Result};
use crate::identity::{Identity, check_kept};
use crate::log::{Coordinates, Offset, Outgoing, RecordRef, Records, TopicPartition};
use crate::processor::{Aside, Context, Counters, Processor, Routes};
use crate::store::Store;
use crate::time::{EventTime, StreamTime};
use crate::topology::SourceKind;

/// What a task may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its changelog is being read; nothing is processed.
    Restoring,
    /// It starts for the first time and reads what an earlier run wrote, before its inputs.
    ReadingOutput,
    /// It processes what is pushed.
    Running,
    /// Its bounded run is done; nothing more is processed.
    Ended,
    /// It met too many dead letters and waits for `--accept-errors`.
    Stopped,
}

impl Phase {
    /// True before it takes any input.
    #[must_use]
    pub fn is_starting(self) -> bool {
        matches!(self, Phase::Restoring | Phase::ReadingOutput)
    }
}

/// `--max-errors N/M`: more than `most` dead letters among the last `among` records stop the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorBudget {
    /// How many are tolerated.
    pub most: usize,
    /// Among how many records. At most 10 000: the outcomes are part of every commit.
    pub among: usize,
}

/// What a task is made of.
pub struct TaskParts {
    /// The application's name, for messages.
    pub app: String,
    /// Where its records go.
    pub routes: Routes,
    /// Its inputs, in any order of kinds.
    pub inputs: Vec<Input>,
    /// The rules it runs.
    pub processor: Box<dyn Processor>,
    /// The parameters its results depend on.
    pub parameters: String,
    /// What application it belongs to.
    pub identity: Identity,
    /// `--max-errors`, if on.
    pub error_budget: Option<ErrorBudget>,
    /// What its history is called if it begins now.
    pub history: History,
    /// How many tasks the topology has.
    pub tasks: u32,
    /// The output whose earlier records a first start reads, if any.
    pub earlier_output: Option<usize>,
}

/// One partition number of an application's inputs, with its own state, time and changelog.
pub struct Task {
    parts: TaskParts,
    order: Order,
    earlier: EarlierOutput,
    changelog_topic: Arc<str>,
    phase: Phase,
    restore: Restore,
    changelog: Changelog,
    clock: StreamTime,
    counters: Counters,
    bounded: Option<BoundedRun>,
    outcomes: VecDeque<bool>,
    dirty: bool,
    /// What it has written to its changelog since it was built, committed or not.
    changelog_bytes: u64,
    admission: Admission,
}

impl Task {
    /// A task before its restore.
    #[must_use]
    pub fn new(parts: TaskParts, changelog_topic: Arc<str>) -> Task {
        let (number, sink) = (parts.routes.partition, parts.earlier_output);
        let topic = sink.and_then(|sink| parts.routes.sinks.get(sink));
        Task {
            order: Order::of(&parts.inputs),
            earlier: EarlierOutput::new(sink, topic, number, parts.tasks),
            changelog_topic,
            phase: Phase::Restoring,
            restore: Restore::default(),
            changelog: Changelog::new(parts.history),
            admission: Admission::new(parts.tasks),
            parts,
            clock: StreamTime::default(),
            counters: Counters::default(),
            bounded: None,
            outcomes: VecDeque::new(),
            dirty: false,
            changelog_bytes: 0,
        }
    }

    /// What it may do now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.parts.routes.partition
    }

    /// Where its state is kept.
    #[must_use]
    pub fn changelog_partition(&self) -> TopicPartition {
        TopicPartition::new(self.changelog_topic.clone(), self.number())
    }

    /// Its inputs.
    #[must_use]
    pub fn inputs(&self) -> &[Input] {
        &self.parts.inputs
    }

    /// Its counts.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Its stream time.
    #[must_use]
    pub fn stream_time(&self) -> Option<EventTime> {
        self.clock.now()
    }

    /// The bounded run it is in, or was in last.
    #[must_use]
    pub fn bounded(&self) -> Option<&BoundedRun> {
        self.bounded.as_ref()
    }

    /// Takes the first record it met that stood in another partition than its key's.
    pub fn take_misplaced(&mut self) -> Option<Misplaced> {
        self.admission.take_first()
    }

    /// True if something happened since the last commit.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// True if a commit of it shows something that is not in an [`Outgoing`] yet.
    #[must_use]
    pub fn holds_results(&self) -> bool {
        self.dirty && self.parts.processor.holds_results()
    }

    /// What it has written to its changelog since it was built, committed or not.
    #[must_use]
    pub fn changelog_bytes(&self) -> u64 {
        self.changelog_bytes
    }

    /// Its stores: name, size in bytes, entries.
    pub fn store_sizes(&mut self) -> impl Iterator<Item = (&str, usize, usize)> {
        let stores = self.parts.processor.stores().into_iter();
        stores.map(|store| {
            let store: &dyn Store = store;
            (store.name(), store.size_bytes(), store.count_entries())
        })
    }

    /// Applies blocks of its changelog, in order.
    ///
    /// # Errors
    /// [`Error::Corrupt`], naming the block.
    pub fn restore<'b>(&mut self, blocks: impl Iterator<Item = (Offset, &'b [u8])>) -> Result<()> {
        let changelog = self.changelog_partition();
        let mut stores = self.parts.processor.stores();
        for (offset, block) in blocks {
            self.restore.apply(&changelog.at(offset), block, &mut stores)?;
        }
        Ok(())
    }

    /// True if a block of its changelog has been applied.
    #[must_use]
    pub fn has_state(&self) -> bool {
        !self.restore.is_empty()
    }

    /// The changelog has been read to its end: takes up where the last commit left off. A task that never committed reads its
    /// [`earlier output`](Task::earlier_output) first, if its topology names one.
    ///
    /// `committed` are the group's offsets. The changelog decides (law 8): offsets that are missing there are taken from here, and
    /// a contradiction is refused rather than counted twice.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a changelog without its beginning; [`Error::Refused`] for other parameters, group offsets that differ,
    /// group offsets without a changelog, or a task that stopped on errors which nobody accepted.
    pub fn restored(
        &mut self,
        end: Offset,
        committed: impl Fn(&TopicPartition) -> Option<Offset>,
        accept_errors: bool,
    ) -> Result<()> {
        let end = self.changelog_partition().at(end);
        let mut stores = self.parts.processor.stores();
        let restored = std::mem::take(&mut self.restore).finish(&end, &mut stores, self.parts.history)?;
        drop(stores);
        match restored {
            None => {
                self.first_start(&committed)?;
                self.phase = if self.earlier.is_named() { Phase::ReadingOutput } else { Phase::Running };
            }
            Some((progress, changelog)) => {
                self.changelog = changelog;
                let is_read = !self.earlier.take_up(&progress.earlier_output);
                self.take_up(progress, &committed, accept_errors)?;
                self.phase = if is_read { Phase::Running } else { Phase::ReadingOutput };
            }
        }
        Ok(())
    }

    fn first_start(&mut self, committed: &impl Fn(&TopicPartition) -> Option<Offset>) -> Result<()> {
        let app = &self.parts.app;
        for input in self.parts.inputs.iter().filter(|input| input.kind() != SourceKind::Broadcast) {
            if let Some(offset) = committed(input.partition()) {
                return Err(Error::Refused {
                    what: format!(
                        "group `{app}` has committed {} but its changelog is empty",
                        input.partition().at(offset)
                    ),
                    remedy: format!("`tidegate reset --app {app}` clears offsets, state and time together"),
                });
            }
        }
        Ok(())
    }

    fn take_up(
        &mut self,
        progress: Progress,
        committed: &impl Fn(&TopicPartition) -> Option<Offset>,
        accept_errors: bool,
    ) -> Result<()> {
        let app = &self.parts.app;
        let remedy = format!("`tidegate reset --app {app}` clears offsets, state and time together");
        check_kept(app, &progress, &self.parts.parameters, &self.parts.identity)?;
        if progress.stopped && !accept_errors {
            return Err(Error::Refused {
                what: format!("task `{}` of `{app}` stopped on too many dead letters", self.number()),
                remedy: "look into the dead-letter topic, then start with `--accept-errors`".to_owned(),
            });
        }
        for (topic, partition, offset) in &progress.inputs {
            let at = TopicPartition::new(topic.as_str(), *partition);
            let Some(input) = self.parts.inputs.iter_mut().find(|input| *input.partition() == at) else {
                let what = format!("application `{app}` has state for `{at}`, which is no input of it now");
                return Err(Error::Refused { what, remedy });
            };
            let known = committed(&at).filter(|_| input.kind() != SourceKind::Broadcast);
            if let Some(known) = known.filter(|known| known != offset) {
                let what = format!("group `{app}` stands at {}, but its state at {offset}", at.at(known));
                return Err(Error::Refused { what, remedy });
            }
            input.start_at(*offset);
        }
        self.clock = progress.clock;
        self.counters = progress.counters;
        self.bounded = progress.bounded;
        self.outcomes = if progress.stopped { VecDeque::new() } else { progress.outcomes.into() };
        Ok(())
    }

    /// Takes part in bounded run `number`: its ends are kept from the task's first start in that run; `ends` is asked when this is it.
    /// A task that is in a later run already has nothing left to do in this one, and is not taken back to it.
    pub fn begin_bounded(&mut self, number: u64, ends: impl Fn(&TopicPartition) -> Offset) {
        if self.bounded.as_ref().is_some_and(|run| run.number > number) {
            self.phase = Phase::Ended;
            return;
        }
        if self.bounded.as_ref().is_none_or(|run| run.number != number) {
            let of = |input: &Input| {
                let partition = input.partition();
                (partition.topic.to_string(), partition.partition, ends(partition))
            };
            let ends = self.parts.inputs.iter().map(of).collect();
            self.bounded = Some(BoundedRun { number, ends, done: false, left: false });
            self.dirty = true;
        }
        let run = self.bounded.as_ref().expect("it was set just now");
        if run.done {
            self.phase = Phase::Ended;
        }
        for (topic, partition, end) in &run.ends {
            let at = TopicPartition::new(topic.as_str(), *partition);
            if let Some(input) = self.parts.inputs.iter_mut().find(|input| *input.partition() == at) {
                input.end_at(*end);
            }
        }
    }

    /// Runs without an end: a bounded run is left behind, finished or not, and nobody resumes it.
    pub fn begin_unbounded(&mut self) {
        if let Some(run) = self.bounded.as_mut().filter(|run| !run.left) {
            run.left = true;
            self.dirty = true;
        }
    }

    /// True for a dead letter.
    fn process(
        &mut self,
        source: usize,
        kind: SourceKind,
        record: &RecordRef<'_>,
        outgoing: &mut Outgoing,
    ) -> bool {
        let mut context = Context::new(&self.parts.routes, &mut self.clock, &mut self.counters, outgoing);
        let admitted = self.admission.check(kind, record, &mut context);
        let outcome = admitted.and_then(|()| self.parts.processor.process(source, record, &mut context));
        let Err(bad) = &outcome else { return false };
        // Every task meets a bad record of a broadcast table; it is put aside once.
        if kind != SourceKind::Broadcast || self.parts.routes.partition == 0 {
            context.dead_letter(&Aside::from(record), bad);
        }
        true
    }

    fn note_outcome(&mut self, dead_letter: bool) {
        let Some(budget) = self.parts.error_budget else { return };
        // More than one, if the budget was larger before a restart.
        while self.outcomes.len() >= budget.among {
            self.outcomes.pop_front();
        }
        self.outcomes.push_back(dead_letter);
        if dead_letter && self.outcomes.iter().filter(|dead| **dead).count() > budget.most {
            self.phase = Phase::Stopped;
        }
    }

    /// Writes the changelog's blocks of this step; the offsets to commit with it.
    pub fn prepare_commit(&mut self, outgoing: &mut Outgoing) -> Vec<(TopicPartition, Offset)> {
        let mut context = Context::new(&self.parts.routes, &mut self.clock, &mut self.counters, outgoing);
        self.parts.processor.before_commit(&mut context);
        let position = |input: &Input| {
            let partition = input.partition();
            (partition.topic.to_string(), partition.partition, input.position())
        };
        let progress = Progress {
            parameters: self.parts.parameters.clone(),
            inputs: self.parts.inputs.iter().map(position).collect(),
            clock: self.clock,
            counters: self.counters.clone(),
            bounded: self.bounded.clone(),
            outcomes: self.outcomes.iter().copied().collect(),
            stopped: self.phase == Phase::Stopped,
            identity: Some(self.parts.identity.clone()),
            earlier_output: self.earlier.left(),
        };
        let time = self.clock.now().unwrap_or_default();
        let partition = self.parts.routes.partition;
        let blocks = outgoing.partition(&self.changelog_topic, partition);
        let before = blocks.bytes().len();
        self.changelog.append(&mut self.parts.processor.stores(), &progress, time, blocks);
        self.changelog_bytes += (blocks.bytes().len() - before) as u64;
        self.dirty = false;
        let grouped = self.parts.inputs.iter().filter(|input| input.kind() != SourceKind::Broadcast);
        grouped.map(|input| (input.partition().clone(), input.position())).collect()
    }

    /// What [`prepare_commit`](Task::prepare_commit) has just written of its changelog.
    pub fn blocks_in<'o>(&self, outgoing: &'o mut Outgoing) -> &'o Records {
        outgoing.partition(&self.changelog_topic, self.number())
    }

    /// The commit is known: its first block stands at `first`. What lies before the result can be trimmed.
    pub fn committed(&mut self, first: Offset) -> Option<Coordinates> {
        let before = self.changelog.committed(first)?;
        Some(self.changelog_partition().at(before))
    }
}
