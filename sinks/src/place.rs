//! Whose place it is: the lock that keeps a second process out, and what is refused at the door.
//!
//! Promise: a sink writes only where no other process writes and where only its own rows are, and it never goes on from a position
//! the log does not have. The kernel lets go of the lock however its holder ends, also by `kill -9`. Broken by removing the
//! lock file while a sink runs, and by a file system without locks.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use apache_avro::Schema;
use tidegate_runtime::log::{Log, Offset, TopicInfo, TopicPartition, subject_of_value};
use tidegate_runtime::{Error, Result};
use tidegate_schemas::{TOPICS, Topic};

/// How long a lock is tried for: a process that was killed, or a child that has not become its own program yet, lets go within milliseconds.
const LOCK_WAIT: Duration = Duration::from_millis(500);

/// Takes the lock of the place called `place`; it is held until the file is dropped.
pub(crate) fn lock(path: &Path, place: &Path) -> Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|cause| storage("open", path, cause))?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_WAIT => thread::sleep(LOCK_WAIT / 20),
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Refused {
                    what: format!("another process is writing `{}`", place.display()),
                    remedy: "stop it first, or name another place".into(),
                });
            }
            Err(TryLockError::Error(cause)) => return Err(storage("lock", path, cause)),
        }
    }
}

/// A failed operation on a file, naming both.
pub(crate) fn storage(what: &str, path: &Path, cause: std::io::Error) -> Error {
    Error::Storage { what: format!("could not {what} `{}`", path.display()), cause: Box::new(cause) }
}

/// Refuses a name that a group or a transactional id could not carry everywhere.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !name.is_empty() && name.len() <= 249 && name.chars().all(allowed) {
        return Ok(());
    }
    Err(Error::Refused {
        what: format!("`{name}` cannot name a sink"),
        remedy: "use letters, digits, `.`, `_` and `-`, at most 249".into(),
    })
}

/// A topic that a sink reads.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The row in the table of topics whose schema its values have: its own, or that of the topic whose shape it shares.
    pub(crate) shape: &'static Topic,
    pub(crate) info: TopicInfo,
}

impl Source {
    pub(crate) fn partition(&self, number: u32) -> TopicPartition {
        TopicPartition::new(&*self.info.name, number)
    }
}

/// The topic as it is in the log, if a sink can take columns from its schema.
pub(crate) fn find_topic(log: &dyn Log, name: &str) -> Result<Source> {
    let info = log.topic(name)?.ok_or_else(|| Error::UnknownTopic(name.to_owned()))?;
    let shape = match tidegate_schemas::topic(name) {
        Some(known) => Some(known),
        None => registered_shape(log, name)?,
    };
    let shape = shape.ok_or_else(|| {
        let names: Vec<_> = TOPICS.iter().map(|topic| format!("`{}`", topic.name)).collect();
        Error::Refused {
            what: format!("topic `{name}` has no schema a sink could take columns from"),
            remedy: format!(
                "choose one of {}, or a topic whose values have the schema of one of these",
                names.join(", ")
            ),
        }
    })?;
    Ok(Source { shape, info })
}

/// The topic of ours that has the schema which is registered for `name`. Schemas are told by their full names: which of its versions wrote a
/// value is asked for each value.
fn registered_shape(log: &dyn Log, name: &str) -> Result<Option<&'static Topic>> {
    let versions = log.registry().versions(&subject_of_value(name))?;
    let Some(registered) = versions.last().and_then(|(_, schema)| full_name(schema)) else { return Ok(None) };
    Ok(TOPICS.into_iter().find(|topic| full_name(topic.schema).as_ref() == Some(&registered)))
}

fn full_name(schema: &str) -> Option<String> {
    match Schema::parse_str(schema) {
        Ok(Schema::Record(record)) => Some(record.name.fullname(None)),
        _ => None,
    }
}

/// Refuses a topic with fewer partitions than the sink knows. More may be added at any time.
pub(crate) fn check_partitions(topic: &TopicInfo, known: usize) -> Result<()> {
    if known <= topic.partitions as usize {
        return Ok(());
    }
    Err(Error::Refused {
        what: format!(
            "topic `{}` has {} partitions, and the sink has read {known}",
            topic.name, topic.partitions
        ),
        remedy: "it is another topic: start a sink of another name in another place".into(),
    })
}

/// Refuses a topic that was deleted and made again: the sink's offsets are those of the old one. Where no id is kept yet, or the log has none,
/// there is nothing to compare.
pub(crate) fn check_identity(topic: &TopicInfo, kept: Option<&str>, sink: &str) -> Result<()> {
    match (kept, topic.id.as_deref()) {
        (Some(kept), Some(found)) if kept != found => Err(Error::Refused {
            what: format!(
                "topic `{}` was deleted and created again: sink `{sink}` has read the one with id `{kept}`, and this one has id `{found}`",
                topic.name
            ),
            remedy: "start a sink of another name in another place: this one keeps the rows of the old topic"
                .into(),
        }),
        _ => Ok(()),
    }
}

/// Refuses a position outside the log: rows would be missing, or they are of another log.
pub(crate) fn check_position(log: &dyn Log, sink: &str, at: &TopicPartition, position: Offset) -> Result<()> {
    let ends = log.watermarks(at)?;
    if position < ends.low {
        return Err(trimmed(sink, at, position, ends.low));
    }
    if position > ends.high {
        return Err(Error::Refused {
            what: format!(
                "sink `{sink}` stands at `{}`, and `{}` ends at `{}`: it was written from another log",
                at.at(position),
                log.address(),
                ends.high
            ),
            remedy: "name the log it was written from, or start a sink of another name in another place"
                .into(),
        });
    }
    Ok(())
}

/// Records were removed before they were read.
pub(crate) fn trimmed(sink: &str, at: &TopicPartition, position: Offset, low: Offset) -> Error {
    Error::Refused {
        what: format!(
            "records from `{}` on were removed from the log before sink `{sink}` had finished with them, \
             and those that are left begin at `{}`",
            at.at(position),
            at.at(low)
        ),
        remedy: "start a sink of another name in another place, and let the topic keep its records longer than a sink is away"
            .into(),
    }
}
