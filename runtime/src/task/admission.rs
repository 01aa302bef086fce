//! The checks of a record that need no decoding: its size, and that it stands in the partition of its key.
//!
//! Guarantees: a record of a stream or a table whose key murmur2 puts elsewhere changes no state and no time; it is a bad record (law 14).
//! Two tasks would else each keep a part of what belongs to the key, and both would be wrong. A record without a key passes: whether it
//! needs one is the processor's rule. Broadcast tables are read whole, so it does not matter where their records stand.

use std::fmt;

use crate::error::{BadRecord, Reason};
use crate::log::{Coordinates, RecordRef, partition_for};
use crate::processor::{Context, VALUE_MAX_BYTES};
use crate::quote::quoted;
use crate::topology::SourceKind;

/// The count of such records, beside `dead-letters`, which counts them too.
const WRONG_PARTITION: &str = "wrong-partition";

/// What to tell the authors of producers: librdkafka's name for the choice that Java's client makes by default.
const SETTING: &str = "partitioner=murmur2_random";

/// Checks the records of one task.
pub(super) struct Admission {
    /// How many partitions each of its streams and tables has.
    tasks: u32,
    /// The first record that stood elsewhere, until it is taken.
    first: Option<Misplaced>,
    found: bool,
}

impl Admission {
    pub(super) fn new(tasks: u32) -> Admission {
        Admission { tasks, first: None, found: false }
    }

    /// What is wrong with `record`, size first: nothing else of a record that is too large is looked into.
    #[inline]
    pub(super) fn check(
        &mut self,
        kind: SourceKind,
        record: &RecordRef<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), BadRecord> {
        let length = record.value().map_or(0, <[u8]>::len);
        if length > VALUE_MAX_BYTES {
            let message = format!("its value has {length} bytes, more than {VALUE_MAX_BYTES}");
            return Err(BadRecord::new(Reason::TooLarge, message));
        }
        let Some(key) = record.key().filter(|_| kind != SourceKind::Broadcast) else { return Ok(()) };
        let home = partition_for(key, self.tasks);
        if home == record.partition().partition {
            return Ok(());
        }
        context.count(WRONG_PARTITION);
        Err(self.misplaced(record, key, home))
    }

    pub(super) fn take_first(&mut self) -> Option<Misplaced> {
        self.first.take()
    }

    #[cold]
    fn misplaced(&mut self, record: &RecordRef<'_>, key: &[u8], home: u32) -> BadRecord {
        let tasks = self.tasks;
        if !self.found {
            self.found = true;
            let at = record.partition().at(record.offset());
            self.first = Some(Misplaced { at, key: quoted(key).to_string(), home, tasks });
        }
        let message = format!(
            "its key belongs in partition {home} of {tasks} by murmur2; set `{SETTING}` in the producer, or the like in its language"
        );
        BadRecord::new(Reason::WrongPartition, message)
    }
}

/// A record that stands in another partition than its key's, as it is told to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misplaced {
    at: Coordinates,
    key: String,
    home: u32,
    tasks: u32,
}

impl fmt::Display for Misplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Misplaced { at, key, home, tasks } = self;
        write!(
            f,
            "{at}: key {key} belongs in partition {home} of {tasks} by murmur2: a dead letter (wrong-partition), and so is every record \
             like it; set `{SETTING}` in the producer, or the like in its language"
        )
    }
}
