//! A log that fails when told to: the test double behind the [`Log`] interface.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_runtime::log::{
    Consumer, GroupInfo, GroupOffsets, Log, Offset, Outgoing, Producer, Receipt, SchemaId, SchemaRegistry,
    Subscription, TopicInfo, TopicPartition, TopicSpec, Watermarks,
};
use tidegate_runtime::time::EventTime;
use tidegate_runtime::{Error, Result};

/// What happens to a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It happens, and the answer is lost.
    AnswerLost,
    /// It does not happen, and nobody can know.
    RequestLost,
    /// It does not happen, and may be tried again.
    Transient,
}

/// Every `each`-th commit meets `fault`.
pub(crate) struct FaultyLog {
    pub(crate) inner: Arc<dyn Log>,
    pub(crate) fault: Fault,
    pub(crate) each: u64,
    pub(crate) commits: Arc<AtomicU64>,
    pub(crate) faults: Arc<AtomicU64>,
}

struct FaultyProducer {
    inner: Box<dyn Producer>,
    fault: Fault,
    each: u64,
    commits: Arc<AtomicU64>,
    faults: Arc<AtomicU64>,
    /// After an unknown outcome a producer must not be used again.
    spent: bool,
}

impl Producer for FaultyProducer {
    fn send(&mut self, outgoing: &mut Outgoing) -> Result<()> {
        assert!(!self.spent, "a producer was used after an unknown outcome");
        self.inner.send(outgoing)
    }

    fn commit(&mut self, offsets: Option<&GroupOffsets>) -> Result<Receipt> {
        assert!(!self.spent, "a producer was used after an unknown outcome");
        let number = self.commits.fetch_add(1, Ordering::SeqCst) + 1;
        if !number.is_multiple_of(self.each) {
            return self.inner.commit(offsets);
        }
        self.faults.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Fault::AnswerLost => {
                self.inner.commit(offsets)?;
            }
            Fault::RequestLost => self.inner.abort()?,
            Fault::Transient => {
                self.inner.abort()?;
                return Err(Error::Transient { what: "a passing fault".to_owned(), cause: "test".into() });
            }
        }
        self.spent = true;
        Err(Error::UnknownOutcome { transactional_id: "test".to_owned(), cause: "test".into() })
    }

    fn abort(&mut self) -> Result<()> {
        self.inner.abort()
    }
}

impl Log for FaultyLog {
    fn producer(&self, transactional_id: &str) -> Result<Box<dyn Producer>> {
        Ok(Box::new(FaultyProducer {
            inner: self.inner.producer(transactional_id)?,
            fault: self.fault,
            each: self.each,
            commits: self.commits.clone(),
            faults: self.faults.clone(),
            spent: false,
        }))
    }

    fn address(&self) -> String {
        self.inner.address()
    }
    fn identity(&self) -> Result<String> {
        self.inner.identity()
    }
    fn create_topics(&self, specs: &[TopicSpec]) -> Result<()> {
        self.inner.create_topics(specs)
    }
    fn topics(&self) -> Result<Vec<TopicInfo>> {
        self.inner.topics()
    }
    fn delete_topic(&self, name: &str) -> Result<()> {
        self.inner.delete_topic(name)
    }
    fn watermarks(&self, partition: &TopicPartition) -> Result<Watermarks> {
        self.inner.watermarks(partition)
    }
    fn offset_at_time(&self, partition: &TopicPartition, time: EventTime) -> Result<Offset> {
        self.inner.offset_at_time(partition, time)
    }
    fn trim(&self, partition: &TopicPartition, before: Offset) -> Result<()> {
        self.inner.trim(partition, before)
    }
    fn groups(&self) -> Result<Vec<GroupInfo>> {
        self.inner.groups()
    }
    fn committed(&self, group: &str) -> Result<BTreeMap<TopicPartition, Offset>> {
        self.inner.committed(group)
    }
    fn delete_group(&self, group: &str) -> Result<()> {
        self.inner.delete_group(group)
    }
    fn subscribe(&self, subscription: &Subscription) -> Result<Consumer> {
        self.inner.subscribe(subscription)
    }
    fn reader(&self, buffer_bytes: usize) -> Result<Consumer> {
        self.inner.reader(buffer_bytes)
    }
    fn registry(&self) -> &dyn SchemaRegistry {
        self
    }
}

impl SchemaRegistry for FaultyLog {
    fn register(&self, subject: &str, schema: &str) -> Result<SchemaId> {
        self.inner.registry().register(subject, schema)
    }
    /// Out of reach for the first ten questions.
    fn schema(&self, id: SchemaId) -> Result<Option<String>> {
        if self.faults.fetch_add(1, Ordering::SeqCst) < 10 {
            return Err(Error::Transient {
                what: "the registry is out of reach".to_owned(),
                cause: "test".into(),
            });
        }
        self.inner.registry().schema(id)
    }
    fn versions(&self, subject: &str) -> Result<Vec<(SchemaId, String)>> {
        self.inner.registry().versions(subject)
    }
    fn subjects(&self) -> Result<Vec<String>> {
        self.inner.registry().subjects()
    }
}
