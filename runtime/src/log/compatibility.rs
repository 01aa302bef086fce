//! Which schemas are the same, and which may follow which: one rule for every home.
//!
//! Promise: two texts are the same schema if only white space and the order of attributes tell them apart: a default or a doc
//! string makes another one. The newest version of a subject reads what every older one wrote (backward, transitive), because
//! old topics are read again. A registry may ask for more; one that asks for less (Apicurio begins with nothing at all) changes
//! nothing here.

use apache_avro::Schema;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use serde_json::Value;

use super::registry::{SchemaId, Standing};
use crate::error::{Error, Result};

/// How `schema` stands to the versions of `subject`, oldest first.
pub(super) fn standing(subject: &str, schema: &str, versions: &[(SchemaId, String)]) -> Result<Standing> {
    let wanted = normalise(subject, schema)?;
    let is_same = |text: &str| normalise(subject, text).is_ok_and(|text| text == wanted);
    let reader = parse(subject, schema)?;
    if let Some((id, _)) = versions.iter().find(|(_, text)| is_same(text)) {
        return Ok(registered(subject, *id, &reader, versions));
    }
    for (version, (_, text)) in (1..).zip(versions) {
        if let Some(why) = obstacle(text, &reader) {
            let what = format!("the new schema of `{subject}` cannot read version {version}: {why}");
            return Ok(Standing::Incompatible(what));
        }
    }
    Ok(if versions.is_empty() { Standing::Missing } else { Standing::Compatible })
}

/// How a schema stands to the versions of `subject` that is one of them.
pub(super) fn known(
    subject: &str,
    schema: &str,
    id: SchemaId,
    versions: &[(SchemaId, String)],
) -> Result<Standing> {
    Ok(registered(subject, id, &parse(subject, schema)?, versions))
}

fn registered(subject: &str, id: SchemaId, reader: &Schema, versions: &[(SchemaId, String)]) -> Standing {
    match versions.last().and_then(|(_, newest)| obstacle(newest, reader)) {
        None => Standing::Registered(id),
        Some(why) => {
            let newest = versions.len();
            let what = format!("the schema of `{subject}` cannot read version {newest}, the newest: {why}");
            Standing::Overtaken(id, what)
        }
    }
}

/// Why `reader` cannot read everything that was written by the schema in `writer`.
fn obstacle(writer: &str, reader: &Schema) -> Option<String> {
    let writer = match Schema::parse_str(writer) {
        Ok(writer) => writer,
        Err(error) => return Some(format!("that one is no Avro schema: {error}")),
    };
    match SchemaCompatibility::can_read(&writer, reader) {
        Ok(Compatibility::Full) => None,
        Ok(Compatibility::Partial) => Some("not every value has a counterpart".to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// What is answered to a schema that is [incompatible](Standing::Incompatible).
pub(super) fn refusal(what: String) -> Error {
    Error::Refused { what, remedy: "give new fields a default, or use another topic".to_owned() }
}

fn parse(subject: &str, schema: &str) -> Result<Schema> {
    Schema::parse_str(schema).map_err(|error| invalid(subject, &error.to_string()))
}

fn invalid(subject: &str, why: &str) -> Error {
    let what = format!("the schema of `{subject}` is no Avro schema: {why}");
    Error::Refused { what, remedy: "correct it".to_owned() }
}

/// The text two equal schemas have in common.
pub(super) fn normalise(subject: &str, schema: &str) -> Result<String> {
    let value: Value = serde_json::from_str(schema).map_err(|error| invalid(subject, &error.to_string()))?;
    Ok(sorted(value).to_string())
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(attributes) => {
            let mut attributes: Vec<_> = attributes.into_iter().collect();
            attributes.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Object(attributes.into_iter().map(|(name, value)| (name, sorted(value))).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        plain => plain,
    }
}
