//! A test driver: the tasks of a topology without a log, a thread or a clock.
//!
//! It builds the topology by the same function production uses and drives the same [`Task`]s the worker drives. Records are
//! piped in one at a time; outputs are read back by topic. Commits, idle time, the end of input and restarts happen when the
//! test says so, so that a test can show that none of them is seen in the output.
//!
//! It is not a broker: transactions always succeed here, and nobody is fenced.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::avro::{Encoder, SchemaCache};
use crate::changelog::History;
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::log::{
    Chunk, Cleanup, Offset, Outgoing, Records, SchemaId, SchemaRegistry, TopicInfo, TopicPartition,
    partition_for, subject_of_value,
};
use crate::processor::Routes;
use crate::task::{ErrorBudget, Input, Phase, Task, TaskParts};
use crate::time::EventTime;
use crate::topology::{Source, SourceKind, TaskEnvironment, Topology};

/// A record a topology wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrivenRecord {
    /// Where to.
    pub partition: TopicPartition,
    /// Its event time.
    pub time: EventTime,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// Drives a topology's tasks in memory.
pub struct TestDriver {
    topology: Topology,
    partitions: u32,
    tasks: Vec<Task>,
    registry: MemoryRegistry,
    schemas: SchemaCache,
    encoders: Vec<Arc<Encoder>>,
    outgoing: Outgoing,
    outputs: BTreeMap<String, Vec<DrivenRecord>>,
    changelogs: Vec<Changelog>,
    /// All that was piped in, by input partition.
    log: BTreeMap<TopicPartition, Records>,
    runs: u64,
    committed: BTreeMap<TopicPartition, Offset>,
    error_budget: Option<ErrorBudget>,
    commit_each: bool,
}

/// A changelog's blocks, and the offset of the first one that is kept.
#[derive(Default)]
struct Changelog {
    low: i64,
    blocks: VecDeque<Vec<u8>>,
}

impl TestDriver {
    /// Every topic has `partitions` partitions. Commits after each record until told otherwise.
    ///
    /// # Errors
    /// If a sink's schema is no schema.
    pub fn new(topology: Topology, partitions: u32) -> Result<TestDriver> {
        let registry = MemoryRegistry::default();
        let mut encoders = Vec::new();
        for sink in topology.sinks() {
            let id = registry.register(&subject_of_value(&sink.topic), &sink.schema)?;
            encoders.push(Arc::new(Encoder::new(id, &sink.schema)?));
        }
        let mut driver = TestDriver {
            topology,
            partitions,
            tasks: Vec::new(),
            registry,
            schemas: SchemaCache::new(),
            encoders,
            outgoing: Outgoing::default(),
            outputs: BTreeMap::new(),
            changelogs: (0..partitions).map(|_| Changelog::default()).collect(),
            log: BTreeMap::new(),
            runs: 0,
            committed: BTreeMap::new(),
            error_budget: None,
            commit_each: true,
        };
        driver.restart()?;
        Ok(driver)
    }

    /// With `false`, commits only when [`commit`](TestDriver::commit) is called.
    pub fn commit_after_each_record(&mut self, on: bool) {
        self.commit_each = on;
    }

    /// `--max-errors`, from the next restart on.
    pub fn set_error_budget(&mut self, budget: ErrorBudget) {
        self.error_budget = Some(budget);
    }

    /// Encodes a value as a producer of `topic` would, registering its schema.
    ///
    /// # Errors
    /// If the schema is none, or the value does not fit it.
    pub fn encode<T: Serialize>(&self, topic: &str, schema: &str, value: &T) -> Result<Vec<u8>> {
        let id = self.registry.register(&subject_of_value(topic), schema)?;
        let mut bytes = Vec::new();
        Encoder::new(id, schema)?.encode(value, &mut bytes)?;
        Ok(bytes)
    }

    /// Writes a record to an input topic, to the partition of its key (a broadcast topic has one), and lets the tasks process it.
    ///
    /// # Errors
    /// If the topology has no such input, or the registry holds a schema that cannot be read.
    pub fn pipe(
        &mut self,
        topic: &str,
        time: EventTime,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<()> {
        self.append(topic, time, key, value)?;
        self.process()?;
        if self.commit_each { self.commit() } else { Ok(()) }
    }

    /// Writes a record as [`pipe`](TestDriver::pipe) does, for the tasks to [`process`](TestDriver::process) later.
    ///
    /// # Errors
    /// If the topology has no such input.
    pub fn append(
        &mut self,
        topic: &str,
        time: EventTime,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<()> {
        let source = self.topology.sources().iter().find(|source| source.topic == topic);
        let source = source.ok_or_else(|| Error::UnknownTopic(topic.to_owned()))?;
        let partitions = if source.kind == SourceKind::Broadcast { 1 } else { self.partitions };
        let partition = key.map_or(0, |key| partition_for(key, partitions));
        let to = TopicPartition::new(topic, partition);
        self.log.entry(to).or_default().push(time, key, value, &[]);
        Ok(())
    }

    /// Moves stream time of every idle task by `elapsed_ms`, as `--idle-close` does.
    ///
    /// # Errors
    /// As [`commit`](TestDriver::commit).
    pub fn idle(&mut self, elapsed_ms: i64) -> Result<()> {
        for task in self.tasks.iter_mut().filter(|task| task.is_idle()) {
            task.idle(elapsed_ms, &mut self.outgoing);
        }
        self.commit()
    }

    /// Ends the input where it is, as `--until-end` does, and commits.
    ///
    /// # Errors
    /// As [`commit`](TestDriver::commit).
    pub fn end_input(&mut self) -> Result<()> {
        self.runs += 1;
        for task in &mut self.tasks {
            let log = &self.log;
            task.begin_bounded(self.runs, |partition| end_of(log, partition));
        }
        self.process()?;
        self.commit()
    }

    /// Lets every task take what it has not fetched yet, as one chunk for each input; commits nothing.
    ///
    /// # Errors
    /// If the registry holds a schema that cannot be read.
    pub fn process(&mut self) -> Result<()> {
        for task in &mut self.tasks {
            let chunks: Vec<Chunk> = task.inputs().iter().map(|input| unread(&self.log, input)).collect();
            for chunk in chunks {
                for id in self.schemas.missing_ids(&chunk) {
                    self.schemas.resolve(id, &self.registry)?;
                }
                task.push(Arc::new(chunk));
            }
            while task.run(&mut self.outgoing, usize::MAX) {}
        }
        Ok(())
    }

    /// Commits every task.
    ///
    /// # Errors
    /// None today; a driver that can be made to fail may come.
    pub fn commit(&mut self) -> Result<()> {
        for task in self.tasks.iter_mut().filter(|task| task.is_dirty()) {
            self.committed.extend(task.prepare_commit(&mut self.outgoing));
            let changelog = &mut self.changelogs[task.number() as usize];
            let first = Offset(changelog.low + changelog.blocks.len() as i64);
            let own = task.changelog_partition();
            for (_, records) in self.outgoing.batches_mut().filter(|(to, _)| **to == own) {
                let blocks = (0..records.len()).filter_map(|index| records.value(index));
                changelog.blocks.extend(blocks.map(<[u8]>::to_vec));
                records.clear();
            }
            if let Some(before) = task.committed(first) {
                while changelog.low < before.offset.0 && changelog.blocks.pop_front().is_some() {
                    changelog.low += 1;
                }
            }
        }
        for (to, records) in self.outgoing.batches() {
            let outputs = self.outputs.entry(to.topic.to_string()).or_default();
            outputs.extend((0..records.len()).map(|index| driven(to, records, index)));
        }
        self.outgoing.clear();
        Ok(())
    }

    /// Ends the process without a commit and starts anew: the tasks come back from their changelogs, and what was not committed
    /// is processed again.
    ///
    /// # Errors
    /// What a restore can meet: a damaged changelog, a task that stopped on its error budget.
    pub fn restart(&mut self) -> Result<()> {
        self.outgoing.clear();
        self.tasks.clear();
        for number in 0..self.partitions {
            let mut task = self.new_task(number)?;
            let changelog = &self.changelogs[number as usize];
            let end = Offset(changelog.low + changelog.blocks.len() as i64);
            task.restore((changelog.low..).map(Offset).zip(changelog.blocks.iter().map(Vec::as_slice)))?;
            task.restored(end, |partition| self.committed.get(partition).copied(), false)?;
            let ends = task.inputs().iter().map(|input| end_of(&self.log, input.partition()));
            let ends: Vec<Offset> = ends.collect();
            task.bootstrap_to(ends.into_iter());
            self.tasks.push(task);
        }
        self.process()
    }

    /// The topics a log would have.
    fn topics(&self) -> Vec<TopicInfo> {
        let sources = self.topology.sources().iter();
        let topic = |source: &Source| TopicInfo {
            name: source.topic.clone(),
            id: None,
            partitions: if source.kind == SourceKind::Broadcast { 1 } else { self.partitions },
            cleanup: Cleanup::Delete,
        };
        sources.map(topic).collect()
    }

    fn new_task(&self, number: u32) -> Result<Task> {
        let app = self.topology.app();
        let sources = self.topology.sources().iter().enumerate();
        let inputs = sources.map(|(source, declared)| {
            let partition = if declared.kind == SourceKind::Broadcast { 0 } else { number };
            Input::new(source, declared.kind, TopicPartition::new(declared.topic.as_str(), partition))
        });
        let environment = TaskEnvironment::new(self.schemas.clone(), self.encoders.clone());
        let sinks = self.topology.sinks().iter();
        let parts = TaskParts {
            app: app.to_owned(),
            routes: Routes {
                partition: number,
                sinks: sinks.map(|sink| (Arc::from(sink.topic.as_str()), self.partitions)).collect(),
                dead_letters: Topology::dead_letters_of(app).into(),
                late: Topology::late_of(app).into(),
                duplicates: Topology::duplicates_of(app).into(),
            },
            inputs: inputs.collect(),
            processor: self.topology.build(&environment)?,
            parameters: self.topology.parameters_line(),
            identity: Identity::of(&self.topology, &self.topics()),
            error_budget: self.error_budget,
            // One driver, one history.
            history: History(0),
        };
        Ok(Task::new(parts, Topology::changelog_of(app).into()))
    }

    /// Takes what has been written to a topic and committed since the last call.
    pub fn read(&mut self, topic: &str) -> Vec<DrivenRecord> {
        self.outputs.remove(topic).unwrap_or_default()
    }

    /// A count over all tasks.
    #[must_use]
    pub fn total(&self, counter: &str) -> u64 {
        self.tasks.iter().map(|task| task.counters().get(counter)).sum()
    }

    /// What each task may do now.
    #[must_use]
    pub fn phases(&self) -> Vec<Phase> {
        self.tasks.iter().map(Task::phase).collect()
    }

    /// How many changelog blocks are kept, over all tasks.
    #[must_use]
    pub fn changelog_blocks(&self) -> usize {
        self.changelogs.iter().map(|changelog| changelog.blocks.len()).sum()
    }

    /// The changelog's blocks of one task, to damage or to lose.
    pub fn changelog_mut(&mut self, task: u32) -> &mut VecDeque<Vec<u8>> {
        &mut self.changelogs[task as usize].blocks
    }
}

fn end_of(log: &BTreeMap<TopicPartition, Records>, partition: &TopicPartition) -> Offset {
    Offset(log.get(partition).map_or(0, Records::len) as i64)
}

/// What an input has not fetched yet, as one chunk.
fn unread(log: &BTreeMap<TopicPartition, Records>, input: &Input) -> Chunk {
    let (partition, from) = (input.partition(), input.fetched());
    let mut records = Records::default();
    if let Some(all) = log.get(partition) {
        for index in usize::try_from(from.0).unwrap_or_default()..all.len() {
            records.push(all.time(index), all.key(index), all.value(index), &[]);
        }
    }
    Chunk::contiguous(partition.clone(), from, from, records, end_of(log, partition))
}

fn driven(to: &TopicPartition, records: &Records, index: usize) -> DrivenRecord {
    let owned = |(name, value): (&str, &[u8])| (name.to_owned(), value.to_vec());
    DrivenRecord {
        partition: to.clone(),
        time: records.time(index),
        key: records.key(index).map(<[u8]>::to_vec),
        value: records.value(index).map(<[u8]>::to_vec),
        headers: records.headers(index).map(owned).collect(),
    }
}

/// A registry in memory: any schema is compatible with any other.
#[derive(Default)]
struct MemoryRegistry(Mutex<Vec<(String, String)>>);

impl SchemaRegistry for MemoryRegistry {
    fn register(&self, subject: &str, schema: &str) -> Result<SchemaId> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.iter().position(|(_, text)| text == schema);
        let at = found.unwrap_or_else(|| {
            known.push((subject.to_owned(), schema.to_owned()));
            known.len() - 1
        });
        Ok(SchemaId(at as u32 + 1))
    }

    fn schema(&self, id: SchemaId) -> Result<Option<String>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = (id.0 as usize).checked_sub(1);
        Ok(at.and_then(|at| known.get(at)).map(|(_, schema)| schema.clone()))
    }

    fn versions(&self, subject: &str) -> Result<Vec<(SchemaId, String)>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let numbered = known.iter().enumerate().filter(|(_, (of, _))| of == subject);
        Ok(numbered.map(|(at, (_, schema))| (SchemaId(at as u32 + 1), schema.clone())).collect())
    }

    fn subjects(&self) -> Result<Vec<String>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut subjects: Vec<String> = known.iter().map(|(subject, _)| subject.clone()).collect();
        subjects.sort();
        subjects.dedup();
        Ok(subjects)
    }
}
