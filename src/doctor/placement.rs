//! Do the newest records of the topics that processors read by key stand in the partitions of their keys?
//!
//! A sample, bounded in records, bytes and time: what a producer does wrong now shows in what it wrote last. What it did wrong before is
//! counted in the dead letters of the application that met it.

use std::collections::BTreeSet;
use std::time::Duration;

use tidegate_runtime::log::{Log, Offset, RangeReader, RecordRef, TopicPartition, partition_for};
use tidegate_runtime::topology::{SourceKind, Topology};
use tidegate_runtime::{Error, Result};

use super::finding::{Finding, Verdict};
use super::needs::Partitions;
use super::units::counted;
use crate::topics::stretches;
use crate::workers::block_on;

/// So many of the newest records of each partition: with another partitioner, some among them stand elsewhere for certain.
const SAMPLE_RECORDS: usize = 100;
/// They are looked for in so many offsets first, and no more than so many times: with a marker behind every record, half of the offsets
/// are records, and what a large transaction has aborted is not worth the wait.
const FIRST_STRETCH: i64 = 50;
const MOST_STRETCHES: usize = 4;
/// Once a partition has given so much, it is left, however few its records were.
const SAMPLE_BYTES: usize = 4 << 20;
/// A partition that cannot be read must not hold up the rest.
const MOST_WAIT: Duration = Duration::from_secs(10);

/// The topics that these topologies read by key, one line each.
pub(super) fn judge(log: &dyn Log, topologies: &[Topology], partitions: &Partitions<'_>) -> Vec<Finding> {
    let keyed =
        topologies.iter().flat_map(Topology::sources).filter(|source| source.kind != SourceKind::Broadcast);
    let topics: BTreeSet<&str> = keyed.map(|source| source.topic.as_str()).collect();
    let there = topics.into_iter().filter_map(|topic| Some((topic, partitions.get(topic).copied()?)));
    let judge = |(topic, count): (&str, u32)| {
        let verdict = match count {
            1 => Verdict::ok("one partition holds every key"),
            _ => sample(log, topic, count).map_or_else(
                |error| {
                    Verdict::skip(format!("its records could not be read: {:#}", anyhow::Error::new(error)))
                },
                |sample| sample.verdict(count),
            ),
        };
        verdict.about(format!("keys of {topic}"))
    };
    there.map(judge).collect()
}

/// What the newest records of a topic show.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sample {
    keyed: usize,
    misplaced: usize,
    /// The first of them.
    example: Option<(String, u32)>,
}

impl Sample {
    fn add(&mut self, record: &RecordRef<'_>, partitions: u32) {
        let Some(key) = record.key() else { return };
        self.keyed += 1;
        let home = partition_for(key, partitions);
        if home != record.partition().partition {
            self.misplaced += 1;
            self.example.get_or_insert_with(|| (record.coordinates().to_string(), home));
        }
    }

    fn verdict(&self, partitions: u32) -> Verdict {
        let newest =
            format!("of the newest {}", counted(i64::try_from(self.keyed).unwrap_or(i64::MAX), "record"));
        match &self.example {
            None if self.keyed == 0 => Verdict::ok("no record with a key yet"),
            None => Verdict::ok(format!("{newest}, all stand in the partitions of their keys")),
            Some((example, home)) => Verdict::fail(
                format!(
                    "{newest}, {} stand elsewhere than in the partitions of their keys, such as {example}, whose place is partition {home} \
                     of {partitions}: processors make dead letters of them",
                    self.misplaced
                ),
                "set `partitioner=murmur2_random` in the producer, or the like in its language, and write them again",
            ),
        }
    }
}

fn sample(log: &dyn Log, topic: &str, count: u32) -> Result<Sample> {
    let all: Vec<TopicPartition> = (0..count).map(|number| TopicPartition::new(topic, number)).collect();
    let (marks, ends) = (log.watermarks_of(&all)?, log.stable_ends(&all)?);
    let read = async {
        let mut reader = RangeReader::new(log)?;
        let mut sample = Sample::default();
        for ((partition, marks), end) in all.iter().zip(marks).zip(ends) {
            add_newest(&mut reader, partition, marks.low, end, &mut |record| sample.add(record, count))
                .await?;
        }
        Ok(sample)
    };
    let failed = |cause: &str| Error::Transient {
        what: format!("could not read the newest records of `{topic}` within {} s", MOST_WAIT.as_secs()),
        cause: cause.into(),
    };
    match block_on(async { tokio::time::timeout(MOST_WAIT, read).await }) {
        Ok(Ok(sample)) => sample,
        Ok(Err(_)) => Err(failed("the log does not answer")),
        Err(error) => Err(failed(&format!("{error:#}"))),
    }
}

/// The newest records of one partition, as far back as the bounds allow.
async fn add_newest(
    reader: &mut RangeReader,
    partition: &TopicPartition,
    low: Offset,
    end: Offset,
    add: &mut impl FnMut(&RecordRef<'_>),
) -> Result<()> {
    let (mut records, mut bytes) = (0, 0);
    for (from, to) in stretches(low, end, FIRST_STRETCH).take(MOST_STRETCHES) {
        reader
            .read(partition, from, to, |chunk| {
                for record in chunk.records().filter(|record| record.offset() < to) {
                    records += 1;
                    bytes += record.value().map_or(0, <[u8]>::len);
                    add(&record);
                }
                Ok::<_, Error>(())
            })
            .await?;
        if records >= SAMPLE_RECORDS || bytes >= SAMPLE_BYTES {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tidegate_runtime::log::{Chunk, Records};
    use tidegate_runtime::time::EventTime;

    use super::super::finding::Level;
    use super::*;

    fn sampled(partition: u32, keys: &[Option<&str>]) -> Verdict {
        let mut records = Records::default();
        keys.iter().for_each(|key| records.push(EventTime(0), key.map(str::as_bytes), None, &[]));
        let end = Offset(keys.len() as i64);
        let chunk =
            Chunk::contiguous(TopicPartition::new("invoices", partition), Offset(0), Offset(0), records, end);
        let mut sample = Sample::default();
        chunk.records().for_each(|record| sample.add(&record, 4));
        sample.verdict(4)
    }

    #[test]
    fn a_record_in_another_partition_than_its_keys_fails_with_the_remedy() {
        let home = partition_for(b"C1", 4);
        let elsewhere = (home + 1) % 4;
        let found = sampled(elsewhere, &[None, Some("C1"), Some("C1")]);
        assert_eq!(found.level, Level::Fail);
        let words = format!(
            "of the newest 2 records, 2 stand elsewhere than in the partitions of their keys, such as \
             invoices[{elsewhere}]@1, whose place is partition {home} of 4"
        );
        assert!(found.found.starts_with(&words), "{found:?}");
        assert!(found.remedy.unwrap().contains("partitioner=murmur2_random"));
    }

    #[test]
    fn records_in_their_places_and_records_without_keys_are_fine() {
        let home = partition_for(b"C1", 4);
        assert_eq!(
            sampled(home, &[Some("C1"), None]),
            Verdict::ok("of the newest 1 record, all stand in the partitions of their keys")
        );
        assert_eq!(sampled(0, &[None]), Verdict::ok("no record with a key yet"));
    }
}
