//! One writer at a time, over all threads and processes.
//!
//! SQLite's own answer to a second writer is `database is locked` and a retry by sleeping, which is neither fair nor quick. So every
//! write transaction first takes the lock of a file beside the database, where the kernel lets the next one in the
//! moment the last one leaves, also when it leaves by `kill -9`. Broken by any write transaction that goes around it.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::fault::{Fault, Outcome};
use crate::error::{Error, Result};

/// The way to a write transaction.
pub(super) struct Gate {
    /// A file lock belongs to the open file: the threads that share it take turns by the mutex around it.
    file: Mutex<File>,
    path: PathBuf,
}

/// How far a write transaction came.
pub(super) enum Unwritten {
    /// Nothing was written.
    Before(Fault),
    /// The commit itself failed: it may stand in the file all the same, if its last sync failed and then the power.
    AtCommit(rusqlite::Error),
}

impl From<Unwritten> for Fault {
    fn from(unwritten: Unwritten) -> Fault {
        match unwritten {
            Unwritten::Before(fault) => fault,
            Unwritten::AtCommit(cause) => Fault::Sql(cause),
        }
    }
}

impl Gate {
    /// The gate of the log in `directory`.
    pub(super) fn open(directory: &Path) -> Result<Gate> {
        let path = directory.join("log.lock");
        match OpenOptions::new().create(true).truncate(false).write(true).open(&path) {
            Ok(file) => Ok(Gate { file: Mutex::new(file), path }),
            Err(cause) => Err(Error::Storage {
                what: format!("could not open `{}` for writing", path.display()),
                cause: Box::new(cause),
            }),
        }
    }

    /// Waits for the turn to write.
    pub(super) fn enter(&self) -> Result<Entered<'_>> {
        let file = hold(&self.file);
        loop {
            match file.lock() {
                Ok(()) => return Ok(Entered { file }),
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                Err(cause) => {
                    let what = format!("could not lock `{}`", self.path.display());
                    return Err(Error::Storage { what, cause: Box::new(cause) });
                }
            }
        }
    }

    /// Runs `body` in a write transaction and commits it; an error of `body` leaves nothing behind.
    pub(super) fn write<T>(
        &self,
        connection: &mut Connection,
        body: impl FnOnce(&Transaction<'_>) -> Outcome<T>,
    ) -> Result<T, Unwritten> {
        let before = |cause: rusqlite::Error| Unwritten::Before(cause.into());
        let _entered = self.enter().map_err(|error| Unwritten::Before(error.into()))?;
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(before)?;
        let value = body(&transaction).map_err(Unwritten::Before)?;
        transaction.commit().map_err(Unwritten::AtCommit)?;
        Ok(value)
    }
}

/// The turn to write; ends when dropped.
pub(super) struct Entered<'a> {
    file: MutexGuard<'a, File>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        // It can only fail if the descriptor is bad, and then the lock is gone with it.
        let _ = self.file.unlock();
    }
}

/// Takes a mutex. One left by a thread that panicked is as good as any: what it guards is never half changed.
pub(super) fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
