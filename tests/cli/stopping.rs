//! Ctrl-C, SIGTERM, a closed pipe.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use crate::program::{Place, until};

/// What the issue promises: a clean end within this.
const CLEAN_END: Duration = Duration::from_secs(2);

#[test]
fn a_closed_pipe_is_a_success() {
    let place = Place::with_invoices();
    let mut tail = place.command("topics tail invoices --until-end --format json").spawn().unwrap();
    let mut line = String::new();
    // Far more follows than a pipe holds; `head -1` reads a line and goes.
    BufReader::new(tail.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("{\"topic\":\"invoices\""), "{line}");
    let ended = tail.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), "");
}

#[test]
fn ctrl_c_ends_cleanly_with_everything_committed() {
    let straight = Place::new();
    let simulate = "simulate invoices --count 4000 --rate 1000 --out-of-order 5% --duplicates 1%";
    straight.done(&format!("{simulate} --unpaced"));
    straight.done("process totals --grace 10s --until-end");

    let place = Place::new();
    let mut simulating = place.start(simulate);
    until("the topics", || place.records("invoices") > 0);
    let mut processing = place.start("process totals --grace 10s");
    let mut sinking = place.start("sink csv --topic invoices --out csv --segment-records 100");
    until("something processed", || {
        place.records("totals-changelog") > 4 && place.path("csv/sink.json").exists()
    });
    // All of them while records still come.
    processing.signal("INT");
    assert_eq!(processing.ends_within(CLEAN_END), 0, "it has no end of its own");
    sinking.signal("TERM");
    assert_eq!(sinking.ends_within(CLEAN_END), 0, "it has no end of its own");
    simulating.signal("INT");
    assert_eq!(simulating.ends_within(CLEAN_END), 130, "it was stopped before its end");
    let written = place.records("invoices");
    assert!(written < straight.records("invoices"), "it was stopped in the middle");

    place.done(&format!("{simulate} --unpaced"));
    place.done("process totals --grace 10s --until-end");
    assert_eq!(place.content("invoices"), straight.content("invoices"));
    assert_eq!(place.content("customer-totals"), straight.content("customer-totals"));
    let sunk = place.done("sink csv --topic invoices --out csv --segment-records 100 --until-end");
    assert!(sunk.err.contains("to the end"), "{sunk:?}");
}

#[test]
fn a_bounded_run_that_is_stopped_says_so_by_its_code() {
    let place = Place::new();
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 143)] {
        let mut simulating = place.start(&format!("simulate invoices --count 4000 --rate 50 --app {signal}"));
        let changelog = format!("{signal}-changelog");
        until("its first commit", || place.records(&changelog) > 0);
        simulating.signal(signal);
        assert_eq!(simulating.ends_within(CLEAN_END), code);
    }
}

#[test]
fn following_ends_well_at_ctrl_c() {
    let place = Place::new();
    place.done("simulate invoices --count 10");
    let file = std::fs::File::create(place.path("followed")).unwrap();
    let mut tail = place.start_into("topics tail invoices -f", file);
    until("the last ten", || std::fs::read_to_string(place.path("followed")).unwrap().lines().count() == 10);
    tail.signal("INT");
    assert_eq!(tail.ends_within(CLEAN_END), 0);
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let place = Place::with_invoices();
    let mut processing = place.start("process totals --commit-interval 20ms");
    until("the member", || !place.done("groups --format json").json().is_empty());
    // Somebody holds the log's file: no write can end, and so nobody can leave the group.
    let holder = rusqlite::Connection::open(place.path("tidegate-data/log.sqlite3")).unwrap();
    holder.execute_batch("PRAGMA busy_timeout = 60000; BEGIN IMMEDIATE").unwrap();
    processing.signal("INT");
    let mut again = 0;
    until("its end", || {
        // Two signals that come before the first was taken are one: sent until it has seen two.
        if !processing.has_ended() {
            processing.signal("INT");
            again += 1;
        }
        again > 400 || processing.has_ended()
    });
    assert_eq!(processing.ends_within(CLEAN_END), 130);
}
