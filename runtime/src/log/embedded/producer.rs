//! The transactional producer: everything in memory until the commit, then everything in one transaction.
//!
//! Promise: a commit is all there or not there at all, and only the latest holder of the transactional id can make one: its epoch is
//! checked in the transaction that writes. Nothing uncommitted is ever on disk, so that an abort, a drop or a
//! `kill -9` has nothing to clean up.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};

use super::batches::{PartitionRow, append, partition_row, set_marks};
use super::fault::Outcome;
use super::gate::Unwritten;
use super::groups::{commit_offsets, now_ms};
use super::home::Home;
use crate::error::{Error, Result};
use crate::log::{GroupOffsets, Outgoing, Producer, Receipt, Records, TopicPartition, Watermarks};

/// A transaction is held in memory: past this it is a mistake of the caller, who commits too seldom.
const TRANSACTION_BYTES: usize = 1 << 30;
/// A buffer that grew past this in one transaction is given back instead of being kept for the next.
const KEPT_BYTES: usize = 8 << 20;

/// What may still be done.
enum State {
    Open,
    /// An error left the transaction incomplete.
    MustAbort,
    /// A newer holder of the id exists.
    Fenced,
    /// The outcome of a commit is unknown.
    Unknown,
    /// A write has failed: nothing more is accepted (law 15).
    Failed,
}

pub(super) struct EmbeddedProducer {
    home: Arc<Home>,
    transactional_id: String,
    epoch: i64,
    pending: BTreeMap<TopicPartition, Records>,
    state: State,
    scratch: Vec<u8>,
}

impl EmbeddedProducer {
    /// Takes over a transactional id from whoever held it.
    pub(super) fn open(home: Arc<Home>, transactional_id: &str) -> Result<EmbeddedProducer> {
        let epoch = home.write(&format!("open the transactional id `{transactional_id}`"), |connection| {
            let mut raise = connection.prepare_cached(
                "INSERT INTO producers (transactional_id, epoch) VALUES (?1, 0)
                 ON CONFLICT DO UPDATE SET epoch = epoch + 1 RETURNING epoch",
            )?;
            Ok(raise.query_row([transactional_id], |row| row.get(0))?)
        })?;
        Ok(EmbeddedProducer {
            home,
            transactional_id: transactional_id.to_owned(),
            epoch,
            pending: BTreeMap::new(),
            state: State::Open,
            scratch: Vec::new(),
        })
    }

    fn check_open(&self) -> Result<()> {
        let id = &self.transactional_id;
        match &self.state {
            State::Open => Ok(()),
            State::MustAbort => Err(Error::Refused {
                what: format!("the transaction of `{id}` has failed"),
                remedy: "abort it".to_owned(),
            }),
            State::Fenced => Err(Error::Fenced {
                who: id.clone(),
                why: "a newer instance has opened this transactional id".to_owned(),
            }),
            State::Unknown => Err(Error::UnknownOutcome {
                transactional_id: id.clone(),
                cause: "this producer was used after it should have been dropped".into(),
            }),
            State::Failed => Err(Error::Storage {
                what: format!("`{id}` accepts nothing more"),
                cause: "an earlier write of it has failed".into(),
            }),
        }
    }

    fn take_in(&mut self, outgoing: &mut Outgoing) -> Result<()> {
        let held: usize = self.pending.values().map(|records| records.bytes().len()).sum();
        if held + outgoing.size_bytes() > TRANSACTION_BYTES {
            return Err(Error::Refused {
                what: format!(
                    "a transaction of `{}` would exceed {TRANSACTION_BYTES} bytes",
                    self.transactional_id
                ),
                remedy: "commit more often".to_owned(),
            });
        }
        for (to, records) in outgoing.batches_mut() {
            if let Some(pending) = self.pending.get_mut(to) {
                pending.append(records);
                continue;
            }
            self.home.read("look up a topic", |connection| partition_row(connection, to))?;
            self.pending.insert(to.clone(), std::mem::take(records));
        }
        outgoing.clear();
        Ok(())
    }

    fn clear(&mut self) {
        for records in self.pending.values_mut() {
            if records.bytes().len() > KEPT_BYTES {
                *records = Records::default();
            } else {
                records.clear();
            }
        }
    }

    /// Writes the transaction; `None`, and nothing written, if a newer holder of the id exists.
    fn write(&mut self, offsets: Option<&GroupOffsets>) -> Result<Option<Receipt>, Unwritten> {
        let (id, epoch, pending, scratch) =
            (&self.transactional_id, self.epoch, &self.pending, &mut self.scratch);
        self.home.write_with(|connection| {
            if newest_epoch(connection, id)? != Some(epoch) {
                return Ok(None);
            }
            if let Some(offsets) = offsets {
                commit_offsets(connection, offsets, now_ms())?;
            }
            let mut receipt = Receipt::default();
            for (to, records) in pending.iter().filter(|(_, records)| !records.is_empty()) {
                let row = partition_row(connection, to)?;
                write_partition(connection, (to, &row), records, scratch)?;
                receipt.first_offsets.insert(to.clone(), row.marks.high);
            }
            Ok(Some(receipt))
        })
    }

    fn failed(&mut self, unwritten: Unwritten) -> Error {
        let fault = match unwritten {
            Unwritten::Before(fault) => fault,
            Unwritten::AtCommit(cause) => {
                self.state = State::Unknown;
                let transactional_id = self.transactional_id.clone();
                return Error::UnknownOutcome { transactional_id, cause: Box::new(cause) };
            }
        };
        let error =
            fault.named(&format!("commit a transaction of `{}`", self.transactional_id), &self.home.file);
        match &error {
            Error::Transient { .. } => {}
            Error::Storage { .. } => self.state = State::Failed,
            _ => self.state = State::MustAbort,
        }
        error
    }
}

impl Producer for EmbeddedProducer {
    fn send(&mut self, outgoing: &mut Outgoing) -> Result<()> {
        self.check_open()?;
        let taken = self.take_in(outgoing);
        if taken.is_err() {
            self.state = State::MustAbort;
        }
        taken
    }

    fn commit(&mut self, offsets: Option<&GroupOffsets>) -> Result<Receipt> {
        self.check_open()?;
        match self.write(offsets) {
            Ok(Some(receipt)) => {
                self.clear();
                Ok(receipt)
            }
            Ok(None) => {
                self.state = State::Fenced;
                self.check_open().map(|()| Receipt::default())
            }
            Err(unwritten) => Err(self.failed(unwritten)),
        }
    }

    fn abort(&mut self) -> Result<()> {
        self.clear();
        if matches!(self.state, State::MustAbort) {
            // A topic that was deleted must not be remembered as existing.
            self.pending.clear();
            self.state = State::Open;
        }
        self.check_open()
    }
}

fn newest_epoch(connection: &Connection, transactional_id: &str) -> Outcome<Option<i64>> {
    let mut statement =
        connection.prepare_cached("SELECT epoch FROM producers WHERE transactional_id = ?1")?;
    Ok(statement.query_row([transactional_id], |row| row.get(0)).optional()?)
}

fn write_partition(
    connection: &Connection,
    (to, row): (&TopicPartition, &PartitionRow),
    records: &Records,
    scratch: &mut Vec<u8>,
) -> Outcome<()> {
    let high = append(connection, row, records, scratch)?;
    let marks = Watermarks { high, ..row.marks };
    set_marks(connection, &to.topic, to.partition, &PartitionRow { marks, ..*row })
}
