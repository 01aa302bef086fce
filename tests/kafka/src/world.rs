//! A place for one test at a time: an empty cluster, a directory, the program.
//!
//! Topics have fixed names, so tests that share a cluster take turns.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use serde_json::Value;
use tidegate_schemas::topics::TOPICS;

use crate::behind::Administrator;
use crate::cluster::Cluster;
use crate::feeder::load;
use crate::input::encoded;
use crate::instances::{Process, Program};
use crate::registry::Registry;

static TURN: Mutex<()> = Mutex::new(());
static SHARED: OnceLock<Arc<Cluster>> = OnceLock::new();

/// What one test works with.
pub struct World {
    pub cluster: Arc<Cluster>,
    pub registry: Registry,
    pub behind: Administrator,
    pub program: Program,
    directory: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl World {
    /// On the cluster all tests of this process share; made by `make` for the first of them.
    pub fn on(make: impl FnOnce() -> Cluster, executable: impl AsRef<Path>) -> World {
        // A test that failed has left nothing that the next one would not clear away.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = SHARED.get_or_init(|| Arc::new(make())).clone();
        let (registry, behind) = (Registry::new(&cluster.registry), Administrator::new(&cluster.brokers));
        behind.empty();
        registry.empty();
        let program = Program {
            executable: executable.as_ref().to_owned(),
            log: log_flags(&cluster.brokers, &cluster.registry),
            environment: Vec::new(),
        };
        World { cluster, registry, behind, program, directory: tempfile::tempdir().unwrap(), _turn: turn }
    }

    pub fn brokers(&self) -> &str {
        &self.cluster.brokers
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The topics of the table, as the program makes them.
    pub fn create_topics(&self) {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", self.brokers()).create().unwrap();
        let topics = TOPICS.map(|topic| {
            let partitions = i32::try_from(topic.partitions).unwrap();
            NewTopic::new(topic.name, partitions, TopicReplication::Fixed(1))
                .set("cleanup.policy", "delete")
                .set("retention.ms", "-1")
                .set("message.timestamp.after.max.ms", "9223372036854775807")
                .set("max.message.bytes", "2000000")
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let made = runtime.block_on(admin.create_topics(&topics, &AdminOptions::new())).unwrap();
        made.into_iter().for_each(|one| drop(one.unwrap()));
    }

    /// Writes an input's rows at once.
    pub fn load(&self, rows: &[Value]) {
        load(self.brokers(), encoded(rows, &self.registry));
    }

    /// The program with the words of a line, its state in `state`.
    pub fn command(&self, state: &str, words: &[String]) -> Command {
        self.command_on(&self.program.log, state, words)
    }

    /// The same on a log that is named otherwise.
    pub fn command_on(&self, log: &[String], state: &str, words: &[String]) -> Command {
        let state = ["--data".to_owned(), self.path(state).to_str().unwrap().to_owned()];
        self.program.command(&[log, &state, words].concat())
    }

    pub fn start(&self, state: &str, line: &str) -> Process {
        Process::start(self.command(state, &words(line)))
    }

    /// Runs a line to its end, which must be a good one.
    pub fn run(&self, line: &str) {
        self.start("state", line).finish();
    }
}

/// How the program is told which cluster.
pub fn log_flags(brokers: &str, registry: &str) -> Vec<String> {
    ["-b", brokers, "--registry", registry].map(str::to_owned).into()
}

pub fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}
