//! The `tidegate` command: parses the command line, wires the stages, prints. Rules live in the crates below.

mod batch;
mod cli;
mod console;
mod demo;
mod duration;
mod exit;
mod groups;
mod home;
mod instance;
mod moment;
mod name;
mod process;
mod produce;
mod replay;
mod reset;
mod signals;
mod simulate;
mod sink;
mod table;
mod topics;
mod workers;

use std::process::ExitCode;

use exit::Exit;

fn main() -> ExitCode {
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
