//! The schema registry: ids and schemas of record values, in the words of Confluent's API.

use std::fmt;

use super::compatibility;
use crate::error::Result;

/// The id a schema is registered under: bytes 1 to 4 of every framed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaId(pub u32);

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The subject of a topic's values: `<topic>-value`.
#[must_use]
pub fn subject_of_value(topic: &str) -> String {
    format!("{topic}-value")
}

/// How a schema stands to a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is one of its versions.
    Registered(SchemaId),
    /// It is one of its versions, and cannot read the newest one: what is written by that is lost on it. With the reason.
    Overtaken(SchemaId, String),
    /// It is none of its versions and can read every one of them: it may be registered.
    Compatible,
    /// The subject has no versions: it may be registered.
    Missing,
    /// It cannot become a version, and why.
    Incompatible(String),
}

/// Registers and looks up schemas. The embedded home keeps them in the log's own database.
pub trait SchemaRegistry: Send + Sync {
    /// The id of `schema` under `subject`, registering it as the next version if it is new there. The same schema under
    /// another subject has the same id. Schemas are compared in canonical form.
    ///
    /// # Errors
    /// [`Refused`](crate::Error::Refused) when the new schema cannot read every older version of the subject.
    fn register(&self, subject: &str, schema: &str) -> Result<SchemaId>;

    /// The schema behind an id; `None` if there is none.
    ///
    /// # Errors
    /// [`Transient`](crate::Error::Transient) when the registry cannot be reached: never taken for an unknown id.
    fn schema(&self, id: SchemaId) -> Result<Option<String>>;

    /// Every version of a subject, oldest first.
    ///
    /// # Errors
    /// As [`schema`](SchemaRegistry::schema).
    fn versions(&self, subject: &str) -> Result<Vec<(SchemaId, String)>>;

    /// How `schema` stands to `subject`; changes nothing.
    ///
    /// # Errors
    /// As [`schema`](SchemaRegistry::schema), and [`Refused`](crate::Error::Refused) when `schema` is no Avro schema.
    fn check(&self, subject: &str, schema: &str) -> Result<Standing> {
        compatibility::standing(subject, schema, &self.versions(subject)?)
    }

    /// Every subject.
    ///
    /// # Errors
    /// As [`schema`](SchemaRegistry::schema).
    fn subjects(&self) -> Result<Vec<String>>;
}
