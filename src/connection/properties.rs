//! librdkafka's properties from everywhere: flags, `-X`, a file, a variable.
//!
//! Promise: of each property the greatest source wins, and two of the same rank that differ are refused, never decided by their
//! order. No message shows a value.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use tidegate_runtime::log::kafka::check_property;

use super::BROKERS;
use crate::config;
use crate::config::secret::Secret;
use crate::config::source::{Place, Source};
use crate::exit::Exit;

/// librdkafka's other names for a property.
const ALIASES: [(&str, &str); 2] = [("sasl.mechanism", "sasl.mechanisms"), ("metadata.broker.list", BROKERS)];

/// One property as it was given.
#[derive(Clone, Debug)]
pub(super) struct Property {
    pub(super) value: Secret,
    pub(super) source: Source,
    /// The flag that stands for it, if it was not given by its own name.
    pub(super) flag: Option<&'static str>,
}

/// Properties by name, each at its greatest source.
#[derive(Clone, Debug, Default)]
pub(super) struct Properties {
    by_name: BTreeMap<String, Property>,
}

impl Properties {
    /// Adds one.
    pub(super) fn set(&mut self, name: &str, property: Property) -> Result<()> {
        let name = canonical(name);
        match self.by_name.get(&name) {
            Some(other) if other.source.rank() > property.source.rank() => return Ok(()),
            Some(other)
                if other.source.rank() == property.source.rank()
                    && !alike(&name, other.value.expose(), property.value.expose()) =>
            {
                let message = format!(
                    "{} and {} contradict each other; give one of them",
                    other.called(&name),
                    property.called(&name)
                );
                return Err(Exit::Usage.because(message));
            }
            _ => {}
        }
        self.by_name.insert(name, property);
        Ok(())
    }

    /// Adds what was given by its own name.
    pub(super) fn extend(&mut self, given: impl IntoIterator<Item = (String, Secret, Source)>) -> Result<()> {
        for (name, value, source) in given {
            self.set(&name, Property { value, source, flag: None })?;
        }
        Ok(())
    }

    pub(super) fn get(&self, name: &str) -> Option<&Property> {
        self.by_name.get(&canonical(name))
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<Property> {
        self.by_name.remove(&canonical(name))
    }

    /// The first one, for a message.
    pub(super) fn first(&self) -> Option<String> {
        self.by_name.iter().next().map(|(name, property)| property.called(name))
    }

    /// Asks librdkafka about each, and hands them over.
    pub(super) fn checked(self) -> Result<BTreeMap<String, String>> {
        let check = |(name, property): (String, Property)| {
            let value = property.value.expose();
            match check_property(&name, value) {
                Ok(()) => Ok((name, value.to_owned())),
                Err(error) => Err(property.fault(&error.to_string())),
            }
        };
        self.by_name.into_iter().map(check).collect()
    }
}

impl Property {
    /// How a message calls it: as it was given, and where.
    pub(super) fn called(&self, name: &str) -> String {
        let called = match self.flag {
            Some(flag) => format!("`--{flag}`"),
            None if self.source == Source::CommandLine => format!("`-X {name}`"),
            None => format!("`{name}`"),
        };
        match &self.source {
            Source::CommandLine => called,
            source => format!("{called} ({source})"),
        }
    }

    /// What is wrong with it, at its place.
    fn fault(&self, what: &str) -> anyhow::Error {
        match &self.source {
            Source::File(place) | Source::Properties(place) => {
                Exit::Input.because(format!("{place}: {what}"))
            }
            Source::Variable(name) => Exit::Usage.because(format!("the variable `{name}`: {what}")),
            Source::CommandLine => Exit::Usage.because(what),
        }
    }
}

/// Reads a file of `key=value` lines. Every line is checked here, so that the message can name it.
pub(super) fn read_file(path: &Path) -> Result<Vec<(String, Secret, Source)>> {
    let text = fs::read_to_string(path).with_context(|| format!("could not read `{}`", path.display()))?;
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        // Java's properties have both kinds of comment.
        if line.starts_with(['#', '!']) {
            continue;
        }
        let source = Source::Properties(Place::new(path, number + 1));
        for (name, value, source) in config::pairs(std::iter::once(line), &source)? {
            let property = Property { value, source, flag: None };
            // The brokers are a flag of ours, whose name in a file is this.
            if canonical(&name) != BROKERS {
                let checked = check_property(&canonical(&name), property.value.expose());
                checked.map_err(|error| property.fault(&error.to_string()))?;
            }
            found.push((name, property.value, property.source));
        }
    }
    Ok(found)
}

fn canonical(name: &str) -> String {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    alias.map_or(name, |(_, name)| name).to_owned()
}

/// True if two values say the same.
fn alike(name: &str, one: &str, other: &str) -> bool {
    match name {
        "security.protocol" | "sasl.mechanisms" => one.eq_ignore_ascii_case(other),
        _ => one == other,
    }
}
