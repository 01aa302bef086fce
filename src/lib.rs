//! The `tidegate` command: parses the command line, wires the stages, prints. Rules live in the crates below.
//!
//! It is a library only so that a test can build the same program with a feature of the engine switched on: [`main`] is all of it.

mod allocator;
mod batch;
mod cli;
mod config;
mod connection;
mod console;
mod demo;
mod doctor;
mod duration;
mod exit;
mod groups;
mod home;
mod instance;
mod metrics;
mod moment;
mod name;
mod process;
mod produce;
mod replay;
mod reset;
mod schemas;
mod signals;
mod simulate;
mod sink;
mod size;
mod table;
mod topics;
mod used_topics;
mod workers;

use std::process::ExitCode;

use exit::Exit;

/// The whole program: reads the process's arguments, does what they ask, and gives the exit code that `--help` explains.
#[must_use]
pub fn main() -> ExitCode {
    allocator::bound();
    let outcome = match cli::parse() {
        Ok(cli) => cli::run(cli),
        Err(exit) => Ok(exit),
    };
    let exit = outcome.unwrap_or_else(|error| {
        let exit = Exit::of(&error);
        if exit != Exit::Done {
            console::error(&error);
        }
        exit
    });
    exit.into()
}
