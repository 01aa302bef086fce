//! Invoices in real time: so many a second, their event time the clock's, and for every window the moment in which the broker had
//! taken in the record that closes it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use tidegate_runtime::log::{Log as _, partition_for};
use tidegate_schemas::topics::INVOICES;

use super::cluster::Cluster;
use crate::input::{self, WINDOW_MS};

/// Between two looks at the clock.
const BREATH: Duration = Duration::from_micros(500);
const TAKEN_WITHIN: Duration = Duration::from_secs(60);

/// Of a record that closes no window; others are marked with their window's number, from 1.
const UNMARKED: usize = 0;

/// A window of a partition, by its start.
pub(crate) type Closing = (u32, i64);

/// What is written, and how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    pub(crate) rate: u64,
    pub(crate) keys: u64,
    pub(crate) partitions: u32,
    pub(crate) length: Duration,
}

/// What was written.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Count and amount per window start and customer.
    pub(crate) totals: HashMap<(i64, u64), (i64, i64)>,
    /// When the broker had the record that closes a window.
    pub(crate) closed: HashMap<Closing, Instant>,
    pub(crate) records: u64,
}

/// Writes until the time is up.
pub(crate) fn write(cluster: &Cluster, flow: &Flow) -> Result<Written> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &cluster.brokers).set("client.id", "bench");
    config.set("enable.idempotence", "true").set("linger.ms", "1");
    let acknowledged = Acknowledged::default();
    let producer = ThreadedProducer::from_config_and_context(&config, acknowledged.clone())
        .context("could not make a Kafka producer")?;
    let (id, schema) = input::register(cluster.log.registry(), &INVOICES)?;
    let encoder = tidegate_runtime::avro::Encoder::new(id, schema)?;
    let customers = Customers::new(flow);
    let mut written = Written::default();
    let mut latest: Vec<Option<i64>> = vec![None; flow.partitions as usize];
    let (mut value, mut closings): (_, Vec<Closing>) = (Vec::new(), Vec::new());
    let (started, epoch_ms) = (Instant::now(), jiff::Timestamp::now().as_millisecond());
    while started.elapsed() < flow.length {
        let elapsed = started.elapsed();
        let due = u64::try_from(elapsed.as_micros())? * flow.rate / 1_000_000;
        let time_ms = epoch_ms + i64::try_from(elapsed.as_millis())?;
        while written.records < due {
            let customer = input::scattered(written.records) % flow.keys;
            let amount = input::amount_of(written.records);
            let (id, partition) = customers.get(customer);
            value.clear();
            input::encode_invoice(&encoder, written.records, id, time_ms, &mut value)?;
            let window = time_ms - time_ms.rem_euclid(WINDOW_MS);
            let before = latest[partition as usize].replace(window);
            let mark = match before.filter(|before| *before < window) {
                Some(closed) => {
                    closings.push((partition, closed));
                    closings.len()
                }
                None => UNMARKED,
            };
            send(&producer, partition, time_ms, id, &value, mark)?;
            let total = written.totals.entry((window, customer)).or_default();
            *total = (total.0 + 1, total.1 + amount);
            written.records += 1;
        }
        std::thread::sleep(BREATH);
    }
    producer.flush(TAKEN_WITHIN).context("the broker did not take the input in time")?;
    let mut kept = acknowledged.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(failure) = kept.failure.take() {
        bail!("a record was not delivered: {failure}");
    }
    written.closed = kept.taken_in.drain(..).map(|(mark, at)| (closings[mark - 1], at)).collect();
    Ok(written)
}

/// Ids and partitions are made once: a second is short.
struct Customers(Vec<(String, u32)>);

impl Customers {
    fn new(flow: &Flow) -> Customers {
        let one = |number| {
            let id = input::customer(number);
            let partition = partition_for(id.as_bytes(), flow.partitions);
            (id, partition)
        };
        Customers((0..flow.keys).map(one).collect())
    }

    fn get(&self, number: u64) -> (&str, u32) {
        let (id, partition) = &self.0[usize::try_from(number).unwrap_or(usize::MAX)];
        (id, *partition)
    }
}

fn send(
    producer: &ThreadedProducer<Acknowledged>,
    partition: u32,
    time_ms: i64,
    key: &str,
    value: &[u8],
    mark: usize,
) -> Result<()> {
    let record = BaseRecord::with_opaque_to(INVOICES.name, mark)
        .partition(i32::try_from(partition)?)
        .timestamp(time_ms)
        .key(key)
        .payload(value);
    producer.send(record).map_err(|(error, _)| error).context("could not write the input")
}

/// Learns when the broker has what.
#[derive(Clone, Default)]
struct Acknowledged(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    /// Marks of records that close a window, and when the broker had them.
    taken_in: Vec<(usize, Instant)>,
    failure: Option<String>,
}

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, mark: usize) {
        let now = Instant::now();
        if mark == UNMARKED && result.is_ok() {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(_) => kept.taken_in.push((mark, now)),
            Err((error, _)) => {
                kept.failure.get_or_insert_with(|| error.to_string());
            }
        }
    }
}
