//! Tests of the whole operator: the rules' table, Kafka Streams' published cases, and properties against an oracle.

mod kafka;
mod oracle;
mod restore;
mod rules;

use std::sync::Arc;

use super::*;
use crate::error::BadRecord;
use crate::log::{Chunk, Offset, Outgoing, RecordRef, Records, TopicPartition};
use crate::processor::{Context, Counters, Processor, Routes};
use crate::time::{EventTime, StreamTime};

/// Puts the texts of a key's records one behind the other: shows what was counted, and in which order.
struct Chain;

impl Aggregation for Chain {
    type Item<'r> = &'r str;
    type Accumulator = String;

    fn read<'r>(
        &mut self,
        record: &RecordRef<'r>,
        key: &mut Vec<u8>,
    ) -> Result<(EventTime, &'r str), BadRecord> {
        key.extend_from_slice(record.key().unwrap());
        let (time, text) = record.value().unwrap().split_first_chunk().unwrap();
        Ok((EventTime(i64::from_be_bytes(*time)), std::str::from_utf8(text).unwrap()))
    }

    fn add(&self, chain: &mut String, item: &&str) {
        chain.push('+');
        chain.push_str(item);
    }

    fn write(&mut self, window: Window, _key: &[u8], chain: &String, value: &mut Vec<u8>) {
        value.extend_from_slice(format!("{}/{} {chain}", window.start.0, window.end.0).as_bytes());
    }
}

/// A result: key, text, record time.
type Out = (String, String, i64);

/// A late record: key, text, and the headers window, stream-time and lateness-ms.
type Late = (String, String, [String; 3]);

/// A processor with everything a task gives it.
struct Harness<R: Aggregation> {
    processor: WindowedAggregate<R>,
    clock: StreamTime,
    counters: Counters,
    outgoing: Outgoing,
    routes: Routes,
}

impl<R: Aggregation> Harness<R> {
    fn new(windows: TimeWindows, emit: Emit, rules: R) -> Harness<R> {
        let topic = |name: &str| Arc::from(name);
        Harness {
            processor: WindowedAggregate::new(
                "windows",
                WindowOptions { emit, ..WindowOptions::new(windows) },
                rules,
            ),
            clock: StreamTime::default(),
            counters: Counters::default(),
            outgoing: Outgoing::default(),
            routes: Routes {
                partition: 0,
                sinks: vec![(topic("out"), 1)],
                dead_letters: topic("dead"),
                late: topic("late"),
                duplicates: topic("duplicates"),
            },
        }
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut WindowedAggregate<R>, &mut Context<'_>) -> T) -> T {
        let mut context = Context::new(&self.routes, &mut self.clock, &mut self.counters, &mut self.outgoing);
        act(&mut self.processor, &mut context)
    }

    /// One record, whose time in the log is not its event time.
    fn push(&mut self, time: i64, key: Option<&str>, text: &str) -> Result<(), BadRecord> {
        let value = [&time.to_be_bytes(), text.as_bytes()].concat();
        let mut records = Records::default();
        records.push(EventTime(77), key.map(str::as_bytes), Some(&value), &[]);
        let partition = TopicPartition::new("in", 0);
        let chunk = Chunk::contiguous(partition, Offset(0), Offset(0), records, Offset(1));
        self.with(|processor, context| processor.process(0, &chunk.record(0), context))
    }

    fn take_out(&mut self) -> Vec<Out> {
        let mut taken = Vec::new();
        for (to, records) in self.outgoing.batches_mut().filter(|(to, _)| &*to.topic == "out") {
            assert_eq!(to.partition, 0);
            taken.extend((0..records.len()).map(|at| {
                (text(records.key(at).unwrap()), text(records.value(at).unwrap()), records.time(at).0)
            }));
            records.clear();
        }
        taken
    }

    fn take_late(&mut self) -> Vec<Late> {
        let mut taken = Vec::new();
        for (_, records) in self.outgoing.batches_mut().filter(|(to, _)| &*to.topic == "late") {
            taken.extend((0..records.len()).map(|at| {
                let header = |name: &str| text(records.headers(at).get(name).unwrap());
                let headers = [header("window"), header("stream-time"), header("lateness-ms")];
                assert_eq!(records.time(at), EventTime(77));
                (text(records.key(at).unwrap()), text(&records.value(at).unwrap()[8..]), headers)
            }));
            records.clear();
        }
        taken
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What [`Chain`] makes of a window, with the time law 1 gives it.
fn out(key: &str, start: i64, end: i64, chain: &str) -> Out {
    (key.to_owned(), format!("{start}/{end} {chain}"), end - 1)
}
