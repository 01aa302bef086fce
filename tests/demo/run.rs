//! Running the binary: to its end, or until a condition holds, always with a deadline.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Far more than a run takes: a test that gets here has found something that hangs.
const DEADLINE: Duration = Duration::from_secs(120);

/// What a run came to.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// `tidegate` with these arguments.
pub(crate) fn tidegate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(arguments).env_remove("TIDEGATE_DATA_DIR").stdin(Stdio::null());
    command
}

/// A demo of two seconds in `data`, with further flags, to its end.
pub(crate) fn demo(data: &Path, flags: &[&str]) -> Ended {
    ended(demo_command(data, 2, flags).output().unwrap())
}

/// A demo of so many seconds in `data`.
pub(crate) fn demo_command(data: &Path, seconds: u32, flags: &[&str]) -> Command {
    let mut command = tidegate(&["demo", "--data"]);
    command.arg(data).args(["--seconds", &seconds.to_string()]).args(flags);
    command
}

pub(crate) fn ended(output: Output) -> Ended {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    Ended { code: output.status.code().unwrap_or(-1), stdout, stderr }
}

/// A demo that runs.
pub(crate) struct Running {
    child: Child,
    rest: JoinHandle<String>,
}

/// Starts it and waits until a line on standard error begins with `line`.
pub(crate) fn start_until(mut command: Command, line: &str) -> Running {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|found| found.starts_with(line)), "it ended without a line that begins with `{line}`");
    let rest = std::thread::spawn(move || lines.map(|line| line + "\n").collect());
    Running { child, rest }
}

impl Running {
    /// Sends a signal by its name, as a shell does.
    pub(crate) fn signal(&self, name: &str) {
        send(self.child.id(), name);
    }

    /// Waits for the end; gives what it still said, and how long it took.
    pub(crate) fn wait(self) -> (Ended, Duration) {
        let Running { mut child, rest } = self;
        let (id, began) = (child.id(), Instant::now());
        let (sender, ended) = channel();
        std::thread::spawn(move || sender.send(child.wait().unwrap()));
        let Ok(status) = ended.recv_timeout(DEADLINE) else {
            send(id, "KILL");
            panic!("it did not end within {DEADLINE:?}");
        };
        let took = began.elapsed();
        let stderr = rest.join().unwrap();
        (Ended { code: status.code().unwrap_or(-1), stdout: String::new(), stderr }, took)
    }
}

fn send(id: u32, signal: &str) {
    assert!(Command::new("kill").args([format!("-{signal}"), id.to_string()]).status().unwrap().success());
}
