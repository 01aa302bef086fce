//! The loop of every sink: wait for one thing, then do it.
//!
//! Promise: each record between a partition's position and its end reaches the [`Destination`] once and in order; a chunk
//! read from another position is ignored, and so is what lies past the end. What breaks it: going on after an error of the
//! destination. Nothing is written, committed or published after one (law 15). A passing fault of the log never ends it: it is told, and
//! tried again.
//!
//! Records that were removed before they were read do not pass in silence: before anything that was read behind a gap becomes durable, the
//! log has been asked whether its records still begin before the gap. Not at every gap: on Kafka markers make one in front of almost every
//! chunk, and a question is a way to the broker and back. The beginning of a log only ever moves forward, so one answer
//! clears all gaps behind it at once.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use tidegate_runtime::avro::SchemaCache;
use tidegate_runtime::log::{Chunk, Consumer, Event, Log, Offset, TopicPartition};
use tidegate_runtime::patience::Patience;
use tidegate_runtime::{Error, Reaction, Result, fault_point};
use tidegate_schemas::Topic;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_stream::StreamExt;

use crate::intake::{Intake, Reject};
use crate::lookout::Lookout;
use crate::place::{self, Source};
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

    /// A partition was added to a topic: the next lane.
    fn open(&mut self, lane: &Lane) -> Result<()>;

    /// True if giving it what stands before `position` of this lane makes something final before the next commit.
    fn makes_final(&self, lane: usize, position: Offset) -> bool;

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
    /// The row in the table of topics whose schema its values have.
    pub(crate) shape: &'static Topic,
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

/// Reads `lanes`, which are the partitions of `sources`, into `destination` until all have ended or `stop` is ready. Partitions that are added
/// meanwhile become lanes too, but not of a run that was given an end.
pub(crate) async fn run<D: Destination>(
    log: Arc<dyn Log>,
    settings: &Settings,
    sources: Vec<Source>,
    lanes: Vec<Lane>,
    destination: D,
    stop: impl Future<Output = ()>,
) -> Result<Summary> {
    let mut stop = pin!(stop);
    let check = |lane: &Lane| place::check_position(&*log, &settings.name, &lane.partition, lane.position);
    let checked = settings.patience().until_answered(&mut stop, || lanes.iter().try_for_each(check)).await?;
    if checked.is_none() {
        return Ok(Summary { positions: positions(&lanes), ..Summary::default() });
    }
    let mut lookout = Lookout::new(log.clone(), sources, settings);
    let mut driver = Driver::new(log, settings, lanes, destination)?;
    // Where it stands is known, and published, before anything is read.
    driver.commit()?;
    let mut ticks = interval_at(Instant::now() + settings.commit_interval, settings.commit_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !driver.is_complete()? {
        let action = tokio::select! {
            // In this order: stopping and committing must not wait for a log that always has more.
            biased;
            () = &mut stop => Action::Stop,
            _ = ticks.tick() => Action::Commit,
            added = lookout.added() => Action::Open(added?),
            event = next(&mut driver.reader), if driver.takes_more() => Action::Event(event),
        };
        match action {
            Action::Stop => return driver.stop(),
            Action::Commit => driver.commit()?,
            Action::Open(lanes) => driver.open(lanes)?,
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
    Open(Vec<Lane>),
    Event(Option<Result<Event>>),
}

struct Driver<'a, D> {
    log: Arc<dyn Log>,
    settings: &'a Settings,
    lanes: Vec<Lane>,
    /// By topic.
    intakes: BTreeMap<Arc<str>, Intake>,
    schemas: SchemaCache,
    /// None between a passing fault of the log, which ends a reader, and the next commit.
    reader: Option<Consumer>,
    destination: D,
    /// The destination could not commit and takes nothing before it could.
    stalled: bool,
    /// Records were given to the destination since its last commit.
    written: bool,
    /// A chunk whose schemas the registry could not be asked for.
    waiting: Option<Chunk>,
    /// The first gap of each lane since the log was last asked whether it is one of markers.
    gaps: Vec<Option<Offset>>,
    patience: Patience,
    publisher: Publisher,
    summary: Summary,
}

impl<'a, D: Destination> Driver<'a, D> {
    fn new(log: Arc<dyn Log>, settings: &'a Settings, lanes: Vec<Lane>, destination: D) -> Result<Self> {
        let schemas = SchemaCache::new();
        let mut intakes = BTreeMap::new();
        for lane in &lanes {
            let intake = Intake::new(lane.shape, schemas.clone(), settings.max_event_time)?;
            intakes.insert(lane.partition.topic.clone(), intake);
        }
        let mut driver = Driver {
            settings,
            intakes,
            schemas,
            reader: None,
            destination,
            stalled: false,
            written: false,
            waiting: None,
            gaps: vec![None; lanes.len()],
            patience: settings.patience(),
            publisher: Publisher::new(log.clone(), settings),
            summary: Summary::default(),
            log,
            lanes,
        };
        settings.board.opened(&driver.lanes);
        driver.open_reader()?;
        Ok(driver)
    }

    /// Opens the reader where there is none, once the log is worth a try.
    fn open_reader(&mut self) -> Result<()> {
        if self.reader.is_some() || !self.patience.is_due() {
            return Ok(());
        }
        match open_reader(&*self.log, self.settings, &self.lanes) {
            Ok(reader) => {
                self.reader = Some(reader);
                Ok(())
            }
            Err(error) => self.tolerate(error),
        }
    }

    /// Reads on in partitions that were added.
    fn open(&mut self, lanes: Vec<Lane>) -> Result<()> {
        if self.settings.until_end {
            return Ok(());
        }
        self.settings.board.opened(&lanes);
        for lane in lanes {
            self.destination.open(&lane)?;
            if let Some(reader) = &self.reader {
                // It fails if the reader has ended already, and then the next one begins here.
                reader.seek(lane.partition.clone(), lane.position);
            }
            self.gaps.push(None);
            self.lanes.push(lane);
        }
        Ok(())
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
        let first = if chunk.is_empty() { chunk.next } else { chunk.record(0).offset() };
        if first > chunk.from {
            self.gaps[lane].get_or_insert(chunk.from);
        }
        let ends = self.lanes[lane].until.is_some_and(|until| chunk.next >= until);
        let becomes_final = ends || self.destination.makes_final(lane, chunk.next);
        let checked = if becomes_final { self.check_gap(lane) } else { Ok(()) };
        if let Err(error) = checked.and_then(|()| self.resolve(&chunk)) {
            self.waiting = Some(chunk);
            return self.tolerate(error);
        }
        self.patience.succeeded();
        self.write(lane, &chunk)?;
        if self.destination.is_full() { self.commit() } else { Ok(()) }
    }

    fn resolve(&self, chunk: &Chunk) -> Result<()> {
        let missing = self.schemas.missing_ids(chunk);
        missing.into_iter().try_for_each(|id| self.schemas.resolve(id, self.log.registry()))
    }

    /// A gap is markers, or records that were removed while the sink was on its way to them: the latter are not to pass in
    /// silence. (If what stands behind a marker is removed before this sink has made it durable, it is refused too.)
    fn check_gap(&mut self, lane: usize) -> Result<()> {
        let Some(from) = self.gaps[lane] else { return Ok(()) };
        let partition = &self.lanes[lane].partition;
        let low = self.log.watermarks(partition)?.low;
        if low > from {
            return Err(place::trimmed(&self.settings.name, partition, from, low));
        }
        self.gaps[lane] = None;
        Ok(())
    }

    /// True if no gap is left that might be of removed records; false if the log cannot tell just now.
    fn gaps_are_clear(&mut self) -> Result<bool> {
        for lane in 0..self.lanes.len() {
            if self.gaps[lane].is_none() {
                continue;
            }
            if !self.patience.is_due() {
                return Ok(false);
            }
            if let Err(error) = self.check_gap(lane) {
                return self.tolerate(error).map(|()| false);
            }
        }
        Ok(true)
    }

    fn write(&mut self, lane: usize, chunk: &Chunk) -> Result<()> {
        let Lane { position, until, .. } = self.lanes[lane];
        let topic = &self.lanes[lane].partition.topic;
        let intake = self.intakes.get_mut(topic);
        let intake = intake.ok_or_else(|| Error::Defect(format!("nobody takes `{topic}`")))?;
        let end = until.map_or(chunk.next, |until| until.min(chunk.next));
        let mut expected = position;
        let before = (self.summary.rows, self.summary.rejects);
        if !chunk.is_empty() {
            fault_point::reached("sink-before-write");
            self.written = true;
        }
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
        let (rows, rejects) = (self.summary.rows - before.0, self.summary.rejects - before.1);
        self.settings.board.wrote(&self.lanes[lane], chunk.high_watermark, rows, rejects);
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
        self.stalled = !self.commit_written()?;
        if !self.stalled {
            self.publisher.publish(&positions(&self.lanes))?;
        }
        self.open_reader()?;
        self.settings.board.waits_for(self.unanswered());
        let worth_a_try = !self.stalled && self.patience.is_due();
        match self.waiting.take_if(|_| worth_a_try) {
            Some(chunk) => self.chunk(chunk),
            None => Ok(()),
        }
    }

    /// Commits what is known to be complete; false if it has to wait.
    fn commit_written(&mut self) -> Result<bool> {
        if !self.gaps_are_clear()? {
            return Ok(false);
        }
        if self.written {
            fault_point::reached("sink-after-write-before-commit");
        }
        let begun = Instant::now();
        let committed = self.destination.commit()?;
        self.settings.board.committed(begun.elapsed(), committed);
        if committed && std::mem::take(&mut self.written) {
            fault_point::reached("sink-after-commit");
        }
        Ok(committed)
    }

    /// What of the log it waits for, if that was asked for and not answered.
    fn unanswered(&self) -> Option<&str> {
        let waits = self.reader.is_none() || self.waiting.is_some() || self.gaps.iter().any(Option::is_some);
        self.patience.fault().filter(|_| waits)
    }

    /// What it could commit in time is committed; the rest is read again at the next start.
    fn stop(mut self) -> Result<Summary> {
        let positions = positions(&self.lanes);
        if self.commit_written()? {
            self.publisher.publish_now(&positions)?;
        }
        Ok(Summary { positions, ..self.summary })
    }

    fn end(mut self) -> Result<Summary> {
        let positions = positions(&self.lanes);
        self.publisher.publish_now(&positions)?;
        Ok(Summary { positions, reached_end: true, ..self.summary })
    }

    /// A passing fault is told and tried again at a later commit.
    fn tolerate(&mut self, error: Error) -> Result<()> {
        if error.reaction() != Reaction::Retry {
            return Err(error);
        }
        self.patience.failed(&error);
        Ok(())
    }
}

fn positions(lanes: &[Lane]) -> BTreeMap<TopicPartition, Offset> {
    lanes.iter().map(|lane| (lane.partition.clone(), lane.position)).collect()
}
