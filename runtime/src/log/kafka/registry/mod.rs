//! Any Confluent-compatible schema registry.
//!
//! Promise: what an id means is asked once and kept for ever; a registry out of reach is a passing fault, told at once to whoever asks
//! again, and never an unknown id; a schema that cannot read what an older version wrote is refused before anything is produced,
//! whatever the registry's own rule. No user, password or CA stands in any error. What breaks it: two processes that register two different
//! schemas of one subject at the same instant, in a registry that compares nothing by itself (compatibility `NONE`).
//!
//! Callers are synchronous functions *inside* an async runtime, where a blocking client panics: so every question is asked by a thread of
//! its own, and its caller waits at a channel, for a bounded time.
//!
//! ```text
//! mod (SchemaRegistry) ─┬─ questions     what ids mean: kept, asked in the background
//!                       └─ servers ─┬─ address     where, and the secrets taken out
//!                                   ├─ requests    one server, with a bound on its answers
//!                                   └─ fault       what an answer means when it is none
//! ```
//!
//! Where registries differ (Apicurio 3.3 was tried): it refuses nothing until its compatibility rule is set, so ours counts; and
//! it need not take two texts of one schema for the same, so we send each without white space, and compare the versions of the subject
//! ourselves before one is added. Texts that differ in the order of attributes alone may get two ids in two subjects.

mod address;
mod fault;
mod look;
mod questions;
mod requests;
mod servers;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(super) use self::address::without_secrets;
use self::fault::{Fault, transient};
pub use self::look::{RegistryTold, look};
use self::questions::Questions;
use self::servers::Servers;
use super::connection::RegistryConnection;
use crate::error::{Error, Result};
use crate::log::compatibility::{known, normalise, refusal, standing};
use crate::log::{SchemaId, SchemaRegistry, Standing};

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// One request to one server.
    request: Duration,
    /// The first one who asks for an id.
    first_answer: Duration,
    /// Whoever asks anything else: it is asked at a start, where there is nothing else to do.
    start: Duration,
    /// Between the first two times something is asked; doubled each time …
    first_pause: Duration,
    /// … up to this.
    longest_pause: Duration,
    /// How long an id counts as unknown without being asked for again.
    unknown: Duration,
    /// An id that nobody has asked for in so long is asked for no more.
    forget: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            request: Duration::from_secs(3),
            first_answer: Duration::from_secs(1),
            start: Duration::from_secs(5),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            unknown: Duration::from_secs(1),
            forget: Duration::from_secs(60),
        }
    }
}

/// A registry behind one or several addresses, or none at all.
pub(super) struct ConfluentRegistry {
    /// None: nobody said where it is.
    reached: Option<Reached>,
    lookup_only: bool,
}

struct Reached {
    servers: Arc<Servers>,
    questions: Arc<Questions>,
    /// What this process has registered or found registered, by subject and text; as much as its topologies have.
    registered: Mutex<HashMap<(String, String), SchemaId>>,
    patience: Patience,
}

impl ConfluentRegistry {
    /// Makes the clients; connects when it is first asked something.
    pub(super) fn new(connection: &RegistryConnection) -> Result<ConfluentRegistry> {
        ConfluentRegistry::with(connection, Patience::default())
    }

    fn with(connection: &RegistryConnection, patience: Patience) -> Result<ConfluentRegistry> {
        let lookup_only = connection.lookup_only;
        if connection.urls.is_empty() {
            return Ok(ConfluentRegistry { reached: None, lookup_only });
        }
        let connection = connection.clone();
        let made = apart("make a client for the schema registry", move || {
            Servers::new(&connection, patience.request)
        });
        let servers = Arc::new(made?.recv().map_err(|_| died("make a client for the schema registry"))??);
        let questions = Questions::new(servers.clone(), patience);
        let registered = Mutex::default();
        Ok(ConfluentRegistry {
            reached: Some(Reached { servers, questions, registered, patience }),
            lookup_only,
        })
    }

    fn reached(&self) -> Result<&Reached> {
        self.reached.as_ref().ok_or_else(|| Error::Unnamed {
            what: "no schema registry is named".to_owned(),
            remedy: "give --registry URL or TIDEGATE_REGISTRY".to_owned(),
        })
    }
}

impl Drop for ConfluentRegistry {
    fn drop(&mut self) {
        if let Some(reached) = &self.reached {
            reached.questions.close();
        }
    }
}

impl SchemaRegistry for ConfluentRegistry {
    fn register(&self, subject: &str, schema: &str) -> Result<SchemaId> {
        let reached = self.reached()?;
        let key = (subject.to_owned(), normalise(subject, schema)?);
        if let Some(id) = reached.registered().get(&key) {
            return Ok(*id);
        }
        let text = without_white_space(schema);
        let (asked, sent, may_add) = (subject.to_owned(), text.clone(), !self.lookup_only);
        let what = format!("register the schema of `{subject}`");
        let id = reached.at_start(&what, move |servers| register(servers, &asked, &sent, may_add))??;
        reached.registered().insert(key, id);
        // What is produced next is read next.
        reached.questions.learn(id, text);
        Ok(id)
    }

    fn schema(&self, id: SchemaId) -> Result<Option<String>> {
        self.reached()?.questions.schema(id)
    }

    fn versions(&self, subject: &str) -> Result<Vec<(SchemaId, String)>> {
        let asked = subject.to_owned();
        self.reached()?
            .at_start(&format!("list the versions of `{subject}`"), move |servers| servers.versions(&asked))
    }

    fn check(&self, subject: &str, schema: &str) -> Result<Standing> {
        let (asked, sent) = (subject.to_owned(), without_white_space(schema));
        let what = format!("check the schema of `{subject}`");
        self.reached()?.at_start(&what, move |servers| check(servers, &asked, &sent))?
    }

    fn subjects(&self) -> Result<Vec<String>> {
        self.reached()?.at_start("list the subjects of the schema registry", Servers::subjects)
    }
}

/// The outer error is the registry's, the inner one ours.
fn register(
    servers: &Servers,
    subject: &str,
    schema: &str,
    may_add: bool,
) -> Result<Result<SchemaId>, Fault> {
    if let Some(id) = servers.find(subject, schema)? {
        return Ok(Ok(id));
    }
    let unregistered = match standing(subject, schema, &servers.versions(subject)?) {
        Ok(Standing::Registered(id) | Standing::Overtaken(id, _)) => return Ok(Ok(id)),
        Ok(Standing::Compatible | Standing::Missing) => None,
        Ok(Standing::Incompatible(what)) => Some(refusal(what)),
        Err(error) => Some(error),
    };
    if let Some(error) = unregistered {
        return Ok(Err(error));
    }
    if !may_add {
        return Ok(Err(Error::Refused {
            what: format!(
                "the schema of `{subject}` is not registered, and only looking it up is allowed here"
            ),
            remedy: "run `tidegate schemas register` from where registering is allowed".to_owned(),
        }));
    }
    servers.add(subject, schema).map(Ok)
}

fn check(servers: &Servers, subject: &str, schema: &str) -> Result<Result<Standing>, Fault> {
    if let Some(id) = servers.find(subject, schema)? {
        return Ok(known(subject, schema, id, &servers.versions(subject)?));
    }
    let by_our_rule = standing(subject, schema, &servers.versions(subject)?);
    if matches!(by_our_rule, Ok(Standing::Compatible)) && !servers.accepts(subject, schema)? {
        let what = format!("the schema registry's own rule refuses the new schema of `{subject}`");
        return Ok(Ok(Standing::Incompatible(what)));
    }
    Ok(by_our_rule)
}

impl Reached {
    /// Asks until there is an answer, or it took too long.
    fn at_start<T: Send + 'static>(
        &self,
        what: &str,
        question: impl Fn(&Servers) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        let (servers, patience) = (self.servers.clone(), self.patience);
        let until = Instant::now() + patience.start;
        let answer = apart(what, move || patiently(patience, until, || question(&servers)))?;
        match answer.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(answer) => answer.map_err(|fault| fault.named(what)),
            Err(RecvTimeoutError::Timeout) => Err(transient(
                what,
                format!("the schema registry gave no answer within {:?}", patience.start),
            )),
            Err(RecvTimeoutError::Disconnected) => Err(died(what)),
        }
    }

    fn registered(&self) -> MutexGuard<'_, HashMap<(String, String), SchemaId>> {
        self.registered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn patiently<T>(
    patience: Patience,
    until: Instant,
    question: impl Fn() -> Result<T, Fault>,
) -> Result<T, Fault> {
    let mut pause = patience.first_pause;
    loop {
        match question() {
            Err(Fault::Passing { .. }) if Instant::now() + pause < until => std::thread::sleep(pause),
            answer => return answer,
        }
        // Somebody waits: at the end of a long pause the registry may have been back for long.
        pause = (pause * 2).min(patience.start / 10);
    }
}

/// Does `work` where a client may block.
fn apart<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<std::sync::mpsc::Receiver<T>> {
    let (answer, asked) = sync_channel(1);
    let begun = std::thread::Builder::new().name("schema-registry".into()).spawn(move || {
        // Nobody listens any more once it took too long.
        let _ = answer.send(work());
    });
    begun.map(|_| asked).map_err(|cause| Error::Transient {
        what: format!("could not {what}: no thread could be started"),
        cause: Box::new(cause),
    })
}

fn died(what: &str) -> Error {
    Error::Defect(format!("the thread that was to {what} died"))
}

/// As registries that compare texts want it: the same schema is always sent as the same text.
fn without_white_space(schema: &str) -> String {
    serde_json::from_str::<serde_json::Value>(schema)
        .map_or_else(|_| schema.to_owned(), |value| value.to_string())
}
