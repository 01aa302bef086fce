//! A log in a directory, loaded from an oracle's input, and the program run on it as a user would.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tidegate_runtime::avro::Encoder;
use tidegate_runtime::log::embedded::EmbeddedLog;
use tidegate_runtime::log::{Cleanup, Log, Outgoing, TopicSpec, partition_for, subject_of_value};
use tidegate_runtime::time::EventTime;
use tidegate_schemas::topics;

use crate::rows::value_bytes;

pub(crate) fn tests_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// The rows of a `.jsonl.gz`.
pub(crate) fn rows(path: &Path) -> Vec<Value> {
    let packed = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) struct Place {
    directory: tempfile::TempDir,
    pub(crate) log: Arc<dyn Log>,
}

impl Place {
    pub(crate) fn new() -> Place {
        let directory = tempfile::tempdir().unwrap();
        let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(&directory.path().join("data")).unwrap());
        let spec = |topic: &topics::Topic| TopicSpec {
            name: topic.name.to_owned(),
            partitions: topic.partitions,
            cleanup: Cleanup::Delete,
        };
        log.create_topics(&topics::TOPICS.map(spec)).unwrap();
        Place { directory, log }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A place with an oracle's input in its log.
    pub(crate) fn loaded(input: &str) -> Place {
        let place = Place::new();
        place.load(&rows(&tests_path(input)));
        place
    }

    /// Appends an input's rows, as the oracle's `records.py` describes them, in one transaction.
    pub(crate) fn load(&self, rows: &[Value]) {
        let mut outgoing = Outgoing::default();
        for row in rows {
            let name = row["topic"].as_str().unwrap();
            let topic = topics::topic(name).unwrap();
            let id = self.log.registry().register(&subject_of_value(name), topic.schema).unwrap();
            let value = value_bytes(row, topic, &Encoder::new(id, topic.schema).unwrap());
            let key = row["key"].as_str().map(str::as_bytes);
            let partition = match row.get("partition").and_then(Value::as_u64) {
                Some(partition) => u32::try_from(partition).unwrap(),
                None => partition_for(key.unwrap(), topic.partitions),
            };
            let time = EventTime(row["time_ms"].as_i64().unwrap());
            outgoing.partition(&name.into(), partition).push(time, key, value.as_deref(), &[]);
        }
        let mut producer = self.log.producer("loader").unwrap();
        producer.send(&mut outgoing).unwrap();
        producer.commit(None).unwrap();
    }

    /// The program with the place's log, not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.arg("--data").arg(self.path("data")).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Runs the program to its end, which must be a good one.
    pub(crate) fn run(&self, arguments: &[&str]) {
        check(arguments, &self.command(arguments).output().unwrap());
    }

    /// Runs the program to an end with this code, and returns what it wrote to standard error.
    pub(crate) fn ends(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "`tidegate {}`: {errors}", arguments.join(" "));
        errors
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Process {
        let child = self.command(arguments).stderr(Stdio::null()).spawn().unwrap();
        Process { child, arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect() }
    }
}

fn check(arguments: &[&str], output: &Output) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`tidegate {}` gave {}: {errors}", arguments.join(" "), output.status);
}

/// A running program; killed when dropped.
pub(crate) struct Process {
    child: Child,
    arguments: Vec<String>,
}

impl Process {
    /// SIGKILL: nothing of it runs any more when this returns.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for a good end.
    pub(crate) fn finish(mut self) {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "`{}` gave {status}", self.arguments.join(" "));
                return;
            }
            assert!(
                Instant::now() < deadline,
                "`{}` did not end within two minutes",
                self.arguments.join(" ")
            );
            std::thread::yield_now();
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
