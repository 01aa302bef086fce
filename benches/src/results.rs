//! The check: every committed result against a recomputation. A fast wrong answer is no answer.
//!
//! The recomputation shares no code with the engine: event time rises by 1 ms per record, so that a window's records are those of a
//! stretch of numbers, and a window is added up from them when its results are looked at. Nothing but the results is held.

use std::collections::HashMap;

use anyhow::{Result, bail};
use tidegate_runtime::log::partition_for;

use crate::input::{
    OVER_THE_LIMIT_EVERY, START_MS, WINDOW_MS, amount_of, customer, customer_of, owner, plate, time_of,
};
use crate::sheet::Metric;
use crate::work::{Job, Work};

/// One result as it stands in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Found {
    /// A window's count and sum.
    Total { window: u64, customer: u64, count: i64, amount: i64 },
    /// The infraction of a reading, whose number its time gives; `right` if plate and owner are those of that number.
    Infraction { number: u64, right: bool },
    /// Something else: what cannot be understood is wrong.
    Stray,
}

/// How the results stand to the recomputation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// How many results there must be.
    pub(crate) due: u64,
    /// Due and not there, though a later window of the same partition is: lost.
    pub(crate) missing: u64,
    /// Due and not there, as nothing later of the same partition is: perhaps the next record brings it.
    pub(crate) pending: u64,
    /// There more than once.
    pub(crate) doubled: u64,
    /// With another value, or not due at all.
    pub(crate) wrong: u64,
}

impl Verdict {
    /// As rows of a sheet.
    pub(crate) fn values(&self) -> [(Metric, u64); 5] {
        [
            (Metric::Due, self.due),
            (Metric::Missing, self.missing),
            (Metric::Pending, self.pending),
            (Metric::Doubled, self.doubled),
            (Metric::Wrong, self.wrong),
        ]
    }
}

/// What the input's end has closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// Every window: the job was told to go to the end and close.
    All,
    /// In each partition, the windows whose end the greatest event time has reached.
    Passed,
}

/// Makes a result of a count and a sum; a window start that is none of the input's is a stray.
pub(crate) fn total(window_start: i64, customer_id: &str, count: i64, amount: i64) -> Found {
    let window = u64::try_from(window_start - START_MS).ok();
    let number = customer_id.strip_prefix('C').and_then(|digits| digits.parse::<u64>().ok());
    match (window, number.filter(|number| customer(*number) == customer_id)) {
        (Some(since), Some(customer)) if since % WINDOW_MS.unsigned_abs() == 0 => {
            Found::Total { window: since / WINDOW_MS.unsigned_abs(), customer, count, amount }
        }
        _ => Found::Stray,
    }
}

/// Makes a result of an infraction.
pub(crate) fn infraction(work: &Work, plate_found: &str, measured_at: i64, owner_found: &str) -> Found {
    let number = u64::try_from(measured_at - START_MS);
    let Some(number) = number.ok().filter(|number| *number < work.records) else { return Found::Stray };
    let vehicle = customer_of(work, number);
    Found::Infraction { number, right: plate(vehicle) == plate_found && owner(vehicle) == owner_found }
}

/// Compares; `found` may be in any order.
pub(crate) fn judge(work: &Work, closed: Closed, mut found: Vec<Found>) -> Result<Verdict> {
    if work.records == 0 || work.keys == 0 {
        bail!("there is nothing to compare with: `{work}` has no records or no keys");
    }
    found.sort_unstable();
    Ok(match work.job {
        Job::Totals => judge_totals(work, closed, &found),
        Job::Speeding => judge_infractions(work, &found),
    })
}

fn judge_totals(work: &Work, closed: Closed, found: &[Found]) -> Verdict {
    let partitions: Vec<u32> =
        (0..work.keys).map(|key| partition_for(customer(key).as_bytes(), work.partitions)).collect();
    let partition_of = |key: u64| partitions[usize::try_from(key).unwrap_or(usize::MAX)];
    let ends = greatest_times(work, partition_of);
    let newest = newest_windows(work, found, partition_of);
    let mut verdict = Verdict::default();
    let mut rest = found;
    let windows = work.records.div_ceil(WINDOW_MS.unsigned_abs());
    for window in 0..windows {
        let in_window = |result: &Found| matches!(result, Found::Total { window: of, .. } if *of == window);
        let (results, behind) = rest.split_at(rest.iter().take_while(|result| in_window(result)).count());
        rest = behind;
        let is_due = |customer: u64| {
            closed == Closed::All
                || ends[partition_of(customer) as usize].is_some_and(|end| end >= window_end_ms(window))
        };
        let is_passed = |customer: u64| newest[partition_of(customer) as usize] > Some(window);
        judge_window(add_up(work, window), results, is_due, is_passed, &mut verdict);
    }
    verdict.wrong += rest.len() as u64;
    verdict
}

fn window_end_ms(window: u64) -> i64 {
    time_of((window + 1) * WINDOW_MS.unsigned_abs())
}

/// The greatest event time in each partition; none where no record goes.
fn greatest_times(work: &Work, partition_of: impl Fn(u64) -> u32) -> Vec<Option<i64>> {
    let mut times = vec![None; work.partitions as usize];
    let mut open = times.len();
    for number in (0..work.records).rev() {
        let of = &mut times[partition_of(customer_of(work, number)) as usize];
        if of.is_none() {
            *of = Some(time_of(number));
            open -= 1;
        }
        if open == 0 {
            break;
        }
    }
    times
}

/// Count and sum of every customer in a window, and whether its result has been seen.
fn add_up(work: &Work, window: u64) -> HashMap<u64, (i64, i64)> {
    let length = WINDOW_MS.unsigned_abs();
    let mut totals: HashMap<u64, (i64, i64)> = HashMap::new();
    for number in window * length..((window + 1) * length).min(work.records) {
        let total = totals.entry(customer_of(work, number)).or_default();
        *total = (total.0 + 1, total.1 + amount_of(number));
    }
    totals
}

/// Takes the results of a window off what it must have.
fn judge_window(
    mut totals: HashMap<u64, (i64, i64)>,
    results: &[Found],
    is_due: impl Fn(u64) -> bool,
    is_passed: impl Fn(u64) -> bool,
    verdict: &mut Verdict,
) {
    totals.retain(|customer, _| is_due(*customer));
    verdict.due += totals.len() as u64;
    let mut last = None;
    for result in results {
        let Found::Total { customer, count, amount, .. } = *result else { continue };
        if last == Some(customer) {
            verdict.doubled += 1;
        } else if totals.remove(&customer) != Some((count, amount)) {
            // A wrong result is not missing as well.
            verdict.wrong += 1;
        }
        last = Some(customer);
    }
    for customer in totals.keys() {
        *(if is_passed(*customer) { &mut verdict.missing } else { &mut verdict.pending }) += 1;
    }
}

/// The newest window that has results, in each partition.
fn newest_windows(work: &Work, found: &[Found], partition_of: impl Fn(u64) -> u32) -> Vec<Option<u64>> {
    let mut newest = vec![None; work.partitions as usize];
    for result in found {
        if let Found::Total { window, customer, .. } = *result
            && customer < work.keys
        {
            let of = &mut newest[partition_of(customer) as usize];
            *of = (*of).max(Some(window));
        }
    }
    newest
}

fn judge_infractions(work: &Work, found: &[Found]) -> Verdict {
    let due = work.records.div_ceil(OVER_THE_LIMIT_EVERY);
    let mut verdict = Verdict { due, missing: due, ..Verdict::default() };
    let mut last = None;
    for result in found {
        let (number, right) = match *result {
            Found::Infraction { number, right } => (number, right),
            _ => {
                verdict.wrong += 1;
                continue;
            }
        };
        let is_due = number % OVER_THE_LIMIT_EVERY == 0;
        if last == Some(number) {
            verdict.doubled += 1;
        } else {
            verdict.missing -= u64::from(is_due);
            verdict.wrong += u64::from(!right || !is_due);
        }
        last = Some(number);
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: Work = Work { job: Job::Totals, records: 12_000, keys: 7, partitions: 3 };

    fn exact(due: u64) -> Verdict {
        Verdict { due, ..Verdict::default() }
    }

    /// What must come out, added up another way than `judge` does it.
    fn all() -> Vec<Found> {
        let mut totals: std::collections::BTreeMap<(i64, String), (i64, i64)> = Default::default();
        for number in 0..WORK.records {
            let at = time_of(number);
            let of = (at - at.rem_euclid(WINDOW_MS), customer(customer_of(&WORK, number)));
            let total = totals.entry(of).or_default();
            *total = (total.0 + 1, total.1 + amount_of(number));
        }
        totals.iter().map(|((start, who), sums)| total(*start, who, sums.0, sums.1)).collect()
    }

    fn judged(closed: Closed, found: Vec<Found>) -> Verdict {
        judge(&WORK, closed, found).unwrap()
    }

    #[test]
    fn everything_is_exact_whatever_the_order() {
        let mut found = all();
        found.reverse();
        assert_eq!(judged(Closed::All, found), exact(21));
    }

    #[test]
    fn the_last_window_is_not_due_while_nothing_has_passed_it() {
        let early = all();
        let passed: Vec<Found> =
            early.iter().copied().filter(|one| matches!(one, Found::Total { window: 0 | 1, .. })).collect();
        assert_eq!(judged(Closed::Passed, passed), exact(14));
        assert_eq!(judged(Closed::Passed, early).wrong, 7, "windows that nothing has closed");
    }

    #[test]
    fn what_is_missing_doubled_or_wrong_is_counted_apart() {
        let mut found = all();
        let Found::Total { window, customer, count, amount } = found[3] else { unreachable!() };
        found[3] = Found::Total { window, customer, count, amount: amount + 1 };
        found.push(found[5]);
        found.remove(9);
        found.push(Found::Total { window: 0, customer: 99, count: 1, amount: 1 });
        found.push(total(START_MS + 1, "C000001", 1, 1));
        let verdict = judged(Closed::All, found);
        assert_eq!(verdict, Verdict { due: 21, missing: 1, pending: 0, doubled: 1, wrong: 3 });
        assert_eq!(judged(Closed::All, Vec::new()).pending, 21);
    }

    #[test]
    fn what_the_next_record_may_bring_is_not_lost() {
        let of =
            |window: u64| move |one: &Found| matches!(one, Found::Total { window: of, .. } if *of == window);
        let without = |window: u64| {
            let found: Vec<Found> = all().into_iter().filter(|one| !of(window)(one)).collect();
            let verdict = judged(Closed::All, found);
            (verdict.missing, verdict.pending)
        };
        assert_eq!((without(0), without(1), without(2)), ((7, 0), (7, 0), (0, 7)));
    }

    #[test]
    fn infractions_are_told_by_the_reading_they_are_of() {
        let work = Work { job: Job::Speeding, records: 25, keys: 5, partitions: 3 };
        let right = |number: u64| {
            let vehicle = customer_of(&work, number);
            infraction(&work, &plate(vehicle), time_of(number), &owner(vehicle))
        };
        let judged = |found: Vec<Found>| judge(&work, Closed::Passed, found).unwrap();
        assert_eq!(judged(vec![right(20), right(0), right(10)]), exact(3));
        let somebody_else = infraction(&work, &plate(customer_of(&work, 10)), time_of(10), "owner-x");
        let found = vec![right(0), right(0), somebody_else, right(11), infraction(&work, "V", 0, "o")];
        assert_eq!(judged(found), Verdict { due: 3, missing: 1, pending: 0, doubled: 1, wrong: 3 });
    }
}
