//! Which log: the flags that name it, and opening it.
//!
//! Guarantees: only commands that bring records in (`demo`, `simulate`, `replay`) create an embedded log, and they say so; every other
//! command refuses a directory without one, so a mistyped `--data` is noticed. Commands that only look create nothing, not even a
//! directory. Topics are created by the commands that use them, see `used_topics`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Args;
use tidegate_runtime::log::Log;
use tidegate_runtime::log::embedded::EmbeddedLog;
use tidegate_runtime::log::kafka::{Connection, KafkaLog};

use crate::config::flags::GLOBAL_OPTIONS;
use crate::config::{CONFIG, Given};
use crate::connection::{self, HostingArgs, KafkaArgs, Need, Timing, Where};
use crate::console::Console;
use crate::exit::Exit;
use crate::instance::Numbering;

/// What an embedded log is recognised by.
const LOG_FILE: &str = "log.sqlite3";

/// Which log to use.
#[derive(Args, Clone, Debug)]
pub(crate) struct HomeArgs {
    /// Directory of the embedded log, and of what belongs to this machine (variable: TIDEGATE_DATA_DIR).
    ///
    /// With --brokers the log is the Kafka cluster; this directory then only keeps the ids of the instances that run here, so that a
    /// restart takes its own again, and copies of their state, so that it need not read that from the cluster. While nothing runs
    /// here it may be deleted.
    #[arg(long, value_name = "DIR", global = true, default_value = "./tidegate-data", help_heading = GLOBAL_OPTIONS)]
    data: PathBuf,
    /// Take flags from this TOML file (variable: TIDEGATE_CONFIG).
    ///
    /// Every flag by its long name: those of every command at the top, those about Kafka in `[kafka]`, a command's own in a table named
    /// after it, as in `[process.totals]`. A flag wins over its variable, that over the file, that over the default.
    #[arg(long = CONFIG, value_name = "FILE", global = true, help_heading = GLOBAL_OPTIONS)]
    // Never read here: the file is taken in before the rest of the command line, see `config`.
    config: Option<PathBuf>,
    #[command(flatten)]
    kafka: KafkaArgs,
}

impl HomeArgs {
    /// The log that is meant; nothing is opened yet.
    pub(crate) fn choose(&self, given: &Given, need: Need, console: Console) -> Result<Home> {
        let mut warnings = Vec::new();
        let place = connection::choose(&self.kafka, given, need, &mut warnings)?;
        console.warn(&warnings);
        Ok(Home { data: self.data.clone(), place })
    }

    /// The embedded log, for a command that has its own or none: what was typed about a cluster is refused.
    pub(crate) fn embedded_only(&self, command: &str, why: &str) -> Result<Home> {
        connection::refuse(&self.kafka, command, why)?;
        Ok(Home { data: self.data.clone(), place: Where::Embedded })
    }
}

/// Which log, and what belongs to this machine.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    data: PathBuf,
    place: Where,
}

impl Home {
    /// Opens the log. An embedded one that is not there is created, which the user is told.
    pub(crate) fn open_or_create(&self, console: Console) -> Result<Arc<dyn Log>> {
        if matches!(self.place, Where::Kafka(_)) || self.has_log()? {
            return self.open_existing();
        }
        let log = EmbeddedLog::open(&self.data)?;
        console.say(format_args!("created a new log in `{}`", self.data.display()));
        Ok(Arc::new(log))
    }

    /// The log that is there; none is made.
    pub(crate) fn open_existing(&self) -> Result<Arc<dyn Log>> {
        self.open_by(EmbeddedLog::open)
    }

    /// The log as it is, for a command that only looks: it needs no right to write, and nothing is changed.
    pub(crate) fn look(&self) -> Result<Arc<dyn Log>> {
        self.open_by(EmbeddedLog::look)
    }

    fn open_by(&self, open: fn(&Path) -> tidegate_runtime::Result<EmbeddedLog>) -> Result<Arc<dyn Log>> {
        if let Where::Kafka(connection) = &self.place {
            return Ok(Arc::new(KafkaLog::open(connection.clone())?));
        }
        if !self.has_log()? {
            let message = format!(
                "there is no log in `{}`; name its directory with --data or a Kafka cluster with --brokers, or start one with `tidegate \
                 simulate`",
                self.data.display()
            );
            return Err(Exit::NotFound.because(message));
        }
        Ok(Arc::new(open(&self.data)?))
    }

    /// The same for the workers of a processor, which join a group and commit as they are told.
    pub(crate) fn hosting(&self, args: &HostingArgs, timing: Timing) -> Result<Home> {
        let place = match &self.place {
            Where::Embedded => args.refuse().map(|()| Where::Embedded)?,
            Where::Kafka(connection) => Where::Kafka(args.apply(connection, timing)?),
        };
        Ok(Home { place, ..self.clone() })
    }

    /// The cluster, if it is one.
    pub(crate) fn kafka(&self) -> Option<&Connection> {
        match &self.place {
            Where::Embedded => None,
            Where::Kafka(connection) => Some(connection),
        }
    }

    /// How instances without an id are named.
    pub(crate) fn numbering(&self) -> Numbering {
        self.kafka().map_or(Numbering::InDirectory, |_| Numbering::AmongMachines)
    }

    /// Where what belongs to this machine and not to the log is kept.
    pub(crate) fn directory(&self) -> &Path {
        &self.data
    }

    /// Where copies of an application's state are kept. The embedded log is on this machine itself.
    pub(crate) fn state_directory(&self, app: &str) -> Option<PathBuf> {
        self.kafka().map(|_| self.data.join("state").join(app))
    }

    /// True if the directory holds an embedded log.
    fn has_log(&self) -> Result<bool> {
        if self.data.exists() && !self.data.is_dir() {
            let message = format!("`{}` is a file; name a directory with --data", self.data.display());
            return Err(Exit::NoAccess.because(message));
        }
        // A directory that may not be searched is another thing than one that holds no log.
        let found = self.data.join(LOG_FILE).try_exists();
        found.with_context(|| format!("could not look into `{}`", self.data.display()))
    }
}
