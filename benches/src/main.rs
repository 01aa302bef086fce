//! `bench`: what the processors cost on the embedded log, in CPU seconds and peak memory of a whole process, with the output checked
//! against a recomputation.
//!
//! The input is written first; then a process of its own processes it until its committed offsets reach the end, and reads from the kernel
//! what that cost it. Wall time on a shared machine says little: compare CPU seconds, as a ratio within one run.
#![allow(clippy::print_stdout, reason = "a harness prints its table")]
#![allow(clippy::float_arithmetic, reason = "rates are shown, nothing is decided by them")]

mod host;
mod input;
mod measure;
mod output;
mod report;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};

#[derive(Parser)]
#[command(version, about = "Measures Tidegate's processors on the embedded log")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Customers' counts and totals per 5-second window, emitted on close
    Totals {
        /// How many invoices
        #[arg(long, default_value_t = 5_000_000)]
        records: u64,
        /// How many customers: 100 is dense, 10 000 sparse
        #[arg(long, default_value_t = 100)]
        keys: u64,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Readings joined with vehicles and radars; one in ten is over the limit
    Speeding {
        /// How many readings
        #[arg(long, default_value_t = 1_000_000)]
        records: u64,
        /// How many vehicles
        #[arg(long, default_value_t = 100_000)]
        keys: u64,
        #[command(flatten)]
        run: RunArgs,
    },
    /// What the harness starts to be measured
    #[command(hide = true)]
    Host { job: Job, data: PathBuf },
}

#[derive(clap::Args)]
struct RunArgs {
    /// How often to measure
    #[arg(long, default_value_t = 5)]
    runs: u32,
    /// Where raw rows and a README go; nowhere if left out
    #[arg(long)]
    save: Option<PathBuf>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Job {
    /// Windowed totals.
    Totals,
    /// The join.
    Speeding,
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Totals { records, keys, run } => bench(Job::Totals, records, keys, &run),
        Command::Speeding { records, keys, run } => bench(Job::Speeding, records, keys, &run),
        Command::Host { job, data } => host::run(job, &data),
    }
}

fn bench(job: Job, records: u64, keys: u64, run: &RunArgs) -> Result<()> {
    let mut rows = Vec::new();
    for number in 1..=run.runs {
        let directory = tempfile::tempdir()?;
        let expected = input::write(job, directory.path(), records, keys)?;
        let cost = measure::host(job, directory.path())?;
        output::check(job, directory.path(), &expected)?;
        let row = report::Row { number, job, records, keys, cost };
        println!("{}", row.line());
        rows.push(row);
    }
    println!("{}", report::summary(&rows));
    if let Some(folder) = &run.save {
        report::save(folder, &rows)?;
    }
    Ok(())
}
