//! `schemas check|register|list`: the schemas of the table of topics, and what the registry has of them.
//!
//! Promise: `check` and `list` change nothing; `register` registers every schema it was asked for or, when one of them cannot be
//! registered, none. So a deployment may forbid its producers to register, and have one command that does.

use anyhow::Result;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tidegate_runtime::log::{SchemaId, SchemaRegistry, Standing, subject_of_value};
use tidegate_schemas::{TOPICS, Topic};

use crate::cli::Context;
use crate::console::Output;
use crate::exit::Exit;
use crate::table;
use crate::topics::Format;

const CHECK_CODES: &str = "\
Exit codes:
  0  every schema is registered
  4  at least one is incompatible with what is registered, or cannot read its newest version (overtaken)
  5  at least one is not registered yet, and could be";

/// What to do with schemas.
#[derive(Debug, Subcommand)]
pub(crate) enum Schemas {
    /// How the schemas of our topics stand to the registry; changes nothing.
    #[command(after_help = CHECK_CODES)]
    Check(Chosen),
    /// Register the schemas of our topics, all or none.
    Register(Chosen),
    /// Every subject of the registry with its versions and their ids.
    List(List),
}

/// Which schemas.
#[derive(Args, Debug)]
pub(crate) struct Chosen {
    /// Only those of these topics.
    #[arg(value_name = "TOPIC", value_parser = PossibleValuesParser::new(TOPICS.map(|topic| topic.name)))]
    topics: Vec<String>,
    /// For people, or JSON objects, one a line.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// `schemas list`.
#[derive(Args, Debug)]
pub(crate) struct List {
    /// For people, or a JSON object per subject and line.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Carries out `schemas`.
pub(crate) fn run(schemas: &Schemas, context: &Context) -> Result<Exit> {
    let log = match schemas {
        Schemas::Register(_) => context.home.open_existing()?,
        Schemas::Check(_) | Schemas::List(_) => context.home.look()?,
    };
    match schemas {
        Schemas::Check(chosen) => check(chosen, log.registry(), context),
        Schemas::Register(chosen) => register(chosen, log.registry()),
        Schemas::List(list) => self::list(list, log.registry()),
    }
}

fn check(chosen: &Chosen, registry: &dyn SchemaRegistry, context: &Context) -> Result<Exit> {
    let standings = standings(chosen, registry)?;
    let rows = standings.iter().map(|(topic, standing)| match standing {
        Standing::Registered(id) => Row::of(topic, "registered", Some(*id)),
        Standing::Overtaken(id, why) => {
            Row { why: Some(why.clone()), ..Row::of(topic, "overtaken", Some(*id)) }
        }
        Standing::Compatible => Row::of(topic, "compatible", None),
        Standing::Missing => Row::of(topic, "missing", None),
        Standing::Incompatible(why) => Row { why: Some(why.clone()), ..Row::of(topic, "incompatible", None) },
    });
    print(chosen.format, &rows.collect::<Vec<_>>())?;
    let is_new = |(_, standing): &&_| matches!(standing, Standing::Compatible | Standing::Missing);
    let new = standings.iter().filter(is_new).count();
    if new > 0 {
        context.console.say(format_args!("{new} not registered yet; `tidegate schemas register` does it"));
    }
    let is_bad =
        |standing: &Standing| matches!(standing, Standing::Incompatible(_) | Standing::Overtaken(..));
    let incompatible = standings.iter().any(|(_, standing)| is_bad(standing));
    Ok(match (incompatible, new) {
        (true, _) => Exit::Refused,
        (false, 0) => Exit::Done,
        (false, _) => Exit::NotFound,
    })
}

fn register(chosen: &Chosen, registry: &dyn SchemaRegistry) -> Result<Exit> {
    let standings = standings(chosen, registry)?;
    let incompatible: Vec<&str> = standings
        .iter()
        .filter_map(|(_, standing)| match standing {
            Standing::Incompatible(why) => Some(why.as_str()),
            _ => None,
        })
        .collect();
    if !incompatible.is_empty() {
        let message = format!("{}; nothing was registered", incompatible.join("; "));
        return Err(Exit::Refused.because(message));
    }
    let mut rows = Vec::new();
    for (topic, standing) in standings {
        rows.push(match standing {
            Standing::Registered(id) | Standing::Overtaken(id, _) => Row::of(topic, "known", Some(id)),
            _ => {
                let id = registry.register(&subject_of_value(topic.name), topic.schema)?;
                Row::of(topic, "new", Some(id))
            }
        });
    }
    print(chosen.format, &rows)?;
    Ok(Exit::Done)
}

fn list(args: &List, registry: &dyn SchemaRegistry) -> Result<Exit> {
    let mut output = Output::new();
    let mut rows = Vec::new();
    for subject in registry.subjects()? {
        let versions = registry.versions(&subject)?;
        if args.format == Format::Json {
            let versions = (1..).zip(&versions).map(|(version, (id, schema))| as_json(version, *id, schema));
            output.json(json!({ "subject": subject.as_str(), "versions": versions.collect::<Vec<_>>() }))?;
        }
        rows.extend(
            (1..).zip(&versions).map(|(version, (id, _)): (u32, _)| {
                vec![subject.clone(), version.to_string(), id.to_string()]
            }),
        );
    }
    if args.format == Format::Text {
        let lines = table::lines(&["SUBJECT", "VERSION", "ID"], &rows);
        lines.iter().try_for_each(|line| output.line(line))?;
    }
    output.flush()?;
    Ok(Exit::Done)
}

fn as_json(version: u32, id: SchemaId, schema: &str) -> Value {
    let schema = serde_json::from_str(schema).unwrap_or_else(|_| Value::String(schema.to_owned()));
    json!({ "version": version, "id": id.0, "schema": schema })
}

/// In the table's order, each topic once.
fn standings(chosen: &Chosen, registry: &dyn SchemaRegistry) -> Result<Vec<(&'static Topic, Standing)>> {
    let is_chosen =
        |topic: &&Topic| chosen.topics.is_empty() || chosen.topics.iter().any(|name| name == topic.name);
    let standing =
        |topic: &'static Topic| Ok((topic, registry.check(&subject_of_value(topic.name), topic.schema)?));
    TOPICS.into_iter().filter(is_chosen).map(standing).collect()
}

/// One schema, as it is shown.
struct Row {
    topic: &'static str,
    word: &'static str,
    id: Option<SchemaId>,
    why: Option<String>,
}

impl Row {
    fn of(topic: &Topic, word: &'static str, id: Option<SchemaId>) -> Row {
        Row { topic: topic.name, word, id, why: None }
    }
}

fn print(format: Format, rows: &[Row]) -> Result<()> {
    let mut output = Output::new();
    match format {
        Format::Json => {
            for Row { topic, word, id, why } in rows {
                let subject = subject_of_value(topic);
                let id = id.map(|id| id.0);
                output.json(json!({
                    "topic": topic, "subject": subject, "standing": word, "id": id, "reason": why,
                }))?;
            }
        }
        Format::Text => {
            let cells = |row: &Row| {
                let id = row.id.map_or_else(|| "-".to_owned(), |id| id.to_string());
                let subject = subject_of_value(row.topic);
                vec![subject, row.word.to_owned(), id, row.why.clone().unwrap_or_default()]
            };
            let header = ["SUBJECT", "STANDING", "ID", "REASON"];
            let lines = table::lines(&header, &rows.iter().map(cells).collect::<Vec<_>>());
            lines.iter().try_for_each(|line| output.line(line))?;
        }
    }
    output.flush()
}
