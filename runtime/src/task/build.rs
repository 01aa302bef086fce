//! How a task is built from its topology: in production and in tests alike.

use std::sync::Arc;

use super::{ErrorBudget, Input, Task, TaskParts};
use crate::changelog::History;
use crate::error::Result;
use crate::identity::Identity;
use crate::log::TopicPartition;
use crate::processor::Routes;
use crate::topology::{SourceKind, TaskEnvironment, Topology};

/// What the tasks of a topology are built from.
pub struct TaskBuilder<'a> {
    /// The topology.
    pub topology: &'a Topology,
    /// How many tasks it has.
    pub tasks: u32,
    /// Its output topics and their partition counts, in the order of their declaration.
    pub sinks: &'a [(Arc<str>, u32)],
    /// The parameters its results depend on.
    pub parameters: &'a str,
    /// What the application is.
    pub identity: &'a Identity,
    /// What its processor is built with.
    pub environment: &'a TaskEnvironment,
    /// `--max-errors`, if on.
    pub error_budget: Option<ErrorBudget>,
    /// What the task's history is called if it begins now.
    pub history: History,
}

impl TaskBuilder<'_> {
    /// Task `number`, before its restore. `partitions_of` is asked for the partition counts of broadcast tables.
    ///
    /// # Errors
    /// What `partitions_of` reports.
    pub fn build(&self, number: u32, mut partitions_of: impl FnMut(&str) -> Result<u32>) -> Result<Task> {
        let mut inputs = Vec::new();
        for (source, declared) in self.topology.sources().iter().enumerate() {
            let partitions = match declared.kind {
                SourceKind::Broadcast => 0..partitions_of(&declared.topic)?,
                SourceKind::Stream | SourceKind::Table => number..number + 1,
            };
            let topic: Arc<str> = declared.topic.as_str().into();
            inputs.extend(partitions.map(|partition| {
                Input::new(source, declared.kind, TopicPartition::new(topic.clone(), partition))
            }));
        }
        let app = self.topology.app();
        let parts = TaskParts {
            app: app.to_owned(),
            routes: Routes {
                partition: number,
                sinks: self.sinks.to_vec(),
                dead_letters: Topology::dead_letters_of(app).into(),
                late: Topology::late_of(app).into(),
                duplicates: Topology::duplicates_of(app).into(),
            },
            inputs,
            processor: self.topology.build(self.environment)?,
            parameters: self.parameters.to_owned(),
            identity: self.identity.clone(),
            error_budget: self.error_budget,
            history: self.history,
            tasks: self.tasks,
            earlier_output: self.topology.earlier_output(),
        };
        Ok(Task::new(parts, Topology::changelog_of(app).into()))
    }
}
