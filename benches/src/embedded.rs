//! Measuring on the embedded log: a log of its own for every run; the program reads it to its end, closes every window, and exits.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Result, bail};
use tidegate_runtime::log::embedded::EmbeddedLog;
use tidegate_runtime::log::{
    Cleanup, Log, Outgoing, Producer, TopicPartition, TopicSpec, partition_for, read_range,
};
use tidegate_schemas::topics::TOPICS;

use crate::datum::{self, Form};
use crate::input::{self, Sample};
use crate::peer::{Peer, Program, without_variables};
use crate::process::Process;
use crate::progress::Progress;
use crate::results::{Closed, Verdict, judge};
use crate::sheet::Metric;
use crate::work::Work;

/// How many records go into one transaction.
const TRANSACTION_RECORDS: u64 = 50_000;

/// Lets Tidegate do the work on a new log.
pub(crate) fn measure(work: &Work, peer: &Peer, progress: &mut Progress) -> Result<Vec<(Metric, u64)>> {
    let Program::Tidegate(program, _) = &peer.program else {
        bail!("`{}` knows no embedded log; give --home kafka", peer.name);
    };
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    fill(work, &data, progress)?;
    let mut command = Command::new(program);
    command.args(["process", work.job.name(), "--until-end", "--data"]).arg(&data);
    without_variables(&mut command);
    let mut values = Process::start(command, &folder.path().join("said"))?.finish()?;
    values.extend(check(work, &data)?.values());
    Ok(values)
}

fn fill(work: &Work, data: &Path, progress: &mut Progress) -> Result<()> {
    let log = EmbeddedLog::open(data)?;
    let spec = |topic: &&tidegate_schemas::Topic| TopicSpec {
        name: topic.name.to_owned(),
        partitions: work.partitions_of(topic),
        cleanup: Cleanup::Delete,
    };
    log.create_topics(&TOPICS.iter().map(spec).collect::<Vec<_>>())?;
    let mut writer = Writer { producer: log.producer("bench-input")?, outgoing: Outgoing::default() };
    let mut written = 0;
    input::generate(work, log.registry(), &mut |sample| {
        writer.push(work, sample);
        written += 1;
        if written % TRANSACTION_RECORDS == 0 {
            writer.commit()?;
            progress.at(written, work.records);
        }
        Ok(())
    })?;
    writer.commit()
}

struct Writer {
    producer: Box<dyn Producer>,
    outgoing: Outgoing,
}

impl Writer {
    fn push(&mut self, work: &Work, sample: &Sample<'_>) {
        let name: Arc<str> = sample.topic.name.into();
        let partition = partition_for(sample.key.as_bytes(), work.partitions_of(sample.topic));
        let to = self.outgoing.partition(&name, partition);
        let time = tidegate_runtime::time::EventTime(sample.time_ms);
        to.push(time, Some(sample.key.as_bytes()), Some(sample.value), &[]);
    }

    fn commit(&mut self) -> Result<()> {
        self.producer.send(&mut self.outgoing)?;
        self.producer.commit(None)?;
        Ok(())
    }
}

fn check(work: &Work, data: &Path) -> Result<Verdict> {
    let log = EmbeddedLog::open(data)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut found = Vec::new();
    for number in 0..work.partitions {
        let partition = TopicPartition::new(work.job.output().name, number);
        let ends = log.watermarks(&partition)?;
        runtime.block_on(read_range(&log, &partition, ends.low, ends.high, |chunk| {
            found.extend(chunk.records().map(|record| {
                let (key, value) = (record.key().unwrap_or_default(), record.value().unwrap_or_default());
                datum::decode(work, Form::Avro, key, value)
            }));
            anyhow::Ok(())
        }))?;
    }
    judge(work, Closed::All, found)
}
