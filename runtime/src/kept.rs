//! What the log keeps of an application, asked for before the application is touched: the end of its changelog.
//!
//! Guarantees: nothing is changed and nobody is disturbed by the question. The answer is "nothing" only for an application that has never
//! run or was reset: state that is lost is an error, never taken for a first start (law 8).

use crate::changelog::{Progress, progress_of};
use crate::error::{Error, Result};
use crate::identity::{Identity, check_kept, check_kind, check_tasks, remedy};
use crate::log::{Chunk, Log, Offset, RangeReader, TopicInfo, TopicPartition, Watermarks};
use crate::topology::Topology;

/// How far before a changelog's end the last whole commit is looked for at first.
const TAIL_OFFSETS: i64 = 8;

/// What is kept of an application.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// How many tasks it has: the partitions of its changelog.
    pub tasks: u32,
    /// How far one of its tasks has come; nothing if none has committed anything yet.
    pub progress: Option<Progress>,
}

impl Kept {
    /// Refuses what is kept of another kind of application than `topology`, whose topics need not be there for that.
    ///
    /// # Errors
    /// [`Error::Refused`], which says both kinds.
    pub fn check_kind(&self, topology: &Topology) -> Result<()> {
        let Some(progress) = &self.progress else { return Ok(()) };
        let inputs = topology.sources().iter().map(|source| source.topic.as_str());
        check_kind(topology.app(), progress, topology.operator(), inputs)
    }

    /// Refuses what is kept of another application than the one that is started: of another kind, with other parameters, stores or topics.
    ///
    /// # Errors
    /// [`Error::Refused`], which says what differs.
    pub fn check(&self, app: &str, parameters: &str, now: &Identity) -> Result<()> {
        if let Some(progress) = &self.progress {
            check_kept(app, progress, parameters, now)?;
        }
        check_tasks(app, self.tasks, now)
    }
}

/// What is kept of the application `app`, as far as it is committed now: a dead process's open transaction, which its next life ends, is not
/// waited for. Nothing before its first start and after a reset.
///
/// # Errors
/// [`Error::Refused`] where its state has been there and is gone; whatever the log reports.
pub async fn kept(log: &dyn Log, app: &str) -> Result<Option<Kept>> {
    let changelog = Topology::changelog_of(app);
    let mut others = Topology::own_topics(app, 1);
    others.retain(|spec| spec.name != changelog);
    let others = log.topics_of(&others.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>())?;
    // Asked for last, because it is created first: another worker may create them meanwhile. A reset deletes it first and the others last.
    let Some(tasks) = log.topic(&changelog)?.map(|topic| topic.partitions) else {
        if let Some(other) = with_records(log, &others)? {
            return Err(missing(app, &format!("its topic `{other}` has records")));
        }
        let has_positions = !log.committed(app)?.is_empty();
        return if has_positions { Err(missing(app, "its group has positions")) } else { Ok(None) };
    };
    let partitions: Vec<_> =
        (0..tasks).map(|number| TopicPartition::new(changelog.as_str(), number)).collect();
    let ends = log.watermarks_of(&partitions)?;
    let mut tails = Tails::default();
    let mut progress = None;
    for (partition, ends) in partitions.iter().zip(ends) {
        if ends.low == ends.high {
            refuse_emptied(app, partition, ends.low)?;
        } else if progress.is_none() {
            progress = tails.last_between(log, partition, ends, false).await?;
            if progress.is_none() {
                refuse_emptied(app, partition, ends.low)?;
            }
        }
    }
    Ok(Some(Kept { tasks, progress }))
}

/// The first of these topics that has ever had a record. An empty one may have been created in advance.
fn with_records(log: &dyn Log, topics: &[TopicInfo]) -> Result<Option<String>> {
    for topic in topics {
        let partitions: Vec<_> =
            (0..topic.partitions).map(|number| TopicPartition::new(topic.name.as_str(), number)).collect();
        if log.watermarks_of(&partitions)?.iter().any(|marks| marks.high > Offset(0)) {
            return Ok(Some(topic.name.clone()));
        }
    }
    Ok(None)
}

fn missing(app: &str, why: &str) -> Error {
    Error::Refused {
        what: format!(
            "the changelog `{}` is missing, and application `{app}` has run before: {why}",
            Topology::changelog_of(app)
        ),
        remedy: remedy(app),
    }
}

/// A changelog without a block is that of a first start only where nothing was ever removed from it: its own trims leave the newest blocks.
pub(crate) fn refuse_emptied(app: &str, changelog: &TopicPartition, low: Offset) -> Result<()> {
    if low == Offset(0) {
        return Ok(());
    }
    Err(Error::Refused {
        what: format!(
            "`{changelog}` was emptied: it begins at offset {low} and holds no state, so it is not known how far `{app}` has come"
        ),
        remedy: remedy(app),
    })
}

/// Reads the ends of changelogs, all by one reader: on Kafka each is a client with connections of its own.
#[derive(Default)]
pub(crate) struct Tails {
    reader: Option<RangeReader>,
}

impl Tails {
    /// The progress of the last commit in this changelog.
    pub(crate) async fn last(
        &mut self,
        log: &dyn Log,
        changelog: &TopicPartition,
    ) -> Result<Option<Progress>> {
        let ends = log.watermarks(changelog)?;
        self.last_between(log, changelog, ends, true).await
    }

    /// With `waits`, open transactions before the end are waited for.
    async fn last_between(
        &mut self,
        log: &dyn Log,
        changelog: &TopicPartition,
        mut ends: Watermarks,
        waits: bool,
    ) -> Result<Option<Progress>> {
        let mut back = TAIL_OFFSETS;
        loop {
            let from = ends.low.max(Offset(ends.high.0 - back));
            let mut progress = None;
            let last = |chunk: &Chunk| -> Result<()> {
                for record in chunk.records() {
                    let found = progress_of(&record.coordinates(), record.value().unwrap_or_default())?;
                    progress = found.or_else(|| progress.take());
                }
                Ok(())
            };
            // Put back once it has read: a reader that has failed is of no more use.
            let mut reader = match self.reader.take() {
                Some(reader) => reader,
                None => RangeReader::new(log)?,
            };
            if waits {
                reader.read(changelog, from, ends.high, last).await?;
            } else {
                reader.read_committed(changelog, from, ends.high, last).await?;
            }
            self.reader = Some(reader);
            if progress.is_some() || from == ends.low {
                return Ok(progress);
            }
            back *= 8;
            ends = log.watermarks(changelog)?;
        }
    }
}
