//! A topology that counts the readings which are judged without what was committed before them. The tests of every home use it.

use std::sync::Arc;

use tidegate_runtime::BadRecord;
use tidegate_runtime::log::{Cleanup, Log, Outgoing, Producer, RecordRef, TopicSpec, partition_for};
use tidegate_runtime::processor::{Context, Processor};
use tidegate_runtime::store::{KeyValueStore, Store};
use tidegate_runtime::time::EventTime;
use tidegate_runtime::topology::{Source, Topology};

pub(crate) const PARTITIONS: u32 = 2;

/// Keeps the greatest number of each key in both tables; a reading's value is the number that both have reached before it is written.
struct Judge {
    numbers: [KeyValueStore<Vec<u8>, u64>; 2],
}

fn number(record: &RecordRef<'_>) -> u64 {
    u64::from_be_bytes(record.value().unwrap().try_into().unwrap())
}

impl Processor for Judge {
    fn process(
        &mut self,
        source: usize,
        record: &RecordRef<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), BadRecord> {
        let key = record.key().unwrap().to_vec();
        if let Some(table) = self.numbers.get_mut(source) {
            let reached = table.get(&key).copied().unwrap_or_default();
            table.put(key, reached.max(number(record)));
            return Ok(());
        }
        context.observe(record.time());
        context.count("judged");
        for table in &self.numbers {
            if table.get(&key).is_none_or(|reached| *reached < number(record)) {
                context.count("missed");
            }
        }
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn Store> {
        self.numbers.iter_mut().map(|table| table as &mut dyn Store).collect()
    }
}

pub(crate) fn judging() -> Topology {
    let judge = |_: &_| {
        Box::new(Judge { numbers: ["owners", "limits"].map(KeyValueStore::new) }) as Box<dyn Processor>
    };
    Topology::new("judge", "judge", &["owners", "limits"], judge)
        .source(Source::table("owners"))
        .source(Source::broadcast("limits"))
        .source(Source::stream("readings"))
        .sink("results", r#""bytes""#)
}

pub(crate) fn write(producer: &mut dyn Producer, topic: &str, key: &[u8], time: i64, number: u64) {
    let mut outgoing = Outgoing::default();
    let partition = partition_for(key, PARTITIONS);
    let value = number.to_be_bytes();
    outgoing.partition(&Arc::from(topic), partition).push(EventTime(time), Some(key), Some(&value), &[]);
    producer.send(&mut outgoing).unwrap();
    producer.commit(None).unwrap();
}

pub(crate) fn create_topics(log: &dyn Log) {
    let spec =
        |name: &str| TopicSpec { name: name.to_owned(), partitions: PARTITIONS, cleanup: Cleanup::Delete };
    log.create_topics(&["owners", "limits", "readings", "results"].map(spec)).unwrap();
}

/// A transaction for each record, as fast as it goes: for each number a change in each table, and then the reading that needs both.
pub(crate) fn write_in_turn(producer: &mut dyn Producer, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let time = 1_000 + 10 * i64::try_from(number).unwrap();
        let key = [b'a' + (number % 7) as u8];
        write(producer, "owners", &key, time, number);
        write(producer, "limits", &key, time, number);
        write(producer, "readings", &key, time + 1, number);
    }
}
