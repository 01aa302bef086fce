//! A log that fails when told to: the test double behind the [`Log`] interface.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use tidegate_runtime::log::{
    Command, Consumer, GroupInfo, GroupOffsets, Log, Notice, Offset, Outgoing, Producer, Receipt, SchemaId,
    SchemaRegistry, Subscription, TopicInfo, TopicPartition, TopicSpec, Watermarks,
};
use tidegate_runtime::time::EventTime;
use tidegate_runtime::{Error, Result};
use tokio_stream::StreamExt;

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

/// What else may fail for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    Topics,
    Register,
    Schema,
    Subscribe,
    /// Opening a transactional id.
    Open,
    Reader,
    Watermarks,
    Committed,
    /// A commit that may be tried again.
    Commit,
    IsReplaced,
    /// An event of a group's consumer, whose thread ends with it.
    GroupEvent,
    /// The same of a consumer without a group.
    ReaderEvent,
}

/// Calls that pass, and then calls that fail.
#[derive(Clone, Copy, Debug, Default)]
struct Outage {
    passing: u64,
    failing: u64,
    met: u64,
}

/// Every commit of a number divisible by `each` meets a fault, and whatever else is told to [`fail`](FaultyLog::fail) does.
pub(crate) struct FaultyLog {
    inner: Arc<dyn Log>,
    commits: Option<(Fault, u64)>,
    shared: Arc<Shared>,
}

type Happening = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Shared {
    /// Happens while this is asked for, the next time.
    meanwhile: Mutex<Option<(Call, Happening)>>,
    /// How long an answer takes.
    slow: Mutex<BTreeMap<Call, Duration>>,
    commits: AtomicU64,
    opened: AtomicU64,
    outages: Mutex<BTreeMap<Call, Outage>>,
    /// A commit's outcome is unknown, and its transactional id was not opened again.
    is_unsettled: AtomicBool,
}

impl FaultyLog {
    pub(crate) fn new(inner: &Arc<dyn Log>) -> Arc<FaultyLog> {
        FaultyLog::with_commits(inner, None)
    }

    pub(crate) fn failing_commits(inner: &Arc<dyn Log>, fault: Fault, each: u64) -> Arc<FaultyLog> {
        FaultyLog::with_commits(inner, Some((fault, each)))
    }

    fn with_commits(inner: &Arc<dyn Log>, commits: Option<(Fault, u64)>) -> Arc<FaultyLog> {
        Arc::new(FaultyLog { inner: inner.clone(), commits, shared: Arc::default() })
    }

    pub(crate) fn as_log(self: &Arc<FaultyLog>) -> Arc<dyn Log> {
        self.clone()
    }

    /// Lets something happen while this is asked for, the next time.
    pub(crate) fn meanwhile(&self, call: Call, happens: impl FnOnce() + Send + 'static) {
        *self.shared.meanwhile.lock().unwrap() = Some((call, Box::new(happens)));
    }

    /// Lets every answer to this take so long.
    pub(crate) fn slow_down(&self, call: Call, time: Duration) {
        self.shared.slow.lock().unwrap().insert(call, time);
    }

    /// Lets `passing` more of these calls pass and fails `failing` after them.
    pub(crate) fn fail(&self, call: Call, passing: u64, failing: u64) {
        let mut outages = self.shared.outages.lock().unwrap();
        let met = outages.get(&call).map_or(0, |outage| outage.met);
        outages.insert(call, Outage { passing, failing, met });
    }

    /// How many of these calls have failed.
    pub(crate) fn met(&self, call: Call) -> u64 {
        self.shared.outages.lock().unwrap().get(&call).map_or(0, |outage| outage.met)
    }

    /// How often a transactional id was opened.
    pub(crate) fn opened(&self) -> u64 {
        self.shared.opened.load(Ordering::SeqCst)
    }

    pub(crate) fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn ask(&self, call: Call) -> Result<()> {
        if let Call::Watermarks | Call::Committed = call {
            let unsettled = self.is_unsettled.load(Ordering::SeqCst);
            assert!(!unsettled, "{call:?} before the id of an unknown outcome was opened again (law 8)");
        }
        let slow = self.slow.lock().unwrap().get(&call).copied().unwrap_or_default();
        let answers_at = Instant::now() + slow;
        while Instant::now() < answers_at {
            std::thread::park_timeout(answers_at.saturating_duration_since(Instant::now()));
        }
        let happens = self.meanwhile.lock().unwrap().take_if(|(asked, _)| *asked == call);
        if let Some((_, happens)) = happens {
            happens();
        }
        let mut outages = self.outages.lock().unwrap();
        let Some(outage) = outages.get_mut(&call) else { return Ok(()) };
        if outage.passing > 0 {
            outage.passing -= 1;
            return Ok(());
        }
        if outage.failing == 0 {
            return Ok(());
        }
        outage.failing -= 1;
        outage.met += 1;
        Err(Error::Transient { what: format!("{call:?} is out of reach"), cause: "test".into() })
    }
}

struct FaultyProducer {
    inner: Box<dyn Producer>,
    transactional_id: String,
    commits: Option<(Fault, u64)>,
    shared: Arc<Shared>,
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
        self.shared.ask(Call::Commit)?;
        let number = self.shared.commits.fetch_add(1, Ordering::SeqCst) + 1;
        match self.commits.filter(|(_, each)| number.is_multiple_of(*each)).map(|(fault, _)| fault) {
            None => return self.inner.commit(offsets),
            Some(Fault::AnswerLost) => {
                self.inner.commit(offsets)?;
            }
            Some(Fault::RequestLost) => self.inner.abort()?,
            Some(Fault::Transient) => {
                self.inner.abort()?;
                return Err(Error::Transient { what: "a passing fault".to_owned(), cause: "test".into() });
            }
        }
        self.spent = true;
        self.shared.is_unsettled.store(true, Ordering::SeqCst);
        let transactional_id = self.transactional_id.clone();
        Err(Error::UnknownOutcome { transactional_id, cause: "test".into() })
    }

    fn abort(&mut self) -> Result<()> {
        assert!(!self.spent, "a producer was used after an unknown outcome");
        self.inner.abort()
    }
}

/// Hands on what `inner` reports, until an event is told to fail: that error is its last word.
fn breaking(inner: Consumer, call: Call, shared: Arc<Shared>) -> Consumer {
    let (commands, received) = mpsc::channel();
    let (events, receiver) = tokio::sync::mpsc::channel(64);
    let bell = Arc::new(tokio::sync::Notify::new());
    let rung = bell.clone();
    let membership = inner.membership().cloned();
    let thread = std::thread::spawn(move || {
        let mut inner = inner;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            loop {
                tokio::select! {
                    event = inner.next() => {
                        let event = event.unwrap().and_then(|event| shared.ask(call).map(|()| event));
                        let is_over = event.is_err();
                        if events.send(event.map(Notice::Event)).await.is_err() || is_over {
                            return;
                        }
                    }
                    () = rung.notified() => {
                        while let Ok(command) = received.try_recv() {
                            match command {
                                Command::Seek(partition, offset) => inner.seek(partition, offset),
                                Command::Release(partitions) => inner.release(partitions),
                                Command::Close => return,
                            }
                        }
                    }
                }
            }
        });
    });
    Consumer::new(receiver, commands, move || bell.notify_one(), membership, thread)
}

impl Log for FaultyLog {
    fn producer(&self, transactional_id: &str) -> Result<Box<dyn Producer>> {
        self.shared.ask(Call::Open)?;
        let inner = self.inner.producer(transactional_id)?;
        self.shared.is_unsettled.store(false, Ordering::SeqCst);
        self.shared.opened.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(FaultyProducer {
            inner,
            transactional_id: transactional_id.to_owned(),
            commits: self.commits,
            shared: self.shared.clone(),
            spent: false,
        }))
    }

    fn subscribe(&self, subscription: &Subscription) -> Result<Consumer> {
        self.shared.ask(Call::Subscribe)?;
        Ok(breaking(self.inner.subscribe(subscription)?, Call::GroupEvent, self.shared.clone()))
    }
    fn reader(&self, buffer_bytes: usize) -> Result<Consumer> {
        self.shared.ask(Call::Reader)?;
        Ok(breaking(self.inner.reader(buffer_bytes)?, Call::ReaderEvent, self.shared.clone()))
    }
    fn topics(&self) -> Result<Vec<TopicInfo>> {
        self.shared.ask(Call::Topics)?;
        self.inner.topics()
    }
    fn watermarks(&self, partition: &TopicPartition) -> Result<Watermarks> {
        self.shared.ask(Call::Watermarks)?;
        self.inner.watermarks(partition)
    }
    fn committed(&self, group: &str) -> Result<BTreeMap<TopicPartition, Offset>> {
        self.shared.ask(Call::Committed)?;
        self.inner.committed(group)
    }
    fn is_replaced(&self, group: &str, member: &str) -> Result<bool> {
        self.shared.ask(Call::IsReplaced)?;
        self.inner.is_replaced(group, member)
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
    fn delete_topic(&self, name: &str) -> Result<()> {
        self.inner.delete_topic(name)
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
    fn commit_offsets(&self, group: &str, offsets: &[(TopicPartition, Offset)]) -> Result<()> {
        self.inner.commit_offsets(group, offsets)
    }
    fn delete_group(&self, group: &str) -> Result<()> {
        self.inner.delete_group(group)
    }
    fn registry(&self) -> &dyn SchemaRegistry {
        self
    }
}

impl SchemaRegistry for FaultyLog {
    fn register(&self, subject: &str, schema: &str) -> Result<SchemaId> {
        self.shared.ask(Call::Register)?;
        self.inner.registry().register(subject, schema)
    }
    fn schema(&self, id: SchemaId) -> Result<Option<String>> {
        self.shared.ask(Call::Schema)?;
        self.inner.registry().schema(id)
    }
    fn versions(&self, subject: &str) -> Result<Vec<(SchemaId, String)>> {
        self.inner.registry().versions(subject)
    }
    fn subjects(&self) -> Result<Vec<String>> {
        self.inner.registry().subjects()
    }
}
