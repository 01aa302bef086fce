//! The loop of every sink: wait for one thing, then do it.
//!
//! Promise: each record between a partition's position and its end reaches the [`Destination`] once and in order; a chunk
//! read from another position is ignored, and so is what lies past the end. What breaks it: going on after an error of the
//! destination. Nothing is written, committed or published after one (law 15).

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use tidegate_runtime::avro::SchemaCache;
use tidegate_runtime::log::{Chunk, Consumer, Event, Log, Offset, TopicPartition};
use tidegate_runtime::{Error, Reaction, Result};
use tidegate_schemas::Topic;
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::StreamExt;

use crate::intake::{Intake, Reject};
use crate::place;
use crate::publisher::Publisher;
use crate::row::Row;
use crate::{Settings, Summary};

/// Where rows go. `lane` is the number of a partition, in the order they were given to [`run`].
pub(crate) trait Destination {
    /// A row, or a record that is none; behind everything of its lane so far.
    fn put(&mut self, lane: usize, offset: Offset, row: Row) -> Result<()>;

    /// A bad record; behind everything of its lane so far.
    fn put_aside(&mut self, lane: usize, reject: &Reject<'_>) -> Result<()>;

    /// The lane's position, gaps behind its last record included.
    fn reached(&mut self, lane: usize, position: Offset) -> Result<()>;

    /// The lane has reached the end it was given, which is `position`.
    fn ended(&mut self, lane: usize, position: Offset) -> Result<()>;

    /// True when it wants a commit before the next chunk.
    fn is_full(&self) -> bool;

    /// Makes durable or visible what it has; false if it has to wait, and must not be given more before it could.
    fn commit(&mut self) -> Result<bool>;

    /// Makes everything durable, now that every lane has ended, and forgets the ends; false if it has to wait.
    fn complete(&mut self) -> Result<bool>;
}

/// One partition to be read.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) topic: &'static Topic,
    pub(crate) partition: TopicPartition,
    pub(crate) position: Offset,
    /// The end it was given by `--until-end`.
    pub(crate) until: Option<Offset>,
}

impl Lane {
    fn has_ended(&self) -> bool {
        self.until.is_some_and(|until| self.position >= until)
    }
}

/// Reads `lanes` into `destination` until all have ended or `stop` is ready.
pub(crate) async fn run<D: Destination>(
    log: Arc<dyn Log>,
    settings: &Settings,
    lanes: Vec<Lane>,
    destination: D,
    stop: impl Future<Output = ()>,
) -> Result<Summary> {
    let mut driver = Driver::new(log, settings, lanes, destination)?;
    let mut stop = pin!(stop);
    let mut ticks = interval(settings.commit_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !driver.is_complete()? {
        let action = tokio::select! {
            // In this order: stopping and committing must not wait for a log that always has more.
            biased;
            () = &mut stop => Action::Stop,
            _ = ticks.tick() => Action::Commit,
            event = next(&mut driver.reader), if driver.takes_more() => Action::Event(event),
        };
        match action {
            Action::Stop => return driver.stop(),
            Action::Commit => driver.commit()?,
            Action::Event(event) => driver.event(event)?,
        }
    }
    driver.end()
}

async fn next(reader: &mut Option<Consumer>) -> Option<Result<Event>> {
    match reader {
        Some(reader) => reader.next().await,
        None => std::future::pending().await,
    }
}

fn open_reader(log: &dyn Log, settings: &Settings, lanes: &[Lane]) -> Result<Consumer> {
    let reader = log.reader(settings.buffer_bytes)?;
    for lane in lanes.iter().filter(|lane| !lane.has_ended()) {
        // It fails if the reader has ended already: why, is the last thing it tells.
        reader.seek(lane.partition.clone(), lane.position);
    }
    Ok(reader)
}

enum Action {
    Stop,
    Commit,
    Event(Option<Result<Event>>),
}

struct Driver<'a, D> {
    log: Arc<dyn Log>,
    settings: &'a Settings,
    lanes: Vec<Lane>,
    intakes: BTreeMap<&'static str, Intake>,
    schemas: SchemaCache,
    /// None between a passing fault of the log, which ends a reader, and the next commit.
    reader: Option<Consumer>,
    destination: D,
    /// The destination could not commit and takes nothing before it could.
    stalled: bool,
    /// A chunk whose schemas the registry could not be asked for.
    waiting: Option<Chunk>,
    publisher: Publisher,
    summary: Summary,
}

impl<'a, D: Destination> Driver<'a, D> {
    fn new(log: Arc<dyn Log>, settings: &'a Settings, lanes: Vec<Lane>, destination: D) -> Result<Self> {
        let schemas = SchemaCache::new();
        let mut intakes = BTreeMap::new();
        for lane in &lanes {
            place::check_position(&*log, &settings.name, &lane.partition, lane.position)?;
            let intake = Intake::new(lane.topic, schemas.clone(), settings.max_event_time)?;
            intakes.insert(lane.topic.name, intake);
        }
        let reader = Some(open_reader(&*log, settings, &lanes)?);
        let publisher = Publisher::new(log.clone(), settings);
        let (stalled, waiting, summary) = (false, None, Summary::default());
        Ok(Driver {
            log,
            settings,
            lanes,
            intakes,
            schemas,
            reader,
            destination,
            stalled,
            waiting,
            publisher,
            summary,
        })
    }

    fn has_ended(&self) -> bool {
        self.lanes.iter().all(Lane::has_ended)
    }

    fn is_complete(&mut self) -> Result<bool> {
        Ok(self.has_ended() && self.destination.complete()?)
    }

    fn takes_more(&self) -> bool {
        !self.stalled && self.waiting.is_none() && !self.has_ended()
    }

    fn event(&mut self, event: Option<Result<Event>>) -> Result<()> {
        match event {
            Some(Ok(Event::Chunk(chunk))) => self.chunk(chunk),
            // A reader without a group has no assignment to gain or lose.
            Some(Ok(Event::Assigned(_) | Event::Revoked(_) | Event::Lost(_))) => Ok(()),
            Some(Err(error)) => {
                self.reader = None;
                self.tolerate(error)
            }
            None => Err(Error::Defect("the sink's reader has ended".into())),
        }
    }

    fn chunk(&mut self, chunk: Chunk) -> Result<()> {
        let Some(lane) = self.lanes.iter().position(|lane| lane.partition == chunk.partition) else {
            return Ok(());
        };
        let position = self.lanes[lane].position;
        if chunk.from != position || self.lanes[lane].has_ended() {
            return Ok(());
        }
        let ready = self.check_gap(&chunk).and_then(|()| self.resolve(&chunk));
        if let Err(error) = ready {
            self.waiting = Some(chunk);
            return self.tolerate(error);
        }
        self.write(lane, &chunk)?;
        if self.destination.is_full() { self.commit() } else { Ok(()) }
    }

    fn resolve(&self, chunk: &Chunk) -> Result<()> {
        let missing = self.schemas.missing_ids(chunk);
        missing.into_iter().try_for_each(|id| self.schemas.resolve(id, self.log.registry()))
    }

    /// A gap is markers, or records that were removed while the sink was on its way to them: the latter are not to pass in
    /// silence. (If what stands behind a marker is removed within this instant, it is refused too.)
    fn check_gap(&self, chunk: &Chunk) -> Result<()> {
        let first = if chunk.is_empty() { chunk.next } else { chunk.record(0).offset() };
        if first == chunk.from {
            return Ok(());
        }
        let low = self.log.watermarks(&chunk.partition)?.low;
        if low <= chunk.from {
            return Ok(());
        }
        Err(place::trimmed(&self.settings.name, &chunk.partition, chunk.from, low))
    }

    fn write(&mut self, lane: usize, chunk: &Chunk) -> Result<()> {
        let Lane { topic, position, until, .. } = self.lanes[lane];
        let intake = self.intakes.get_mut(topic.name);
        let intake = intake.ok_or_else(|| Error::Defect(format!("nobody takes `{}`", topic.name)))?;
        let end = until.map_or(chunk.next, |until| until.min(chunk.next));
        let mut expected = position;
        for record in chunk.records().take_while(|record| record.offset() < end) {
            if record.offset() < expected {
                let what = format!("`{}` was read again behind `{expected}`", record.coordinates());
                return Err(Error::Defect(what));
            }
            expected = record.offset().next();
            match intake.take(&record) {
                Ok(row) => {
                    self.destination.put(lane, record.offset(), row)?;
                    self.summary.rows += 1;
                }
                Err(bad) => {
                    self.destination.put_aside(lane, &Reject::new(&record, &bad))?;
                    self.summary.rejects += 1;
                }
            }
        }
        self.destination.reached(lane, end)?;
        self.lanes[lane].position = end;
        if self.lanes[lane].has_ended() {
            self.destination.ended(lane, end)?;
            if let Some(reader) = &self.reader {
                // As with a seek: what ended it is told in the next event.
                reader.release(vec![self.lanes[lane].partition.clone()]);
            }
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        self.stalled = !self.destination.commit()?;
        if !self.stalled {
            let positions = self.positions();
            self.publisher.publish(&positions)?;
        }
        if self.reader.is_none() {
            match open_reader(&*self.log, self.settings, &self.lanes) {
                Ok(reader) => self.reader = Some(reader),
                Err(error) => self.tolerate(error)?,
            }
        }
        match self.waiting.take_if(|_| !self.stalled) {
            Some(chunk) => self.chunk(chunk),
            None => Ok(()),
        }
    }

    /// What it could commit in time is committed; the rest is read again at the next start.
    fn stop(mut self) -> Result<Summary> {
        if self.destination.commit()? {
            let positions = self.positions();
            self.publisher.publish_now(&positions)?;
        }
        self.summary.positions = self.positions();
        Ok(self.summary)
    }

    fn end(mut self) -> Result<Summary> {
        let positions = self.positions();
        self.publisher.publish_now(&positions)?;
        Ok(Summary { positions, reached_end: true, ..self.summary })
    }

    fn positions(&self) -> BTreeMap<TopicPartition, Offset> {
        self.lanes.iter().map(|lane| (lane.partition.clone(), lane.position)).collect()
    }

    /// A passing fault is told and tried again at the next commit.
    fn tolerate(&self, error: Error) -> Result<()> {
        if error.reaction() != Reaction::Retry {
            return Err(error);
        }
        self.settings.notice.say(&format!("sink `{}` tries again: {error}", self.settings.name));
        Ok(())
    }
}
