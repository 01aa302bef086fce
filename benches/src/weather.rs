//! The machine while it measures: what it is, how fast it is at the moment, and whether others are at work on it.

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};

use crate::sheet::Metric;

/// How long others are watched before each measurement.
const LOOK: Duration = Duration::from_millis(250);
/// The calibration's table: larger than a core's own caches, so that a neighbour who fills the shared one is felt.
const TABLE_WORDS: usize = 1 << 20;
const STEPS: u64 = 3_000_000;

/// What the machine was like before a measurement; tells what it was like meanwhile.
pub(crate) struct Weather {
    busy_before: u64,
    calibration_us: u64,
    start: Ticks,
}

impl Weather {
    /// Looks around. Nothing is measured meanwhile.
    pub(crate) fn look() -> Result<Weather> {
        let before = Ticks::now()?;
        let until = Instant::now() + LOOK;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            std::thread::sleep(left);
        }
        let busy_before = Ticks::now()?.since(&before).busy_per_mille();
        let calibration_us = calibration_us();
        Ok(Weather { busy_before, calibration_us, start: Ticks::now()? })
    }

    /// What the measurement met.
    pub(crate) fn values(&self) -> Result<[(Metric, u64); 3]> {
        Ok([
            (Metric::BusyBefore, self.busy_before),
            (Metric::Steal, Ticks::now()?.since(&self.start).steal_per_mille()),
            (Metric::CalibrationUs, self.calibration_us),
        ])
    }
}

/// The processor time that a fixed piece of work takes: arithmetic and scattered memory, as in processing records.
pub(crate) fn calibration_us() -> u64 {
    let mut table = vec![1_u64; TABLE_WORDS];
    let before = own_time_us();
    let mut mixed = 0x9e37_79b9_7f4a_7c15_u64;
    for step in 0..STEPS {
        mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9).wrapping_add(step);
        let slot = &mut table[mixed as usize % TABLE_WORDS];
        *slot = slot.wrapping_add(mixed);
        mixed ^= *slot;
    }
    black_box(mixed);
    own_time_us() - before
}

/// Processor time of this thread.
fn own_time_us() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    (time.tv_sec * 1_000_000 + time.tv_nsec / 1_000).unsigned_abs()
}

/// Ticks of all cores since the machine started.
#[derive(Debug, PartialEq, Eq)]
struct Ticks {
    idle: u64,
    steal: u64,
    all: u64,
}

impl Ticks {
    fn now() -> Result<Ticks> {
        Ticks::parse(&fs::read_to_string("/proc/stat").context("the kernel's counts need Linux")?)
    }

    fn parse(text: &str) -> Result<Ticks> {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu ")).context("`/proc/stat` is odd")?;
        let counts: Vec<u64> = line
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()
            .context("`/proc/stat` is odd")?;
        let count = |index: usize| counts.get(index).copied().unwrap_or(0);
        // Guests' time, which comes last, is in user time already. Waiting for a disk is not being busy.
        Ok(Ticks { idle: count(3) + count(4), steal: count(7), all: counts.iter().take(8).sum() })
    }

    fn since(&self, before: &Ticks) -> Ticks {
        Ticks {
            idle: self.idle.saturating_sub(before.idle),
            steal: self.steal.saturating_sub(before.steal),
            all: self.all.saturating_sub(before.all),
        }
    }

    fn busy_per_mille(&self) -> u64 {
        self.all.saturating_sub(self.idle) * 1_000 / self.all.max(1)
    }

    fn steal_per_mille(&self) -> u64 {
        self.steal * 1_000 / self.all.max(1)
    }
}

/// The machine in a line; no name of it.
pub(crate) fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next());
    let gib = kib.and_then(|kib| kib.parse::<u64>().ok()).map_or(0, |kib| kib >> 20);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{cores} cores, {}; {gib} GiB; Linux {}",
        model.trim_start_matches(['\t', ':', ' ']),
        kernel.trim()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_told_apart() {
        let before = Ticks::parse("cpu  10 0 10 100 0 0 0 5 0 0\ncpu0 1 1 1 1\n").unwrap();
        let after = Ticks::parse("cpu  60 0 20 220 10 0 0 15 9 0\n").unwrap();
        let between = after.since(&before);
        assert_eq!(between, Ticks { idle: 130, steal: 10, all: 200 });
        assert_eq!((between.busy_per_mille(), between.steal_per_mille()), (350, 50));
        assert!(Ticks::parse("intr 1 2 3").is_err());
        assert!(Ticks::parse("cpu  a b").is_err());
    }

    #[test]
    fn calibration_takes_time() {
        assert!(calibration_us() > 1_000);
    }
}
