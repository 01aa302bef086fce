//! `simulate radars|invoices`: a seeded simulation into the log.

use std::convert::Infallible;

use anyhow::Result;
use clap::{Args, Subcommand};
use tidegate_producers::{
    DEFAULT_START_MS, InvoiceOptions, Manifest, RadarOptions, Share, Shares, Simulation, simulate_invoices,
    simulate_radars,
};
use tidegate_runtime::time::EventTime;
use tidegate_runtime::topology::Topology;

use crate::cli::Context;
use crate::exit::Exit;
use crate::metrics::MetricsArgs;
use crate::produce::{self, Plan};
use crate::signals::Stop;
use crate::used_topics::{self, PartitionArgs};
use crate::{moment, name};

/// What to simulate.
#[derive(Debug, Subcommand)]
pub(crate) enum Simulate {
    /// Radar readings of a fleet, with the registrations they need, into `radars`, `vehicles`, `owners` and `readings`.
    Radars(Radars),
    /// Invoices with their lines, into `invoices`.
    Invoices(Invoices),
}

/// `simulate radars`.
#[derive(Args, Debug)]
pub(crate) struct Radars {
    #[command(flatten)]
    common: Common,
    /// How many vehicles.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    keys: u32,
    /// How many radars.
    #[arg(long, value_name = "N", default_value_t = 8)]
    radars: u32,
    /// The simulation's name: what is written is remembered under it.
    #[arg(long, default_value = "simulate-radars", value_parser = name::parse)]
    app: String,
}

/// `simulate invoices`.
#[derive(Args, Debug)]
pub(crate) struct Invoices {
    #[command(flatten)]
    common: Common,
    /// How many customers.
    #[arg(long, value_name = "N", default_value_t = 50)]
    keys: u32,
    /// Currencies to choose from, separated by commas.
    #[arg(long, value_name = "CODES", default_value = "EUR", value_delimiter = ',')]
    currencies: Vec<String>,
    /// The simulation's name: what is written is remembered under it.
    #[arg(long, default_value = "simulate-invoices", value_parser = name::parse)]
    app: String,
}

#[derive(Args, Debug)]
struct Common {
    /// The same seed gives the same records on every machine.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Readings or invoices per second, of event time and of the clock; by default event times follow 100 per second, written as fast
    /// as the log takes them.
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    /// Let only event times follow --rate, and write as fast as the log takes it.
    #[arg(long, requires = "rate")]
    unpaced: bool,
    /// How many readings or invoices; duplicates come on top.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    count: u64,
    /// The share whose event time is 1 to 9 s back: `0.05` or `5%`.
    #[arg(long, value_name = "SHARE", default_value = "0")]
    out_of_order: Share,
    /// The share whose event time is 2 to 10 minutes back.
    #[arg(long, value_name = "SHARE", default_value = "0")]
    late: Share,
    /// The share that is written twice.
    #[arg(long, value_name = "SHARE", default_value = "0")]
    duplicates: Share,
    /// The share that is malformed, in six ways.
    #[arg(long, value_name = "SHARE", default_value = "0")]
    malformed: Share,
    /// The first event time: RFC 3339 or milliseconds.
    #[arg(long, value_name = "TIME", default_value_t = EventTime(DEFAULT_START_MS), value_parser = moment::parse)]
    start: EventTime,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    partitions: PartitionArgs,
}

/// Event time runs at this rate unless told otherwise.
const DEFAULT_PER_SECOND: u32 = 100;

impl Common {
    fn per_second(&self) -> u32 {
        self.rate.unwrap_or(DEFAULT_PER_SECOND)
    }

    /// What the sequence depends on, as it is kept with the position: plain words, so that a later version reads them alike.
    fn parameters(&self) -> String {
        let Common { seed, count, start, out_of_order, late, duplicates, malformed, .. } = self;
        let shares =
            [out_of_order, late, duplicates, malformed].map(|share| share.parts().to_string()).join(",");
        format!("seed={seed} count={count} rate={} start={start} shares={shares}", self.per_second())
    }

    fn shares(&self) -> Shares {
        Shares {
            out_of_order: self.out_of_order,
            late: self.late,
            duplicates: self.duplicates,
            malformed: self.malformed,
        }
    }
}

/// Carries out `simulate`.
pub(crate) fn run(simulate: Simulate, context: &Context) -> Result<Exit> {
    match simulate {
        Simulate::Radars(Radars { common, keys, radars, app }) => {
            let options = RadarOptions {
                seed: common.seed,
                count: common.count,
                vehicles: keys,
                radars,
                start_ms: common.start.0,
                per_second: common.per_second(),
                shares: common.shares(),
            };
            let parameters = format!("{} vehicles={keys} radars={radars}", common.parameters());
            write("simulate radars", app, &common, parameters, simulate_radars(&options)?, context)
        }
        Simulate::Invoices(Invoices { common, keys, currencies, app }) => {
            let options = InvoiceOptions {
                seed: common.seed,
                count: common.count,
                customers: keys,
                currencies,
                start_ms: common.start.0,
                per_second: common.per_second(),
                shares: common.shares(),
            };
            let currencies = options.currencies.join(",");
            let parameters = format!("{} customers={keys} currencies={currencies}", common.parameters());
            write("simulate invoices", app, &common, parameters, simulate_invoices(&options)?, context)
        }
    }
}

fn write(
    command: &str,
    app: String,
    common: &Common,
    parameters: String,
    mut simulation: Simulation,
    context: &Context,
) -> Result<Exit> {
    let metrics = common.metrics.bind()?;
    let stop = Stop::on_signals()?;
    let (watch, written) = produce::show(metrics, &app, &stop, context.console)?;
    let log = context.home.open_or_create(context.console)?;
    used_topics::create(&*log, &used_topics::written_by(command), common.partitions)?;
    watch.opened(&log, &Topology::changelog_of(&app));
    context.console.say(format_args!("{app}: writing into {}", log.address()));
    let plan = Plan {
        app: app.clone(),
        parameters,
        rate_per_second: common.rate.filter(|_| !common.unpaced),
        notice: context.console.notice(),
        written,
    };
    let records = simulation.by_ref().map(Ok::<_, Infallible>);
    let ingested = produce::write(log, plan, records, &stop)?;
    context.console.say(produce::progress(&app, &ingested));
    if ingested.finished && ingested.written > 0 {
        context.console.say(summary(&app, simulation.manifest()));
    }
    Ok(produce::exit(&stop, &ingested))
}

fn summary(app: &str, manifest: &Manifest) -> String {
    let Manifest { registrations, records, out_of_order, late, duplicates, .. } = manifest;
    let malformed = manifest.malformed_total();
    format!(
        "{app}: in all {} records: {registrations} registrations, {records} of its own ({out_of_order} out of order, {late} late, \
         {malformed} malformed), {duplicates} duplicates",
        manifest.written()
    )
}
