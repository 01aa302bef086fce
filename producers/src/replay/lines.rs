//! The lines of a file, plain or gzipped, with a bound on everything that is read.
//!
//! Guarantees: a line takes at most [`ReplayBounds::line_bytes`] in memory, and a compressed file is unpacked up to
//! [`ReplayBounds::unpacked_bytes`] only, so that no file keeps a replay busy without an end. Lines are counted from 1, whether they
//! end with LF or CRLF.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::{Misfit, ReplayError, unreadable};

/// How much of a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayBounds {
    /// The longest line, its end not counted.
    pub line_bytes: usize,
    /// What a compressed file may unpack to; `None` for 250 times its size, and 1 GiB in any case. Texts of records are packed ten to
    /// thirty times as small, and gzip packs nothing more than a thousand times.
    pub unpacked_bytes: Option<u64>,
}

/// What any compressed file may unpack to.
const UNPACKED_LEAST_BYTES: u64 = 1 << 30;

/// What a compressed file may unpack to, per byte of it.
const UNPACKED_PER_BYTE: u64 = 250;

impl Default for ReplayBounds {
    fn default() -> ReplayBounds {
        ReplayBounds { line_bytes: 1 << 20, unpacked_bytes: None }
    }
}

/// Reads a file line by line.
pub(super) struct Lines {
    file: PathBuf,
    from: Box<dyn BufRead + Send>,
    line_bytes: usize,
    /// The most that is read of a compressed file.
    unpacked_most: Option<u64>,
    taken_bytes: u64,
    text: Vec<u8>,
    number: u64,
}

impl Lines {
    /// Opens a plain or a gzipped file. Its first two bytes decide, not its name: a downloaded file may have lost it.
    pub(super) fn open(file: &Path, bounds: ReplayBounds) -> Result<Lines, ReplayError> {
        const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
        let unread = |cause| unreadable(file, cause);
        let opened = File::open(file).map_err(unread)?;
        let packed_bytes = opened.metadata().map_err(unread)?.len();
        let mut plain = BufReader::new(opened);
        let is_packed = plain.fill_buf().map_err(unread)?.starts_with(&GZIP_MAGIC);
        let most = packed_bytes.saturating_mul(UNPACKED_PER_BYTE).max(UNPACKED_LEAST_BYTES);
        let unpacked_most = is_packed.then(|| bounds.unpacked_bytes.unwrap_or(most));
        let from: Box<dyn BufRead + Send> =
            if is_packed { Box::new(BufReader::new(MultiGzDecoder::new(plain))) } else { Box::new(plain) };
        Ok(Lines {
            file: file.to_owned(),
            from,
            line_bytes: bounds.line_bytes,
            unpacked_most,
            taken_bytes: 0,
            text: Vec::new(),
            number: 0,
        })
    }

    /// Reads the next line; false at the end of the file.
    ///
    /// # Errors
    /// [`ReplayError::Value`] for a line that is too long; the next call gives the line behind it. Any other error ends the file.
    pub(super) fn advance(&mut self) -> Result<bool, ReplayError> {
        self.text.clear();
        let (mut read_any, mut is_cut) = (false, false);
        loop {
            let part = self.from.fill_buf().map_err(|cause| unreadable(&self.file, cause))?;
            if part.is_empty() {
                break;
            }
            let end = part.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(part.len(), |end| end + 1);
            // The end of the line stands beyond the bound.
            let room = (self.line_bytes + 2).saturating_sub(self.text.len());
            self.text.extend_from_slice(&part[..taken.min(room)]);
            is_cut |= taken > room;
            read_any = true;
            self.from.consume(taken);
            self.taken_bytes += taken as u64;
            if let Some(most) = self.unpacked_most.filter(|most| self.taken_bytes > *most) {
                return Err(ReplayError::TooLarge { file: self.file.clone(), most });
            }
            if end.is_some() {
                break;
            }
        }
        if !read_any {
            return Ok(false);
        }
        self.number += 1;
        for end in [b'\n', b'\r'] {
            if self.text.last() == Some(&end) {
                self.text.pop();
            }
        }
        if is_cut || self.text.len() > self.line_bytes {
            return Err(self.too_long().at(&self.file, self.number, self.text()));
        }
        Ok(true)
    }

    fn too_long(&self) -> Misfit {
        Misfit::new(
            "the line",
            self.text.clone(),
            "expected a shorter line; `--max-line` says how long one may be",
        )
    }

    /// The line that was read, without its end.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Its number, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }
}
