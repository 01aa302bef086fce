//! Processes the harness starts: each in a group of its own, with what it says in a file, and none left behind.
//!
//! A guard (a shell that waits for our end of a pipe to close) ends them when the harness itself ends, whichever way: Ctrl-C, SIGKILL.
#![allow(unsafe_code, reason = "the standard library does not tell what an ended child has cost")]

use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::cost::{self, Cost};
use crate::instructions::Counter;
use crate::sheet::Metric;

/// For a guard: every shell's `kill` takes it so, with `--` not.
const KILL_GROUP: &str = "[ -z \"$told\" ] || kill -KILL \"-$told\"";
/// How long a process may take to end after SIGTERM.
const ENDS_WITHIN: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);
/// How often the memory of a process is looked at that ends by itself: what it takes in its last moment is missed.
const GLANCE: Duration = Duration::from_millis(2);
/// How much of what a failed process said is shown.
const LAST_LINES: usize = 8;

/// A shell that runs a script when we are gone, or when this is dropped.
pub(crate) struct Guard(Child);

impl Guard {
    /// The script finds its arguments in `$1`, `$2`… and the last line it was [told](Guard::tell) in `$told`.
    pub(crate) fn new(script: &str, arguments: &[&str]) -> Result<Guard> {
        let script =
            format!("trap '' INT TERM HUP; told=; while read -r line; do told=$line; done; {script}");
        let child = Command::new("sh")
            .args(["-c", &script, "guard"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("could not start a shell")?;
        Ok(Guard(child))
    }

    fn tell(&mut self, line: &str) -> Result<()> {
        let pipe = self.0.stdin.as_mut().context("the guard has been let go")?;
        writeln!(pipe, "{line}").context("the guard is gone")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // Whatever it met has nobody left to be told to.
        drop(self.0.wait());
    }
}

/// A process that is measured.
pub(crate) struct Process {
    child: Child,
    guard: Option<Guard>,
    said: PathBuf,
    started: Instant,
    counter: Option<Counter>,
}

impl Process {
    /// Starts it; what it says goes to a file.
    pub(crate) fn start(mut command: Command, said: &Path) -> Result<Process> {
        let file = File::create(said).with_context(|| format!("could not make `{}`", said.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
        let program = command.get_program().to_string_lossy().into_owned();
        let mut guard = Guard::new(KILL_GROUP, &[])?;
        let counter = Counter::of_next_process();
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("could not start `{program}`"))?;
        guard.tell(&child.id().to_string())?;
        Ok(Process { child, guard: Some(guard), said: said.to_owned(), started, counter })
    }

    /// The group it and its children are in.
    pub(crate) fn group(&self) -> u32 {
        self.child.id()
    }

    /// An error, with its last words, if it has ended by itself.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("it ended with {status}{}", self.last_words()),
        }
    }

    /// What the whole group has cost so far.
    pub(crate) fn values(&mut self) -> Result<Vec<(Metric, u64)>> {
        let cost = cost::of_group(self.group())?;
        self.values_of(cost)
    }

    fn values_of(&mut self, cost: Cost) -> Result<Vec<(Metric, u64)>> {
        let wall_ms = u64::try_from(self.started.elapsed().as_millis())?;
        let mut values =
            vec![(Metric::CpuMs, cost.cpu_ms), (Metric::PeakKib, cost.peak_kib), (Metric::WallMs, wall_ms)];
        values
            .extend(self.counter.as_mut().and_then(Counter::read).map(|count| (Metric::Instructions, count)));
        Ok(values)
    }

    /// Sends a signal to the whole group.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let group = Pid::from_child(&self.child);
        kill_process_group(group, signal).with_context(|| format!("could not signal group {}", self.group()))
    }

    /// Ends it: SIGTERM, and SIGKILL when that does not help. True if it ended by itself.
    pub(crate) fn stop(mut self) -> Result<bool> {
        self.signal(Signal::TERM)?;
        let deadline = Instant::now() + ENDS_WITHIN;
        let mut ended = None;
        while ended.is_none() && Instant::now() < deadline {
            ended = self.child.try_wait()?;
            std::thread::sleep(LOOK);
        }
        // Children may outlive the process that was started.
        let left = kill_process_group(Pid::from_child(&self.child), Signal::KILL).is_ok();
        self.child.wait()?;
        self.dismiss();
        Ok(ended.is_some() && !left)
    }

    /// Waits for its end; tells what it has cost. Its children's processor time is in it if it has waited for them; their memory is not.
    pub(crate) fn finish(mut self) -> Result<Vec<(Metric, u64)>> {
        let (status, cost) = wait(self.child.id())?;
        let values = self.values_of(cost)?;
        self.dismiss();
        if !status.success() {
            bail!("it ended with {status}{}", self.last_words());
        }
        Ok(values)
    }

    /// The group has ended; its number may soon be somebody else's.
    fn dismiss(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            drop(guard.tell(""));
        }
    }

    /// The end of what it said, for an error.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read(&self.said).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        if last.is_empty() { ", without a word".to_owned() } else { format!(":\n  {}", last.join("\n  ")) }
    }
}

impl Drop for Process {
    /// Whoever gives up half-way leaves nothing behind.
    fn drop(&mut self) {
        if self.guard.is_some() {
            // It may have ended by itself.
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            drop(self.child.wait());
            self.dismiss();
        }
    }
}

/// Waits for a child of ours that nobody has waited for. Its memory is watched while it runs: the account of an ended process begins with
/// what its parent had when it started it, and the harness may hold millions of results.
fn wait(child: u32) -> Result<(ExitStatus, Cost)> {
    let pid = libc::pid_t::try_from(child)?;
    let (mut status, mut peak_kib) = (0, 0);
    // SAFETY: numbers alone; zeros are a value of it.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        peak_kib = cost::peak_of(child)?.max(peak_kib);
        // SAFETY: both places live through the call, which writes them.
        match unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, &raw mut usage) } {
            0 => std::thread::sleep(GLANCE),
            waited if waited == pid => break,
            _ => {
                let error = std::io::Error::last_os_error();
                return Err(error).context("could not wait for the measured process");
            }
        }
    }
    let ms = |time: libc::timeval| (time.tv_sec * 1_000 + time.tv_usec / 1_000).unsigned_abs();
    let cpu_ms = ms(usage.ru_utime) + ms(usage.ru_stime);
    Ok((ExitStatus::from_raw(status), Cost { cpu_ms, peak_kib }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn alive(group: u32) -> bool {
        rustix::process::test_kill_process_group(Pid::from_raw(group.cast_signed()).unwrap()).is_ok()
    }

    fn until(what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !condition() {
            assert!(Instant::now() < deadline, "waited for {what}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn an_end_is_told_with_its_cost_or_its_last_words() {
        let place = tempfile::tempdir().unwrap();
        let said = place.path().join("said");
        let work = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        let values = Process::start(shell(work), &said).unwrap().finish().unwrap();
        let of = |wanted| values.iter().find(|(metric, _)| *metric == wanted).unwrap().1;
        assert!(of(Metric::CpuMs) >= 20 && of(Metric::PeakKib) > 100, "{values:?}");
        let failed = Process::start(shell("echo first; echo the reason >&2; exit 7"), &said).unwrap();
        let text = failed.finish().unwrap_err().to_string();
        assert!(text.contains("7") && text.contains("first\n  the reason"), "{text}");
    }

    #[test]
    fn memory_of_the_harness_is_nobody_elses() {
        let place = tempfile::tempdir().unwrap();
        let held = std::hint::black_box(vec![1_u8; 128 << 20]);
        let values = Process::start(shell("sleep 1"), &place.path().join("said")).unwrap().finish().unwrap();
        let peak = values.iter().find(|(metric, _)| *metric == Metric::PeakKib).unwrap().1;
        assert!(peak > 100 && peak < 64 << 10, "{peak} KiB");
        assert_eq!(held.len(), 128 << 20);
    }

    #[test]
    fn stopping_ends_children_and_whoever_does_not_listen() {
        let place = tempfile::tempdir().unwrap();
        let said = place.path().join("said");
        let process = Process::start(shell("sleep 300 & echo up; wait"), &said).unwrap();
        until("its word", || std::fs::read_to_string(&said).unwrap().contains("up"));
        let group = process.group();
        process.stop().unwrap();
        until("the end of the group", || !alive(group));
    }

    #[test]
    fn a_guard_ends_what_the_harness_leaves_behind() {
        let place = tempfile::tempdir().unwrap();
        let marker = place.path().join("cleaned");
        let script = format!("{KILL_GROUP}; : >\"$1\"");
        let mut guard = Guard::new(&script, &[&marker.display().to_string()]).unwrap();
        let mut orphan = shell("sleep 30").process_group(0).spawn().unwrap();
        guard.tell(&orphan.id().to_string()).unwrap();
        assert!(orphan.try_wait().unwrap().is_none() && !marker.exists());
        drop(guard);
        assert!(marker.exists());
        assert_eq!(orphan.wait().unwrap().signal(), Some(9));
    }
}
