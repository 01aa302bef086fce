//! A task around the join: inputs with positions, steps, commits, kills, restarts and resets.

use std::collections::{BTreeMap, BTreeSet};

use super::{DAY, Fined, Fines, READINGS, Reading, Registered, TABLES, Told, bytes_of};
use crate::join::remembered::Standing;
use crate::join::{AsOfJoin, JoinOptions, OutcomeId, OutcomeState};
use crate::log::{Chunk, Offset, Outgoing, Records, TopicPartition};
use crate::processor::{Context, Counters, Processor, Routes};
use crate::store::{Entries, SHARDS, shard_of};
use crate::time::{EventTime, StreamTime};

/// What has been committed to the inputs.
#[derive(Clone, Debug, Default)]
pub(super) struct Inputs {
    pub(super) readings: Vec<Reading>,
    /// In the order of [`TABLES`].
    pub(super) tables: [Vec<Registered>; 3],
}

impl Inputs {
    pub(super) fn len(&self, input: usize) -> usize {
        match input {
            READINGS => self.readings.len(),
            table => self.tables[table - 1].len(),
        }
    }
}

/// What readers of the topics see.
#[derive(Clone, Debug, Default)]
pub(super) struct Output {
    pub(super) events: Vec<Told>,
    /// Registrations by input and offset, with their kinds.
    pub(super) late: BTreeMap<(usize, usize), String>,
    /// Readings by offset.
    pub(super) too_old: Vec<usize>,
    pub(super) duplicates: Vec<usize>,
    pub(super) reused: Vec<usize>,
    pub(super) unidentified: Vec<usize>,
    /// Keys and values of all dead letters.
    pub(super) dead: Vec<(Vec<u8>, Vec<u8>)>,
    /// Ids that were remembered at some time.
    pub(super) remembered: BTreeSet<OutcomeId>,
}

impl Output {
    /// The last event of each id, without the voided ones.
    pub(super) fn in_force(&self) -> BTreeMap<OutcomeId, Fined> {
        let mut found = BTreeMap::new();
        for told in &self.events {
            match told.state {
                OutcomeState::Voided => found.remove(&told.reading.id()),
                _ => found.insert(told.reading.id(), told.fined.clone()),
            };
        }
        found
    }
}

#[derive(Clone, Default)]
struct Kept(Vec<(Vec<u8>, Option<Vec<u8>>)>);

impl Entries for Kept {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.0.push((key.to_vec(), Some(value.to_vec())));
    }
    fn delete(&mut self, key: &[u8]) {
        self.0.push((key.to_vec(), None));
    }
}

/// What a changelog holds: per store, deltas, and per shard the newest snapshot with the number of deltas it replaces.
#[derive(Clone, Default)]
struct StoreLog {
    deltas: Vec<Kept>,
    snapshots: Vec<Option<(usize, Kept)>>,
}

#[derive(Clone, Default)]
struct Progress {
    clock: StreamTime,
    counters: Counters,
    positions: [usize; 4],
    remembered: BTreeSet<OutcomeId>,
}

/// A task. What is in `running` and `now` since the last commit is lost by a kill.
pub(super) struct Task {
    options: JoinOptions,
    pub(super) running: AsOfJoin<Fines>,
    routes: Routes,
    outgoing: Outgoing,
    now: Progress,
    committed: Progress,
    changelog: Vec<StoreLog>,
    pub(super) output: Output,
}

impl Task {
    /// `hold_for` in days.
    pub(super) fn new(hold_for: i64) -> Task {
        let options = JoinOptions { hold_for_ms: hold_for * DAY, ..JoinOptions::default() };
        let routes = Routes {
            partition: 0,
            sinks: vec![("fines".into(), 1)],
            dead_letters: "dead".into(),
            late: "late".into(),
            duplicates: "duplicates".into(),
        };
        let mut running = AsOfJoin::new(Fines, options);
        let changelog = running.stores().iter().map(|_| StoreLog::default()).collect();
        let (outgoing, now, committed, output) = Default::default();
        Task { options, running, routes, outgoing, now, committed, changelog, output }
    }

    pub(super) fn position(&self, input: usize) -> usize {
        self.now.positions[input]
    }

    pub(super) fn count(&self, name: &str) -> u64 {
        self.now.counters.get(name)
    }

    pub(super) fn entries_of(&mut self, store: &str) -> usize {
        let stores = self.running.stores();
        stores.iter().find(|known| known.name() == store).map_or(0, |store| store.count_entries())
    }

    pub(super) fn set_part(&mut self, records: usize) {
        self.running.part_records = records;
    }

    /// Reads a table to `end`.
    pub(super) fn read_table(&mut self, inputs: &Inputs, table: usize, end: usize) {
        for offset in self.position(table)..end {
            let Registered { key, from, value } = &inputs.tables[table - 1][offset];
            let (source, topic, partition) =
                if table == TABLES[2] { (1, "wagons", 0) } else { (0, "gates", table as u32 - 1) };
            let value = serde_json::to_vec(&(from, value)).unwrap();
            self.feed(source, &TopicPartition::new(topic, partition), offset, *key, *from, &value);
            self.now.positions[table] = offset + 1;
        }
    }

    /// Takes the next reading.
    pub(super) fn take(&mut self, inputs: &Inputs) {
        let offset = self.position(READINGS);
        let reading = &inputs.readings[offset];
        let value = serde_json::to_vec(reading).unwrap();
        let partition = TopicPartition::new("readings", 0);
        self.feed(2, &partition, offset, reading.tag, reading.time, &value);
        self.now.positions[READINGS] = offset + 1;
        self.note_remembered();
    }

    pub(super) fn feed(
        &mut self,
        source: usize,
        from: &TopicPartition,
        offset: usize,
        key: char,
        days: i64,
        value: &[u8],
    ) {
        let mut records = Records::default();
        records.push(EventTime(days * DAY), Some(&bytes_of(key)), Some(value), &[]);
        let offset = Offset(offset as i64);
        let chunk = Chunk::contiguous(from.clone(), offset, offset, records, offset.next());
        let now = &mut self.now;
        let mut context = Context::new(&self.routes, &mut now.clock, &mut now.counters, &mut self.outgoing);
        if let Err(bad) = self.running.process(source, &chunk.record(0), &mut context) {
            context.dead_letter(&(&chunk.record(0)).into(), &bad);
        }
    }

    /// Does one part of what is left: true if there is more.
    pub(super) fn work_off(&mut self) -> bool {
        let now = &mut self.now;
        let mut context = Context::new(&self.routes, &mut now.clock, &mut now.counters, &mut self.outgoing);
        self.running.work_off(&mut context)
    }

    /// Idle time passes.
    pub(super) fn idle_until(&mut self, days: i64) {
        let now = &mut self.now;
        now.clock.observe(EventTime(days * DAY));
        let mut context = Context::new(&self.routes, &mut now.clock, &mut now.counters, &mut self.outgoing);
        self.running.time_moved(&mut context);
    }

    fn note_remembered(&mut self) {
        self.now.remembered.extend(self.running.remembered.iter().map(|((_, id), _)| *id));
    }

    /// A step without limits: the tables to their ends, all that is left, then all readings; and a commit.
    pub(super) fn step(&mut self, inputs: &Inputs) {
        for table in TABLES {
            self.read_table(inputs, table, inputs.len(table));
        }
        while self.position(READINGS) < inputs.len(READINGS) {
            while self.work_off() {}
            self.take(inputs);
        }
        while self.work_off() {}
        self.commit();
    }

    /// How many events and how many bytes were written since the last commit.
    pub(super) fn uncommitted(&self) -> (usize, usize) {
        let events = self.outgoing.batches().filter(|(to, _)| *to.topic == *"fines");
        (events.map(|(_, records)| records.len()).sum(), self.outgoing.size_bytes())
    }

    /// Writes the output and what changed of the state, with one shard's snapshot.
    pub(super) fn commit(&mut self) {
        for (store, log) in self.running.stores().into_iter().zip(&mut self.changelog) {
            let mut delta = Kept::default();
            store.drain_changes(&mut delta);
            log.deltas.push(delta);
            let shard = log.deltas.len() as u32 % SHARDS;
            let mut snapshot = Kept::default();
            store.snapshot(shard, &mut snapshot);
            log.snapshots.resize_with(SHARDS as usize, || None);
            log.snapshots[shard as usize] = Some((log.deltas.len(), snapshot));
        }
        self.committed = self.now.clone();
        self.output.remembered.clone_from(&self.now.remembered);
        let outgoing = std::mem::take(&mut self.outgoing);
        for (to, records) in outgoing.batches() {
            for index in 0..records.len() {
                self.publish(&to.topic, records, index);
            }
        }
    }

    fn publish(&mut self, topic: &str, records: &Records, index: usize) {
        let output = &mut self.output;
        if topic == "fines" {
            output.events.push(serde_json::from_slice(records.value(index).unwrap()).unwrap());
            return;
        }
        let header =
            |name| records.headers(index).get(name).map(|value| String::from_utf8(value.to_vec()).unwrap());
        let origin = header("origin").unwrap();
        let (partition, offset) = origin.split_once('@').unwrap();
        let offset: usize = offset.parse().unwrap();
        let input =
            ["readings[0]", "gates[0]", "gates[1]", "wagons[0]"].iter().position(|at| *at == partition);
        match (topic, header("kind")) {
            _ if topic == "dead" => {
                let [key, value] =
                    [records.key(index), records.value(index)].map(|part| part.unwrap().to_vec());
                output.dead.push((key, value));
                match header("reason").as_deref() {
                    Some("id-reused") => output.reused.push(offset),
                    Some("unidentified") => output.unidentified.push(offset),
                    _ => {}
                }
            }
            ("duplicates", ..) => output.duplicates.push(offset),
            ("late", None) => output.too_old.push(offset),
            ("late", Some(kind)) => drop(output.late.insert((input.unwrap(), offset), kind)),
            other => panic!("{other:?}"),
        }
    }

    /// Drops what was not committed and brings the state back: per shard the newest snapshot, then the deltas after it.
    pub(super) fn kill(&mut self) {
        let part = self.running.part_records;
        self.outgoing.clear();
        self.now = self.committed.clone();
        self.running = AsOfJoin::new(Fines, self.options);
        self.running.part_records = part;
        for (store, log) in self.running.stores().into_iter().zip(&self.changelog) {
            for shard in 0..SHARDS {
                let (replaced, snapshot) = match log.snapshots.get(shard as usize) {
                    Some(Some((replaced, snapshot))) => (*replaced, snapshot.0.as_slice()),
                    _ => (0, [].as_slice()),
                };
                store.clear(shard);
                let later = log.deltas[replaced..].iter().flat_map(|delta| &delta.0);
                for (key, value) in snapshot.iter().chain(later.filter(|(key, _)| shard_of(key) == shard)) {
                    store.load(key, value.as_deref()).unwrap();
                }
            }
        }
    }

    /// Clears everything but the fines, and starts for the first time again: reads what is in force in the output.
    pub(super) fn reset(&mut self) {
        let events = std::mem::take(&mut self.output.events);
        let part = self.running.part_records;
        *self = Task::new(self.options.hold_for_ms / DAY);
        self.running.part_records = part;
        let mut records = Records::default();
        for told in &events {
            records.push(EventTime(0), None, Some(&serde_json::to_vec(told).unwrap()), &[]);
        }
        let end = Offset(records.len() as i64);
        let partition = TopicPartition::new("fines", 0);
        let chunk = Chunk::contiguous(partition, Offset(0), Offset(0), records, end);
        for record in chunk.records() {
            self.running.take_earlier_output(0, &record).unwrap();
        }
        self.output.events = events;
        self.commit();
    }

    /// Remembered ids with the reading and how it stands: with an outcome, with none, or waiting.
    pub(super) fn remembered(&self) -> Vec<(Reading, Option<Option<Fined>>)> {
        let stands = self.running.remembered.iter().map(|(_, known)| {
            let standing = match known.standing {
                Standing::Issued | Standing::Ignored => Some(known.in_force.clone()),
                Standing::Held(_) | Standing::Unidentified(_) => None,
            };
            (known.item.item.clone(), standing)
        });
        stands.collect()
    }

    /// The days of what is held.
    pub(super) fn held(&self) -> Vec<i64> {
        self.running.held().map(|held| held.item.time.0 / DAY).collect()
    }
}
