//! A copy of a task's changelog on this machine's disk, so that a restart reads only what came after it from the log.
//!
//! Promise: it holds blocks that are committed, without a gap, or it says that it is damaged. It is a copy and never more: nothing rests on
//! it, it is not synced, and whatever is wrong with it costs no more than reading the changelog instead. What it cannot know by
//! itself is whether the log still continues it; [`LocalCopy::find_last`] is for whoever asks. Broken by: keeping a block whose commit
//! is not known.
//!
//! A folder for each task, with a lock in it and segments named after the offset of their first block. A segment is [`MAGIC`] and
//! frames: length of the block (4 bytes), checksum of offset and block (4), offset (8), all little-endian, and the block. As the
//! changelog is trimmed after each cycle of snapshots, so are the segments.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, BufWriter, ErrorKind, Read, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::changelog::{BlockId, block_id};
use crate::log::{Offset, Records};

/// What a segment begins with: its format and its version.
const MAGIC: [u8; 8] = *b"tdgblk\x00\x01";

/// Length, checksum and offset of a block.
const HEAD_BYTES: usize = 16;

/// No block is longer (see `changelog`): a length beyond it is damage, and reserves no memory.
const BLOCK_MAX_BYTES: usize = 4 << 20;

const EXTENSION: &str = "blocks";

/// The copy of one task's changelog.
#[derive(Debug)]
pub(super) struct LocalCopy {
    directory: PathBuf,
    /// Offsets of the first blocks of the segments, ascending.
    segments: Vec<Offset>,
    /// The last segment, while it is appended to; the next block begins a new one otherwise.
    open: Option<BufWriter<File>>,
    /// Behind the last block: what is said to stand before it is no continuation.
    end: Offset,
    /// Blocks of the commit under way.
    staged: Records,
    /// Held by the kernel for as long as this is open, however the process ends.
    _lock: File,
}

/// Reads a copy from its beginning.
#[derive(Debug)]
pub(super) struct Replay {
    /// Those still to be read, the next one last.
    segments: Vec<PathBuf>,
    open: Option<BufReader<File>>,
    at: Offset,
    block: Vec<u8>,
}

impl LocalCopy {
    /// The copy in a folder, which is made if it is not there; nothing if somebody else holds it.
    pub(super) fn open(directory: &Path) -> io::Result<Option<LocalCopy>> {
        fs::create_dir_all(directory)?;
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).open(directory.join("lock"))?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            outcome => outcome?,
        }
        let mut segments = Vec::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                let offset = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
                segments.extend(offset.map(Offset));
            }
        }
        segments.sort_unstable();
        let directory = directory.to_owned();
        Ok(Some(LocalCopy {
            directory,
            segments,
            open: None,
            end: Offset(0),
            staged: Records::default(),
            _lock: lock,
        }))
    }

    /// The last block that is whole: where it stands in the log, if this is a copy of what stands there. What a kill has cut short, and
    /// segments without anything whole at their end, go.
    pub(super) fn find_last(&mut self) -> io::Result<Option<(Offset, BlockId)>> {
        self.open = None;
        while let Some(first) = self.segments.last() {
            let path = self.path(*first);
            if let Some((offset, id, end)) = last_frame(&path)? {
                OpenOptions::new().write(true).open(&path)?.set_len(end)?;
                self.end = offset.next();
                return Ok(Some((offset, id)));
            }
            fs::remove_file(&path)?;
            self.segments.pop();
        }
        Ok(None)
    }

    /// Where its first block stands.
    pub(super) fn start(&self) -> Offset {
        self.segments.first().copied().unwrap_or_default()
    }

    /// Where it is.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its blocks from the first to the last.
    pub(super) fn replay(&self) -> Replay {
        let segments = self.segments.iter().rev().map(|first| self.path(*first)).collect();
        Replay { segments, open: None, at: self.start(), block: Vec::new() }
    }

    /// Takes the blocks of a commit whose outcome is not known yet.
    pub(super) fn stage(&mut self, blocks: &Records) {
        self.staged = blocks.clone();
    }

    /// The commit is known, its first block stands at `first`.
    pub(super) fn committed(&mut self, first: Offset) -> io::Result<()> {
        let blocks = std::mem::take(&mut self.staged);
        let block = |index| blocks.value(index).unwrap_or_default();
        self.append((0..blocks.len()).map(|index| (Offset(first.0 + index as i64), block(index))))
    }

    /// Appends committed blocks, which follow those before.
    pub(super) fn append<'b>(&mut self, blocks: impl Iterator<Item = (Offset, &'b [u8])>) -> io::Result<()> {
        for (offset, block) in blocks {
            if offset < self.end {
                return Err(damaged("the log did not tell where the last commit's block stands"));
            }
            self.end = offset.next();
            let segment = match &mut self.open {
                Some(segment) => segment,
                None => self.open_segment(offset)?,
            };
            segment.write_all(&head(offset, block))?;
            segment.write_all(block)?;
        }
        self.open.iter_mut().try_for_each(Write::flush)
    }

    /// What stands before `before` is not needed any more.
    pub(super) fn trim(&mut self, before: Offset) -> io::Result<()> {
        // The next cycle has a segment of its own, behind which this one can go.
        self.open = None;
        let superfluous = self.segments.windows(2).take_while(|pair| pair[1] <= before).count();
        for first in self.segments.drain(..superfluous).collect::<Vec<_>>() {
            fs::remove_file(self.path(first))?;
        }
        Ok(())
    }

    /// Forgets everything: it is no copy of what the log holds, or not known to be one.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.staged = Records::default();
        (self.open, self.end) = (None, Offset(0));
        // The newest first: what is left of an interrupted removal has no gap.
        while let Some(first) = self.segments.last() {
            fs::remove_file(self.path(*first))?;
            self.segments.pop();
        }
        Ok(())
    }

    fn open_segment(&mut self, first: Offset) -> io::Result<&mut BufWriter<File>> {
        let mut segment = BufWriter::new(File::create_new(self.path(first))?);
        self.segments.push(first);
        segment.write_all(&MAGIC)?;
        Ok(self.open.insert(segment))
    }

    fn path(&self, first: Offset) -> PathBuf {
        self.directory.join(format!("{:020}.{EXTENSION}", first.0))
    }
}

impl Replay {
    /// Where the block stands that was read last.
    pub(super) fn at(&self) -> Offset {
        self.at
    }

    /// The next block.
    pub(super) fn next(&mut self) -> io::Result<Option<(Offset, &[u8])>> {
        loop {
            let Some(segment) = &mut self.open else {
                let Some(path) = self.segments.pop() else { return Ok(None) };
                self.open =
                    Some(open_segment(&path)?.ok_or_else(|| damaged("a segment's format is unknown"))?);
                continue;
            };
            if segment.fill_buf()?.is_empty() {
                self.open = None;
                continue;
            }
            self.at = read_frame(segment, &mut self.block)?;
            return Ok(Some((self.at, &self.block)));
        }
    }
}

/// A segment behind its magic; nothing if that is another.
fn open_segment(path: &Path) -> io::Result<Option<BufReader<File>>> {
    let mut segment = BufReader::new(File::open(path)?);
    let mut magic = Vec::new();
    segment.by_ref().take(MAGIC.len() as u64).read_to_end(&mut magic)?;
    Ok((magic == MAGIC).then_some(segment))
}

/// The last whole frame of a segment and where it ends; nothing if there is none, or if it is not what was written.
///
/// Only this one is looked into: the others are when they are read.
fn last_frame(path: &Path) -> io::Result<Option<(Offset, BlockId, u64)>> {
    let Some(mut segment) = open_segment(path)? else { return Ok(None) };
    let len = segment.get_ref().metadata()?.len();
    let (mut at, mut last) = (MAGIC.len() as u64, None);
    while at + HEAD_BYTES as u64 <= len {
        let mut head = [0; HEAD_BYTES];
        segment.read_exact(&mut head)?;
        let (block_bytes, _, _) = parts(&head);
        let end = at + (HEAD_BYTES + block_bytes) as u64;
        if end > len {
            break;
        }
        segment.seek_relative(block_bytes as i64)?;
        (at, last) = (end, Some(at));
    }
    let Some(start) = last else { return Ok(None) };
    segment.seek(SeekFrom::Start(start))?;
    let mut block = Vec::new();
    let found = match read_frame(&mut segment, &mut block) {
        Ok(offset) => block_id(&block).map(|id| (offset, id, at)),
        Err(error) if error.kind() == ErrorKind::InvalidData => None,
        Err(error) => return Err(error),
    };
    Ok(found)
}

fn read_frame(segment: &mut impl Read, block: &mut Vec<u8>) -> io::Result<Offset> {
    let mut head = [0; HEAD_BYTES];
    segment.read_exact(&mut head)?;
    let (block_bytes, checksum, offset) = parts(&head);
    if block_bytes > BLOCK_MAX_BYTES {
        return Err(damaged("a block's length is beyond any block's"));
    }
    block.resize(block_bytes, 0);
    segment.read_exact(block)?;
    if checksum != checksum_of(offset, block) {
        return Err(damaged("a block's checksum does not fit"));
    }
    Ok(offset)
}

fn head(offset: Offset, block: &[u8]) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    // Blocks are bounded far below 4 GiB.
    head[..4].copy_from_slice(&(block.len() as u32).to_le_bytes());
    head[4..8].copy_from_slice(&checksum_of(offset, block).to_le_bytes());
    head[8..].copy_from_slice(&offset.0.to_le_bytes());
    head
}

/// Length, checksum and offset.
fn parts(head: &[u8; HEAD_BYTES]) -> (usize, u32, Offset) {
    let (length, rest) = head.split_at(4);
    let (checksum, offset) = rest.split_at(4);
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    (number(length) as usize, number(checksum) as u32, Offset(number(offset) as i64))
}

fn checksum_of(offset: Offset, block: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&offset.0.to_le_bytes());
    hasher.update(block);
    hasher.finalize()
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests;
