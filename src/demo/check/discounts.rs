//! The discounts, worked out again from the invoices topic: one for each different invoice of the business day.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use rusqlite::Connection;
use tidegate_schemas::Invoice;

use super::super::input::DATE;
use super::super::place::Place;
use super::Check;
use super::files;
use super::topics::Seen;

/// 2024-03-04 in London, where winter time is UTC: [`DATE`], without the batch's own calendar.
const DAY_MS: std::ops::Range<i64> = 1_709_510_400_000..1_709_596_800_000;

/// What is taken off, in percent.
const PERCENT: i64 = 30;

/// Amount, discount, remainder.
type Amounts = (i64, i64, i64);

/// What there should be, by invoice.
type Discounts = BTreeMap<String, Amounts>;

/// Compares the output store and its CSV file with the invoices.
pub(super) fn check(place: &Place, invoices: &[Seen<Invoice>]) -> Result<Vec<Check>> {
    let path = place.discounts();
    let store = files::open(&path)?;
    let found = stored(&store).with_context(|| format!("could not read `{}`", path.display()))?;
    let exported = files::rows(&place.discounts_csv())?;
    Ok(compare(&found, exported, &recompute(invoices)))
}

fn compare(found: &[(String, Amounts)], exported: u64, expected: &Discounts) -> Vec<Check> {
    let wrong = found.iter().filter(|(invoice, amounts)| expected.get(invoice) != Some(amounts)).count();
    let what = if wrong == 0 && found.len() == expected.len() {
        Check::new(true, format!("each of {} discounts of {PERCENT} %, recomputed", found.len()))
    } else {
        Check::new(false, format!("discounts of {PERCENT} %: {wrong} of {} are wrong", found.len()))
    };
    let rows = format!("different invoices of {DATE}, and discounts in SQLite and CSV");
    let counts = |store: usize, file: u64| format!("{store}, {file}");
    let is = counts(found.len(), exported);
    vec![Check::equal(rows, &is, &counts(expected.len(), expected.len() as u64)), what]
}

fn recompute(invoices: &[Seen<Invoice>]) -> Discounts {
    let of_day = invoices.iter().filter_map(|seen| seen.twin.as_ref());
    let of_day = of_day.filter(|invoice| DAY_MS.contains(&invoice.issued_at));
    // The same invoice again says the same: which one stays makes no difference.
    of_day.map(|invoice| (invoice.invoice_id.clone(), taken_off(invoice.amount_minor))).collect()
}

/// To the nearest cent, a half away from zero.
fn taken_off(amount_minor: i64) -> Amounts {
    let hundredths = amount_minor.abs() * PERCENT;
    let discount = (hundredths / 100 + i64::from(hundredths % 100 >= 50)) * amount_minor.signum();
    (amount_minor, discount, amount_minor - discount)
}

fn stored(store: &Connection) -> rusqlite::Result<Vec<(String, Amounts)>> {
    let mut statement =
        store.prepare("SELECT invoice_id, amount_minor, discount_minor, remaining_minor FROM discounts")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?))))?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> Discounts {
        [("1", 1_000), ("2", 5), ("C3", -5)]
            .map(|(invoice, amount)| (invoice.to_owned(), taken_off(amount)))
            .into()
    }

    fn outcome(found: &[(String, Amounts)], exported: u64) -> Vec<bool> {
        compare(found, exported, &expected()).iter().map(|check| check.ok).collect()
    }

    #[test]
    fn a_half_goes_away_from_zero() {
        assert_eq!(taken_off(5), (5, 2, 3));
        assert_eq!(taken_off(-5), (-5, -2, -3));
        assert_eq!(taken_off(1), (1, 0, 1));
    }

    #[test]
    fn a_missing_a_doubled_and_a_wrong_discount_are_found() {
        let right: Vec<_> = expected().into_iter().collect();
        assert_eq!(outcome(&right, 3), [true, true]);
        assert_eq!(outcome(&right, 2), [false, true]);
        assert_eq!(outcome(&right[..2], 3), [false, false]);
        let doubled = [right.clone(), right[..1].to_vec()].concat();
        assert_eq!(outcome(&doubled, 3), [false, false]);
        let mut wrong = right;
        wrong[0].1.1 += 1;
        assert_eq!(outcome(&wrong, 3), [true, false]);
    }

    #[test]
    fn a_doubled_invoice_and_one_of_another_day_count_once_and_not_at_all() {
        let invoice = |id: &str, issued_at: i64| {
            let twin = Invoice {
                invoice_id: id.into(),
                customer_id: "a".into(),
                issued_at,
                amount_minor: 100,
                currency: "EUR".into(),
                lines: Vec::new(),
            };
            Seen { twin: Some(twin), key: b"a".to_vec() }
        };
        let (start, end) = (DAY_MS.start, DAY_MS.end);
        let invoices = [
            invoice("1", start),
            invoice("1", start),
            invoice("2", end),
            invoice("3", start - 1),
            invoice("4", end - 1),
        ];
        assert_eq!(recompute(&invoices).into_keys().collect::<Vec<_>>(), ["1", "4"]);
    }
}
