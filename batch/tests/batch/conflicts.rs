//! Is another invoice with the same number never taken for a double?

use tidegate_batch::{Conflict, Counts, Invoice, LISTED_MOST};

use crate::world::{DAY_MS, World, invoice, run};

const MINUTES_A_DAY: i64 = 24 * 60;

/// Invoice, customer, amount, resolution of every conflict, and the executions that met it first and last.
fn conflicts(world: &World) -> Vec<(String, String, i64, Option<String>, i64, i64)> {
    world.query(
        "SELECT invoice_id, customer_id, amount_minor, resolution, first_execution_id, last_execution_id
         FROM conflicts ORDER BY conflict_id",
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)),
    )
}

fn of_customer(customer: &str, invoice: Invoice) -> Invoice {
    Invoice { customer_id: customer.to_owned(), ..invoice }
}

#[test]
fn another_customers_invoice_with_the_same_number_is_listed_and_not_discounted() {
    let theirs = of_customer("shop-b:9", invoice("1001", 500_000, 1, 1));
    let ours = of_customer("shop-a:7", invoice("1001", 10_000, 0, 0));
    let world = World::new(&[theirs.clone(), ours.clone(), Invoice { source_offset: 5, ..theirs.clone() }]);
    let summary = run(&world.job("2010-12-01", "30", 1)).unwrap();
    let counts = Counts { read: 3, discounted: 1, conflicts: 1, doubled: 1, chunks: 3, ..Counts::default() };
    assert_eq!(summary.counts, counts);
    assert!(summary.needs_a_person());
    let listed = Conflict { conflict_id: 1, invoice: theirs, discounted: ours, execution_id: 1 };
    assert_eq!(summary.conflicts, std::slice::from_ref(&listed));
    assert_eq!(world.results(), [("1001".to_owned(), "30".to_owned(), 10_000, 3_000, 7_000, 0)]);
    assert_eq!(conflicts(&world), [("1001".to_owned(), "shop-b:9".to_owned(), 500_000, None, 1, 1)]);
    assert_eq!(world.executions()[0], ("COMPLETED".to_owned(), "1 conflicts and 0 rejects".to_owned()));
    let step = world.query(
        "SELECT write_count, doubled_skip_count, discounted_before_count, conflict_count, reject_count FROM steps",
        |row| Ok::<[i64; 5], _>([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?]),
    );
    assert_eq!(step, [[1, 1, 0, 1, 0]]);

    // Again: it is still there, and no second row of it.
    let again = run(&world.job("2010-12-01", "30", 100)).unwrap();
    assert_eq!((again.counts.discounted_before, again.counts.conflicts, again.counts.doubled), (1, 1, 1));
    assert_eq!(again.conflicts, [listed]);
    assert_eq!(conflicts(&world), [("1001".to_owned(), "shop-b:9".to_owned(), 500_000, None, 1, 2)]);
}

#[test]
fn each_part_of_the_content_makes_another_invoice() {
    let first = invoice("1", 100, 0, 0);
    let others = [
        Invoice { source_offset: 1, customer_id: "another".to_owned(), ..first.clone() },
        Invoice { source_offset: 2, issued_at: first.issued_at + 1, ..first.clone() },
        Invoice { source_offset: 3, amount_minor: 101, ..first.clone() },
        Invoice { source_offset: 4, currency: "EUR".to_owned(), ..first.clone() },
    ];
    let world = World::new(&[&[first], &others[..]].concat());
    let summary = run(&world.job("2010-12-01", "30", 2)).unwrap();
    assert_eq!((summary.counts.discounted, summary.counts.conflicts), (1, 4));
    assert_eq!(summary.conflicts.into_iter().map(|conflict| conflict.invoice).collect::<Vec<_>>(), others);
}

#[test]
fn a_number_discounted_on_another_day_is_a_conflict_and_not_discounted_before() {
    let world = World::new(&[invoice("1002", 100, 0, 0), invoice("1002", 300, MINUTES_A_DAY, 1)]);
    // Whichever day is done first keeps the discount.
    let first = run(&world.job("2010-12-02", "30", 100)).unwrap();
    assert_eq!((first.counts.discounted, first.needs_a_person()), (1, false));
    let second = run(&world.job("2010-12-01", "30", 100)).unwrap();
    let counts = Counts { read: 1, conflicts: 1, chunks: 1, ..Counts::default() };
    assert_eq!(second.counts, counts);
    let conflict = &second.conflicts[0];
    assert_eq!((conflict.invoice.issued_at, conflict.invoice.amount_minor), (DAY_MS, 100));
    assert_eq!((conflict.discounted.amount_minor, conflict.execution_id), (300, 1));
    assert!(second.totals.is_empty());
}

/// The lower record comes later: what is discounted stays so, and keeps being found among the others.
#[test]
fn the_invoice_that_is_discounted_keeps_its_discount() {
    let discounted = Invoice { source_partition: 1, ..invoice("1", 100, 0, 4) };
    let world = World::new(std::slice::from_ref(&discounted));
    run(&world.job("2010-12-01", "30", 100)).unwrap();
    let lower = invoice("1", 777, 0, 0);
    world.add(&[
        lower.clone(),
        Invoice { source_offset: 1, ..lower },
        Invoice { source_offset: 9, ..discounted.clone() },
    ]);
    for chunk in [1, 100] {
        let summary = run(&world.job("2010-12-01", "30", chunk)).unwrap();
        let counts = Counts {
            read: 4,
            discounted_before: 1,
            conflicts: 1,
            doubled: 2,
            chunks: summary.counts.chunks,
            ..Counts::default()
        };
        assert_eq!(summary.counts, counts, "chunks of {chunk}");
        assert_eq!(summary.conflicts[0].discounted, discounted);
    }
    assert_eq!(world.results()[0].2, 100);
}

#[test]
fn a_settled_conflict_is_counted_and_needs_nobody() {
    let world = World::new(&[invoice("1", 100, 0, 0), invoice("1", 200, 0, 1), invoice("1", 300, 0, 2)]);
    run(&world.job("2010-12-01", "30", 100)).unwrap();
    let store = rusqlite::Connection::open(world.path("discounts.sqlite3")).unwrap();
    store
        .execute_batch("UPDATE conflicts SET resolution = 'sent again as 2' WHERE amount_minor = 200")
        .unwrap();
    drop(store);
    let half = run(&world.job("2010-12-01", "30", 100)).unwrap();
    assert_eq!((half.counts.conflicts, half.counts.settled), (1, 1));
    assert_eq!(half.conflicts.len(), 1);
    assert_eq!(half.conflicts[0].invoice.amount_minor, 300);
    let store = rusqlite::Connection::open(world.path("discounts.sqlite3")).unwrap();
    store.execute_batch("UPDATE conflicts SET resolution = 'a test'").unwrap();
    drop(store);
    let settled = run(&world.job("2010-12-01", "30", 100)).unwrap();
    assert_eq!((settled.counts.conflicts, settled.counts.settled, settled.needs_a_person()), (0, 2, false));
    assert_eq!(conflicts(&world)[0].3.as_deref(), Some("a test"), "an execution keeps what a person wrote");
}

#[test]
fn invoices_without_a_number_are_rejected() {
    let world = World::new(&[invoice("", 7, 0, 0), invoice("", 7, 0, 1), invoice("A", 7, 0, 2)]);
    let summary = run(&world.job("2010-12-01", "30", 2)).unwrap();
    assert_eq!((summary.counts.rejected, summary.counts.discounted, summary.counts.doubled), (2, 1, 0));
    assert!(summary.needs_a_person());
    let listed: Vec<_> =
        summary.rejects.iter().map(|reject| (reject.invoice.source_offset, reject.why.field)).collect();
    assert_eq!(listed, [(0, "invoice_id"), (1, "invoice_id")]);
    assert_eq!(world.results().len(), 1);
    let rejected = world.query("SELECT reject_count FROM steps", |row| row.get::<_, i64>(0));
    assert_eq!(rejected, [2]);
}

/// What totals dead-letters and `sink sqlite` rejects stands in a read store of an older version: it is not discounted either.
#[test]
fn an_invoice_that_is_not_valid_is_rejected_and_settles_nothing_for_its_number() {
    let valid = invoice("1", 100, 0, 9);
    let no_code =
        |code: &str, offset| Invoice { currency: code.to_owned(), source_offset: offset, ..valid.clone() };
    let world = World::new(&[no_code("eur", 0), no_code("", 1), no_code("US$", 2), valid.clone()]);
    let job = world.job("2010-12-01", "30", 100);
    let summary = run(&job).unwrap();
    assert_eq!((summary.counts.rejected, summary.counts.discounted, summary.counts.conflicts), (3, 1, 0));
    assert!(summary.rejects.iter().all(|reject| reject.why.field == "currency"));
    assert_eq!(world.results()[0].5, 9);

    let late = tidegate_batch::Discount { max_event_time_ms: DAY_MS - 1, ..world.job("2010-12-02", "30", 1) };
    world.add(&[Invoice { source_offset: 20, ..invoice("2", 100, MINUTES_A_DAY, 0) }]);
    assert_eq!(run(&late).unwrap().rejects[0].why.field, "issued_at");
    world.add(&[Invoice { issued_at: -1, source_offset: 21, ..valid }]);
    assert_eq!(run(&world.job("1969-12-31", "30", 1)).unwrap().rejects.len(), 0, "London was an hour ahead");
    assert_eq!(run(&world.job("1970-01-01", "30", 1)).unwrap().rejects[0].why.field, "issued_at");
}

#[test]
fn a_list_is_bounded_and_the_table_is_not() {
    let offsets = 0..100_i64;
    let same_number = offsets.clone().map(|offset| invoice("1", offset, 0, offset));
    let nameless = offsets.map(|offset| invoice("", 1, 0, 1_000 + offset));
    let world = World::new(&same_number.chain(nameless).collect::<Vec<_>>());
    let summary = run(&world.job("2010-12-01", "30", 7)).unwrap();
    assert_eq!((summary.counts.conflicts, summary.counts.rejected), (99, 100));
    assert_eq!((summary.conflicts.len(), summary.rejects.len()), (LISTED_MOST, LISTED_MOST));
    assert_eq!(conflicts(&world).len(), 99);
}
