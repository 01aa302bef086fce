//! One look at the running demo: numbers for the view, taken all at once.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tidegate_runtime::Result;
use tidegate_runtime::log::{Log, Offset, TopicPartition};
use tidegate_runtime::worker::StatusBoard;
use tidegate_schemas::TOPICS;

use super::Scenario;
use super::stages::{Handed, Stages};
use super::tap::{News, Tap};

/// Rates and the sinks' lag are taken once per this, so that they can be read before they change; and when a phase begins.
const SLOW_INTERVAL: Duration = Duration::from_secs(1);

/// What the demo is doing, in the order it does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Readings and invoices come in, processors and sinks work.
    Live,
    /// Processors finish what is left, and close every window.
    Rest,
    /// Sinks finish their files.
    Files,
    /// The nightly job.
    Discount,
    /// Everything is read back and recomputed.
    Check,
}

impl Phase {
    pub(super) const ALL: [Phase; 5] =
        [Phase::Live, Phase::Rest, Phase::Files, Phase::Discount, Phase::Check];

    pub(super) fn words(self) -> &'static str {
        match self {
            Phase::Live => "live",
            Phase::Rest => "closing every window",
            Phase::Files => "finishing the files",
            Phase::Discount => "the nightly discount",
            Phase::Check => "reading everything back, recomputing",
        }
    }
}

/// One input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flow {
    pub(super) written: u64,
    pub(super) expected: u64,
    pub(super) per_second: u64,
    /// What its processor has not read yet.
    pub(super) lag_records: i64,
}

/// Everything the view shows.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) phase: Phase,
    pub(super) scenario: Scenario,
    pub(super) elapsed: Duration,
    pub(super) readings: Flow,
    pub(super) invoices: Flow,
    /// What became of readings, by the processor's own counts.
    pub(super) speeding: [(&'static str, u64); 6],
    pub(super) totals: [(&'static str, u64); 3],
    pub(super) sinks_lag_records: i64,
    pub(super) news: News,
}

/// Takes samples.
pub(super) struct Sampler<'a> {
    stages: &'a Stages<'a>,
    tap: &'a Tap,
    started: Instant,
    slow: Option<Slow>,
}

/// What is taken seldom.
#[derive(Clone, Copy)]
struct Slow {
    at: Instant,
    phase: Phase,
    written: [u64; 2],
    per_second: [u64; 2],
    sinks_lag_records: i64,
}

impl<'a> Sampler<'a> {
    pub(super) fn new(stages: &'a Stages<'a>, tap: &'a Tap) -> Sampler<'a> {
        Sampler { stages, tap, started: Instant::now(), slow: None }
    }

    /// How everything stands now.
    pub(super) fn sample(&mut self, phase: Phase) -> Sample {
        let Stages { readings, invoices, speeding, totals, scenario, .. } = self.stages;
        let written = [readings, invoices].map(|handed| handed.records.load(Ordering::Relaxed));
        let slow = self.slow(phase, written);
        let count = |name| speeding.board.total(name);
        Sample {
            phase,
            scenario: *scenario,
            elapsed: self.started.elapsed(),
            readings: flow(readings, 0, &slow, &speeding.board),
            invoices: flow(invoices, 1, &slow, &totals.board),
            speeding: [
                ("over", count("judged")),
                ("under", count("under-limit")),
                ("held", held(&speeding.board)),
                ("doubled", count("duplicates")),
                ("late", count("late")),
                ("dead", count("dead-letters")),
            ],
            totals: [
                ("windows closed", totals.board.total("windows-closed")),
                ("late", totals.board.total("late")),
                ("dead letters", totals.board.total("dead-letters")),
            ],
            sinks_lag_records: slow.sinks_lag_records,
            news: self.tap.news(),
        }
    }

    fn slow(&mut self, phase: Phase, written: [u64; 2]) -> Slow {
        let now = Instant::now();
        let last = self.slow.unwrap_or(Slow {
            at: self.started,
            phase,
            written: [0; 2],
            per_second: [0; 2],
            sinks_lag_records: 0,
        });
        let passed_ms = u64::try_from(now.duration_since(last.at).as_millis()).unwrap_or(u64::MAX);
        if self.slow.is_some() && last.phase == phase && now.duration_since(last.at) < SLOW_INTERVAL {
            return last;
        }
        let rate =
            |input: usize| written[input].saturating_sub(last.written[input]) * 1_000 / passed_ms.max(1);
        // A log that cannot be asked just now is met by those who work, and told by them.
        let sinks_lag_records = sinks_lag(self.stages.log.as_ref()).unwrap_or(last.sinks_lag_records);
        let slow = Slow { at: now, phase, written, per_second: [rate(0), rate(1)], sinks_lag_records };
        self.slow = Some(slow);
        slow
    }
}

/// Readings that wait for a registration now.
pub(super) fn held(board: &StatusBoard) -> u64 {
    let gone = board.total("released") + board.total("unidentified");
    board.total("held").saturating_sub(gone)
}

fn flow(handed: &Handed, input: usize, slow: &Slow, board: &StatusBoard) -> Flow {
    Flow {
        written: handed.records.load(Ordering::Relaxed),
        expected: handed.expected,
        per_second: slow.per_second[input],
        lag_records: board.tasks().values().map(|task| task.lag_records).sum(),
    }
}

fn sinks_lag(log: &dyn Log) -> Result<i64> {
    let existing = log.topics()?;
    let mut lag_records = 0;
    for (group, topics) in Stages::sink_groups() {
        let committed = log.committed(&group)?;
        let of_table = existing.iter().filter(|topic| TOPICS.iter().any(|known| known.name == topic.name));
        for topic in of_table.filter(|topic| topics.is_empty() || topics.contains(&topic.name.as_str())) {
            for number in 0..topic.partitions {
                let partition = TopicPartition::new(topic.name.as_str(), number);
                let marks = log.watermarks(&partition)?;
                let position = committed.get(&partition).copied().unwrap_or(Offset(0)).max(marks.low);
                lag_records += marks.high.since(position).max(0);
            }
        }
    }
    Ok(lag_records)
}
