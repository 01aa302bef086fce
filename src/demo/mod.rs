//! `demo`: everything at once in one process, on a log of its own, and at the end a look at whether it all adds up.
//!
//! Promise: each phase may be interrupted and done again, because every stage in it goes on where it was; so the same command
//! finishes a demo that was stopped or killed. A finished one is never run again and never deleted unasked. Broken by: a phase that
//! begins before the one in front of it is done.

mod check;
mod input;
mod place;
mod sample;
mod stages;
mod summary;
mod tap;
mod view;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use tidegate_schemas::TOPICS;

use self::check::Check;
use self::place::Place;
use self::sample::{Phase, Sampler};
use self::stages::Stages;
use self::view::View;

use crate::cli::Context;
use crate::console::Output;
use crate::exit::Exit;
use crate::signals::Stop;
use crate::used_topics::{self, PartitionArgs};

/// `demo`.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// Directory for the log and everything the demo writes: a new one, or one an unfinished demo left.
    // The id of the global flag: clap keeps that one's value too, so that both mean the same place, and only the default differs.
    #[arg(long, value_name = "DIR", default_value = "./tidegate-demo")]
    data: PathBuf,
    /// How long readings and invoices come in.
    // Everything is read back into memory for the self-check: ten minutes of it are a few hundred megabytes.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// The same seed gives the same readings and invoices.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Delete what an earlier demo left in the directory, and start over.
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    partitions: PartitionArgs,
}

/// What a demo's records depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Scenario {
    seed: u64,
    seconds: u32,
}

/// Carries out `demo`.
pub(crate) fn run(args: &Demo, context: &Context) -> Result<Exit> {
    let scenario = Scenario { seed: args.seed, seconds: args.seconds };
    let stop = Stop::on_signals()?;
    let place = Place::take(&args.data, scenario, args.fresh)?;
    match play(&place, scenario, args.partitions, context, &stop)? {
        Some(checks) => finish(&place, scenario, &checks, &stop),
        None => {
            let (again, fresh) = summary::ways_on(&place, scenario);
            context.console.say("demo: stopped; everything it wrote is committed");
            context.console.say(format_args!("demo: `{again}` goes on"));
            context.console.say(format_args!("demo: `{fresh}` starts over"));
            Ok(stop.exit(false))
        }
    }
}

/// The phases, one after the other; none if it was stopped before the last one was done.
fn play(
    place: &Place,
    scenario: Scenario,
    partitions: PartitionArgs,
    context: &Context,
    stop: &Stop,
) -> Result<Option<Vec<Check>>> {
    let log = context.home.open_or_create(context.console)?;
    let used = used_topics::known(TOPICS.iter().map(|topic| topic.name));
    used_topics::create(&*log, &used, partitions)?;
    let stages = Stages::new(log.clone(), place, scenario, stop, context.console.notice())?;
    let tap = tap::Tap::open(log.clone())?;
    let mut sampler = Sampler::new(&stages, &tap);
    let mut view = View::choose(context.console);
    let mut look = |phase: Phase| view.show(&sampler.sample(phase));
    stages.write_registries()?;
    for phase in [Phase::Live, Phase::Rest, Phase::Files] {
        if stop.is_requested() {
            return Ok(None);
        }
        match phase {
            Phase::Live => stages.live(|| look(phase))?,
            Phase::Rest => stages.process_rest(|| look(phase))?,
            Phase::Files | Phase::Discount | Phase::Check => stages.finish_files(|| look(phase))?,
        }
    }
    if stop.is_requested() {
        return Ok(None);
    }
    look(Phase::Discount);
    if stages.discount()?.is_none() {
        return Ok(None);
    }
    look(Phase::Check);
    check::run(log.as_ref(), place, &stages, stop)
}

fn finish(place: &Place, scenario: Scenario, checks: &[Check], stop: &Stop) -> Result<Exit> {
    let wrong = checks.iter().filter(|check| !check.ok).count();
    place.finish(&summary::text(place, scenario, checks, view::Palette::PLAIN))?;
    let mut output = Output::new();
    if view::can_draw() {
        // Below the last picture, which stays.
        output.line("")?;
    }
    output.coloured(&summary::text(place, scenario, checks, view::Palette::choose()))?;
    output.flush()?;
    if wrong == 0 {
        return Ok(stop.exit(true));
    }
    let message = format!(
        "`{wrong}` of the demo's own checks found a mismatch; please report it with `{}`",
        place.summary().display()
    );
    Err(Exit::Failed.because(message))
}
