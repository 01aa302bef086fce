//! How a worker is doing, for whoever shows it: a progress view, later the metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::processor::Counters;
use crate::task::{Phase, Task};
use crate::time::EventTime;

/// One task as its host saw it at the last tick.
#[derive(Clone, Debug)]
pub struct TaskStatus {
    /// What it may do.
    pub phase: Phase,
    /// Its stream time.
    pub stream_time: Option<EventTime>,
    /// Records between its positions and the high watermarks, over all inputs.
    pub lag_records: i64,
    /// Its counts; not yet committed ones included.
    pub counters: Counters,
}

/// Shared by the workers of a process and whoever shows them.
#[derive(Clone, Debug, Default)]
pub struct StatusBoard(Arc<Mutex<BTreeMap<u32, TaskStatus>>>);

impl StatusBoard {
    /// Every task hosted in this process, by number.
    #[must_use]
    pub fn tasks(&self) -> BTreeMap<u32, TaskStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A count over all tasks.
    #[must_use]
    pub fn total(&self, counter: &str) -> u64 {
        self.tasks().values().map(|task| task.counters.get(counter)).sum()
    }

    /// The task is hosted elsewhere now: what it does there is not seen from here.
    pub(super) fn remove(&self, number: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    pub(super) fn show<'t>(&self, tasks: impl Iterator<Item = &'t Task>) {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for task in tasks {
            let status = TaskStatus {
                phase: task.phase(),
                stream_time: task.stream_time(),
                lag_records: task.inputs().iter().filter_map(crate::task::Input::lag).sum(),
                counters: task.counters().clone(),
            };
            board.insert(task.number(), status);
        }
    }
}
