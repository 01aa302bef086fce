//! Records that a producer with another partitioner wrote: bad ones, told once.

use tidegate_runtime::log::partition_for;
use tidegate_runtime::topology::Topology;
use tidegate_runtime::worker::{StatusBoard, WorkerOptions};

use crate::counting::{PARTITIONS, Place, Running, Told, until_end, wait_for};

/// Each key once where it belongs, and once where it does not.
fn strayed() -> Vec<(u32, Vec<u8>)> {
    let keys = (0..20).map(|number| format!("key-{number}").into_bytes());
    keys.flat_map(|key| {
        let home = partition_for(&key, PARTITIONS);
        [(home, key.clone()), ((home + 1) % PARTITIONS, key)]
    })
    .collect()
}

#[test]
fn misplaced_records_are_dead_letters_and_told_once_however_many_workers_meet_them() {
    let place = Place::new();
    place.append_to(&strayed());
    let (board, told) = (StatusBoard::default(), Told::default());
    let worker = |number: u32| {
        let options = WorkerOptions { worker: number, notice: told.notice(), ..until_end("a") };
        Running::start(&place.log, WorkerOptions { status: board.clone(), ..options })
    };
    let workers = [worker(0), worker(1)];
    wait_for("the end of both", || workers.iter().all(Running::has_ended));
    workers.into_iter().for_each(|worker| worker.wait().unwrap());
    let counts = place.read("counts");
    assert_eq!(counts.len(), 20, "each key counts where it belongs");
    assert!(counts.iter().all(|(_, count)| count == &1_u64.to_be_bytes()), "and only there: {counts:?}");
    assert_eq!(place.read(&Topology::dead_letters_of("counting")).len(), 20);
    assert_eq!((board.total("wrong-partition"), board.total("dead-letters")), (20, 20));
    assert_eq!(told.count("partitioner=murmur2_random"), 1, "{:?}", told.lines());
    let line = told.lines().into_iter().find(|line| line.contains("murmur2")).unwrap();
    assert!(line.starts_with("`counting`: words[") && line.contains("key `key-"), "{line}");
}
