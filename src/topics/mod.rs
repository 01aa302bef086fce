//! `topics list|describe|tail`: looking into topics, whoever they belong to.

mod describe;
mod list;
mod merge;
mod newest;
mod record;
mod shape;
mod start;
mod tail;

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use tidegate_runtime::log::{Log, Offset, TopicInfo, TopicPartition, Watermarks};

pub(crate) use self::newest::stretches;
use crate::cli::Context;
use crate::exit::Exit;

/// What to look at.
#[derive(Debug, Subcommand)]
pub(crate) enum Topics {
    /// Every topic with its partitions and how many offsets it holds.
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
    let log = context.home.look()?;
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
    let all: Vec<_> = (0..topic.partitions).map(|number| TopicPartition::new(name.clone(), number)).collect();
    log.watermarks_of(&all)
}

fn find(log: &dyn Log, name: &str) -> tidegate_runtime::Result<TopicInfo> {
    log.topic(name)?.ok_or_else(|| tidegate_runtime::Error::UnknownTopic(name.to_owned()))
}

/// How many offsets of a partition readers cannot come to while a transaction is open; `readable` is where they stand still.
pub(crate) fn held_back(marks: Watermarks, readable: Offset) -> Option<i64> {
    Some(marks.high.since(readable)).filter(|held| *held > 0)
}

/// Who to ask whose transaction it is: Kafka's own tool.
pub(crate) fn producers_of(log: &dyn Log, partition: &TopicPartition) -> String {
    format!(
        "`kafka-transactions.sh --bootstrap-server {} describe-producers --topic {} --partition {}` lists its producers",
        log.address(),
        partition.topic,
        partition.partition
    )
}
