//! A test driver: the tasks of a topology without a log, a thread or a clock.
//!
//! It builds tasks by the same function that production uses and drives the same [`Task`]s that the worker drives. Records are
//! piped in one at a time; outputs are read back by topic. Commits, idle time, the end of input and restarts happen when the
//! test says so, so that a test can show that none of them is seen in the output.
//!
//! A test of interleavings works in smaller steps. It writes to partitions ([`append_to`](TestDriver::append_to)), lets tasks fetch some
//! records of a topic ([`fetch`](TestDriver::fetch)), writes more, and lets the tasks go one step ([`step`](TestDriver::step)): only then
//! are the ends of tables asked. [`kill`](TestDriver::kill) and [`reset`](TestDriver::reset) may come at any point.
//!
//! It is not a broker: transactions always succeed here, and nobody is fenced.

mod records;
mod registry;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;

pub use self::records::DrivenRecord;
use self::records::{copy_to, driven, end_of, unread_of};
use self::registry::MemoryRegistry;
use crate::avro::{Encoder, SchemaCache};
use crate::changelog::History;
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::log::{
    Chunk, Cleanup, Offset, Outgoing, Records, SchemaRegistry, TopicInfo, TopicPartition, Watermarks,
    check_sizes, partition_for, subject_of_value,
};
use crate::task::{ErrorBudget, Input, Phase, Task, TaskBuilder, Turn};
use crate::time::EventTime;
use crate::topology::{Source, SourceKind, TaskEnvironment, Topology};

/// Drives a topology's tasks in memory.
pub struct TestDriver {
    topology: Topology,
    partitions: u32,
    /// The partition counts of topics that have another one.
    others: BTreeMap<String, u32>,
    tasks: Vec<Task>,
    registry: MemoryRegistry,
    schemas: SchemaCache,
    encoders: Vec<Arc<Encoder>>,
    outgoing: Outgoing,
    outputs: BTreeMap<String, Vec<DrivenRecord>>,
    changelogs: Vec<Changelog>,
    /// All that was piped in, by input partition, and all that was committed to outputs.
    log: BTreeMap<TopicPartition, Records>,
    runs: u64,
    /// How many questions for the ends of tables were asked.
    rounds: u64,
    resets: u64,
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
    /// Every topic has `partitions` partitions, except for broadcast topics, which have one. Commits after each record until told otherwise.
    ///
    /// # Errors
    /// If a sink's schema is no schema.
    pub fn new(topology: Topology, partitions: u32) -> Result<TestDriver> {
        TestDriver::with_partitions(topology, partitions, &[])
    }

    /// The same, with other partition counts for some broadcast topics or outputs.
    ///
    /// # Errors
    /// As [`new`](TestDriver::new).
    pub fn with_partitions(
        topology: Topology,
        partitions: u32,
        others: &[(&str, u32)],
    ) -> Result<TestDriver> {
        let registry = MemoryRegistry::default();
        let mut encoders = Vec::new();
        for sink in topology.sinks() {
            let id = registry.register(&subject_of_value(&sink.topic), &sink.schema)?;
            encoders.push(Arc::new(Encoder::new(id, &sink.schema)?));
        }
        let mut driver = TestDriver {
            topology,
            partitions,
            others: others.iter().map(|(topic, count)| ((*topic).to_owned(), *count)).collect(),
            tasks: Vec::new(),
            registry,
            schemas: SchemaCache::new(),
            encoders,
            outgoing: Outgoing::default(),
            outputs: BTreeMap::new(),
            changelogs: (0..partitions).map(|_| Changelog::default()).collect(),
            log: BTreeMap::new(),
            runs: 0,
            rounds: 0,
            resets: 0,
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

    /// Writes a record to an input topic, to the partition of its key, and lets the tasks process it.
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
        self.pipe_with_headers(topic, time, key, value, &[])
    }

    /// Writes a record with headers as [`pipe`](TestDriver::pipe) writes one without.
    ///
    /// # Errors
    /// As [`pipe`](TestDriver::pipe).
    pub fn pipe_with_headers(
        &mut self,
        topic: &str,
        time: EventTime,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, &[u8])],
    ) -> Result<()> {
        let to = self.input_of(topic, key);
        self.append_with_headers(&to, time, (key, value), headers)?;
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
        self.append_to(&self.input_of(topic, key), time, key, value)
    }

    /// Writes a record to one partition of an input topic, whatever its key.
    ///
    /// # Errors
    /// If the topology has no such input.
    pub fn append_to(
        &mut self,
        to: &TopicPartition,
        time: EventTime,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<()> {
        self.append_with_headers(to, time, (key, value), &[])
    }

    fn append_with_headers(
        &mut self,
        to: &TopicPartition,
        time: EventTime,
        (key, value): (Option<&[u8]>, Option<&[u8]>),
        headers: &[(&str, &[u8])],
    ) -> Result<()> {
        let is_input = self.topology.sources().iter().any(|source| *source.topic == *to.topic);
        if !is_input || to.partition >= self.partitions_of(&to.topic) {
            return Err(Error::UnknownTopic(to.to_string()));
        }
        self.log.entry(to.clone()).or_default().push(time, key, value, headers);
        Ok(())
    }

    fn input_of(&self, topic: &str, key: Option<&[u8]>) -> TopicPartition {
        TopicPartition::new(topic, key.map_or(0, |key| partition_for(key, self.partitions_of(topic))))
    }

    fn partitions_of(&self, topic: &str) -> u32 {
        let is_broadcast = |source: &Source| source.topic == topic && source.kind == SourceKind::Broadcast;
        let broadcast = self.topology.sources().iter().any(is_broadcast);
        let usual = if broadcast { 1 } else { self.partitions };
        self.others.get(topic).copied().unwrap_or(usual)
    }

    /// Moves stream time of every idle task by `elapsed_ms`, as `--idle-close` does.
    ///
    /// # Errors
    /// As [`commit`](TestDriver::commit).
    pub fn idle(&mut self, elapsed_ms: i64) -> Result<()> {
        for task in self.tasks.iter_mut().filter(|task| task.is_idle()) {
            task.idle(elapsed_ms, &mut self.outgoing);
        }
        self.go_on()?;
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

    /// Lets every task take what it has not fetched yet, as one chunk for each input, and process all of it; commits nothing.
    ///
    /// # Errors
    /// If the registry holds a schema that cannot be read.
    pub fn process(&mut self) -> Result<()> {
        self.fetch_all(|_| true)?;
        self.go_on()
    }

    /// Takes steps until nothing is left that could be done without another record of a stream.
    fn go_on(&mut self) -> Result<()> {
        while self.step(usize::MAX)? || self.wants_table_ends() {}
        Ok(())
    }

    /// Lets every task fetch at most `most` more records of each of its partitions of `topic`. Nothing is processed.
    ///
    /// # Errors
    /// If the registry holds a schema that cannot be read.
    pub fn fetch(&mut self, topic: &str, most: usize) -> Result<()> {
        for task in 0..self.tasks.len() {
            self.fetch_for(task, |input| *input.partition().topic == *topic, most)?;
        }
        Ok(())
    }

    /// Lets every task go on with what it has fetched, as a worker does: the ends of tables are asked, tables are read to these ends, what is
    /// left to do is worked off, at most `parts` parts in each task, and then what was fetched of streams is processed. No stream is fetched,
    /// and nothing is committed. True if parts were left.
    ///
    /// # Errors
    /// If the registry holds a schema that cannot be read.
    pub fn step(&mut self, parts: usize) -> Result<bool> {
        self.ask_for_tables();
        self.fetch_all(|input| input.kind() != SourceKind::Stream)?;
        let mut more = false;
        for task in &mut self.tasks {
            more |= task.run(&mut self.outgoing, Turn { bytes: usize::MAX, parts });
        }
        Ok(more)
    }

    fn wants_table_ends(&self) -> bool {
        self.tasks.iter().any(Task::wants_table_ends)
    }

    fn ask_for_tables(&mut self) {
        self.rounds += 1;
        let (round, log) = (self.rounds, &self.log);
        for task in self.tasks.iter_mut().filter(|task| task.wants_table_ends()) {
            // The answer is there at once, so who was asked need not be kept.
            let _ = task.ask(round).count();
            task.answered(round, |table| end_of(log, table));
        }
    }

    fn fetch_all(&mut self, inputs: impl Fn(&Input) -> bool) -> Result<()> {
        for task in 0..self.tasks.len() {
            self.fetch_for(task, &inputs, usize::MAX)?;
        }
        Ok(())
    }

    fn fetch_for(&mut self, task: usize, inputs: impl Fn(&Input) -> bool, most: usize) -> Result<()> {
        let task = &mut self.tasks[task];
        let unread = task.inputs().iter().filter(|input| inputs(input));
        let chunks: Vec<Chunk> = unread.map(|input| unread_of(&self.log, input, most)).collect();
        push(task, chunks, &self.schemas, &self.registry)
    }

    /// Commits every task.
    ///
    /// # Errors
    /// [`Refused`](Error::Refused) if a task has written a record that no log takes.
    pub fn commit(&mut self) -> Result<()> {
        for task in self.tasks.iter_mut().filter(|task| task.is_dirty()) {
            self.committed.extend(task.prepare_commit(&mut self.outgoing));
            let changelog = &mut self.changelogs[task.number() as usize];
            let first = Offset(changelog.low + changelog.blocks.len() as i64);
            let own = task.changelog_partition();
            for (to, records) in self.outgoing.batches_mut().filter(|(to, _)| **to == own) {
                check_sizes(to, records)?;
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
            check_sizes(to, records)?;
            if self.topology.sinks().iter().any(|sink| *sink.topic == *to.topic) {
                let kept = self.log.entry(to.clone()).or_default();
                (0..records.len()).for_each(|index| copy_to(kept, records, index));
            }
            let outputs = self.outputs.entry(to.topic.to_string()).or_default();
            outputs.extend((0..records.len()).map(|index| driven(to, records, index)));
        }
        self.outgoing.clear();
        Ok(())
    }

    /// Ends the process without a commit and starts anew: the tasks come back from their changelogs, and what was not committed
    /// is processed again, with everything else that they have not fetched yet.
    ///
    /// # Errors
    /// What a restore can meet: a damaged changelog, a task that stopped on its error budget.
    pub fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.process()
    }

    /// Ends the process without a commit and starts anew. Tasks come back from their changelogs, or read their earlier output if this is their
    /// first start; they fetch no input yet.
    ///
    /// # Errors
    /// As [`restart`](TestDriver::restart).
    pub fn kill(&mut self) -> Result<()> {
        self.outgoing.clear();
        self.tasks.clear();
        for number in 0..self.partitions {
            let mut task = self.new_task(number)?;
            let changelog = &self.changelogs[number as usize];
            let end = Offset(changelog.low + changelog.blocks.len() as i64);
            task.restore((changelog.low..).map(Offset).zip(changelog.blocks.iter().map(Vec::as_slice)))?;
            task.restored(end, |partition| self.committed.get(partition).copied(), false)?;
            self.read_earlier_output(&mut task)?;
            self.tasks.push(task);
        }
        Ok(())
    }

    /// Forgets what the application has committed, as `reset` does: offsets, state, time. Outputs stay. The tasks are gone until
    /// [`restart`](TestDriver::restart) or [`kill`](TestDriver::kill), and start for the first time then.
    pub fn reset(&mut self) {
        self.outgoing.clear();
        self.tasks.clear();
        self.committed.clear();
        self.changelogs = (0..self.partitions).map(|_| Changelog::default()).collect();
        self.resets += 1;
    }

    fn read_earlier_output(&self, task: &mut Task) -> Result<()> {
        let of = |input: &Input| Watermarks { low: Offset(0), high: end_of(&self.log, input.partition()) };
        let ends: Vec<Watermarks> = task.earlier_output().iter().map(of).collect();
        task.read_output_to(&ends);
        let unread = task.earlier_output().iter().map(|input| unread_of(&self.log, input, usize::MAX));
        push(task, unread.collect(), &self.schemas, &self.registry)?;
        // It has everything, so it is done with it, and writes nothing.
        task.run(&mut Outgoing::default(), Turn { bytes: usize::MAX, parts: 0 });
        Ok(())
    }

    /// The topics a log would have.
    fn topics(&self) -> Vec<TopicInfo> {
        let topic = |source: &Source| TopicInfo {
            name: source.topic.clone(),
            id: None,
            partitions: self.partitions_of(&source.topic),
            cleanup: Cleanup::Delete,
        };
        self.topology.sources().iter().map(topic).collect()
    }

    fn new_task(&self, number: u32) -> Result<Task> {
        let sinks = self.topology.sinks().iter();
        let sinks: Vec<(Arc<str>, u32)> =
            sinks.map(|sink| (Arc::from(sink.topic.as_str()), self.partitions_of(&sink.topic))).collect();
        let builder = TaskBuilder {
            topology: &self.topology,
            tasks: self.partitions,
            sinks: &sinks,
            parameters: &self.topology.parameters_line(),
            identity: &Identity::of(&self.topology, &self.topics()),
            environment: &TaskEnvironment::new(self.schemas.clone(), self.encoders.clone()),
            error_budget: self.error_budget,
            // One driver, one history until a reset.
            history: History(self.resets),
        };
        builder.build(number, |topic| Ok(self.partitions_of(topic)))
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

fn push(task: &mut Task, chunks: Vec<Chunk>, schemas: &SchemaCache, registry: &MemoryRegistry) -> Result<()> {
    for chunk in chunks {
        for id in schemas.missing_ids(&chunk) {
            schemas.resolve(id, registry)?;
        }
        task.push(Arc::new(chunk));
    }
    Ok(())
}
