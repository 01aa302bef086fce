//! Does it agree with a slow, obvious model on random stores, with days run in any order, again, killed and with what came late?

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;
use tidegate_batch::{Counts, Event, Invoice};

use crate::world::{DAY_MS, ResultRow, World, invoice, run};

const HOUR_MS: i64 = 3_600_000;
/// Days and their percentages, in hundredths.
const DAYS: [(&str, i64); 3] = [("2010-12-01", 3_000), ("2010-12-02", 1_250), ("2010-12-03", 3_333)];

/// Customer, time, amount, currency.
type Content = (String, i64, i64, String);

/// What happens to a pair of stores.
#[derive(Clone, Debug)]
enum Step {
    /// The sink writes so many more records.
    Arrive(usize),
    /// A day is run in chunks of this size, and killed after so many of them, if there are as many.
    Run { day: usize, chunk: usize, kill: Option<u64> },
    /// A day is run with another percentage.
    Mistake(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let run = (0..DAYS.len(), 1..12_usize, proptest::option::of(1..4_u64));
    let step = prop_oneof![
        2 => (1..25_usize).prop_map(Step::Arrive),
        4 => run.prop_map(|(day, chunk, kill)| Step::Run { day, chunk, kill }),
        1 => (0..DAYS.len()).prop_map(Step::Mistake),
    ];
    proptest::collection::vec(step, 1..14)
}

/// Few numbers and few contents, so that doubles and conflicts are frequent; times around the ends of the days. Number 0 is empty.
fn invoices() -> impl Strategy<Value = Vec<Invoice>> {
    let content = (0..9_u8, 0..2_u8, 0..3_i64, 0..2_u8);
    let hour = prop_oneof![Just(-1_i64), Just(0), Just(23), Just(24), Just(47), Just(60), Just(72)];
    let one = (content, hour, 0..3_i64, 0..3_i64);
    proptest::collection::vec(one, 200).prop_map(|rows| {
        let mut invoices = Vec::new();
        for (offset, ((number, customer, amount, currency), hour, ms, source_partition)) in (0..).zip(rows) {
            let id = if number == 0 { String::new() } else { number.to_string() };
            invoices.push(Invoice {
                customer_id: format!("customer {customer}"),
                issued_at: DAY_MS + hour * HOUR_MS + ms / 2,
                currency: if currency == 0 { "EUR" } else { "JPY" }.to_owned(),
                source_partition,
                ..invoice(&id, [5, 1_000, -15][usize::try_from(amount).unwrap()], 0, offset)
            });
        }
        invoices
    })
}

fn content(invoice: &Invoice) -> Content {
    (invoice.customer_id.clone(), invoice.issued_at, invoice.amount_minor, invoice.currency.clone())
}

/// What should be in the output store.
#[derive(Debug, Default)]
struct Model {
    discounted: BTreeMap<String, (Content, ResultRow)>,
    conflicts: BTreeSet<(String, Content)>,
}

impl Model {
    /// A run over the first `take` of a day's records.
    fn run(&mut self, arrived: &[Invoice], day: usize, take: usize) -> Counts {
        let start_ms = DAY_MS + i64::try_from(day).unwrap() * 24 * HOUR_MS;
        let mut of_day: Vec<_> = arrived
            .iter()
            .filter(|invoice| (start_ms..start_ms + 24 * HOUR_MS).contains(&invoice.issued_at))
            .collect();
        of_day.sort_by_key(|invoice| (&invoice.invoice_id, invoice.source_partition, invoice.source_offset));
        of_day.truncate(take);
        let (before, mut met) = (self.discounted.clone(), BTreeSet::new());
        let mut counts = Counts { read: of_day.len() as u64, ..Counts::default() };
        for invoice in of_day {
            let id = invoice.invoice_id.clone();
            let fresh = met.insert((id.clone(), content(invoice)));
            let (holder, _) = self
                .discounted
                .entry(id.clone())
                .or_insert_with(|| (content(invoice), row(invoice, DAYS[day].1)));
            if id.is_empty() {
                self.discounted.remove("");
                counts.rejected += 1;
            } else if !fresh {
                counts.doubled += 1;
            } else if *holder != content(invoice) {
                counts.conflicts += 1;
                self.conflicts.insert((id, content(invoice)));
            } else if before.contains_key(&id) {
                counts.discounted_before += 1;
            } else {
                counts.discounted += 1;
            }
        }
        counts
    }
}

/// The nearest integer, found by trying.
fn row(invoice: &Invoice, hundredths: i64) -> ResultRow {
    let amount = invoice.amount_minor;
    // In ten-thousandths; the furthest from zero wins among the nearest.
    let distance = |candidate: &i64| ((candidate * 10_000 - amount * hundredths).abs(), -candidate.abs());
    let discount = (-amount.abs()..=amount.abs()).min_by_key(distance).unwrap();
    let percent = format_hundredths(hundredths);
    (invoice.invoice_id.clone(), percent, amount, discount, amount - discount, invoice.source_offset)
}

fn format_hundredths(hundredths: i64) -> String {
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Runs a day; `None` if it was killed.
fn run_day(world: &World, day: usize, chunk: usize, kill: Option<u64>) -> Option<Counts> {
    let job = world.job(DAYS[day].0, &format_hundredths(DAYS[day].1), chunk);
    let killed = AssertUnwindSafe(|| {
        let mut listen = |event: Event<'_>| {
            if let Event::Chunk(counts) = event
                && Some(counts.chunks) == kill
            {
                std::panic::resume_unwind(Box::new("killed")); // without a message on the terminal
            }
        };
        job.run(&mut || 0, &mut listen).unwrap().counts
    });
    catch_unwind(killed).ok()
}

fn stored_conflicts(world: &World) -> Vec<(String, Content)> {
    world.query("SELECT invoice_id, customer_id, issued_at, amount_minor, currency FROM conflicts", |row| {
        Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
    })
}

proptest! {
    // Each case writes two stores many times: few cases, but of many steps each.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_days_in_any_order_killed_and_run_again_give_what_the_model_gives(
        invoices in invoices(),
        steps in steps(),
    ) {
        let world = World::new(&[]);
        let (mut model, mut arrived) = (Model::default(), 0);
        for step in steps {
            match step {
                Step::Arrive(count) => {
                    let end = (arrived + count).min(invoices.len());
                    world.add(&invoices[arrived..end]);
                    arrived = end;
                }
                Step::Run { day, chunk, kill } => match run_day(&world, day, chunk, kill) {
                    Some(counts) => {
                        let expected = model.run(&invoices[..arrived], day, usize::MAX);
                        prop_assert_eq!(Counts { chunks: 0, ..counts }, expected);
                    }
                    None => {
                        let committed = usize::try_from(kill.unwrap()).unwrap() * chunk;
                        model.run(&invoices[..arrived], day, committed);
                    }
                },
                Step::Mistake(day) => {
                    run_day(&world, day, 5, None);
                    model.run(&invoices[..arrived], day, usize::MAX);
                    // Refused once a discount of the day stands; before that there is nothing it could mix with.
                    let days = "SELECT business_date FROM discounts JOIN job_instances USING (instance_id)";
                    let discounted: Vec<String> = world.query(days, |row| row.get(0));
                    let is_bound = discounted.iter().any(|date| date == DAYS[day].0);
                    prop_assert_eq!(run(&world.job(DAYS[day].0, "31", 5)).is_err(), is_bound);
                }
            }
        }
        // At the end every day is run: then nothing depends on what was killed.
        for day in 0..DAYS.len() {
            let counts = run_day(&world, day, 7, None).unwrap();
            let expected = model.run(&invoices[..arrived], day, usize::MAX);
            prop_assert_eq!(Counts { chunks: 0, ..counts }, expected);
        }
        let rows: Vec<_> = model.discounted.values().map(|(_, row)| row.clone()).collect();
        prop_assert_eq!(world.results(), rows);
        let found = stored_conflicts(&world);
        prop_assert_eq!(found.len(), model.conflicts.len());
        prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), model.conflicts);
    }
}
