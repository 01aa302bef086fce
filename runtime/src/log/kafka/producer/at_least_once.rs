//! The cheaper mode: no transactions. Records first, positions after them.
//!
//! Promise: what was read is not lost. A position is committed only when every record sent before it is in the log, on all replicas in sync
//! and in order within each partition.
//!
//! What it breaks: records are seen as soon as they are sent. After a crash between the two steps, or an abort, what was sent since the
//! last commit stays and is sent again: results and changelog blocks come twice, and a restore reads both. A commit of several groups' or
//! partitions' positions is not atomic either. And a transactional id means nothing: two producers under one name do not fence each
//! other; what still refuses a zombie is its group, for its positions only.

use std::sync::Arc;
use std::time::Duration;

use super::super::admin::Admin;
use super::super::connection::Connection;
use super::super::fault::{Code, Failure};
use super::super::native::Client;
use super::sender::{Sender, Unsent};
use super::{LAST_WORDS, REPORTS_WITHIN, producing, proof_of, stamp};
use crate::error::{Error, Result};
use crate::log::{GroupOffsets, Outgoing, Producer, Receipt};

/// What may still be done.
enum State {
    Open,
    /// A record was not delivered: what was sent since the last commit is given up.
    MustAbort,
    /// The client has ended with an error for ever.
    Over {
        why: String,
    },
}

/// A producer without transactions.
pub(super) struct AtLeastOnce {
    sender: Sender,
    admin: Arc<Admin>,
    /// Names it in errors.
    id: String,
    /// How long a record may take to be delivered.
    patience: Duration,
    state: State,
}

impl AtLeastOnce {
    pub(super) fn open(connection: &Connection, admin: &Arc<Admin>, id: &str) -> Result<AtLeastOnce> {
        let patience = connection.transaction_timeout;
        let config = producing(connection, patience);
        let sender = Sender::new(Client::producer(&config, stamp::prepare)?, admin.clone(), patience);
        Ok(AtLeastOnce { sender, admin: admin.clone(), id: id.to_owned(), patience, state: State::Open })
    }

    fn check_usable(&self) -> Result<()> {
        match &self.state {
            State::Open => Ok(()),
            State::MustAbort => Err(Error::Refused {
                what: format!("records of `{}` were not delivered", self.id),
                remedy: "abort what was sent".to_owned(),
            }),
            State::Over { why } => {
                Err(Error::UnknownOutcome { transactional_id: self.id.clone(), cause: why.clone().into() })
            }
        }
    }

    fn failed(&mut self, failure: Failure) -> Error {
        if failure.fatal {
            self.state = State::Over { why: failure.to_string() };
            return Error::UnknownOutcome { transactional_id: self.id.clone(), cause: Box::new(failure) };
        }
        self.state = State::MustAbort;
        failure.named(&format!("deliver the records of `{}`", self.id))
    }

    fn drain(&mut self) -> Result<()> {
        let is_drained = self.sender.drain(self.patience + REPORTS_WITHIN);
        match (self.sender.client.take_undelivered(), is_drained) {
            (None, true) => Ok(()),
            (Some(undelivered), _) => Err(self.failed(undelivered)),
            (None, false) => {
                Err(self.failed(Failure::new(Code::MessageTimedOut, "records are still on their way")))
            }
        }
    }

    fn commit_offsets(&mut self, offsets: &GroupOffsets) -> Result<()> {
        for (partition, _) in &offsets.offsets {
            self.sender.check(partition)?;
        }
        match &offsets.membership {
            Some(membership) => (proof_of(membership, &offsets.group)?.commit)(&offsets.offsets),
            None => self.admin.commit_memberless(&offsets.group, &offsets.offsets),
        }
    }
}

impl Producer for AtLeastOnce {
    fn send(&mut self, outgoing: &mut Outgoing) -> Result<()> {
        self.check_usable()?;
        self.sender.send(outgoing).map_err(|unsent| {
            self.state = State::MustAbort;
            match unsent {
                Unsent::Error(error) => error,
                Unsent::Failure(failure) => self.failed(failure),
            }
        })
    }

    fn commit(&mut self, offsets: Option<&GroupOffsets>) -> Result<Receipt> {
        self.check_usable()?;
        self.drain()?;
        if let Some(offsets) = offsets.filter(|offsets| !offsets.offsets.is_empty())
            && let Err(error) = self.commit_offsets(offsets)
        {
            self.state = State::MustAbort;
            return Err(error);
        }
        self.sender.receipt()
    }

    fn abort(&mut self) -> Result<()> {
        if let State::Over { .. } = self.state {
            return self.check_usable();
        }
        self.state = State::MustAbort;
        if !self.sender.purge(self.patience + REPORTS_WITHIN) {
            let failure = Failure::new(Code::MessageTimedOut, "records are still on their way");
            return Err(self.failed(failure));
        }
        self.sender.forget();
        self.state = State::Open;
        Ok(())
    }
}

impl Drop for AtLeastOnce {
    fn drop(&mut self) {
        // What was not committed is sent again by whoever goes on.
        self.sender.purge(LAST_WORDS);
    }
}
