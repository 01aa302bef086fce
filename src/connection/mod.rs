//! Which Kafka cluster, and how to talk to it: from flags, variables and files to a [`Connection`].
//!
//! ```text
//! args         the flags
//! properties   librdkafka's properties, each from its greatest source
//! security     TLS and SASL, and the passwords
//! registry     the schema registry
//! hosting      what only `process` is told
//! ```
//!
//! Promise: nobody who named a cluster, or anything about one, lands on the embedded log unawares; two sources that contradict each
//! other are refused; encryption that was asked for anywhere is never left out. No secret is shown in a message, and none is
//! taken from the command line, which everybody on the machine can read.

mod args;
mod hosting;
mod properties;
mod registry;
mod security;

use anyhow::Result;
use tidegate_runtime::log::kafka::Connection;

pub(crate) use self::args::KafkaArgs;
pub(crate) use self::hosting::{HostingArgs, SESSION_TIMEOUT, Timing};
use self::properties::{Properties, Property};
use crate::config::source::Source;
use crate::config::{Given, PROPERTY, secret};
use crate::exit::Exit;

/// The property that names the brokers.
const BROKERS: &str = "bootstrap.servers";

/// Where the command is to work.
#[derive(Clone, Debug)]
pub(crate) enum Where {
    Embedded,
    Kafka(Connection),
}

/// What a command needs of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Brokers,
    /// Brokers may be named, and are not asked.
    Registry,
}

/// What the flags, the variables and the files come to, with warnings.
pub(crate) fn choose(
    args: &KafkaArgs,
    given: &Given,
    need: Need,
    warnings: &mut Vec<String>,
) -> Result<Where> {
    let typed = args.property.iter().map(|text| text.expose());
    let typed = crate::config::pairs(typed, &Source::CommandLine)?;
    if let Some((name, ..)) = typed.iter().find(|(name, ..)| secret::is_secret(name)) {
        return Err(Exit::Usage.because(public_secret(name)));
    }
    if args.brokers.as_deref() == Some("") {
        return embedded_by_word(args, given);
    }
    let mut properties = Properties::default();
    properties.extend(given.properties.iter().cloned())?;
    if let Some(path) = &args.properties {
        let read = properties::read_file(path)?;
        if read.iter().any(|(name, ..)| secret::is_secret(name)) {
            warnings.extend(secret::exposed(path));
        }
        properties.extend(read)?;
    }
    properties.extend(typed)?;
    if let Some(brokers) = &args.brokers {
        let property = of_flag("brokers", brokers, given);
        properties.set(BROKERS, property)?;
    }
    let Some(brokers) = properties.remove(BROKERS) else {
        if need == Need::Registry && args.registry.is_given() {
            let registry = registry::choose(&args.registry, given, warnings)?;
            return Ok(Where::Kafka(Connection::new("", registry)));
        }
        return embedded(args, given, &properties);
    };
    check_brokers(&brokers)?;
    let brokers = brokers.value.expose().to_owned();
    let registry = registry::choose(&args.registry, given, warnings)?;
    security::apply(&mut properties, &args.security, given, warnings)?;
    Ok(Where::Kafka(Connection { properties: properties.checked()?, ..Connection::new(brokers, registry) }))
}

/// Refuses what was typed about a cluster on a command that uses none.
pub(crate) fn refuse(args: &KafkaArgs, command: &str, why: &str) -> Result<()> {
    match args.given().first() {
        Some(flag) => Err(Exit::Usage.because(format!("`{command}` takes no `--{flag}`: {why}"))),
        None => Ok(()),
    }
}

fn of_flag(flag: &'static str, value: &str, given: &Given) -> Property {
    Property { value: value.to_owned().into(), source: given.source(flag), flag: Some(flag) }
}

fn public_secret(name: &str) -> String {
    format!(
        "`{name}` is a secret, and everybody on this machine can see a command line; give it in a file with --properties, in a \
         variable (`TIDEGATE_PASSWORD`, `TIDEGATE_PROPERTY`), or in a password file"
    )
}

/// `--brokers ''`: what variables and the file say of a cluster is not meant; what was typed would be.
fn embedded_by_word(args: &KafkaArgs, given: &Given) -> Result<Where> {
    let typed = args.given().into_iter().filter(|flag| *flag != "brokers");
    match typed.into_iter().find(|flag| given.source(flag) == Source::CommandLine) {
        Some(flag) => Err(Exit::Usage.because(format!(
            "`--{flag}` is about a Kafka cluster, and `--brokers ''` asks for the embedded log; give one of them"
        ))),
        None => Ok(Where::Embedded),
    }
}

/// Nobody named a broker: then nobody may have said anything else about a cluster either.
fn embedded(args: &KafkaArgs, given: &Given, properties: &Properties) -> Result<Where> {
    let flag = args.given().into_iter().find(|flag| *flag != PROPERTY && *flag != "properties");
    let called = flag.map(|flag| match given.source(flag) {
        Source::CommandLine => format!("`--{flag}`"),
        source => format!("`--{flag}` ({source})"),
    });
    let Some(called) = called.or_else(|| properties.first()) else { return Ok(Where::Embedded) };
    Err(Exit::Usage
        .because(format!("{called} is about a Kafka cluster, and none is named; give --brokers HOST:PORT")))
}

fn check_brokers(brokers: &Property) -> Result<()> {
    let refused = |part: &str| {
        let called = brokers.called(BROKERS);
        Err(Exit::Usage.because(format!(
            "{called}: `{part}` is no broker; write `host:port`, several separated by commas"
        )))
    };
    for part in brokers.value.expose().split(',').map(str::trim) {
        // An IPv6 address stands in brackets; without a port it is 9092.
        let (host, port) = match part.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (part, None),
        };
        let port_is_good = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        if host.is_empty() || host.contains(char::is_whitespace) || !port_is_good {
            return refused(part);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
