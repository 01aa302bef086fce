//! How inputs are merged, waited for and cut off; and that what was fetched before a seek counts for nothing.

use std::sync::Arc;

use super::input::{Input, choose};
use super::{Task, TaskParts};
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
        let Some((chunk, range)) = inputs[next.input].run(512, next.not_after) else { return taken };
        taken
            .extend(range.clone().map(|index| (inputs[next.input].source(), chunk.record(index).offset().0)));
        inputs[next.input].advance(range.len());
    }
}

#[test]
fn inputs_are_merged_by_time_and_tables_come_first_at_the_same_time() {
    let mut inputs =
        [input(0, SourceKind::Stream), input(1, SourceKind::Table), input(2, SourceKind::Broadcast)];
    for (number, times) in [(0, [10, 20, 20, 30]), (1, [10, 20, 25, 40]), (2, [10, 19, 30, 30])] {
        let chunk = chunk(&inputs[number], 0, 0, &times, 4);
        inputs[number].push(chunk);
    }
    let expected = [
        (2, 0),
        (1, 0),
        (0, 0), // 10
        (2, 1), // 19
        (1, 1),
        (0, 1),
        (0, 2), // 20
        (1, 2), // 25
        (2, 2),
        (2, 3),
        (0, 3), // 30
        (1, 3), // 40
    ];
    assert_eq!(drain(&mut inputs), expected);
}

#[test]
fn a_partition_is_read_in_its_own_order_whatever_its_times() {
    let mut inputs = [input(0, SourceKind::Stream), input(1, SourceKind::Table)];
    let (stream, table) = (chunk(&inputs[0], 0, 0, &[50, 5, 60], 3), chunk(&inputs[1], 0, 0, &[40, 55], 2));
    inputs[0].push(stream);
    inputs[1].push(table);
    // The late 5 stands behind the 50 and is taken as soon as that is: it comes before the table's 55.
    assert_eq!(drain(&mut inputs), [(1, 0), (0, 0), (0, 1), (1, 1), (0, 2)]);
}

#[test]
fn an_empty_input_is_waited_for_only_while_it_lags() {
    let mut inputs = [input(0, SourceKind::Stream), input(1, SourceKind::Table)];
    let stream = chunk(&inputs[0], 0, 0, &[1, 2], 2);
    inputs[0].push(stream);
    assert_eq!(drain(&mut inputs), [], "nothing is known of the table yet");
    let lagging = chunk(&inputs[1], 0, 0, &[], 1);
    inputs[1].push(lagging);
    assert_eq!(drain(&mut inputs), [], "the table has a record that is on its way");
    let rest = chunk(&inputs[1], 0, 0, &[2], 1);
    inputs[1].push(rest);
    assert_eq!(drain(&mut inputs), [(0, 0), (1, 0), (0, 1)]);
    let more = chunk(&inputs[0], 2, 2, &[9], 3);
    inputs[0].push(more);
    assert_eq!(drain(&mut inputs), [(0, 2)], "the table stands at its end");
}

#[test]
fn tables_are_read_to_their_end_as_of_start_before_the_stream() {
    let mut inputs = [input(0, SourceKind::Stream), input(1, SourceKind::Table)];
    inputs[1].bootstrap_to(Offset(3));
    let stream = chunk(&inputs[0], 0, 0, &[1], 1);
    let table = chunk(&inputs[1], 0, 0, &[100, 200], 3);
    inputs[0].push(stream);
    inputs[1].push(table);
    assert_eq!(drain(&mut inputs), [(1, 0), (1, 1)], "a record of the table is missing still");
    let table = chunk(&inputs[1], 2, 2, &[300], 3);
    inputs[1].push(table);
    assert_eq!(drain(&mut inputs), [(1, 2), (0, 0)]);
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
    let mut inputs = [input(0, SourceKind::Stream), input(1, SourceKind::Table)];
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
    let routes = Routes {
        partition: 0,
        sinks: vec![("copies".into(), 1)],
        dead_letters: "dead".into(),
        late: "late".into(),
        duplicates: "again".into(),
    };
    let parts = TaskParts {
        app: "copy".to_owned(),
        routes,
        inputs,
        processor: Box::new(Copy),
        parameters: String::new(),
        identity: Identity::default(),
        error_budget: None,
        history: History(1),
    };
    Task::new(parts, "changelog".into())
}

fn copies(task: &mut Task) -> usize {
    let mut outgoing = Outgoing::default();
    task.run(&mut outgoing, usize::MAX);
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

/// Law 18: what was in the log before a stream record is seen before it, although it is fetched apart.
#[test]
fn a_table_is_asked_for_before_a_stream_record_is_judged_by_it() {
    let mut task = task_of(vec![input(0, SourceKind::Stream), input(1, SourceKind::Table)]);
    task.restored(Offset(0), |_| None, false).unwrap();
    let table = task.inputs()[1].partition().clone();
    let at_end = chunk(&task.inputs()[1], 0, 0, &[], 0);
    task.push(at_end);
    assert_eq!(task.tables_to_ask_for().count(), 0, "no stream record waits");
    let records = chunk(&task.inputs()[0], 0, 0, &[5], 1);
    task.push(records);
    assert_eq!(task.tables_to_ask_for().collect::<Vec<_>>(), [&table]);
    task.note_high_watermarks(|partition| (*partition == table).then_some(Offset(1)));
    assert_eq!(copies(&mut task), 0, "the table's record is on its way");
    let registration = chunk(&task.inputs()[1], 0, 0, &[4], 1);
    task.push(registration);
    assert_eq!(task.tables_to_ask_for().count(), 0, "it is here");
    assert_eq!(copies(&mut task), 2);
}
