//! `bench`: what Tidegate costs beside its peers, with every output checked against a recomputation.
//!
//! CPU seconds and peak memory of whole processes, as the kernel counts them. Wall time on a shared machine says little: compare CPU
//! seconds, as a ratio within one run, whose rounds are interleaved.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a harness prints its table")]
#![allow(clippy::float_arithmetic, reason = "rates are shown, nothing is decided by them")]

mod batch;
mod check;
mod cli;
mod compare;
mod cost;
mod datum;
mod embedded;
mod floor;
mod input;
mod instructions;
mod kafka;
mod latency;
mod log;
mod peer;
mod place;
mod plot;
mod process;
mod processing;
mod progress;
mod recovery;
mod results;
mod rounds;
mod run_folder;
mod sheet;
mod stats;
mod table;
mod trust;
mod weather;
mod work;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
