//! Fetching: positions, credits, and one chunk after the other, fairly over the partitions.
//!
//! A partition at its end is not looked at again before something has been committed, and one without credit not before a credit
//! comes back: nothing spins. The bytes of a chunk are bounded so that every credit of every partition together stays
//! within the buffer; a chunk holds at least one batch, however small the buffer.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::Connection;

use super::batches::{BATCH_FOOTPRINT, partition_row, read};
use super::fault::Outcome;
use crate::error::Error;
use crate::log::bell::Bell;
use crate::log::{Chunk, Credits, Offset, Records, TopicPartition};

/// One chunk being processed, one waiting: enough to keep both halves busy.
const CREDITS: usize = 2;
/// Past this a longer chunk saves nothing, and only makes a step longer.
const CHUNK_BYTES: usize = 1 << 20;

/// One partition being read.
struct Position {
    partition: TopicPartition,
    /// The row's id, once seen: another one later is another topic under the same name.
    id: Option<i64>,
    next: Offset,
    credits: Credits,
    /// The receiver knows that there is nothing more at `next`.
    told_end: bool,
    /// Something may have been committed since the partition was looked at.
    stale: bool,
}

/// Every partition a consumer reads.
pub(super) struct Positions {
    reading: Vec<Position>,
    /// Kept when a partition is released: its chunks may still be under way when it is fetched again.
    credits: HashMap<TopicPartition, Credits>,
    turn: usize,
    buffer_bytes: usize,
}

impl Positions {
    pub(super) fn new(buffer_bytes: usize) -> Positions {
        Positions { reading: Vec::new(), credits: HashMap::new(), turn: 0, buffer_bytes }
    }

    /// Reads `partition` from `next` on, instead of wherever it stood.
    pub(super) fn seek(&mut self, partition: TopicPartition, next: Offset, bell: &Arc<Bell>) {
        self.stop(|reading| *reading == partition);
        let credits = self.credits.entry(partition.clone()).or_insert_with(|| {
            let bell = bell.clone();
            Credits::new(CREDITS, move || bell.ring(false))
        });
        let credits = credits.clone();
        self.reading.push(Position { partition, id: None, next, credits, told_end: false, stale: true });
    }

    /// Stops reading some partitions.
    pub(super) fn stop(&mut self, which: impl Fn(&TopicPartition) -> bool) {
        self.reading.retain(|position| !which(&position.partition));
    }

    /// Takes note of a commit somewhere in the log.
    pub(super) fn mark_stale(&mut self) {
        for position in &mut self.reading {
            position.stale = true;
        }
    }

    /// The next chunk of whichever partition's turn it is; `None` when nobody has one.
    pub(super) fn next_chunk(&mut self, connection: &Connection) -> Outcome<Option<Chunk>> {
        let enough_bytes = self.enough_bytes();
        for _ in 0..self.reading.len() {
            self.turn = (self.turn + 1) % self.reading.len();
            if let Some(chunk) = self.reading[self.turn].fetch(connection, enough_bytes)? {
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }

    /// Where a chunk stops taking in batches: the last one may pass it by a batch.
    fn enough_bytes(&self) -> usize {
        let share = self.buffer_bytes / (CREDITS * self.reading.len().max(1));
        share.min(CHUNK_BYTES).saturating_sub(BATCH_FOOTPRINT)
    }
}

impl Position {
    fn fetch(&mut self, connection: &Connection, enough_bytes: usize) -> Outcome<Option<Chunk>> {
        if self.told_end && !self.stale {
            return Ok(None);
        }
        // A credit that is taken and dropped rings the bell: it must not be taken just to look.
        if !self.credits.available() {
            return Ok(None);
        }
        let chunk = self.read(connection, enough_bytes)?;
        let credit = if chunk.is_some() { self.credits.take() } else { None };
        Ok(chunk.zip(credit).map(|(chunk, credit)| chunk.with_credit(credit)))
    }

    fn read(&mut self, connection: &Connection, enough_bytes: usize) -> Outcome<Option<Chunk>> {
        let snapshot = connection.unchecked_transaction()?;
        let row = partition_row(&snapshot, &self.partition)?;
        if *self.id.get_or_insert(row.id) != row.id {
            return Err(Error::UnknownTopic(self.partition.topic.to_string()).into());
        }
        self.stale = false;
        let (from, high) = (self.next, row.marks.high);
        if from > high {
            return Err(Error::Refused {
                what: format!("cannot read `{}` from offset {from}: it ends at {high}", self.partition),
                remedy: "start from an offset that exists".to_owned(),
            }
            .into());
        }
        if from == high && self.told_end {
            return Ok(None);
        }
        let first = from.max(row.marks.low);
        let records = if first == high {
            Records::default()
        } else {
            read(&snapshot, &self.partition, &row, first, enough_bytes)?.records
        };
        self.told_end = records.is_empty();
        let chunk = Chunk::contiguous(self.partition.clone(), from, first, records, high);
        self.next = chunk.next;
        Ok(Some(chunk))
    }
}
