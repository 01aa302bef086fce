//! Everything that is printed: data to standard output, everything else to standard error.
//!
//! Guarantees: a line is one line, and no control character of a record, name or file reaches a terminal; it is shown escaped (`\u{1b}`;
//! in JSON `\u001b`, so that it stays JSON). A closed pipe is noticed at the next line and is no error. What cannot be written to
//! standard error is lost without a panic.
//! Requires: nothing else in the program writes to standard output or standard error, but for the picture of `demo`, whose texts are
//! made printable where it is drawn.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufWriter, ErrorKind, Stdout, Write};

use anyhow::Result;
use tidegate_runtime::notice::Notice;
use tidegate_runtime::quote::{is_unprintable, printable};

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
            let _ = writeln!(io::stderr(), "{}", printable(&line.to_string()));
        }
    }

    /// A line on standard error, also under `--quiet`: something is wrong with the input, and the work goes on.
    pub(crate) fn problem(self, line: impl fmt::Display) {
        let _ = writeln!(io::stderr(), "{}", printable(&line.to_string()));
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
    let _ = writeln!(io::stderr(), "error: {}", printable(&line.join(" ")));
}

/// Standard output, buffered: [`flush`](Output::flush) it before waiting.
pub(crate) struct Output {
    to: BufWriter<Stdout>,
}

impl Output {
    pub(crate) fn new() -> Output {
        Output { to: BufWriter::new(io::stdout()) }
    }

    /// Writes one line of data for people.
    pub(crate) fn line(&mut self, line: impl fmt::Display) -> Result<()> {
        writeln!(self.to, "{}", printable(&line.to_string())).map_err(lost)
    }

    /// Writes one line of compact JSON.
    pub(crate) fn json(&mut self, value: impl fmt::Display) -> Result<()> {
        writeln!(self.to, "{}", printable_json(&value.to_string())).map_err(lost)
    }

    /// Writes text that ends its own lines.
    pub(crate) fn text(&mut self, text: &str) -> Result<()> {
        text.split_inclusive('\n').try_for_each(|line| match line.strip_suffix('\n') {
            Some(line) => self.line(line),
            None => write!(self.to, "{}", printable(line)).map_err(lost),
        })
    }

    /// Writes text as it is: colours of ours around texts that are printable already.
    pub(crate) fn coloured(&mut self, text: &str) -> Result<()> {
        self.to.write_all(text.as_bytes()).map_err(lost)
    }

    /// Hands over what is buffered.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.to.flush().map_err(lost)
    }
}

/// Returns JSON without unprintable characters: compact JSON has them in texts only, where they can be written as escapes.
fn printable_json(json: &str) -> Cow<'_, str> {
    if !json.contains(is_unprintable) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_unprintable(c) {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| escaped.push_str(&format!("\\u{unit:04x}")));
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

fn lost(error: io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::BrokenPipe => ClosedPipe.into(),
        _ => anyhow::Error::new(error).context("could not write to standard output"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stays_the_same_json_and_becomes_printable() {
        let value = serde_json::json!({ "a\u{9b}": "\u{1b}[31m\u{7f}\u{202e}\n é 京 🙂" });
        let text = value.to_string();
        let shown = printable_json(&text);
        assert!(!shown.contains(is_unprintable), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
