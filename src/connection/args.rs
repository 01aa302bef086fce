//! The flags that name a cluster and its registry: the same on every command.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::config::PROPERTY;
use crate::config::secret::Secret;

/// Headings in `--help`.
const KAFKA: &str = "Kafka";
const SECURITY: &str = "Kafka security";
const REGISTRY: &str = "Schema registry";

/// Which cluster, and how to talk to it.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct KafkaArgs {
    /// Use this Kafka cluster instead of the embedded log: one broker or more, separated by commas.
    ///
    /// From one of them all others are learnt. Without this flag everything happens on the embedded log in --data; with it, --data only
    /// keeps what belongs to this machine: the ids of the instances that run here, and copies of their state. An empty value means the
    /// embedded log, whatever the file or the variable say.
    #[arg(long, short, global = true, value_name = "HOST:PORT[,…]", help_heading = KAFKA)]
    pub(super) brokers: Option<String>,
    /// Set any property of librdkafka, as kcat does; may be repeated.
    ///
    /// Its CONFIGURATION.md lists them: `-X socket.keepalive.enable=true`. Not for secrets, which everybody on this machine would see in
    /// the process list: put those into --properties or a variable. The variable TIDEGATE_PROPERTY holds one `KEY=VALUE` a line.
    #[arg(long = PROPERTY, short = 'X', global = true, value_name = "KEY=VALUE", help_heading = KAFKA, hide_short_help = true)]
    pub(super) property: Vec<Secret>,
    /// Read librdkafka's properties from a file: `key=value` lines, `#` begins a comment.
    ///
    /// The format of `kcat -F`, and of Kafka's client.properties as far as librdkafka knows the names.
    #[arg(long, global = true, value_name = "FILE", help_heading = KAFKA, hide_short_help = true)]
    pub(super) properties: Option<PathBuf>,
    #[command(flatten)]
    pub(super) security: SecurityArgs,
    #[command(flatten)]
    pub(super) registry: RegistryArgs,
}

/// How the brokers know us, and we them.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SecurityArgs {
    /// Encrypt the connection, and check the brokers' certificates and names.
    #[arg(long, global = true, help_heading = SECURITY, hide_short_help = true)]
    pub(super) tls: bool,
    /// Trust the certificates in this PEM file instead of the system's; implies --tls.
    #[arg(long, global = true, value_name = "FILE", help_heading = SECURITY, hide_short_help = true)]
    pub(super) tls_ca: Option<PathBuf>,
    /// Show this certificate (PEM) to the brokers; implies --tls.
    #[arg(long, global = true, value_name = "FILE", requires = "tls_key", help_heading = SECURITY, hide_short_help = true)]
    pub(super) tls_cert: Option<PathBuf>,
    /// The private key (PEM) of --tls-cert; its password, if it has one, is the property `ssl.key.password`.
    #[arg(long, global = true, value_name = "FILE", requires = "tls_cert", help_heading = SECURITY, hide_short_help = true)]
    pub(super) tls_key: Option<PathBuf>,
    /// Log in with --user and a password. `plain` shows the password to whoever listens, unless --tls is given too.
    #[arg(long, global = true, value_enum, value_name = "MECHANISM", help_heading = SECURITY, hide_short_help = true)]
    pub(super) sasl: Option<Mechanism>,
    /// The name to log in with.
    #[arg(long, global = true, value_name = "NAME", help_heading = SECURITY, hide_short_help = true)]
    pub(super) user: Option<String>,
    /// Read the password from the first line of this file; the variable TIDEGATE_PASSWORD holds the password itself.
    ///
    /// There is no flag for the password: everybody on this machine would see it in the process list.
    #[arg(long, global = true, value_name = "FILE", help_heading = SECURITY, hide_short_help = true)]
    pub(super) password_file: Option<PathBuf>,
}

/// Where schemas are kept.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct RegistryArgs {
    // A secret until it has been looked at: people put passwords into addresses.
    /// The schema registry of the Kafka cluster: any that speaks Confluent's API; more than one address separated by commas.
    #[arg(long, global = true, value_name = "URL[,…]", help_heading = REGISTRY)]
    pub(super) registry: Option<Secret>,
    /// The name to log in with at the registry.
    #[arg(long, global = true, value_name = "NAME", help_heading = REGISTRY, hide_short_help = true)]
    pub(super) registry_user: Option<String>,
    /// Read its password from the first line of this file; the variable TIDEGATE_REGISTRY_PASSWORD holds the password itself.
    #[arg(long, global = true, value_name = "FILE", help_heading = REGISTRY, hide_short_help = true)]
    pub(super) registry_password_file: Option<PathBuf>,
    /// Also trust the certificates in this PEM file at the registry.
    #[arg(long, global = true, value_name = "FILE", help_heading = REGISTRY, hide_short_help = true)]
    pub(super) registry_ca: Option<PathBuf>,
    /// Look schemas up and never register one: for deployments that register them beforehand.
    #[arg(long, global = true, help_heading = REGISTRY, hide_short_help = true)]
    pub(super) no_register: bool,
}

/// How to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mechanism {
    Plain,
    #[value(name = "scram-sha-256")]
    ScramSha256,
    #[value(name = "scram-sha-512")]
    ScramSha512,
}

impl Mechanism {
    /// As the protocol spells it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl RegistryArgs {
    /// True if an address is given.
    pub(super) fn is_given(&self) -> bool {
        self.registry.is_some()
    }
}

impl KafkaArgs {
    /// The flags that are given, by their long names.
    pub(super) fn given(&self) -> Vec<&'static str> {
        let SecurityArgs { tls, tls_ca, tls_cert, tls_key, sasl, user, password_file } = &self.security;
        let RegistryArgs { registry, registry_user, registry_password_file, registry_ca, no_register } =
            &self.registry;
        let flags = [
            ("brokers", self.brokers.is_some()),
            (PROPERTY, !self.property.is_empty()),
            ("properties", self.properties.is_some()),
            ("tls", *tls),
            ("tls-ca", tls_ca.is_some()),
            ("tls-cert", tls_cert.is_some()),
            ("tls-key", tls_key.is_some()),
            ("sasl", sasl.is_some()),
            ("user", user.is_some()),
            ("password-file", password_file.is_some()),
            ("registry", registry.is_some()),
            ("registry-user", registry_user.is_some()),
            ("registry-password-file", registry_password_file.is_some()),
            ("registry-ca", registry_ca.is_some()),
            ("no-register", *no_register),
        ];
        flags.into_iter().filter(|(_, is_given)| *is_given).map(|(flag, _)| flag).collect()
    }
}
