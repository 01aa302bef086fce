//! What a first start reads of its earlier output: its own keys, from every partition that may hold them, before any input.

use std::sync::{Arc, Mutex};

use super::{chunk, input};
use crate::changelog::History;
use crate::error::{BadRecord, Reason};
use crate::identity::Identity;
use crate::log::{Chunk, Offset, Outgoing, RecordRef, Records, TopicPartition, Watermarks, partition_for};
use crate::processor::{Context, Processor, Routes};
use crate::store::Store;
use crate::task::{Input, Phase, Task, TaskParts, Turn};
use crate::time::EventTime;
use crate::topology::SourceKind;

type Taken = Arc<Mutex<Vec<Vec<u8>>>>;

/// Notes the keys of its earlier output; one with the value `bad` is none.
struct Remembering(Taken);

impl Processor for Remembering {
    fn process(&mut self, _: usize, _: &RecordRef<'_>, _: &mut Context<'_>) -> Result<(), BadRecord> {
        Ok(())
    }

    fn take_earlier_output(&mut self, sink: usize, record: &RecordRef<'_>) -> Result<(), BadRecord> {
        assert_eq!(sink, 0);
        if record.value() == Some(b"bad") {
            return Err(BadRecord::new(Reason::Rule, "it says `bad`"));
        }
        self.0.lock().unwrap().push(record.key().unwrap().to_vec());
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn Store> {
        Vec::new()
    }
}

/// Task `number` of two; its output has so many partitions.
fn task(number: u32, output_partitions: u32) -> (Task, Taken) {
    let (mut task, taken) = fresh_task(number, output_partitions);
    task.restored(Offset(0), |_| None, false).unwrap();
    (task, taken)
}

/// The same before its restore.
fn fresh_task(number: u32, output_partitions: u32) -> (Task, Taken) {
    let taken = Taken::default();
    let routes = Routes {
        partition: number,
        sinks: vec![("results".into(), output_partitions)],
        dead_letters: "dead".into(),
        late: "late".into(),
        duplicates: "again".into(),
    };
    let parts = TaskParts {
        app: "copy".to_owned(),
        routes,
        inputs: vec![Input::new(0, SourceKind::Stream, TopicPartition::new("topic-0", number))],
        processor: Box::new(Remembering(taken.clone())),
        parameters: String::new(),
        identity: Identity::default(),
        error_budget: None,
        history: History(1),
        tasks: 2,
        earlier_output: Some(0),
    };
    (Task::new(parts, "changelog".into()), taken)
}

fn keys() -> Vec<Vec<u8>> {
    (0..20).map(|number| format!("key-{number}").into_bytes()).collect()
}

/// A partition of the output, from its beginning.
fn output(partition: &TopicPartition, partitions: u32, value: &[u8]) -> Chunk {
    let mut records = Records::default();
    for key in keys().iter().filter(|key| partition_for(key, partitions) == partition.partition) {
        records.push(EventTime(1), Some(key), Some(value), &[]);
    }
    let high = Offset(records.len() as i64);
    Chunk::contiguous(partition.clone(), Offset(0), Offset(0), records, high)
}

fn read(task: &mut Task, partitions: u32, value: &[u8]) -> Vec<u32> {
    let own: Vec<TopicPartition> =
        task.earlier_output().iter().map(|input| input.partition().clone()).collect();
    let chunks: Vec<Chunk> = own.iter().map(|partition| output(partition, partitions, value)).collect();
    let ends = |chunk: &Chunk| Watermarks { low: Offset(0), high: chunk.next };
    task.read_output_to(&chunks.iter().map(ends).collect::<Vec<_>>());
    for chunk in chunks {
        assert_eq!(task.phase(), Phase::ReadingOutput);
        task.push(Arc::new(chunk));
        task.run(&mut Outgoing::default(), Turn::of_bytes(usize::MAX));
    }
    own.iter().map(|partition| partition.partition).collect()
}

#[test]
fn an_output_with_a_partition_for_each_task_is_read_in_the_own_one() {
    let (mut task, taken) = task(1, 2);
    assert_eq!(read(&mut task, 2, b"v"), [1]);
    assert_eq!((task.phase(), task.is_dirty()), (Phase::Running, true));
    let own: Vec<Vec<u8>> = keys().into_iter().filter(|key| partition_for(key, 2) == 1).collect();
    assert_eq!(*taken.lock().unwrap(), own);
}

#[test]
fn an_output_with_other_partitions_is_read_whole_for_the_own_keys() {
    for number in [0, 1] {
        let (mut task, taken) = task(number, 3);
        assert_eq!(read(&mut task, 3, b"v"), [0, 1, 2]);
        let mut own: Vec<Vec<u8>> =
            keys().into_iter().filter(|key| partition_for(key, 2) == number).collect();
        let mut taken = taken.lock().unwrap().clone();
        own.sort();
        taken.sort();
        assert_eq!(taken, own);
    }
}

#[test]
fn what_cannot_be_read_of_it_is_counted() {
    let (mut task, taken) = task(0, 2);
    read(&mut task, 2, b"bad");
    let own = keys().iter().filter(|key| partition_for(key, 2) == 0).count();
    assert_eq!(task.counters().get("earlier-output-unreadable"), own as u64);
    assert_eq!((taken.lock().unwrap().len(), task.phase()), (0, Phase::Running));
}

#[test]
fn an_empty_output_costs_a_first_start_nothing() {
    let (mut task, _taken) = task(0, 2);
    task.read_output_to(&[Watermarks { low: Offset(7), high: Offset(7) }]);
    assert_eq!((task.phase(), task.is_dirty()), (Phase::Running, false));
}

#[test]
fn inputs_wait_until_it_is_read_and_its_progress_is_known() {
    let (mut task, taken) = task(0, 2);
    task.read_output_to(&[Watermarks { low: Offset(3), high: Offset(6) }]);
    let early = chunk(&input(0, SourceKind::Stream), 0, 0, &[1], 1);
    task.push(early);
    let output = task.earlier_output()[0].partition().clone();
    let mut records = Records::default();
    for key in keys().iter().filter(|key| partition_for(key, 2) == 0).take(2) {
        records.push(EventTime(1), Some(key), Some(b"v"), &[]);
    }
    task.push(Arc::new(Chunk::contiguous(output.clone(), Offset(3), Offset(3), records, Offset(6))));
    task.run(&mut Outgoing::default(), Turn::of_bytes(usize::MAX));
    assert_eq!((task.phase(), task.output_progress()), (Phase::ReadingOutput, (2, 3)));
    // A marker stands last.
    let end = Chunk::contiguous(output, Offset(5), Offset(6), Records::default(), Offset(6));
    task.push(Arc::new(end));
    task.run(&mut Outgoing::default(), Turn::of_bytes(usize::MAX));
    assert_eq!((task.phase(), task.counters().get("processed")), (Phase::Running, 0));
    assert_eq!(taken.lock().unwrap().len(), 2);
}

/// A first start of millions of earlier results must not be one transaction (law 16).
#[test]
fn a_commit_in_between_keeps_how_far_it_has_read() {
    let records = |keys: std::ops::Range<u8>| {
        let mut records = Records::default();
        keys.for_each(|_| records.push(EventTime(1), Some(&own_key()), Some(b"v"), &[]));
        records
    };
    let output = TopicPartition::new("results", 0);
    let (mut first, taken) = task(0, 2);
    first.read_output_to(&[Watermarks { low: Offset(0), high: Offset(5) }]);
    first.push(Arc::new(Chunk::contiguous(output.clone(), Offset(0), Offset(0), records(0..3), Offset(5))));
    let mut outgoing = Outgoing::default();
    first.run(&mut outgoing, Turn::of_bytes(usize::MAX));
    assert_eq!((first.phase(), first.is_dirty()), (Phase::ReadingOutput, true));
    let committed = first.prepare_commit(&mut outgoing);
    let blocks: Vec<Vec<u8>> = {
        let blocks = first.blocks_in(&mut outgoing);
        (0..blocks.len()).filter_map(|index| blocks.value(index)).map(<[u8]>::to_vec).collect()
    };
    assert_eq!(taken.lock().unwrap().len(), 3);

    let (mut second, taken) = fresh_task(0, 2);
    second.restore((0..).map(Offset).zip(blocks.iter().map(Vec::as_slice))).unwrap();
    let of = |partition: &TopicPartition| {
        committed.iter().find(|(known, _)| known == partition).map(|(_, offset)| *offset)
    };
    second.restored(Offset(blocks.len() as i64), of, false).unwrap();
    // Meanwhile it has grown: it is read to the end that it had.
    second.read_output_to(&[Watermarks { low: Offset(0), high: Offset(9) }]);
    assert_eq!((second.phase(), second.output_progress()), (Phase::ReadingOutput, (0, 2)));
    second.push(Arc::new(Chunk::contiguous(output, Offset(3), Offset(3), records(0..2), Offset(9))));
    second.run(&mut outgoing, Turn::of_bytes(usize::MAX));
    assert_eq!((second.phase(), taken.lock().unwrap().len()), (Phase::Running, 2));
}

/// A key of task 0 of two.
fn own_key() -> Vec<u8> {
    keys().into_iter().find(|key| partition_for(key, 2) == 0).unwrap()
}
