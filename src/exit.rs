//! Exit codes: the contract with scripts, and how an error finds its code.
//!
//! Promise: a code means the same in every command and never changes its meaning. `docs/exit-codes.md` and `--help` list [`TABLE`].

use std::fmt;
use std::io::{self, ErrorKind};
use std::process::ExitCode;

use tidegate_processors::speeding::ScheduleError;
use tidegate_producers::{OptionError, ReplayError};
use tidegate_runtime::window::WindowsError;

/// The table as `--help` shows it.
pub(crate) const TABLE: &str = "\
Exit codes:
  0    done; also after Ctrl-C or SIGTERM where a command has no end of its own,
       and when the reader of its output has gone
  1    failed while running: the log, a disk, damaged data
  2    usage: an unknown flag, a value that cannot be read, `reset` without --yes
  3    an input file does not hold what it should; also when `batch discount` has done
       its work and found invoices in conflict or invalid
  4    refused: it contradicts what is kept; the message names the remedy
  5    not found: a file, a data directory, a topic, a group, an application
  6    no access: a place that cannot be read or written
  7    a value that can be read and makes no sense: a window of zero, shares over 100 %
  8    out of reach: no broker of the Kafka cluster answers, or its schema registry does not
  9    `doctor` found what does not work or loses data; its lines name the remedies
  130  stopped by Ctrl-C before the work was done: what was done is committed, and the
       same command goes on from there
  143  the same by SIGTERM or SIGHUP
A second Ctrl-C or SIGTERM ends at once, with 130 or 143.";

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Input = 3,
    Refused = 4,
    NotFound = 5,
    NoAccess = 6,
    Senseless = 7,
    Unreachable = 8,
    Unfit = 9,
    Interrupted = 130,
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// An error of the command line's own, with its code.
#[derive(Debug)]
struct Failure {
    exit: Exit,
    message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The reader of our standard output has gone: the work is done as far as anybody wants it. A type of its own, because a broken pipe
/// of any other file or socket is a failure.
#[derive(Debug)]
pub(crate) struct ClosedPipe;

impl fmt::Display for ClosedPipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads the output any more")
    }
}

impl std::error::Error for ClosedPipe {}

impl Exit {
    /// An error with this code; the message names the remedy.
    pub(crate) fn because(self, message: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Failure { exit: self, message: message.into() })
    }

    /// The code of an error: that of the first cause in its chain that has one.
    pub(crate) fn of(error: &anyhow::Error) -> Exit {
        error.chain().find_map(of_cause).unwrap_or(Exit::Failed)
    }
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        return Some(failure.exit);
    }
    if cause.is::<ClosedPipe>() {
        return Some(Exit::Done);
    }
    if cause.is::<OptionError>() || cause.is::<WindowsError>() {
        return Some(Exit::Senseless);
    }
    if let Some(error) = cause.downcast_ref::<tidegate_runtime::Error>() {
        return of_log(error);
    }
    if let Some(error) = cause.downcast_ref::<tidegate_batch::Error>() {
        return of_batch(error);
    }
    if let Some(error) = cause.downcast_ref::<ReplayError>() {
        return of_replay(error);
    }
    if let Some(error) = cause.downcast_ref::<ScheduleError>() {
        return of_schedule(error);
    }
    if let Some(error) = cause.downcast_ref::<rusqlite::Error>() {
        return of_database(error);
    }
    cause.downcast_ref::<io::Error>().and_then(of_io)
}

/// `None` where the cause behind it knows more.
fn of_log(error: &tidegate_runtime::Error) -> Option<Exit> {
    use tidegate_runtime::Error;
    match error {
        Error::Refused { .. } => Some(Exit::Refused),
        Error::Unnamed { .. } => Some(Exit::Usage),
        Error::Untrusted { .. } => Some(Exit::Unreachable),
        Error::UnknownTopic(_) => Some(Exit::NotFound),
        // On the embedded log it passes too, but it is a lock, and the disk is within reach.
        Error::Transient { cause, .. } if !cause.is::<rusqlite::Error>() => Some(Exit::Unreachable),
        _ => None,
    }
}

fn of_batch(error: &tidegate_batch::Error) -> Option<Exit> {
    use tidegate_batch::Error;
    match error {
        Error::BadDate { .. } | Error::UnknownZone { .. } | Error::BadPercent { .. } => Some(Exit::Usage),
        Error::MissingReadStore { .. } => Some(Exit::NotFound),
        Error::NotAReadStore { .. } => Some(Exit::Input),
        Error::PercentOutOfRange { .. } => Some(Exit::Senseless),
        Error::ForeignOutputStore { .. }
        | Error::NewerOutputStore { .. }
        | Error::OtherParameters { .. }
        | Error::Busy { .. } => Some(Exit::Refused),
        _ => None,
    }
}

fn of_replay(error: &ReplayError) -> Option<Exit> {
    match error {
        ReplayError::Read { cause, .. } => of_io(cause).or(Some(Exit::Input)),
        ReplayError::BadLines { cause, .. } => of_io(cause),
        ReplayError::Option(_) => Some(Exit::Senseless),
        _ => Some(Exit::Input),
    }
}

fn of_schedule(error: &ScheduleError) -> Option<Exit> {
    match error {
        ScheduleError::Unreadable { cause, .. } => of_io(cause).or(Some(Exit::Input)),
        _ => Some(Exit::Input),
    }
}

/// A right that the system refuses, in SQLite's words.
fn of_database(error: &rusqlite::Error) -> Option<Exit> {
    use rusqlite::ErrorCode;
    let code = error.sqlite_error_code()?;
    let is_refused =
        matches!(code, ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied);
    is_refused.then_some(Exit::NoAccess)
}

fn of_io(error: &io::Error) -> Option<Exit> {
    match error.kind() {
        ErrorKind::NotFound => Some(Exit::NotFound),
        ErrorKind::PermissionDenied
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::AlreadyExists
        | ErrorKind::ReadOnlyFilesystem => Some(Exit::NoAccess),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cause_with_a_code_decides() {
        let failure = Exit::Senseless.because("a window of zero").context("process totals");
        assert_eq!(Exit::of(&failure), Exit::Senseless);
        let denied = tidegate_runtime::Error::Storage {
            what: "could not make the directory `x`".to_owned(),
            cause: Box::new(io::Error::from(ErrorKind::PermissionDenied)),
        };
        assert_eq!(Exit::of(&denied.into()), Exit::NoAccess);
        let full = io::Error::from(ErrorKind::StorageFull);
        assert_eq!(Exit::of(&full.into()), Exit::Failed);
    }

    #[test]
    fn a_broker_is_out_of_reach_and_a_locked_file_is_not() {
        let transient = |cause: Box<dyn std::error::Error + Send + Sync>| {
            Exit::of(&tidegate_runtime::Error::Transient { what: "could not ask".to_owned(), cause }.into())
        };
        assert_eq!(transient("all brokers are down".into()), Exit::Unreachable);
        assert_eq!(transient(Box::new(rusqlite::Error::InvalidQuery)), Exit::Failed);
    }

    #[test]
    fn a_refused_right_is_never_a_mere_failure() {
        use rusqlite::ffi::{Error as Code, SQLITE_CANTOPEN, SQLITE_FULL, SQLITE_PERM, SQLITE_READONLY};
        let of = |code| {
            let cause = rusqlite::Error::SqliteFailure(Code::new(code), None);
            Exit::of(
                &tidegate_runtime::Error::Storage { what: "could not open".to_owned(), cause: cause.into() }
                    .into(),
            )
        };
        assert_eq!([SQLITE_CANTOPEN, SQLITE_READONLY, SQLITE_PERM].map(of), [Exit::NoAccess; 3]);
        assert_eq!(of(SQLITE_FULL), Exit::Failed);
    }

    #[test]
    fn what_is_not_named_is_usage_and_who_is_not_trusted_is_out_of_reach() {
        let of = |error: tidegate_runtime::Error| Exit::of(&error.into());
        let (what, remedy) = ("w".to_owned(), "r".to_owned());
        assert_eq!(
            of(tidegate_runtime::Error::Unnamed { what: what.clone(), remedy: remedy.clone() }),
            Exit::Usage
        );
        assert_eq!(of(tidegate_runtime::Error::Untrusted { what, remedy }), Exit::Unreachable);
    }

    #[test]
    fn a_store_that_can_only_be_read_is_no_access() {
        let code = |code: i32| {
            let cause = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            let path = "read.sqlite3".into();
            Exit::of(&tidegate_batch::Error::ReadStore { path, cause }.into())
        };
        assert_eq!(code(rusqlite::ffi::SQLITE_CANTOPEN), Exit::NoAccess);
        assert_eq!(code(rusqlite::ffi::SQLITE_READONLY), Exit::NoAccess);
        assert_eq!(code(rusqlite::ffi::SQLITE_CORRUPT), Exit::Failed);
    }

    #[test]
    fn only_our_own_closed_pipe_is_a_success() {
        assert_eq!(Exit::of(&ClosedPipe.into()), Exit::Done);
        assert_eq!(Exit::of(&io::Error::from(ErrorKind::BrokenPipe).into()), Exit::Failed);
    }

    #[test]
    fn every_code_stands_in_the_table() {
        for exit in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 130, 143] {
            let start = format!("  {exit:<3}  ");
            assert!(TABLE.lines().any(|line| line.starts_with(&start)), "{exit}");
        }
    }
}
