//! Filling the input topics, once: a topic whose name says what they hold is made when all of it is there.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tidegate_runtime::avro::Encoder;
use tidegate_runtime::log::{Cleanup, Log as _, TopicSpec, partition_for};

use tidegate_schemas::topics::INVOICES;

use super::client;
use super::cluster::Cluster;
use crate::input::{self, Sample};
use crate::progress::Progress;
use crate::work::Work;

/// How a topic that tells what the inputs hold begins.
const HOLDS: &str = "bench-holds.";
/// How long the broker may take to take in what has been sent.
const TAKEN_WITHIN: Duration = Duration::from_secs(120);

/// Makes sure that the cluster's input topics hold this work, and nothing else.
pub(crate) fn fill(cluster: &Cluster, work: &Work, progress: &mut Progress) -> Result<()> {
    // Framed values name their schemas by ids, which a registry that keeps nothing may give out anew.
    let mut ids = String::new();
    for topic in work.job.inputs() {
        let (id, _) = input::register(cluster.log.registry(), topic)?;
        ids.push_str(&format!("-{id}"));
    }
    let marker = format!("{HOLDS}{work}.ids{ids}");
    if markers(cluster)? == [marker.as_str()] {
        return Ok(());
    }
    progress.step(format!("filling `{}`: {} records", work.job.input().name, work.records));
    empty(cluster, work)?;
    write(cluster, work, progress)?;
    check(cluster, work)?;
    mark(cluster, marker)
}

/// What the inputs hold, as it was marked.
fn markers(cluster: &Cluster) -> Result<Vec<String>> {
    let names = cluster.log.topics()?.into_iter().map(|topic| topic.name);
    Ok(names.filter(|name| name.starts_with(HOLDS)).collect())
}

fn mark(cluster: &Cluster, marker: String) -> Result<()> {
    let spec = TopicSpec { name: marker, partitions: 1, cleanup: Cleanup::Delete };
    Ok(cluster.log.create_topics(&[spec])?)
}

/// Makes the input topics anew for records that are written while they are read.
pub(crate) fn empty_for_flow(cluster: &Cluster, work: &Work) -> Result<()> {
    empty(cluster, work)?;
    mark(cluster, format!("{HOLDS}flow"))
}

/// Makes the input topics anew. What somebody else has written into them is never taken away.
fn empty(cluster: &Cluster, work: &Work) -> Result<()> {
    let markers = markers(cluster)?;
    for topic in work.job.inputs() {
        if cluster.given && markers.is_empty() && cluster.log.topic(topic.name)?.is_some() {
            bail!(
                "`{}` on `{}` was not filled by this harness, which would have to empty it; name another cluster, or leave out -b",
                topic.name,
                cluster.brokers
            );
        }
    }
    for marker in &markers {
        cluster.log.delete_topic(marker)?;
    }
    for topic in work.job.inputs() {
        renew(cluster, topic.name, work.partitions_of(topic))?;
    }
    Ok(())
}

/// Makes a topic anew, empty.
pub(crate) fn renew(cluster: &Cluster, name: &str, partitions: u32) -> Result<()> {
    if cluster.log.topic(name)?.is_some() {
        cluster.log.delete_topic(name)?;
    }
    let spec = TopicSpec { name: name.to_owned(), partitions, cleanup: Cleanup::Delete };
    Ok(cluster.log.create_topics(&[spec])?)
}

fn producer(cluster: &Cluster) -> Result<BaseProducer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &cluster.brokers).set("client.id", "bench");
    // In order whatever is sent again; in batches as large as a broker takes.
    config.set("enable.idempotence", "true").set("linger.ms", "20");
    config.set("batch.size", "900000").set("batch.num.messages", "20000");
    config.set("queue.buffering.max.messages", "500000").set("queue.buffering.max.kbytes", "262144");
    config.create().context("could not make a Kafka producer")
}

/// Writes an invoice per number, customer after customer, all in the first window.
pub(crate) fn write_in_one_window(cluster: &Cluster, work: &Work, numbers: Range<u64>) -> Result<()> {
    let producer = producer(cluster)?;
    let (id, schema) = input::register(cluster.log.registry(), &INVOICES)?;
    let encoder = Encoder::new(id, schema)?;
    let last = input::WINDOW_MS.unsigned_abs() - 1;
    let mut value = Vec::new();
    for number in numbers {
        let customer = input::customer(number % work.keys);
        let time_ms = input::time_of((number * last / work.keys).min(last));
        value.clear();
        input::encode_invoice(&encoder, number, &customer, time_ms, &mut value)?;
        send(&producer, work, &Sample { topic: &INVOICES, time_ms, key: &customer, value: &value })?;
    }
    producer.flush(TAKEN_WITHIN).context("the broker did not take the input in time")
}

fn write(cluster: &Cluster, work: &Work, progress: &mut Progress) -> Result<()> {
    let producer = producer(cluster)?;
    let mut written = 0;
    input::generate(work, cluster.log.registry(), &mut |sample| {
        send(&producer, work, sample)?;
        written += 1;
        if written % 50_000 == 0 {
            producer.poll(Duration::ZERO);
            progress.at(written, work.records);
        }
        Ok(())
    })?;
    producer.flush(TAKEN_WITHIN).context("the broker did not take the input in time")
}

fn send(producer: &BaseProducer, work: &Work, sample: &Sample<'_>) -> Result<()> {
    let partition = partition_for(sample.key.as_bytes(), work.partitions_of(sample.topic));
    let mut record = BaseRecord::to(sample.topic.name)
        .partition(i32::try_from(partition)?)
        .timestamp(sample.time_ms)
        .key(sample.key)
        .payload(sample.value);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                producer.poll(Duration::from_millis(5));
                record = again;
            }
            Err((error, _)) => return Err(error).context("could not write the input"),
        }
    }
}

/// A delivery that failed has left a gap at the end.
fn check(cluster: &Cluster, work: &Work) -> Result<()> {
    let asking = client::consumer(&cluster.brokers, "bench", false)?;
    let name = work.job.input().name;
    let there: i64 = client::ends(&asking, name)?.values().sum();
    if u64::try_from(there)? != work.records {
        bail!("`{name}` holds {there} records instead of {}: some were not delivered", work.records);
    }
    Ok(())
}
