//! The `--config` file: TOML, every key a flag's long name, in the table of its command.
//!
//! ```toml
//! data = "/var/lib/tidegate"      # flags of every command, as `--help` lists them under "Global options"
//!
//! [kafka]                         # those of the cluster and its registry, and the passwords
//! brokers = ["one:9092", "two:9092"]
//! registry = "https://registry:8081"
//!
//! [kafka.properties]              # what `-X` takes
//! "linger.ms" = 5
//!
//! [process]                       # for all processors
//! workers = 2
//!
//! [process.totals]                # a command by its path
//! size = "10s"
//! ```
//!
//! Promise: a key that means nothing is refused with its line, never passed over; an error never shows a line of the file, which may
//! hold a password.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Command;
use toml::de::{DeTable, DeValue};

use super::flags::{self, Table};
use super::secret::{self, Secret};
use super::source::{Place, Source};
use crate::exit::Exit;

/// The keys of `[kafka]` that are no flags: a flag would show in the process list.
pub(super) const PASSWORDS: [&str; 2] = ["password", "registry-password"];

/// The sub-table of `[kafka]` whose keys are librdkafka's.
const PROPERTIES: &str = "properties";

/// A value as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Switch(bool),
    Text(String),
    List(Vec<String>),
}

/// A file that was read and holds only keys that mean something.
#[derive(Debug, Default)]
pub(super) struct File {
    path: PathBuf,
    /// By table (`process.totals`, empty for the top) and key.
    flags: BTreeMap<(String, String), (Value, usize)>,
    pub(super) passwords: BTreeMap<String, (Secret, Source)>,
    pub(super) properties: Vec<(String, Secret, Source)>,
}

impl File {
    /// Reads a file for this command tree.
    pub(super) fn read(path: &Path, command: &Command) -> Result<File> {
        let text =
            fs::read_to_string(path).with_context(|| format!("could not read `{}`", path.display()))?;
        File::parse(path, &text, command)
    }

    fn parse(path: &Path, text: &str, command: &Command) -> Result<File> {
        let reader = Reader { path, text };
        let document = DeTable::parse(text).map_err(|error| {
            // Its own picture shows the line.
            reader.fault(error.span().map_or(0, |span| span.start), error.message())
        })?;
        let mut file = File { path: path.to_owned(), ..File::default() };
        reader.table(&mut file, command, &mut Vec::new(), document.get_ref())?;
        Ok(file)
    }

    /// What it says of a flag: the first of these tables that has it.
    pub(super) fn value(&self, tables: &[String], flag: &str) -> Option<(&Value, Source)> {
        tables.iter().find_map(|table| {
            let (value, line) = self.flags.get(&(table.clone(), flag.to_owned()))?;
            Some((value, Source::File(Place::new(&self.path, *line))))
        })
    }

    /// A warning, if it holds a secret that everybody on this machine can read.
    pub(super) fn exposed(&self) -> Option<String> {
        let holds_secret =
            !self.passwords.is_empty() || self.properties.iter().any(|(name, ..)| secret::is_secret(name));
        holds_secret.then(|| secret::exposed(&self.path)).flatten()
    }
}

struct Reader<'f> {
    path: &'f Path,
    text: &'f str,
}

type Entry<'e, 'f> = (&'e toml::Spanned<std::borrow::Cow<'f, str>>, &'e toml::Spanned<DeValue<'f>>);

impl Reader<'_> {
    fn place(&self, at: usize) -> Place {
        let before = self.text.get(..at).unwrap_or(self.text);
        Place::new(self.path, before.matches('\n').count() + 1)
    }

    fn fault(&self, at: usize, what: &str) -> anyhow::Error {
        Exit::Input.because(format!("{}: {what}", self.place(at)))
    }

    /// The table of `command`, whose path from the top is `path`.
    fn table<'f>(
        &self,
        file: &mut File,
        command: &Command,
        path: &mut Vec<String>,
        table: &DeTable<'f>,
    ) -> Result<()> {
        let name = path.join(".");
        let known = flags::known_in(command, if path.is_empty() { Table::Top } else { Table::Command });
        for entry in table {
            let (key, value) = entry;
            let text = key.get_ref().as_ref();
            match value.get_ref() {
                DeValue::Table(inner) if path.is_empty() && text == flags::KAFKA => {
                    self.kafka(file, command, inner)?;
                }
                DeValue::Table(inner) => {
                    let Some(below) = flags::below(command).find(|below| below.get_name() == text) else {
                        let commands = flags::below(command).map(|below| below.get_name().to_owned());
                        let tables = commands.chain(path.is_empty().then(|| flags::KAFKA.to_owned()));
                        return Err(self.unknown(key, "table", &name, &tables.collect()));
                    };
                    path.push(text.to_owned());
                    self.table(file, below, path, inner)?;
                    path.pop();
                }
                _ if known.contains(text) => self.keep(file, &name, entry)?,
                _ => {
                    let in_kafka = flags::known_in(command, Table::Kafka);
                    if path.is_empty() && (in_kafka.contains(text) || PASSWORDS.contains(&text)) {
                        let what = format!("`{text}` belongs into the table `[{}]`", flags::KAFKA);
                        return Err(self.fault(key.span().start, &what));
                    }
                    return Err(self.unknown(key, "flag", &name, &known));
                }
            }
        }
        Ok(())
    }

    fn kafka<'f>(&self, file: &mut File, command: &Command, table: &DeTable<'f>) -> Result<()> {
        let known = flags::known_in(command, Table::Kafka);
        for entry in table {
            let (key, value) = entry;
            let text = key.get_ref().as_ref();
            match value.get_ref() {
                DeValue::Table(inner) if text == PROPERTIES => {
                    for (name, value) in inner {
                        let value_text = self.scalar(value)?;
                        let source = Source::File(self.place(name.span().start));
                        file.properties.push((name.get_ref().to_string(), value_text.into(), source));
                    }
                }
                _ if PASSWORDS.contains(&text) => {
                    let source = Source::File(self.place(key.span().start));
                    file.passwords.insert(text.to_owned(), (self.scalar(value)?.into(), source));
                }
                _ if known.contains(text) => self.keep(file, flags::KAFKA, entry)?,
                _ => {
                    let known = known.iter().cloned().chain(PASSWORDS.map(str::to_owned));
                    return Err(self.unknown(key, "key", flags::KAFKA, &known.collect()));
                }
            }
        }
        Ok(())
    }

    fn keep(&self, file: &mut File, table: &str, (key, value): Entry<'_, '_>) -> Result<()> {
        let read = match value.get_ref() {
            DeValue::Boolean(switch) => Value::Switch(*switch),
            DeValue::Array(items) => {
                Value::List(items.iter().map(|item| self.scalar(item)).collect::<Result<_>>()?)
            }
            _ => Value::Text(self.scalar(value)?),
        };
        let line = self.place(key.span().start).line;
        file.flags.insert((table.to_owned(), key.get_ref().to_string()), (read, line));
        Ok(())
    }

    /// A single value, as it would be typed.
    fn scalar(&self, value: &toml::Spanned<DeValue<'_>>) -> Result<String> {
        match value.get_ref() {
            DeValue::String(text) => Ok(text.to_string()),
            DeValue::Integer(number) => Ok(number.to_string()),
            // As it is written: no float comes of it.
            DeValue::Float(number) => Ok(number.to_string()),
            DeValue::Boolean(switch) => Ok(switch.to_string()),
            DeValue::Datetime(moment) => Ok(moment.to_string()),
            DeValue::Array(_) | DeValue::Table(_) => {
                Err(self.fault(value.span().start, "a single value is asked for here"))
            }
        }
    }

    fn unknown(
        &self,
        key: &toml::Spanned<std::borrow::Cow<'_, str>>,
        kind: &str,
        table: &str,
        known: &BTreeSet<String>,
    ) -> anyhow::Error {
        let text = key.get_ref();
        let remedy = match flags::nearest(text, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`--help` of the command lists what there is".to_owned(),
        };
        let place = if table.is_empty() { "at the top".to_owned() } else { format!("in `[{table}]`") };
        self.fault(key.span().start, &format!("there is no {kind} `{text}` {place}; {remedy}"))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    fn refused(text: &str) -> String {
        let mut command = Cli::command();
        command.build();
        let error = File::parse(Path::new("t.toml"), text, &command).unwrap_err();
        assert_eq!(Exit::of(&error), Exit::Input, "{error}");
        error.to_string()
    }

    #[test]
    fn a_key_that_means_nothing_is_refused_with_its_line_and_what_was_meant() {
        for (text, said) in [
            (
                "\n[process.totals]\nsise = '5s'",
                "`t.toml`, line 3: there is no flag `sise` in `[process.totals]`; did you mean `size`?",
            ),
            ("quit = true", "line 1: there is no flag `quit` at the top; did you mean `quiet`?"),
            ("brokers = 'one'", "line 1: `brokers` belongs into the table `[kafka]`"),
            ("password = 'p'", "line 1: `password` belongs into the table `[kafka]`"),
            (
                "[kafka]\nbroker = 'one'",
                "line 2: there is no key `broker` in `[kafka]`; did you mean `brokers`?",
            ),
            ("[kafka]\npasword = 'one'", "did you mean `password`?"),
            ("[proces.totals]", "line 1: there is no table `proces` at the top; did you mean `process`?"),
            ("[process]\ncommit_interval = '5s'", "did you mean `commit-interval`?"),
            ("[process]\ncolour = 'blue'", "`--help` of the command lists what there is"),
            ("[process]\nconfig = 'other'", "there is no flag `config` in `[process]`"),
            ("[kafka]\nbrokers = [['one']]", "line 2: a single value is asked for here"),
        ] {
            let refused = refused(text);
            assert!(refused.contains(said), "{refused}\n{said}");
        }
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_line_and_without_its_text() {
        for text in
            ["\n\n[kafka]\npassword = hunter2\n", "\n\n\npassword = 'hunter2\n", "a = 1\n\n\na = 'hunter2'\n"]
        {
            let refused = refused(text);
            assert!(refused.starts_with("`t.toml`, line 4: "), "{refused}");
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn a_flag_and_a_table_of_one_name_are_told_apart() {
        let mut command = Cli::command();
        command.build();
        let file = File::parse(
            Path::new("t.toml"),
            "[simulate]\nradars = 3\n[simulate.radars]\nkeys = 1_0",
            &command,
        );
        // TOML itself knows one thing of one name only.
        assert!(file.is_err());
        let file = File::parse(
            Path::new("t.toml"),
            "[simulate.radars]\nradars = 3\nkeys = 1_0\nlate = 0.05",
            &command,
        )
        .unwrap();
        let of = |flag| file.value(&["simulate.radars".to_owned()], flag).unwrap().0.clone();
        assert_eq!(
            ["radars", "keys", "late"].map(of),
            ["3", "10", "0.05"].map(|text| Value::Text(text.to_owned()))
        );
    }
}
