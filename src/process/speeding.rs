//! `process speeding`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use tidegate_processors::speeding::{Schedule, SpeedingOptions, speeding_topology};
use tidegate_schemas::topics::{INFRACTIONS, RADARS, READINGS, VEHICLES};

use super::topics::Topics;
use super::{Common, host};
use crate::cli::Context;
use crate::exit::Exit;
use crate::{duration, name};

/// The default name.
pub(super) const APP: &str = "speeding";

/// `process speeding`.
#[derive(Args, Debug)]
pub(crate) struct Speeding {
    /// Margins, fines and points, as TOML [default: the French rules in force].
    #[arg(long, value_name = "FILE")]
    schedule: Option<PathBuf>,
    /// How long, in event time, a reading waits for a missing registration before it is a dead letter.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "30d")]
    hold_for: Duration,
    /// The topic of the readings; one with another name than the default must be there, and so for the two that follow.
    #[arg(long, value_name = "TOPIC", default_value = READINGS.name)]
    readings: String,
    /// The topic of the radars.
    #[arg(long, value_name = "TOPIC", default_value = RADARS.name)]
    radars: String,
    /// The topic of the vehicles; it has as many partitions as that of the readings.
    #[arg(long, value_name = "TOPIC", default_value = VEHICLES.name)]
    vehicles: String,
    /// The topic for the infractions [default: `infractions`, and `APP-infractions` with another --app; an application that has
    /// state goes on with its topic].
    #[arg(long, value_name = "TOPIC")]
    output: Option<String>,
    /// The application's name: its group, its state and its own topics.
    #[arg(long, default_value = APP, value_parser = name::parse)]
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
    let topics = Topics {
        inputs: vec![(&RADARS, args.radars), (&VEHICLES, args.vehicles), (&READINGS, args.readings)],
        output: (&INFRACTIONS, args.output),
        default_app: APP,
    };
    host(speeding_topology(args.app, options), &topics, &args.common, context)
}
