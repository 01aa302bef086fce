//! Is an invoice discounted once, whatever is run again?

use std::fs;

use tidegate_batch::{Counts, CurrencyTotals, Event, Invoice};

use crate::world::{World, invoice, run};

fn small_day() -> Vec<Invoice> {
    let euros = Invoice { currency: "EUR".to_owned(), ..invoice("E1", 999, 30, 5) };
    vec![
        invoice("536365", 13_912, 506, 0),
        invoice("C536379", -2_750, 581, 1),
        invoice("A1", 0, 600, 2),
        // The last millisecond of the day before, and the first of the next: not ours.
        Invoice { issued_at: crate::world::DAY_MS - 1, ..invoice("before", 100, 0, 3) },
        invoice("after", 100, 24 * 60, 4),
        euros,
    ]
}

#[test]
fn a_day_is_discounted_and_summed_up() {
    let world = World::new(&small_day());
    let summary = run(&world.job("2010-12-01", "30", 2)).unwrap();
    assert_eq!(summary.counts, Counts { read: 4, discounted: 4, chunks: 2, ..Counts::default() });
    let totals = |currency: &str, invoices, amount_minor, discount_minor, remaining_minor| CurrencyTotals {
        currency: currency.to_owned(),
        invoices,
        amount_minor,
        discount_minor,
        remaining_minor,
    };
    assert_eq!(summary.totals, [totals("EUR", 1, 999, 300, 699), totals("GBP", 3, 11_162, 3_349, 7_813)]);
    let rows = world.results();
    let row = |id: &str, amount, discount, remaining, offset| {
        (id.to_owned(), "30".to_owned(), amount, discount, remaining, offset)
    };
    assert_eq!(
        rows,
        [
            row("536365", 13_912, 4_174, 9_738, 0),
            row("A1", 0, 0, 0, 2),
            row("C536379", -2_750, -825, -1_925, 1),
            row("E1", 999, 300, 699, 5)
        ]
    );
}

#[test]
fn running_again_discounts_nothing_twice() {
    let world = World::new(&small_day());
    run(&world.job("2010-12-01", "30", 100)).unwrap();
    let rows = world.results();
    for chunk in [3, 100] {
        let summary = run(&world.job("2010-12-01", "30", chunk)).unwrap();
        assert_eq!((summary.counts.discounted, summary.counts.discounted_before), (0, 4));
        assert_eq!(summary.totals.iter().map(|totals| totals.invoices).sum::<u64>(), 4);
        assert_eq!(world.results(), rows);
    }
    assert_eq!(world.executions(), vec![("COMPLETED".to_owned(), String::new()); 3]);
    assert_eq!(world.query("SELECT count(*) FROM job_instances", |row| row.get::<_, i64>(0)), [1]);
}

#[test]
fn an_invoice_that_came_late_is_picked_up_by_the_next_run() {
    let world = World::new(&small_day());
    run(&world.job("2010-12-01", "30", 100)).unwrap();
    world.add(&[invoice("late", 1_000, 1, 900)]);
    let summary = run(&world.job("2010-12-01", "30", 100)).unwrap();
    assert_eq!((summary.counts.read, summary.counts.discounted), (5, 1));
    assert!(world.results().contains(&("late".to_owned(), "30".to_owned(), 1_000, 300, 700, 900)));
}

#[test]
fn a_doubled_invoice_is_discounted_once_by_its_lowest_record() {
    let twice = [
        Invoice { source_partition: 1, ..invoice("D", 100, 9, 2) },
        invoice("D", 100, 9, 9),
        invoice("D", 100, 9, 8),
        invoice("E", 100, 9, 1),
    ];
    for chunk in [1, 2, 100] {
        let world = World::new(&twice);
        let summary = run(&world.job("2010-12-01", "30", chunk)).unwrap();
        assert_eq!((summary.counts.discounted, summary.counts.doubled), (2, 2), "chunks of {chunk}");
        assert_eq!(
            world.results()[0],
            ("D".to_owned(), "30".to_owned(), 100, 30, 70, 8),
            "chunks of {chunk}"
        );
    }
}

#[test]
fn what_the_sink_writes_meanwhile_waits_for_the_next_run() {
    let world = World::new(&small_day());
    let job = world.job("2010-12-01", "30", 1);
    let mut written = false;
    let summary = job
        .run(&mut || 0, &mut |_: Event<'_>| {
            if !std::mem::replace(&mut written, true) {
                // Behind every other in the job's order, so only the snapshot keeps it out.
                world.add(&[invoice("zzz", 1_000, 1, 900)]);
            }
        })
        .unwrap();
    assert_eq!(summary.counts.read, 4);
    assert_eq!(run(&job).unwrap().counts.discounted, 1);
}

#[test]
fn sums_beyond_64_bits_are_exact() {
    let world =
        World::new(&[invoice("1", i64::MAX, 1, 0), invoice("2", i64::MAX, 1, 1), invoice("3", -5, 1, 2)]);
    let totals = &run(&world.job("2010-12-01", "30", 100)).unwrap().totals[0];
    assert_eq!(totals.amount_minor, 2 * i128::from(i64::MAX) - 5);
    assert_eq!(totals.discount_minor + totals.remaining_minor, totals.amount_minor);
}

#[test]
fn the_export_holds_the_whole_day_whoever_discounted_it() {
    let formula = Invoice { customer_id: "=cmd()".to_owned(), ..invoice("X", 1_000, 1, 77) };
    let world = World::new(&[formula, invoice("536365", 13_912, 506, 0)]);
    let mut job = world.job("2010-12-01", "12.5", 100);
    run(&job).unwrap();
    world.add(&[invoice("C9", -5, 2, 90)]);
    job.export = Some(world.path("day.csv"));
    fs::write(world.path("day.csv"), "an older export").unwrap();
    assert_eq!(run(&job).unwrap().exported, Some(3));
    assert_eq!(
        fs::read_to_string(world.path("day.csv")).unwrap(),
        "invoice_id,customer_id,issued_at,currency,percent,amount_minor,discount_minor,remaining_minor\r\n\
         536365,17850,2010-12-01T08:26:00.000Z,GBP,12.5,13912,1739,12173\r\n\
         C9,17850,2010-12-01T00:02:00.000Z,GBP,12.5,-5,-1,-4\r\n\
         X,'=cmd(),2010-12-01T00:01:00.000Z,GBP,12.5,1000,125,875\r\n"
    );
    assert!(!world.path(".day.csv.partial").exists());
    let steps = world.query("SELECT step, write_count FROM steps WHERE execution_id = 2", |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
    });
    assert_eq!(steps, [("discount".to_owned(), 1), ("export".to_owned(), 3)]);
}

#[test]
fn the_callers_clock_stamps_the_execution() {
    let world = World::new(&[]);
    let mut now = 40;
    world
        .job("2010-12-01", "30", 1)
        .run(
            &mut || {
                now += 2;
                now
            },
            &mut |_| {},
        )
        .unwrap();
    let times = world.query("SELECT started_at, ended_at FROM executions", |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    });
    assert_eq!(times, [(42, 44)]);
}
