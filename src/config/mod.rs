//! Values of flags that were not typed: from a variable, or from one file.
//!
//! ```text
//! source   where a value was given, and which one wins
//! flags    the flags of a command, from clap's own tree
//! file     the TOML file
//! secret   a text that is never shown
//! ```
//!
//! Promise: every flag of every command has both without doing anything for it. `--commit-interval` is `TIDEGATE_COMMIT_INTERVAL`, and
//! `commit-interval` in the file. What was typed wins over the variable, that over the file, that over the default. A value
//! from here is read by clap as if it had been typed, so every rule of a flag holds for it too, and an error about it
//! says where it stands. Broken by: a flag that reads its variable itself.

mod file;
pub(crate) mod flags;
pub(crate) mod secret;
pub(crate) mod source;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use anyhow::Result;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use self::file::{File, Value};
use self::secret::Secret;
use self::source::Source;
use crate::exit::Exit;

/// The flag that names the file.
pub(crate) const CONFIG: &str = "config";

/// The flag for librdkafka's properties: its values add up instead of replacing each other, and some are secret.
pub(crate) const PROPERTY: &str = "property";

/// Commands on no log that a user could name: what is said about a cluster elsewhere is not meant for them.
pub(crate) const WITHOUT_A_CLUSTER: [&str; 2] = ["demo", "batch"];

/// What the environment says.
pub(crate) type Variables<'v> = &'v dyn Fn(&str) -> Option<OsString>;

/// A command line with what variables and the file add to it.
#[derive(Debug, Default)]
pub(crate) struct Completed {
    /// What was typed, then what was added.
    pub(crate) arguments: Vec<OsString>,
    pub(crate) given: Given,
}

/// Where values came from, and those that never become arguments.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    sources: BTreeMap<String, Source>,
    /// By `password` and `registry-password`; of each the one that wins.
    pub(crate) passwords: BTreeMap<String, (Secret, Source)>,
    /// librdkafka's properties, the file's first.
    pub(crate) properties: Vec<(String, Secret, Source)>,
    /// What a user should know and need not act on at once.
    pub(crate) warnings: Vec<String>,
}

impl Given {
    /// Where the value of a flag that has one was given.
    pub(crate) fn source(&self, long: &str) -> Source {
        self.sources.get(long).cloned().unwrap_or(Source::CommandLine)
    }

    /// Says of every flag that a message names and nobody typed where it came from.
    pub(crate) fn explain(&self, message: &str) -> String {
        let is_part = |next: char| next.is_alphanumeric() || next == '-';
        let names = |long: &str| {
            let flag = format!("--{long}");
            message.match_indices(&flag).any(|(at, _)| !message[at + flag.len()..].starts_with(is_part))
        };
        let mut message = message.to_owned();
        for (long, source) in self.sources.iter().filter(|(long, _)| names(long)) {
            message = format!("{message}; `--{long}` comes from {source}");
        }
        message
    }
}

/// Adds to a command line what variables and the file say of its command's flags.
pub(crate) fn complete(
    mut root: Command,
    arguments: Vec<OsString>,
    variables: Variables<'_>,
) -> Result<Completed> {
    // Before the tree is built: what is set later does not reach the commands below.
    let typed = match root.clone().ignore_errors(true).try_get_matches_from(&arguments) {
        Ok(typed) => typed,
        // Help or the version: nothing else counts.
        Err(_) => return Ok(Completed { arguments, given: Given::default() }),
    };
    root.build();
    let (path, leaf) = innermost(&typed);
    let command = path.iter().try_fold(&root, |command, name| command.find_subcommand(name));
    let Some(command) = command.filter(|_| !path.is_empty()) else {
        return Ok(Completed { arguments, given: Given::default() });
    };
    refuse_split(&arguments, leaf)?;
    let file = match named_file(leaf, variables) {
        Some(path) => Some(File::read(&path, &root)?),
        None => None,
    };
    let has_cluster = !WITHOUT_A_CLUSTER.contains(&path[0].as_str());
    let mut adding = Adding { variables, file: file.as_ref(), added: Vec::new(), given: Given::default() };
    for (arg, long) in flags::of(command).filter(|(arg, _)| has_cluster || !flags::is_about_kafka(arg)) {
        if long == PROPERTY {
            adding.properties(long, &flags::tables(&path, &root, arg))?;
        } else if !is_typed(leaf, arg) {
            adding.flag(arg, long, &flags::tables(&path, &root, arg))?;
        }
    }
    if has_cluster {
        adding.passwords()?;
    }
    adding.given.warnings.extend(file.as_ref().and_then(File::exposed));
    let Adding { added, given, .. } = adding;
    Ok(Completed { arguments: inserted(arguments, added), given })
}

/// The command that was named, by its path, and what was typed for it.
fn innermost(typed: &ArgMatches) -> (Vec<String>, &ArgMatches) {
    let (mut path, mut leaf) = (Vec::new(), typed);
    while let Some((name, below)) = leaf.subcommand() {
        path.push(name.to_owned());
        leaf = below;
    }
    (path, leaf)
}

fn is_typed(leaf: &ArgMatches, arg: &Arg) -> bool {
    !matches!(leaf.value_source(arg.get_id().as_str()), None | Some(ValueSource::DefaultValue))
}

fn named_file(leaf: &ArgMatches, variables: Variables<'_>) -> Option<PathBuf> {
    let typed = leaf.try_get_one::<PathBuf>(CONFIG).ok().flatten().cloned();
    typed.or_else(|| set_variable(variables, &flags::variable(CONFIG)).map(PathBuf::from))
}

/// A variable that is empty is not set: that is how a compose file leaves one out.
fn set_variable(variables: Variables<'_>, name: &str) -> Option<OsString> {
    variables(name).filter(|value| !value.is_empty())
}

/// clap keeps the values of a repeatable flag of one place only, before or behind the subcommand, and says nothing.
fn refuse_split(arguments: &[OsString], leaf: &ArgMatches) -> Result<()> {
    let long = format!("--{PROPERTY}");
    let is_property = |argument: &&OsString| {
        argument.to_str().is_some_and(|text| {
            text.starts_with("-X") || text == long || text.starts_with(&format!("{long}="))
        })
    };
    let before_end = arguments.iter().take_while(|argument| *argument != "--");
    let typed = before_end.filter(is_property).count();
    let kept = leaf.try_get_many::<Secret>(PROPERTY).ok().flatten().map_or(0, Iterator::count);
    if typed > kept && kept > 0 {
        return Err(Exit::Usage.because("give every `-X` behind the subcommand, or every one before it"));
    }
    Ok(())
}

/// Behind what was typed, and before a `--`, which ends the flags.
fn inserted(mut arguments: Vec<OsString>, added: Vec<OsString>) -> Vec<OsString> {
    let end = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    arguments.splice(end..end, added);
    arguments
}

struct Adding<'a> {
    variables: Variables<'a>,
    file: Option<&'a File>,
    added: Vec<OsString>,
    given: Given,
}

impl Adding<'_> {
    fn flag(&mut self, arg: &Arg, long: &str, tables: &[String]) -> Result<()> {
        let name = flags::variable(long);
        let (added, source) = if let Some(value) = set_variable(self.variables, &name) {
            let source = Source::Variable(name);
            (from_variable(arg, long, value, &source)?, source)
        } else if let Some((value, source)) = self.file.and_then(|file| file.value(tables, long)) {
            (from_file(arg, long, value, &source)?, source)
        } else {
            return Ok(());
        };
        self.added.extend(added);
        self.given.sources.insert(long.to_owned(), source);
        Ok(())
    }

    /// Each of them counts by itself, wherever the others stand.
    fn properties(&mut self, long: &str, tables: &[String]) -> Result<()> {
        if let Some(file) = self.file {
            self.given.properties.extend(file.properties.iter().cloned());
            if let Some((value, source)) = file.value(tables, long) {
                let items = match value {
                    Value::List(items) => items.clone(),
                    Value::Text(text) => vec![text.clone()],
                    Value::Switch(_) => return Err(at(&source, "`property` is a list of `key=value`")),
                };
                self.given.properties.extend(pairs(items.iter().map(String::as_str), &source)?);
            }
        }
        let name = flags::variable(long);
        if let Some(value) = set_variable(self.variables, &name) {
            let source = Source::Variable(name);
            let text = value.to_str().ok_or_else(|| at(&source, "it is no UTF-8"))?;
            self.given.properties.extend(pairs(text.lines(), &source)?);
        }
        Ok(())
    }

    fn passwords(&mut self) -> Result<()> {
        for name in file::PASSWORDS {
            let variable = flags::variable(name);
            let password = match set_variable(self.variables, &variable) {
                Some(value) => {
                    let source = Source::Variable(variable);
                    let text = value.into_string().map_err(|_| at(&source, "it is no UTF-8"))?;
                    Some((text.into(), source))
                }
                None => self.file.and_then(|file| file.passwords.get(name).cloned()),
            };
            self.given.passwords.extend(password.map(|password| (name.to_owned(), password)));
        }
        Ok(())
    }
}

/// `key=value`, one each. The message never shows what was written: half of it may be a password.
pub(crate) fn pairs<'t>(
    texts: impl Iterator<Item = &'t str>,
    source: &Source,
) -> Result<Vec<(String, Secret, Source)>> {
    let pair = |text: &str| match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned().into(), source.clone()))
        }
        _ => Err(at(source, "a property is written `key=value`")),
    };
    texts.filter(|text| !text.trim().is_empty()).map(pair).collect()
}

/// What is wrong with a value, and where it stands: a fault of the file, or of the one who typed.
fn at(source: &Source, what: &str) -> anyhow::Error {
    let exit = match source {
        Source::File(_) | Source::Properties(_) => Exit::Input,
        Source::Variable(_) | Source::CommandLine => Exit::Usage,
    };
    exit.because(format!("{source}: {what}"))
}

fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

fn is_repeatable(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

fn token(long: &str, value: &OsStr) -> OsString {
    let mut token = OsString::from(format!("--{long}="));
    token.push(value);
    token
}

fn from_variable(arg: &Arg, long: &str, value: OsString, source: &Source) -> Result<Vec<OsString>> {
    let text = value.to_str();
    if is_switch(arg) {
        return match text.unwrap_or_default().to_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Ok(vec![format!("--{long}").into()]),
            "0" | "false" | "no" | "off" => Ok(Vec::new()),
            _ => Err(at(source, "write `true` or `false`")),
        };
    }
    match text {
        Some(text) if is_repeatable(arg) => {
            let items = text.split([',', '\n']).map(str::trim).filter(|item| !item.is_empty());
            Ok(items.map(|item| token(long, OsStr::new(item))).collect())
        }
        _ => Ok(vec![token(long, &value)]),
    }
}

fn from_file(arg: &Arg, long: &str, value: &Value, source: &Source) -> Result<Vec<OsString>> {
    let bare = || vec![OsString::from(format!("--{long}"))];
    let may_be_bare = arg.get_num_args().is_some_and(|count| count.min_values() == 0);
    match value {
        Value::Switch(true) if is_switch(arg) || may_be_bare => Ok(bare()),
        Value::Switch(false) if is_switch(arg) || may_be_bare => Ok(Vec::new()),
        _ if is_switch(arg) => Err(at(source, &format!("`{long}` is `true` or `false`"))),
        Value::Switch(switch) => Ok(vec![token(long, OsStr::new(&switch.to_string()))]),
        Value::Text(text) => Ok(vec![token(long, OsStr::new(text))]),
        Value::List(items) if is_repeatable(arg) => {
            Ok(items.iter().map(|item| token(long, OsStr::new(item))).collect())
        }
        // `brokers = ["one:9092", "two:9092"]`
        Value::List(items) => Ok(vec![token(long, OsStr::new(&items.join(",")))]),
    }
}

#[cfg(test)]
mod tests;
