//! What can go wrong with the job, each with its remedy.

use std::io;
use std::path::PathBuf;

/// The result of whatever may fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the batch job. Whatever was committed before it stays; the same command run again goes on from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The date cannot be read.
    #[error("`{value}` is no date; write it as `2010-12-01`")]
    BadDate {
        /// What was given.
        value: String,
    },
    /// The zone is not in the database of zones.
    #[error("`{value}` is no time zone; use a name of the IANA database such as `Europe/London` or `UTC`")]
    UnknownZone {
        /// What was given.
        value: String,
    },
    /// The percentage cannot be read.
    #[error(
        "`{value}` is no percentage: {why}; give 0 to 100 with up to four decimals, such as `30` or `12.5`"
    )]
    BadPercent {
        /// What was given.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is no file to read.
    #[error("there is no read store at `{}`; `tidegate sink sqlite` makes one", path.display())]
    MissingReadStore {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("`{}` is not a read store of Tidegate: {why}; give the file that `tidegate sink sqlite` writes", path.display())]
    NotAReadStore {
        /// The file.
        path: PathBuf,
        /// What it lacks.
        why: String,
    },
    /// The read store cannot be read.
    #[error("cannot read the invoices in `{}`", path.display())]
    ReadStore {
        /// The file.
        path: PathBuf,
        /// The database's word.
        #[source]
        cause: rusqlite::Error,
    },
    /// The output file belongs to somebody else.
    #[error("`{}` is not an output store of this version: {why}; give another path", path.display())]
    ForeignOutputStore {
        /// The file.
        path: PathBuf,
        /// Whose it seems to be.
        why: String,
    },
    /// Another execution holds the output store.
    #[error("another execution is writing to `{}`; wait until it has ended", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The output store cannot be used or written. Nothing more is accepted after it (law 15).
    #[error("cannot {what} the output store `{}`", path.display())]
    OutputStore {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The database's word.
        #[source]
        cause: rusqlite::Error,
    },
    /// The output store's place cannot be written.
    #[error("cannot write to the place of the output store `{}`", path.display())]
    Place {
        /// The file.
        path: PathBuf,
        /// The system's word.
        #[source]
        cause: io::Error,
    },
    /// The CSV file cannot be written.
    #[error("cannot write the export `{}`", path.display())]
    Export {
        /// The file.
        path: PathBuf,
        /// The system's word.
        #[source]
        cause: io::Error,
    },
}
