//! What the long run prints: every fault with its time, every recovery, a summary.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::fault::Fault;
use crate::job::BACK_AT_WORK;

/// How long a group misses a member that has died. One that dies while it waits for a rebalance, which an earlier fault has caused, is missed
/// only from the end of that rebalance on.
pub(super) const SESSION: Duration = Duration::from_secs(6);

/// The log of a run.
pub(super) struct Journal {
    started: Instant,
    is_silent: bool,
    kills: usize,
    /// When the last fault was over.
    over: Option<Instant>,
    /// Within which time work must go on after the fault under way.
    promise: Duration,
    recoveries: BTreeMap<&'static str, Vec<Duration>>,
    slow: Vec<String>,
    ended: usize,
}

impl Journal {
    pub(super) fn begin(seed: u64, minutes: u64, rate: u64) -> Journal {
        println!("long run: seed {seed}, {minutes} minutes, {rate} invoices and {rate} readings per second");
        Journal { is_silent: false, ..Journal::silent() }
    }

    pub(super) fn silent() -> Journal {
        Journal {
            started: Instant::now(),
            is_silent: true,
            kills: 0,
            over: None,
            promise: BACK_AT_WORK,
            recoveries: BTreeMap::new(),
            slow: Vec::new(),
            ended: 0,
        }
    }

    pub(super) fn say(&self, words: &str) {
        if !self.is_silent {
            println!("[{:>7} ms] {words}", self.started.elapsed().as_millis());
        }
    }

    pub(super) fn fault(&mut self, fault: &Fault) {
        let is_calm = self.over.is_none_or(|over| over.elapsed() >= SESSION);
        self.promise = BACK_AT_WORK + if is_calm { Duration::ZERO } else { SESSION };
        self.kills += fault.kills();
        self.say(&fault.to_string());
    }

    pub(super) fn recovered(&mut self, fault: &Fault, took: Duration) {
        self.say(&format!("    back at work after {} ms", took.as_millis()));
        self.over = Some(Instant::now());
        self.recoveries.entry(fault.kind()).or_default().push(took);
        if fault.is_one_kill() && took > self.promise {
            self.slow.push(format!("{fault}: {} ms, not {:?}", took.as_millis(), self.promise));
        }
    }

    /// A process ended without being killed.
    pub(super) fn ended(&mut self, name: &str, how: &str) {
        self.ended += 1;
        self.say(&format!("    {name} ended: {how}"));
    }

    pub(super) fn summary(&self, is_exact: bool) {
        println!("\n{:<56} {:>6} {:>12} {:>12}", "fault", "times", "median ms", "most ms");
        for (kind, times) in &self.recoveries {
            let mut times = times.clone();
            times.sort_unstable();
            let (median, most) = (times[times.len() / 2].as_millis(), times[times.len() - 1].as_millis());
            println!("{kind:<56} {:>6} {median:>12} {most:>12}", times.len());
        }
        let faults: usize = self.recoveries.values().map(Vec::len).sum();
        println!(
            "{faults} faults, {} processes killed, {} ended by themselves and were started again",
            self.kills, self.ended
        );
        println!(
            "promised after one kill: {BACK_AT_WORK:?}; {SESSION:?} more if another fault was over less than {SESSION:?} before"
        );
        let verdict = if is_exact { "nothing lost, doubled or wrong" } else { "NOT EXACT" };
        println!("{verdict}");
    }

    /// What was promised of single kills.
    pub(super) fn promises(&self) -> Result<(), String> {
        match self.slow.as_slice() {
            [] => Ok(()),
            slow => Err(format!("not back at work as promised: {}", slow.join("; "))),
        }
    }
}
