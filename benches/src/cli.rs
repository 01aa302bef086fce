//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::peer::PeerName;
use crate::rounds;
use crate::work::{Job, Work};
use crate::{floor, place};

#[derive(Parser)]
#[command(version, about = "Measures Tidegate beside other stream processors", max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Customers' counts and totals per 5-second window, emitted on close
    Totals {
        /// How many invoices
        #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1..))]
        records: u64,
        /// How many customers: 100 is dense, 10000 sparse; each is measured by itself
        #[arg(long, default_values_t = [100, 10_000], value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
        keys: Vec<u64>,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Readings joined with vehicles and radars; one in ten is over the limit
    Speeding {
        /// How many readings
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
        records: u64,
        /// How many vehicles; each number is measured by itself
        #[arg(long, default_values_t = [100_000], value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
        keys: Vec<u64>,
        #[command(flatten)]
        run: RunArgs,
    },
    /// What the harness starts to be measured
    #[command(hide = true)]
    Floor { brokers: String, topic: String, group: String },
}

/// Which log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Home {
    /// The log of Tidegate's own; its peers do not know it.
    Embedded,
    /// A Kafka broker.
    Kafka,
}

#[derive(Args)]
pub(crate) struct RunArgs {
    /// Which log everybody is measured on
    #[arg(long, value_enum, default_value = "kafka")]
    pub(crate) home: Home,
    /// Who is measured, side by side: `tidegate`, `tidegate:PATH` (another build of the program), `floor` (librdkafka reading and doing
    /// nothing), or a folder of benches/peers
    #[arg(long = "peer", value_name = "NAME[:VARIANT]", value_delimiter = ',', default_value = "tidegate")]
    pub(crate) peers: Vec<PeerName>,
    /// How often everybody is measured, in turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// Partitions of input and output
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub(crate) partitions: u32,
    /// How often everybody commits, in milliseconds
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub(crate) commit_ms: u64,
    /// Measure on this cluster instead of one that is brought up for it
    #[arg(long, short, value_name = "HOST:PORT", requires = "registry")]
    pub(crate) brokers: Option<String>,
    /// Its schema registry
    #[arg(long, value_name = "URL", requires = "brokers")]
    pub(crate) registry: Option<String>,
    /// Where filled topics and built peers are kept between runs [default: `bench` beside the builds]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

impl RunArgs {
    pub(crate) fn cache(&self) -> Result<PathBuf> {
        self.cache.clone().map_or_else(place::default_cache, |given| Ok(std::path::absolute(given)?))
    }

    fn works(&self, job: Job, records: u64, keys: &[u64]) -> Vec<Work> {
        keys.iter().map(|keys| Work { job, records, keys: *keys, partitions: self.partitions }).collect()
    }
}

impl Cli {
    /// Does it.
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Totals { records, keys, run } => {
                rounds::run(&run.works(Job::Totals, records, &keys), &run)?;
            }
            Command::Speeding { records, keys, run } => {
                rounds::run(&run.works(Job::Speeding, records, &keys), &run)?;
            }
            Command::Floor { brokers, topic, group } => floor::run(&brokers, &topic, &group)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_declaration_holds_together() {
        Cli::command().debug_assert();
    }
}
