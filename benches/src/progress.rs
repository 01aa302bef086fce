//! Progress while it runs: one line on standard error that is written over on a terminal, and said once per step elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How often a line in progress is said where nothing can be written over.
const SAY_AGAIN: Duration = Duration::from_secs(20);

/// What is going on now.
pub(crate) struct Progress {
    terminal: bool,
    step: String,
    said: Instant,
    written: bool,
}

impl Progress {
    pub(crate) fn new() -> Progress {
        let terminal = std::io::stderr().is_terminal();
        Progress { terminal, step: String::new(), said: Instant::now(), written: false }
    }

    /// A step begins.
    pub(crate) fn step(&mut self, step: impl Into<String>) {
        self.step = step.into();
        self.said = Instant::now();
        if self.terminal {
            self.write_over(&self.step.clone());
        } else {
            eprintln!("{}", self.step);
        }
    }

    /// How far the step is.
    pub(crate) fn at(&mut self, done: u64, of: u64) {
        let percent = done.saturating_mul(100).checked_div(of).unwrap_or(100).min(100);
        let line = format!("{}: {percent} %", self.step);
        if self.terminal {
            self.write_over(&line);
        } else if self.said.elapsed() >= SAY_AGAIN {
            self.said = Instant::now();
            eprintln!("{line}");
        }
    }

    /// Something to keep on the screen.
    pub(crate) fn say(&mut self, line: &str) {
        self.clear();
        eprintln!("{line}");
    }

    /// Takes the line in progress away.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.written) {
            eprint!("\r\x1b[K");
        }
    }

    fn write_over(&mut self, line: &str) {
        eprint!("\r\x1b[K{line}");
        // Nothing depends on its being seen.
        drop(std::io::stderr().flush());
        self.written = true;
    }
}
