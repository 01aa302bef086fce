//! `process speeding|totals`: what every processor is told, and running it on one thread per worker.

mod progress;
mod speeding;
mod topics;
mod totals;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use tidegate_runtime::kept::kept;
use tidegate_runtime::log::Log;
use tidegate_runtime::task::{ErrorBudget, Phase};
use tidegate_runtime::time::EventTime;
use tidegate_runtime::topology::Topology;
use tidegate_runtime::worker::{self, StatusBoard, WorkerOptions};

use self::progress::Progress;
use self::topics::Topics;
pub(crate) use self::topics::is_first_output;
use crate::cli::Context;
use crate::connection::{HostingArgs, SESSION_TIMEOUT, Timing};
use crate::console::{Console, Output};
use crate::exit::Exit;
use crate::instance::Instance;
use crate::metrics::{MetricsArgs, Source};
use crate::signals::Stop;
use crate::used_topics::PartitionArgs;
use crate::workers::{self, block_on};
use crate::{duration, moment, name};

/// Which processor.
#[derive(Debug, Subcommand)]
pub(crate) enum Process {
    /// Readings over the limit become infractions, with the owner at the time of the reading and the fine by the schedule.
    Speeding(speeding::Speeding),
    /// Invoices become each customer's count and total per window.
    Totals(totals::Totals),
}

/// What every processor is told.
#[derive(Args, Debug)]
struct Common {
    /// Print the topology, as text or as a Mermaid flow chart, and exit; needs no log.
    #[arg(long, value_enum, value_name = "FORMAT", num_args = 0..=1, default_missing_value = "text")]
    describe: Option<Description>,
    /// Process up to the end found at the first start, close every window, and exit. Later records of these windows are late.
    #[arg(long)]
    until_end: bool,
    /// When all inputs have been quiet for so long, let stream time follow the clock, so that the last windows close.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, conflicts_with = "until_end")]
    idle_close: Option<Duration>,
    /// How often results are committed and so become visible; on Kafka no less than 10ms.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "100ms")]
    commit_interval: Duration,
    /// How long a worker may be silent before its tasks are given to others [default: 6s].
    // No default of clap's: under `--group-protocol consumer` it must not be given.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    session_timeout: Option<Duration>,
    /// Stop a task after more than N dead letters among its last M records.
    #[arg(long, value_name = "N/M", value_parser = parse_budget)]
    max_errors: Option<ErrorBudget>,
    /// Go on with tasks that stopped on --max-errors.
    #[arg(long)]
    accept_errors: bool,
    /// Records of a later event time are dead letters: RFC 3339 or milliseconds.
    #[arg(long, value_name = "TIME", default_value_t = EventTime::DEFAULT_MAX, value_parser = moment::parse)]
    max_event_time: EventTime,
    /// Threads; the tasks are spread over all workers of all processes of the application.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    workers: u32,
    /// This process among the application's, stable over restarts [default: the first free number on this machine; on Kafka
    /// behind a name of this machine that --data keeps].
    #[arg(long, value_name = "ID", value_parser = name::parse_instance)]
    instance_id: Option<String>,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    partitions: PartitionArgs,
    #[command(flatten)]
    hosting: HostingArgs,
}

/// How to print a topology: for people, or as a Mermaid flow chart.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Description {
    Text,
    Mermaid,
}

/// Reads `N/M`.
fn parse_budget(text: &str) -> Result<ErrorBudget, String> {
    let numbers =
        text.split_once('/').and_then(|(most, among)| Some((most.parse().ok()?, among.parse().ok()?)));
    let (most, among) = numbers.ok_or_else(|| format!("`{text}` is no share of records; write `10/1000`"))?;
    Ok(ErrorBudget { most, among })
}

/// The outcomes of so many records are part of every commit.
const MAX_BUDGET_RECORDS: usize = 10_000;

impl Common {
    /// Values that can be read and make no sense.
    fn check(&self) -> Result<()> {
        let refuse = |message: String| Err(Exit::Senseless.because(message));
        if self.commit_interval.is_zero() {
            return refuse(
                "a commit interval of `0s` never works; give --commit-interval at least `1ms`".to_owned(),
            );
        }
        if self.session_timeout() <= self.commit_interval {
            return refuse("the session timeout must be longer than the commit interval; give a longer --session-timeout".to_owned());
        }
        if self.idle_close.is_some_and(|after| after.is_zero()) {
            return refuse("`0s` of quiet is none; give --idle-close at least `1ms`".to_owned());
        }
        match self.max_errors {
            Some(ErrorBudget { most, among }) if most >= among || among > MAX_BUDGET_RECORDS => {
                refuse(format!(
                    "`{most}/{among}` never stops anything or looks back too far; give --max-errors N/M with N below M, and M at most \
                 `{MAX_BUDGET_RECORDS}`"
                ))
            }
            _ => Ok(()),
        }
    }

    fn session_timeout(&self) -> Duration {
        self.session_timeout.unwrap_or(SESSION_TIMEOUT)
    }

    fn timing(&self) -> Timing {
        Timing { commit_interval: self.commit_interval, session_timeout: self.session_timeout }
    }

    fn worker_options(
        &self,
        instance: &Instance,
        worker: u32,
        state_directory: Option<PathBuf>,
        status: StatusBoard,
        console: Console,
    ) -> WorkerOptions {
        WorkerOptions {
            instance: instance.id().to_owned(),
            worker,
            commit_interval: self.commit_interval,
            session_timeout: self.session_timeout(),
            until_end: self.until_end,
            idle_close: self.idle_close,
            error_budget: self.max_errors,
            accept_errors: self.accept_errors,
            state_directory,
            status,
            notice: console.notice(),
            ..WorkerOptions::default()
        }
    }
}

/// Carries out `process`.
pub(crate) fn run(process: Process, context: &Context) -> Result<Exit> {
    match process {
        Process::Speeding(speeding) => speeding::run(speeding, context),
        Process::Totals(totals) => totals::run(totals, context),
    }
}

fn describe(topology: &Topology, description: Description) -> Result<Exit> {
    let mut output = Output::new();
    output.text(&match description {
        Description::Text => topology.describe(),
        Description::Mermaid => topology.describe_mermaid(),
    })?;
    output.flush()?;
    Ok(Exit::Done)
}

/// Describes or runs a topology on these topics.
fn host(topology: Topology, topics: &Topics, common: &Common, context: &Context) -> Result<Exit> {
    common.check()?;
    if let Some(description) = common.describe {
        return describe(&topics.apply(topology, None)?, description);
    }
    let home = context.home.hosting(&common.hosting, common.timing())?;
    let metrics = common.metrics.bind()?;
    let stop = Stop::on_signals()?;
    let (name, console) = (topology.app().to_owned(), context.console);
    let app = name.as_str();
    let status = StatusBoard::default();
    let source = Source::Processor { app: app.to_owned(), board: status.clone(), workers: common.workers };
    let watch = metrics.serve(source, &stop, console)?;
    let log = home.open_existing()?;
    let kept = block_on(kept(&*log, app))??;
    let topology = &topics.apply(topology, kept.as_ref())?;
    kept.as_ref().map_or(Ok(()), |kept| kept.check_kind(topology))?;
    topics.create(&*log, topology, common.partitions)?;
    watch.opened(&log, &Topology::changelog_of(app));
    let instance = Instance::take(home.directory(), app, common.instance_id.as_deref(), home.numbering())?;
    console.say(format_args!(
        "{app}: instance {}, workers: {}, log: {} ({})",
        instance.id(),
        common.workers,
        log.address(),
        topology.parameters_line()
    ));
    for sink in topology.sinks().iter().filter(|sink| tidegate_schemas::topic(&sink.topic).is_none()) {
        console.say(format_args!("{app}: writes `{}`", sink.topic));
    }
    let work = |worker: u32| {
        let state_directory = home.state_directory(app);
        let options = common.worker_options(&instance, worker, state_directory, status.clone(), console);
        run_worker(log.clone(), topology, options, &stop).inspect_err(|error| watch.failed(error))
    };
    let mut progress = Progress::new(app, common.workers);
    let look = || {
        let news = progress.look(&status.snapshot(), Instant::now(), stop.is_requested());
        news.iter().for_each(|line| console.say(line));
    };
    workers::run(common.workers, &stop, work, look)?;
    let has_closed_windows = show_summary(app, &status, console);
    if common.until_end && !stop.is_requested() && has_closed_windows {
        console
            .say(format_args!("{app}: every window is closed: later records of these windows will be late"));
    }
    let finished = !common.until_end || (stop.is_requested() && has_ended(app, &*log, &status)?);
    Ok(stop.exit(finished))
}

/// True if every task of the application has ended in this process: then a signal has cut nothing short.
fn has_ended(app: &str, log: &dyn Log, status: &StatusBoard) -> Result<bool> {
    let tasks = log.topic(&Topology::changelog_of(app))?.map_or(0, |changelog| changelog.partitions as usize);
    let ended = status.tasks().values().filter(|task| task.phase == Phase::Ended).count();
    Ok(tasks > 0 && ended == tasks)
}

fn run_worker(log: Arc<dyn Log>, topology: &Topology, options: WorkerOptions, stop: &Stop) -> Result<()> {
    Ok(block_on(worker::run(log, topology, options, stop.requested()))??)
}

/// The counts are part of the state: they begin with the application, not with this run. True if it has closed windows.
fn show_summary(app: &str, status: &StatusBoard, console: Console) -> bool {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let tasks = status.tasks();
    for (name, count) in tasks.values().flat_map(|task| task.counters.iter()) {
        *counts.entry(name.to_owned()).or_default() += count;
    }
    let has_closed_windows = counts.contains_key("windows-closed");
    let lag_records: i64 = tasks.values().map(|task| task.lag_records).sum();
    let counts: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let counts = if counts.is_empty() { "nothing yet".to_owned() } else { counts.join(", ") };
    console.say(format_args!("{app}: since its first start: {counts}; lag {lag_records} records"));
    has_closed_windows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_budget_is_two_numbers() {
        assert_eq!(parse_budget("10/1000"), Ok(ErrorBudget { most: 10, among: 1_000 }));
        for text in ["", "10", "/", "1/", "-1/10", "1.5/10", "1/2/3"] {
            assert!(parse_budget(text).is_err(), "{text}");
        }
    }
}
