//! The question where tables end: when it is asked, and what its answer leads to (law 18).
//!
//! Whether to ask is decided here, from what the tasks say; the log is asked by the shell ([`Question::carry_out`]); and the answer comes
//! back as an event like any other. One question serves all tasks and all chunks that have come: what is fetched later waits for the next.
//!
//! Guarantees: no task learns of an end that was asked before the records that it judges were fetched. While the log does not answer,
//! nothing is judged.

use std::collections::BTreeSet;

use super::Worker;
use crate::error::{Reaction, Result};
use crate::log::{Log, Offset, TopicPartition, Watermarks};

/// A question that the shell is to carry out.
pub(super) struct Question {
    round: u64,
    tables: Vec<TopicPartition>,
}

/// What the log said.
pub(super) struct Answer {
    round: u64,
    /// In order.
    tables: Vec<TopicPartition>,
    ends: Result<Vec<Watermarks>>,
}

impl Question {
    /// Asks the log: one round trip to a broker, however many tables there are.
    pub(super) fn carry_out(self, log: &dyn Log) -> Answer {
        let ends = log.watermarks_of(&self.tables);
        Answer { round: self.round, tables: self.tables, ends }
    }
}

impl Worker<'_> {
    /// True if a task can judge nothing more before it knows where its tables end.
    pub(super) fn waits_for_answer(&self) -> bool {
        self.tasks.values().any(|hosted| hosted.task.wants_table_ends())
    }

    /// The question to be asked now, if there is one. Chunks that have come already are taken in first, so that it is asked for them too.
    pub(super) fn question(&mut self) -> Option<Question> {
        if !self.waits_for_answer() || self.group.has_more() || !self.questions.is_due() {
            return None;
        }
        self.rounds += 1;
        let round = self.rounds;
        // Every task has the broadcast tables.
        let mut tables = BTreeSet::new();
        for hosted in self.tasks.values_mut().filter(|hosted| hosted.task.wants_table_ends()) {
            tables.extend(hosted.task.ask(round).cloned());
        }
        Some(Question { round, tables: Vec::from_iter(tables) })
    }

    pub(super) fn take_table_ends(&mut self, answer: Answer) -> Result<()> {
        let Answer { round, tables, ends } = answer;
        let tasks = self.tasks.values_mut().map(|hosted| &mut hosted.task);
        let ends = match ends {
            Ok(ends) => ends,
            Err(error) if error.reaction() == Reaction::Retry => {
                self.questions.failed(&error);
                tasks.for_each(|task| task.not_answered(round));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.questions.succeeded();
        let end = |table: &TopicPartition| {
            // They stand in the set's order, and every table of a task that asked is among them.
            tables.binary_search(table).map_or(Offset(i64::MAX), |at| ends[at].high)
        };
        tasks.for_each(|task| task.answered(round, end));
        self.process()
    }
}
