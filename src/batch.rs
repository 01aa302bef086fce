//! `batch discount`: the nightly job over a read store.

use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use clap::{Args, Subcommand};
use jiff::tz::TimeZoneDatabase;
use jiff::{Timestamp, ToSpan as _};
use tidegate_batch::{
    BusinessDay, CHUNK_INVOICES, Counts, CurrencyTotals, DEFAULT_OUTPUT_STORE, DEFAULT_ZONE, Discount,
    Percent, Summary,
};

use crate::cli::Context;
use crate::exit::Exit;
use crate::signals::Stop;

/// How often a running job is asked whether it was asked to stop: a person notices nothing below.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Which job.
#[derive(Debug, Subcommand)]
pub(crate) enum Batch {
    /// Take a share off every invoice of a business day, each once however often it is run.
    Discount(DiscountArgs),
}

/// `batch discount`.
#[derive(Args, Debug)]
pub(crate) struct DiscountArgs {
    /// The business day: `2010-12-01`, or `yesterday` in --zone.
    #[arg(long)]
    date: String,
    /// How much to take off, in percent, with up to four decimals.
    #[arg(long, default_value_t = Percent::DEFAULT)]
    percent: Percent,
    /// The time zone the day is a day in.
    #[arg(long, default_value = DEFAULT_ZONE)]
    zone: String,
    /// The read store: a file that `sink sqlite` writes, with `invoices` in it.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The output store.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_OUTPUT_STORE)]
    out: PathBuf,
    /// Also write the day's results as CSV.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

/// Carries out `batch`.
pub(crate) fn run(batch: Batch, context: &Context) -> Result<Exit> {
    let Batch::Discount(args) = batch;
    let date = if args.date == "yesterday" { yesterday(&args.zone, Timestamp::now())? } else { args.date };
    let job = Discount {
        read_store: args.from,
        output_store: args.out,
        export: args.csv,
        day: BusinessDay::parse(&date, &args.zone)?,
        percent: args.percent,
        chunk_invoices: CHUNK_INVOICES,
    };
    let (day, share, from) = (job.day.clone(), job.percent, job.read_store.display());
    context
        .console
        .say(format_args!("discount: {share} % off the invoices of {} in `{from}`", name_of(&day)));
    let stop = Stop::on_signals()?;
    let Some(summary) = run_until_stopped(job, &stop)? else {
        context.console.say("discount: stopped; what was committed stays, the same command goes on");
        return Ok(stop.exit(false));
    };
    report(&day, &summary, context);
    Ok(Exit::Done)
}

/// The job has no way to be asked to stop: it is left behind, which is safe, because it commits whole chunks and the next execution
/// closes the one left open.
fn run_until_stopped(job: Discount, stop: &Stop) -> Result<Option<Summary>> {
    let (sender, outcome) = channel();
    let work = move || {
        let mut now_ms = || Timestamp::now().as_millisecond();
        // Nobody waits any more if the process is stopping.
        let _ = sender.send(job.run(&mut now_ms, &mut |_: &Counts| {}));
    };
    thread::Builder::new().name("discount".to_owned()).spawn(work).context("could not start a thread")?;
    loop {
        match outcome.recv_timeout(LOOK_INTERVAL) {
            Ok(summary) => return Ok(Some(summary?)),
            Err(RecvTimeoutError::Timeout) if stop.is_requested() => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(anyhow!("the job panicked")),
        }
    }
}

fn report(day: &BusinessDay, summary: &Summary, context: &Context) {
    let Counts { read, discounted, doubled, discounted_before, .. } = summary.counts;
    context.console.say(format_args!(
        "discount: execution {} read {read} invoices: {discounted} discounted, {doubled} doubled and skipped, {discounted_before} \
         discounted before",
        summary.execution_id
    ));
    for CurrencyTotals { currency, invoices, amount_minor, discount_minor, remaining_minor } in
        &summary.totals
    {
        context.console.say(format_args!(
            "discount: {} in all: {invoices} invoices in {currency}, minor units: total {amount_minor}, discount {discount_minor}, \
             remaining {remaining_minor}",
            name_of(day)
        ));
    }
    if let Some(rows) = summary.exported {
        context.console.say(format_args!("discount: {rows} rows exported"));
    }
}

fn name_of(day: &BusinessDay) -> String {
    format!("{} ({})", day.date(), day.zone())
}

/// For a timer at night: the day before today in that zone.
fn yesterday(zone: &str, now: Timestamp) -> Result<String> {
    let rules = TimeZoneDatabase::bundled().get(zone);
    let rules = rules.map_err(|_| tidegate_batch::Error::UnknownZone { value: zone.to_owned() })?;
    let day = now.to_zoned(rules).date().checked_sub(1.day()).context("the clock shows no usable date")?;
    Ok(day.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yesterday_is_the_day_before_in_the_zone() {
        let now: Timestamp = "2011-07-01T23:30:00Z".parse().unwrap();
        assert_eq!(yesterday("UTC", now).unwrap(), "2011-06-30");
        assert_eq!(yesterday("Europe/London", now).unwrap(), "2011-07-01");
        assert_eq!(Exit::of(&yesterday("Europe/Lundon", now).unwrap_err()), Exit::Usage);
    }
}
