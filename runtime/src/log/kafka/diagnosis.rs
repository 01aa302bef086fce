//! What a cluster says about itself, for those who judge whether it is fit: `tidegate doctor`.
//!
//! Facts only, each with the reason where there is none; nothing here decides what is good. Promise: every question is bounded in time,
//! and nothing is made or changed but by [`Diagnosis::make_probe`], whose topic [`Diagnosis::remove_probe`] takes away again.
//!
//! Which requests a broker understands, and so its release, librdkafka tells to nobody but its debug log: each address is asked by a
//! client of its own that listens to that. What breaks it: another wording there; tests on a real broker watch.
//!
//! A client also asks on its own where the brokers are, and once it knows it leaves the address it was given, with our question unanswered
//! there if that came later. Where no broker is reached at the address it tells, the client's own answer is all there is: it stands in
//! the debug log too.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::metadata::{Metadata, MetadataTopic};

use super::KafkaLog;
pub use super::admin::Settings;
use super::connection::{Connection, refused};
use super::fault::{Code, Failure};
use super::heard::Heard;
pub use super::registry::{RegistryTold, look as ask_registry};
use crate::error::Result;
use crate::log::{Cleanup, TopicSpec};

/// How long one address may take. Brokers answer within milliseconds: what has given a reason by the end of the first wait will not answer
/// in the second, which is for a machine that is very busy.
const PATIENCE: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(7)];
/// Shorter than both together: an address that swallows packets must give its reason in time.
const CONNECT_WITHIN_MS: &str = "4000";

/// The requests a broker understands, by number, with the oldest and the newest version of each.
pub type Apis = BTreeMap<i16, (i16, i16)>;

/// Where a broker says it is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Its number in the cluster.
    pub id: i32,
    /// `host:port`, as every client is told.
    pub address: String,
}

/// How a topic lies on the brokers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// How many partitions it has.
    pub partitions: u32,
    /// How many replicas the partition with the fewest has.
    pub replicas: u32,
    /// Partitions of which a replica has fallen behind.
    pub behind: u32,
    /// Partitions that nobody leads.
    pub leaderless: u32,
}

/// What the broker at one address has told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The cluster's id; brokers before 0.10.1 have none.
    pub cluster_id: Option<String>,
    /// Every broker of the cluster.
    pub brokers: Vec<Broker>,
    /// What it understands.
    pub apis: Apis,
    /// Every topic this user may see; `None` from an address that was left before it had told them.
    pub topics: Option<BTreeMap<String, Spread>>,
}

/// Why there are no settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// This user may not read them.
    Denied,
    /// What else stood in the way.
    Failed(String),
}

/// Settings, or why there are none.
pub type Read = Result<Settings, Unread>;

/// Asks one address, and only that; the reason if nobody answers there as a broker should.
///
/// # Errors
/// The reason, in librdkafka's words.
pub fn ask(connection: &Connection, address: &str) -> Result<Told, String> {
    let mut config = connection.client();
    config
        .set("bootstrap.servers", address)
        .set("socket.connection.setup.timeout.ms", CONNECT_WITHIN_MS)
        .set("debug", "feature,metadata")
        .set_log_level(RDKafkaLogLevel::Debug);
    let client =
        config.create_with_context(Listener::default()).map_err(|error| refused(error).to_string())?;
    let client: BaseConsumer<Listener> = client;
    let listener = client.context();
    let mut metadata = client.fetch_metadata(None, PATIENCE[0]);
    listener.catch_up(&client);
    if metadata.is_err() && listener.heard.recent().is_none() {
        metadata = client.fetch_metadata(None, PATIENCE[1]);
        listener.catch_up(&client);
    }
    let (brokers, topics) = match metadata {
        Ok(metadata) => (brokers(&metadata), Some(metadata.topics().iter().filter_map(spread).collect())),
        Err(error) => match Listener::of(&listener.brokers).clone() {
            none if none.is_empty() => return Err(listener.reason(address, &error)),
            learned => (learned.into_iter().map(|(id, address)| Broker { id, address }).collect(), None),
        },
    };
    Ok(Told {
        cluster_id: client.client().fetch_cluster_id(PATIENCE[0]),
        brokers,
        apis: Listener::of(&listener.apis).clone(),
        topics,
    })
}

fn brokers(metadata: &Metadata) -> Vec<Broker> {
    let broker = |broker: &rdkafka::metadata::MetadataBroker| Broker {
        id: broker.id(),
        address: address(broker.host(), broker.port()),
    };
    let mut brokers: Vec<Broker> = metadata.brokers().iter().map(broker).collect();
    brokers.sort_by_key(|broker| broker.id);
    brokers
}

fn address(host: &str, port: impl Display) -> String {
    match host.contains(':') && !host.starts_with('[') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

fn spread(topic: &MetadataTopic) -> Option<(String, Spread)> {
    let partitions = topic.partitions();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let replicas = partitions.iter().map(|partition| partition.replicas().len()).min()?;
    let behind = partitions.iter().filter(|partition| partition.isr().len() < partition.replicas().len());
    let leaderless = partitions.iter().filter(|partition| partition.leader() < 0);
    let spread = Spread {
        partitions: count(partitions.len()),
        replicas: count(replicas),
        behind: count(behind.count()),
        leaderless: count(leaderless.count()),
    };
    Some((topic.name().to_owned(), spread))
}

/// Keeps what matters of a client's debug log.
#[derive(Default)]
struct Listener {
    heard: Heard,
    apis: Mutex<Apis>,
    /// Where the brokers are, as the client was told itself.
    brokers: Mutex<BTreeMap<i32, String>>,
    lines: AtomicUsize,
}

impl ClientContext for Listener {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, line: &str) {
        self.lines.fetch_add(1, Ordering::Relaxed);
        self.heard.line(facility, line);
        if let Some((key, versions)) = api(line) {
            Listener::of(&self.apis).insert(key, versions);
        }
        if let Some((id, address)) = broker(line) {
            Listener::of(&self.brokers).insert(id, address);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.lines.fetch_add(1, Ordering::Relaxed);
        self.heard.error(error.rdkafka_error_code().unwrap_or(Code::Fail), reason);
    }
}

impl ConsumerContext for Listener {}

impl Listener {
    fn of<T>(heard: &Mutex<T>) -> MutexGuard<'_, T> {
        heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lines wait in the client's queue: takes all that stand there now.
    fn catch_up(&self, client: &BaseConsumer<Listener>) {
        loop {
            let before = self.lines.load(Ordering::Relaxed);
            let event = client.poll(Duration::ZERO);
            if event.is_none() && self.lines.load(Ordering::Relaxed) == before {
                return;
            }
        }
    }

    /// Why nobody has answered: what was heard, without what the caller knows.
    fn reason(&self, address: &str, error: &KafkaError) -> String {
        let Some(word) = self.heard.recent() else {
            let failure = error.rdkafka_error_code().map(|code| code.to_string());
            return failure.unwrap_or_else(|| error.to_string());
        };
        without_place(&word.text, address).to_owned()
    }
}

/// "h:1/bootstrap: Connect to ipv4#h:1 failed: Connection refused (after 0ms in state CONNECT, 3 identical error(s) suppressed)" in short.
fn without_place<'t>(text: &'t str, address: &str) -> &'t str {
    let behind = text.split_once("/bootstrap: ").filter(|(place, _)| place.ends_with(address));
    let text = behind.map_or(text, |(_, rest)| rest);
    text.rsplit_once(" (after ").map_or(text, |(reason, _)| reason)
}

/// Reads "  ApiKey Produce (0) Versions 0..13".
fn api(line: &str) -> Option<(i16, (i16, i16))> {
    let (_, rest) = line.split_once("ApiKey ")?;
    let (name, versions) = rest.split_once(") Versions ")?;
    let (_, key) = name.rsplit_once('(')?;
    let (oldest, newest) = versions.split_once("..")?;
    Some((key.parse().ok()?, (oldest.parse().ok()?, newest.trim_end().parse().ok()?)))
}

/// Reads "  Broker #0/1: h:1 NodeId 7".
fn broker(line: &str) -> Option<(i32, String)> {
    let (_, rest) = line.split_once("  Broker #")?;
    let (place, id) = rest.split_once(": ")?.1.rsplit_once(" NodeId ")?;
    let (host, port) = place.rsplit_once(':')?;
    Some((id.trim_end().parse().ok()?, address(host, port)))
}

/// The questions that need the whole cluster.
pub struct Diagnosis<'l>(&'l KafkaLog);

impl<'l> Diagnosis<'l> {
    /// About this cluster.
    #[must_use]
    pub fn of(log: &'l KafkaLog) -> Diagnosis<'l> {
        Diagnosis(log)
    }

    /// A broker's settings, which only it can tell.
    pub fn broker(&self, id: i32) -> Read {
        self.0.admin.broker_settings(id).map_err(unread)
    }

    /// The settings of these topics.
    #[must_use]
    pub fn topics(&self, names: &[&str]) -> BTreeMap<String, Read> {
        match self.0.admin.topic_settings(names) {
            Ok(answers) => {
                answers.into_iter().map(|(name, settings)| (name, settings.map_err(unread))).collect()
            }
            Err(failure) => {
                let unread = unread(failure);
                names.iter().map(|name| ((*name).to_owned(), Err(unread.clone()))).collect()
            }
        }
    }

    /// Makes a topic of one partition whose records bear the time at which the broker has appended them.
    ///
    /// # Errors
    /// As [`create_topics`](crate::log::Log::create_topics).
    pub fn make_probe(&self, name: &str) -> Result<()> {
        let spec = TopicSpec { name: name.to_owned(), partitions: 1, cleanup: Cleanup::Delete };
        self.0.admin.make_probe(&spec)
    }

    /// Takes it away.
    ///
    /// # Errors
    /// As [`delete_topic`](crate::log::Log::delete_topic).
    pub fn remove_probe(&self, name: &str) -> Result<()> {
        self.0.admin.remove_probe(name)
    }
}

fn unread(failure: Failure) -> Unread {
    match failure.code {
        Code::ClusterAuthorizationFailed | Code::TopicAuthorizationFailed => Unread::Denied,
        _ => Unread::Failed(failure.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debug_log_tells_what_a_broker_understands() {
        let line = "[thrd:h:1/bootstrap]: h:1/bootstrap:   ApiKey Produce (0) Versions 3..13";
        assert_eq!(api(line), Some((0, (3, 13))));
        assert_eq!(api("h:1/bootstrap:   ApiKey Unknown-88? (88) Versions 0..0"), Some((88, (0, 0))));
        assert_eq!(api("h:1/bootstrap:  Feature MsgVer1: Fetch (2..32767) supported by broker"), None);
        assert_eq!(api("h:1/bootstrap: Broker API support:"), None);
    }

    #[test]
    fn the_debug_log_tells_where_the_brokers_are() {
        let line = "[thrd:main]: h:1/bootstrap:   Broker #0/1: h:9092 NodeId 7";
        assert_eq!(broker(line), Some((7, "h:9092".to_owned())));
        assert_eq!(broker("h:1/1:   Broker #1/2: ::1:9092 NodeId 8"), Some((8, "[::1]:9092".to_owned())));
        assert_eq!(broker("h:1/bootstrap: Broker state change"), None);
    }

    #[test]
    fn a_reason_is_told_without_what_the_caller_knows() {
        let text = "h:1/bootstrap: Connect to ipv4#1.2.3.4:1 failed: Connection refused (after 0ms in state CONNECT)";
        assert_eq!(without_place(text, "h:1"), "Connect to ipv4#1.2.3.4:1 failed: Connection refused");
        let suppressed = "h:1/bootstrap: Failed to resolve 'h:1': Name or service not known (after 2ms in state CONNECT, \
                          1 identical error(s) suppressed)";
        assert_eq!(without_place(suppressed, "h:1"), "Failed to resolve 'h:1': Name or service not known");
        assert_eq!(without_place("SASL authentication error", "h:1"), "SASL authentication error");
    }
}
