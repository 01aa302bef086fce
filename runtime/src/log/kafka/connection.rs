//! Where a cluster and its registry are, and how to connect to them. Secrets are never shown.
//!
//! Any property of librdkafka can be given and wins over our defaults, but for those that exactly-once or the runtime's own bookkeeping
//! stands on: those are refused by name. No message here ever holds a property's value.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use crate::error::{Error, Result};

use super::registry::without_secrets;

/// How to reach a cluster and its registry, and what is asked of them.
#[derive(Clone)]
pub struct Connection {
    /// `host:port`, several separated by commas.
    pub brokers: String,
    /// librdkafka's properties, as the user gave them: they win over every default of ours but those exactly-once stands on.
    pub properties: BTreeMap<String, String>,
    /// The schema registry.
    pub registry: RegistryConnection,
    /// Members keep their partitions over a restart within the session timeout (`group.instance.id`).
    pub static_membership: bool,
    /// The broker assigns (KIP-848) instead of the members; the session timeout is then the broker's.
    pub broker_assigns: bool,
    /// No transactions: records and positions one after the other. After a crash some records come twice.
    pub at_least_once: bool,
    /// How long the broker keeps an open transaction of a client that fell silent; below the session timeout.
    pub transaction_timeout: Duration,
}

/// Where a schema registry is.
#[derive(Clone, Default)]
pub struct RegistryConnection {
    /// Its addresses; none: every question is refused with the remedy.
    pub urls: Vec<String>,
    /// Basic authentication: user and password.
    pub user: Option<(String, String)>,
    /// A PEM file of certificates to trust besides the system's.
    pub ca: Option<PathBuf>,
    /// Producers may look schemas up, not register them.
    pub lookup_only: bool,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("brokers", &self.brokers).finish_non_exhaustive()
    }
}

impl fmt::Debug for RegistryConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<String> = self.urls.iter().map(|url| without_secrets(url)).collect();
        f.debug_struct("RegistryConnection").field("urls", &urls).finish_non_exhaustive()
    }
}

/// A broker that leaves a question unanswered for longer is taken for gone: a connection can be dead without a word. Not for questions that
/// wait at the broker, as those of a group do, nor for those of an admin, which say themselves how long they wait.
pub(super) const SILENCE: Duration = Duration::from_secs(10);

/// What every client of ours starts from.
const DEFAULTS: [(&str, &str); 6] = [
    ("client.id", "tidegate"),
    // A question about a topic never makes it. Producers would, unless they are told not to.
    ("allow.auto.create.topics", "false"),
    // Half a minute for a connection, and ten seconds between two tries, are too long for being back at work within ten seconds. One
    // try per second and broker costs nothing while it is away.
    ("socket.connection.setup.timeout.ms", "10000"),
    ("reconnect.backoff.ms", "50"),
    ("reconnect.backoff.max.ms", "1000"),
    // A connection that a firewall has forgotten is found out without waiting for a request to time out.
    ("socket.keepalive.enable", "true"),
];

/// What a user cannot set, and what stands on it.
pub(super) const OURS: [(&str, &str); 24] = [
    ("bootstrap.servers", BROKERS),
    ("metadata.broker.list", BROKERS),
    ("client.id", "members of a group are told apart by it"),
    ("group.id", "it is the application's name"),
    ("group.instance.id", "it comes from the instance; see --static-membership"),
    ("group.protocol", "see --group-protocol"),
    ("group.remote.assignor", CO_PARTITIONED),
    ("partition.assignment.strategy", CO_PARTITIONED),
    ("partitioner", "keys are partitioned as Java's clients do it, on either home"),
    ("session.timeout.ms", "see --session-timeout"),
    ("transactional.id", EXACTLY_ONCE),
    ("transaction.timeout.ms", "see --transaction-timeout"),
    ("enable.idempotence", EXACTLY_ONCE),
    ("enable.gapless.guarantee", EXACTLY_ONCE),
    ("acks", EXACTLY_ONCE),
    ("request.required.acks", EXACTLY_ONCE),
    ("isolation.level", EXACTLY_ONCE),
    ("enable.auto.commit", EXACTLY_ONCE),
    ("enable.auto.offset.store", EXACTLY_ONCE),
    ("auto.commit.enable", EXACTLY_ONCE),
    ("auto.offset.reset", "positions come from the committed state"),
    ("delivery.report.only.error", "a commit learns from the reports where its records stand"),
    ("allow.auto.create.topics", "a typo must not make a topic"),
    ("enable.partition.eof", "a reader learns from it where a partition ends"),
];
const BROKERS: &str = "see --brokers";
const EXACTLY_ONCE: &str = "exactly-once stands on it";
const CO_PARTITIONED: &str = "a partition number of all topics must go to one member";

impl Connection {
    /// Brokers and a registry, everything else at its default.
    #[must_use]
    pub fn new(brokers: impl Into<String>, registry: RegistryConnection) -> Connection {
        Connection {
            brokers: brokers.into(),
            properties: BTreeMap::new(),
            registry,
            static_membership: false,
            broker_assigns: false,
            at_least_once: false,
            transaction_timeout: Duration::from_secs(5),
        }
    }

    /// Refuses what cannot be: before anything is asked of a cluster.
    ///
    /// # Errors
    /// [`Refused`](Error::Refused), naming the property and never its value.
    pub(super) fn check(&self) -> Result<()> {
        // A registry alone is enough for those who only ask about schemas.
        let no_broker = self.brokers.split(',').all(|broker| broker.trim().is_empty());
        if no_broker && self.registry.urls.is_empty() {
            return Err(Error::Refused {
                what: "no broker is named".to_owned(),
                remedy: "give --brokers HOST:PORT".to_owned(),
            });
        }
        for name in self.properties.keys() {
            if let Some((_, why)) = OURS.iter().find(|(ours, _)| ours == name) {
                return Err(Error::Refused {
                    what: format!("property `{name}` cannot be set: {why}"),
                    remedy: "leave it out".to_owned(),
                });
            }
        }
        self.client().create_native_config().map(drop).map_err(refused)
    }

    /// What every client starts from: our defaults, then the user's properties.
    pub(super) fn client(&self) -> ClientConfig {
        self.client_with(&[])
    }

    /// The same with defaults of one kind of client, which the user's properties may override.
    pub(super) fn client_with(&self, defaults: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        for (name, value) in DEFAULTS.iter().chain(defaults) {
            config.set(*name, *value);
        }
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        // Lost connections are told at this level; where the lines go, see `heard`.
        config.set_log_level(RDKafkaLogLevel::Info);
        config
    }
}

/// A configuration that librdkafka does not take.
pub(super) fn refused(error: KafkaError) -> Error {
    let (what, remedy) = match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, name, _) => (
            format!("property `{name}` is unknown"),
            "see the configuration page of librdkafka for what there is",
        ),
        // Its text may hold the value.
        KafkaError::ClientConfig(_, _, name, _) => (
            format!("the value of property `{name}` does not fit"),
            "see the configuration page of librdkafka for what does",
        ),
        KafkaError::ClientCreation(text) => {
            (format!("the connection's properties do not fit together: {text}"), "correct them")
        }
        _ => ("the connection's properties were not taken".to_owned(), "leave out those that are not needed"),
    };
    Error::Refused { what, remedy: remedy.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> Connection {
        let mut connection = Connection::new("h:1", RegistryConnection::default());
        connection.properties.insert(name.to_owned(), value.to_owned());
        connection
    }

    #[test]
    fn a_property_is_refused_by_name_and_its_value_never_shown() {
        for (name, value, words) in [
            ("no.such.property", "hunter2", "`no.such.property` is unknown"),
            ("linger.ms", "hunter2", "`linger.ms` does not fit"),
            ("security.protocol", "hunter2", "`security.protocol` does not fit"),
            ("enable.idempotence", "false", "exactly-once"),
            ("group.id", "hunter2", "application's name"),
        ] {
            let text = with(name, value).check().unwrap_err().to_string();
            assert!(text.contains(words), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn somebody_must_be_asked() {
        for brokers in ["", " , "] {
            assert!(Connection::new(brokers, RegistryConnection::default()).check().is_err(), "`{brokers}`");
        }
    }

    #[test]
    fn a_users_property_wins_over_a_default() {
        let connection = with("reconnect.backoff.max.ms", "77");
        connection.check().unwrap();
        assert_eq!(connection.client().get("reconnect.backoff.max.ms"), Some("77"));
        let client = with("linger.ms", "3").client_with(&[("linger.ms", "1"), ("batch.size", "9")]);
        assert_eq!((client.get("linger.ms"), client.get("batch.size")), (Some("3"), Some("9")));
    }

    #[test]
    fn a_secret_is_not_in_the_debug_form() {
        let text = format!("{:?}", with("sasl.password", "hunter2"));
        assert!(text.contains("h:1") && !text.contains("hunter2"), "{text}");
    }
}
