//! Topics, read whole: from the first record that is kept to the end as it is now.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;
use tidegate_runtime::avro::{Decoder, SchemaCache};
use tidegate_runtime::log::{Event, Log, RecordRef, TopicPartition};

/// Fetched and not yet taken.
const BUFFER_BYTES: usize = 4 << 20;

/// Times past these are no event times (law 14): 1970, and 2100-01-01T00:00:00Z.
const EVENT_TIMES_MS: std::ops::RangeInclusive<i64> = 0..=4_102_444_800_000;

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen<T> {
    /// None where the record has no key, no event time, or does not decode.
    pub(super) twin: Option<T>,
    pub(super) key: Vec<u8>,
}

/// What a topic holds, whatever its values are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) records: u64,
    /// Of these, without key or event time, or undecodable: no table has a row for them.
    pub(super) unsound: u64,
}

/// Counts a topic's records.
pub(super) fn tally(log: &dyn Log, topic: &str) -> Result<Tally> {
    let partitions =
        read(log, topic, |decoder, record| is_placed(record) && decoder.decode_json(record.value()).is_ok())?;
    let count =
        |wanted: &dyn Fn(&bool) -> bool| partitions.iter().flatten().filter(|sound| wanted(sound)).count();
    Ok(Tally { records: u64::try_from(count(&|_| true))?, unsound: u64::try_from(count(&|sound| !sound))? })
}

/// How many records of a topic were put aside from `origin`.
pub(super) fn count_from(log: &dyn Log, topic: &str, origin: &str) -> Result<u64> {
    let begin = format!("{origin}[");
    let from_there = |_: &mut Decoder, record: &RecordRef<'_>| {
        record.headers().get("origin").is_some_and(|place| place.starts_with(begin.as_bytes()))
    };
    let partitions = read(log, topic, from_there)?;
    Ok(u64::try_from(partitions.iter().flatten().filter(|found| **found).count())?)
}

/// Every record of every partition, in order.
pub(super) fn read_all<T: DeserializeOwned>(log: &dyn Log, topic: &str) -> Result<Vec<Vec<Seen<T>>>> {
    read(log, topic, |decoder, record| {
        let twin = decoder.decode(record.value()).ok().filter(|_| is_placed(record));
        Seen { twin, key: record.key().unwrap_or_default().to_vec() }
    })
}

/// True if it has a key and a time that can be one.
fn is_placed(record: &RecordRef<'_>) -> bool {
    record.key().is_some() && EVENT_TIMES_MS.contains(&record.time().0)
}

fn read<R>(
    log: &dyn Log,
    topic: &str,
    mut take: impl FnMut(&mut Decoder, &RecordRef<'_>) -> R,
) -> Result<Vec<Vec<R>>> {
    let info = log.topic(topic)?.with_context(|| format!("topic `{topic}` is gone"))?;
    let schemas = SchemaCache::new();
    let mut decoder = Decoder::new(schemas.clone());
    let mut partitions: Vec<Vec<R>> = (0..info.partitions).map(|_| Vec::new()).collect();
    let mut ends = BTreeMap::new();
    let mut reader = log.reader(BUFFER_BYTES)?;
    for number in 0..info.partitions {
        let partition = TopicPartition::new(topic, number);
        let marks = log.watermarks(&partition)?;
        if marks.low < marks.high {
            reader.seek(partition, marks.low);
            ends.insert(number, marks.high);
        }
    }
    while !ends.is_empty() {
        let Event::Chunk(chunk) = reader.blocking_next()? else { continue };
        for id in schemas.missing_ids(&chunk) {
            schemas.resolve(id, log.registry())?;
        }
        let number = chunk.partition.partition;
        let Some(end) = ends.get(&number).copied() else { continue };
        if let Some(taken) = partitions.get_mut(number as usize) {
            taken.extend(
                chunk
                    .records()
                    .take_while(|record| record.offset() < end)
                    .map(|record| take(&mut decoder, &record)),
            );
        }
        if chunk.next >= end {
            ends.remove(&number);
        }
    }
    Ok(partitions)
}
