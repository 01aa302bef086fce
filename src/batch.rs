//! `batch discount`: the nightly job over a read store.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use clap::{Args, Subcommand};
use jiff::tz::TimeZoneDatabase;
use jiff::{Timestamp, ToSpan as _};
use tidegate_batch::{
    BusinessDay, CHUNK_INVOICES, Conflict, Counts, CurrencyTotals, DEFAULT_OUTPUT_STORE, DEFAULT_ZONE,
    Discount, Event, Invoice, Migration, Percent, Reject, Summary,
};
use tidegate_runtime::quote::quoted;
use tidegate_runtime::time::EventTime;

use crate::cli::Context;
use crate::console::Console;
use crate::exit::Exit;
use crate::moment;
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
    /// The discount in percent: 0 to 100, with up to four decimals.
    // Read later: a number that is out of range has an exit code of its own.
    #[arg(long, default_value_t = Percent::DEFAULT.to_string(), allow_hyphen_values = true)]
    percent: String,
    /// The time zone the day is a day in.
    #[arg(long, default_value = DEFAULT_ZONE)]
    zone: String,
    /// Invoices of a later event time are rejects: RFC 3339 or milliseconds.
    #[arg(long, value_name = "TIME", default_value_t = EventTime::DEFAULT_MAX, value_parser = moment::parse)]
    max_event_time: EventTime,
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
        percent: args.percent.parse()?,
        max_event_time_ms: args.max_event_time.0,
        chunk_invoices: CHUNK_INVOICES,
    };
    let (day, share, from, out) =
        (job.day.clone(), job.percent, job.read_store.display(), job.output_store.clone());
    let csv = job.export.clone();
    context.console.say(format_args!(
        "discount: {share} % off the invoices of {} in `{from}`, into `{}`",
        name_of(&day),
        out.display()
    ));
    let stop = Stop::on_signals()?;
    let Some(summary) = run_until_stopped(job, &stop, context.console)? else {
        context.console.say("discount: stopped; what was committed stays, the same command goes on");
        return Ok(stop.exit(false));
    };
    report(&day, &summary, csv.as_deref(), context.console);
    if summary.needs_a_person() {
        list(&summary, context.console);
        return Err(unsettled(&day, &summary.counts, &out));
    }
    Ok(Exit::Done)
}

/// The job has no way to be asked to stop: it is left behind, which is safe, because it commits whole chunks and the next execution
/// closes the one left open.
fn run_until_stopped(job: Discount, stop: &Stop, console: Console) -> Result<Option<Summary>> {
    let (sender, outcome) = channel();
    let work = move || {
        let mut now_ms = || Timestamp::now().as_millisecond();
        let mut on_event = |event: Event<'_>| {
            if let Event::Migrated(migration) = event {
                report_migration(migration, &job.output_store, console);
            }
        };
        // Nobody waits any more if the process is stopping.
        let _ = sender.send(job.run(&mut now_ms, &mut on_event));
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

fn report_migration(migration: &Migration, store: &Path, console: Console) {
    let Migration { from, to, discounts, mixed_days, mixed_day_count } = migration;
    console.say(format_args!(
        "discount: migrated `{}` from format {from} to {to}; all {discounts} discounts are kept",
        store.display()
    ));
    for day in mixed_days {
        console.say(format_args!(
            "discount: {} has discounts made with different parameters; they stay as they are, and the day keeps `--percent {} --zone {}`",
            day.business_date, day.percent, day.zone
        ));
    }
    let unlisted = mixed_day_count - mixed_days.len() as u64;
    if unlisted > 0 {
        console.say(format_args!("discount: and {unlisted} more such days"));
    }
}

fn report(day: &BusinessDay, summary: &Summary, csv: Option<&Path>, console: Console) {
    let Counts { read, discounted, doubled, discounted_before, conflicts, settled, rejected, .. } =
        summary.counts;
    let mut line = format!(
        "discount: execution {} read {read} invoices: {discounted} discounted, {doubled} doubled and skipped, {discounted_before} \
         discounted before",
        summary.execution_id
    );
    for (count, what) in
        [(conflicts, "in conflict"), (settled, "in a settled conflict"), (rejected, "rejected")]
    {
        if count > 0 {
            line.push_str(&format!(", {count} {what}"));
        }
    }
    console.say(line);
    for CurrencyTotals { currency, invoices, amount_minor, discount_minor, remaining_minor } in
        &summary.totals
    {
        console.say(format_args!(
            "discount: {} in all: {invoices} invoices in {currency}, minor units: total {amount_minor}, discount {discount_minor}, \
             remaining {remaining_minor}",
            name_of(day)
        ));
    }
    if let (Some(rows), Some(csv)) = (summary.exported, csv) {
        console.say(format_args!("discount: exported {rows} rows to `{}`", csv.display()));
    }
}

/// Conflicts and rejects by name, also under `--quiet`: each is an invoice that somebody expects a discount on.
fn list(summary: &Summary, console: Console) {
    for Conflict { conflict_id, invoice, discounted, execution_id } in &summary.conflicts {
        console.problem(format_args!(
            "discount: conflict {conflict_id}: {} is not discounted; execution {execution_id} discounted {}",
            described(invoice),
            described(discounted)
        ));
    }
    for Reject { invoice, why } in &summary.rejects {
        let why = why.message(|text| quoted(text).to_string());
        console.problem(format_args!("discount: rejected: {}: {why}", described(invoice)));
    }
    let Counts { conflicts, rejected, .. } = summary.counts;
    for (count, listed, what) in [
        (conflicts, summary.conflicts.len(), "conflicts"),
        (rejected, summary.rejects.len(), "rejected records"),
    ] {
        let unlisted = count.saturating_sub(listed as u64);
        if unlisted > 0 {
            console.problem(format_args!("discount: and {unlisted} more {what}"));
        }
    }
}

fn unsettled(day: &BusinessDay, counts: &Counts, out: &Path) -> anyhow::Error {
    let mut parts = Vec::new();
    if counts.conflicts > 0 {
        parts.push(format!(
            "{} have the number of another invoice; correct their numbers, or write what was decided into `resolution` in the table \
             `conflicts` of `{}`",
            counts.conflicts,
            out.display()
        ));
    }
    if counts.rejected > 0 {
        parts.push(format!("{} are no valid invoices; correct them at their source", counts.rejected));
    }
    let parts = parts.join("; ");
    Exit::Input.because(format!("some invoices of {} are not discounted: {parts}", name_of(day)))
}

/// An invoice on one line, its text escaped and bounded.
fn described(invoice: &Invoice) -> String {
    format!(
        "invoice {} of customer {} ({}, {} {}, record [{}]@{})",
        quoted(&invoice.invoice_id),
        quoted(&invoice.customer_id),
        EventTime(invoice.issued_at),
        invoice.amount_minor,
        invoice.currency,
        invoice.source_partition,
        invoice.source_offset
    )
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
