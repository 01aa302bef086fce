//! Replay of real files: opening them, and errors that say where a file is wrong.

mod moers;
mod retail;
mod zone;

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

pub use moers::{MoersReplay, MoersSummary, replay_radars};
pub use retail::{RetailReplay, RetailSummary, replay_invoices};

/// Why a file cannot be replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// It cannot be opened or read.
    #[error("cannot read `{}`", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// The system's word.
        #[source]
        cause: io::Error,
    },
    /// A value in it is not what its format says.
    #[error("`{}` line {line}: {field} is `{value}`; {remedy}", file.display())]
    Value {
        /// Which file.
        file: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// Which field.
        field: &'static str,
        /// What stands there.
        value: String,
        /// What should.
        remedy: &'static str,
    },
    /// It changed while it was being read.
    #[error("`{}` changed while it was replayed; start again on a file that nobody writes", file.display())]
    Changed {
        /// Which file.
        file: PathBuf,
    },
    /// An option is out of its bounds.
    #[error(transparent)]
    Option(#[from] crate::OptionError),
}

/// What a field should have been.
struct Misfit {
    field: &'static str,
    value: String,
    remedy: &'static str,
}

impl Misfit {
    fn new(field: &'static str, value: impl Into<String>, remedy: &'static str) -> Misfit {
        Misfit { field, value: value.into(), remedy }
    }

    fn at(self, file: &Path, line: u64) -> ReplayError {
        let Misfit { field, value, remedy } = self;
        ReplayError::Value { file: file.to_owned(), line, field, value, remedy }
    }
}

fn unreadable(file: &Path, cause: io::Error) -> ReplayError {
    ReplayError::Read { file: file.to_owned(), cause }
}

/// Opens a plain or a gzipped file. Its first two bytes decide, not its name: a downloaded file may have lost it.
fn open(file: &Path) -> Result<Box<dyn BufRead + Send>, ReplayError> {
    const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
    let opened = File::open(file).map_err(|cause| unreadable(file, cause))?;
    let mut plain = BufReader::new(opened);
    let start = plain.fill_buf().map_err(|cause| unreadable(file, cause))?;
    if start.starts_with(&GZIP_MAGIC) {
        return Ok(Box::new(BufReader::new(MultiGzDecoder::new(plain))));
    }
    Ok(Box::new(plain))
}
