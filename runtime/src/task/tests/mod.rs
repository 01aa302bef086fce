//! How streams are merged, waited for and cut off; and that what was fetched before a seek counts for nothing.
//!
//! - `earlier`: what a first start reads of its earlier output.
//! - `order`: tables run ahead, and what is left is worked off.

mod admission;
mod earlier;
mod order;

use std::sync::Arc;

use super::input::{Input, choose};
use super::{Task, TaskParts, Turn};
use crate::changelog::History;
use crate::error::BadRecord;
use crate::identity::Identity;
use crate::log::{Chunk, Offset, Outgoing, RecordRef, Records, TopicPartition};
use crate::processor::{Context, Processor, Routes};
use crate::store::Store;
use crate::time::EventTime;
use crate::topology::SourceKind;

fn input(source: usize, kind: SourceKind) -> Input {
    Input::new(source, kind, TopicPartition::new(format!("topic-{source}"), 0))
}

/// A chunk read from `from`, with records of these times from `first` on.
fn chunk(input: &Input, from: i64, first: i64, times: &[i64], high: i64) -> Arc<Chunk> {
    let mut records = Records::default();
    for time in times {
        records.push(EventTime(*time), Some(b"k"), Some(b"v"), &[]);
    }
    Arc::new(Chunk::contiguous(input.partition().clone(), Offset(from), Offset(first), records, Offset(high)))
}

/// Takes everything the merge hands out, as (source, offset).
fn drain(inputs: &mut [Input]) -> Vec<(usize, i64)> {
    let mut taken = Vec::new();
    loop {
        inputs.iter_mut().for_each(|input| {
            input.skip_consumed();
        });
        let Some(next) = choose(inputs) else { return taken };
        let Some((chunk, range)) = inputs[next.input].run(512, next.not_after, None) else { return taken };
        taken
            .extend(range.clone().map(|index| (inputs[next.input].source(), chunk.record(index).offset().0)));
        inputs[next.input].advance(range.len());
    }
}

#[test]
fn streams_are_merged_by_time_and_by_number_at_the_same_time() {
    let mut inputs = [input(0, SourceKind::Stream), input(1, SourceKind::Stream)];
    for (number, times) in [(0, [10, 20, 20, 30]), (1, [10, 20, 25, 40])] {
        let chunk = chunk(&inputs[number], 0, 0, &times, 4);
        inputs[number].push(chunk);
    }
    let expected = [
        (0, 0),
        (1, 0), // 10
        (0, 1),
        (0, 2),
        (1, 1), // 20
        (1, 2), // 25
        (0, 3), // 30
        (1, 3), // 40
    ];
    assert_eq!(drain(&mut inputs), expected);
}

#[test]
fn a_partition_is_read_in_its_own_order_whatever_its_times() {
    let mut inputs = [input(0, SourceKind::Stream), input(1, SourceKind::Stream)];
    let (first, second) = (chunk(&inputs[0], 0, 0, &[50, 5, 60], 3), chunk(&inputs[1], 0, 0, &[40, 55], 2));
    inputs[0].push(first);
    inputs[1].push(second);
    // The late 5 stands behind the 50 and is taken as soon as that is: it comes before the other's 55.
    assert_eq!(drain(&mut inputs), [(1, 0), (0, 0), (0, 1), (1, 1), (0, 2)]);
}

#[test]
fn an_empty_stream_is_waited_for_only_while_it_lags() {
    let mut inputs = [input(0, SourceKind::Stream), input(1, SourceKind::Stream)];
    let stream = chunk(&inputs[0], 0, 0, &[1, 2], 2);
    inputs[0].push(stream);
    assert_eq!(drain(&mut inputs), [], "nothing is known of the other yet");
    let lagging = chunk(&inputs[1], 0, 0, &[], 1);
    inputs[1].push(lagging);
    assert_eq!(drain(&mut inputs), [], "the other has a record that is on its way");
    let rest = chunk(&inputs[1], 0, 0, &[1], 1);
    inputs[1].push(rest);
    assert_eq!(drain(&mut inputs), [(0, 0), (1, 0), (0, 1)]);
    let more = chunk(&inputs[0], 2, 2, &[9], 3);
    inputs[0].push(more);
    assert_eq!(drain(&mut inputs), [(0, 2)], "the other stands at its end");
}

#[test]
fn what_was_fetched_before_a_seek_is_ignored() {
    let mut inputs = [input(0, SourceKind::Stream)];
    inputs[0].start_at(Offset(5));
    let ahead = chunk(&inputs[0], 9, 9, &[1, 2], 20);
    inputs[0].push(ahead);
    assert_eq!(drain(&mut inputs), []);
    assert_eq!(inputs[0].fetched(), Offset(5));
    // One from before overlaps: what is known of it already is left out.
    let overlapping = chunk(&inputs[0], 3, 3, &[1, 2, 3, 4], 20);
    inputs[0].push(overlapping);
    assert_eq!(drain(&mut inputs), [(0, 5), (0, 6)]);
    let known = chunk(&inputs[0], 0, 0, &[1, 2, 3], 20);
    inputs[0].push(known);
    assert_eq!(drain(&mut inputs), []);
    assert_eq!(inputs[0].position(), Offset(7));
}

#[test]
fn offsets_without_a_record_are_passed() {
    let mut inputs = [input(0, SourceKind::Stream)];
    // On Kafka a transaction's marker stands at 2, and the news of it comes in an empty chunk.
    let (records, news) = (chunk(&inputs[0], 0, 0, &[1, 2], 3), chunk(&inputs[0], 2, 3, &[], 3));
    inputs[0].push(records);
    inputs[0].push(news);
    assert_eq!(drain(&mut inputs), [(0, 0), (0, 1)]);
    assert_eq!((inputs[0].position(), inputs[0].lag()), (Offset(3), Some(0)));
    assert!(inputs[0].is_at_high_watermark());
}

#[test]
fn nothing_behind_the_end_of_a_bounded_run_is_processed() {
    let mut inputs = [input(0, SourceKind::Stream), input(1, SourceKind::Stream)];
    inputs[0].end_at(Offset(2));
    inputs[1].end_at(Offset(0));
    let stream = chunk(&inputs[0], 0, 0, &[1, 2, 3], 3);
    inputs[0].push(stream);
    assert_eq!(drain(&mut inputs), [(0, 0), (0, 1)]);
    assert!(inputs.iter().all(Input::has_ended));
    assert_eq!(inputs[0].position(), Offset(2), "the next run begins here");
}

/// Forwards every record.
struct Copy;

impl Processor for Copy {
    fn process(
        &mut self,
        _source: usize,
        record: &RecordRef<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), BadRecord> {
        context.forward(0, record.time(), b"k", b"v");
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn Store> {
        Vec::new()
    }
}

fn task() -> Task {
    task_of(vec![input(0, SourceKind::Stream)])
}

fn task_of(inputs: Vec<Input>) -> Task {
    task_around(Box::new(Copy), inputs)
}

/// Task 0 of one around a processor.
fn task_around(processor: Box<dyn Processor>, inputs: Vec<Input>) -> Task {
    Task::new(parts_of(processor, inputs), "changelog".into())
}

fn parts_of(processor: Box<dyn Processor>, inputs: Vec<Input>) -> TaskParts {
    let routes = Routes {
        partition: 0,
        sinks: vec![("copies".into(), 1)],
        dead_letters: "dead".into(),
        late: "late".into(),
        duplicates: "again".into(),
    };
    TaskParts {
        app: "copy".to_owned(),
        routes,
        inputs,
        processor,
        parameters: String::new(),
        identity: Identity::default(),
        error_budget: None,
        history: History(1),
        tasks: 1,
        earlier_output: None,
    }
}

fn copies(task: &mut Task) -> usize {
    let mut outgoing = Outgoing::default();
    task.run(&mut outgoing, Turn::of_bytes(usize::MAX));
    outgoing.batches().filter(|(to, _)| &*to.topic == "copies").map(|(_, records)| records.len()).sum()
}

#[test]
fn a_chunk_that_comes_during_a_restore_is_not_processed_after_it() {
    let mut first = task();
    first.restored(Offset(0), |_| None, false).unwrap();
    let records = chunk(&first.inputs()[0], 0, 0, &[1, 2, 3], 3);
    first.push(records.clone());
    assert_eq!(copies(&mut first), 3);
    let mut outgoing = Outgoing::default();
    first.prepare_commit(&mut outgoing);
    let mut blocks = Records::default();
    for (_, records) in outgoing.batches() {
        blocks.push(EventTime(0), None, records.value(0), &[]);
    }

    let mut second = task();
    second.push(records.clone());
    let end = Offset(blocks.len() as i64);
    second.restore((0..blocks.len()).map(|at| (Offset(at as i64), blocks.value(at).unwrap()))).unwrap();
    second.restored(end, |_| Some(Offset(3)), false).unwrap();
    assert_eq!(copies(&mut second), 0, "its records were committed before");
    second.push(records);
    assert_eq!(copies(&mut second), 0, "and they are when they come again");
}

#[test]
fn a_task_that_has_ended_keeps_no_chunk_from_others() {
    let mut task = task();
    task.restored(Offset(0), |_| None, false).unwrap();
    task.begin_bounded(1, |_| Offset(2));
    let records = chunk(&task.inputs()[0], 0, 0, &[1, 2, 3], 3);
    task.push(records.clone());
    assert_eq!(copies(&mut task), 2);
    let more = chunk(&task.inputs()[0], 3, 3, &[4], 4);
    task.push(more.clone());
    assert_eq!((Arc::strong_count(&records), Arc::strong_count(&more)), (1, 1));
}
