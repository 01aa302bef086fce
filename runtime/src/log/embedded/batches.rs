//! Batches: how records stand in the table, and how a chunk comes out of it.
//!
//! Guarantees: what is read is what was written, at the offset it was written to. A checksum covers the body and every other column of
//! the row, partition and offset included, so that neither a flipped bit nor a row moved elsewhere passes. Another one covers the
//! columns alone: a batch is passed over, in a search for a time, only if they are whole. A third covers the row of a partition, whose
//! watermarks decide where reading begins and ends. The batches of a partition follow each other without a gap; reading checks that too.
//! Requires: batches are written by [`append`] only, in the same transaction that moves `partitions.high`, and the row of a partition
//! by this file only.

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
    let mut statement = connection
        .prepare_cached("SELECT id, low, high, checksum FROM partitions WHERE topic = ?1 AND number = ?2")?;
    let row = statement
        .query_row(params![&*partition.topic, partition.partition], |row| {
            let marks = Watermarks { low: Offset(row.get(1)?), high: Offset(row.get(2)?) };
            Ok((PartitionRow { id: row.get(0)?, marks }, row.get::<_, i64>(3)?))
        })
        .optional()?;
    let Some((row, checksum)) = row else {
        return Err(Error::UnknownTopic(unknown(connection, partition)).into());
    };
    if row.checksum(&partition.topic, partition.partition) != checksum {
        let detail = format!(
            "its row in `partitions` (from {} to {}) does not match its checksum",
            row.marks.low, row.marks.high
        );
        return Err(Error::Corrupt { at: partition.at(row.marks.low), detail }.into());
    }
    Ok(row)
}

impl PartitionRow {
    fn checksum(&self, topic: &str, number: u32) -> i64 {
        let mut hasher = crc32fast::Hasher::new();
        for part in [self.id, i64::from(number), self.marks.low.0, self.marks.high.0] {
            hasher.update(&part.to_le_bytes());
        }
        hasher.update(topic.as_bytes());
        i64::from(hasher.finalize())
    }
}

/// Makes the row of a partition without records.
pub(super) fn insert_partition(connection: &Connection, topic: &str, number: u32) -> Outcome<()> {
    connection
        .prepare_cached("INSERT INTO partitions (topic, number) VALUES (?1, ?2)")?
        .execute(params![topic, number])?;
    let marks = Watermarks { low: Offset(0), high: Offset(0) };
    set_marks(connection, topic, number, &PartitionRow { id: connection.last_insert_rowid(), marks })
}

/// Writes the watermarks of `row`.
pub(super) fn set_marks(
    connection: &Connection,
    topic: &str,
    number: u32,
    row: &PartitionRow,
) -> Outcome<()> {
    connection
        .prepare_cached("UPDATE partitions SET low = ?2, high = ?3, checksum = ?4 WHERE id = ?1")?
        .execute(params![row.id, row.marks.low.0, row.marks.high.0, row.checksum(topic, number)])?;
    Ok(())
}

/// Gives the rows of every partition their checksums: they are of a format that had none.
pub(super) fn add_checksums(connection: &Connection) -> Outcome<()> {
    let mut statement = connection.prepare("SELECT topic, number, id, low, high FROM partitions")?;
    let rows = statement.query_map([], |row| {
        let marks = Watermarks { low: Offset(row.get(3)?), high: Offset(row.get(4)?) };
        Ok((row.get::<_, String>(0)?, row.get(1)?, PartitionRow { id: row.get(2)?, marks }))
    })?;
    let rows: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
    rows.iter().try_for_each(|(topic, number, row)| set_marks(connection, topic, *number, row))
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

    /// The upper half covers the columns, the lower one the body too.
    fn checksum(&self, body: &[u8]) -> i64 {
        let mut hasher = self.hasher();
        let columns = u64::from(hasher.clone().finalize());
        hasher.update(body);
        (columns << 32 | u64::from(hasher.finalize())).cast_signed()
    }

    fn hasher(&self) -> crc32fast::Hasher {
        let mut hasher = crc32fast::Hasher::new();
        for number in [self.partition, self.base.0, self.count, self.min_time.0, self.max_time.0] {
            hasher.update(&number.to_le_bytes());
        }
        hasher
    }

    /// Whether the row is as it was written. A row of format 1 has the lower half only.
    fn fits(&self, body: &[u8], stored: i64) -> bool {
        let computed = self.checksum(body);
        computed == stored || (has_no_upper_half(stored) && computed as u32 == stored as u32)
    }

    /// Whether the columns are as they were written; nothing if only the whole row can say so.
    fn columns_fit(&self, stored: i64) -> Option<bool> {
        let upper = stored.cast_unsigned() >> 32;
        (upper != 0).then(|| upper == u64::from(self.hasher().finalize()))
    }
}

fn has_no_upper_half(stored: i64) -> bool {
    stored.cast_unsigned() >> 32 == 0
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
        if !head.fits(body, checksum) {
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

type Stored<'a> = (Head, i64, &'a [u8]);

fn take<'a>(row: &'a rusqlite::Row<'_>, partition: i64) -> Outcome<Stored<'a>> {
    let (head, checksum) = columns(row, partition)?;
    let body = row.get_ref(5)?.as_blob().map_err(rusqlite::Error::from)?;
    Ok((head, checksum, body))
}

/// The columns before the body.
fn columns(row: &rusqlite::Row<'_>, partition: i64) -> Outcome<(Head, i64)> {
    let head = Head {
        partition,
        base: Offset(row.get(0)?),
        count: row.get(1)?,
        min_time: EventTime(row.get(2)?),
        max_time: EventTime(row.get(3)?),
    };
    Ok((head, row.get(4)?))
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
    let mut heads = connection.prepare_cached(
        "SELECT base_offset, count, min_time, max_time, checksum FROM batches
         WHERE partition = ?1 AND base_offset >= (
             SELECT coalesce(max(base_offset), ?2) FROM batches WHERE partition = ?1 AND base_offset <= ?2)
         ORDER BY base_offset",
    )?;
    let mut rows = heads.query(params![row.id, position.0])?;
    while position < row.marks.high {
        let found = rows.next().map_err(|cause| at_damage(cause.into(), partition, position))?;
        let Some(found) = found else { break };
        let (head, checksum) =
            columns(found, row.id).map_err(|fault| at_damage(fault, partition, position))?;
        let is_first = position == row.marks.low;
        if head.base > position || (head.base < position && !is_first) || head.end() <= position {
            let detail = format!("the batch found there holds {} to {}", head.base, head.end());
            return Err(Error::Corrupt { at: partition.at(position), detail }.into());
        }
        let is_whole = head.columns_fit(checksum);
        if is_whole == Some(false) {
            let detail = "the batch's columns do not match their checksum".to_owned();
            return Err(Error::Corrupt { at: partition.at(head.base), detail }.into());
        }
        // The batch that holds the low watermark may have the time only in its trimmed part: then the next one is asked.
        if is_whole.is_none() || head.max_time >= time {
            let run = read(connection, partition, row, position, 1)?;
            if let Some(index) = (0..run.records.len()).find(|index| run.records.time(*index) >= time) {
                return Ok(Offset(run.first.0 + index as i64));
            }
        }
        position = head.end();
    }
    if position < row.marks.high {
        let detail = "no batch holds this offset".to_owned();
        return Err(Error::Corrupt { at: partition.at(position), detail }.into());
    }
    Ok(row.marks.high)
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
    let marks = Watermarks { low: row.marks.low.max(before), ..row.marks };
    set_marks(connection, &partition.topic, partition.partition, &PartitionRow { marks, ..row })?;
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
