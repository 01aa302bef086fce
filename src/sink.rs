//! `sink csv|sqlite`: topics into files or a read store.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use tidegate_runtime::log::Log;
use tidegate_runtime::time::EventTime;
use tidegate_sinks::{Settings, Summary, csv, sqlite};

use crate::cli::Context;
use crate::console::Console;
use crate::exit::Exit;
use crate::metrics::{MetricsArgs, Source};
use crate::signals::Stop;
use crate::used_topics::{self, PartitionArgs};
use crate::workers::block_on;
use crate::{moment, name};

/// Where to write.
#[derive(Debug, Subcommand)]
pub(crate) enum Sink {
    /// One topic into CSV files that never change once they are finished.
    Csv(Csv),
    /// Topics into tables of one SQLite database, open to any SQLite tool while the sink writes.
    Sqlite(Sqlite),
}

/// `sink csv`.
#[derive(Args, Debug)]
pub(crate) struct Csv {
    /// The topic to write: one of Tidegate's, or one whose values have the schema of one of these, such as the output of another application.
    #[arg(long, value_name = "TOPIC")]
    topic: String,
    /// Directory for the files: a new one, or this sink's own.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Offsets per file; fixed at the first start.
    #[arg(long, value_name = "N", default_value_t = csv::SEGMENT_RECORDS)]
    segment_records: u64,
    /// The sink's name; its directory belongs to it [default: csv-TOPIC].
    #[arg(long, value_parser = name::parse)]
    name: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// `sink sqlite`.
#[derive(Args, Debug)]
pub(crate) struct Sqlite {
    /// The topics to write, each into a table of its own that is named after it; more may join at a later start.
    ///
    /// Tidegate's own topics, and those whose values have the schema of one of these, such as the output of another application.
    #[arg(long, value_name = "TOPIC", required = true, num_args = 1..)]
    topic: Vec<String>,
    /// The database: a new file, or this sink's own.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The sink's name; its database belongs to it.
    #[arg(long, default_value = "sqlite", value_parser = name::parse)]
    name: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
struct Common {
    /// Read to the end found at the first start, finish, and exit.
    #[arg(long)]
    until_end: bool,
    /// Records of a later event time are rejects: RFC 3339 or milliseconds.
    #[arg(long, value_name = "TIME", default_value_t = EventTime::DEFAULT_MAX, value_parser = moment::parse)]
    max_event_time: EventTime,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    partitions: PartitionArgs,
}

impl Common {
    fn settings(&self, name: &str, console: Console) -> Settings {
        Settings {
            until_end: self.until_end,
            max_event_time: self.max_event_time,
            notice: console.notice(),
            ..Settings::named(name)
        }
    }
}

/// Carries out `sink`.
pub(crate) fn run(sink: Sink, context: &Context) -> Result<Exit> {
    match sink {
        Sink::Csv(csv) => run_csv(csv, context),
        Sink::Sqlite(sqlite) => run_sqlite(sqlite, context),
    }
}

fn run_csv(args: Csv, context: &Context) -> Result<Exit> {
    if args.segment_records == 0 {
        let message = "a segment of `0` records holds nothing; give --segment-records at least 1";
        return Err(Exit::Senseless.because(message));
    }
    let name = args.name.unwrap_or_else(|| format!("csv-{}", args.topic));
    let options = csv::Options {
        settings: args.common.settings(&name, context.console),
        topic: args.topic,
        directory: args.out,
        segment_records: args.segment_records,
    };
    let (stop, log) = open(&args.common, &options.settings, std::slice::from_ref(&options.topic), context)?;
    let place = options.directory.display();
    context.console.say(format_args!("{name}: `{}` from {} into `{place}`", options.topic, log.address()));
    let summary = block_on(csv::run(log, &options, stop.requested()))?;
    Ok(finish(&name, &summary.context("sink csv")?, args.common.until_end, context, &stop))
}

fn run_sqlite(args: Sqlite, context: &Context) -> Result<Exit> {
    let options = sqlite::Options {
        settings: args.common.settings(&args.name, context.console),
        topics: args.topic,
        database: args.out,
        wal_max_bytes: sqlite::WAL_MAX_BYTES,
    };
    let (stop, log) = open(&args.common, &options.settings, &options.topics, context)?;
    let (topics, place) = (options.topics.join("`, `"), options.database.display());
    context.console.say(format_args!("{}: `{topics}` from {} into `{place}`", args.name, log.address()));
    let summary = block_on(sqlite::run(log, &options, stop.requested()))?;
    Ok(finish(&args.name, &summary.context("sink sqlite")?, args.common.until_end, context, &stop))
}

/// Opens the log, and before it what shows how the sink is doing.
fn open(
    common: &Common,
    settings: &Settings,
    topics: &[String],
    context: &Context,
) -> Result<(Stop, Arc<dyn Log>)> {
    let metrics = common.metrics.bind()?;
    let stop = Stop::on_signals()?;
    let source = Source::Sink { name: settings.name.clone(), board: settings.board.clone() };
    // A sink is one thread: when it fails the process ends, and nobody is left to tell.
    let watch = metrics.serve(source, &stop, context.console)?;
    let log = context.home.open_existing()?;
    let used = used_topics::known(topics.iter().map(String::as_str));
    used_topics::create(&*log, &used, common.partitions)?;
    watch.opened(&log, &topics[0]);
    Ok((stop, log))
}

fn finish(name: &str, summary: &Summary, until_end: bool, context: &Context, stop: &Stop) -> Exit {
    let Summary { rows, rejects, reached_end, .. } = summary;
    let end = if *reached_end { "to the end" } else { "stopped" };
    context.console.say(format_args!("{name}: {rows} rows and {rejects} rejects in this run, {end}"));
    stop.exit(*reached_end || !until_end)
}
