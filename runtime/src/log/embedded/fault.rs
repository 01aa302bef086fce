//! From SQLite's words to the log's errors.
//!
//! Inside this home a [`Fault`] is either; where a call leaves the home, [`Fault::named`] says what was tried on which file. A lock
//! that outlasts the long busy timeout belongs to another program: that alone is passing. Whatever else SQLite reports
//! (an input/output error, a full disk, damage) stops the process (law 15).

use std::path::Path;

use rusqlite::ErrorCode;

use crate::error::Error;

/// What can go wrong inside: an error of the log, or SQLite's own.
#[derive(Debug)]
pub(super) enum Fault {
    Log(Error),
    Sql(rusqlite::Error),
}

/// The result of whatever runs inside a transaction.
pub(super) type Outcome<T> = Result<T, Fault>;

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Log(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        Fault::Sql(error)
    }
}

impl Fault {
    /// The error a caller sees: `what` was tried on `file`.
    pub(super) fn named(self, what: &str, file: &Path) -> Error {
        match self {
            Fault::Log(error) => error,
            Fault::Sql(cause) => sql(cause, what, file),
        }
    }
}

/// True if SQLite found its file damaged, or a row without the shape it was written in.
pub(super) fn is_damage(cause: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};
    let misshapen =
        matches!(cause, InvalidColumnType(..) | FromSqlConversionFailure(..) | IntegralValueOutOfRange(..));
    misshapen || cause.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
}

fn sql(cause: rusqlite::Error, what: &str, file: &Path) -> Error {
    let passing = matches!(
        cause.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::OperationInterrupted)
    );
    let cause = Box::new(cause);
    if passing {
        let what = format!("could not {what}: another program keeps `{}` locked", file.display());
        return Error::Transient { what, cause };
    }
    Error::Storage { what: format!("could not {what} in `{}`", file.display()), cause }
}
