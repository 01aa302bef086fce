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
    /// The percentage can be read and cannot be one.
    #[error("--percent cannot be `{value}`; give 0 to 100")]
    PercentOutOfRange {
        /// What was given.
        value: String,
    },
    /// There is no file to read.
    #[error("there is no read store at `{}`; `tidegate sink sqlite` makes one", path.display())]
    MissingReadStore {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The place of the read store cannot be searched.
    #[error("cannot open the read store `{}`", path.display())]
    ReadStorePlace {
        /// Where it was looked for.
        path: PathBuf,
        /// The system's word.
        #[source]
        cause: io::Error,
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
    #[error("`{}` is not an output store: {why}; give another path", path.display())]
    ForeignOutputStore {
        /// The file.
        path: PathBuf,
        /// Whose it seems to be.
        why: String,
    },
    /// A newer version of tidegate made the output store or migrated it.
    #[error(
        "the output store `{}` has format {format}, and this version of tidegate knows {known}; use the newer version",
        path.display()
    )]
    NewerOutputStore {
        /// The file.
        path: PathBuf,
        /// The format of the store.
        format: i32,
        /// The newest format this version can read.
        known: i32,
    },
    /// The output store contradicts itself.
    #[error("the output store `{}` is damaged; restore it from a copy", path.display())]
    DamagedOutputStore {
        /// The file.
        path: PathBuf,
    },
    /// The business day was begun with other parameters.
    #[error(
        "the discounts of {date} in `{}` have the parameters `{kept}`, not `{given}`; {remedy}",
        path.display()
    )]
    OtherParameters {
        /// The business day.
        date: String,
        /// The output store.
        path: PathBuf,
        /// The parameters of the job instance.
        kept: String,
        /// The parameters of this execution.
        given: String,
        /// What to do.
        remedy: String,
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
    /// The lock file beside the output store cannot be used.
    #[error("cannot create or lock the lock file of the output store `{}`", path.display())]
    LockFile {
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
