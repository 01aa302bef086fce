//! Which log: the flags that name it, and opening it.
//!
//! Promise: commands that write make the topics of the table; commands that only look create nothing, not even a directory. A topic
//! that exists keeps its partitions; another count that was asked for is refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Args;
use tidegate_runtime::log::embedded::EmbeddedLog;
use tidegate_runtime::log::{Cleanup, Log, TopicSpec};
use tidegate_schemas::TOPICS;

use crate::exit::Exit;

/// What an embedded log is recognised by.
const LOG_FILE: &str = "log.sqlite3";

/// Which log to use.
#[derive(Args, Clone, Debug)]
pub(crate) struct HomeArgs {
    /// Directory of the embedded log.
    // Not `TIDEGATE_DATA`: the tests name the folder with the real files so.
    #[arg(
        long,
        value_name = "DIR",
        global = true,
        env = "TIDEGATE_DATA_DIR",
        default_value = "./tidegate-data",
        help_heading = "Global options"
    )]
    data: PathBuf,
}

/// For commands that may be the first on a log.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct PartitionArgs {
    /// Partitions of the topics that are made now; 4 by default, and 1 for `radars` and `owners` always.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    partitions: Option<u32>,
}

impl HomeArgs {
    /// The log, made if it is not there, with every topic of the table.
    pub(crate) fn open_or_create(&self, partitions: PartitionArgs) -> Result<Arc<dyn Log>> {
        self.check_place()?;
        let log = EmbeddedLog::open(&self.data)?;
        create_topics(&log, partitions.partitions)?;
        Ok(Arc::new(log))
    }

    /// The log as it is; nothing is made.
    pub(crate) fn open_existing(&self) -> Result<Arc<dyn Log>> {
        self.check_place()?;
        // A directory that may not be searched is another thing than one that holds no log.
        let found = self.data.join(LOG_FILE).try_exists();
        if !found.with_context(|| format!("could not look into `{}`", self.data.display()))? {
            let message = format!(
                "there is no log in `{}`; name its directory with --data, or start one with `tidegate simulate`",
                self.data.display()
            );
            return Err(Exit::NotFound.because(message));
        }
        Ok(Arc::new(EmbeddedLog::open(&self.data)?))
    }

    /// Where what belongs to this machine and not to the log is kept.
    pub(crate) fn directory(&self) -> &Path {
        &self.data
    }

    fn check_place(&self) -> Result<()> {
        if self.data.exists() && !self.data.is_dir() {
            let message = format!("`{}` is a file; name a directory with --data", self.data.display());
            return Err(Exit::NoAccess.because(message));
        }
        Ok(())
    }
}

fn create_topics(log: &dyn Log, partitions: Option<u32>) -> Result<()> {
    let existing = log.topics()?;
    let mut specs = Vec::new();
    for topic in TOPICS {
        // A topic with one partition in the table is read whole by every task.
        let asked = partitions.filter(|_| topic.partitions > 1);
        let found = existing.iter().find(|found| found.name == topic.name);
        let partitions = asked.or(found.map(|found| found.partitions)).unwrap_or(topic.partitions);
        let cleanup = match topic.cleanup {
            tidegate_schemas::Cleanup::Delete => Cleanup::Delete,
        };
        specs.push(TopicSpec { name: topic.name.to_owned(), partitions, cleanup });
    }
    Ok(log.create_topics(&specs)?)
}
