//! The records of the source: made once, and kept until they are known to be in the log.
//!
//! Promise: a record is sent again in the next session unless the log tells that it has it, and the source is asked for each of them
//! once. What is kept is bounded by what one transaction may hold.

use std::collections::VecDeque;

use super::{IngestRecord, STEP_RECORDS, SourceItem};
use crate::error::{Error, Result};

/// The records of the source, those kept that are not known to be in the log.
pub(super) struct Sequence<I> {
    records: I,
    /// How many the source has given.
    made: u64,
    /// The last of them: at most what one transaction holds, and a step.
    kept: VecDeque<IngestRecord>,
    /// How many of those are in the transaction of this session.
    sent: usize,
    /// The source has nothing more to give: what it said last.
    ending: Option<Ending>,
}

enum Ending {
    End,
    Failure(Box<dyn std::error::Error + Send + Sync>),
}

impl<I: Iterator<Item = SourceItem>> Sequence<I> {
    pub(super) fn new(records: I) -> Sequence<I> {
        Sequence { records, made: 0, kept: VecDeque::new(), sent: 0, ending: None }
    }

    /// A session begins, and the log holds the first `position` records: what is kept of them is not needed any more.
    pub(super) fn begin_at(&mut self, position: u64, app: &str) -> Result<()> {
        self.sent = 0;
        let first = self.made - self.kept.len() as u64;
        let Some(written) = position.checked_sub(first) else {
            return Err(Error::Refused {
                what: format!("the log holds {position} records of `{app}`, and it had {first} before"),
                remedy: "it was reset behind our back: start the command again to write them anew".to_owned(),
            });
        };
        let written = usize::try_from(written).unwrap_or(usize::MAX).min(self.kept.len());
        self.kept.drain(..written);
        Ok(())
    }

    /// Makes a step of what the log holds already; false if nothing of it is left to make.
    pub(super) fn skip_towards(&mut self, position: u64) -> bool {
        let step = STEP_RECORDS.min(position.saturating_sub(self.made));
        self.records.by_ref().take(usize::try_from(step).unwrap_or(usize::MAX)).for_each(drop);
        self.made += step;
        step > 0
    }

    /// The next record to send.
    pub(super) fn next(&mut self) -> Option<&IngestRecord> {
        if self.sent == self.kept.len() && self.ending.is_none() {
            match self.records.next() {
                None => self.ending = Some(Ending::End),
                Some(Err(failure)) => self.ending = Some(Ending::Failure(failure)),
                Some(Ok(record)) => {
                    self.kept.push_back(record);
                    self.made += 1;
                }
            }
        }
        let next = self.kept.get(self.sent)?;
        self.sent += 1;
        Some(next)
    }

    /// What was sent is in the log.
    pub(super) fn confirm(&mut self) {
        self.kept.drain(..self.sent);
        self.sent = 0;
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.ending, Some(Ending::End))
    }

    pub(super) fn take_failure(&mut self) -> Option<Box<dyn std::error::Error + Send + Sync>> {
        match self.ending.take()? {
            Ending::Failure(failure) => Some(failure),
            Ending::End => None,
        }
    }
}
