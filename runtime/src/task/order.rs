//! The order in which a task does what there is to do.
//!
//! Guarantees (law 18): tables run ahead. Records of tables are processed as they come, in the order of their offsets. A record of a
//! stream is processed only when every table has been read to its high watermark as asked *after* that record was fetched, and when
//! nothing is left of what earlier records left to do. A restart follows the same rule, so it judges as a task does that was never stopped.
//!
//! A question is asked for all that has been fetched when it is asked. Its answer is a *cut* through the tables. Each table is read
//! exactly to the cut, then what is left is worked off, then the stream records that were asked for are processed, and then the tables run
//! on. Without the stop at the cut, a table that is written all the time would never let anybody judge.
//!
//! A bounded run has its cut from the start: the run's ends. They were asked after the ends of the streams, so nothing else is asked.
//! A task without tables asks nothing and pays nothing.

use super::input::{Input, choose};
use crate::log::{Offset, TopicPartition};
use crate::time::EventTime;
use crate::topology::SourceKind;

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Process records of this input: those that are not after a time, and stand before an offset.
    Records { input: usize, not_after: Option<EventTime>, before: Option<Offset> },
    /// Do a part of what earlier records left to do.
    WorkOff,
    /// The bounded run is done.
    End,
    /// Something has to come first: a record, or the answer to a question.
    Wait,
}

/// Where the question stands that must be answered before a stream record is processed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Question {
    /// Nothing is asked; tables run as their records come.
    #[default]
    None,
    /// Asked in this round and not answered. Tables wait too: nobody knows yet where the cut will be.
    Open(u64),
    /// Answered: the cut stands in the tables.
    Answered,
}

/// A table that has to be read further before anything is judged by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableWait {
    /// The table's partition.
    pub partition: TopicPartition,
    /// How far it is read.
    pub position: Offset,
    /// How far it must be read.
    pub end: Offset,
}

/// The order of one task.
#[derive(Debug)]
pub(super) struct Order {
    has_tables: bool,
    question: Question,
    /// The processor may have something left to do. True at a start: what was left is in a store.
    left: bool,
}

impl Order {
    pub(super) fn of(inputs: &[Input]) -> Order {
        Order { has_tables: inputs.iter().any(is_table), question: Question::None, left: true }
    }

    pub(super) fn has_tables(&self) -> bool {
        self.has_tables
    }

    pub(super) fn is_left(&self) -> bool {
        self.left
    }

    pub(super) fn note_left(&mut self, left: bool) {
        self.left = left;
    }

    /// What to do next. It may give up a cut in which nothing is left to do.
    pub(super) fn next(&mut self, inputs: &[Input]) -> Step {
        if is_bounded(inputs) {
            return self.next_of_bounded_run(inputs);
        }
        if self.question == Question::Answered {
            match self.next_in_cut(inputs) {
                Some(step) => return step,
                None => self.question = Question::None,
            }
        }
        if let Question::Open(_) = self.question {
            return Step::Wait;
        }
        let ready = |(_, input): &(usize, &Input)| is_table(input) && !input.is_empty();
        if let Some((input, _)) = inputs.iter().enumerate().find(ready) {
            return Step::Records { input, not_after: None, before: None };
        }
        match (self.left, self.has_tables) {
            (true, true) => Step::Wait,
            (true, false) => Step::WorkOff,
            (false, _) => self.next_of_streams(inputs).unwrap_or(Step::Wait),
        }
    }

    /// Nothing if all that the cut allows is done.
    fn next_in_cut(&self, inputs: &[Input]) -> Option<Step> {
        let mut is_behind = false;
        for (number, input) in inputs.iter().enumerate() {
            let Some(cut) = input.cut().filter(|cut| !input.is_read_to(*cut)) else { continue };
            if !input.is_empty() {
                return Some(Step::Records { input: number, not_after: None, before: Some(cut) });
            }
            is_behind = true;
        }
        if is_behind {
            return Some(Step::Wait);
        }
        if self.left { Some(Step::WorkOff) } else { self.next_of_streams(inputs) }
    }

    fn next_of_streams(&self, inputs: &[Input]) -> Option<Step> {
        let next = choose(inputs)?;
        let before = self.has_tables.then(|| inputs[next.input].covered());
        let is_allowed = before.is_none_or(|before| !inputs[next.input].is_read_to(before));
        is_allowed.then_some(Step::Records { input: next.input, not_after: next.not_after, before })
    }

    fn next_of_bounded_run(&self, inputs: &[Input]) -> Step {
        let mut is_behind = false;
        for (input, table) in inputs.iter().enumerate().filter(|(_, input)| is_table(input)) {
            if table.has_ended() {
                continue;
            }
            if !table.is_empty() {
                return Step::Records { input, not_after: None, before: None };
            }
            is_behind = true;
        }
        if is_behind {
            Step::Wait
        } else if self.left {
            Step::WorkOff
        } else if inputs.iter().all(Input::has_ended) {
            Step::End
        } else {
            let records = |next: super::input::Next| Step::Records {
                input: next.input,
                not_after: next.not_after,
                before: None,
            };
            choose(inputs).map_or(Step::Wait, records)
        }
    }

    /// True if nothing more can be judged before the ends of the tables are asked.
    pub(super) fn wants_table_ends(&self, inputs: &[Input]) -> bool {
        let is_uncovered = |input: &Input| !is_table(input) && input.has_uncovered();
        self.has_tables
            && self.question == Question::None
            && !is_bounded(inputs)
            && (self.left || inputs.iter().any(is_uncovered))
    }

    /// The ends of the tables are asked in this round, for all that has been fetched.
    pub(super) fn ask(&mut self, round: u64, inputs: &mut [Input]) {
        self.question = Question::Open(round);
        inputs.iter_mut().filter(|input| !is_table(input)).for_each(Input::note_asked);
    }

    /// The answer, one end for each table in order. One to another question is ignored.
    pub(super) fn answered(
        &mut self,
        round: u64,
        inputs: &mut [Input],
        end: impl Fn(&TopicPartition) -> Offset,
    ) {
        if self.question != Question::Open(round) {
            return;
        }
        self.question = Question::Answered;
        for input in inputs {
            if is_table(input) {
                let end = end(input.partition());
                input.note_high_watermark(end);
                input.cut_at(end);
            } else {
                input.note_answered();
            }
        }
    }

    /// There is no answer: the question is asked again later.
    pub(super) fn not_answered(&mut self, round: u64) {
        if self.question == Question::Open(round) {
            self.question = Question::None;
        }
    }

    /// The table that is waited for, if it is a table.
    pub(super) fn waits_for(&self, inputs: &[Input]) -> Option<TableWait> {
        let end_of = |input: &Input| match is_bounded(inputs) {
            true => input.end(),
            false if self.question == Question::Answered => input.cut(),
            false => None,
        };
        let mut tables = inputs.iter().filter(|input| is_table(input) && input.is_empty());
        tables.find_map(|input| {
            let end = end_of(input).filter(|end| !input.is_read_to(*end))?;
            Some(TableWait { partition: input.partition().clone(), position: input.position(), end })
        })
    }
}

fn is_table(input: &Input) -> bool {
    input.kind() != SourceKind::Stream
}

fn is_bounded(inputs: &[Input]) -> bool {
    inputs.iter().all(|input| input.end().is_some())
}
