//! `bench log`: the embedded log alone. 41-byte records are appended, then read, each by a process of its own.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::ValueEnum;
use tidegate_runtime::log::embedded::EmbeddedLog;
use tidegate_runtime::log::{Cleanup, Log as _, Outgoing, TopicPartition, TopicSpec, read_range};
use tidegate_runtime::time::EventTime;

use crate::cli::LogArgs;
use crate::process::Process;
use crate::rounds::Rounds;
use crate::sheet::{Case, Metric};

const TOPIC: &str = "records";
const PARTITIONS: u32 = 4;
/// As long as the invoices of the other benchmarks.
const VALUE_BYTES: usize = 41;
const KEY: &[u8] = b"C000000";
/// Records in a transaction: about what a processor writes between two commits.
const TRANSACTION_RECORDS: u64 = 50_000;

/// Which half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Half {
    Append,
    Read,
}

/// Measures both halves in every round.
pub(crate) fn run(args: &LogArgs) -> Result<()> {
    // The log is ours: there is nobody to compare it with.
    let own = ["tidegate".parse().map_err(anyhow::Error::msg)?];
    let mut rounds = Rounds::begin("log", &own, &args.run)?;
    let folder = tempfile::tempdir()?;
    for (half, name) in [(Half::Append, "append"), (Half::Read, "read")] {
        let case = Case {
            bench: format!("log {name}"),
            home: "embedded".to_owned(),
            records: args.records,
            keys: 0,
            partitions: PARTITIONS,
            instances: 1,
        };
        rounds.in_turn(&case, |_, _| measure(half, name, folder.path(), args.records))?;
    }
    rounds.end()?;
    Ok(())
}

/// The log that was appended last is the one that is read.
fn measure(half: Half, name: &str, folder: &Path, records: u64) -> Result<Vec<(Metric, u64)>> {
    let data = folder.join("data");
    if half == Half::Append && data.exists() {
        std::fs::remove_dir_all(&data)?;
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["embedded-log", name]).arg(&data).arg(records.to_string());
    let mut values = Process::start(command, &folder.join("said"))?.finish()?;
    let bytes: u64 =
        std::fs::read_dir(&data)?.flatten().flat_map(|file| file.metadata()).map(|of| of.len()).sum();
    values.push((Metric::WrittenKib, bytes / 1_024));
    Ok(values)
}

/// What the measured process does.
pub(crate) fn do_half(half: Half, data: &Path, records: u64) -> Result<()> {
    let log = EmbeddedLog::open(data)?;
    match half {
        Half::Append => append(&log, records),
        Half::Read => read(&log, records),
    }
}

fn append(log: &EmbeddedLog, records: u64) -> Result<()> {
    let spec = TopicSpec { name: TOPIC.to_owned(), partitions: PARTITIONS, cleanup: Cleanup::Delete };
    log.create_topics(&[spec])?;
    let mut producer = log.producer("bench")?;
    let mut outgoing = Outgoing::default();
    let topic: Arc<str> = TOPIC.into();
    let mut value = [0; VALUE_BYTES];
    for number in 0..records {
        value[..8].copy_from_slice(&number.to_be_bytes());
        let partition = u32::try_from(number % u64::from(PARTITIONS))?;
        let time = EventTime(i64::try_from(number)?);
        outgoing.partition(&topic, partition).push(time, Some(KEY), Some(&value), &[]);
        if (number + 1) % TRANSACTION_RECORDS == 0 || number + 1 == records {
            producer.send(&mut outgoing)?;
            producer.commit(None)?;
        }
    }
    Ok(())
}

fn read(log: &EmbeddedLog, records: u64) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let (mut count, mut sum) = (0_u64, 0_u64);
    for number in 0..PARTITIONS {
        let partition = TopicPartition::new(TOPIC, number);
        let ends = log.watermarks(&partition)?;
        runtime.block_on(read_range(log, &partition, ends.low, ends.high, |chunk| {
            for record in chunk.records() {
                let number = record
                    .value()
                    .and_then(|value| value.first_chunk())
                    .map(|bytes| u64::from_be_bytes(*bytes));
                count += 1;
                sum = sum.wrapping_add(number.unwrap_or_default());
            }
            anyhow::Ok(())
        }))?;
    }
    if count != records || sum != records.wrapping_mul(records.saturating_sub(1)) / 2 {
        bail!("{count} records adding up to {sum} were read, not the {records} that were appended");
    }
    Ok(())
}
