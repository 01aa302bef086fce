//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::peer::PeerName;
use crate::run_folder;
use crate::work::{Job, Work};
use crate::{compare, floor, processing};

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
        beside: BesideArgs,
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
        beside: BesideArgs,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Say what got slower from one kept run to another; exit code 3 if something did beyond the noise
    Compare {
        /// A folder of benches/runs, or a path with a slash
        before: String,
        /// Likewise
        after: String,
    },
    /// What the harness starts to be measured
    #[command(hide = true)]
    Floor { brokers: String, topic: String, group: String },
}

/// What `compare` exits with when something got slower.
const REGRESSION: u8 = 3;

/// Which log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Home {
    /// The log of Tidegate's own; its peers do not know it.
    Embedded,
    /// A Kafka broker.
    Kafka,
}

impl Home {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Home::Embedded => "embedded",
            Home::Kafka => "kafka",
        }
    }
}

/// Who is measured, and where.
#[derive(Args)]
pub(crate) struct BesideArgs {
    /// Which log everybody is measured on
    #[arg(long, value_enum, default_value = "kafka")]
    pub(crate) home: Home,
    /// Who is measured, side by side: `tidegate`, `tidegate:PATH` (another build of the program), `floor` (librdkafka reading and doing
    /// nothing), or a folder of benches/peers
    #[arg(long = "peer", value_name = "NAME[:VARIANT]", value_delimiter = ',', default_value = "tidegate")]
    pub(crate) peers: Vec<PeerName>,
    /// Partitions of input and output
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub(crate) partitions: u32,
}

/// How.
#[derive(Args)]
pub(crate) struct RunArgs {
    /// How often everybody is measured, in turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// Keep raw rows, a README and a plot in this folder of benches/runs, or at a path with a slash [default: beside the builds]
    #[arg(long, value_name = "NAME")]
    pub(crate) save: Option<String>,
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
    pub(crate) cache: Option<PathBuf>,
}

impl BesideArgs {
    fn works(&self, job: Job, records: u64, keys: &[u64]) -> Vec<Work> {
        keys.iter().map(|keys| Work { job, records, keys: *keys, partitions: self.partitions }).collect()
    }
}

impl Cli {
    /// Does it.
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Totals { records, keys, beside, run } => {
                let works = beside.works(Job::Totals, records, &keys);
                processing::run(&works, beside.home, &beside.peers, &run)?;
            }
            Command::Speeding { records, keys, beside, run } => {
                let works = beside.works(Job::Speeding, records, &keys);
                processing::run(&works, beside.home, &beside.peers, &run)?;
            }
            Command::Compare { before, after } => {
                let load = |name: &str| run_folder::load(&run_folder::folder(name));
                let found = compare::compare(&load(&before)?, &load(&after)?);
                print!("{}", found.text);
                if found.regressions > 0 {
                    println!("{} regressions", found.regressions);
                    return Ok(ExitCode::from(REGRESSION));
                }
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
