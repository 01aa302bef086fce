//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::log::Half;
use crate::peer::PeerName;
use crate::processing::Scale;
use crate::run_folder;
use crate::work::{Job, Work};
use crate::{batch, check, compare, floor, latency, log, processing, recovery};

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
    /// The cost of a record with more of them, more keys, more partitions and more instances, one thing varied at a time
    Scale(ScaleArgs),
    /// Invoices in real time: from the append of the record that closes a window to its results being readable
    Latency(LatencyArgs),
    /// From the start of a killed process's successor to its first commit, with a total per customer to be restored
    Recovery(RecoveryArgs),
    /// The nightly discount over many invoices
    Batch(BatchArgs),
    /// The embedded log alone: appending and reading 41-byte records
    Log(LogArgs),
    /// The small form for continuous integration; exit code 3 if something got dearer than the committed baseline allows
    Check {
        /// Measure and write benches/baseline.json instead
        #[arg(long)]
        write_baseline: bool,
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
    /// Likewise
    #[command(hide = true)]
    EmbeddedLog { half: Half, data: PathBuf, records: u64 },
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
    /// Who is measured, side by side: `tidegate`, also with `:static` (membership), `:kip848`, `:at-least-once` or `:PATH` (another build
    /// of the program), `floor` (librdkafka reading and doing nothing), or a folder of benches/peers
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
    /// How often everybody commits, in milliseconds [default: 100; in `latency` 10]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub(crate) commit_ms: Option<u64>,
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
    fn works(&self, job: Job, records: u64, keys: &[u64]) -> Vec<(Work, u32)> {
        let work = |keys: &u64| (Work { job, records, keys: *keys, partitions: self.partitions }, 1);
        keys.iter().map(work).collect()
    }
}

/// What is varied, and from where.
#[derive(Args)]
struct ScaleArgs {
    /// Invoices, from where the others are varied
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    records: u64,
    /// Customers, likewise
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    keys: u64,
    #[command(flatten)]
    beside: BesideArgs,
    /// Other numbers of invoices
    #[arg(long, default_values_t = [1_000_000, 50_000_000], value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..))]
    over_records: Vec<u64>,
    /// Other numbers of customers
    #[arg(long, default_values_t = [1_000, 1_000_000], value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    over_keys: Vec<u64>,
    /// Other numbers of partitions
    #[arg(long, default_values_t = [16, 64], value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1_024))]
    over_partitions: Vec<u32>,
    /// Other numbers of instances
    #[arg(long, default_values_t = [2], value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=64))]
    over_instances: Vec<u32>,
    #[command(flatten)]
    run: RunArgs,
}

/// What is restored.
#[derive(Args)]
pub(crate) struct RecoveryArgs {
    /// How many customers have a total in the open window
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) keys: u64,
    /// Partitions of input and output
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub(crate) partitions: u32,
    /// Who is measured, side by side, as in `totals`
    #[arg(long = "peer", value_name = "NAME[:VARIANT]", value_delimiter = ',', default_value = "tidegate")]
    pub(crate) peers: Vec<PeerName>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// How many invoices.
#[derive(Args)]
pub(crate) struct BatchArgs {
    /// Invoices of the day; each number is measured by itself
    #[arg(long, default_values_t = [1_000_000, 5_000_000], value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    pub(crate) records: Vec<u64>,
    /// `tidegate`, or `tidegate:PATH` for another build of the program
    #[arg(long = "peer", value_name = "NAME[:VARIANT]", value_delimiter = ',', default_value = "tidegate")]
    pub(crate) peers: Vec<PeerName>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// How many records.
#[derive(Args)]
pub(crate) struct LogArgs {
    /// Records of 41 bytes
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) records: u64,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// What flows.
#[derive(Args)]
pub(crate) struct LatencyArgs {
    /// Invoices a second
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) rate: u64,
    /// For how long
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(10..=86_400))]
    pub(crate) seconds: u64,
    /// Windows that close in the first seconds are not timed: everybody may start up
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    pub(crate) warm_up: u64,
    /// How many customers
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) keys: u64,
    /// Partitions of input and output
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub(crate) partitions: u32,
    /// Who is measured, side by side, as in `totals`
    #[arg(long = "peer", value_name = "NAME[:VARIANT]", value_delimiter = ',', default_value = "tidegate")]
    pub(crate) peers: Vec<PeerName>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

impl Cli {
    /// Does it.
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Totals { records, keys, beside, run } => {
                let works = beside.works(Job::Totals, records, &keys);
                processing::run("totals", &works, beside.home, &beside.peers, &run)?;
            }
            Command::Speeding { records, keys, beside, run } => {
                let works = beside.works(Job::Speeding, records, &keys);
                processing::run("speeding", &works, beside.home, &beside.peers, &run)?;
            }
            Command::Scale(args) => {
                let ScaleArgs { records, keys, beside, run, .. } = args;
                let base = Work { job: Job::Totals, records, keys, partitions: beside.partitions };
                let scale = Scale {
                    base,
                    records: args.over_records,
                    keys: args.over_keys,
                    partitions: args.over_partitions,
                    instances: args.over_instances,
                };
                processing::run("scale", &scale.works(), beside.home, &beside.peers, &run)?;
            }
            Command::Latency(args) => latency::run(&args)?,
            Command::Recovery(args) => recovery::run(&args)?,
            Command::Batch(args) => batch::run(&args)?,
            Command::Log(args) => log::run(&args)?,
            Command::Check { write_baseline } => {
                if !check::run(write_baseline)? {
                    return Ok(ExitCode::from(REGRESSION));
                }
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
            Command::EmbeddedLog { half, data, records } => log::do_half(half, &data, records)?,
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
