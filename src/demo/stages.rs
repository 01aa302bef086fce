//! The stages, put together as the other subcommands put them together one by one, each on a thread of its own.
//!
//! Promise: a phase ends when all of its threads have, and each may be run again: producers and sinks know what they wrote, processors
//! what they read. Processors and sinks run live while the input lasts, and are then run to its end, so that the demo ends with every
//! window closed and every row in a finished file.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, anyhow};
use jiff::Timestamp;
use tidegate_batch::{BusinessDay, CHUNK_INVOICES, DEFAULT_ZONE, Discount, Percent};
use tidegate_processors::billing::{TotalsOptions, totals_topology};
use tidegate_processors::speeding::{SpeedingOptions, speeding_topology};
use tidegate_producers::Produced;
use tidegate_runtime::log::Log;
use tidegate_runtime::notice::Notice;
use tidegate_runtime::time::EventTime;
use tidegate_runtime::topology::Topology;
use tidegate_runtime::window::{Emit, TimeWindows};
use tidegate_runtime::worker::{self, StatusBoard, WorkerOptions};
use tidegate_schemas::TOPICS;
use tidegate_schemas::topics::{CUSTOMER_TOTALS, INFRACTIONS, INVOICES};
use tidegate_sinks::{Settings, csv, sqlite};
use tokio::sync::watch;

use super::Scenario;
use super::input::{DATE, Input, RATES};
use super::place::{Place, words};
use crate::instance::{Instance, Numbering};
use crate::produce::{self, Plan};
use crate::signals::Stop;
use crate::workers::{self, block_on};

/// Windows of the totals: short enough that the first results are seen soon, with room for most of what the simulators send out of
/// order; the rest of it comes too late, which is to be seen as well.
pub(super) const WINDOW_MS: i64 = 5_000;
pub(super) const GRACE_MS: i64 = 5_000;

/// Threads of each processor: two show a group sharing its tasks.
const WORKERS: u32 = 2;

/// What goes into CSV files; all topics go into the read store.
pub(super) const CSV_TOPICS: [&str; 3] = [INFRACTIONS.name, INVOICES.name, CUSTOMER_TOTALS.name];

/// The name of the sink that fills the read store.
const READ_STORE_SINK: &str = "read-store";

/// A processor: its topology and how it is doing.
pub(super) struct Application {
    topology: Topology,
    instance: Instance,
    pub(super) board: StatusBoard,
}

/// How many records of an input have been handed out, and how many there will be at least.
#[derive(Default)]
pub(super) struct Handed {
    pub(super) records: AtomicU64,
    pub(super) expected: u64,
}

/// One thread's work in a phase.
#[derive(Clone, Copy)]
enum Role {
    Readings,
    Invoices,
    Speeding(u32),
    Totals(u32),
    Csv(&'static str),
    ReadStore,
}

/// Everything that runs.
pub(super) struct Stages<'a> {
    pub(super) log: Arc<dyn Log>,
    pub(super) speeding: Application,
    pub(super) totals: Application,
    pub(super) registries: Handed,
    pub(super) readings: Handed,
    pub(super) invoices: Handed,
    pub(super) scenario: Scenario,
    place: &'a Place,
    stop: &'a Stop,
    notice: Notice,
}

impl<'a> Stages<'a> {
    /// Nothing runs yet.
    pub(super) fn new(
        log: Arc<dyn Log>,
        place: &'a Place,
        scenario: Scenario,
        stop: &'a Stop,
        notice: Notice,
    ) -> Result<Stages<'a>> {
        let windows = TimeWindows::tumbling(WINDOW_MS, GRACE_MS)?;
        let options = TotalsOptions { windows, emit: Emit::OnClose, max_event_time: EventTime::DEFAULT_MAX };
        let input = Input::of(scenario)?;
        let handed = |expected| Handed { records: AtomicU64::new(0), expected };
        Ok(Stages {
            log,
            // The names the subcommands give by default: with the same flags they go on with what the demo began.
            speeding: Application::new(
                speeding_topology("speeding", SpeedingOptions::default()),
                place.directory(),
            )?,
            totals: Application::new(totals_topology("totals", options), place.directory())?,
            registries: handed(u64::try_from(input.registries.len()).unwrap_or(u64::MAX)),
            readings: handed(input.readings_expected),
            invoices: handed(input.invoices_expected),
            scenario,
            place,
            stop,
            notice,
        })
    }

    /// Radars, owners and vehicles, before anything is judged.
    pub(super) fn write_registries(&self) -> Result<()> {
        let records = Input::of(self.scenario)?.registries.into_iter();
        self.write("demo-registries", None, records, &self.registries).map(drop)
    }

    /// Until all readings and invoices are written.
    pub(super) fn live(&self, look: impl FnMut()) -> Result<()> {
        let ended = watch::Sender::new(false);
        let producing = AtomicU64::new(2);
        let mut roles = vec![Role::Readings, Role::Invoices];
        roles.extend(self.processors());
        roles.extend(sinks());
        self.run(
            &roles,
            |role| match role {
                Role::Readings | Role::Invoices => {
                    let finished = self.produce(role)?;
                    // If it was stopped, so are the others, by the same signal.
                    if finished && producing.fetch_sub(1, Ordering::Relaxed) == 1 {
                        ended.send_replace(true);
                    }
                    Ok(())
                }
                role => self.follow(role, false, ended.subscribe()),
            },
            look,
        )
    }

    /// What is left of the input, and every window.
    pub(super) fn process_rest(&self, look: impl FnMut()) -> Result<()> {
        let never = watch::Sender::new(false);
        self.run(&self.processors(), |role| self.follow(role, true, never.subscribe()), look)
    }

    /// What is left of every topic.
    pub(super) fn finish_files(&self, look: impl FnMut()) -> Result<()> {
        let never = watch::Sender::new(false);
        self.run(&sinks(), |role| self.follow(role, true, never.subscribe()), look)
    }

    /// The nightly job; none if it was stopped before.
    pub(super) fn discount(&self) -> Result<Option<tidegate_batch::Summary>> {
        if self.stop.is_requested() {
            return Ok(None);
        }
        let job = Discount {
            read_store: self.place.read_store(),
            output_store: self.place.discounts(),
            export: Some(self.place.discounts_csv()),
            day: BusinessDay::parse(DATE, DEFAULT_ZONE)?,
            percent: Percent::DEFAULT,
            max_event_time_ms: EventTime::DEFAULT_MAX.0,
            chunk_invoices: CHUNK_INVOICES,
        };
        // A minute's invoices take it a moment: not worth stopping.
        let summary = job.run(&mut || Timestamp::now().as_millisecond(), &mut |_| {})?;
        Ok(Some(summary))
    }

    /// Groups whose position in the log tells how far the sinks are.
    pub(super) fn sink_groups() -> impl Iterator<Item = (String, &'static [&'static str])> {
        const ALL: &[&str] = &[];
        std::iter::once((READ_STORE_SINK.to_owned(), ALL))
            .chain(CSV_TOPICS.iter().map(|topic| (csv_name(topic), std::slice::from_ref(topic))))
    }

    fn processors(&self) -> Vec<Role> {
        let speeding = (0..WORKERS).map(Role::Speeding);
        speeding.chain((0..WORKERS).map(Role::Totals)).collect()
    }

    fn run(
        &self,
        roles: &[Role],
        work: impl Fn(Role) -> Result<()> + Sync,
        look: impl FnMut(),
    ) -> Result<()> {
        let count = u32::try_from(roles.len()).unwrap_or(u32::MAX);
        let by_number = |number: u32| match roles.get(number as usize) {
            Some(role) => work(*role),
            None => Err(anyhow!("there is no thread `{number}`")),
        };
        workers::run(count, self.stop, by_number, look)
    }

    fn produce(&self, role: Role) -> Result<bool> {
        let input = Input::of(self.scenario)?;
        match role {
            Role::Invoices => self.write("demo-invoices", Some(RATES[1]), input.invoices, &self.invoices),
            _ => self.write("demo-readings", Some(RATES[0]), input.readings, &self.readings),
        }
    }

    fn write(
        &self,
        app: &str,
        rate: Option<u32>,
        records: impl Iterator<Item = Produced>,
        handed: &Handed,
    ) -> Result<bool> {
        let plan = Plan {
            app: app.to_owned(),
            parameters: words(self.scenario),
            rate_per_second: rate,
            notice: self.notice.clone(),
            written: Arc::default(),
        };
        let records = records.map(|record| {
            handed.records.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Infallible>(record)
        });
        let ingested = produce::write(self.log.clone(), plan, records, self.stop)?;
        // Also when all were there before: then none was handed out just now.
        handed.records.store(ingested.before + ingested.written, Ordering::Relaxed);
        Ok(ingested.finished)
    }

    fn options(&self, worker: u32, until_end: bool) -> WorkerOptions {
        WorkerOptions { worker, until_end, notice: self.notice.clone(), ..WorkerOptions::default() }
    }

    fn settings(&self, name: String, until_end: bool) -> Settings {
        Settings { until_end, notice: self.notice.clone(), ..Settings::named(name) }
    }

    /// A processor or a sink, to the end of its input or until there is no more.
    fn follow(&self, role: Role, until_end: bool, ended: watch::Receiver<bool>) -> Result<()> {
        let stop = either(self.stop.clone(), ended);
        let log = self.log.clone();
        match role {
            Role::Speeding(worker) => self.speeding.run(log, self.options(worker, until_end), stop),
            Role::Totals(worker) => self.totals.run(log, self.options(worker, until_end), stop),
            Role::Csv(topic) => {
                let options = csv::Options {
                    settings: self.settings(csv_name(topic), until_end),
                    topic: topic.to_owned(),
                    directory: self.place.csv(topic),
                    segment_records: csv::SEGMENT_RECORDS,
                };
                block_on(csv::run(log, &options, stop))?
                    .with_context(|| format!("`{topic}` into CSV files"))
                    .map(drop)
            }
            Role::ReadStore => {
                let options = sqlite::Options {
                    settings: self.settings(READ_STORE_SINK.to_owned(), until_end),
                    topics: TOPICS.iter().map(|topic| topic.name.to_owned()).collect(),
                    database: self.place.read_store(),
                    wal_max_bytes: sqlite::WAL_MAX_BYTES,
                };
                block_on(sqlite::run(log, &options, stop))?.context("topics into the read store").map(drop)
            }
            Role::Readings | Role::Invoices => Err(anyhow!("a producer follows nobody")),
        }
    }
}

impl Application {
    fn new(topology: Topology, data: &Path) -> Result<Application> {
        let instance = Instance::take(data, topology.app(), None, Numbering::InDirectory)?;
        Ok(Application { topology, instance, board: StatusBoard::default() })
    }

    pub(super) fn name(&self) -> &str {
        self.topology.app()
    }

    fn run(
        &self,
        log: Arc<dyn Log>,
        options: WorkerOptions,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<()> {
        let (instance, status) = (self.instance.id().to_owned(), self.board.clone());
        let options = WorkerOptions { instance, status, ..options };
        Ok(block_on(worker::run(log, &self.topology, options, stop))??)
    }
}

fn sinks() -> Vec<Role> {
    CSV_TOPICS.into_iter().map(Role::Csv).chain([Role::ReadStore]).collect()
}

fn csv_name(topic: &str) -> String {
    format!("csv-{topic}")
}

/// Ready when the user asks to stop or the input has ended.
async fn either(stop: Stop, mut ended: watch::Receiver<bool>) {
    tokio::select! {
        () = stop.requested() => {}
        // It fails if nobody is left who could end the input: then nothing is to be waited for either.
        _ = ended.wait_for(|ended| *ended) => {}
    }
}
