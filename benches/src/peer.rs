//! Who is measured: Tidegate, the floor, and every folder of `benches/peers` by the contract that its README tells.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use anyhow::{Context, Result, bail};

use crate::datum::Form;
use crate::place;
use crate::work::Job;

/// `NAME` or `NAME:VARIANT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerName {
    pub(crate) name: String,
    pub(crate) variant: Option<String>,
}

impl FromStr for PeerName {
    type Err = String;

    fn from_str(text: &str) -> Result<PeerName, String> {
        let (name, variant) = match text.split_once(':') {
            Some((name, variant)) => (name, Some(variant.to_owned())),
            None => (text, None),
        };
        let is_word = |text: &str| !text.is_empty() && !text.contains([',', '"', '\n']);
        let is_name = |name: &str| name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-');
        if !is_word(name) || !is_name(name) || variant.as_deref().is_some_and(|variant| !is_word(variant)) {
            return Err(format!("`{text}` is no peer; write NAME or NAME:VARIANT"));
        }
        Ok(PeerName { name: name.to_owned(), variant })
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.variant {
            Some(variant) => write!(f, "{}:{variant}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// One that can be started.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) name: PeerName,
    pub(crate) program: Program,
    /// As its `build` tells it.
    pub(crate) version: Option<String>,
}

/// How.
#[derive(Clone, Debug)]
pub(crate) enum Program {
    /// The `tidegate` program, with flags of its variant.
    Tidegate(PathBuf, &'static [&'static str]),
    /// This program, reading and doing nothing else.
    Floor,
    /// A folder with `build` and `run`.
    Scripts(PathBuf),
}

/// Why there is no row of a peer.
#[derive(Debug)]
pub(crate) enum Ready {
    Yes(Peer),
    /// Not installed; how to get it.
    Missing(String),
}

/// Builds a peer.
pub(crate) fn prepare(name: &PeerName, cache: &Path) -> Result<Ready> {
    let mut version = None;
    let program = match (name.name.as_str(), &name.variant) {
        ("tidegate", None) => Program::Tidegate(place::tidegate()?, &[]),
        ("tidegate", Some(variant)) => own_variant(variant)?,
        ("floor", None) => Program::Floor,
        _ => {
            let folder = place::peers().join(&name.name);
            match build(name, &folder, cache)? {
                Built::Missing(how) => return Ok(Ready::Missing(how)),
                Built::Yes(told) => version = told,
            }
            Program::Scripts(folder)
        }
    };
    Ok(Ready::Yes(Peer { name: name.clone(), program, version }))
}

/// Flags of ours that are worth a row, or another build of the program.
fn own_variant(variant: &str) -> Result<Program> {
    Ok(match variant {
        "static" => Program::Tidegate(place::tidegate()?, &["--static-membership"]),
        "kip848" => Program::Tidegate(place::tidegate()?, &["--group-protocol", "consumer"]),
        "at-least-once" => Program::Tidegate(place::tidegate()?, &["--at-least-once"]),
        path => {
            let found = std::fs::canonicalize(path).with_context(|| {
                format!("`{path}` is no program; write `tidegate:PATH` for another build of it, or `static`, `kip848`, `at-least-once`")
            })?;
            Program::Tidegate(found, &[])
        }
    })
}

/// What a peer's `build` exits with when a tool is missing.
const TOOL_MISSING: i32 = 3;

enum Built {
    /// With the last line that it printed, if any.
    Yes(Option<String>),
    Missing(String),
}

fn build(name: &PeerName, folder: &Path, cache: &Path) -> Result<Built> {
    if !folder.join("build").is_file() {
        bail!("there is no peer `{name}`; there are tidegate, floor{}", known());
    }
    std::fs::create_dir_all(cache)?;
    let output = Command::new(folder.join("build")).arg(cache).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("could not run `{}/build`", folder.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => Ok(Built::Yes(last_line(&output.stdout))),
        Some(TOOL_MISSING) => {
            Ok(Built::Missing(last_line(&output.stderr).unwrap_or_else(|| "it does not say how".to_owned())))
        }
        _ => bail!("`{name}` does not build ({}): {}", output.status, said.trim()),
    }
}

fn last_line(printed: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(printed);
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
}

/// The folders there are.
fn known() -> String {
    let mut names: Vec<String> = std::fs::read_dir(place::peers())
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join("run").is_file())
        .map(|entry| format!(", {}", entry.file_name().to_string_lossy()))
        .collect();
    names.sort();
    names.concat()
}

/// What a peer is told.
pub(crate) struct Task<'t> {
    pub(crate) job: Job,
    pub(crate) brokers: &'t str,
    pub(crate) registry: &'t str,
    /// Its group, and the prefix of everything it owns.
    pub(crate) app: &'t str,
    pub(crate) output: &'t str,
    /// A folder of its own, with `state` and `schemas` in it.
    pub(crate) folder: &'t Path,
    pub(crate) cache: &'t Path,
    pub(crate) commit_ms: u64,
}

impl Peer {
    /// How its results are written.
    pub(crate) fn form(&self) -> Form {
        match self.program {
            Program::Tidegate(..) => Form::Avro,
            Program::Floor | Program::Scripts(_) => Form::Plain,
        }
    }

    /// Ourselves, in this build or another.
    pub(crate) fn is_tidegate(&self) -> bool {
        matches!(self.program, Program::Tidegate(..))
    }

    /// False for the floor, which does not do the job.
    pub(crate) fn has_results(&self) -> bool {
        !matches!(self.program, Program::Floor)
    }

    /// Where its results go: Tidegate's topics have fixed names.
    pub(crate) fn output(&self, job: Job, app: &str) -> String {
        match self.program {
            Program::Tidegate(..) => job.output().name.to_owned(),
            Program::Floor | Program::Scripts(_) => format!("{app}-results"),
        }
    }

    /// The command that starts it.
    pub(crate) fn command(&self, task: &Task<'_>) -> Result<Command> {
        let state = task.folder.join("state");
        Ok(match &self.program {
            Program::Tidegate(program, flags) => {
                let mut command = Command::new(program);
                command.args(["process", task.job.name(), "--app", task.app, "-b", task.brokers]);
                command.args(["--registry", task.registry, "--data"]).arg(state);
                command.args(["--commit-interval", &format!("{}ms", task.commit_ms)]).args(*flags);
                without_variables(&mut command);
                command
            }
            Program::Floor => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["floor", task.brokers, task.job.input().name, task.app]);
                command
            }
            Program::Scripts(folder) => {
                let mut command = Command::new(folder.join("run"));
                command.arg(task.cache);
                for (name, value) in [
                    ("BROKERS", task.brokers),
                    ("JOB", task.job.name()),
                    ("APP", task.app),
                    ("INPUT", task.job.input().name),
                    ("OUTPUT", task.output),
                    ("RADARS", "radars"),
                    ("VEHICLES", "vehicles"),
                    ("COMMIT_MS", &task.commit_ms.to_string()),
                    ("VARIANT", self.name.variant.as_deref().unwrap_or_default()),
                    ("WINDOW_MS", "5000"),
                    ("THREADS", "1"),
                ] {
                    command.env(format!("BENCH_{name}"), value);
                }
                command.env("BENCH_STATE", state).env("BENCH_SCHEMA_DIR", task.folder.join("schemas"));
                command
            }
        })
    }
}

/// A user's variables must not change what is measured.
pub(crate) fn without_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TIDEGATE_") {
            command.env_remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_a_name_and_perhaps_a_variant() {
        let peer: PeerName = "kafka-streams:rocks".parse().unwrap();
        assert_eq!((peer.name.as_str(), peer.variant.as_deref()), ("kafka-streams", Some("rocks")));
        for text in ["tidegate", "kafka-streams:rocks-small", "tidegate:/tmp/other"] {
            assert_eq!(text.parse::<PeerName>().unwrap().to_string(), text);
        }
        for text in ["", ":rocks", "flink:", "Flink", "../x", "a,b"] {
            assert!(text.parse::<PeerName>().is_err(), "{text}");
        }
    }

    /// A peer that says what it was told.
    fn fake(place: &Path, build: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = place.join("fake");
        std::fs::create_dir_all(&folder).unwrap();
        for (name, script) in [("build", build), ("run", "env | grep ^BENCH_; echo cache=$1")] {
            let path = folder.join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        folder
    }

    #[test]
    fn a_peer_builds_lacks_a_tool_or_fails() {
        let place = tempfile::tempdir().unwrap();
        let name: PeerName = "fake:fast".parse().unwrap();
        let built = |script: &str| build(&name, &fake(place.path(), script), &place.path().join("cache"));
        let version = match built("echo working; echo fake 1.2; test -d $1").unwrap() {
            Built::Yes(version) => version,
            Built::Missing(how) => panic!("{how}"),
        };
        assert_eq!(version.as_deref(), Some("fake 1.2"));
        assert!(matches!(built("exit 0").unwrap(), Built::Yes(None)));
        match built("echo looking >&2; echo 'it needs x: install x' >&2; exit 3").unwrap() {
            Built::Missing(how) => assert_eq!(how, "it needs x: install x"),
            Built::Yes(_) => panic!("built without a tool"),
        }
        let failed = built("echo no such class >&2; exit 1").err().unwrap().to_string();
        assert!(failed.contains("fake:fast") && failed.contains("no such class"), "{failed}");
        assert!(build(&name, &place.path().join("nobody"), place.path()).is_err());
    }

    #[test]
    fn a_peer_is_told_by_variables() {
        let place = tempfile::tempdir().unwrap();
        let peer = Peer {
            name: "fake:fast".parse().unwrap(),
            program: Program::Scripts(fake(place.path(), "exit 0")),
            version: None,
        };
        let task = Task {
            job: Job::Totals,
            brokers: "h:1",
            registry: "http://h:2",
            app: "bench-7",
            output: "bench-7-results",
            folder: Path::new("/f"),
            cache: Path::new("/c"),
            commit_ms: 10,
        };
        let said = String::from_utf8(peer.command(&task).unwrap().output().unwrap().stdout).unwrap();
        for line in [
            "BENCH_BROKERS=h:1",
            "BENCH_JOB=totals",
            "BENCH_APP=bench-7",
            "BENCH_INPUT=invoices",
            "BENCH_OUTPUT=bench-7-results",
            "BENCH_COMMIT_MS=10",
            "BENCH_VARIANT=fast",
            "BENCH_STATE=/f/state",
            "BENCH_SCHEMA_DIR=/f/schemas",
            "BENCH_WINDOW_MS=5000",
            "BENCH_THREADS=1",
            "cache=/c",
        ] {
            assert!(said.lines().any(|found| found == line), "{line}: {said}");
        }
    }
}
