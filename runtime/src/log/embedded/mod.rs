//! The embedded log: one SQLite file, shared by any number of processes on the machine.
//!
//! Not a broker: it speaks no protocol and runs nowhere but in the processes that use it. What it promises beyond the interface:
//!
//! - `kill -9` at any moment loses nothing committed and shows nothing uncommitted; neither does a power cut
//!   (`synchronous=FULL`);
//! - a flipped byte in a stored batch is met as an error with its coordinates, never as a record;
//! - no `database is locked` reaches a user: writers queue at a file lock, of which the kernel is the usher.
//!
//! What breaks it: a network file system (SQLite's shared memory does not work there), another program that writes to the
//! file, and a reader that keeps a transaction open, which keeps the write-ahead log growing: every
//! transaction here is as short as one question.
//!
//! ```text
//! mod (Log) ─┬─ topics, groups, registry, batches     questions and changes, inside a transaction
//!            ├─ producer                              one transaction per commit
//!            └─ consumer ─┬─ member                   lease and handover
//!                         └─ fetch                    positions and chunks
//! home ─ gate (one writer) · view (looking) · database (the file) · bell (waking) · fault (errors)
//! ```

mod batches;
mod bell;
mod consumer;
mod database;
mod fault;
mod fetch;
mod gate;
mod groups;
mod home;
mod member;
mod producer;
mod registry;
mod topics;
mod view;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use self::home::Home;
use self::producer::EmbeddedProducer;
use super::{
    Consumer, GroupInfo, GroupOffsets, Log, Offset, Producer, SchemaId, SchemaRegistry, Subscription,
    TopicInfo, TopicPartition, TopicSpec, Watermarks,
};
use crate::error::Result;
use crate::log::compatibility;
use crate::time::EventTime;

/// The log in one directory. Clones share everything.
#[derive(Clone)]
pub struct EmbeddedLog {
    home: Arc<Home>,
}

impl EmbeddedLog {
    /// Opens the log in `directory`, making both if they are not there.
    ///
    /// # Errors
    /// [`Refused`](crate::Error::Refused) when `log.sqlite3` is another program's file or has another version's format;
    /// [`Storage`](crate::Error::Storage), naming the path, when it cannot be read or written.
    pub fn open(directory: &Path) -> Result<EmbeddedLog> {
        Ok(EmbeddedLog { home: Arc::new(Home::open(directory)?) })
    }

    /// Opens the log that is in `directory` to look at it: nothing there is made, locked or changed, and the right to write it is not
    /// needed. Whatever would write is a [`Defect`](crate::Error::Defect).
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`Refused`](crate::Error::Refused) for a log of an earlier format.
    pub fn look(directory: &Path) -> Result<EmbeddedLog> {
        Ok(EmbeddedLog { home: Arc::new(Home::look(directory)?) })
    }
}

impl Log for EmbeddedLog {
    fn address(&self) -> String {
        self.home.directory.display().to_string()
    }

    fn identity(&self) -> Result<String> {
        self.home.read("read the log's identity", |connection| {
            Ok(connection.query_row("SELECT id FROM identity", [], |row| row.get(0))?)
        })
    }

    fn create_topics(&self, specs: &[TopicSpec]) -> Result<()> {
        self.home.write("create topics", |connection| topics::create(connection, specs))
    }

    fn topics(&self) -> Result<Vec<TopicInfo>> {
        self.home.read("list topics", topics::list)
    }

    fn topic(&self, name: &str) -> Result<Option<TopicInfo>> {
        self.home.read("look up a topic", |connection| topics::find(connection, name))
    }

    fn delete_topic(&self, name: &str) -> Result<()> {
        self.home.write("delete a topic", |connection| topics::delete(connection, name))
    }

    fn watermarks(&self, partition: &TopicPartition) -> Result<Watermarks> {
        let row =
            self.home.read("read watermarks", |connection| batches::partition_row(connection, partition))?;
        Ok(row.marks)
    }

    fn offset_at_time(&self, partition: &TopicPartition, time: EventTime) -> Result<Offset> {
        self.home.read("look up a time", |connection| {
            let row = batches::partition_row(connection, partition)?;
            batches::first_at_time(connection, partition, &row, time)
        })
    }

    fn trim(&self, partition: &TopicPartition, before: Offset) -> Result<()> {
        topics::trim(&self.home, partition, before)
    }

    fn groups(&self) -> Result<Vec<GroupInfo>> {
        self.home.read("list groups", groups::list)
    }

    fn committed(&self, group: &str) -> Result<BTreeMap<TopicPartition, Offset>> {
        self.home.read("read committed offsets", |connection| groups::committed(connection, group))
    }

    fn commit_offsets(&self, group: &str, offsets: &[(TopicPartition, Offset)]) -> Result<()> {
        let offsets = GroupOffsets { group: group.to_owned(), membership: None, offsets: offsets.to_vec() };
        let now_ms = groups::now_ms();
        self.home.write("commit offsets", |connection| groups::commit_offsets(connection, &offsets, now_ms))
    }

    fn delete_group(&self, group: &str) -> Result<()> {
        let now_ms = groups::now_ms();
        self.home.write("delete a group", |connection| groups::delete(connection, group, now_ms))
    }

    fn subscribe(&self, subscription: &Subscription) -> Result<Consumer> {
        consumer::subscribe(&self.home, subscription)
    }

    fn reader(&self, buffer_bytes: usize) -> Result<Consumer> {
        consumer::reader(&self.home, buffer_bytes)
    }

    fn producer(&self, transactional_id: &str) -> Result<Box<dyn Producer>> {
        Ok(Box::new(EmbeddedProducer::open(self.home.clone(), transactional_id)?))
    }

    fn registry(&self) -> &dyn SchemaRegistry {
        self
    }
}

impl SchemaRegistry for EmbeddedLog {
    fn register(&self, subject: &str, schema: &str) -> Result<SchemaId> {
        let normalised = compatibility::normalise(subject, schema)?;
        // Every start of every process registers what is there already: that needs no turn to write.
        let known = self
            .home
            .read("look up a schema", |connection| registry::find(connection, subject, &normalised))?;
        known.map_or_else(
            || {
                self.home.write("register a schema", |connection| {
                    registry::register(connection, subject, schema, &normalised)
                })
            },
            Ok,
        )
    }

    fn schema(&self, id: SchemaId) -> Result<Option<String>> {
        self.home.read("look up a schema", |connection| registry::schema(connection, id))
    }

    fn versions(&self, subject: &str) -> Result<Vec<(SchemaId, String)>> {
        self.home.read("list a subject's versions", |connection| registry::versions(connection, subject))
    }

    fn subjects(&self) -> Result<Vec<String>> {
        self.home.read("list subjects", registry::subjects)
    }
}
