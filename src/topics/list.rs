//! `topics list`.

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tidegate_runtime::log::Log;

use super::{Format, cleanup, watermarks};
use crate::console::Output;
use crate::exit::Exit;
use crate::table;

/// `topics list`.
#[derive(Args, Debug)]
pub(crate) struct List {
    /// For people, or JSON objects, one a line.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Prints every topic. Offsets are counted, not records: on Kafka, markers and aborted records take offsets too.
pub(super) fn run(args: &List, log: &dyn Log) -> Result<Exit> {
    let mut rows = Vec::new();
    let mut output = Output::new();
    for topic in log.topics()? {
        let offsets: i64 = watermarks(log, &topic)?.iter().map(|marks| marks.high.since(marks.low)).sum();
        let cleanup = cleanup(&topic);
        if args.format == Format::Json {
            let partitions = topic.partitions;
            output.json(json!({ "topic": topic.name, "partitions": partitions, "cleanup": cleanup, "offsets": offsets }))?;
        }
        rows.push(vec![topic.name, topic.partitions.to_string(), cleanup.to_owned(), offsets.to_string()]);
    }
    if args.format == Format::Text {
        let header = ["TOPIC", "PARTITIONS", "CLEANUP", "OFFSETS"];
        table::lines(&header, &rows).iter().try_for_each(|line| output.line(line))?;
    }
    output.flush()?;
    Ok(Exit::Done)
}
