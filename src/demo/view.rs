//! How a sample is shown: drawn in place on a terminal, one line a second anywhere else.
//!
//! Promise: there is nothing to restore, however the process ends, `kill -9` included. No other screen, no hidden cursor, no mode of the
//! terminal is used: a picture is written, and the next one begins by going up over it. What can break a picture is another line
//! written between two of them; the next one is whole again.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::sample::Sample;
use crate::console::Console;

mod picture;

/// How often a line is written where no picture can be drawn.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// What a terminal has that does not say.
const USUAL_SIZE: (usize, usize) = (80, 24);

/// Emphasis, where it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Palette {
    pub(super) bold: &'static str,
    pub(super) dim: &'static str,
    pub(super) good: &'static str,
    pub(super) bad: &'static str,
    pub(super) end: &'static str,
}

impl Palette {
    /// None at all.
    pub(super) const PLAIN: Palette = Palette { bold: "", dim: "", good: "", bad: "", end: "" };

    const COLOURS: Palette =
        Palette { bold: "\x1b[1m", dim: "\x1b[2m", good: "\x1b[32m", bad: "\x1b[1;31m", end: "\x1b[0m" };

    /// Colours on a terminal whose user has not said otherwise (<https://no-color.org>).
    pub(super) fn choose() -> Palette {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if unwanted || !can_draw() { Palette::PLAIN } else { Palette::COLOURS }
    }
}

/// True if standard output is a terminal that can be drawn on.
pub(super) fn can_draw() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
    io::stdout().is_terminal() && !dumb
}

/// Where samples are shown.
pub(super) enum View {
    /// On standard error, a line at a time.
    Lines { console: Console, last: Option<Instant> },
    /// On standard output, in place. `drawn` is how many lines the last picture had, on a terminal of `size`.
    Picture { palette: Palette, drawn: usize, size: (usize, usize) },
    /// Nobody looks any more.
    Nowhere,
}

impl View {
    /// What standard output allows.
    pub(super) fn choose(console: Console) -> View {
        if can_draw() && !console.is_quiet() {
            return View::Picture { palette: Palette::choose(), drawn: 0, size: USUAL_SIZE };
        }
        View::Lines { console, last: None }
    }

    /// Shows a sample.
    pub(super) fn show(&mut self, sample: &Sample) {
        match self {
            View::Lines { console, last } => {
                if last.is_none_or(|last| last.elapsed() >= LINE_INTERVAL) {
                    console.say(line(sample));
                    *last = Some(Instant::now());
                }
            }
            View::Picture { palette, drawn, size } => {
                let now = terminal_size::terminal_size();
                let now = now.map_or(USUAL_SIZE, |(width, height)| (width.0.into(), height.0.into()));
                // On another size the lines of the last picture are no longer where they were.
                let back = if now == *size { up(*drawn) } else { "\x1b[2J\x1b[H".to_owned() };
                let lines = picture::lines(sample, *palette, now);
                let text = format!(
                    "{back}{}\x1b[J",
                    lines.iter().map(|line| format!("{line}\x1b[K\n")).collect::<String>()
                );
                (*drawn, *size) = (lines.len(), now);
                let mut output = io::stdout().lock();
                if output.write_all(text.as_bytes()).and_then(|()| output.flush()).is_err() {
                    *self = View::Nowhere;
                }
            }
            View::Nowhere => {}
        }
    }
}

fn up(lines: usize) -> String {
    if lines == 0 { String::new() } else { format!("\r\x1b[{lines}A") }
}

/// A sample in one line.
fn line(sample: &Sample) -> String {
    let Sample { readings, invoices, .. } = sample;
    let [judged, _, held, ..] = sample.speeding;
    format!(
        "demo: {}: {} readings ({}/s, lag {}), {} infractions, {} held; {} invoices ({}/s, lag {}), {} totals; sinks lag {}",
        sample.phase.words(),
        readings.written,
        readings.per_second,
        readings.lag_records,
        judged.1,
        held.1,
        invoices.written,
        invoices.per_second,
        invoices.lag_records,
        sample.totals[0].1,
        sample.sinks_lag_records,
    )
}
