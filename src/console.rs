//! Where words go: data to standard output, everything else to standard error.
//!
//! Promise: a closed pipe is noticed at the next line and is no error; what cannot be said on standard error is lost without a panic.

use std::fmt;
use std::io::{self, BufWriter, ErrorKind, Stdout, Write};

use anyhow::Result;
use tidegate_runtime::notice::Notice;

use crate::exit::ClosedPipe;

/// Says what a user may want to know and a script does not: start, assignment, summary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    quiet: bool,
}

impl Console {
    pub(crate) fn new(quiet: bool) -> Console {
        Console { quiet }
    }

    /// True under `--quiet`.
    pub(crate) fn is_quiet(self) -> bool {
        self.quiet
    }

    /// Where the engine says what a user should know while it works.
    pub(crate) fn notice(self) -> Notice {
        Notice::new(move |line| self.say(line))
    }

    /// A line on standard error, unless `--quiet`.
    pub(crate) fn say(self, line: impl fmt::Display) {
        if !self.quiet {
            // Nobody is left to be told that standard error is closed.
            let _ = writeln!(io::stderr(), "{line}");
        }
    }

    /// A line on standard error, also under `--quiet`: something is wrong with the input, and the work goes on.
    pub(crate) fn problem(self, line: impl fmt::Display) {
        let _ = writeln!(io::stderr(), "{line}");
    }

    /// What a user should know and need not act on at once.
    pub(crate) fn warn(self, warnings: &[String]) {
        warnings.iter().for_each(|warning| self.say(format_args!("warning: {warning}")));
    }
}

/// The one line an error gets, causes last; also under `--quiet`.
pub(crate) fn error(error: &anyhow::Error) {
    let text = format!("{error:#}");
    // A cause may bring lines of its own (a parser that draws where it stumbled): one error is one line.
    let line: Vec<&str> = text.lines().map(str::trim).filter(|part| !part.is_empty()).collect();
    let _ = writeln!(io::stderr(), "error: {}", line.join(" "));
}

/// Standard output, buffered: [`flush`](Output::flush) it before waiting.
pub(crate) struct Output {
    to: BufWriter<Stdout>,
}

impl Output {
    pub(crate) fn new() -> Output {
        Output { to: BufWriter::new(io::stdout()) }
    }

    /// One line of data.
    pub(crate) fn line(&mut self, line: impl fmt::Display) -> Result<()> {
        writeln!(self.to, "{line}").map_err(lost)
    }

    /// Text that ends its own lines.
    pub(crate) fn text(&mut self, text: &str) -> Result<()> {
        self.to.write_all(text.as_bytes()).map_err(lost)
    }

    /// Hands over what is buffered.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.to.flush().map_err(lost)
    }
}

fn lost(error: io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::BrokenPipe => ClosedPipe.into(),
        _ => anyhow::Error::new(error).context("could not write to standard output"),
    }
}
