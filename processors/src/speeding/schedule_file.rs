//! A schedule's file: TOML, checked as a whole before the first reading is judged.
//!
//! Promise: what is accepted has exactly one bracket for every limit and excess of every period; what is refused is named by
//! its line. The format is explained at the top of `schedules/france.toml`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tidegate_runtime::time::EventTime;
use toml::Spanned;
use toml::value::Datetime;

use super::schedule::{Bracket, Margin, Period, Schedule};

/// A schedule that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// The file cannot be read.
    #[error("schedule `{}` cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's word.
        #[source]
        cause: std::io::Error,
    },
    /// What it says does not make a schedule.
    #[error("schedule `{origin}`, line {line}: {what}")]
    Invalid {
        /// The file, or the name of the schedule.
        origin: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong, and the remedy where there is one.
        what: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScheduleFile {
    name: Spanned<String>,
    #[serde(default)]
    period: Vec<Spanned<PeriodFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PeriodFile {
    valid_from: Spanned<Datetime>,
    currency: Spanned<String>,
    margin: MarginsFile,
    #[serde(default)]
    bracket: Vec<Spanned<BracketFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MarginsFile {
    fixed: Spanned<MarginFile>,
    mobile: Spanned<MarginFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MarginFile {
    below_kmh: i64,
    minus_kmh: i64,
    percent: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BracketFile {
    from_excess_kmh: i64,
    to_excess_kmh: Option<i64>,
    limit_over_kmh: Option<i64>,
    limit_up_to_kmh: Option<i64>,
    fine_minor: i64,
    points: i64,
    rule: String,
}

impl Schedule {
    /// Reads a schedule's file.
    ///
    /// # Errors
    /// If there is none, or as [`parse`](Schedule::parse).
    #[allow(
        clippy::disallowed_methods,
        reason = "read once, before anything runs; tasks get the schedule as a value"
    )]
    pub fn from_file(path: &Path) -> Result<Schedule, ScheduleError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Schedule::parse(&path.display().to_string(), &text),
            Err(cause) => Err(ScheduleError::Unreadable { path: path.to_owned(), cause }),
        }
    }

    /// Reads a schedule. `origin` is how errors name it.
    ///
    /// # Errors
    /// The first thing that is wrong: bad TOML, an unknown or missing key, a value out of range, periods out of order, and for any
    /// limit brackets that overlap, leave a gap, do not begin at 1 km/h or come to an end.
    pub fn parse(origin: &str, text: &str) -> Result<Schedule, ScheduleError> {
        let invalid = |at: usize, what: String| ScheduleError::Invalid {
            origin: origin.to_owned(),
            line: 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count(),
            what,
        };
        let file: ScheduleFile = toml::from_str(text).map_err(|error| {
            let what = error.message().replace('\n', ", ");
            invalid(error.span().map_or(0, |span| span.start), what)
        })?;
        checked(file).map_err(|Fault { at, what }| invalid(at, what))
    }

    /// The French rules in force, with those since 2004: the default.
    ///
    /// # Panics
    /// Never: a test reads the file that is built in.
    #[must_use]
    pub fn france() -> Schedule {
        let text = include_str!("../../schedules/france.toml");
        Schedule::parse("france.toml", text).expect("the schedule that is built in was read by a test")
    }
}

/// What is wrong, and at which byte of the file.
#[derive(Debug)]
struct Fault {
    at: usize,
    what: String,
}

fn fault<T>(at: usize, what: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { at, what: what.into() })
}

/// A number of a key, if it lies in the key's range.
fn number(at: usize, key: &str, value: i64, least: i32, most: i32) -> Result<i32, Fault> {
    match i32::try_from(value) {
        Ok(value) if (least..=most).contains(&value) => Ok(value),
        _ if most == i32::MAX => fault(at, format!("{key} `{value}` is below {least} or too large")),
        _ => fault(at, format!("{key} `{value}` is not between {least} and {most}")),
    }
}

fn checked(file: ScheduleFile) -> Result<Schedule, Fault> {
    if file.name.get_ref().trim().is_empty() {
        return fault(file.name.span().start, "its name is empty");
    }
    if file.period.is_empty() {
        return fault(0, "it has no period; add a `[[period]]`");
    }
    let mut periods: Vec<Period> = Vec::new();
    for period in file.period {
        let at = period.get_ref().valid_from.span().start;
        let period = checked_period(period)?;
        if let Some(before) = periods.last().filter(|before| before.valid_from >= period.valid_from) {
            let (this, before) = (period.valid_from, before.valid_from);
            return fault(
                at,
                format!("period {this} does not begin after period {before}; list the oldest first"),
            );
        }
        periods.push(period);
    }
    Ok(Schedule { name: file.name.into_inner(), periods })
}

fn checked_period(period: Spanned<PeriodFile>) -> Result<Period, Fault> {
    let at = period.span().start;
    let PeriodFile { valid_from, currency, margin, bracket: files } = period.into_inner();
    let valid_from = checked_moment(&valid_from)?;
    if currency.get_ref().len() != 3 || !currency.get_ref().bytes().all(|letter| letter.is_ascii_uppercase())
    {
        let what = format!("currency `{}` is no ISO 4217 code, such as `EUR`", currency.get_ref());
        return fault(currency.span().start, what);
    }
    let (fixed, mobile) = (checked_margin(margin.fixed)?, checked_margin(margin.mobile)?);
    if files.is_empty() {
        return fault(at, format!("period {valid_from} has no bracket; add a `[[period.bracket]]`"));
    }
    let mut brackets = Vec::new();
    for file in files {
        let at = file.span().start;
        brackets.push((at, checked_bracket(file)?));
    }
    check_coverage(&brackets)
        .map_err(|Fault { at, what }| Fault { at, what: format!("period {valid_from}: {what}") })?;
    let brackets = brackets.into_iter().map(|(_, bracket)| bracket).collect();
    Ok(Period { valid_from, currency: currency.into_inner(), fixed, mobile, brackets })
}

/// A moment needs its offset: which day begins when is not for a time zone database of some machine to say.
fn checked_moment(moment: &Spanned<Datetime>) -> Result<EventTime, Fault> {
    let text = moment.get_ref().to_string();
    match text.parse::<jiff::Timestamp>() {
        Ok(moment) => Ok(EventTime(moment.as_millisecond())),
        Err(_) => fault(
            moment.span().start,
            format!("valid_from `{text}` is no moment; write it like `2024-01-01T00:00:00+01:00`"),
        ),
    }
}

fn checked_margin(margin: Spanned<MarginFile>) -> Result<Margin, Fault> {
    let at = margin.span().start;
    let MarginFile { below_kmh, minus_kmh, percent } = margin.into_inner();
    Ok(Margin {
        below_kmh: number(at, "below_kmh", below_kmh, 0, i32::MAX)?,
        minus_kmh: number(at, "minus_kmh", minus_kmh, 0, i32::MAX)?,
        percent: number(at, "percent", percent, 0, 100)?,
    })
}

fn checked_bracket(bracket: Spanned<BracketFile>) -> Result<Bracket, Fault> {
    let at = bracket.span().start;
    let file = bracket.into_inner();
    let bracket = Bracket {
        from_excess_kmh: number(at, "from_excess_kmh", file.from_excess_kmh, 1, i32::MAX)?,
        to_excess_kmh: file
            .to_excess_kmh
            .map(|end| number(at, "to_excess_kmh", end, 1, i32::MAX))
            .transpose()?,
        limit_over_kmh: number(at, "limit_over_kmh", file.limit_over_kmh.unwrap_or(0), 0, i32::MAX)?,
        limit_up_to_kmh: file
            .limit_up_to_kmh
            .map(|most| number(at, "limit_up_to_kmh", most, 1, i32::MAX))
            .transpose()?,
        fine_minor: file.fine_minor,
        points: number(at, "points", file.points, 0, i32::MAX)?,
        rule: file.rule,
    };
    if bracket.fine_minor < 0 {
        return fault(at, format!("fine_minor `{}` is below 0", bracket.fine_minor));
    }
    if bracket.rule.trim().is_empty() {
        return fault(at, "its rule is empty; name the article it follows from");
    }
    if bracket.to_excess_kmh.is_some_and(|end| end <= bracket.from_excess_kmh) {
        return fault(at, format!("bracket {} is empty", span_of(&bracket)));
    }
    if let Some(most) = bracket.limit_up_to_kmh.filter(|most| *most <= bracket.limit_over_kmh) {
        let over = bracket.limit_over_kmh;
        return fault(at, format!("no limit is over `{over}` and at most `{most}`"));
    }
    Ok(bracket)
}

/// Between two neighbouring limits that any bracket names, the same brackets apply to all limits: checks each such band.
fn check_coverage(brackets: &[(usize, Bracket)]) -> Result<(), Fault> {
    let named =
        brackets.iter().flat_map(|(_, bracket)| [Some(bracket.limit_over_kmh), bracket.limit_up_to_kmh]);
    let mut cuts: BTreeSet<i32> = named.flatten().collect();
    cuts.insert(0);
    for over in &cuts {
        let most = cuts.range(over + 1..).next().copied();
        let applies = |bracket: &Bracket| {
            bracket.limit_over_kmh <= *over && bracket.limit_up_to_kmh.is_none_or(|end| end > *over)
        };
        let mut band: Vec<_> = brackets.iter().filter(|(_, bracket)| applies(bracket)).collect();
        band.sort_by_key(|(_, bracket)| bracket.from_excess_kmh);
        check_band(brackets[0].0, &band).map_err(|Fault { at, what }| {
            let limits = match (over, most) {
                (0, None) => "any limit".to_owned(),
                (0, Some(most)) => format!("limits up to {most} km/h"),
                (over, None) => format!("limits over {over} km/h"),
                (over, Some(most)) => format!("limits over {over} up to {most} km/h"),
            };
            Fault { at, what: format!("{what} for {limits}") }
        })?;
    }
    Ok(())
}

/// `band` in the order of their beginnings: each must begin where the one before ends.
fn check_band(first: usize, band: &[&(usize, Bracket)]) -> Result<(), Fault> {
    let (mut covered, mut last) = (Some(1), None::<&Bracket>);
    for (at, bracket) in band {
        let from = bracket.from_excess_kmh;
        match (covered, last) {
            (None, Some(last)) => return fault(*at, overlap(last, bracket)),
            (Some(end), Some(last)) if from < end => return fault(*at, overlap(last, bracket)),
            (Some(end), _) if from > end => return fault(*at, gap(end, Some(from))),
            _ => {}
        }
        (covered, last) = (bracket.to_excess_kmh, Some(bracket));
    }
    match covered {
        None => Ok(()),
        Some(end) => fault(band.last().map_or(first, |(at, _)| *at), gap(end, None)),
    }
}

fn overlap(one: &Bracket, other: &Bracket) -> String {
    format!("brackets {} and {} overlap", span_of(one), span_of(other))
}

fn gap(from: i32, to: Option<i32>) -> String {
    match to {
        Some(to) => format!("no bracket covers an excess of `{from}` to `{}` km/h", to - 1),
        None => format!("no bracket covers an excess of `{from}` km/h or more"),
    }
}

fn span_of(bracket: &Bracket) -> String {
    let end = bracket.to_excess_kmh.as_ref().map_or("∞".to_owned(), i32::to_string);
    format!("`[{}, {end})`", bracket.from_excess_kmh)
}
