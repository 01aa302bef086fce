//! How the workers of a process are doing, for whoever shows it: a progress view, the metrics.
//!
//! Promise: looking never holds up a worker for longer than a copy takes, and a worker writes here at its ticks only. What is *counted* of a
//! task stays when it leaves ([`Ledger`]); what it *is* (phase, lag, state) goes with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Hosted;
use super::ledger::Ledger;
use super::meter::{Meter, WorkerStatus};
use crate::log::TopicPartition;
use crate::processor::Counters;
use crate::task::{Input, Phase, TableWait, Task};
use crate::time::EventTime;

/// One task as its host saw it at the last tick.
#[derive(Clone, Debug)]
pub struct TaskStatus {
    /// The number of the worker that hosts it.
    pub worker: u32,
    /// What it may do.
    pub phase: Phase,
    /// Its stream time.
    pub stream_time: Option<EventTime>,
    /// Records between its positions and the high watermarks, over all inputs.
    pub lag_records: i64,
    /// Its counts since the application's first start, as of its last commit.
    pub counters: Counters,
    /// Its inputs.
    pub inputs: Vec<InputStatus>,
    /// Its state stores.
    pub stores: Vec<StoreStatus>,
    /// How much of its changelog is still to be read before it is restored.
    pub restore_left_offsets: i64,
    /// How much of its earlier output it has read, and how much there is, while it reads that.
    pub earlier_output_offsets: (i64, i64),
    /// The table that it waits for before it judges anything more.
    pub table_wait: Option<TableWaitStatus>,
}

/// A wait for a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableWaitStatus {
    /// The table's partition.
    pub partition: TopicPartition,
    /// How far it is still to be read, in offsets.
    pub left_offsets: i64,
    /// Since when nothing more of it has come. A transaction that is still open holds back what is in it and behind it.
    pub since: Instant,
}

/// One input partition of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputStatus {
    /// The partition.
    pub partition: TopicPartition,
    /// Records between the position and the high watermark, once that is known.
    pub lag_records: Option<i64>,
}

/// One state store of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreStatus {
    /// Its name in the topology.
    pub name: String,
    /// Roughly how many bytes its snapshot takes.
    pub size_bytes: usize,
    /// How many entries it holds.
    pub entries: usize,
}

/// Shared by the workers of a process and whoever shows them.
#[derive(Clone, Debug, Default)]
pub struct StatusBoard(Arc<Mutex<Snapshot>>);

/// All a board shows, as of one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Every task hosted in this process, by number.
    pub tasks: BTreeMap<u32, TaskStatus>,
    /// Every worker of this process that has started, by number.
    pub workers: BTreeMap<u32, WorkerStatus>,
    /// What every worker did for every task it ever hosted: worker, task.
    pub ledgers: BTreeMap<(u32, u32), Ledger>,
    /// A record in another partition than its key's has been told of: one line is enough for all workers.
    misplaced_told: bool,
}

impl StatusBoard {
    /// Every task hosted in this process, by number.
    #[must_use]
    pub fn tasks(&self) -> BTreeMap<u32, TaskStatus> {
        self.lock().tasks.clone()
    }

    /// Everything, as of one moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.lock().clone()
    }

    /// A count over all tasks.
    #[must_use]
    pub fn total(&self, counter: &str) -> u64 {
        self.lock().tasks.values().map(|task| task.counters.get(counter)).sum()
    }

    /// True for the first worker that has a misplaced record to tell of.
    pub(super) fn is_first_misplaced(&self) -> bool {
        !std::mem::replace(&mut self.lock().misplaced_told, true)
    }

    /// The task is hosted elsewhere now: what it does there is not seen from here. Another worker of this process may have it already.
    pub(super) fn remove(&self, number: u32, worker: u32) {
        let mut board = self.lock();
        if board.tasks.get(&number).is_some_and(|task| task.worker == worker) {
            board.tasks.remove(&number);
        }
    }

    pub(super) fn show(&self, meter: &mut Meter, hosted: &mut BTreeMap<u32, Hosted>) {
        let worker = meter.number;
        meter.status.ticked = Instant::now();
        let mut board = self.lock();
        for (number, hosted) in hosted {
            let status = board.tasks.entry(*number).or_insert_with(|| TaskStatus::new(worker));
            status.update(worker, hosted);
        }
        for (task, ledger) in meter.changed_ledgers() {
            board.ledgers.insert((worker, task), ledger.clone());
        }
        board.workers.insert(worker, meter.status.clone());
    }

    fn lock(&self) -> MutexGuard<'_, Snapshot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TaskStatus {
    fn new(worker: u32) -> TaskStatus {
        TaskStatus {
            worker,
            phase: Phase::Restoring,
            stream_time: None,
            lag_records: 0,
            counters: Counters::default(),
            inputs: Vec::new(),
            stores: Vec::new(),
            restore_left_offsets: 0,
            earlier_output_offsets: (0, 0),
            table_wait: None,
        }
    }

    /// In place: a tick of many tasks that did nothing must cost next to nothing.
    fn update(&mut self, worker: u32, hosted: &mut Hosted) {
        let task = &mut hosted.task;
        let moved = hosted.shown_bytes.replace(task.changelog_bytes()) != Some(task.changelog_bytes());
        let changing = task.is_dirty() || task.phase().is_starting();
        if moved || changing || self.worker != worker || self.phase != task.phase() {
            self.show_stores(task);
        }
        // Where progress is committed less often than it is looked at, what is shown as committed must not fall back after a kill.
        let is_committed = !hosted.touched && !task.is_dirty();
        if is_committed && self.counters != *task.counters() {
            self.counters.clone_from(task.counters());
        }
        (self.worker, self.phase, self.stream_time) = (worker, task.phase(), task.stream_time());
        self.show_inputs(task.inputs());
        self.restore_left_offsets = match self.phase {
            Phase::Restoring => hosted.restore_left(),
            Phase::ReadingOutput | Phase::Running | Phase::Ended | Phase::Stopped => 0,
        };
        self.earlier_output_offsets = hosted.task.output_progress();
        self.show_table_wait(hosted);
    }

    fn show_table_wait(&mut self, hosted: &mut Hosted) {
        let before = hosted.table_wait.take();
        hosted.table_wait = hosted.task.waits_for_table().map(|wait| {
            let stands = |(before, since): (TableWait, Instant)| {
                ((&before.partition, before.position) == (&wait.partition, wait.position)).then_some(since)
            };
            let since = before.and_then(stands).unwrap_or_else(Instant::now);
            (wait, since)
        });
        let shown = |(wait, since): &(TableWait, Instant)| TableWaitStatus {
            partition: wait.partition.clone(),
            left_offsets: wait.end.since(wait.position).max(0),
            since: *since,
        };
        self.table_wait = hosted.table_wait.as_ref().map(shown);
    }

    fn show_inputs(&mut self, inputs: &[Input]) {
        if self.inputs.len() != inputs.len() {
            let shown =
                |input: &Input| InputStatus { partition: input.partition().clone(), lag_records: None };
            self.inputs = inputs.iter().map(shown).collect();
        }
        for (shown, input) in self.inputs.iter_mut().zip(inputs) {
            shown.lag_records = input.lag();
        }
        self.lag_records = inputs.iter().filter_map(Input::lag).sum();
    }

    fn show_stores(&mut self, task: &mut Task) {
        for (known, (name, size_bytes, entries)) in task.store_sizes().enumerate() {
            match self.stores.get_mut(known) {
                Some(store) => (store.size_bytes, store.entries) = (size_bytes, entries),
                None => self.stores.push(StoreStatus { name: name.to_owned(), size_bytes, entries }),
            }
        }
    }
}
