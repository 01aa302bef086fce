//! One session's hold on the log: the transactional id, the position in the changelog, the open transaction.

use std::collections::HashMap;
use std::sync::Arc;

use super::sequence::Sequence;
use super::{IngestOptions, STEP_RECORDS, SourceItem};
use crate::changelog::{BoundedRun, Changelog, History, Progress, Restore};
use crate::draw;
use crate::error::{Error, Reaction, Result};
use crate::fault_point;
use crate::identity::Identity;
use crate::kept::{Kept, kept};
use crate::log::{
    Cleanup, Log, Offset, Outgoing, Producer, TopicPartition, TopicSpec, partition_for, read_range,
};
use crate::time::EventTime;
use crate::topology::Topology;

/// What is kept as the kind of application that writes a sequence.
const KIND: &str = "ingest";

/// What came of a step.
#[derive(PartialEq, Eq)]
pub(super) enum Filled {
    More,
    End,
}

/// Writes under a transactional id, from where the log stands.
pub(super) struct Writer {
    log: Arc<dyn Log>,
    app: String,
    parameters: String,
    producer: Box<dyn Producer>,
    changelog: Changelog,
    changelog_topic: Arc<str>,
    partitions: HashMap<Arc<str>, u32>,
    outgoing: Outgoing,
    /// How many records are in the log or in the open transaction.
    pub(super) position: u64,
    /// How many are known to be in the log.
    pub(super) committed: u64,
    /// The next commit is the last one.
    pub(super) finished: bool,
    latest: EventTime,
}

impl Writer {
    pub(super) async fn open(log: Arc<dyn Log>, options: &IngestOptions) -> Result<Writer> {
        let name = Topology::changelog_of(&options.app);
        log.create_topics(&[TopicSpec { name: name.clone(), partitions: 1, cleanup: Cleanup::Delete }])?;
        // The id first: it ends a former self, so that what is read next is final.
        let producer = log.producer(&options.app)?;
        let history = draw::history()?;
        let restored = restore(log.as_ref(), &name, history).await?;
        let (progress, changelog) =
            restored.unwrap_or_else(|| (Progress::default(), Changelog::new(history)));
        let is_new = progress == Progress::default();
        if !is_new && progress.parameters != options.parameters {
            return Err(Error::Refused {
                what: format!(
                    "`{}` was started with `{}` before, and now with `{}`",
                    options.app, progress.parameters, options.parameters
                ),
                remedy: format!(
                    "choose another `--app`, or `tidegate reset --app {}` to write it again",
                    options.app
                ),
            });
        }
        let position = progress.inputs.first().map_or(0, |(_, _, offset)| offset.0);
        let position = u64::try_from(position).unwrap_or_default();
        Ok(Writer {
            log,
            app: options.app.clone(),
            parameters: options.parameters.clone(),
            producer,
            changelog,
            changelog_topic: name.into(),
            partitions: HashMap::new(),
            outgoing: Outgoing::default(),
            position,
            committed: position,
            finished: progress.bounded.is_some_and(|run| run.done),
            latest: progress.clock.now().unwrap_or_default(),
        })
    }

    pub(super) fn pending_bytes(&self) -> usize {
        self.outgoing.size_bytes()
    }

    /// Takes up to `allowed` records, or as many as one step of the loop should.
    pub(super) fn fill(
        &mut self,
        sequence: &mut Sequence<impl Iterator<Item = SourceItem>>,
        allowed: u64,
    ) -> Result<Filled> {
        for _ in 0..allowed.min(STEP_RECORDS) {
            let Some(record) = sequence.next() else { return Ok(Filled::End) };
            let partitions = self.partitions_of(&record.topic)?;
            let partition = record.key.as_deref().map_or(0, |key| partition_for(key, partitions));
            let to = self.outgoing.partition(&record.topic, partition);
            to.push(record.time, record.key.as_deref(), record.value.as_deref(), &[]);
            self.latest = self.latest.max(record.time);
            self.position += 1;
        }
        Ok(Filled::More)
    }

    fn partitions_of(&mut self, topic: &Arc<str>) -> Result<u32> {
        if let Some(known) = self.partitions.get(topic) {
            return Ok(*known);
        }
        let found = self.log.topic(topic)?.ok_or_else(|| Error::UnknownTopic(topic.to_string()))?;
        self.partitions.insert(topic.clone(), found.partitions);
        Ok(found.partitions)
    }

    pub(super) fn commit(&mut self) -> Result<()> {
        if self.position == self.committed && !self.finished {
            return Ok(());
        }
        let position = i64::try_from(self.position).unwrap_or(i64::MAX);
        let mut progress = Progress {
            parameters: self.parameters.clone(),
            inputs: vec![(self.app.clone(), 0, Offset(position))],
            bounded: Some(BoundedRun { number: 1, done: self.finished, ..BoundedRun::default() }),
            identity: Some(Identity { kind: KIND.to_owned(), ..Identity::default() }),
            ..Progress::default()
        };
        progress.clock.observe(self.latest);
        let blocks = self.outgoing.partition(&self.changelog_topic, 0);
        self.changelog.append(&mut [], &progress, self.latest, blocks);
        self.producer.send(&mut self.outgoing)?;
        fault_point::reached("ingest-after-produce-before-commit");
        let receipt = self.producer.commit(None)?;
        fault_point::reached("ingest-after-commit");
        self.committed = self.position;
        let partition = TopicPartition::new(self.changelog_topic.clone(), 0);
        if let Some(first) = receipt.first_offsets.get(&partition)
            && let Some(before) = self.changelog.committed(*first)
        {
            match self.log.trim(&partition, before) {
                // The next cycle trims as well.
                Err(error) if error.reaction() == Reaction::Retry => {}
                outcome => outcome?,
            }
        }
        Ok(())
    }
}

/// What is kept under this name must be the position of a sequence, and not lost. To be asked before the first session: a later one reads
/// nothing before it has opened its id.
pub(super) async fn check_kept(log: &dyn Log, app: &str) -> Result<()> {
    match kept(log, app).await? {
        Some(kept) => check_kind(app, &kept),
        None => Ok(()),
    }
}

/// A processor's state is no position of a sequence. Older positions are told by the name they count under.
fn check_kind(app: &str, kept: &Kept) -> Result<()> {
    let is_position = kept.progress.as_ref().is_none_or(|progress| match &progress.identity {
        Some(identity) => identity.kind == KIND,
        None => matches!(&*progress.inputs, [(counted, 0, _)] if counted == app),
    });
    if is_position && kept.tasks == 1 {
        return Ok(());
    }
    Err(Error::Refused {
        what: format!("`{app}` is the name of an application that processes records, and has its state"),
        remedy: "choose another `--app`".to_owned(),
    })
}

async fn restore(log: &dyn Log, changelog: &str, unnamed: History) -> Result<Option<(Progress, Changelog)>> {
    let partition = TopicPartition::new(changelog, 0);
    let ends = log.watermarks(&partition)?;
    let mut restore = Restore::default();
    read_range(log, &partition, ends.low, ends.high, |chunk| {
        chunk.records().try_for_each(|record| {
            restore.apply(&record.coordinates(), record.value().unwrap_or_default(), &mut [])
        })
    })
    .await?;
    restore.finish(&partition.at(ends.high), &mut [], unnamed)
}
