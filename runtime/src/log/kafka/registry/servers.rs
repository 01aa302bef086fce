//! The registry's servers, each asked in its turn.
//!
//! Promise: a question is put to one server after the other until one answers it, and "no" is an answer; the one that answered is asked
//! first the next time. Every question is bounded in time. What breaks it: being used inside an async runtime (the client blocks, and
//! would panic there).
//!
//! Requests are our own (see [`requests`](super::requests)); schema_registry_converter gives the forms of the answers. Requests go by no
//! proxy, as those to the brokers.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use apache_avro::Schema;
use reqwest::blocking::Client;
use reqwest::{Certificate, StatusCode};
use schema_registry_converter::schema_registry_common::{RawRegisteredSchema, RegisteredReference};
use serde::Deserialize;
use serde_json::json;

use super::address::{Address, encoded};
use super::fault::{Fault, causes, passing};
use super::requests::{ANSWER_MAX_BYTES, Requests};
use crate::error::{Error, Result};
use crate::log::SchemaId;
use crate::log::kafka::RegistryConnection;

/// References of references are followed so far; more is a circle.
const DEEPEST_REFERENCE: usize = 16;

/// Every address of one registry.
pub(super) struct Servers {
    all: Vec<Requests>,
    /// Who answered last.
    first: AtomicUsize,
}

/// What several answers together may hold: the versions of one subject, or what a schema refers to.
const TOGETHER_MAX_BYTES: usize = 4 * ANSWER_MAX_BYTES;

#[derive(Deserialize)]
struct Verdict {
    is_compatible: bool,
}

impl Servers {
    /// Makes the clients and connects nowhere. Not to be called inside an async runtime.
    pub(super) fn new(connection: &RegistryConnection, patience: Duration) -> Result<Servers> {
        let authorities = connection.ca.as_deref().map(authorities).transpose()?.unwrap_or_default();
        let server = |address: &String| {
            let Address { url, user } = Address::parse(address)?;
            let client = Client::builder()
                .no_proxy()
                .timeout(patience)
                // A server out of reach is given up sooner than one that thinks: there may be another one.
                .connect_timeout(patience / 2)
                .tls_certs_merge(authorities.iter().cloned())
                .build()
                .map_err(|error| Error::Refused {
                    what: format!(
                        "cannot make a client for the schema registry at `{url}`: {}",
                        causes(&error)
                    ),
                    remedy: "check its address and its CA file".to_owned(),
                })?;
            let user = user.or_else(|| connection.user.clone());
            Ok(Requests { place: url, client, user, patience })
        };
        let all = connection.urls.iter().map(server).collect::<Result<_>>()?;
        Ok(Servers { all, first: AtomicUsize::new(0) })
    }

    /// The schema behind an id, by itself: what it refers to is put into it.
    pub(super) fn schema(&self, id: SchemaId) -> Result<String, Fault> {
        let path = format!("/schemas/ids/{}?deleted=true", id.0);
        let found: RawRegisteredSchema = self.ask(|server| server.get(&path))?;
        let schema = found.schema.ok_or_else(|| incomplete("a schema"))?;
        let references = found.references.unwrap_or_default();
        match found.schema_type.as_deref() {
            None | Some("AVRO") if references.is_empty() => Ok(schema),
            None | Some("AVRO") => self.whole(schema, references),
            // It must not be taken for an Avro schema: JSON schemas of simple things can look like one.
            Some(other) => Ok(format!("not Avro but {other}: {schema}")),
        }
    }

    /// Every version of a subject, oldest first; none if there is no such subject.
    pub(super) fn versions(&self, subject: &str) -> Result<Vec<(SchemaId, String)>, Fault> {
        let subject = encoded(subject);
        let listed: Result<Vec<u32>, Fault> =
            self.ask(|server| server.get(&format!("/subjects/{subject}/versions")));
        let numbers = match listed {
            Err(Fault::Unknown) => return Ok(Vec::new()),
            numbers => numbers?,
        };
        let (mut versions, mut taken_bytes) = (Vec::new(), 0);
        for number in numbers {
            match self.version(&subject, number) {
                // Removed since it was listed.
                Err(Fault::Unknown) => {}
                found => {
                    let found = found?;
                    let parts = found.id.zip(found.schema);
                    let (id, schema) = parts.ok_or_else(|| incomplete(&format!("version {number}")))?;
                    taken_bytes += schema.len();
                    within_bound(taken_bytes, "the versions of a subject")?;
                    versions.push((SchemaId(id), schema));
                }
            }
        }
        Ok(versions)
    }

    /// `subject` is already encoded for a path.
    fn version(&self, subject: &str, number: u32) -> Result<RawRegisteredSchema, Fault> {
        self.ask(|server| server.get(&format!("/subjects/{subject}/versions/{number}")))
    }

    /// Every subject, in order.
    pub(super) fn subjects(&self) -> Result<Vec<String>, Fault> {
        let mut subjects = self.ask(|server| server.get::<Vec<String>>("/subjects"))?;
        subjects.sort();
        Ok(subjects)
    }

    /// The id of `schema` if the registry knows it as a version of `subject`.
    pub(super) fn find(&self, subject: &str, schema: &str) -> Result<Option<SchemaId>, Fault> {
        let path = format!("/subjects/{}?deleted=false", encoded(subject));
        let found: Result<RawRegisteredSchema, Fault> =
            self.ask(|server| server.post(&path, &supplied(schema)));
        match found {
            Err(Fault::Unknown) => Ok(None),
            found => found?.id.map(|id| Some(SchemaId(id))).ok_or_else(|| incomplete("a schema's id")),
        }
    }

    /// Makes `schema` the next version of `subject`.
    pub(super) fn add(&self, subject: &str, schema: &str) -> Result<SchemaId, Fault> {
        let path = format!("/subjects/{}/versions", encoded(subject));
        let added: RawRegisteredSchema = self.ask(|server| server.post(&path, &supplied(schema)))?;
        added.id.map(SchemaId).ok_or_else(|| incomplete("a schema's id"))
    }

    /// Whether `schema` may become the next version of `subject` by the registry's own rule.
    pub(super) fn accepts(&self, subject: &str, schema: &str) -> Result<bool, Fault> {
        let path = format!("/compatibility/subjects/{}/versions", encoded(subject));
        match self.ask(|server| server.post::<Verdict>(&path, &supplied(schema))) {
            // A subject without versions takes any schema.
            Err(Fault::Unknown) => Ok(true),
            // Not every registry answers this for all versions at once: those say it when the schema is registered.
            Err(
                Fault::Passing { no_route: true, .. }
                | Fault::Refused { status: StatusCode::METHOD_NOT_ALLOWED, .. },
            ) => Ok(true),
            answer => answer.map(|verdict| verdict.is_compatible),
        }
    }

    fn ask<T>(&self, question: impl Fn(&Requests) -> Result<T, Fault>) -> Result<T, Fault> {
        let first = self.first.load(Ordering::Relaxed);
        let (mut causes, mut no_route_anywhere) = (Vec::new(), true);
        for number in (0..self.all.len()).map(|step| (first + step) % self.all.len()) {
            match question(&self.all[number]) {
                Err(Fault::Passing { cause, no_route }) => {
                    causes.push(cause);
                    no_route_anywhere &= no_route;
                }
                answer => {
                    self.first.store(number, Ordering::Relaxed);
                    return answer;
                }
            }
        }
        Err(Fault::Passing { cause: causes.join("; "), no_route: no_route_anywhere })
    }

    /// A schema that refers to others, and they in it. What is left out (defaults, doc strings) plays no part in reading
    /// what was written by it.
    fn whole(&self, schema: String, references: Vec<RegisteredReference>) -> Result<String, Fault> {
        let (mut others, mut taken_bytes) = (Vec::new(), schema.len());
        let mut level = references;
        for _ in 0..DEEPEST_REFERENCE {
            let mut next = Vec::new();
            for reference in &level {
                let other = self.version(&reference.subject.replace('/', "%2F"), reference.version);
                // Without it the schema stays unreadable: that is what its records are then refused for.
                let Some(other) = known(other)? else { return Ok(schema) };
                let text = other.schema.ok_or_else(|| incomplete("a schema"))?;
                let references = other.references.unwrap_or_default();
                next.extend(references.into_iter().filter(|it| !level.contains(it)));
                taken_bytes += text.len();
                within_bound(taken_bytes, "what a schema refers to")?;
                if !others.contains(&text) {
                    others.push(text);
                }
            }
            level = next;
        }
        let put_together = Schema::parse_str_with_list(&schema, &others)
            .and_then(|(schema, others)| schema.independent_canonical_form(&others));
        Ok(put_together.unwrap_or(schema))
    }
}

fn known(found: Result<RawRegisteredSchema, Fault>) -> Result<Option<RawRegisteredSchema>, Fault> {
    match found {
        Err(Fault::Unknown) => Ok(None),
        found => found.map(Some),
    }
}

fn within_bound(taken_bytes: usize, what: &str) -> Result<(), Fault> {
    match taken_bytes {
        0..=TOGETHER_MAX_BYTES => Ok(()),
        _ => Err(passing(format!("{what} has more than {TOGETHER_MAX_BYTES} bytes in the schema registry"))),
    }
}

pub(super) fn authorities(file: &Path) -> Result<Vec<Certificate>> {
    let pem = std::fs::read(file).map_err(|cause| Error::Storage {
        what: format!("could not read the schema registry's CA file `{}`", file.display()),
        cause: Box::new(cause),
    })?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(Error::Refused {
            what: format!("the schema registry's CA file `{}` holds no certificate", file.display()),
            remedy: "give certificates in PEM".to_owned(),
        }),
    }
}

fn supplied(schema: &str) -> String {
    json!({ "schema": schema, "schemaType": "AVRO" }).to_string()
}

fn incomplete(what: &str) -> Fault {
    passing(format!("the schema registry answered, but not as a schema registry does: without {what}"))
}
