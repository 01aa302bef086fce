//! The registry's servers, each asked in its turn.
//!
//! Promise: a question is put to one server after the other until one answers it, and "no" is an answer; the one that answered is asked
//! first the next time. Every question is bounded in time. What breaks it: being used inside an async runtime (the client blocks, and
//! would panic there).
//!
//! The client is schema_registry_converter's. Left alone are its *decoders* (a truncated datum comes out with nulls, see
//! [`avro`](crate::avro)), their cache (which keeps a 500 or a "not found" for ever) and its own loop over several addresses (which
//! takes a "not found" for a reason to ask the next one, so that one server out of reach makes an unknown id look like a passing
//! fault). Requests go by no proxy, as those to the brokers.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use apache_avro::Schema;
use reqwest::blocking::{Client, ClientBuilder};
use reqwest::{Certificate, StatusCode};
use schema_registry_converter::blocking::schema_registry as client;
use schema_registry_converter::blocking::schema_registry::SrSettings;
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{
    RegisteredSchema, SchemaType, SrCall, SuppliedSchema,
};
use serde_json::json;

use super::address::{Address, encoded};
use super::fault::{Fault, passing};
use crate::error::{Error, Result};
use crate::log::SchemaId;
use crate::log::kafka::RegistryConnection;

/// References of references are followed so far; more is a circle.
const DEEPEST_REFERENCE: usize = 16;

/// Every address of one registry.
pub(super) struct Servers {
    all: Vec<Server>,
    /// Who answered last.
    first: AtomicUsize,
}

struct Server {
    place: String,
    settings: SrSettings,
}

impl Servers {
    /// Makes the clients and connects nowhere. Not to be called inside an async runtime.
    pub(super) fn new(connection: &RegistryConnection, patience: Duration) -> Result<Servers> {
        let authorities = connection.ca.as_deref().map(authorities).transpose()?.unwrap_or_default();
        let server = |address: &String| {
            let Address { url, user } = Address::parse(address)?;
            let builder = Client::builder()
                // A server out of reach is given up sooner than one that thinks: there may be another one.
                .connect_timeout(patience / 2)
                .tls_certs_merge(authorities.iter().cloned());
            let user = user.as_ref().or(connection.user.as_ref());
            let settings = settings(&url, user, patience, builder)?;
            Ok(Server { place: url, settings })
        };
        let all = connection.urls.iter().map(server).collect::<Result<_>>()?;
        Ok(Servers { all, first: AtomicUsize::new(0) })
    }

    /// The schema behind an id, by itself: what it refers to is put into it.
    pub(super) fn schema(&self, id: SchemaId) -> Result<String, Fault> {
        let found = self.ask(|settings| client::get_schema_by_id(id.0, settings))?;
        match &found.schema_type {
            SchemaType::Avro if found.references.is_empty() => Ok(found.schema),
            SchemaType::Avro => self.whole(found),
            // It must not be taken for an Avro schema: JSON schemas of simple things can look like one.
            other => Ok(format!("not Avro but {other:?}: {}", found.schema)),
        }
    }

    /// Every version of a subject, oldest first; none if there is no such subject.
    pub(super) fn versions(&self, subject: &str) -> Result<Vec<(SchemaId, String)>, Fault> {
        let subject = encoded(subject);
        let numbers = match self.ask(|settings| client::get_all_versions(settings, subject.clone())) {
            Err(Fault::Unknown) => return Ok(Vec::new()),
            numbers => numbers?,
        };
        let mut versions = Vec::with_capacity(numbers.len());
        for number in numbers {
            let call = SrCall::GetBySubjectAndVersion(&subject, number);
            match self.ask(|settings| client::perform_sr_call(settings, call)) {
                // Removed since it was listed.
                Err(Fault::Unknown) => {}
                found => {
                    let found = found?;
                    let parts = found.id.zip(found.schema);
                    let (id, schema) = parts.ok_or_else(|| incomplete(&format!("version {number}")))?;
                    versions.push((SchemaId(id), schema));
                }
            }
        }
        Ok(versions)
    }

    /// Every subject, in order.
    pub(super) fn subjects(&self) -> Result<Vec<String>, Fault> {
        let mut subjects = self.ask(client::get_all_subjects)?;
        subjects.sort();
        Ok(subjects)
    }

    /// The id of `schema` if the registry knows it as a version of `subject`.
    pub(super) fn find(&self, subject: &str, schema: &str) -> Result<Option<SchemaId>, Fault> {
        let body = json!({ "schema": schema, "schemaType": "AVRO" }).to_string();
        let subject = encoded(subject);
        match self.ask(|settings| client::perform_sr_call(settings, SrCall::PostForVersion(&subject, &body)))
        {
            Err(Fault::Unknown) => Ok(None),
            found => found?.id.map(|id| Some(SchemaId(id))).ok_or_else(|| incomplete("a schema's id")),
        }
    }

    /// Makes `schema` the next version of `subject`.
    pub(super) fn add(&self, subject: &str, schema: &str) -> Result<SchemaId, Fault> {
        let added = self.ask(|settings| client::post_schema(settings, encoded(subject), supplied(schema)))?;
        Ok(SchemaId(added.id))
    }

    /// Whether `schema` may become the next version of `subject` by the registry's own rule.
    pub(super) fn accepts(&self, subject: &str, schema: &str) -> Result<bool, Fault> {
        let question = |settings: &SrSettings| {
            client::is_compatible_schema(settings, encoded(subject), supplied(schema))
        };
        match self.ask(question) {
            // A subject without versions takes any schema.
            Err(Fault::Unknown) => Ok(true),
            // Not every registry answers this for all versions at once: those say it when the schema is registered.
            Err(
                Fault::Passing { no_route: true, .. }
                | Fault::Refused { status: StatusCode::METHOD_NOT_ALLOWED, .. },
            ) => Ok(true),
            answer => answer,
        }
    }

    fn ask<T>(&self, question: impl Fn(&SrSettings) -> Result<T, SRCError>) -> Result<T, Fault> {
        let first = self.first.load(Ordering::Relaxed);
        let (mut causes, mut no_route_anywhere) = (Vec::new(), true);
        for number in (0..self.all.len()).map(|step| (first + step) % self.all.len()) {
            let server = &self.all[number];
            match question(&server.settings).map_err(|error| Fault::met(&server.place, &error)) {
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
    fn whole(&self, found: RegisteredSchema) -> Result<String, Fault> {
        let mut others = Vec::new();
        let mut level = found.references;
        for _ in 0..DEEPEST_REFERENCE {
            let mut next = Vec::new();
            for reference in &level {
                let other = self.ask(|settings| client::get_referenced_schema(settings, reference));
                // Without it the schema stays unreadable: that is what its records are then refused for.
                let Some(other) = known(other)? else { return Ok(found.schema) };
                next.extend(other.references.iter().filter(|it| !level.contains(it)).cloned());
                if !others.contains(&other.schema) {
                    others.push(other.schema);
                }
            }
            level = next;
        }
        let put_together = Schema::parse_str_with_list(&found.schema, &others)
            .and_then(|(schema, others)| schema.independent_canonical_form(&others));
        Ok(put_together.unwrap_or(found.schema))
    }
}

fn known(found: Result<RegisteredSchema, Fault>) -> Result<Option<RegisteredSchema>, Fault> {
    match found {
        Err(Fault::Unknown) => Ok(None),
        found => found.map(Some),
    }
}

fn settings(
    url: &str,
    user: Option<&(String, String)>,
    patience: Duration,
    builder: ClientBuilder,
) -> Result<SrSettings> {
    let mut settings = SrSettings::new_builder(url.to_owned());
    if let Some((user, password)) = user {
        settings.set_basic_authorization(user, Some(password));
    }
    settings.no_proxy().set_timeout(patience).build_with(builder).map_err(|error| Error::Refused {
        what: format!("no client could be made for the schema registry at `{url}`: {}", error.error),
        remedy: "check its address and its CA file".to_owned(),
    })
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

fn supplied(schema: &str) -> SuppliedSchema {
    SuppliedSchema::new(None, SchemaType::Avro, schema.to_owned())
}

fn incomplete(what: &str) -> Fault {
    passing(format!("the schema registry gave an answer without {what}"))
}
