//! A partition's files on a broker's disk, and what decay does to them.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Where the length of what follows it stands in a batch, big-endian in four bytes.
const LENGTH: u64 = 8;
const MAGIC: u64 = 16;
/// How far behind the batch's first offset, with which it begins, its last one lies.
const LAST_DELTA: u64 = 23;
/// The lower byte of the attributes, of which this bit marks what a transaction's coordinator wrote.
const ATTRIBUTES: u64 = 22;
const IS_CONTROL: u8 = 1 << 5;

/// Where in a batch a bit is turned over.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// In the bytes of its records, near the end.
    Records,
    /// In the version of its format, which no checksum covers.
    Magic,
}

/// Which of a partition's batches of records (not of markers) that are not trimmed: those stay on the disk for a while.
#[derive(Clone, Copy, Debug)]
pub enum Batch {
    First,
    Last,
}

/// Turns a bit over in a partition whose first offset is `low`.
pub fn damage(partition: &Path, low: i64, batch: Batch, place: Place) {
    let segments = std::fs::read_dir(partition).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> =
        segments.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
    segments.sort();
    let mut batches = segments.iter().flat_map(|segment| batches(segment, low));
    let found = match batch {
        Batch::First => batches.next(),
        Batch::Last => batches.last(),
    };
    let (segment, start, length) = found.expect("the partition holds records");
    let file = OpenOptions::new().read(true).write(true).open(segment).unwrap();
    let at = start
        + match place {
            Place::Records => length - 2,
            Place::Magic => MAGIC,
        };
    file.write_all_at(&[byte(&file, at) ^ 0x10], at).unwrap();
}

/// The batches of records in a segment that end behind `low`: where they start, and how long they are.
fn batches(segment: &Path, low: i64) -> Vec<(&Path, u64, u64)> {
    let file = File::open(segment).unwrap();
    let (mut at, mut found) = (0, Vec::new());
    while let Some(length) = length(&file, at) {
        let last_offset = i64::from_be_bytes(bytes(&file, at))
            + i64::from(i32::from_be_bytes(bytes(&file, at + LAST_DELTA)));
        if last_offset >= low && byte(&file, at + ATTRIBUTES) & IS_CONTROL == 0 {
            found.push((segment, at, length));
        }
        at += length;
    }
    found
}

/// The whole length of the batch that starts here.
fn length(file: &File, at: u64) -> Option<u64> {
    let mut found = [0; 4];
    file.read_exact_at(&mut found, at + LENGTH).ok()?;
    let length = u32::from_be_bytes(found);
    // What the broker has reserved and not written yet is zeroes.
    (length > 0).then(|| u64::from(length) + LENGTH + 4)
}

fn byte(file: &File, at: u64) -> u8 {
    let [found] = bytes(file, at);
    found
}

fn bytes<const N: usize>(file: &File, at: u64) -> [u8; N] {
    let mut found = [0; N];
    file.read_exact_at(&mut found, at).unwrap();
    found
}
