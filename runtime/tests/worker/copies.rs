//! Copies of the changelog on this machine: they save reading, and nothing rests on them.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_runtime::worker::{StatusBoard, WorkerOptions};

use crate::counting::{PARTITIONS, Place, Running, Told, live, until_end, wait_for};
use crate::lives::let_tasks_move;

/// A bounded run with copies in `directory`; how many offsets of the changelogs it read, and what it said.
fn run(place: &Place, directory: &Path) -> (u64, Vec<String>) {
    let (status, told) = (StatusBoard::default(), Told::default());
    let options = WorkerOptions {
        state_directory: Some(directory.to_owned()),
        status: status.clone(),
        notice: told.notice(),
        ..until_end("a")
    };
    Running::start(&place.log, options).wait().unwrap();
    (read_by(&status), told.lines())
}

/// How many offsets of changelogs were read for the tasks on this board.
fn read_by(status: &StatusBoard) -> u64 {
    status.snapshot().ledgers.values().map(|ledger| ledger.restored_offsets).sum()
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for task in fs::read_dir(directory).unwrap() {
        let files = fs::read_dir(task.unwrap().path()).unwrap().map(|file| file.unwrap().path());
        found.extend(files.filter(|path| path.extension().is_some_and(|extension| extension == "blocks")));
    }
    found
}

#[test]
fn a_restart_reads_only_what_its_copy_does_not_have() {
    let (mut place, here, elsewhere) =
        (Place::new(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    place.write(3_000);
    assert_eq!(run(&place, here.path()), (0, vec![]));
    place.write(500);
    assert_eq!(run(&place, here.path()), (0, vec![]), "the copy has all of it");
    let blocks: u64 = (0..PARTITIONS).map(|number| place.changelog_end(number)).sum();
    place.write(500);
    assert_eq!(run(&place, elsewhere.path()), (blocks, vec![]), "an empty disk has nothing");
    let written: u64 = (0..PARTITIONS).map(|number| place.changelog_end(number)).sum::<u64>() - blocks;
    place.write(500);
    assert_eq!(run(&place, here.path()), (written, vec![]), "what was done elsewhere meanwhile");
    place.write(500);
    assert_eq!(run(&place, here.path()), (0, vec![]), "the copy has that too now");
    place.check();
}

/// Blocks in the same places, with the same numbers, of another life of the application: only their history differs.
#[test]
fn a_copy_of_what_was_reset_is_not_used() {
    let (before, mut after) = (Place::new(), Place::new());
    let copies = tempfile::tempdir().unwrap();
    before.append(&vec![(b"key-1".to_vec(), b"good".as_slice()); 40]);
    run(&before, copies.path());
    after.write(1_000);
    run(&after, tempfile::tempdir().unwrap().path());
    let ends = |place: &Place| [0, 1, 2, 3].map(|number| place.changelog_end(number));
    assert!(
        ends(&before).iter().zip(ends(&after)).all(|(before, after)| *before <= after),
        "they stand in both"
    );
    after.write(1_000);
    let read: u64 = ends(&after).iter().sum();
    assert_eq!(run(&after, copies.path()), (read, vec![]));
    after.check();
    // And one that ends behind all there is.
    let mut anew = Place::new();
    anew.write(1_000);
    assert_eq!(run(&anew, copies.path()), (0, vec![]));
    anew.check();
}

/// Its changelog went on elsewhere, and was trimmed beyond the copy's end.
#[test]
fn a_copy_that_was_left_behind_is_not_used() {
    let (mut place, here, elsewhere) =
        (Place::new(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    place.write(500);
    run(&place, here.path());
    let ends = [0, 1, 2, 3].map(|number| place.changelog_end(number));
    let options = WorkerOptions { state_directory: Some(elsewhere.path().to_owned()), ..live("elsewhere") };
    let running = Running::start(&place.log, options);
    wait_for("trims", || {
        place.write(400);
        (0..PARTITIONS).all(|number| place.changelog_start(number) > ends[number as usize])
    });
    running.stop().unwrap();
    let kept: u64 =
        (0..PARTITIONS).map(|number| place.changelog_end(number) - place.changelog_start(number)).sum();
    place.write(500);
    assert_eq!(run(&place, here.path()), (kept, vec![]));
    place.check();
    let held: u64 = segments(elsewhere.path()).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(held < 400_000, "copies are trimmed too: {held} bytes");
}

#[test]
fn a_damaged_copy_costs_reading_and_is_told() {
    let (mut place, copies) = (Place::new(), tempfile::tempdir().unwrap());
    for _ in 0..3 {
        place.write(800);
        run(&place, copies.path());
    }
    let mut damaged = segments(copies.path());
    damaged.sort();
    let Some(first) = damaged.first() else { panic!("there is a copy") };
    let mut bytes = fs::read(first).unwrap();
    bytes[60] ^= 1;
    fs::write(first, bytes).unwrap();
    place.write(800);
    let (read, told) = run(&place, copies.path());
    assert!(read > 0);
    let [line] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(
        line,
        "the copy of task `0` of `counting` on this machine cannot be read: a block's checksum does not fit; its state is read from the log \
         instead"
    );
    place.write(800);
    assert_eq!(run(&place, copies.path()), (0, vec![]), "it was made anew");
    place.check();
}

/// A cleaner of old files, a backup of the newest: the copy is sound as far as it goes, and the log still continues it.
#[test]
fn a_copy_that_lost_its_beginning_costs_reading_and_is_told() {
    let (mut place, copies) = (Place::new(), tempfile::tempdir().unwrap());
    for _ in 0..3 {
        place.write(50);
        run(&place, copies.path());
    }
    for number in 0..PARTITIONS {
        let of_task = copies.path().join(number.to_string()).join(format!("{:020}.blocks", 0));
        fs::remove_file(of_task).unwrap();
    }
    for has_more in [false, true] {
        if has_more {
            place.write(50);
            run(&place, tempfile::tempdir().unwrap().path());
        }
        let kept = tempfile::tempdir().unwrap();
        for file in segments(copies.path()) {
            let there = kept.path().join(file.strip_prefix(copies.path()).unwrap());
            fs::create_dir_all(there.parent().unwrap()).unwrap();
            fs::copy(&file, there).unwrap();
        }
        let blocks: u64 = (0..PARTITIONS).map(|number| place.changelog_end(number)).sum();
        let (read, told) = run(&place, kept.path());
        assert!(read >= blocks, "{read} of {blocks}");
        assert_eq!(told.len(), PARTITIONS as usize, "{told:?}");
        let expected = "the copy of task `0` of `counting` on this machine cannot be read: it is not whole; its state is read from the log \
                        instead";
        assert!(told.iter().any(|line| line == expected), "{told:?}");
    }
    place.check();
}

#[test]
fn a_disk_that_keeps_nothing_stops_nobody() {
    let (mut place, directory) = (Place::new(), tempfile::tempdir().unwrap());
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    for _ in 0..2 {
        place.write(500);
        let (_, told) = run(&place, &file);
        assert_eq!(told.len(), PARTITIONS as usize, "{told:?}");
        let expected = format!("no copy of task `0` of `counting` can be kept in `{}/0`: ", file.display());
        assert!(told.iter().any(|line| line.starts_with(&expected)), "{told:?}");
    }
    place.check();
}

/// Everybody on a machine may keep copies in the same folder, and tasks wander: whoever had them has let go of the copies before.
#[test]
fn copies_wander_with_their_tasks() {
    let (mut place, copies) = (Place::new(), tempfile::tempdir().unwrap());
    let boards = RefCell::<Vec<StatusBoard>>::default();
    let_tasks_move(&mut place, 1_000, |name| {
        boards.borrow_mut().push(StatusBoard::default());
        let status = boards.borrow().last().cloned().unwrap_or_default();
        // A machine that stands still for a while must not take tasks from those who hold the copies.
        let session_timeout = Duration::from_secs(60);
        WorkerOptions {
            state_directory: Some(copies.path().to_owned()),
            status,
            session_timeout,
            ..live(name)
        }
    });
    let read: Vec<u64> = boards.borrow().iter().map(read_by).collect();
    assert_eq!(read, [0; 7], "what each of them had to read in the log");
    assert_eq!(run(&place, copies.path()), (0, vec![]));
    place.check();
}
