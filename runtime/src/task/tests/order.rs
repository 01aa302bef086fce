//! Tables run ahead: what is processed before a record of a stream, and that what is left is worked off before it too (laws 16 and 18).

use std::sync::{Arc, Mutex};

use super::{chunk, input, task_around};
use crate::error::BadRecord;
use crate::log::{Offset, Outgoing, RecordRef};
use crate::processor::{Context, Processor};
use crate::store::Store;
use crate::task::{Phase, TableWait, Task, Turn};
use crate::topology::SourceKind;

/// What was processed, as source and offset, and `~` for a part of what was left.
#[derive(Clone, Default)]
struct Done(Arc<Mutex<Vec<String>>>);

impl Done {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }

    /// What was done since this was last asked.
    fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock().unwrap()).join(" ")
    }
}

/// Each record of a table leaves as many parts to do as its time says in milliseconds.
struct Noting {
    done: Done,
    left: i64,
}

impl Processor for Noting {
    fn process(
        &mut self,
        source: usize,
        record: &RecordRef<'_>,
        _context: &mut Context<'_>,
    ) -> Result<(), BadRecord> {
        self.done.note(format!("{source}@{}", record.offset()));
        if source > 0 {
            self.left += record.time().0;
        }
        Ok(())
    }

    fn work_off(&mut self, _context: &mut Context<'_>) -> bool {
        if self.left > 0 {
            self.left -= 1;
            self.done.note("~".to_owned());
        }
        self.left > 0
    }

    fn stores(&mut self) -> Vec<&mut dyn Store> {
        Vec::new()
    }
}

fn joining() -> (Task, Done) {
    joining_with(0)
}

/// A stream, a table and a broadcast table; `left` parts are left from before the start.
fn joining_with(left: i64) -> (Task, Done) {
    let done = Done::default();
    let processor = Noting { done: done.clone(), left };
    let kinds = [SourceKind::Stream, SourceKind::Table, SourceKind::Broadcast];
    let inputs = (0..).zip(kinds).map(|(source, kind)| input(source, kind)).collect();
    let mut task = task_around(Box::new(processor), inputs);
    task.restored(Offset(0), |_| None, false).unwrap();
    (task, done)
}

fn push(task: &mut Task, source: usize, from: i64, times: &[i64]) {
    let high = from + times.len() as i64;
    let chunk = chunk(&task.inputs()[source], from, from, times, high);
    task.push(chunk);
}

fn run(task: &mut Task) -> bool {
    task.run(&mut Outgoing::default(), Turn { bytes: usize::MAX, parts: 2 })
}

/// Asks and answers: the tables end at these offsets.
fn answer(task: &mut Task, round: u64, ends: [i64; 2]) {
    assert!(task.wants_table_ends());
    assert_eq!(task.ask(round).count(), 2);
    answer_asked(task, round, ends);
}

fn answer_asked(task: &mut Task, round: u64, ends: [i64; 2]) {
    task.answered(round, |table| Offset(if &*table.topic == "topic-1" { ends[0] } else { ends[1] }));
}

#[test]
fn a_record_of_a_table_with_a_later_time_comes_before_the_stream_record() {
    let (mut task, done) = joining();
    push(&mut task, 0, 0, &[5]);
    push(&mut task, 1, 0, &[0, 0]);
    run(&mut task);
    assert_eq!(done.take(), "1@0 1@1", "the ends are not known");
    answer(&mut task, 1, [2, 1]);
    run(&mut task);
    assert_eq!(done.take(), "", "a record of the other table is on its way");
    push(&mut task, 2, 0, &[0]);
    run(&mut task);
    assert_eq!(done.take(), "2@0 0@0");
}

/// Fault (a): a table that ran empty was trusted at the end that was known from before the record.
#[test]
fn a_table_that_runs_empty_is_asked_for_again_for_what_came_since() {
    let (mut task, done) = joining();
    push(&mut task, 1, 0, &[0]);
    push(&mut task, 0, 0, &[5, 6]);
    answer(&mut task, 1, [1, 0]);
    run(&mut task);
    assert_eq!(done.take(), "1@0 0@0 0@1");
    push(&mut task, 0, 2, &[7]);
    run(&mut task);
    assert_eq!(done.take(), "");
    answer(&mut task, 2, [2, 0]);
    run(&mut task);
    assert_eq!(done.take(), "", "the record that was committed before the stream's third");
    push(&mut task, 1, 1, &[0]);
    run(&mut task);
    assert_eq!(done.take(), "1@1 0@2");
}

#[test]
fn what_is_fetched_after_the_question_waits_for_the_next() {
    let (mut task, done) = joining();
    push(&mut task, 0, 0, &[5]);
    assert_eq!(task.ask(1).count(), 2);
    push(&mut task, 0, 1, &[6]);
    push(&mut task, 1, 0, &[0]);
    run(&mut task);
    assert_eq!(done.take(), "", "tables wait for the answer too");
    assert!(!task.wants_table_ends(), "one question at a time");
    answer_asked(&mut task, 7, [0, 0]);
    run(&mut task);
    assert_eq!(done.take(), "", "that was the answer to another question");
    answer_asked(&mut task, 1, [0, 0]);
    run(&mut task);
    assert_eq!(done.take(), "0@0 1@0", "what a table got since comes behind what was asked for");
    answer(&mut task, 2, [1, 0]);
    run(&mut task);
    assert_eq!(done.take(), "0@1");
    assert!(!task.wants_table_ends(), "nothing waits");
}

#[test]
fn a_question_without_an_answer_is_asked_again() {
    let (mut task, done) = joining();
    push(&mut task, 0, 0, &[5]);
    assert_eq!(task.ask(1).count(), 2);
    task.not_answered(1);
    answer(&mut task, 2, [0, 0]);
    run(&mut task);
    assert_eq!(done.take(), "0@0");
}

#[test]
fn what_is_left_is_worked_off_in_turns_before_the_next_stream_record() {
    let (mut task, done) = joining();
    push(&mut task, 1, 0, &[3]);
    run(&mut task);
    assert_eq!(done.take(), "1@0", "nothing is judged again before the other table is read as well");
    assert!(!task.is_idle());
    push(&mut task, 0, 0, &[5, 6]);
    answer(&mut task, 1, [1, 1]);
    push(&mut task, 2, 0, &[1]);
    assert!(run(&mut task), "two parts are a turn");
    assert_eq!(done.take(), "2@0 ~ ~");
    push(&mut task, 1, 1, &[1]);
    assert!(!run(&mut task));
    assert_eq!(done.take(), "~ ~ 0@0 0@1 1@1", "the table runs on when the cut is done");
    answer(&mut task, 2, [2, 1]);
    assert!(!run(&mut task));
    assert_eq!(done.take(), "~");
    assert!(task.is_idle());
}

#[test]
fn what_was_left_before_a_restart_comes_before_the_first_stream_record() {
    let (mut task, done) = joining_with(2);
    answer(&mut task, 1, [0, 0]);
    push(&mut task, 0, 0, &[5]);
    run(&mut task);
    assert_eq!(done.take(), "~ ~");
    answer(&mut task, 2, [0, 0]);
    run(&mut task);
    assert_eq!(done.take(), "0@0", "it came after the first question");
}

#[test]
fn a_bounded_run_asks_nothing_and_reads_its_tables_to_their_ends_first() {
    let (mut task, done) = joining();
    task.begin_bounded(1, |input| Offset(if &*input.topic == "topic-2" { 0 } else { 2 }));
    push(&mut task, 0, 0, &[5, 6, 7]);
    push(&mut task, 1, 0, &[9]);
    push(&mut task, 2, 0, &[0]);
    assert!(!task.wants_table_ends());
    assert!(!run(&mut task));
    assert_eq!(done.take(), "1@0");
    push(&mut task, 1, 1, &[0, 0]);
    for parts in ["1@1 ~ ~", "~ ~", "~ ~", "~ ~"] {
        assert!(run(&mut task));
        assert_eq!((done.take().as_str(), task.phase()), (parts, Phase::Running));
    }
    assert!(!run(&mut task));
    assert_eq!((done.take().as_str(), task.phase()), ("~ 0@0 0@1", Phase::Ended));
}

#[test]
fn a_bounded_run_without_records_does_what_is_left_before_it_ends() {
    let (mut task, done) = joining_with(3);
    task.begin_bounded(1, |_| Offset(0));
    assert!(run(&mut task));
    assert_eq!((done.take().as_str(), task.phase()), ("~ ~", Phase::Running));
    assert!(!run(&mut task));
    assert_eq!((done.take().as_str(), task.phase()), ("~", Phase::Ended));
}

#[test]
fn a_wait_names_the_table_and_how_far_it_must_be_read() {
    let (mut task, _done) = joining();
    push(&mut task, 0, 0, &[5]);
    push(&mut task, 1, 0, &[0]);
    assert_eq!(task.waits_for_table(), None, "for the answer");
    answer(&mut task, 1, [1, 3]);
    run(&mut task);
    let partition = task.inputs()[2].partition().clone();
    assert_eq!(task.waits_for_table(), Some(TableWait { partition, position: Offset(0), end: Offset(3) }));
    push(&mut task, 2, 0, &[0, 0, 0]);
    run(&mut task);
    assert_eq!(task.waits_for_table(), None);
}

/// Totals pay nothing: no question, and no call for each record.
#[test]
fn a_task_without_tables_asks_nothing() {
    let done = Done::default();
    let processor = Noting { done: done.clone(), left: 0 };
    let mut task = task_around(Box::new(processor), vec![input(0, SourceKind::Stream)]);
    task.restored(Offset(0), |_| None, false).unwrap();
    push(&mut task, 0, 0, &[5, 6]);
    assert!(!task.wants_table_ends());
    run(&mut task);
    assert_eq!(done.take(), "0@0 0@1");
    assert!(task.is_idle());
}
