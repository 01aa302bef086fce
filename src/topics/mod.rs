//! `topics list|describe|tail`: looking into topics, whoever they belong to.

mod describe;
mod list;
mod merge;
mod record;
mod shape;
mod start;
mod tail;

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use tidegate_runtime::log::{Log, TopicInfo, TopicPartition, Watermarks};

use crate::cli::Context;
use crate::exit::Exit;

/// What to look at.
#[derive(Debug, Subcommand)]
pub(crate) enum Topics {
    /// Every topic with its partitions and records.
    List(list::List),
    /// One topic: key, schemas, who writes and reads it, the ends of its partitions.
    Describe(describe::Describe),
    /// Print records, decoded, merged over the partitions by event time: the last 10 unless told otherwise.
    Tail(tail::Tail),
}

/// How to print: for people, or one JSON object a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

/// Carries out `topics`.
pub(crate) fn run(topics: Topics, context: &Context) -> Result<Exit> {
    let log = context.home.open_existing()?;
    match topics {
        Topics::List(list) => list::run(&list, &*log),
        Topics::Describe(describe) => describe::run(&describe, &*log),
        Topics::Tail(tail) => tail::run(&tail, log, context.console),
    }
}

fn cleanup(topic: &TopicInfo) -> &'static str {
    match topic.cleanup {
        tidegate_runtime::log::Cleanup::Delete => "delete",
        tidegate_runtime::log::Cleanup::Compact => "compact",
    }
}

/// The ends of every partition, in order.
fn watermarks(log: &dyn Log, topic: &TopicInfo) -> tidegate_runtime::Result<Vec<Watermarks>> {
    let name: std::sync::Arc<str> = topic.name.as_str().into();
    (0..topic.partitions).map(|number| log.watermarks(&TopicPartition::new(name.clone(), number))).collect()
}

fn find(log: &dyn Log, name: &str) -> tidegate_runtime::Result<TopicInfo> {
    log.topic(name)?.ok_or_else(|| tidegate_runtime::Error::UnknownTopic(name.to_owned()))
}
