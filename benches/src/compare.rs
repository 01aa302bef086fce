//! Two kept runs side by side: what got slower, with the noise taken into account.
//!
//! A difference counts when the medians lie further apart than a floor and than twice the noise of both runs together (half the distance
//! of their quartiles, which one disturbed round does not move). CPU seconds must do so as they are *and* in units of the
//! calibration that both runs made: a machine that was slower as a whole makes no regression, and neither does a calibration that was
//! disturbed.

use std::fmt::Write as _;

use crate::run_folder::Kept;
use crate::sheet::{Case, Metric, Sheet};
use crate::stats::Spread;
use crate::trust::{self, ENOUGH_ROUNDS};

/// What is compared: the smallest difference that can count, as a share, and whether a faster machine lowers it.
const COMPARED: [(Metric, &str, f64, bool); 6] = [
    (Metric::CpuMs, "CPU", 0.03, true),
    (Metric::Instructions, "instructions", 0.01, false),
    (Metric::PeakKib, "peak memory", 0.05, false),
    (Metric::P50Us, "p50", 0.10, false),
    (Metric::P99Us, "p99", 0.20, false),
    (Metric::FirstCommitMs, "first commit", 0.10, false),
];

/// How one metric of one peer has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Slower,
    Faster,
    WithinNoise,
    /// Too few rounds to tell.
    Unknown,
}

/// What a comparison has found.
pub(crate) struct Comparison {
    pub(crate) text: String,
    pub(crate) regressions: usize,
}

/// Compares `after` with `before`.
pub(crate) fn compare(before: &Kept, after: &Kept) -> Comparison {
    let mut found = Comparison { text: String::new(), regressions: 0 };
    let machine = machine_ratio(&before.sheet, &after.sheet);
    let mut compared = 0;
    for case in after.sheet.cases() {
        for peer in after.sheet.peers(&case) {
            compared += of_peer(before, after, &case, &peer, machine, &mut found);
        }
    }
    if compared == 0 {
        found.text.push_str("the runs have nothing in common that could be compared\n");
    }
    if before.about.machine != after.about.machine {
        let _ = writeln!(
            found.text,
            "they were made on different machines: {} and {}",
            before.about.machine, after.about.machine
        );
    }
    for (name, kept) in [("before", before), ("after", after)] {
        for warning in trust::warnings(&kept.sheet, kept.about.is_debug) {
            let _ = writeln!(found.text, "{name} is not to be trusted too far: {warning}");
        }
    }
    found
}

/// How much slower the machine was in the second run; none if one of them was not calibrated.
fn machine_ratio(before: &Sheet, after: &Sheet) -> Option<f64> {
    let median = |sheet: &Sheet| Some(Spread::of(&sheet.all(Metric::CalibrationUs))?.median);
    Some(median(after)? / median(before)?.max(1.0))
}

/// How many metrics both runs have.
fn of_peer(
    before: &Kept,
    after: &Kept,
    case: &Case,
    peer: &str,
    machine: Option<f64>,
    found: &mut Comparison,
) -> usize {
    let mut compared = 0;
    for (metric, name, floor, by_machine) in COMPARED {
        let spread = |kept: &Kept| Spread::of(&kept.sheet.values(case, peer, metric));
        let (Some(first), Some(second)) = (spread(before), spread(after)) else { continue };
        compared += 1;
        let change = judge(&first, &second, floor, machine.filter(|_| by_machine));
        let word = match change {
            Change::Slower => "WORSE",
            Change::Faster => "better",
            Change::WithinNoise => "the same within the noise",
            Change::Unknown => "too few rounds to tell",
        };
        let _ = writeln!(
            found.text,
            "{}: {peer}: {name} {:+.1} % (noise {:.1} %): {word}",
            case.title(),
            (second.median / first.median.max(f64::MIN_POSITIVE) - 1.0) * 100.0,
            noise(&first, &second) * 100.0
        );
        found.regressions += usize::from(change == Change::Slower);
    }
    let faults = |kept: &Kept| -> u64 {
        let sum = |metric| kept.sheet.values(case, peer, metric).iter().sum::<u64>();
        sum(Metric::Missing) + sum(Metric::Pending) + sum(Metric::Doubled) + sum(Metric::Wrong)
    };
    if compared > 0 && faults(before) == 0 && faults(after) > 0 {
        let _ = writeln!(found.text, "{}: {peer}: its results are no longer exact: WORSE", case.title());
        found.regressions += 1;
    }
    compared
}

fn noise(first: &Spread, second: &Spread) -> f64 {
    2.0 * (first.noise() + second.noise())
}

fn judge(first: &Spread, second: &Spread, floor: f64, machine: Option<f64>) -> Change {
    if first.count < ENOUGH_ROUNDS || second.count < ENOUGH_ROUNDS {
        return Change::Unknown;
    }
    let allowed = 1.0 + noise(first, second).max(floor);
    let ratio = second.median / first.median.max(f64::MIN_POSITIVE);
    let adjusted = ratio / machine.unwrap_or(1.0).max(f64::MIN_POSITIVE);
    if ratio.min(adjusted) > allowed {
        Change::Slower
    } else if ratio.max(adjusted) < 1.0 / allowed {
        Change::Faster
    } else {
        Change::WithinNoise
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_folder::About;

    fn kept(cpu_ms: &[u64], calibration_us: u64, missing: u64) -> Kept {
        let case = Case::of_a_test(5);
        let mut sheet = Sheet::default();
        for (round, cpu_ms) in (1..).zip(cpu_ms) {
            let values = [
                (Metric::CpuMs, *cpu_ms),
                (Metric::CalibrationUs, calibration_us),
                (Metric::Due, 10),
                (Metric::Missing, missing),
            ];
            sheet.add(&case, "tidegate", round, &values);
        }
        Kept { sheet, about: About { machine: "one".to_owned(), ..About::default() } }
    }

    fn regressions(before: &Kept, after: &Kept) -> usize {
        compare(before, after).regressions
    }

    #[test]
    fn slower_beyond_the_noise_is_a_regression_and_nothing_less() {
        let before = kept(&[1_000, 1_010, 990], 100, 0);
        assert_eq!(regressions(&before, &before), 0);
        assert_eq!(regressions(&before, &kept(&[1_020, 1_010, 1_030], 100, 0)), 0, "2 % are no difference");
        assert_eq!(regressions(&before, &kept(&[1_060, 1_050, 1_070], 100, 0)), 1);
        assert_eq!(regressions(&before, &kept(&[900, 1_060, 1_500], 100, 0)), 0, "they lie too far apart");
        assert_eq!(regressions(&before, &kept(&[1_500, 1_500], 100, 0)), 0, "two rounds tell nothing");
        let faster = compare(&before, &kept(&[900, 900, 900], 100, 0));
        assert!(faster.regressions == 0 && faster.text.contains("better"), "{}", faster.text);
    }

    #[test]
    fn a_machine_that_was_slower_makes_no_regression() {
        let before = kept(&[1_000, 1_000, 1_000], 100, 0);
        let slower = kept(&[1_200, 1_200, 1_200], 120, 0);
        assert_eq!(regressions(&before, &slower), 0);
        let disturbed = kept(&[1_000, 1_000, 1_000], 80, 0);
        assert_eq!(regressions(&before, &disturbed), 0, "the calibration alone proves nothing");
        assert_eq!(regressions(&before, &kept(&[1_500, 1_500, 1_500], 120, 0)), 1);
    }

    #[test]
    fn results_that_are_no_longer_exact_are_a_regression_however_fast() {
        let before = kept(&[1_000, 1_000, 1_000], 100, 0);
        let after = compare(&before, &kept(&[500, 500, 500], 100, 1));
        assert!(after.regressions == 1 && after.text.contains("no longer exact"), "{}", after.text);
    }

    #[test]
    fn runs_of_other_things_are_not_compared() {
        let before = kept(&[1_000, 1_000, 1_000], 100, 0);
        let mut other = before.clone();
        other.sheet.rows.iter_mut().for_each(|row| row.keys = 3);
        let found = compare(&before, &other);
        assert!(found.regressions == 0 && found.text.contains("nothing in common"), "{}", found.text);
    }
}
