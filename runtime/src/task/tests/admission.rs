//! Records that stand in another partition than their keys'.

use std::sync::Arc;

use super::{Copy, input, parts_of};
use crate::log::{Chunk, Offset, Outgoing, Records, partition_for};
use crate::task::{Input, Task, TaskParts, Turn};
use crate::time::EventTime;
use crate::topology::SourceKind;

/// A task with one input of each kind, each holding the same three records, one of them in another partition than its key's.
#[test]
fn streams_and_tables_are_checked_for_the_partition_of_their_keys_and_broadcast_tables_are_not() {
    let kinds = [SourceKind::Stream, SourceKind::Table, SourceKind::Broadcast];
    let inputs: Vec<Input> = kinds.iter().enumerate().map(|(source, kind)| input(source, *kind)).collect();
    let parts = TaskParts { tasks: 4, ..parts_of(Box::new(Copy), inputs) };
    let mut task = Task::new(parts, "changelog".into());
    task.restored(Offset(0), |_| None, false).unwrap();
    let (here, elsewhere) = (key_of(0), key_of(1));
    for number in 0..kinds.len() {
        let mut records = Records::default();
        for key in [Some(here.as_slice()), Some(elsewhere.as_slice()), None] {
            records.push(EventTime(5), key, Some(b"v"), &[]);
        }
        let partition = task.inputs()[number].partition().clone();
        task.push(Arc::new(Chunk::contiguous(partition, Offset(0), Offset(0), records, Offset(3))));
    }
    let mut outgoing = Outgoing::default();
    task.run(&mut outgoing, Turn::of_bytes(usize::MAX));
    assert!(task.wants_table_ends());
    task.ask(1).for_each(drop);
    task.answered(1, |_| Offset(3));
    task.run(&mut outgoing, Turn::of_bytes(usize::MAX));
    let (_, dead) = outgoing.batches().find(|(to, _)| &*to.topic == "dead").unwrap();
    let origin = |index| dead.headers(index).find(|(name, _)| *name == "origin").unwrap().1.to_vec();
    let origins: Vec<Vec<u8>> = (0..dead.len()).map(origin).collect();
    assert_eq!(origins, [b"topic-1[0]@1".to_vec(), b"topic-0[0]@1".to_vec()]);
    assert_eq!((task.counters().get("dead-letters"), task.counters().get("wrong-partition")), (2, 2));
    let first = task.take_misplaced().unwrap().to_string();
    assert!(first.starts_with("topic-1[0]@1: key `k") && first.contains("partition 1 of 4"), "{first}");
    assert_eq!(task.take_misplaced(), None, "it is told once");
}

/// A key whose partition among four is `partition`.
fn key_of(partition: u32) -> Vec<u8> {
    let keys = (0..).map(|number| format!("k{number}").into_bytes());
    keys.into_iter().find(|key| partition_for(key, 4) == partition).unwrap()
}
