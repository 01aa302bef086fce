//! The flags of a command, as clap's own tree has them, and the names they go by elsewhere.

use std::collections::BTreeSet;

use clap::{Arg, Command};

/// The heading under which `--help` lists the flags of every command that are not about a cluster.
pub(crate) const GLOBAL_OPTIONS: &str = "Global options";

/// The table of the file with the flags about a cluster and its registry.
pub(super) const KAFKA: &str = "kafka";

/// Flags that cannot come from elsewhere: they end the program, or say where elsewhere is.
const TYPED_ONLY: [&str; 3] = ["help", "version", super::CONFIG];

/// Names below this are too far apart to be a slip of the fingers; clap draws the line for its own hints about there.
const NEAR: f64 = 0.8;

/// A kind of table in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// The top, which has no header.
    Top,
    /// `[kafka]`.
    Kafka,
    /// A command's.
    Command,
}

/// The flags of a command that may come from elsewhere, each with its long name.
pub(super) fn of(command: &Command) -> impl Iterator<Item = (&Arg, &str)> {
    let named = command.get_arguments().filter_map(|arg| Some((arg, arg.get_long()?)));
    named.filter(|(arg, _)| !TYPED_ONLY.contains(&arg.get_id().as_str()))
}

/// The commands below a command, without clap's own.
pub(super) fn below(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|below| below.get_name() != "help")
}

/// True for a flag of every command that is about a cluster or its registry.
pub(super) fn is_about_kafka(arg: &Arg) -> bool {
    arg.is_global_set() && arg.get_help_heading() != Some(GLOBAL_OPTIONS)
}

/// Hides from the help of these commands what is about a cluster: given to them it is refused.
pub(crate) fn hide_kafka(root: Command, commands: &[&str]) -> Command {
    commands.iter().fold(root, |root, name| root.mut_subcommand(name, hidden))
}

/// Lets durations begin with a hyphen: `--size -5s` is a wrong value and not a flag `-5`, and is told as that.
pub(crate) fn take_negatives(command: Command) -> Command {
    let is_duration = |arg: &Arg| arg.get_value_names().is_some_and(|names| names == ["DURATION"]);
    let command = command.mut_args(|arg| if is_duration(&arg) { arg.allow_hyphen_values(true) } else { arg });
    command.mut_subcommands(take_negatives)
}

fn hidden(command: Command) -> Command {
    let command = command.mut_args(|arg| if is_about_kafka(&arg) { arg.hide(true) } else { arg });
    command.mut_subcommands(hidden)
}

/// The keys a table of the file may have. A command's table may also speak for the commands below it.
pub(super) fn known_in(command: &Command, table: Table) -> BTreeSet<String> {
    let here = of(command).filter(|(arg, _)| match table {
        Table::Top => arg.is_global_set() && !is_about_kafka(arg),
        Table::Kafka => is_about_kafka(arg),
        Table::Command => true,
    });
    let mut names: BTreeSet<String> = here.map(|(_, long)| long.to_owned()).collect();
    if table == Table::Command {
        below(command).for_each(|below| names.extend(known_in(below, table)));
    }
    names
}

/// The tables that may speak of a flag of the command at `path`, the nearest first.
pub(super) fn tables(path: &[String], root: &Command, arg: &Arg) -> Vec<String> {
    let mut tables: Vec<String> = (1..=path.len()).rev().map(|length| path[..length].join(".")).collect();
    // By its id: a command's own flag of the same id stands for the global one.
    if let Some(global) = root.get_arguments().find(|global| global.get_id() == arg.get_id()) {
        tables.push(if is_about_kafka(global) { KAFKA.to_owned() } else { String::new() });
    }
    tables
}

/// The variable of a flag.
pub(super) fn variable(long: &str) -> String {
    match long {
        // `TIDEGATE_DATA` names the directory with the real files that the tests take.
        "data" => "TIDEGATE_DATA_DIR".to_owned(),
        _ => format!("TIDEGATE_{}", long.to_uppercase().replace('-', "_")),
    }
}

/// What was meant, if one of the known names is near.
pub(super) fn nearest<'k>(text: &str, known: &'k BTreeSet<String>) -> Option<&'k str> {
    let text = text.to_lowercase().replace('_', "-");
    let likeness = |name: &str| strsim::jaro_winkler(&text, name);
    let near =
        known.iter().map(|name| (likeness(name), name.as_str())).filter(|(likeness, _)| *likeness > NEAR);
    near.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_and_none_that_is_far() {
        let known = ["commit-interval", "size", "session-timeout"].map(str::to_owned).into();
        assert_eq!(nearest("sise", &known), Some("size"));
        assert_eq!(nearest("commit_interval", &known), Some("commit-interval"));
        assert_eq!(nearest("colour", &known), None);
    }
}
