//! `replay radars|invoices --from FILE`: a real file into the log, resumable.
//!
//! Guarantees: the whole file is checked before the log is opened. A bad line ends the command with nothing written; with `--skip-bad` it
//! goes to a file of its own, and the others are written.

mod bad_lines;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use sha2::{Digest, Sha256};
use tidegate_producers::{
    MoersSummary, Produced, RadarFile, ReplayBounds, ReplayError, RetailSummary, TakeBad, replay_invoices,
    replay_radars,
};
use tidegate_runtime::topology::Topology;

use self::bad_lines::BadLines;
use crate::cli::Context;
use crate::exit::Exit;
use crate::metrics::MetricsArgs;
use crate::name;
use crate::produce::{self, Plan};
use crate::signals::Stop;
use crate::size;
use crate::used_topics::{self, PartitionArgs};

/// What to replay.
#[derive(Debug, Subcommand)]
pub(crate) enum Replay {
    /// One radar's file: `dd.mm.yy hh:mm:ss;00;km/h;length;direction` a line. The file names neither radar, limit nor zone.
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
    /// The radar that the file is from. The default is the one in Römerstraße, Moers.
    #[arg(long, value_name = "ID", default_value = "moers-roemerstrasse")]
    radar: String,
    /// The limit that the radar enforces, in km/h.
    #[arg(long, value_name = "KMH", default_value_t = 30)]
    limit: i32,
    /// The time zone of the times in the file: a name of the IANA database.
    #[arg(long, value_name = "ZONE", default_value = "Europe/Berlin")]
    zone: String,
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
    /// Write each bad line with its number and the reason to this file (CSV), and the good lines to the log.
    ///
    /// An invoice with a bad line is left out as a whole: all of its lines go to the file.
    ///
    /// Without it a bad line ends the command, and nothing is written.
    #[arg(long, value_name = "FILE")]
    skip_bad: Option<PathBuf>,
    /// The longest line; a longer one is bad.
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = parse_max_line)]
    max_line: usize,
    /// What a gzipped file may unpack to [default: 250 times its size, and 1GiB in any case].
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    max_unpacked: Option<u64>,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    partitions: PartitionArgs,
}

/// Carries out `replay`.
pub(crate) fn run(replay: Replay, context: &Context) -> Result<Exit> {
    match replay {
        Replay::Radars(radars) => {
            let Radars { common, app, .. } = &radars;
            let options = radars.options();
            say_assumed(app, &options, context);
            let parameters = format!("{} {}", fingerprint(&common.from)?, radar_parameters(&options));
            let bounds = common.bounds();
            let (mut records, skipped) =
                common.checked(app, context, |bad| replay_radars(&common.from, options, bounds, bad))?;
            let lines = |records: &_| radar_lines(tidegate_producers::MoersReplay::summary(records));
            write("replay radars", app, common, parameters + &skipped, &mut records, context, lines)
        }
        Replay::Invoices(Invoices { common, app }) => {
            let parameters = fingerprint(&common.from)?;
            let (mut records, skipped) =
                common.checked(&app, context, |bad| replay_invoices(&common.from, common.bounds(), bad))?;
            let lines = |records: &_| invoice_lines(tidegate_producers::RetailReplay::summary(records));
            write("replay invoices", &app, &common, parameters + &skipped, &mut records, context, lines)
        }
    }
}

impl Radars {
    fn options(&self) -> RadarFile {
        RadarFile {
            radar_id: self.radar.clone(),
            speed_limit_kmh: self.limit,
            zone: self.zone.clone(),
            seed: self.seed,
            vehicles: self.keys,
        }
    }
}

impl Common {
    fn bounds(&self) -> ReplayBounds {
        ReplayBounds { line_bytes: self.max_line, unpacked_bytes: self.max_unpacked }
    }

    /// Checks the whole file; what is left out of it is part of the replay's parameters.
    fn checked<R>(
        &self,
        app: &str,
        context: &Context,
        check: impl FnOnce(TakeBad<'_>) -> Result<R, ReplayError>,
    ) -> Result<(R, String)> {
        let Some(file) = &self.skip_bad else {
            return Ok((check(&mut Err::<(), ReplayError>)?, String::new()));
        };
        let mut bad = BadLines::begin(file)?;
        let records = check(&mut |error| bad.take(error))?;
        let (count, digest) = bad.finish()?;
        if count == 0 {
            return Ok((records, String::new()));
        }
        let console = context.console;
        console.say(format_args!("{app}: {count} lines are left out; they are in `{}`", file.display()));
        Ok((records, format!(" skipped={count}:{digest}")))
    }
}

fn parse_max_line(text: &str) -> Result<usize, String> {
    const MOST: u64 = 256 << 20;
    let size = size::parse(text)?;
    let fits = usize::try_from(size).ok().filter(|_| size <= MOST);
    fits.ok_or_else(|| format!("`{text}` is too long for a line; give at most `256MiB`"))
}

/// What the file does not say.
fn say_assumed(app: &str, options: &RadarFile, context: &Context) {
    let RadarFile { radar_id, speed_limit_kmh, zone, .. } = options;
    let place = options.place();
    context.console.say(format_args!(
        "{app}: the file names no radar: assuming `{radar_id}` ({place}), a limit of {speed_limit_kmh} km/h and times of {zone}; --radar, \
         --limit and --zone say otherwise"
    ));
}

/// What the sequence depends on beside the file; the defaults are left out, as they were before they could be changed.
fn radar_parameters(options: &RadarFile) -> String {
    let RadarFile { radar_id, speed_limit_kmh, zone, seed, vehicles } = options;
    let usual = RadarFile { seed: *seed, vehicles: *vehicles, ..RadarFile::default() };
    let mut text = format!("seed={seed} vehicles={vehicles}");
    if *options != usual {
        text += &format!(" radar={radar_id} limit={speed_limit_kmh} zone={zone}");
    }
    text
}

fn write<R: Iterator<Item = Result<Produced, ReplayError>>>(
    command: &str,
    app: &str,
    common: &Common,
    parameters: String,
    records: &mut R,
    context: &Context,
    lines: impl FnOnce(&R) -> Vec<String>,
) -> Result<Exit> {
    let metrics = common.metrics.bind()?;
    let stop = Stop::on_signals()?;
    let (watch, written) = produce::show(metrics, app, &stop, context.console)?;
    let log = context.home.open_or_create(context.console)?;
    used_topics::create(&*log, &used_topics::written_by(command), common.partitions)?;
    watch.opened(&log, &Topology::changelog_of(app));
    context.console.say(format_args!("{app}: writing `{}` into {}", common.from.display(), log.address()));
    let plan = Plan {
        app: app.to_owned(),
        parameters,
        rate_per_second: common.rate,
        notice: context.console.notice(),
        written,
    };
    let ingested = produce::write(log, plan, records.by_ref(), &stop)?;
    context.console.say(produce::progress(app, &ingested));
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
