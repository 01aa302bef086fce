//! What every part of one open log shares: the gate, the connections, the bells.
//!
//! Readers take a connection from a small pool and hold a read transaction for the length of one question: a longer one
//! would keep SQLite from cutting back the write-ahead log. Writers of this process share one connection, whose cache
//! then stays warm; consumer threads have their own, so that a lease never waits for a reader.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, Transaction};

use super::bell::Belfry;
use super::database::{Durability, connect, open_or_create};
use super::fault::{Fault, Outcome};
use super::gate::{Gate, Unwritten, hold};
use super::view::View;
use crate::error::{Error, Result};
use crate::log::bell::Bell;

/// As many idle connections as there are likely to be threads asking at once.
const POOLED: usize = 4;

/// One open log.
pub(super) struct Home {
    pub(super) directory: PathBuf,
    pub(super) file: PathBuf,
    pub(super) belfry: Belfry,
    access: Access,
    readers: Mutex<Vec<Connection>>,
}

/// What may be done with the log.
enum Access {
    Write { gate: Gate, writer: Mutex<Connection> },
    Look(Arc<View>),
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
        Ok(Home::new(directory, file, Access::Write { gate, writer: Mutex::new(writer) }))
    }

    /// Opens the log that is there, to look at it only.
    pub(super) fn look(directory: &Path) -> Result<Home> {
        let file = directory.join("log.sqlite3");
        let view = View::open(directory, &file)?;
        Ok(Home::new(directory, file, Access::Look(Arc::new(view))))
    }

    fn new(directory: &Path, file: PathBuf, access: Access) -> Home {
        let (belfry, readers) = (Belfry::new(), Mutex::default());
        Home { directory: directory.to_owned(), file, belfry, access, readers }
    }

    /// A connection of the caller's own.
    pub(super) fn connect(&self, durability: Durability) -> Result<Connection> {
        match &self.access {
            Access::Write { .. } => connect(&self.file, durability),
            Access::Look(view) => view.connect(),
        }
    }

    /// A bell that rings on every commit, and when the file no longer is what was opened.
    pub(super) fn hang_bell(&self) -> Result<Arc<Bell>> {
        let view = match &self.access {
            Access::Write { .. } => None,
            Access::Look(view) => Some(view.clone()),
        };
        let is_sound = move || view.as_ref().is_none_or(|view| view.check().is_ok());
        self.belfry.hang(&self.file, || self.connect(Durability::Process), is_sound)
    }

    /// Answers a question from one state of the log.
    pub(super) fn read<T>(&self, what: &str, body: impl FnOnce(&Connection) -> Outcome<T>) -> Result<T> {
        let idle = hold(&self.readers).pop();
        let connection = idle.map_or_else(|| self.connect(Durability::Disk), Ok)?;
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
        if let Access::Look(view) = &self.access {
            view.check()?;
        }
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
        let Access::Write { gate, writer } = &self.access else { return Err(only_looked_at()) };
        let written = gate.write(&mut hold(writer), body);
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
        let written = match &self.access {
            Access::Write { gate, .. } => gate.write(connection, body),
            Access::Look(_) => Err(only_looked_at()),
        };
        self.belfry.ring();
        written.map_err(|unwritten| Fault::from(unwritten).named(what, &self.file))
    }
}

fn only_looked_at() -> Unwritten {
    Unwritten::Before(Error::Defect("a log that is only looked at was to be written".to_owned()).into())
}
