//! `groups`: who reads, how far they are, how much lies before them.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tidegate_runtime::log::{GroupInfo, Log, Offset, TopicPartition, Watermarks};

use crate::cli::Context;
use crate::console::Output;
use crate::exit::Exit;
use crate::table;
use crate::topics::{Format, held_back, producers_of};

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
    /// Nothing without an offset: where such a member begins is its own choice.
    lag_offsets: Option<i64>,
    /// How many offsets before the end readers cannot come to, because a transaction is open.
    held_back: Option<i64>,
    member: Option<&'g str>,
}

/// Carries out `groups`.
pub(crate) fn run(args: &Groups, context: &Context) -> Result<Exit> {
    let log = context.home.look()?;
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
        for row in rows.iter().filter(|row| row.held_back.is_some()) {
            context.console.say(format_args!(
                "{}: an open transaction holds readers back; {}",
                row.partition,
                producers_of(&*log, &row.partition)
            ));
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
    let all: Vec<TopicPartition> = partitions.keys().map(|partition| (*partition).clone()).collect();
    // The stable ends last: a transaction that was committed between the two questions holds nothing back.
    let marks = log.watermarks_of(&all)?;
    let readable = log.stable_ends(&all)?;
    let known = partitions.into_values().zip(readable.into_iter().zip(marks));
    let row = |(partition, ((offset, member), (readable, marks))): (TopicPartition, Known<'g>)| Row {
        partition,
        offset,
        end: marks.high,
        lag_offsets: offset.map(|offset| marks.high.since(offset).max(0)),
        held_back: held_back(marks, readable),
        member,
    };
    Ok(all.into_iter().zip(known).map(row).collect())
}

/// What is known of a partition: the group's offset, who owns it, and how far it reaches.
type Known<'g> = ((Option<Offset>, Option<&'g str>), (Offset, Watermarks));

/// Without a committed offset there is nothing to count a lag from.
fn lag(rows: &[Row<'_>]) -> Option<i64> {
    let known: Vec<i64> = rows.iter().filter_map(|row| row.lag_offsets).collect();
    (!known.is_empty()).then(|| known.iter().sum())
}

fn as_text(group: &GroupInfo, rows: &[Row<'_>]) -> Vec<String> {
    let lag = lag(rows).map_or_else(|| "nothing committed".to_owned(), |lag| format!("lag {lag} offsets"));
    let members = group.members.len();
    let generation =
        group.generation.map_or_else(String::new, |generation| format!(", generation {generation}"));
    let mut lines = vec![format!("group {}: {members} members{generation}, {lag}", group.group)];
    let is_held = rows.iter().any(|row| row.held_back.is_some());
    let mut header = vec!["PARTITION", "OFFSET", "END", "LAG_OFFSETS", "MEMBER"];
    if is_held {
        header.insert(4, "HELD_BACK_OFFSETS");
    }
    let cells = rows.iter().map(|row| {
        let or_dash =
            |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let mut cells = vec![
            row.partition.to_string(),
            or_dash(row.offset.map(|offset| offset.0)),
            row.end.to_string(),
            or_dash(row.lag_offsets),
            row.member.unwrap_or("-").to_owned(),
        ];
        if is_held {
            cells.insert(4, or_dash(row.held_back));
        }
        cells
    });
    lines.extend(table::lines(&header, &cells.collect::<Vec<_>>()));
    lines
}

fn as_json(group: &GroupInfo, rows: &[Row<'_>]) -> serde_json::Value {
    let partitions = rows.iter().map(|row| {
        json!({
            "topic": &*row.partition.topic,
            "partition": row.partition.partition,
            "offset": row.offset.map(|offset| offset.0),
            "end": row.end.0,
            "lag_records": row.lag_offsets,
            "held_back_offsets": row.held_back.unwrap_or_default(),
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
