//! Is everything that cannot work refused in one clear line, before anything is written?

use std::fs;

use rusqlite::Connection;
use tidegate_batch::{BusinessDay, Discount};

use crate::world::{World, invoice, run};

fn job(world: &World) -> Discount {
    world.job("2010-12-01", "30", 100)
}

fn refused(job: &Discount, says: &str) {
    let error = run(job).unwrap_err().to_string();
    assert!(error.contains(says), "expected `{says}` in: {error}");
    assert!(!error.contains('\n') && !error.ends_with('.'), "{error}");
}

#[test]
fn a_missing_read_store() {
    let world = World::new(&[]);
    let job = Discount { read_store: world.path("nowhere.sqlite3"), ..job(&world) };
    refused(&job, "there is no read store at `");
    assert!(!world.path("discounts.sqlite3").exists());
}

#[test]
fn a_read_store_that_is_none() {
    let world = World::new(&[]);
    fs::write(world.path("text.sqlite3"), "no database at all, but long enough to be looked at").unwrap();
    refused(&Discount { read_store: world.path("text.sqlite3"), ..job(&world) }, "it is no SQLite database");
    Connection::open(world.path("other.sqlite3"))
        .unwrap()
        .execute_batch("CREATE TABLE invoices (number)")
        .unwrap();
    refused(
        &Discount { read_store: world.path("other.sqlite3"), ..job(&world) },
        "lacks `invoice_id`, `customer_id`",
    );
    assert!(!world.path("discounts.sqlite3").exists());
}

#[test]
fn an_output_store_of_another_program_or_version_is_left_untouched() {
    let world = World::new(&[invoice("1", 100, 1, 0)]);
    let output = world.path("discounts.sqlite3");
    Connection::open(&output).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let before = fs::read(&output).unwrap();
    refused(&job(&world), "another program made it");
    assert_eq!(fs::read(&output).unwrap(), before);

    fs::remove_file(&output).unwrap();
    run(&job(&world)).unwrap();
    Connection::open(&output).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    refused(&job(&world), "has format 99, and this version of tidegate knows 2; use the newer version");

    fs::write(&output, "no database at all, but long enough to be looked at").unwrap();
    refused(&job(&world), "it is no SQLite database");

    // The read store itself, given as output by mistake.
    refused(&Discount { output_store: world.path("read.sqlite3"), ..job(&world) }, "another program made it");
}

/// Percentage, zone and rounding belong to the day: with others, an invoice that came late would be discounted by another rule.
#[test]
fn other_parameters_for_a_day() {
    let world = World::new(&[invoice("1", 100, 1, 0)]);
    run(&world.job("2010-12-01", "12.5", 100)).unwrap();
    world.add(&[invoice("late", 1_000, 1, 900)]);
    let (results, executions) = (world.results(), world.executions());
    let remedy = "; run it with `--percent 12.5 --zone Europe/London`";
    let kept = "have the parameters `percent=12.5 rounding=half-up zone=Europe/London`, not `percent=";
    for (percent, zone) in [("30", "Europe/London"), ("12.5", "Asia/Tokyo"), ("12.5", "UTC"), ("20", "UTC")] {
        let day = BusinessDay::parse("2010-12-01", zone).unwrap();
        let other = Discount { day, ..world.job("2010-12-01", percent, 100) };
        refused(&other, kept);
        refused(&other, remedy);
    }
    assert_eq!((world.results(), world.executions()), (results, executions), "nothing was written");
    // Another spelling is not another parameter, and another day has parameters of its own.
    let day = BusinessDay::parse("2010-12-01", "europe/london").unwrap();
    let same = Discount { day, ..world.job("2010-12-01", "12.5000", 100) };
    assert_eq!(run(&same).unwrap().counts.discounted, 1);
    run(&world.job("2010-12-02", "20", 100)).unwrap();
}

#[test]
fn a_day_that_another_version_rounded_in_another_way() {
    let world = World::new(&[invoice("1", 100, 1, 0)]);
    run(&job(&world)).unwrap();
    let store = Connection::open(world.path("discounts.sqlite3")).unwrap();
    store.execute_batch("UPDATE job_instances SET rounding = 'half-even'").unwrap();
    drop(store);
    refused(&job(&world), "use a version of tidegate that rounds `half-even`");
}

/// Nothing was discounted by the first parameters, so nothing is mixed: a mistyped percentage can be corrected.
#[test]
fn other_parameters_after_a_run_without_invoices() {
    let world = World::new(&[]);
    run(&world.job("2010-12-01", "3", 100)).unwrap();
    world.add(&[invoice("1", 1_000, 1, 0)]);
    assert_eq!(run(&job(&world)).unwrap().counts.discounted, 1);
    refused(&world.job("2010-12-01", "3", 100), "run it with `--percent 30 --zone Europe/London`");
}

#[test]
fn a_read_store_in_a_place_that_is_none() {
    let world = World::new(&[]);
    fs::write(world.path("file"), "").unwrap();
    let below = Discount { read_store: world.path("file").join("read.sqlite3"), ..job(&world) };
    refused(&below, "cannot open the read store `");
}

#[test]
fn places_that_cannot_be_written() {
    let world = World::new(&[invoice("1", 100, 1, 0)]);
    let missing = world.path("no-such-directory");
    refused(
        &Discount { output_store: missing.join("out.sqlite3"), ..job(&world) },
        "cannot create or lock the lock file of the output store `",
    );
    fs::create_dir(world.path("a-directory")).unwrap();
    refused(
        &Discount { output_store: world.path("a-directory"), ..job(&world) },
        "cannot open the output store `",
    );
}

#[test]
fn an_export_that_cannot_be_written_fails_the_execution_and_keeps_the_discounts() {
    let world = World::new(&[invoice("1", 100, 1, 0)]);
    let export = Some(world.path("no-such-directory").join("day.csv"));
    refused(&Discount { export, ..job(&world) }, "cannot write the export `");
    assert_eq!(world.results().len(), 1);
    let (status, why) = world.executions().remove(0);
    assert!(status == "FAILED" && why.starts_with("cannot write the export `"), "{why}");
    assert_eq!(run(&job(&world)).unwrap().counts.discounted_before, 1);
}
