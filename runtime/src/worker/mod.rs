//! The worker: one thread that hosts tasks of an application on a log.
//!
//! Its loop has two halves. `Worker::next` only waits, over streams, and returns one `Happening`; `Worker::apply` decides and
//! never waits for anything but the log and, for copies of changelogs, this machine's disk. What a worker promises: everything a step did
//! is committed in one transaction (law 7), and after a commit whose outcome is unknown the tasks it touched go back to what was
//! committed, offsets and state alike (law 8). A passing fault ends at most a session: see [`run`].
//!
//! Where the tables of its tasks end is a question of the second half that the first carries out: its answer comes back as a happening, like
//! all else (see `tables`).
//!
//! A worker is not a promise of parallelism: start several, in one process or many, and the group spreads the tasks.
#![allow(clippy::disallowed_methods, reason = "the shell around the pure core: it may read the clock")]

mod bounded;
mod commit;
mod host;
mod inputs;
mod ledger;
mod local_copy;
mod measure;
mod meter;
mod restore;
mod sessions;
mod starts;
mod status;
mod tables;

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::IntervalStream;

use self::local_copy::LocalCopy;
use self::meter::Meter;
use self::restore::StateFrom;
pub use ledger::Ledger;
pub use measure::{BUCKETS, Histogram, Lately, Recent};
pub use meter::{FailedCommits, Standing, WorkerStatus};
pub use sessions::run;
pub use status::{InputStatus, Snapshot, StatusBoard, StoreStatus, TableWaitStatus, TaskStatus};

use crate::avro::{Encoder, SchemaCache};
use crate::error::{Error, Reaction, Result};
use crate::fault_point;
use crate::identity::Identity;
use crate::kept;
use crate::log::{Chunk, Consumer, Event, Log, Offset, Outgoing, Producer, Subscription, subject_of_value};
use crate::notice::Notice;
use crate::patience::Patience;
use crate::task::{ErrorBudget, TableWait, Task};
use crate::topology::{TaskEnvironment, Topology};

/// How a worker runs. None of it can be seen in the output, but for `idle_close`.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// Names this process among the application's; stable over restarts, so that a restart fences its former self at once.
    pub instance: String,
    /// The number of this worker in its process.
    pub worker: u32,
    /// How often results are committed, and so shown. After a commit that takes long, half of this passes before the next.
    pub commit_interval: Duration,
    /// How often progress is committed that shows nothing to anybody, state and offsets; never more often than results. Each commit costs
    /// half a dozen requests and writes to the changelog what has changed, once.
    pub progress_interval: Duration,
    /// How long this worker may be silent before its tasks are given to others.
    pub session_timeout: Duration,
    /// The bound on fetched, unprocessed bytes.
    pub buffer_bytes: usize,
    /// `--until-end`: stop at the high watermarks found at the run's first start.
    pub until_end: bool,
    /// `--idle-close`: how long all inputs must be quiet before stream time follows the clock.
    pub idle_close: Option<Duration>,
    /// `--max-errors`.
    pub error_budget: Option<ErrorBudget>,
    /// `--accept-errors`: go on with a task that stopped on its error budget.
    pub accept_errors: bool,
    /// Where copies of the tasks' changelogs are kept, so that a restart reads only what came after them from the log: a folder of this
    /// application's on this machine, which its workers and processes may share. Without one, everything is read from the log.
    pub state_directory: Option<PathBuf>,
    /// Where the worker shows how it is doing.
    pub status: StatusBoard,
    /// Told what a user should know while it runs: faults that are tried again, tasks that were lost.
    pub notice: Notice,
}

impl Default for WorkerOptions {
    fn default() -> WorkerOptions {
        WorkerOptions {
            instance: "0".to_owned(),
            worker: 0,
            commit_interval: Duration::from_millis(100),
            progress_interval: Duration::from_millis(100),
            session_timeout: Duration::from_secs(6),
            // Enough to keep fetching while a commit is on its way; small beside everything else in the process.
            buffer_bytes: 8 << 20,
            until_end: false,
            idle_close: None,
            error_budget: None,
            accept_errors: false,
            state_directory: None,
            status: StatusBoard::default(),
            notice: Notice::default(),
        }
    }
}

/// All a worker can meet.
enum Happening {
    /// The group's consumer: assignment, revocation, input records.
    Group(Result<Event>),
    /// The consumer beside it: changelogs under restore, broadcast tables.
    Side(Result<Event>),
    /// There is more to be read of a task's copy on disk.
    Copy(u32),
    /// The ends of tables, as asked for.
    TableEnds(tables::Answer),
    /// There is more to do of what is here, after a turn for everything else.
    More,
    /// Time to commit and to look at idle inputs.
    Tick,
    /// The process was asked to stop.
    Stop,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Continue,
    Finish,
}

/// A task and what its host knows of it.
struct Hosted {
    task: Task,
    /// Where its state comes from while it is restored, and the copy of its changelog that is kept here.
    from: StateFrom,
    copy: Option<LocalCopy>,
    /// Where its changelog ended when its restore began.
    restore_end: Offset,
    /// Up to where nothing of its changelog is to be read in the log any more.
    restored_to: Offset,
    /// Its records are in the open transaction.
    touched: bool,
    /// Since when all its inputs have been quiet, and up to when that has moved its time.
    idle: Option<(Instant, Instant)>,
    /// How much it had written to its changelog when its status was last shown.
    shown_bytes: Option<u64>,
    /// The table it waited for when its status was last shown, and since when that has not moved.
    table_wait: Option<(TableWait, std::time::Instant)>,
}

/// What is fixed when a worker first starts.
struct Plan {
    app: String,
    partitions: u32,
    parameters: String,
    identity: Identity,
    encoders: Vec<Arc<Encoder>>,
    sinks: Vec<(Arc<str>, u32)>,
}

impl Plan {
    /// What is kept of the application is compared first: what does not belong to it is refused before anything is made or joined.
    async fn make(log: &dyn Log, topology: &Topology) -> Result<Plan> {
        let topics = log.topics_of(&topology.topics())?;
        topology.check_topics(&topics)?;
        let (app, parameters) = (topology.app().to_owned(), topology.parameters_line());
        let identity = Identity::of(topology, &topics);
        if let Some(kept) = kept::kept(log, &app).await? {
            kept.check(&app, &parameters, &identity)?;
        }
        let partitions = topology.co_partitioned(&topics)?;
        // The changelog first, and alone: without it the others are taken for what is left of lost state.
        let own = Topology::own_topics(topology.app(), partitions);
        let (changelog, others) = own.split_at(1);
        log.create_topics(changelog)?;
        log.create_topics(others)?;
        let mut encoders = Vec::new();
        let mut sinks = Vec::new();
        for sink in topology.sinks() {
            let id = log.registry().register(&subject_of_value(&sink.topic), &sink.schema)?;
            encoders.push(Arc::new(Encoder::new(id, &sink.schema)?));
            let found = topics.iter().find(|topic| topic.name == sink.topic);
            let found = found.ok_or_else(|| Error::UnknownTopic(sink.topic.clone()))?;
            sinks.push((Arc::from(sink.topic.as_str()), found.partitions));
        }
        Ok(Plan { app, partitions, parameters, identity, encoders, sinks })
    }
}

/// One session of a worker.
struct Worker<'a> {
    log: Arc<dyn Log>,
    topology: &'a Topology,
    options: &'a WorkerOptions,
    plan: Arc<Plan>,
    /// The bounded run it takes part in.
    run: Option<Arc<bounded::Run>>,
    /// How sessions bear faults: a commit is what shows that one got on.
    patience: &'a mut Patience,
    meter: &'a mut Meter,
    /// How this session bears that the log does not answer a question that can wait, or the registry one.
    questions: Patience,
    registry: Patience,
    schemas: SchemaCache,
    /// Dropped before the membership: whoever takes over the tasks should not have to wait for the end of the open transaction. It is
    /// missing only while it is opened anew.
    producer: Option<Box<dyn Producer>>,
    group: Consumer,
    /// The group has told that a newer instance is in our place.
    is_replaced: bool,
    side: Consumer,
    ticks: IntervalStream,
    outgoing: Outgoing,
    /// Bytes sent since the last commit.
    open_bytes: usize,
    /// When the last commit was made; the session's start before the first.
    committed_at: Instant,
    tasks: BTreeMap<u32, Hosted>,
    /// Chunks with a schema id that the registry could not be asked for yet, and those that came behind them. Bounded by the
    /// credits they hold.
    parked: VecDeque<Chunk>,
    others: bounded::Others,
    /// How many questions for the ends of tables were asked.
    rounds: u64,
    /// Tasks have more to do than was done in one go.
    has_more_to_do: bool,
    inputs: inputs::Look,
}

impl<'a> Worker<'a> {
    fn join(
        log: Arc<dyn Log>,
        topology: &'a Topology,
        options: &'a WorkerOptions,
        plan: Arc<Plan>,
        patience: &'a mut Patience,
        meter: &'a mut Meter,
    ) -> Result<Worker<'a>> {
        use crate::topology::SourceKind;
        let id = format!("{}.{}.{}", plan.app, options.instance, options.worker);
        let grouped = topology.sources().iter().filter(|source| source.kind != SourceKind::Broadcast);
        let group = log.subscribe(&Subscription {
            group: plan.app.clone(),
            member: id.clone(),
            topics: grouped.map(|source| source.topic.clone()).collect(),
            session_timeout_ms: options.session_timeout.as_millis().try_into().unwrap_or(u64::MAX),
            buffer_bytes: options.buffer_bytes,
            // Whatever comes waits for the next commit; a part of that wait may as well be spent at the broker.
            linger: options.commit_interval / 4,
        })?;
        fault_point::reached("joined-before-producer-opened");
        // Behind the join: a former self that is fenced by this looks into the group for whoever took its place, and must find us there,
        // or it would take itself for the only one and fence us in turn. Before anything is read: opening the id ends a transaction that
        // a former self left open and waits for one that is about to be committed, so that what is read next is final (law 8).
        // Between the two that former self may commit once more. It does so whole, before anything is read here, or not at all: once
        // another member owns its tasks, the group refuses its offsets. And a newer instance may come in between: then it is us who fence
        // it. It finds nobody in its place and begins again, while the group ends us.
        let producer = log.producer(&id)?;
        let side = log.reader(options.buffer_bytes)?;
        let bearing = || Patience::new(format!("`{id}`"), options.notice.clone());
        let first_tick = Instant::now() + options.commit_interval;
        let mut ticks: Interval = tokio::time::interval_at(first_tick, options.commit_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        meter.joined();
        Ok(Worker {
            log,
            topology,
            options,
            plan,
            run: None,
            patience,
            meter,
            questions: bearing(),
            registry: bearing(),
            schemas: SchemaCache::new(),
            producer: Some(producer),
            group,
            is_replaced: false,
            side,
            ticks: IntervalStream::new(ticks),
            outgoing: Outgoing::default(),
            open_bytes: 0,
            committed_at: Instant::now(),
            tasks: BTreeMap::new(),
            parked: VecDeque::new(),
            others: bounded::Others::default(),
            rounds: 0,
            has_more_to_do: false,
            inputs: inputs::Look::default(),
        })
    }

    async fn work(&mut self, stop: &mut (impl Future<Output = ()> + Unpin)) -> Result<()> {
        loop {
            self.meter.waits();
            let happening = self.next(stop).await;
            self.meter.works();
            let flow = tokio::select! {
                biased;
                flow = self.apply(happening) => flow?,
                // It waits for nothing but answers of the log, which may be long in coming.
                () = &mut *stop => self.stop()?,
            };
            if flow == Flow::Finish {
                return Ok(());
            }
            // The answer is awaited here: with nothing else to judge by, there is nothing better to do for the time of one round trip.
            while let Some(question) = self.question() {
                let answer = question.carry_out(self.log.as_ref());
                self.apply(Happening::TableEnds(answer)).await?;
            }
        }
    }

    fn transactional_id(&self) -> String {
        format!("{}.{}.{}", self.plan.app, self.options.instance, self.options.worker)
    }

    /// Another owner of a partition is told by another name: that costs the tasks, and not the place.
    fn fences_us(&self, error: &Error) -> bool {
        matches!(error, Error::Fenced { who, .. } if *who == self.transactional_id())
    }

    fn environment(&self) -> TaskEnvironment {
        TaskEnvironment::new(self.schemas.clone(), self.plan.encoders.clone())
    }

    /// Waits; decides nothing. Of what is there it takes any: whatever is always there, as a tick that takes longer than its interval or a
    /// copy on disk, must not keep the rest waiting for ever.
    async fn next(&mut self, stop: &mut (impl Future<Output = ()> + Unpin)) -> Happening {
        let copy = restore::unread_copy(&self.tasks);
        tokio::select! {
            () = stop => Happening::Stop,
            _ = self.ticks.next() => Happening::Tick,
            // Yielding: the clock only goes on while somebody waits.
            Some(number) = yielding(copy) => Happening::Copy(number),
            Some(()) = yielding(self.has_more_to_do.then_some(())) => Happening::More,
            // Without its thread a consumer would be silent for ever, and so would we.
            event = self.side.next() => Happening::Side(event.unwrap_or_else(|| Err(ended()))),
            event = self.group.next() => Happening::Group(event.unwrap_or_else(|| Err(ended()))),
        }
    }

    async fn apply(&mut self, happening: Happening) -> Result<Flow> {
        match happening {
            Happening::Group(event) => {
                let event = event.inspect_err(|error| self.is_replaced = self.fences_us(error))?;
                self.meter.heard(&event);
                match event {
                    Event::Assigned(partitions) => self.assigned(&partitions)?,
                    Event::Revoked(partitions) => self.revoked(partitions)?,
                    Event::Lost(partitions) => self.lost(&partitions)?,
                    Event::Chunk(chunk) => self.take_input(chunk)?,
                }
            }
            Happening::Side(event) => {
                if let Event::Chunk(chunk) = event? {
                    self.take_side(chunk)?;
                }
            }
            Happening::Copy(number) => self.read_copy(number)?,
            Happening::TableEnds(answer) => self.take_table_ends(answer)?,
            Happening::More => self.process()?,
            Happening::Tick => return self.tick().await,
            Happening::Stop => return self.stop(),
        }
        Ok(Flow::Continue)
    }

    async fn tick(&mut self) -> Result<Flow> {
        let begun = Instant::now();
        self.look_at_inputs()?;
        self.advance_idle_tasks();
        self.take_parked()?;
        self.process()?;
        // For mere progress this tick is as good as any, as long as the next is not too late.
        let next_tick = self.committed_at.elapsed() + self.options.commit_interval;
        if self.holds_results() || next_tick > self.options.progress_interval {
            self.commit()?;
        }
        // A long commit is not followed by the next at once, as an overdue tick would have it: what came in meanwhile would miss that one and
        // then wait for it. And a Kafka that still writes the markers of one transaction keeps the next waiting, 20 ms at a time.
        let rest = self.options.commit_interval / 2;
        if begun.elapsed() > rest {
            self.ticks.as_mut().reset_after(rest);
        }
        self.show_status();
        Ok(if self.everything_is_done().await? { Flow::Finish } else { Flow::Continue })
    }

    fn stop(&mut self) -> Result<Flow> {
        self.last_commit()?;
        self.show_status();
        Ok(Flow::Finish)
    }

    fn take_side(&mut self, chunk: Chunk) -> Result<()> {
        if *chunk.partition.topic == *Topology::changelog_of(&self.plan.app) {
            return self.take_changelog(&chunk);
        }
        if self.is_earlier_output(&chunk.partition) {
            return self.take_input(chunk);
        }
        // What waits of a broadcast table, each once for all tasks, is never more than the table itself, which every task holds
        // whole. With a credit on it, a task that is far behind would keep it from those that are not.
        self.take_input(chunk.without_credit())
    }

    fn take_input(&mut self, chunk: Chunk) -> Result<()> {
        self.parked.push_back(chunk);
        self.take_parked()?;
        self.process()
    }

    /// Hands chunks to their tasks, once their schemas are known: the pure core does no IO. A registry out of reach is asked again at
    /// a later tick, and meanwhile everything else goes on: a passing fault is never taken for a bad record.
    fn take_parked(&mut self) -> Result<()> {
        while let Some(chunk) = self.parked.front() {
            for id in self.schemas.missing_ids(chunk) {
                if !self.registry.is_due() {
                    return Ok(());
                }
                match self.schemas.resolve(id, self.log.registry()) {
                    Err(error) if error.reaction() == Reaction::Retry => {
                        self.registry.failed(&error);
                        return Ok(());
                    }
                    outcome => outcome?,
                }
                self.registry.succeeded();
            }
            let Some(chunk) = self.parked.pop_front() else { break };
            let chunk = Arc::new(chunk);
            // A task takes its own inputs and ignores the rest.
            self.tasks.values_mut().for_each(|hosted| hosted.task.push(chunk.clone()));
        }
        Ok(())
    }
}

/// What is there already, once everything else has had its turn.
async fn yielding<T>(there: Option<T>) -> Option<T> {
    if there.is_some() {
        tokio::task::yield_now().await;
    }
    there
}

fn ended() -> Error {
    Error::Defect("the consumer's thread has ended".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn the_clock_goes_on_beside_what_is_always_there() {
        let begun = Instant::now();
        let mut ticks =
            tokio::time::interval_at(begun + Duration::from_millis(20), Duration::from_millis(20));
        for _ in 0..3 {
            loop {
                tokio::select! {
                    _ = ticks.tick() => break,
                    Some(()) = yielding(Some(())) => assert!(begun.elapsed() < Duration::from_secs(10)),
                }
            }
        }
    }
}
