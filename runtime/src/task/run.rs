//! What a task does with what it is given: records and answers in, output in [`Outgoing`] out.

use std::sync::Arc;

use super::order::Step;
use super::{Input, Phase, TableWait, Task};
use crate::log::{Chunk, Offset, Outgoing, TopicPartition};
use crate::processor::{Context, PROCESSED};
use crate::time::EventTime;
use crate::topology::SourceKind;

/// After how many parts of what earlier records left to do [`Task::run`] returns. A part may change state without any output, so its host
/// counts turns, not bytes, before it commits and hears of everything else.
const TURN_PARTS: usize = 1;

/// How much one call of [`Task::run`] may do.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// It returns once this much output is held.
    pub bytes: usize,
    /// It returns after so many parts of what earlier records left to do.
    pub parts: usize,
}

impl Turn {
    /// A turn that may hold this much output.
    #[must_use]
    pub fn of_bytes(bytes: usize) -> Turn {
        Turn { bytes, parts: TURN_PARTS }
    }
}

impl Task {
    /// Takes a chunk of one of its inputs, or of its earlier output while it reads that. One that was fetched before a seek does not fit
    /// the position and is ignored, and so is one that comes before the restore is done or after the end: it would keep its credit from
    /// others for ever.
    pub fn push(&mut self, chunk: Arc<Chunk>) {
        let inputs = match self.phase {
            Phase::Running => &mut self.parts.inputs,
            Phase::ReadingOutput => self.earlier.inputs_mut(),
            Phase::Restoring | Phase::Ended | Phase::Stopped => return,
        };
        if let Some(input) = inputs.iter_mut().find(|input| *input.partition() == chunk.partition) {
            input.push(chunk);
        }
    }

    /// True if nothing more can be judged before the ends of its tables are asked: see [`ask`](Task::ask).
    #[must_use]
    pub fn wants_table_ends(&self) -> bool {
        self.phase == Phase::Running && self.order.wants_table_ends(&self.parts.inputs)
    }

    /// The ends of its tables are asked for now, in question `round`, for everything that was pushed until now: the tables. What is pushed
    /// later waits for the next question.
    pub fn ask(&mut self, round: u64) -> impl Iterator<Item = &TopicPartition> {
        self.order.ask(round, &mut self.parts.inputs);
        let tables = self.parts.inputs.iter().filter(|input| input.kind() != SourceKind::Stream);
        tables.map(Input::partition)
    }

    /// The answer to question `round`: where each of its tables ended when that was asked. An answer to another question is ignored.
    pub fn answered(&mut self, round: u64, end: impl Fn(&TopicPartition) -> Offset) {
        self.order.answered(round, &mut self.parts.inputs, end);
    }

    /// Question `round` was not answered: [`wants_table_ends`](Task::wants_table_ends) asks for another.
    pub fn not_answered(&mut self, round: u64) {
        self.order.not_answered(round);
    }

    /// The table that has to be read further before anything is judged, if that is what the task waits for.
    #[must_use]
    pub fn waits_for_table(&self) -> Option<TableWait> {
        if self.phase != Phase::Running {
            return None;
        }
        self.order.waits_for(&self.parts.inputs)
    }

    /// Processes what is there until it runs out, something has to be waited for, or the turn is over. True if there is more to do.
    pub fn run(&mut self, outgoing: &mut Outgoing, turn: Turn) -> bool {
        if self.phase == Phase::ReadingOutput {
            self.take_earlier_output();
            return false;
        }
        let mut parts = 0;
        while self.phase == Phase::Running {
            if outgoing.size_bytes() >= turn.bytes {
                return true;
            }
            // Not `any`: every input must let go of what is used up.
            let moved =
                self.parts.inputs.iter_mut().fold(false, |moved, input| input.skip_consumed() | moved);
            self.dirty |= moved;
            match self.order.next(&self.parts.inputs) {
                Step::Records { input, not_after, before } => {
                    self.run_input(input, not_after, before, outgoing);
                }
                Step::WorkOff if parts >= turn.parts => return true,
                Step::WorkOff => {
                    self.work_off(outgoing);
                    parts += usize::from(self.order.is_left());
                }
                Step::End => {
                    self.end(outgoing);
                    return false;
                }
                Step::Wait => return false,
            }
        }
        false
    }

    /// Processes records of one chunk of one input, as long as nothing else comes first.
    fn run_input(
        &mut self,
        number: usize,
        not_after: Option<EventTime>,
        before: Option<Offset>,
        outgoing: &mut Outgoing,
    ) {
        // A run of this many records is long enough to spread the cost of choosing, short enough to keep `outgoing` bounded.
        const RUN_RECORDS: usize = 512;
        let Some((chunk, range)) = self.parts.inputs[number].run(RUN_RECORDS, not_after, before) else {
            return;
        };
        let (source, kind) = (self.parts.inputs[number].source(), self.parts.inputs[number].kind());
        let judges = kind == SourceKind::Stream && self.order.has_tables();
        // Before what the records count, whichever of them comes first in a run.
        self.counters.add(PROCESSED, 0);
        // What the records leave is done before the next step. Between two stream records, too, where there are tables; without any,
        // nothing is held, and a call for each record would cost something for nothing.
        self.order.note_left(true);
        let mut done = 0;
        for index in range {
            let record = chunk.record(index);
            let outcome = self.process(source, kind, &record, outgoing);
            done += 1;
            self.note_outcome(outcome);
            if self.phase != Phase::Running {
                break;
            }
            if judges {
                self.work_off(outgoing);
                if self.order.is_left() {
                    break;
                }
            }
        }
        // Every task processes a broadcast table; its records count once.
        if kind != SourceKind::Broadcast || self.parts.routes.partition == 0 {
            self.counters.add(PROCESSED, done as u64);
        }
        self.parts.inputs[number].advance(done);
        self.dirty = true;
    }

    /// Does a part of what earlier records left to do.
    fn work_off(&mut self, outgoing: &mut Outgoing) {
        let before = outgoing.size_bytes();
        let mut context = Context::new(&self.parts.routes, &mut self.clock, &mut self.counters, outgoing);
        let left = self.parts.processor.work_off(&mut context);
        // A part that wrote nothing and was the last one may be done again after a kill. To commit for it would be to commit for nothing
        // at every start.
        self.dirty |= left || outgoing.size_bytes() > before;
        self.order.note_left(left);
    }

    fn end(&mut self, outgoing: &mut Outgoing) {
        let mut context = Context::new(&self.parts.routes, &mut self.clock, &mut self.counters, outgoing);
        self.parts.processor.input_ended(&mut context);
        if let Some(run) = &mut self.bounded {
            run.done = true;
        }
        self.parts.inputs.iter_mut().for_each(Input::forget_queued);
        self.phase = Phase::Ended;
        self.dirty = true;
    }

    /// True while there is nothing to process, nothing left to do, and every input stands at its high watermark: the only time in which
    /// idle time counts.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Running
            && !self.order.is_left()
            && self.parts.inputs.iter().all(Input::is_at_high_watermark)
    }

    /// Moves stream time by `elapsed_ms` of idle time (`--idle-close`). Without a stream time there is nothing to move.
    pub fn idle(&mut self, elapsed_ms: i64, outgoing: &mut Outgoing) {
        let Some(now) = self.clock.now() else { return };
        self.clock.observe(now.plus_ms(elapsed_ms));
        self.counters.add("idle-advanced-ms", elapsed_ms.unsigned_abs());
        let mut context = Context::new(&self.parts.routes, &mut self.clock, &mut self.counters, outgoing);
        self.parts.processor.time_moved(&mut context);
        // The tables stand at their high watermarks, or it would not be idle. What takes longer than a part is left like anything else.
        self.work_off(outgoing);
        self.dirty = true;
    }
}
