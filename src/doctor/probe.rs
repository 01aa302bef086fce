//! `--probe`: one record through a transaction, by the same code that every command uses, in a topic that is gone afterwards.
//!
//! Promise: the topic is removed however the probe ends, a first Ctrl-C included; what is left if that fails is named. The transactional id
//! stays with the broker until it expires, as any does.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, anyhow};
use tidegate_runtime::log::kafka::KafkaLog;
use tidegate_runtime::log::kafka::diagnosis::Diagnosis;
use tidegate_runtime::log::{Log, Offset, Outgoing, TopicPartition, read_range};
use tidegate_runtime::time::EventTime;

use super::clock::{Probed, ahead, judge, since_epoch_ms};
use super::finding::Finding;
use crate::workers::block_on;

/// A committed record is there at once; one that is not shows no difference to one that never comes.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// Makes the topic, uses it, removes it.
pub(super) fn run(log: &KafkaLog) -> Vec<Finding> {
    // Two doctors at once must not meet in one topic.
    let name = format!("tidegate-doctor-{:016x}", RandomState::new().hash_one(std::process::id()));
    let diagnosis = Diagnosis::of(log);
    let made = diagnosis.make_probe(&name);
    let mut findings = match made.map_err(anyhow::Error::new).and_then(|()| measure(log, &name)) {
        Ok(probed) => judge(&probed),
        Err(error) => vec![
            Finding::fail(
                "probe",
                format!("{error:#}"),
                "mend what the lines above name first, then see the broker's log",
            ),
            Finding::skip("clock of the broker", "the probe failed"),
        ],
    };
    // Also after making it failed: it may have been made all the same.
    match diagnosis.remove_probe(&name) {
        Ok(()) | Err(tidegate_runtime::Error::UnknownTopic(_)) => {}
        Err(error) => {
            let found = format!("topic `{name}` could not be removed: {error}");
            findings.push(Finding::warn("probe", found, format!("delete the topic `{name}`")));
        }
    }
    findings
}

fn measure(log: &KafkaLog, name: &str) -> Result<Probed> {
    let partition = TopicPartition::new(name, 0);
    let begun = Instant::now();
    let mut producer = log.producer(name)?;
    let opened_ms = elapsed_ms(begun);
    let before = SystemTime::now();
    let mut outgoing = Outgoing::default();
    outgoing.partition(&partition.topic, 0).push(
        EventTime(since_epoch_ms(before)),
        None,
        Some(b"probe"),
        &[],
    );
    producer.send(&mut outgoing)?;
    let begun = Instant::now();
    producer.commit(None)?;
    let (committed_ms, after) = (elapsed_ms(begun), SystemTime::now());
    let begun = Instant::now();
    let appended = read_back(log, &partition)?;
    let ours_ms = (since_epoch_ms(before), since_epoch_ms(after));
    Ok(Probed {
        opened_ms,
        committed_ms,
        read_ms: elapsed_ms(begun),
        ahead_ms: ahead(appended.0, 0, ours_ms),
    })
}

/// The time the broker has given the record.
fn read_back(log: &KafkaLog, partition: &TopicPartition) -> Result<EventTime> {
    let mut appended = None;
    let read = read_range::<tidegate_runtime::Error>(log, partition, Offset(0), Offset(1), |chunk| {
        appended = appended.or(chunk.records().next().map(|record| record.time()));
        Ok(())
    });
    let read = block_on(async { tokio::time::timeout(READ_WITHIN, read).await })?;
    read.with_context(|| format!("a committed record could not be read within {READ_WITHIN:?}"))??;
    appended.ok_or_else(|| anyhow!("a committed record is not there"))
}

fn elapsed_ms(since: Instant) -> i64 {
    i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX)
}
