//! `groups`: who reads, how far they are, how much lies before them.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tidegate_runtime::log::{GroupInfo, Log, Offset, TopicPartition};

use crate::cli::Context;
use crate::console::Output;
use crate::exit::Exit;
use crate::table;
use crate::topics::Format;

/// `groups`.
#[derive(Args, Debug)]
pub(crate) struct Groups {
    /// Only this group.
    group: Option<String>,
    /// For people, or a JSON object per group and line.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// One partition of a group.
struct Row<'g> {
    partition: TopicPartition,
    /// Nothing is committed yet.
    offset: Option<Offset>,
    end: Offset,
    lag_records: i64,
    member: Option<&'g str>,
}

/// Carries out `groups`.
pub(crate) fn run(args: &Groups, context: &Context) -> Result<Exit> {
    let log = context.home.open_existing()?;
    let mut groups = log.groups()?;
    if let Some(name) = &args.group {
        groups.retain(|group| group.group == *name);
        if groups.is_empty() {
            let message = format!("there is no group `{name}`; `tidegate groups` shows what there is");
            return Err(Exit::NotFound.because(message));
        }
    }
    let mut output = Output::new();
    for (number, group) in groups.iter().enumerate() {
        let rows = rows(&*log, group)?;
        match args.format {
            Format::Json => output.json(as_json(group, &rows))?,
            Format::Text => {
                if number > 0 {
                    output.line("")?;
                }
                as_text(group, &rows).iter().try_for_each(|line| output.line(line))?;
            }
        }
    }
    output.flush()?;
    Ok(Exit::Done)
}

fn rows<'g>(log: &dyn Log, group: &'g GroupInfo) -> Result<Vec<Row<'g>>> {
    let mut partitions: BTreeMap<&TopicPartition, (Option<Offset>, Option<&str>)> = BTreeMap::new();
    for (partition, offset) in &group.offsets {
        partitions.entry(partition).or_default().0 = Some(*offset);
    }
    for member in &group.members {
        for partition in &member.partitions {
            partitions.entry(partition).or_default().1 = Some(&member.member);
        }
    }
    let row = |(partition, (offset, member)): (&TopicPartition, (Option<Offset>, Option<&'g str>))| {
        let marks = log.watermarks(partition)?;
        let lag_records = marks.high.since(offset.unwrap_or(marks.low)).max(0);
        Ok(Row { partition: partition.clone(), offset, end: marks.high, lag_records, member })
    };
    partitions.into_iter().map(row).collect()
}

fn as_text(group: &GroupInfo, rows: &[Row<'_>]) -> Vec<String> {
    let lag_records: i64 = rows.iter().map(|row| row.lag_records).sum();
    let members = group.members.len();
    let generation =
        group.generation.map_or_else(String::new, |generation| format!(", generation {generation}"));
    let mut lines =
        vec![format!("group {}: {members} members{generation}, lag {lag_records} records", group.group)];
    let cells = rows.iter().map(|row| {
        vec![
            row.partition.to_string(),
            row.offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string()),
            row.end.to_string(),
            row.lag_records.to_string(),
            row.member.unwrap_or("-").to_owned(),
        ]
    });
    lines.extend(table::lines(
        &["PARTITION", "OFFSET", "END", "LAG_RECORDS", "MEMBER"],
        &cells.collect::<Vec<_>>(),
    ));
    lines
}

fn as_json(group: &GroupInfo, rows: &[Row<'_>]) -> serde_json::Value {
    let partitions = rows.iter().map(|row| {
        json!({
            "topic": &*row.partition.topic,
            "partition": row.partition.partition,
            "offset": row.offset.map(|offset| offset.0),
            "end": row.end.0,
            "lag_records": row.lag_records,
            "member": row.member,
        })
    });
    let members = group.members.iter().map(|member| {
        let owned = member.partitions.iter().map(ToString::to_string);
        json!({ "member": member.member, "partitions": owned.collect::<Vec<_>>() })
    });
    json!({
        "group": group.group,
        "generation": group.generation,
        "members": members.collect::<Vec<_>>(),
        "partitions": partitions.collect::<Vec<_>>(),
    })
}
