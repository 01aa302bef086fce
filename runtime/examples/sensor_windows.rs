//! A topology of one's own, first part: a windowed aggregation.
//!
//! Sensors send temperatures; out come the highest one per sensor and minute, each minute once, when it is over. Run it with
//! `cargo run -p tidegate-runtime --example sensor_windows`.

use std::sync::Arc;

use tidegate_runtime::error::{BadRecord, Reason, Result};
use tidegate_runtime::log::embedded::EmbeddedLog;
use tidegate_runtime::log::{
    Cleanup, Log, Outgoing, RecordRef, TopicPartition, TopicSpec, partition_for, read_range,
};
use tidegate_runtime::time::EventTime;
use tidegate_runtime::topology::{Source, Topology};
use tidegate_runtime::window::{Aggregation, TimeWindows, Window, WindowOptions, WindowedAggregate};
use tidegate_runtime::worker::{self, WorkerOptions};

const PARTITIONS: u32 = 2;

/// The rules: what a record is worth, and what a result looks like. Values are plain text here; `tidegate_runtime::avro`
/// has the coding for topics that others read.
struct Highest;

impl Aggregation for Highest {
    type Item<'r> = i32;
    type Accumulator = Option<i32>;

    fn read<'r>(&mut self, record: &RecordRef<'r>, key: &mut Vec<u8>) -> Result<(EventTime, i32), BadRecord> {
        key.extend_from_slice(record.key().ok_or_else(|| BadRecord::new(Reason::NullKey, "no sensor"))?);
        let text = String::from_utf8_lossy(record.value().unwrap_or_default());
        let celsius =
            text.parse().map_err(|_| BadRecord::new(Reason::Rule, format!("`{text}` is no temperature")))?;
        Ok((record.time(), celsius))
    }

    fn add(&self, highest: &mut Option<i32>, celsius: &i32) {
        *highest = (*highest).max(Some(*celsius));
    }

    fn write(&mut self, window: Window, _key: &[u8], highest: &Option<i32>, value: &mut Vec<u8>) {
        let text = format!("{} to {}: {} °C", window.start, window.end, highest.unwrap_or_default());
        value.extend_from_slice(text.as_bytes());
    }
}

/// What the application reads, keeps and writes. Production, tests and `describe` build it by this one function.
fn topology() -> Result<Topology, Box<dyn std::error::Error>> {
    let windows = TimeWindows::tumbling(60_000, 10_000)?;
    let topology = Topology::new("highest-temperatures", "highest", &["windows"], move |_| {
        Box::new(WindowedAggregate::new("windows", WindowOptions::new(windows), Highest))
    });
    // The schema of the values: text is Avro's string without its frame here, so nothing is checked against it.
    let topology = topology.source(Source::stream("temperatures")).sink("highest", r#""string""#);
    Ok(topology.parameter("size", "60s").parameter("grace", "10s"))
}

/// Writes some temperatures, one of them unreadable, in one transaction.
fn write_input(log: &dyn Log) -> Result<()> {
    let topic: Arc<str> = "temperatures".into();
    let mut outgoing = Outgoing::default();
    for (time_ms, sensor, celsius) in [
        (1_000, "cellar", "12"),
        (2_000, "attic", "31"),
        (59_999, "attic", "35"),
        (60_000, "attic", "29"),
        (55_000, "cellar", "14"), // out of order, within the grace
        (61_000, "cellar", "cold"),
        (130_000, "cellar", "11"),
        (135_000, "attic", "28"),
    ] {
        let partition = partition_for(sensor.as_bytes(), PARTITIONS);
        let to = outgoing.partition(&topic, partition);
        to.push(EventTime(time_ms), Some(sensor.as_bytes()), Some(celsius.as_bytes()), &[]);
    }
    let mut producer = log.producer("example-input")?;
    producer.send(&mut outgoing)?;
    producer.commit(None)?;
    Ok(())
}

/// Everything in a topic, as `key value` lines.
async fn read_all(log: &dyn Log, topic: &str) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for partition in (0..PARTITIONS).map(|number| TopicPartition::new(topic, number)) {
        let ends = log.watermarks(&partition)?;
        read_range(log, &partition, ends.low, ends.high, |chunk| {
            lines.extend(chunk.records().map(|record| {
                let text =
                    |part: Option<&[u8]>| String::from_utf8_lossy(part.unwrap_or_default()).into_owned();
                format!("{} {}", text(record.key()), text(record.value()))
            }));
            Result::Ok(())
        })
        .await?;
    }
    lines.sort();
    Ok(lines)
}

async fn example() -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(directory.path())?);
    let topic =
        |name: &str| TopicSpec { name: name.into(), partitions: PARTITIONS, cleanup: Cleanup::Delete };
    log.create_topics(&[topic("temperatures"), topic("highest")])?;
    write_input(log.as_ref())?;

    // Until the end of what is there; a service leaves `until_end` off and gives the future that ends it.
    let options = WorkerOptions { until_end: true, ..WorkerOptions::default() };
    worker::run(log.clone(), &topology()?, options, std::future::pending()).await?;

    let mut lines = read_all(log.as_ref(), "highest").await?;
    let dead = read_all(log.as_ref(), &Topology::dead_letters_of("highest-temperatures")).await?;
    lines.extend(dead.into_iter().map(|line| format!("dead letter: {line}")));
    Ok(lines)
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "an example shows what it does")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    for line in example().await? {
        println!("{line}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn it_gives_what_it_says() {
        let minute = |from: &str, to: &str| format!("1970-01-01T{from}.000Z to 1970-01-01T{to}.000Z");
        let lines = super::example().await.unwrap();
        let expected = [
            format!("attic {}: 35 °C", minute("00:00:00", "00:01:00")),
            format!("attic {}: 29 °C", minute("00:01:00", "00:02:00")),
            format!("attic {}: 28 °C", minute("00:02:00", "00:03:00")),
            format!("cellar {}: 14 °C", minute("00:00:00", "00:01:00")),
            format!("cellar {}: 11 °C", minute("00:02:00", "00:03:00")),
            "dead letter: cellar cold".to_owned(),
        ];
        assert_eq!(lines, expected);
    }
}
