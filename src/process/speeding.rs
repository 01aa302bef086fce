//! `process speeding`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use tidegate_processors::speeding::{Schedule, SpeedingOptions, speeding_topology};

use super::{Common, host};
use crate::cli::Context;
use crate::exit::Exit;
use crate::{duration, name};

/// `process speeding`.
#[derive(Args, Debug)]
pub(crate) struct Speeding {
    /// Margins, fines and points, as TOML [default: the French rules in force].
    #[arg(long, value_name = "FILE")]
    schedule: Option<PathBuf>,
    /// How long, in event time, a reading waits for a missing registration before it is a dead letter.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "30d")]
    hold_for: Duration,
    /// The application's name: its group, its state and its own topics.
    #[arg(long, default_value = "speeding", value_parser = name::parse)]
    app: String,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: Speeding, context: &Context) -> Result<Exit> {
    let options = SpeedingOptions {
        schedule: args.schedule.as_deref().map_or_else(|| Ok(Schedule::france()), Schedule::from_file)?,
        hold_for_ms: duration::as_ms(args.hold_for),
        max_event_time: args.common.max_event_time,
    };
    host(&speeding_topology(args.app, options), &args.common, context)
}
