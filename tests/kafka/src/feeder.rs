//! An input, written live and exactly once by a plain client, whatever happens to the broker meanwhile.
//!
//! Rows go out in order, a few per transaction. After a transaction whose outcome is unknown the same transactional id is opened again,
//! which decides it, and the committed records are counted: so many rows are there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::clock::{pass, until};
use crate::input::Fed;
use crate::reader;

/// Longer than the longest outage of a test.
const PATIENCE: Duration = Duration::from_secs(180);

/// Rows of one transaction, at most, of a feed with a pace.
const TRANSACTION_ROWS: usize = 100;

/// A feed that is running; stopped when dropped.
pub struct Feeder {
    fed: Arc<AtomicUsize>,
    allowed: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    rows: usize,
    thread: Option<JoinHandle<()>>,
}

impl Feeder {
    pub fn start(brokers: &str, rows: Vec<Fed>, per_second: usize) -> Feeder {
        let (fed, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (total, allowed) = (rows.len(), Arc::new(AtomicUsize::new(usize::MAX)));
        let feed = Feed {
            brokers: brokers.to_owned(),
            rows,
            per_second,
            fed: fed.clone(),
            allowed: allowed.clone(),
            stop: stop.clone(),
        };
        Feeder { fed, allowed, stop, rows: total, thread: Some(std::thread::spawn(move || feed.run())) }
    }

    /// Stops at so many rows until more are allowed.
    pub fn allow(&self, rows: usize) {
        self.allowed.store(rows, Ordering::Relaxed);
    }

    /// Rows in the log, for sure.
    pub fn fed(&self) -> usize {
        self.fed.load(Ordering::Relaxed)
    }

    /// Waits for so many rows.
    pub fn reach(&self, rows: usize) {
        until("the feed to go on", PATIENCE, || self.fed() >= rows.min(self.rows) || self.has_failed());
    }

    fn has_failed(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished) && self.fed() < self.rows
    }

    /// Waits until all of it is in the log.
    pub fn finish(mut self) {
        self.allow(usize::MAX);
        self.reach(self.rows);
        self.thread.take().unwrap().join().expect("the feed has not failed");
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Writes all rows in few transactions, at once.
pub fn load(brokers: &str, rows: Vec<Fed>) {
    let feed = Feed {
        brokers: brokers.to_owned(),
        rows,
        per_second: usize::MAX,
        fed: Arc::default(),
        allowed: Arc::new(AtomicUsize::new(usize::MAX)),
        stop: Arc::default(),
    };
    feed.run();
}

/// Somebody else's transaction, undecided until it is told. Left alone, the broker ends it after a minute.
pub struct Undecided {
    producer: BaseProducer,
}

impl Undecided {
    pub fn begin(brokers: &str, transactional_id: &str, rows: &[Fed]) -> Undecided {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("transactional.id", transactional_id);
        config.set("message.max.bytes", "2000000");
        let producer: BaseProducer = config.create().unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        producer.begin_transaction().unwrap();
        send(&producer, rows).unwrap();
        Undecided { producer }
    }

    pub fn commit(self) {
        self.producer.commit_transaction(PATIENCE).unwrap();
    }

    pub fn abort(self) {
        // Its delivery reports wait to be heard, or it would refuse.
        self.producer.poll(Duration::ZERO);
        self.producer.abort_transaction(PATIENCE).unwrap();
    }
}

struct Feed {
    brokers: String,
    rows: Vec<Fed>,
    per_second: usize,
    fed: Arc<AtomicUsize>,
    allowed: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Feed {
    fn run(&self) {
        let started = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            let done = self.open().and_then(|(producer, there)| {
                self.fed.store(there, Ordering::Relaxed);
                self.write(&producer, there)
            });
            if done.is_ok() {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "the feed goes on: {done:?}");
        }
    }

    /// Opens the transactional id and finds how many rows are there.
    fn open(&self) -> Result<(BaseProducer, usize), String> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("transactional.id", "the-feeder");
        config.set("transaction.timeout.ms", "5000").set("message.timeout.ms", "5000").set("linger.ms", "0");
        config.set("message.max.bytes", "2000000");
        let producer: BaseProducer = config.create().map_err(text)?;
        producer.init_transactions(Duration::from_secs(20)).map_err(text)?;
        let topics: BTreeSet<&str> = self.rows.iter().map(|row| row.topic.as_str()).collect();
        let mut there = 0;
        for topic in topics {
            there += reader::try_read(&self.brokers, topic)?.len();
        }
        Ok((producer, there))
    }

    fn write(&self, producer: &BaseProducer, there: usize) -> Result<(), String> {
        let mut done = there;
        let mut pace = Pace { per_second: self.per_second, last: Instant::now(), credit_us: 0 };
        while done < self.rows.len() && !self.stop.load(Ordering::Relaxed) {
            let most = self.allowed.load(Ordering::Relaxed).min(self.rows.len());
            let to = done.saturating_add(pace.due()).min(most);
            if to <= done {
                pass(Duration::from_millis(20));
                continue;
            }
            transaction(producer, &self.rows[done..to]).map_err(text)?;
            pace.paid(to - done);
            done = to;
            self.fed.store(done, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// What may be written now: what was not while nothing could be, is not caught up on in one burst.
struct Pace {
    per_second: usize,
    last: Instant,
    /// Rows times the microseconds of a second.
    credit_us: usize,
}

impl Pace {
    fn due(&mut self) -> usize {
        if self.per_second == usize::MAX {
            return usize::MAX;
        }
        let elapsed_us = usize::try_from(self.last.elapsed().as_micros()).unwrap();
        self.last = Instant::now();
        self.credit_us = (self.credit_us + elapsed_us * self.per_second).min(TRANSACTION_ROWS * 1_000_000);
        self.credit_us / 1_000_000
    }

    fn paid(&mut self, rows: usize) {
        self.credit_us = self.credit_us.saturating_sub(rows.saturating_mul(1_000_000));
    }
}

fn transaction(producer: &BaseProducer, rows: &[Fed]) -> Result<(), KafkaError> {
    producer.begin_transaction()?;
    send(producer, rows)?;
    producer.commit_transaction(Duration::from_secs(10))
}

/// Sends and waits until the broker has all of it: a commit with messages in flight would take 100 ms.
fn send(producer: &BaseProducer, rows: &[Fed]) -> Result<(), KafkaError> {
    for row in rows {
        let mut record: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to(&row.topic).partition(row.partition).timestamp(row.time_ms);
        record.key = row.key.as_deref();
        record.payload = row.value.as_deref();
        producer.send(record).map_err(|(error, _)| error)?;
        producer.poll(Duration::ZERO);
    }
    let started = Instant::now();
    while producer.in_flight_count() > 0 && started.elapsed() < Duration::from_secs(10) {
        producer.poll(Duration::from_millis(1));
    }
    Ok(())
}

fn text(error: KafkaError) -> String {
    error.to_string()
}
