//! Faults drawn at random against a live pipeline on a cluster of its own, and an exact check at the end:
//! `cargo run --release -p tidegate-kafka-tests --bin long-run -- --minutes 30 [--seed N]`.
//!
//! What it prints is what `benches/runs` keeps.
#![allow(clippy::print_stdout, reason = "the log of the run is its output")]
#![allow(clippy::unwrap_used, reason = "a run that cannot go on should end")]

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;
use tidegate_kafka_tests::long_run::{Options, run};

/// Set for the processes it starts: they are the program itself.
const PLAYS_THE_PROGRAM: &str = "LONG_RUN_PLAYS_THE_PROGRAM";

#[derive(Parser)]
struct Arguments {
    /// How long faults are drawn.
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// The same seed draws the same faults; by default one from the clock, which is printed.
    #[arg(long)]
    seed: Option<u64>,
    /// Readings and invoices per second, of each.
    #[arg(long, default_value_t = 200)]
    rate: u64,
}

fn main() -> ExitCode {
    if std::env::var_os(PLAYS_THE_PROGRAM).is_some() {
        return tidegate::main();
    }
    let arguments = Arguments::parse();
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let options = Options {
        minutes: arguments.minutes,
        seed: arguments.seed.unwrap_or_else(clock),
        rate: arguments.rate,
        executable: std::env::current_exe().unwrap(),
        environment: vec![(PLAYS_THE_PROGRAM.to_owned(), "1".to_owned())],
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}
