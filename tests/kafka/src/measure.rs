//! What a process costs, as the kernel counts it.

use std::time::{Duration, Instant};

use crate::clock::pass;

/// Processor time so far, in milliseconds. The kernel counts in hundredths of a second everywhere Linux runs.
pub fn cpu_ms(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The name in parentheses may hold blanks: fields are counted behind it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<u64>().unwrap();
    (ticks(11) + ticks(12)) * 10
}

/// The share of one core a process uses over `time`, in thousandths.
pub fn cpu_per_mille(process: u32, time: Duration) -> u64 {
    let (before, started) = (cpu_ms(process), Instant::now());
    pass(time);
    (cpu_ms(process) - before) * 1_000 / u64::try_from(started.elapsed().as_millis()).unwrap()
}

/// The most memory a process has had, in KiB; `None` once it has ended.
pub fn peak_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
