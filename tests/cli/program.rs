//! The program in a directory of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than anything here takes on a busy machine: a test that waits for so long hangs.
const DEADLINE: Duration = Duration::from_secs(60);

/// How a run ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// Every line of its output as JSON.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }
}

/// A directory to work in; `tidegate-data` in it is the log.
pub(crate) struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place { directory: tempfile::tempdir().unwrap() }
    }

    /// With 2 000 invoices, some of each detour, and their totals.
    pub(crate) fn with_totals() -> Place {
        let place = Place::with_invoices();
        place.done("process totals --grace 10s --until-end");
        place
    }

    pub(crate) fn with_invoices() -> Place {
        let place = Place::new();
        place.done(
            "simulate invoices --count 2000 --out-of-order 5% --late 1% --duplicates 0.01 --malformed 2%",
        );
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.args(line.split_whitespace()).current_dir(self.directory.path());
        // Every flag has a variable: those of whoever runs the tests are not meant.
        let ours = std::env::vars_os().map(|(name, _)| name);
        ours.filter(|name| name.to_string_lossy().starts_with("TIDEGATE_")).for_each(|name| {
            command.env_remove(name);
        });
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a line to its end.
    pub(crate) fn run(&self, line: &str) -> Ended {
        let output = self.command(line).output().unwrap();
        Ended {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a line that must end well.
    pub(crate) fn done(&self, line: &str) -> Ended {
        let ended = self.run(line);
        assert_eq!(ended.code, Some(0), "`tidegate {line}`: {ended:?}");
        ended
    }

    /// Runs a line that must fail with this code and one line that says `words`.
    pub(crate) fn fails(&self, line: &str, code: i32, words: &str) {
        let ended = self.run(&format!("--quiet {line}"));
        assert_eq!(ended.code, Some(code), "`tidegate {line}`: {ended:?}");
        assert!(ended.err.starts_with("error: "), "`tidegate {line}`: {ended:?}");
        assert_eq!(ended.err.lines().count(), 1, "`tidegate {line}`: {ended:?}");
        assert!(ended.err.contains(words), "`tidegate {line}`: {ended:?}");
        assert_eq!(ended.out, "", "`tidegate {line}`: {ended:?}");
    }

    /// Starts a line that does not end by itself.
    pub(crate) fn start(&self, line: &str) -> Running {
        let child = self.command(line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Running { child }
    }

    /// The same, with its output in a file.
    pub(crate) fn start_into(&self, line: &str, file: fs::File) -> Running {
        let child = self.command(line).stdout(file).stderr(Stdio::null()).spawn().unwrap();
        Running { child }
    }

    /// How many records a topic has.
    pub(crate) fn records(&self, topic: &str) -> u64 {
        let list = self.run("topics list --format json");
        let row = list.json().into_iter().find(|row| row["topic"] == topic);
        row.map_or(0, |row| row["offsets"].as_u64().unwrap())
    }

    /// A topic's records without their offsets, partition by partition.
    pub(crate) fn content(&self, topic: &str) -> Vec<Vec<Value>> {
        let partition = |number| {
            let ended = self.done(&format!("topics tail {topic} -p {number} --until-end --format json"));
            let mut records = ended.json();
            records.iter_mut().for_each(|record| drop(record.as_object_mut().unwrap().remove("offset")));
            records
        };
        (0..4).map(partition).collect()
    }
}

/// A program that is running; killed when dropped.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    pub(crate) fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    }

    /// Its code, waited for as long as `most`.
    pub(crate) fn ends_within(&mut self, most: Duration) -> i32 {
        let mut ended = None;
        wait(most, "the program's end", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap().code().expect("no signal ends it: it ends itself")
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `condition` holds.
pub(crate) fn until(what: &str, condition: impl FnMut() -> bool) {
    wait(DEADLINE, what, condition);
}

fn wait(most: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + most;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {most:?} for {what}");
        // Nobody unparks: this gives the processor away between two looks.
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// The files of a directory, sorted by name.
pub(crate) fn files(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
