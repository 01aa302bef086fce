//! What a process costs, as the kernel counts it.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::Job;

/// What one run cost its process, from its start to its end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// User and system time, all threads.
    pub(crate) cpu_ms: u64,
    /// The most memory it had resident.
    pub(crate) peak_kib: u64,
    /// On the clock: says little on a shared machine.
    pub(crate) wall_ms: u64,
}

/// Linux counts a process's time in hundredths of a second, whatever the kernel's own tick (`USER_HZ`).
const MS_PER_TICK: u64 = 10;

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cpu_ms={} peak_kib={}", self.cpu_ms, self.peak_kib)
    }
}

impl FromStr for Cost {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Cost> {
        let number = |name: &str| -> Result<u64> {
            let found = line.split_whitespace().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            Ok(found.with_context(|| format!("`{line}` names no `{name}`"))?.parse()?)
        };
        Ok(Cost { cpu_ms: number("cpu_ms")?, peak_kib: number("peak_kib")?, wall_ms: 0 })
    }
}

/// What this process has cost so far.
pub(crate) fn own_cost() -> Result<Cost> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("the kernel's counts need Linux")?;
    // The name in parentheses may hold anything: the numbers begin behind its end.
    let (_, numbers) = stat.rsplit_once(") ").context("`/proc/self/stat` has another form")?;
    let field = |index: usize| -> Result<u64> {
        Ok(numbers.split(' ').nth(index).context("`/proc/self/stat` is too short")?.parse()?)
    };
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|text| text.split_whitespace().next()).context("`VmHWM` is missing")?;
    Ok(Cost { cpu_ms: (field(11)? + field(12)?) * MS_PER_TICK, peak_kib: peak.parse()?, wall_ms: 0 })
}

/// Starts this program again to do the job, and takes its word for the cost.
pub(crate) fn host(job: Job, data: &Path) -> Result<Cost> {
    let name = match job {
        Job::Totals => "totals",
        Job::Speeding => "speeding",
    };
    let started = Instant::now();
    let output = Command::new(std::env::current_exe()?).arg("host").arg(name).arg(data).output()?;
    let wall_ms = u64::try_from(started.elapsed().as_millis())?;
    if !output.status.success() {
        bail!("the measured process failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let cost: Cost = String::from_utf8(output.stdout)?.trim().parse()?;
    Ok(Cost { wall_ms, ..cost })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_read_back() {
        let cost = Cost { cpu_ms: 1_230, peak_kib: 9_876, wall_ms: 0 };
        let read: Cost = cost.to_string().parse().unwrap();
        assert_eq!((read.cpu_ms, read.peak_kib), (1_230, 9_876));
        assert!("cpu_ms=1".parse::<Cost>().is_err());
    }

    #[test]
    fn work_costs_time_and_memory() {
        let before = own_cost().unwrap();
        let mut sum = 0_u64;
        let deadline = Instant::now() + std::time::Duration::from_secs(20);
        while own_cost().unwrap().cpu_ms < before.cpu_ms + 50 {
            assert!(Instant::now() < deadline, "{sum}: the counts stand still");
            sum = (0..100_000_u64).fold(sum, |sum, number| sum.wrapping_mul(31).wrapping_add(number));
        }
        assert!(own_cost().unwrap().peak_kib > 100);
    }
}
