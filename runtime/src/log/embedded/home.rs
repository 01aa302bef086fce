//! What every part of one open log shares: the gate, the connections, the bells.
//!
//! Readers take a connection from a small pool and hold a read transaction for the length of one question: a longer one
//! would keep SQLite from cutting back the write-ahead log. Writers of this process share one connection, whose cache
//! then stays warm; consumer threads have their own, so that a lease never waits for a reader.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rusqlite::{Connection, Transaction};

use super::bell::Belfry;
use super::database::{Durability, connect, open_or_create};
use super::fault::{Fault, Outcome};
use super::gate::{Gate, Unwritten, hold};
use crate::error::{Error, Result};

/// As many idle connections as there are likely to be threads asking at once.
const POOLED: usize = 4;

/// One open log.
pub(super) struct Home {
    pub(super) directory: PathBuf,
    pub(super) file: PathBuf,
    pub(super) belfry: Belfry,
    gate: Gate,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
}

impl Home {
    pub(super) fn open(directory: &Path) -> Result<Home> {
        std::fs::create_dir_all(directory).map_err(|cause| Error::Storage {
            what: format!("could not make the directory `{}`", directory.display()),
            cause: Box::new(cause),
        })?;
        let (gate, file) = (Gate::open(directory)?, directory.join("log.sqlite3"));
        let entered = gate.enter()?;
        let writer = open_or_create(&file)?;
        drop(entered);
        Ok(Home {
            directory: directory.to_owned(),
            file,
            belfry: Belfry::new(),
            gate,
            writer: Mutex::new(writer),
            readers: Mutex::default(),
        })
    }

    /// Answers a question from one state of the log.
    pub(super) fn read<T>(&self, what: &str, body: impl FnOnce(&Connection) -> Outcome<T>) -> Result<T> {
        let idle = hold(&self.readers).pop();
        let connection = idle.map_or_else(|| connect(&self.file, Durability::Disk), Ok)?;
        let answer = self.read_on(&connection, what, body)?;
        let mut readers = hold(&self.readers);
        if readers.len() < POOLED {
            readers.push(connection);
        }
        Ok(answer)
    }

    /// The same on a connection of the caller's own.
    pub(super) fn read_on<T>(
        &self,
        connection: &Connection,
        what: &str,
        body: impl FnOnce(&Connection) -> Outcome<T>,
    ) -> Result<T> {
        let answer = (|| {
            let transaction = connection.unchecked_transaction()?;
            body(&transaction)
        })();
        answer.map_err(|fault| fault.named(what, &self.file))
    }

    /// Changes the log in one transaction, and tells everybody.
    pub(super) fn write<T>(
        &self,
        what: &str,
        body: impl FnOnce(&Transaction<'_>) -> Outcome<T>,
    ) -> Result<T> {
        self.write_with(body).map_err(|unwritten| Fault::from(unwritten).named(what, &self.file))
    }

    /// The same, for a caller to whom it matters how far it came.
    pub(super) fn write_with<T>(
        &self,
        body: impl FnOnce(&Transaction<'_>) -> Outcome<T>,
    ) -> Result<T, Unwritten> {
        let written = self.gate.write(&mut hold(&self.writer), body);
        self.belfry.ring();
        written
    }

    /// The same on a connection of the caller's own.
    pub(super) fn write_on<T>(
        &self,
        connection: &mut Connection,
        what: &str,
        body: impl FnOnce(&Transaction<'_>) -> Outcome<T>,
    ) -> Result<T> {
        let written = self.gate.write(connection, body);
        self.belfry.ring();
        written.map_err(|unwritten| Fault::from(unwritten).named(what, &self.file))
    }
}
