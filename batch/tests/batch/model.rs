//! Does it agree with a slow, obvious model on random stores?

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;
use tidegate_batch::Invoice;

use crate::world::{DAY_MS, ResultRow, World, invoice, run};

const HOUR_MS: i64 = 3_600_000;

/// Few numbers, so that doubles are frequent; times around both ends of the day.
fn invoices() -> impl Strategy<Value = Vec<Invoice>> {
    let one =
        (0..40_u8, -2_000..2_000_i64, prop_oneof![-2..2_i64, 22..26_i64, 0..24_i64], 0..HOUR_MS, 0..4_i64);
    proptest::collection::vec(one, 0..60).prop_map(|rows| {
        let mut invoices = Vec::new();
        for (offset, (number, amount_minor, hour, ms, source_partition)) in (0..).zip(rows) {
            let at_midnight = invoice(&number.to_string(), amount_minor, 0, offset);
            let issued_at = DAY_MS + hour * HOUR_MS + ms;
            invoices.push(Invoice { issued_at, source_partition, ..at_midnight });
        }
        invoices
    })
}

/// What must come out: of each number's records of the day the lowest one, and the nearest integer found by trying.
fn model(invoices: &[Invoice], hundredths: i64) -> Vec<ResultRow> {
    let mut lowest: BTreeMap<String, &Invoice> = BTreeMap::new();
    for invoice in invoices {
        if !(DAY_MS..DAY_MS + 24 * HOUR_MS).contains(&invoice.issued_at) {
            continue;
        }
        let best = lowest.entry(invoice.invoice_id.clone()).or_insert(invoice);
        if (invoice.source_partition, invoice.source_offset) < (best.source_partition, best.source_offset) {
            *best = invoice;
        }
    }
    let row = |(id, invoice): (String, &Invoice)| {
        let amount = invoice.amount_minor;
        // In ten-thousandths; the furthest from zero wins among the nearest.
        let distance = |candidate: &i64| ((candidate * 10_000 - amount * hundredths).abs(), -candidate.abs());
        let discount = (-amount.abs()..=amount.abs()).min_by_key(distance).unwrap();
        (id, format_hundredths(hundredths), amount, discount, amount - discount, invoice.source_offset)
    };
    lowest.into_iter().map(row).collect()
}

fn format_hundredths(hundredths: i64) -> String {
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

proptest! {
    // Each case writes two stores: few cases, but of many rows each.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_store_any_chunks_and_any_kills_give_what_the_model_gives(
        invoices in invoices(),
        hundredths in 0..=10_000_i64,
        chunk in 1..20_usize,
        kills in proptest::collection::vec(1..6_u64, 0..4),
    ) {
        let world = World::new(&invoices);
        let job = world.job("2010-12-01", &format_hundredths(hundredths), chunk);
        for kill in kills {
            let killed = AssertUnwindSafe(|| {
                job.run(&mut || 0, &mut |counts| {
                    if counts.chunks == kill {
                        std::panic::resume_unwind(Box::new("killed")); // without a message on the terminal
                    }
                })
            });
            let _ = catch_unwind(killed);
        }
        let summary = run(&job).unwrap();
        let expected = model(&invoices, hundredths);
        let counts = summary.counts;
        prop_assert_eq!(counts.discounted + counts.discounted_before, expected.len() as u64);
        prop_assert_eq!(counts.read, counts.discounted + counts.discounted_before + counts.doubled);
        let remaining = expected.iter().map(|row| i128::from(row.4)).sum::<i128>();
        prop_assert_eq!(summary.totals.iter().map(|totals| totals.remaining_minor).sum::<i128>(), remaining);
        prop_assert_eq!(world.results(), expected);
    }
}
