//! Topics, read whole: from the first record that is kept to the end as it is now.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;
use tidegate_runtime::avro::{Decoder, SchemaCache};
use tidegate_runtime::log::{Event, Log, RecordRef, TopicPartition};
use tidegate_runtime::time::EventTime;
use tidegate_schemas::validity::Fields;

/// Fetched and not yet taken.
const BUFFER_BYTES: usize = 4 << 20;

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen<T> {
    /// None where the record has no key, or its value does not decode or is not valid.
    pub(super) twin: Option<T>,
    pub(super) key: Vec<u8>,
}

/// What a topic holds, whatever its values are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) records: u64,
    /// Of these, without a key, undecodable, or with a value that is not valid: no table has a row for them.
    pub(super) unsound: u64,
}

/// Counts a topic's records.
pub(super) fn tally(log: &dyn Log, topic: &str) -> Result<Tally> {
    let partitions = read(log, topic, |decoder, record| is_sound(decoder, record, topic))?;
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
        let sound = is_sound(decoder, record, topic);
        let twin = decoder.decode(record.value()).ok().filter(|_| sound);
        Seen { twin, key: record.key().unwrap_or_default().to_vec() }
    })
}

/// True if it has a key, and a value that is valid by the judgement of its type.
fn is_sound(decoder: &mut Decoder, record: &RecordRef<'_>, topic: &str) -> bool {
    let (Some(key), Ok(value)) = (record.key(), decoder.decode_json(record.value())) else { return false };
    let topic = tidegate_schemas::topic(topic);
    topic.is_some_and(|topic| topic.judge(key, &Json(value), EventTime::DEFAULT_MAX.0).is_ok())
}

struct Json(serde_json::Value);

impl Fields for Json {
    fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_default()
    }

    fn integer(&self, field: &str) -> i64 {
        self.0[field].as_i64().unwrap_or_default()
    }
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
