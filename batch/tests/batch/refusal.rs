//! Is everything that cannot work refused in one clear line, before anything is written?

use std::fs;

use rusqlite::Connection;
use tidegate_batch::Discount;

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
    refused(&job(&world), "its format is 99, not 1");

    fs::write(&output, "no database at all, but long enough to be looked at").unwrap();
    refused(&job(&world), "it is no SQLite database");

    // The read store itself, given as output by mistake.
    refused(&Discount { output_store: world.path("read.sqlite3"), ..job(&world) }, "another program made it");
}

#[test]
fn places_that_cannot_be_written() {
    let world = World::new(&[invoice("1", 100, 1, 0)]);
    let missing = world.path("no-such-directory");
    refused(
        &Discount { output_store: missing.join("out.sqlite3"), ..job(&world) },
        "cannot write to the place of the output store `",
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
