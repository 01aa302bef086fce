//! A broker and a schema registry of our own, run by `scripts/kafka` in a directory that goes with this process, however it ends.
//!
//! `TIDEGATE_KAFKA_BROKERS` and `TIDEGATE_KAFKA_REGISTRY` name a cluster that is up already: it is used, and *emptied*, by whatever does
//! not break the broker. Where neither can be had the tests fail; none is skipped.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::draw::Draw;

/// A cluster.
pub struct Cluster {
    pub brokers: String,
    pub registry: String,
    /// 0 for a registry that is not ours.
    pub registry_port: u16,
    own: Option<Own>,
}

/// What only a cluster of our own has.
struct Own {
    directory: PathBuf,
    /// Waits for our end of its pipe to close, then takes the cluster down.
    _guard: Child,
}

/// What a cluster of our own is told beyond the script's defaults.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// A second port the broker listens on, and the port of the proxy before it that clients are told.
    pub second_listener: Option<(u16, u16)>,
    /// More of the broker's properties, `name=value`.
    pub more: &'static [&'static str],
    /// The broker alone.
    pub without_registry: bool,
    /// Also by TLS, with and without a login.
    pub secure: bool,
}

/// Where a secure cluster lets in whom.
pub struct Doors {
    /// By TLS, with a login.
    pub login: String,
    /// By TLS alone.
    pub tls: String,
    /// The registry by TLS.
    pub registry: String,
    /// The certificate authority (`ca.pem`) and a password for each user (`plain.password`).
    pub secrets: PathBuf,
}

/// A registry's address on a port of this machine, its own or a proxy's.
pub fn registry_at(port: u16) -> String {
    format!("http://127.0.0.1:{port}/apis/ccompat/v7")
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/kafka")
}

/// How much of a broker's log is shown: several rebalances of every group.
const LAST_LINES: usize = 200;

/// Ports below those that the system gives to outgoing connections: with a broker away for a while, one of its own clients might get
/// its port, and connect to itself.
const PORTS: (u64, u64) = (10_000, 30_000);

/// A port that is free, as the three behind it are.
pub fn free_port() -> u16 {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let mut draw = Draw::new(u64::try_from(nanos % u128::from(u64::MAX)).unwrap());
    loop {
        let port = u16::try_from(PORTS.0 + draw.below(PORTS.1 - PORTS.0)).unwrap();
        if (port..port + 4).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return port;
        }
    }
}

impl Cluster {
    /// The one that is up already, or one of our own.
    pub fn any() -> Cluster {
        let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        match (named("TIDEGATE_KAFKA_BROKERS"), named("TIDEGATE_KAFKA_REGISTRY")) {
            (Some(brokers), Some(registry)) => Cluster { brokers, registry, registry_port: 0, own: None },
            (None, None) => Cluster::own(Settings::default()),
            _ => panic!("TIDEGATE_KAFKA_BROKERS and TIDEGATE_KAFKA_REGISTRY go together"),
        }
    }

    /// One of our own, ready.
    pub fn own(settings: Settings) -> Cluster {
        let directory = tempfile::Builder::new().prefix("tidegate-kafka-").tempdir().unwrap().keep();
        let (port, registry_port) = (free_port(), free_port());
        let own = Own { _guard: guard(&directory), directory };
        let mut words = vec!["up".to_owned(), "--port".to_owned(), port.to_string()];
        words.extend(["--registry-port".to_owned(), registry_port.to_string()]);
        if let Some((listener, told)) = settings.second_listener {
            let (first, controller) = (format!("PLAINTEXT://127.0.0.1:{port}"), port + 1);
            for setting in [
                format!("listeners={first},CONTROLLER://127.0.0.1:{controller},PROXY://127.0.0.1:{listener}"),
                format!("advertised.listeners={first},PROXY://127.0.0.1:{told}"),
                "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXY:PLAINTEXT"
                    .to_owned(),
            ] {
                words.extend(["--set".to_owned(), setting]);
            }
        }
        for setting in settings.more {
            words.extend(["--set".to_owned(), (*setting).to_owned()]);
        }
        words.extend(settings.without_registry.then(|| "--no-registry".to_owned()));
        words.extend(settings.secure.then(|| "--secure".to_owned()));
        own.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
        Cluster {
            brokers: format!("127.0.0.1:{port}"),
            registry: registry_at(registry_port),
            registry_port,
            own: Some(own),
        }
    }

    /// Of a secure cluster.
    pub fn doors(&self) -> Doors {
        let own = self.own.as_ref().expect("only a cluster of our own is known to have them");
        let port: u16 = self.brokers.rsplit(':').next().unwrap().parse().unwrap();
        Doors {
            login: format!("127.0.0.1:{}", port + 2),
            tls: format!("127.0.0.1:{}", port + 3),
            registry: registry_at(self.registry_port + 1).replace("http:", "https:"),
            secrets: own.directory.join("secure"),
        }
    }

    fn run(&self, words: &[&str]) {
        self.own.as_ref().expect("only a cluster of our own is broken").run(words);
    }

    /// A clean stop and start of the broker.
    pub fn restart(&self) {
        self.run(&["restart", "broker"]);
    }

    /// SIGKILL and start of the broker.
    pub fn restart_hard(&self) {
        self.run(&["restart", "--hard", "broker"]);
    }

    /// SIGKILL of the broker, which stays away until it is started.
    pub fn kill_broker(&self) {
        self.run(&["kill", "broker"]);
    }

    pub fn start_broker(&self) {
        self.run(&["start", "broker"]);
    }

    /// What the broker has said of its groups lately: who was waited for, who went.
    pub fn said_of_groups(&self) -> String {
        let Some(own) = &self.own else { return String::new() };
        let log = std::fs::read_to_string(own.directory.join("broker.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains("[GroupCoordinator")).collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    /// Where the broker keeps a partition's files.
    pub fn files_of(&self, topic: &str, partition: i32) -> PathBuf {
        let own = self.own.as_ref().expect("only the files of a cluster of our own are known");
        own.directory.join("data").join(format!("{topic}-{partition}"))
    }
}

impl Own {
    fn run(&self, words: &[&str]) {
        let output = Command::new(script())
            .args(words)
            .arg("--dir")
            .arg(&self.directory)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("scripts/kafka: {error}"));
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(
            output.status.success(),
            "`scripts/kafka {}` gave {}: {said}",
            words.join(" "),
            output.status
        );
    }
}

/// A process that outlives us by just as long as it takes to clean up, also after a SIGKILL or Ctrl-C.
fn guard(directory: &Path) -> Child {
    let clean_up =
        "trap '' INT TERM; cat >/dev/null; \"$0\" down --dir \"$1\" >/dev/null 2>&1; rm -rf \"$1\"";
    Command::new("sh")
        .args(["-c", clean_up])
        .arg(script())
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
