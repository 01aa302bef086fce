//! The topics a command uses: it creates those that are missing, and looks at no others.
//!
//! Guarantees: a command needs rights on the topics it uses only, and the partition counts of other topics are no matter to it. A topic
//! that exists keeps its partitions; another count that is asked for is refused.

use anyhow::Result;
use clap::Args;
use tidegate_runtime::log::{Cleanup, Log, TopicSpec};
use tidegate_schemas::{TOPICS, Topic};

/// For commands that may be the first on a log.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct PartitionArgs {
    /// Partitions of the topics that are created now [default: 4, or as many as the topics they are read with or made of; `radars` and
    /// `owners` always have 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    partitions: Option<u32>,
}

/// A topic that is created if it is missing.
#[derive(Clone, Debug)]
pub(crate) struct UsedTopic {
    name: String,
    /// The row of the table whose shape it has.
    shape: &'static Topic,
    /// The topic whose number of partitions it gets, unless another is asked for.
    partitions_of: Option<String>,
}

impl UsedTopic {
    /// A topic of the table.
    pub(crate) fn of_table(shape: &'static Topic) -> UsedTopic {
        UsedTopic { name: shape.name.to_owned(), shape, partitions_of: None }
    }

    /// A topic that is read together with `like`, if that is there: it gets as many partitions, unless every task reads it whole.
    pub(crate) fn input(name: &str, shape: &'static Topic, like: Option<&str>) -> UsedTopic {
        let like = like.filter(|_| shape.partitions > 1);
        UsedTopic { name: name.to_owned(), shape, partitions_of: like.map(str::to_owned) }
    }

    /// A topic that holds what is made of `input`: it gets as many partitions.
    pub(crate) fn output(name: &str, shape: &'static Topic, input: &str) -> UsedTopic {
        UsedTopic { name: name.to_owned(), shape, partitions_of: Some(input.to_owned()) }
    }
}

/// The topics that this command writes.
pub(crate) fn written_by(command: &str) -> Vec<UsedTopic> {
    let writes = |topic: &&&'static Topic| topic.writers.contains(&command);
    TOPICS.iter().filter(writes).map(|topic| UsedTopic::of_table(topic)).collect()
}

/// Those of these topics that stand in the table: others must be there.
pub(crate) fn known<'n>(names: impl Iterator<Item = &'n str>) -> Vec<UsedTopic> {
    names.filter_map(tidegate_schemas::topic).map(UsedTopic::of_table).collect()
}

/// Creates those that are missing.
pub(crate) fn create(log: &dyn Log, topics: &[UsedTopic], asked: PartitionArgs) -> Result<()> {
    let sources = topics.iter().filter_map(|topic| topic.partitions_of.as_deref());
    let mut names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).chain(sources).collect();
    names.sort_unstable();
    names.dedup();
    let existing = log.topics_of(&names)?;
    let partitions_of =
        |name: &str| existing.iter().find(|found| found.name == name).map(|found| found.partitions);
    let spec = |topic: &UsedTopic| {
        // A topic with one partition in the table is read whole by every task.
        let asked = asked.partitions.filter(|_| topic.shape.partitions > 1);
        let of_source = || topic.partitions_of.as_deref().and_then(partitions_of);
        let partitions = asked.or_else(|| partitions_of(&topic.name)).or_else(of_source);
        let cleanup = match topic.shape.cleanup {
            tidegate_schemas::Cleanup::Delete => Cleanup::Delete,
        };
        TopicSpec {
            name: topic.name.clone(),
            partitions: partitions.unwrap_or(topic.shape.partitions),
            cleanup,
        }
    };
    Ok(log.create_topics(&topics.iter().map(spec).collect::<Vec<_>>())?)
}
