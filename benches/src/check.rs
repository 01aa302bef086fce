//! `bench check`: the small form for continuous integration. A minute at most, on the embedded log, and no reason of its own to fail.
//!
//! Machines differ and are shared, so that no CPU second can be compared with a committed one. Two things can: instructions, where the
//! kernel counts them, and otherwise the CPU seconds in units of a calibration made in the same minute. Of both only the *least* of
//! several rounds counts, because whatever disturbs a round makes it dearer, never cheaper; and before anything fails, what
//! looks dearer is measured again, so that a disturbance must last to be taken for a regression.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::embedded;
use crate::peer::{self, Peer, PeerName, Ready};
use crate::place;
use crate::progress::Progress;
use crate::sheet::Metric;
use crate::weather::calibration_us;
use crate::work::{Job, Work};

/// Small, and still long enough that a process's start does not count for much.
const WORKS: [Work; 3] = [
    Work { job: Job::Totals, records: 1_000_000, keys: 100, partitions: 4 },
    Work { job: Job::Totals, records: 500_000, keys: 10_000, partitions: 4 },
    Work { job: Job::Speeding, records: 200_000, keys: 20_000, partitions: 4 },
];
const ROUNDS: u32 = 3;
/// Rounds once more, when something looks dearer.
const ROUNDS_OF_DOUBT: u32 = 6;
/// How much dearer it may be in units of the calibration. Generous, as neither another processor nor busy neighbours scale both alike: the
/// same build cost 2.5 to 4.0 calibrations at its best on one machine under loads from 7 to 20.
const CPU_ALLOWED: f64 = 2.0;
/// How much more instructions it may take: another version of the compiler changes them a little.
const INSTRUCTIONS_ALLOWED: f64 = 1.15;

/// What a work costs at its best.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Best {
    /// CPU time over that of the calibration.
    cpu_ratio: f64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    instructions: Option<u64>,
}

/// Measures, and compares with the committed baseline; true if nothing got dearer. With `write` the baseline is made instead.
pub(crate) fn run(write: bool) -> Result<bool> {
    if cfg!(debug_assertions) {
        bail!("a debug build tells nothing about speed: run it with --release");
    }
    let mut progress = Progress::new();
    progress.step("building tidegate");
    let own: PeerName = "tidegate".parse().map_err(anyhow::Error::msg)?;
    let Ready::Yes(peer) = peer::prepare(&own, &place::default_cache()?)? else { bail!("it is not there") };
    let path = baseline();
    let committed = if write { BTreeMap::new() } else { read(&path)? };
    let mut found = BTreeMap::new();
    let mut is_fine = true;
    for work in WORKS {
        let name = work.to_string();
        let mut best = measure(&work, &peer, ROUNDS, &mut progress)?;
        let Some(before) = committed.get(&name) else {
            if !write {
                bail!("`{}` has no `{name}`; make it anew with --write-baseline", path.display());
            }
            found.insert(name, best);
            continue;
        };
        if is_dearer(before, &best) {
            progress.say(&format!("{name}: {}; measuring again", told(before, &best)));
            best = better(best, measure(&work, &peer, ROUNDS_OF_DOUBT, &mut progress)?);
        }
        let dearer = is_dearer(before, &best);
        is_fine &= !dearer;
        progress.clear();
        println!("{name}: {}: {}", told(before, &best), if dearer { "DEARER" } else { "fine" });
    }
    progress.clear();
    if write {
        std::fs::write(&path, serde_json::to_string_pretty(&found)? + "\n")?;
        println!("wrote {}", path.display());
    }
    Ok(is_fine)
}

fn baseline() -> PathBuf {
    place::repository().join("benches/baseline.json")
}

fn read(path: &std::path::Path) -> Result<BTreeMap<String, Best>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("could not read `{}`; make it with --write-baseline", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("`{}` is no baseline", path.display()))
}

fn measure(work: &Work, peer: &Peer, rounds: u32, progress: &mut Progress) -> Result<Best> {
    let (mut cpu_us, mut calibration, mut instructions) = (u64::MAX, u64::MAX, None::<u64>);
    for round in 1..=rounds {
        progress.step(format!("{work}: round {round} of {rounds}"));
        // Before and after: at its best it is as undisturbed as the work at its best.
        calibration = calibration.min(calibration_us());
        let values = embedded::measure(work, peer, progress)?;
        calibration = calibration.min(calibration_us());
        for (metric, value) in values {
            match metric {
                Metric::CpuMs => cpu_us = cpu_us.min(value * 1_000),
                Metric::Instructions => {
                    instructions = Some(instructions.map_or(value, |least| least.min(value)))
                }
                Metric::Missing | Metric::Pending | Metric::Doubled | Metric::Wrong if value > 0 => {
                    bail!("{work}: the output is wrong: {metric:?} {value}");
                }
                _ => {}
            }
        }
    }
    Ok(Best { cpu_ratio: cpu_us as f64 / calibration.max(1) as f64, instructions })
}

/// The better of two tries.
fn better(first: Best, second: Best) -> Best {
    let instructions = first.instructions.into_iter().chain(second.instructions).min();
    Best { cpu_ratio: first.cpu_ratio.min(second.cpu_ratio), instructions }
}

/// Instructions decide where both have them: they know no neighbours.
fn is_dearer(before: &Best, now: &Best) -> bool {
    match (before.instructions, now.instructions) {
        (Some(before), Some(now)) => now as f64 > before as f64 * INSTRUCTIONS_ALLOWED,
        _ => now.cpu_ratio > before.cpu_ratio * CPU_ALLOWED,
    }
}

fn told(before: &Best, now: &Best) -> String {
    let cpu = format!(
        "{:.2} times the calibration, {:.2} in the baseline, {:.2} allowed",
        now.cpu_ratio,
        before.cpu_ratio,
        before.cpu_ratio * CPU_ALLOWED
    );
    match (before.instructions, now.instructions) {
        (Some(before), Some(now)) => format!("{now} instructions, {before} in the baseline; {cpu}"),
        _ => cpu,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(cpu_ratio: f64, instructions: Option<u64>) -> Best {
        Best { cpu_ratio, instructions }
    }

    #[test]
    fn instructions_decide_where_there_are_any() {
        assert!(!is_dearer(&best(2.0, None), &best(3.9, None)));
        assert!(is_dearer(&best(2.0, None), &best(4.1, None)));
        assert!(!is_dearer(&best(2.0, Some(1_000)), &best(9.0, Some(1_100))), "a busy machine");
        assert!(is_dearer(&best(2.0, Some(1_000)), &best(2.0, Some(1_200))));
        assert!(is_dearer(&best(2.0, Some(1_000)), &best(4.1, None)), "no counter here");
    }

    #[test]
    fn the_better_try_counts() {
        let both = better(best(3.0, Some(90)), best(2.0, Some(100)));
        assert_eq!(both, best(2.0, Some(90)));
        assert_eq!(better(best(3.0, None), best(4.0, None)), best(3.0, None));
    }

    #[test]
    fn the_committed_baseline_has_every_work() {
        let committed = read(&baseline()).unwrap();
        for work in WORKS {
            assert!(committed[&work.to_string()].cpu_ratio > 0.0, "{work}");
        }
    }
}
