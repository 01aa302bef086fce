//! When a number should not be trusted. Said by the harness itself, under the table and in the README of a run.

use crate::sheet::{Metric, Sheet};
use crate::stats::Spread;

/// Rounds from which quartiles mean something.
pub(crate) const ENOUGH_ROUNDS: usize = 3;
/// How far the CPU seconds of one peer may lie apart.
const SPREAD: f64 = 0.15;
/// How far the calibration may.
const CALIBRATION_SPREAD: f64 = 0.15;
/// How busy others may keep the machine, in thousandths.
const BUSY: f64 = 150.0;
/// How much the hypervisor may keep for itself, in thousandths.
const STEAL: f64 = 20.0;

/// Every reason to doubt, in sentences.
pub(crate) fn warnings(sheet: &Sheet, is_debug: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    if is_debug {
        warnings.push("this is a debug build: build with --release".to_owned());
    }
    for case in sheet.cases() {
        for peer in sheet.peers(&case) {
            let Some(cpu) = Spread::of(&sheet.values(&case, &peer, Metric::CpuMs)) else { continue };
            if cpu.count < ENOUGH_ROUNDS {
                warnings.push(format!(
                    "{}: {peer} was measured {} times: give --runs {ENOUGH_ROUNDS} or more",
                    case.title(),
                    cpu.count
                ));
            } else if cpu.range() > SPREAD {
                warnings.push(format!(
                    "{}: the CPU seconds of {peer} lie {:.0} % apart, from {:.2} to {:.2}",
                    case.title(),
                    cpu.range() * 100.0,
                    cpu.least / 1e3,
                    cpu.most / 1e3
                ));
            }
        }
    }
    if let Some(busy) = Spread::of(&sheet.all(Metric::BusyBefore)).filter(|busy| busy.median > BUSY) {
        warnings.push(format!(
            "others kept the machine {:.0} % busy before the measurements: measure when it is quiet",
            busy.median / 10.0
        ));
    }
    if let Some(steal) = Spread::of(&sheet.all(Metric::Steal)).filter(|steal| steal.most > STEAL) {
        warnings.push(format!(
            "the hypervisor kept up to {:.0} % of a measurement's time from this machine",
            steal.most / 10.0
        ));
    }
    let calibration = Spread::of(&sheet.all(Metric::CalibrationUs));
    if let Some(calibration) = calibration.filter(|spread| spread.range() > CALIBRATION_SPREAD) {
        warnings.push(format!(
            "the machine's own speed changed: a fixed piece of work took {:.1} to {:.1} ms",
            calibration.least / 1e3,
            calibration.most / 1e3
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Case;

    fn sheet(rounds: &[[(Metric, u64); 4]]) -> Sheet {
        let case = Case::of_a_test(10);
        let mut sheet = Sheet::default();
        for (round, values) in (1..).zip(rounds) {
            sheet.add(&case, "tidegate", round, values);
        }
        sheet
    }

    fn calm(cpu_ms: u64) -> [(Metric, u64); 4] {
        [
            (Metric::CpuMs, cpu_ms),
            (Metric::BusyBefore, 20),
            (Metric::Steal, 0),
            (Metric::CalibrationUs, 9_000),
        ]
    }

    #[test]
    fn a_calm_run_is_trusted() {
        assert_eq!(warnings(&sheet(&[calm(1_000), calm(1_050), calm(990)]), false), [""; 0]);
    }

    #[test]
    fn every_doubt_is_told_by_its_reason() {
        let said = |rounds: &[[(Metric, u64); 4]], debug: bool| warnings(&sheet(rounds), debug).join("\n");
        let calm = calm(1_000);
        assert!(said(&[calm; 3], true).contains("debug build"));
        assert!(said(&[calm; 2], false).contains("measured 2 times"));
        let with = |index: usize, value: u64| {
            let mut other = calm;
            other[index].1 = value;
            other
        };
        assert!(said(&[calm, calm, with(0, 1_200)], false).contains("20 % apart, from 1.00 to 1.20"));
        assert!(said(&[with(1, 400); 3], false).contains("40 % busy"));
        assert!(said(&[calm, calm, with(2, 30)], false).contains("up to 3 %"));
        assert!(said(&[calm, calm, with(3, 12_000)], false).contains("9.0 to 12.0 ms"));
    }
}
