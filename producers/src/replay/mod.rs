//! Replay of real files: errors that say where a file is wrong, and who hears of a bad line.
//!
//! Guarantees: a replay has checked every line of its file before it gives the first record. Each bad line is handed to a function of the
//! caller, which ends the replay or lets it go on without that line; the records are the same either way it was called.

mod lines;
mod moers;
mod record_size;
mod retail;
mod rows;
mod unfit;
mod zone;

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use tidegate_runtime::quote::quoted;

pub use lines::ReplayBounds;
pub use moers::{MoersReplay, MoersSummary, RadarFile, replay_radars};
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
    #[error("`{}` line {line}: {field} is {}; {remedy}", file.display(), quoted(value))]
    Value {
        /// Which file.
        file: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// Which field.
        field: &'static str,
        /// What stands there.
        value: Vec<u8>,
        /// What should.
        remedy: Cow<'static, str>,
        /// The line, or the lines of one record, without the last end.
        text: Vec<u8>,
    },
    /// It is compressed, and unpacks to more than it may.
    #[error("`{}` unpacks to more than {most} bytes; give --max-unpacked if it is no trap", file.display())]
    TooLarge {
        /// Which file.
        file: PathBuf,
        /// What it may unpack to.
        most: u64,
    },
    /// What a caller did with a bad line failed.
    #[error("cannot write the bad lines to `{}`", file.display())]
    BadLines {
        /// The file they go to.
        file: PathBuf,
        /// The system's word.
        #[source]
        cause: io::Error,
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

/// Takes a bad line: an error ends the replay, otherwise it goes on without that line.
pub type TakeBad<'t> = &'t mut dyn FnMut(ReplayError) -> Result<(), ReplayError>;

/// What a field should have been.
struct Misfit {
    field: &'static str,
    value: Vec<u8>,
    remedy: Cow<'static, str>,
}

impl Misfit {
    fn new(field: &'static str, value: impl Into<Vec<u8>>, remedy: impl Into<Cow<'static, str>>) -> Misfit {
        Misfit { field, value: value.into(), remedy: remedy.into() }
    }

    fn at(self, file: &Path, line: u64, text: &[u8]) -> ReplayError {
        let Misfit { field, value, remedy } = self;
        ReplayError::Value { file: file.to_owned(), line, field, value, remedy, text: text.to_owned() }
    }
}

fn unreadable(file: &Path, cause: io::Error) -> ReplayError {
    ReplayError::Read { file: file.to_owned(), cause }
}

/// Tells whether another reading of a file meets the bad lines that the first one met.
#[derive(Clone)]
struct Expected {
    bad_left: u64,
}

impl Expected {
    /// Takes a bad line of the second reading.
    fn take(&mut self, file: &Path) -> Result<(), ReplayError> {
        let left = self.bad_left.checked_sub(1);
        self.bad_left = left.ok_or_else(|| ReplayError::Changed { file: file.to_owned() })?;
        Ok(())
    }

    /// The second reading is over.
    fn end(&self, file: &Path) -> Result<(), ReplayError> {
        match self.bad_left {
            0 => Ok(()),
            _ => Err(ReplayError::Changed { file: file.to_owned() }),
        }
    }
}

/// Takes the value of a line, or hands a bad line to `bad`; any other error ends the file.
fn sift<T>(parsed: Result<T, ReplayError>, bad: TakeBad<'_>) -> Result<Option<T>, ReplayError> {
    match parsed {
        Ok(value) => Ok(Some(value)),
        Err(error @ ReplayError::Value { .. }) => bad(error).map(|()| None),
        Err(error) => Err(error),
    }
}
