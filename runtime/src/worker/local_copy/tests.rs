//! A copy against what was put into it: whatever happens to its files, it gives a beginning of that, or says that it is damaged.

use std::collections::BTreeSet;

use super::*;
use crate::changelog::{Changelog, History, Progress};
use crate::time::EventTime;

/// Blocks of one history, in the order in which they were written.
fn blocks(count: usize) -> Vec<Vec<u8>> {
    let mut changelog = Changelog::new(History(1));
    let mut records = Records::default();
    for _ in 0..count {
        changelog.append(&mut [], &Progress::default(), EventTime(0), &mut records);
    }
    (0..records.len()).map(|index| records.value(index).unwrap().to_vec()).collect()
}

/// With a gap before each, as on Kafka.
fn at(index: usize) -> Offset {
    Offset(10 + 2 * index as i64)
}

fn open(directory: &Path) -> LocalCopy {
    LocalCopy::open(directory).unwrap().expect("nobody holds it")
}

fn last(copy: &mut LocalCopy) -> Option<(Offset, BlockId)> {
    copy.find_last().unwrap()
}

fn append(copy: &mut LocalCopy, blocks: &[Vec<u8>], range: std::ops::Range<usize>) {
    copy.append(range.map(|index| (at(index), blocks[index].as_slice()))).unwrap();
}

fn read(copy: &LocalCopy) -> io::Result<Vec<(Offset, Vec<u8>)>> {
    let (mut replay, mut found) = (copy.replay(), Vec::new());
    while let Some((offset, block)) = replay.next()? {
        found.push((offset, block.to_vec()));
    }
    Ok(found)
}

fn numbered(blocks: &[Vec<u8>], range: std::ops::Range<usize>) -> Vec<(Offset, Vec<u8>)> {
    range.map(|index| (at(index), blocks[index].clone())).collect()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|found| found == EXTENSION)).collect();
    paths.sort();
    paths
}

#[test]
fn what_was_put_in_comes_back_after_any_number_of_lives() {
    let (directory, blocks) = (tempfile::tempdir().unwrap(), blocks(9));
    assert_eq!(last(&mut open(directory.path())), None);
    for life in 0..3 {
        let mut copy = open(directory.path());
        append(&mut copy, &blocks, 3 * life..3 * life + 1);
        append(&mut copy, &blocks, 3 * life + 1..3 * life + 3);
        let end = 3 * life + 2;
        assert_eq!(last(&mut copy), Some((at(end), block_id(&blocks[end]).unwrap())));
        drop(copy);
        let mut copy = open(directory.path());
        assert_eq!(last(&mut copy), Some((at(end), block_id(&blocks[end]).unwrap())));
        assert_eq!(read(&copy).unwrap(), numbered(&blocks, 0..end + 1));
    }
}

#[test]
fn a_commit_that_is_not_known_leaves_nothing() {
    let (directory, blocks) = (tempfile::tempdir().unwrap(), blocks(3));
    let mut copy = open(directory.path());
    let staged = |block: &[u8]| {
        let mut records = Records::default();
        records.push(EventTime(0), None, Some(block), &[]);
        records
    };
    copy.stage(&staged(&blocks[0]));
    copy.committed(at(0)).unwrap();
    copy.stage(&staged(&blocks[2]));
    // It did not happen; the next one does.
    copy.stage(&staged(&blocks[1]));
    assert_eq!(read(&copy).unwrap(), numbered(&blocks, 0..1));
    copy.committed(at(1)).unwrap();
    assert_eq!(read(&copy).unwrap(), numbered(&blocks, 0..2));
}

#[test]
fn one_holder_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let held = open(directory.path());
    assert!(LocalCopy::open(directory.path()).unwrap().is_none());
    drop(held);
    assert!(LocalCopy::open(directory.path()).unwrap().is_some());
}

/// A kill may cut a write short at any byte: the copy ends before it, and goes on from there.
#[test]
fn what_was_cut_short_is_not_there() {
    let (whole, blocks) = (tempfile::tempdir().unwrap(), blocks(6));
    let mut copy = open(whole.path());
    append(&mut copy, &blocks, 0..2);
    copy.trim(Offset(0)).unwrap();
    append(&mut copy, &blocks, 2..5);
    drop(copy);
    let [first, second] = files(whole.path()).try_into().unwrap();
    let bytes = fs::read(&second).unwrap();
    let mut seen = BTreeSet::new();
    for len in 0..bytes.len() {
        let cut = tempfile::tempdir().unwrap();
        fs::copy(&first, cut.path().join(first.file_name().unwrap())).unwrap();
        fs::write(cut.path().join(second.file_name().unwrap()), &bytes[..len]).unwrap();
        let mut copy = open(cut.path());
        let found = last(&mut copy);
        let kept = read(&copy).unwrap().len();
        assert!((2..5).contains(&kept), "{kept} blocks of a segment cut at {len}");
        assert_eq!(read(&copy).unwrap(), numbered(&blocks, 0..kept));
        assert_eq!(found, Some((at(kept - 1), block_id(&blocks[kept - 1]).unwrap())));
        append(&mut copy, &blocks, kept..6);
        drop(copy);
        assert_eq!(read(&open(cut.path())).unwrap(), numbered(&blocks, 0..6), "cut at {len}");
        seen.insert(kept);
    }
    assert_eq!(seen, BTreeSet::from([2, 3, 4]));
}

/// A byte that is not what was written is noticed wherever it stands: no block comes back changed.
#[test]
fn damage_is_noticed_wherever_it_is() {
    let (directory, blocks) = (tempfile::tempdir().unwrap(), blocks(3));
    append(&mut open(directory.path()), &blocks, 0..3);
    let [file] = files(directory.path()).try_into().unwrap();
    let bytes = fs::read(&file).unwrap();
    let (mut shorter, mut refused) = (0, 0);
    for index in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[index] ^= 0x41;
        fs::write(&file, &damaged).unwrap();
        let mut copy = open(directory.path());
        last(&mut copy);
        match read(&copy) {
            Ok(found) => {
                assert!(found.len() < 3, "byte {index} does not matter");
                assert_eq!(found, numbered(&blocks, 0..found.len()), "byte {index}");
                shorter += 1;
            }
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof), "{error}");
                refused += 1;
            }
        }
    }
    assert!(shorter > 0 && refused > 0, "{shorter} {refused}");
}

#[test]
fn what_is_not_needed_goes_a_cycle_at_a_time() {
    let (directory, blocks) = (tempfile::tempdir().unwrap(), blocks(9));
    append(&mut open(directory.path()), &blocks, 0..3);
    let mut copy = open(directory.path());
    append(&mut copy, &blocks, 3..6);
    copy.trim(at(1)).unwrap();
    assert_eq!(read(&copy).unwrap(), numbered(&blocks, 0..6), "the first segment holds what is needed");
    copy.trim(at(4)).unwrap();
    append(&mut copy, &blocks, 6..9);
    assert_eq!(read(&copy).unwrap(), numbered(&blocks, 3..9));
    // Everything is superfluous but what is still to come.
    copy.trim(Offset(1_000)).unwrap();
    assert_eq!(
        read(&copy).unwrap(),
        numbered(&blocks, 6..9),
        "the last segment stays until there is another"
    );
    drop(copy);
    assert_eq!(read(&open(directory.path())).unwrap(), numbered(&blocks, 6..9));
}

#[test]
fn a_cleared_copy_begins_anew() {
    let (directory, blocks) = (tempfile::tempdir().unwrap(), blocks(4));
    let mut copy = open(directory.path());
    append(&mut copy, &blocks, 0..2);
    copy.clear().unwrap();
    assert_eq!((last(&mut copy), read(&copy).unwrap(), files(directory.path())), (None, vec![], vec![]));
    append(&mut copy, &blocks, 2..4);
    assert_eq!(read(&copy).unwrap(), numbered(&blocks, 2..4));
}

/// A log that does not know where a block came to stand tells an earlier place.
#[test]
fn what_does_not_follow_is_refused_and_overwrites_nothing() {
    let (directory, blocks) = (tempfile::tempdir().unwrap(), blocks(4));
    let mut copy = open(directory.path());
    append(&mut copy, &blocks, 0..3);
    let is_refused = |copy: &mut LocalCopy| {
        let outcome = copy.append(std::iter::once((at(0), blocks[3].as_slice())));
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::InvalidData);
    };
    is_refused(&mut copy);
    drop(copy);
    let mut copy = open(directory.path());
    last(&mut copy);
    is_refused(&mut copy);
    assert_eq!(read(&copy).unwrap(), numbered(&blocks, 0..3));
    append(&mut copy, &blocks, 3..4);
    assert_eq!(read(&copy).unwrap(), numbered(&blocks, 0..4));
}

#[test]
fn a_reader_tells_how_far_it_is() {
    let (directory, blocks) = (tempfile::tempdir().unwrap(), blocks(4));
    let mut copy = open(directory.path());
    append(&mut copy, &blocks, 1..4);
    let mut replay = copy.replay();
    let mut places = vec![replay.at()];
    while replay.next().unwrap().is_some() {
        places.push(replay.at());
    }
    assert_eq!(places, [at(1), at(1), at(2), at(3)]);
}

/// Nobody could tell whose it is.
#[test]
fn a_copy_that_ends_with_a_block_without_a_history_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let mut copy = open(directory.path());
    copy.append(std::iter::once((at(0), [1, 2, 3].as_slice()))).unwrap();
    assert_eq!(last(&mut copy), None);
    drop(copy);
    assert_eq!(last(&mut open(directory.path())), None);
}
