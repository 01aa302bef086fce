//! The totals, added up again: every invoice into the window it belongs to, in a plain map.
//!
//! The only time there is, is the latest event time of the partition so far: it says which invoice came too late. Nothing in
//! here closes a window.

use std::collections::BTreeMap;
use std::fmt;

use tidegate_schemas::{CustomerTotal, Invoice};

use super::super::stages::{GRACE_MS, WINDOW_MS};
use super::Check;
use super::topics::Seen;

/// Customer, currency and start of a window.
type Place = (String, String, i64);

/// What a window comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Total {
    count: i64,
    amount_minor: i64,
}

/// Where all invoices went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fates {
    counted: u64,
    late: u64,
    dead_letters: u64,
}

impl fmt::Display for Fates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fates { counted, late, dead_letters } = self;
        write!(f, "{counted} in totals + {late} late + {dead_letters} dead-lettered")
    }
}

/// Compares the totals with what they should be. `invoices` are those of each partition, in order; `late` and `dead_letters` are
/// how many of them were put aside.
pub(super) fn check(
    invoices: &[Vec<Seen<Invoice>>],
    totals: &[Seen<CustomerTotal>],
    late: u64,
    dead_letters: u64,
) -> Vec<Check> {
    let incoming: u64 = invoices.iter().map(|partition| partition.len() as u64).sum();
    let twins: Vec<&CustomerTotal> = totals.iter().filter_map(|seen| seen.twin.as_ref()).collect();
    let counted = twins.iter().map(|total| total.count.unsigned_abs()).sum();
    let reported = Fates { counted, late, dead_letters };
    let accounted = incoming == reported.counted + late + dead_letters;
    let sign = if accounted { "=" } else { "are not" };
    let (expected, windows) = recompute(invoices);
    vec![
        Check::new(accounted, format!("{incoming} invoices {sign} {reported}")),
        Check::equal("the same numbers, recomputed", &reported.to_string(), &expected.to_string()),
        compare(&twins, totals.len(), &windows),
    ]
}

fn recompute(invoices: &[Vec<Seen<Invoice>>]) -> (Fates, BTreeMap<Place, Total>) {
    let (mut fates, mut windows) = (Fates::default(), BTreeMap::<Place, Total>::new());
    for partition in invoices {
        let mut now = i64::MIN;
        for seen in partition {
            let sound = |invoice: &&Invoice| invoice.customer_id.as_bytes() == seen.key;
            let Some(invoice) = seen.twin.as_ref().filter(sound) else {
                fates.dead_letters += 1;
                continue;
            };
            now = now.max(invoice.issued_at);
            let start = invoice.issued_at - invoice.issued_at.rem_euclid(WINDOW_MS);
            if start + WINDOW_MS + GRACE_MS <= now {
                fates.late += 1;
                continue;
            }
            fates.counted += 1;
            let place = (invoice.customer_id.clone(), invoice.currency.clone(), start);
            let total = windows.entry(place).or_default();
            total.count += 1;
            total.amount_minor += invoice.amount_minor;
        }
    }
    (fates, windows)
}

/// Each window once, each with its total.
fn compare(found: &[&CustomerTotal], records: usize, expected: &BTreeMap<Place, Total>) -> Check {
    let mut left = expected.clone();
    let mut wrong = records - found.len();
    for total in found {
        let place = (total.customer_id.clone(), total.currency.clone(), total.window_start);
        let same = Total { count: total.count, amount_minor: total.amount_minor };
        // Taken out of what is left, so that a window that comes twice is wrong the second time.
        let right = left.remove(&place) == Some(same) && total.window_end == total.window_start + WINDOW_MS;
        wrong += usize::from(!right);
    }
    let amount_minor: i64 = expected.values().map(|total| total.amount_minor).sum();
    let sum = format!("{} totals over {amount_minor} cents", expected.len());
    if wrong == 0 && left.is_empty() {
        return Check::new(true, format!("each of {sum}, recomputed from the invoices"));
    }
    Check::new(
        false,
        format!(
            "{sum} recomputed: {} missing, {wrong} of {records} in the topic wrong or doubled",
            left.len()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_MS: i64 = 1_709_542_800_000;

    fn invoice(customer: &str, after_ms: i64, amount_minor: i64) -> Seen<Invoice> {
        let twin = Invoice {
            invoice_id: format!("{customer}-{after_ms}"),
            customer_id: customer.into(),
            issued_at: START_MS + after_ms,
            amount_minor,
            currency: "EUR".into(),
            lines: Vec::new(),
        };
        Seen { twin: Some(twin), key: customer.as_bytes().to_vec() }
    }

    fn total(customer: &str, start_ms: i64, count: i64, amount_minor: i64) -> Seen<CustomerTotal> {
        let twin = CustomerTotal {
            customer_id: customer.into(),
            currency: "EUR".into(),
            window_start: START_MS + start_ms,
            window_end: START_MS + start_ms + WINDOW_MS,
            count,
            amount_minor,
        };
        Seen { twin: Some(twin), key: customer.as_bytes().to_vec() }
    }

    /// Eight invoices: five in three windows, one too late by nothing, one that cannot be read, one under another's key.
    fn invoices() -> Vec<Vec<Seen<Invoice>>> {
        let stray = Seen { key: b"b".to_vec(), ..invoice("a", 1, 1) };
        vec![
            vec![
                invoice("a", 0, 100),
                invoice("a", 4_999, -30),
                Seen { twin: None, key: b"a".to_vec() },
                stray,
                invoice("a", 9_999, 5),
                invoice("a", 1_000, 7),
                invoice("a", 10_000, 9),
                invoice("a", 4_999, 1),
            ],
            vec![invoice("b", 0, 50)],
        ]
    }

    fn right() -> Vec<Seen<CustomerTotal>> {
        vec![total("a", 0, 3, 77), total("a", 5_000, 1, 5), total("a", 10_000, 1, 9), total("b", 0, 1, 50)]
    }

    fn outcome(totals: &[Seen<CustomerTotal>], late: u64, dead_letters: u64) -> Vec<bool> {
        check(&invoices(), totals, late, dead_letters).iter().map(|check| check.ok).collect()
    }

    #[test]
    fn what_is_right_passes() {
        assert_eq!(outcome(&right(), 1, 2), [true; 3]);
    }

    #[test]
    fn a_missing_and_a_doubled_total_are_found() {
        assert_eq!(outcome(&right()[1..], 1, 2), [false; 3]);
        let doubled = [right(), right()[3..].to_vec()].concat();
        assert_eq!(outcome(&doubled, 1, 2), [false; 3]);
    }

    #[test]
    fn an_amount_off_by_a_cent_is_found() {
        let mut totals = right();
        totals[0].twin.as_mut().unwrap().amount_minor += 1;
        assert_eq!(outcome(&totals, 1, 2), [true, true, false]);
    }

    #[test]
    fn a_late_invoice_that_went_nowhere_is_found() {
        assert_eq!(outcome(&right(), 0, 2), [false, false, true]);
        assert_eq!(outcome(&right(), 0, 3), [true, false, true]);
    }

    #[test]
    fn a_total_nobody_can_read_is_found() {
        let mut totals = right();
        totals.push(Seen { twin: None, key: Vec::new() });
        assert_eq!(outcome(&totals, 1, 2), [true, true, false]);
    }
}
