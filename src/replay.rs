//! `replay radars|invoices --from FILE`: a real file into the log, resumable.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use sha2::{Digest, Sha256};
use tidegate_producers::{
    MoersReplay, MoersSummary, Produced, ReplayError, RetailReplay, RetailSummary, replay_invoices,
    replay_radars,
};
use tidegate_runtime::topology::Topology;

use crate::cli::Context;
use crate::exit::Exit;
use crate::metrics::MetricsArgs;
use crate::name;
use crate::produce::{self, Plan};
use crate::signals::Stop;
use crate::used_topics::{self, PartitionArgs};

/// What to replay.
#[derive(Debug, Subcommand)]
pub(crate) enum Replay {
    /// One radar's file: `dd.mm.yy hh:mm:ss;00;km/h;length;direction` a line, in the time of Europe/Berlin.
    Radars(Radars),
    /// A shop's CSV of invoice lines (UCI "Online Retail"), in the time of Europe/London.
    Invoices(Invoices),
}

/// `replay radars`.
#[derive(Args, Debug)]
pub(crate) struct Radars {
    #[command(flatten)]
    common: Common,
    /// Draws the plates, which the file does not have.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many vehicles the plates are drawn from.
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    keys: u32,
    /// The replay's name: what is written is remembered under it.
    #[arg(long, default_value = "replay-radars", value_parser = name::parse)]
    app: String,
}

/// `replay invoices`.
#[derive(Args, Debug)]
pub(crate) struct Invoices {
    #[command(flatten)]
    common: Common,
    /// The replay's name: what is written is remembered under it.
    #[arg(long, default_value = "replay-invoices", value_parser = name::parse)]
    app: String,
}

#[derive(Args, Debug)]
struct Common {
    /// The file, plain or gzipped.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Records per second; as fast as the log takes them by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    partitions: PartitionArgs,
}

/// Carries out `replay`.
pub(crate) fn run(replay: Replay, context: &Context) -> Result<Exit> {
    match replay {
        Replay::Radars(Radars { common, seed, keys, app }) => {
            let mut records = replay_radars(&common.from, seed, keys)?;
            let parameters = format!("{} seed={seed} vehicles={keys}", fingerprint(&common.from)?);
            let lines = |records: &MoersReplay| radar_lines(records.summary());
            write("replay radars", app, &common, parameters, &mut records, context, lines)
        }
        Replay::Invoices(Invoices { common, app }) => {
            let mut records = replay_invoices(&common.from)?;
            let parameters = fingerprint(&common.from)?;
            let lines = |records: &RetailReplay| invoice_lines(records.summary());
            write("replay invoices", app, &common, parameters, &mut records, context, lines)
        }
    }
}

fn write<R: Iterator<Item = Result<Produced, ReplayError>>>(
    command: &str,
    app: String,
    common: &Common,
    parameters: String,
    records: &mut R,
    context: &Context,
    lines: impl FnOnce(&R) -> Vec<String>,
) -> Result<Exit> {
    let metrics = common.metrics.bind()?;
    let stop = Stop::on_signals()?;
    let (watch, written) = produce::show(metrics, &app, &stop, context.console)?;
    let log = context.home.open_or_create()?;
    used_topics::create(&*log, &used_topics::written_by(command), common.partitions)?;
    watch.opened(&log, &Topology::changelog_of(&app));
    context.console.say(format_args!("{app}: writing `{}` into {}", common.from.display(), log.address()));
    let plan = Plan {
        app: app.clone(),
        parameters,
        rate_per_second: common.rate,
        notice: context.console.notice(),
        written,
    };
    let ingested = produce::write(log, plan, records.by_ref(), &stop)?;
    context.console.say(produce::progress(&app, &ingested));
    if ingested.finished && ingested.written > 0 {
        lines(records).iter().for_each(|line| context.console.say(format_args!("{app}: {line}")));
    }
    Ok(produce::exit(&stop, &ingested))
}

/// Tells one file from another wherever it stands: to go on in the middle of another file would be neither of the two.
fn fingerprint(file: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let read = |hash: &mut Sha256| -> io::Result<()> {
        let mut opened = File::open(file)?;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match opened.read(&mut buffer)? {
                0 => return Ok(()),
                filled => hash.update(&buffer[..filled]),
            }
        }
    };
    read(&mut hash).with_context(|| format!("could not read `{}`", file.display()))?;
    let digest = hash.finalize();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("sha256={hex}"))
}

fn radar_lines(summary: &MoersSummary) -> Vec<String> {
    let MoersSummary { registrations, readings, over_limit, ambiguous_times } = summary;
    vec![
        format!(
            "{readings} readings, {over_limit} of them measured above the limit; {registrations} registrations before them"
        ),
        format!("{ambiguous_times} readings at an hour that the clock showed twice; the first was taken"),
    ]
}

fn invoice_lines(summary: &RetailSummary) -> Vec<String> {
    let RetailSummary { lines, invoices, amount_minor, rounded, .. } = summary;
    let RetailSummary { credit_notes, adjustments, zero_amounts, negative_amounts, anonymous, .. } = summary;
    let RetailSummary { scattered, differing_times, differing_customers, ambiguous_times, .. } = summary;
    vec![
        format!("{lines} lines grouped into {invoices} invoices worth {} GBP", pounds(*amount_minor)),
        format!(
            "{credit_notes} credit notes, {adjustments} adjustments, {zero_amounts} of zero, {negative_amounts} below zero, \
             {anonymous} without a customer, {rounded} rounded to pence"
        ),
        format!(
            "{scattered} with lines of others between, {differing_times} with lines of several times, {differing_customers} with lines of \
             several customers, {ambiguous_times} at an hour that the clock showed twice: the first was taken"
        ),
    ]
}

/// Pence as pounds.
fn pounds(minor: i128) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let minor = minor.unsigned_abs();
    format!("{sign}{}.{:02}", minor / 100, minor % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pence_are_written_as_pounds() {
        for (minor, text) in [(974_774_793, "9747747.93"), (-5, "-0.05"), (0, "0.00")] {
            assert_eq!(pounds(minor), text);
        }
    }
}
