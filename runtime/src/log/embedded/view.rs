//! A log that is only looked at.
//!
//! Promise: nothing of it is changed: no lock is taken, no format taken over, no write-ahead log brought in; what SQLite needs to share the
//! file with its writers goes away again with the last connection. Who may not write the directory can look all the same. Where
//! there is no write-ahead log and none can be made, the file is read as one that nobody changes, and every answer is held back if
//! somebody did; a write-ahead log that cannot be shared is refused, because the file without it is not the log.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{Access, access};

use super::database::{self, check_format};
use super::fault::Outcome;
use crate::error::{Error, Result};

/// The way to the file, for one that never writes it.
pub(super) struct View {
    file: PathBuf,
    way: Way,
}

enum Way {
    /// Together with whoever writes, and as the last one SQLite's own files are taken away again.
    Shared,
    /// The same, but the write-ahead log that is there stays.
    Beside,
    /// The file alone, as it was then.
    Still(Stamp),
}

/// Tells a file from itself after a change.
#[derive(PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: SystemTime,
}

impl View {
    /// Finds the way, and refuses what is no log of this format.
    pub(super) fn open(directory: &Path, file: &Path) -> Result<View> {
        let writable = access(directory, Access::WRITE_OK | Access::EXEC_OK).is_ok();
        let way = match (has_write_ahead_log(file), writable) {
            (true, _) => Way::Beside,
            (false, true) => Way::Shared,
            (false, false) => Way::Still(Stamp::of(file).map_err(|cause| unread(file, cause))?),
        };
        let view = View { file: file.to_owned(), way };
        let connection = view.connect()?;
        check_format(&connection, file).map_err(|fault| database::unopened(fault, file))?;
        view.check()?;
        Ok(view)
    }

    pub(super) fn connect(&self) -> Result<Connection> {
        let (write, read) = (OpenFlags::SQLITE_OPEN_READ_WRITE, OpenFlags::SQLITE_OPEN_READ_ONLY);
        let open = || -> Outcome<Connection> {
            let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = match &self.way {
                Way::Shared => Connection::open_with_flags(&self.file, flags | write)?,
                Way::Beside => Connection::open_with_flags(&self.file, flags | read)?,
                Way::Still(_) => {
                    let flags = flags | read | OpenFlags::SQLITE_OPEN_URI;
                    Connection::open_with_flags(immutable(&self.file), flags)?
                }
            };
            database::prepare(&connection)?;
            connection.pragma_update(None, "query_only", true)?;
            Ok(connection)
        };
        let connection = open().map_err(|fault| database::unopened(fault, &self.file))?;
        // SQLite looks at the file, and for a write-ahead log, with the first question.
        match connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0)) {
            Ok(_) => Ok(connection),
            Err(cause) if is_closed(&cause) && matches!(self.way, Way::Beside) => Err(Error::Storage {
                what: format!(
                    "`{}` has a write-ahead log, which this user may not share; look as a user who may write the directory",
                    self.file.display()
                ),
                cause: Box::new(cause),
            }),
            Err(cause) => Err(database::unopened(cause.into(), &self.file)),
        }
    }

    /// Refuses an answer from a file that was changed while nothing kept it still.
    pub(super) fn check(&self) -> Result<()> {
        let Way::Still(before) = &self.way else { return Ok(()) };
        let now = Stamp::of(&self.file).map_err(|cause| unread(&self.file, cause))?;
        if now == *before && !has_write_ahead_log(&self.file) {
            return Ok(());
        }
        Err(Error::Refused {
            what: format!(
                "`{}` was opened by a writer meanwhile, and this user may not write its directory",
                self.file.display()
            ),
            remedy: "look again".into(),
        })
    }
}

impl Stamp {
    fn of(file: &Path) -> std::io::Result<Stamp> {
        let found = fs::metadata(file)?;
        Ok(Stamp { bytes: found.len(), modified: found.modified()? })
    }
}

fn has_write_ahead_log(file: &Path) -> bool {
    file.with_extension("sqlite3-wal").exists()
}

fn is_closed(cause: &rusqlite::Error) -> bool {
    use ErrorCode::{CannotOpen, PermissionDenied, ReadOnly};
    matches!(cause.sqlite_error_code(), Some(CannotOpen | PermissionDenied | ReadOnly))
}

/// The file's name as SQLite takes it together with an option.
fn immutable(file: &Path) -> String {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let mut name = "file:".to_owned();
    for byte in file.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'_' | b'-' => name.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => name.push(char::from(*byte)),
            byte => {
                let _ = write!(name, "%{byte:02X}");
            }
        }
    }
    name + "?immutable=1"
}

fn unread(file: &Path, cause: std::io::Error) -> Error {
    Error::Storage { what: format!("could not read `{}`", file.display()), cause: Box::new(cause) }
}
