//! The command line: parsed here without touching the world, carried out by one file per subcommand.

use std::ffi::OsString;

use anyhow::Result;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::config::flags::{self, GLOBAL_OPTIONS};
use crate::config::{self, Given, Variables};
use crate::connection::Need;
use crate::console::{self, Console, Output};
use crate::exit::{ClosedPipe, Exit, TABLE};
use crate::home::{Home, HomeArgs};
use crate::{batch, demo, doctor, groups, process, replay, reset, schemas, simulate, sink, topics};

/// Kafka-style stream processing in one binary: radar readings become infractions, invoices become totals, each exactly once.
#[derive(Debug, Parser)]
#[command(version, after_help = after_help(), max_term_width = 110, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    home: HomeArgs,
    /// Say nothing but errors on standard error.
    #[arg(long, short, global = true, help_heading = GLOBAL_OPTIONS)]
    quiet: bool,
    /// Where the values came from that were not typed.
    #[arg(skip)]
    given: Given,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything at once on a log of its own: records in, results out, and a check that it all adds up. Begin here.
    Demo(demo::Demo),
    /// Write made-up readings or invoices; the same seed gives the same records everywhere.
    #[command(subcommand)]
    Simulate(simulate::Simulate),
    /// Write the records of a real file.
    #[command(subcommand)]
    Replay(replay::Replay),
    /// Run a processor: records in, results out, each exactly once.
    #[command(subcommand)]
    Process(process::Process),
    /// Write a topic into files or a database, each record exactly once.
    #[command(subcommand)]
    Sink(sink::Sink),
    /// Run a nightly job over a read store.
    #[command(subcommand)]
    Batch(batch::Batch),
    /// Look into topics; creates nothing.
    #[command(subcommand)]
    Topics(topics::Topics),
    /// The schemas of our topics and the registry: how they stand, registering them, listing it.
    #[command(subcommand)]
    Schemas(schemas::Schemas),
    /// Show groups with their positions, lag and members; creates nothing.
    Groups(groups::Groups),
    /// Is everything there that the other commands stand on, and as they need it? One line each, with the remedy.
    Doctor(doctor::Doctor),
    /// Make an application forget: its positions, its state and its own topics, together.
    Reset(reset::Reset),
}

/// What every subcommand is given.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) console: Console,
    pub(crate) home: Home,
}

/// What `--help` says at its end.
fn after_help() -> String {
    format!(
        "Every flag can also come from a variable (--commit-interval from TIDEGATE_COMMIT_INTERVAL) or from the\n\
         file that --config names. What is typed wins, then the variable, then the file.\n\n{TABLE}"
    )
}

/// Reads the arguments. What `--help` and `--version` print is data; everything else that ends here is a usage error of one line.
pub(crate) fn parse() -> std::result::Result<Cli, Exit> {
    let variables = |name: &str| std::env::var_os(name);
    parse_from(std::env::args_os().collect(), &variables).map_err(|ended| match ended {
        Ok(exit) => exit,
        Err(error) => {
            let exit = Exit::of(&error);
            if exit != Exit::Done {
                console::error(&error);
            }
            exit
        }
    })
}

fn parse_from(arguments: Vec<OsString>, variables: Variables<'_>) -> std::result::Result<Cli, Result<Exit>> {
    let completed =
        config::complete(flags::take_negatives(Cli::command()), arguments, variables).map_err(Err)?;
    let given = completed.given;
    let matches = command().try_get_matches_from(completed.arguments);
    let parsed =
        matches.and_then(|matches| Cli::from_arg_matches(&matches)).map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => show(&error),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
                Err(Exit::Usage.because("a subcommand is missing; `--help` lists what there is"))
            }
            _ => Err(Exit::Usage.because(given.explain(&one_line(&error.render().to_string())))),
        })?;
    Ok(Cli { given, ..parsed })
}

/// The declaration with what only the whole tree can say.
fn command() -> clap::Command {
    let mut command = flags::take_negatives(Cli::command());
    // The flags of every command reach the commands below while the tree is built.
    command.build();
    flags::hide_kafka(command, &config::WITHOUT_A_CLUSTER)
}

fn show(error: &clap::Error) -> Result<Exit> {
    let mut output = Output::new();
    output.text(&error.render().to_string())?;
    output.flush()?;
    Ok(Exit::Done)
}

/// clap says what is wrong, then what might be meant, then how the command is used: the first two make the line.
fn one_line(rendered: &str) -> String {
    let is_usage = |line: &&str| line.starts_with("Usage:") || line.starts_with("For more information");
    let lines = rendered.lines().map(str::trim).filter(|line| !line.is_empty() && !is_usage(line));
    let text = lines.collect::<Vec<_>>().join(" ").replace(" tip: ", "; ");
    text.strip_prefix("error: ").map_or_else(|| text.clone(), str::to_owned)
}

/// Carries out what was parsed.
pub(crate) fn run(cli: Cli) -> Result<Exit> {
    let console = Console::new(cli.quiet);
    console.warn(&cli.given.warnings);
    let home = match cli.command {
        Command::Demo(_) => {
            cli.home.embedded_only("demo", "it runs on an embedded log of its own, in --data")?
        }
        Command::Batch(_) => {
            cli.home.embedded_only("batch", "it reads a read store, the file that --from names")?
        }
        Command::Schemas(_) => cli.home.choose(&cli.given, Need::Registry, console)?,
        _ => cli.home.choose(&cli.given, Need::Brokers, console)?,
    };
    let context = Context { console, home };
    let outcome = match cli.command {
        Command::Demo(demo) => demo::run(&demo, &context),
        Command::Simulate(simulate) => simulate::run(simulate, &context),
        Command::Replay(replay) => replay::run(replay, &context),
        Command::Process(process) => process::run(process, &context),
        Command::Sink(sink) => sink::run(sink, &context),
        Command::Batch(batch) => batch::run(batch, &context),
        Command::Topics(topics) => topics::run(topics, &context),
        Command::Schemas(schemas) => schemas::run(&schemas, &context),
        Command::Groups(groups) => groups::run(&groups, &context),
        Command::Doctor(doctor) => doctor::run(&doctor, &context),
        Command::Reset(reset) => reset::run(&reset, &context),
    };
    match outcome {
        // Whoever closed the pipe has seen what they wanted.
        Err(error) if error.is::<ClosedPipe>() => Ok(Exit::Done),
        outcome => outcome,
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

    #[test]
    fn a_usage_error_is_one_line_without_the_usage() {
        let rendered = "error: unexpected argument '--sise' found\n\n  tip: a similar argument exists: '--size'\n\n\
                        Usage: tidegate process totals\n\nFor more information, try '--help'.\n";
        assert_eq!(
            one_line(rendered),
            "unexpected argument '--sise' found; a similar argument exists: '--size'"
        );
    }
}
