//! `process totals`.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use tidegate_processors::billing::{TotalsOptions, totals_topology};
use tidegate_runtime::window::{Emit, TimeWindows};
use tidegate_schemas::topics::{CUSTOMER_TOTALS, INVOICES};

use super::topics::Topics;
use super::{Common, host};
use crate::cli::Context;
use crate::exit::Exit;
use crate::{duration, name};

/// The default name.
pub(super) const APP: &str = "totals";

/// `process totals`.
#[derive(Args, Debug)]
pub(crate) struct Totals {
    /// How long a window is.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "5s")]
    size: Duration,
    /// How far apart two windows start [default: the size, windows side by side].
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    advance: Option<Duration>,
    /// How long after its end, in event time, a window still takes records.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "0s")]
    grace: Duration,
    /// `close`: one final result per window; `updates`: running results, the last of which counts.
    #[arg(long, value_name = "WHEN", default_value = "close")]
    emit: Emit,
    /// The topic of the invoices; one with another name than the default must be there.
    #[arg(long, value_name = "TOPIC", default_value = INVOICES.name)]
    input: String,
    /// The topic for the totals [default: `customer-totals`, and `APP-customer-totals` with another --app; an application that has
    /// state goes on with its topic].
    #[arg(long, value_name = "TOPIC")]
    output: Option<String>,
    /// The application's name: its group, its state and its own topics.
    #[arg(long, default_value = APP, value_parser = name::parse)]
    app: String,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: Totals, context: &Context) -> Result<Exit> {
    let size_ms = duration::as_ms(args.size);
    let advance_ms = args.advance.map_or(size_ms, duration::as_ms);
    let windows = TimeWindows::hopping(size_ms, advance_ms, duration::as_ms(args.grace))?;
    let options = TotalsOptions { windows, emit: args.emit, max_event_time: args.common.max_event_time };
    let topics = Topics {
        inputs: vec![(&INVOICES, args.input)],
        output: (&CUSTOMER_TOTALS, args.output),
        default_app: APP,
    };
    host(totals_topology(args.app, options), &topics, &args.common, context)
}
