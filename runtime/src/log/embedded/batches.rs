//! Batches: how records stand in the table, and how a chunk comes out of it.
//!
//! Promise: what is read is what was written, at the offset it was written to. The checksum covers the body and everything the row says
//! about it, partition and offset included, so that neither a flipped byte nor a row moved elsewhere passes; the
//! batches of a partition follow each other without a gap, and reading checks that too. Broken by writing batches
//! anywhere else than in [`append`], which must run in the same transaction that moves `partitions.high`.

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::{Fault, Outcome, is_damage};
use crate::error::{Error, Result};
use crate::log::{Entry, Offset, Records, TopicPartition, Watermarks};
use crate::time::EventTime;

/// Long enough to make the row's own cost invisible, short enough for a chunk to hold a few.
pub(super) const BATCH_BYTES: usize = 256 << 10;
/// Bounds what a parsed batch of tiny records takes in memory.
pub(super) const BATCH_RECORDS: usize = 4_096;
/// What one batch may take in memory once it is parsed.
pub(super) const BATCH_FOOTPRINT: usize = BATCH_BYTES + BATCH_RECORDS * size_of::<Entry>();

/// A partition as the table has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartitionRow {
    pub(super) id: i64,
    pub(super) marks: Watermarks,
}

/// The partition's row, or the error that it does not exist.
pub(super) fn partition_row(connection: &Connection, partition: &TopicPartition) -> Outcome<PartitionRow> {
    let mut statement =
        connection.prepare_cached("SELECT id, low, high FROM partitions WHERE topic = ?1 AND number = ?2")?;
    let row = statement
        .query_row(params![&*partition.topic, partition.partition], |row| {
            let marks = Watermarks { low: Offset(row.get(1)?), high: Offset(row.get(2)?) };
            Ok(PartitionRow { id: row.get(0)?, marks })
        })
        .optional()?;
    row.ok_or_else(|| Error::UnknownTopic(unknown(connection, partition)).into())
}

fn unknown(connection: &Connection, partition: &TopicPartition) -> String {
    let topic = connection.query_row("SELECT 1 FROM topics WHERE name = ?1", [&*partition.topic], |_| Ok(()));
    if topic.is_ok() { partition.to_string() } else { partition.topic.to_string() }
}

/// Writes `records` at the partition's end, in as many batches as the bounds ask; returns the new end.
pub(super) fn append(
    connection: &Connection,
    to: &PartitionRow,
    records: &Records,
    scratch: &mut Vec<u8>,
) -> Outcome<Offset> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO batches (partition, base_offset, count, min_time, max_time, checksum, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let (mut base, mut start) = (to.marks.high, 0);
    while start < records.len() {
        let end = records.run_end(start, BATCH_BYTES, BATCH_RECORDS);
        let body = if end - start == records.len() {
            records.bytes()
        } else {
            scratch.clear();
            records.encode(start..end, scratch);
            scratch.as_slice()
        };
        let (min_time, max_time) = records.time_range_of(start..end).unwrap_or_default();
        let head = Head { partition: to.id, base, count: (end - start) as i64, min_time, max_time };
        insert.execute(params![
            head.partition,
            head.base.0,
            head.count,
            head.min_time.0,
            head.max_time.0,
            head.checksum(body),
            body
        ])?;
        base = head.end();
        start = end;
    }
    Ok(base)
}

/// Everything a row says about its body.
struct Head {
    partition: i64,
    base: Offset,
    count: i64,
    min_time: EventTime,
    max_time: EventTime,
}

impl Head {
    fn end(&self) -> Offset {
        Offset(self.base.0.saturating_add(self.count))
    }

    fn checksum(&self, body: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        for number in [self.partition, self.base.0, self.count, self.min_time.0, self.max_time.0] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(body);
        hasher.finalize()
    }
}

/// Records read in one go.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// The offset of the first.
    pub(super) first: Offset,
    pub(super) records: Records,
}

/// Reads batches from the one that holds `position` on, until `enough_bytes` are there; at least one. `position` lies
/// between the watermarks, which were read in the same transaction.
pub(super) fn read(
    connection: &Connection,
    partition: &TopicPartition,
    row: &PartitionRow,
    position: Offset,
    enough_bytes: usize,
) -> Outcome<Run> {
    let mut statement = connection.prepare_cached(
        "SELECT base_offset, count, min_time, max_time, checksum, body FROM batches
         WHERE partition = ?1 AND base_offset >= (
             SELECT coalesce(max(base_offset), ?2) FROM batches WHERE partition = ?1 AND base_offset <= ?2)
         ORDER BY base_offset",
    )?;
    let mut rows = statement.query(params![row.id, position.0])?;
    let mut run = Run { first: position, records: Records::default() };
    while footprint(&run.records) < enough_bytes.max(1) {
        match run.extend(rows.next(), partition, row.id) {
            Ok(true) => {}
            Ok(false) => break,
            // What stands before the damage is good: the next read begins, and ends, at the damage.
            Err(Fault::Log(Error::Corrupt { .. })) if !run.records.is_empty() => break,
            Err(fault) => return Err(fault),
        }
    }
    if run.records.is_empty() && position < row.marks.high {
        let detail = "no batch holds this offset".to_owned();
        return Err(Error::Corrupt { at: partition.at(position), detail }.into());
    }
    Ok(run)
}

impl Run {
    /// Adds the batch that holds the offset after these records; false if there is none.
    fn extend(
        &mut self,
        row: rusqlite::Result<Option<&rusqlite::Row<'_>>>,
        partition: &TopicPartition,
        partition_id: i64,
    ) -> Outcome<bool> {
        let next = Offset(self.first.0 + self.records.len() as i64);
        let damage = |offset, detail: String| Fault::Log(Error::Corrupt { at: partition.at(offset), detail });
        let Some(row) = row.map_err(|cause| at_damage(cause.into(), partition, next))? else {
            return Ok(false);
        };
        let (head, checksum, body) =
            take(row, partition_id).map_err(|fault| at_damage(fault, partition, next))?;
        let joins = if self.records.is_empty() { head.base <= next } else { head.base == next };
        if !joins || head.end() <= next {
            return Err(damage(next, format!("the batch found there holds {} to {}", head.base, head.end())));
        }
        if head.checksum(body) != checksum {
            let detail = format!("the batch of {} records does not match its checksum", head.count);
            return Err(damage(head.base, detail));
        }
        let count = usize::try_from(head.count).unwrap_or_default();
        self.records.extend_stored(body, count).map_err(|error| damage(head.base, error.to_string()))?;
        // Only the first batch can begin before the offset that was asked for.
        let skipped = usize::try_from(next.since(head.base)).unwrap_or_default();
        if skipped > 0 {
            self.records = self.records.from_index(skipped);
        }
        Ok(true)
    }
}

type Stored<'a> = (Head, u32, &'a [u8]);

fn take<'a>(row: &'a rusqlite::Row<'_>, partition: i64) -> Outcome<Stored<'a>> {
    let head = Head {
        partition,
        base: Offset(row.get(0)?),
        count: row.get(1)?,
        min_time: EventTime(row.get(2)?),
        max_time: EventTime(row.get(3)?),
    };
    let body = row.get_ref(5)?.as_blob().map_err(rusqlite::Error::from)?;
    Ok((head, row.get(4)?, body))
}

/// Damage that SQLite itself noticed gets the coordinates it was met at.
fn at_damage(fault: Fault, partition: &TopicPartition, offset: Offset) -> Fault {
    match fault {
        Fault::Sql(cause) if is_damage(&cause) => {
            Error::Corrupt { at: partition.at(offset), detail: cause.to_string() }.into()
        }
        fault => fault,
    }
}

fn footprint(records: &Records) -> usize {
    records.bytes().len() + records.len() * size_of::<Entry>()
}

/// The first offset at or after `from` whose record's time is `time` or later.
pub(super) fn first_at_time(
    connection: &Connection,
    partition: &TopicPartition,
    row: &PartitionRow,
    time: EventTime,
) -> Outcome<Offset> {
    let mut position = row.marks.low;
    let mut next_batch = connection.prepare_cached(
        "SELECT base_offset FROM batches
         WHERE partition = ?1 AND base_offset + count > ?2 AND max_time >= ?3 ORDER BY base_offset LIMIT 1",
    )?;
    // The batch that holds the low watermark may have the time only in its trimmed part: then the next one is asked.
    loop {
        let base: Option<i64> =
            next_batch.query_row(params![row.id, position.0, time.0], |row| row.get(0)).optional()?;
        let Some(base) = base else { return Ok(row.marks.high) };
        let run = read(connection, partition, row, position.max(Offset(base)), 1)?;
        let found = (0..run.records.len()).find(|index| run.records.time(*index) >= time);
        if let Some(index) = found {
            return Ok(Offset(run.first.0 + index as i64));
        }
        position = Offset(run.first.0 + run.records.len() as i64);
    }
}

/// Sets the low watermark; what lies before it is gone for every reader, though its batches are not deleted yet.
pub(super) fn set_low(
    connection: &Connection,
    partition: &TopicPartition,
    before: Offset,
) -> Result<i64, Fault> {
    let row = partition_row(connection, partition)?;
    if before > row.marks.high {
        return Err(Error::Refused {
            what: format!("cannot trim `{partition}` to offset {before}: it ends at {}", row.marks.high),
            remedy: "trim to an offset that exists".to_owned(),
        }
        .into());
    }
    connection
        .prepare_cached("UPDATE partitions SET low = max(low, ?2) WHERE id = ?1")?
        .execute(params![row.id, before.0])?;
    Ok(row.id)
}

/// Deletes at most `limit` batches that lie wholly before the low watermark; false when none is left.
pub(super) fn delete_trimmed(connection: &Connection, partition: i64, limit: u32) -> Outcome<bool> {
    let deleted = connection
        .prepare_cached(
            "DELETE FROM batches WHERE rowid IN (
                 SELECT batches.rowid FROM batches JOIN partitions ON partitions.id = batches.partition
                 WHERE batches.partition = ?1 AND base_offset < low AND base_offset + count <= low
                 ORDER BY base_offset LIMIT ?2)",
        )?
        .execute(params![partition, limit])?;
    Ok(deleted == limit as usize)
}
