//! Demos that were stopped, killed or tampered with.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::run::{demo, demo_command, ended, start_until};

#[test]
fn ctrl_c_ends_it_within_two_seconds_and_says_how_to_go_on() {
    let root = tempfile::tempdir().unwrap();
    // Long enough to be running still when the signal comes, whatever the machine is doing.
    let running = start_until(demo_command(root.path(), 60, &["--seed", "5"]), "demo: live: ");
    running.signal("INT");
    let (stopped, took) = running.wait();
    assert_eq!(stopped.code, 130, "{}", stopped.stderr);
    assert!(took < Duration::from_secs(2), "it took {took:?}");
    assert!(
        stopped.stderr.contains("goes on") && stopped.stderr.contains("starts over"),
        "{}",
        stopped.stderr
    );
    assert!(!root.path().join("summary.txt").exists());
    // Another scenario in its place is refused, and the message names the one that goes on.
    let other = demo(root.path(), &["--seed", "6"]);
    assert_eq!(other.code, 4, "{}", other.stderr);
    assert!(
        other.stderr.contains("--seconds 60 --seed 5") && other.stderr.contains("--fresh"),
        "{}",
        other.stderr
    );
}

#[test]
fn a_stopped_and_a_killed_demo_go_on_and_add_up_like_one_straight_through() {
    let checks = |text: &str| text.split("Where everything is").next().unwrap().to_owned();
    let straight = tempfile::tempdir().unwrap();
    let straight = ended(demo_command(straight.path(), 5, &[]).output().unwrap());
    for (name, code) in [("TERM", 143), ("KILL", -1)] {
        let root = tempfile::tempdir().unwrap();
        let running = start_until(demo_command(root.path(), 5, &[]), "demo: live: ");
        running.signal(name);
        let (stopped, _) = running.wait();
        assert_eq!(stopped.code, code, "{name}");
        let mut again = demo_command(root.path(), 5, &[]);
        if name == "TERM" {
            // Its own words, as they stand.
            again = Command::new("sh");
            again.args(["-c", stopped.stderr.split('`').nth(1).unwrap()]);
        }
        let rest = ended(again.output().unwrap());
        assert_eq!(rest.code, 0, "{name}: {}\n{}", rest.stdout, rest.stderr);
        assert_eq!(checks(&rest.stdout), checks(&straight.stdout), "{name}");
    }
}

#[test]
fn a_row_taken_out_of_a_store_is_a_mismatch_with_its_own_code() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(demo(root.path(), &[]).code, 0);
    let store = rusqlite::Connection::open(root.path().join("read-store.sqlite3")).unwrap();
    assert_eq!(store.execute("DELETE FROM customer_totals WHERE rowid = 1", []).unwrap(), 1);
    drop(store);
    let store = rusqlite::Connection::open(root.path().join("discounts.sqlite3")).unwrap();
    let tampered = "UPDATE discounts SET discount_minor = discount_minor + 1, remaining_minor = remaining_minor - 1 \
                    WHERE invoice_id = (SELECT min(invoice_id) FROM discounts)";
    assert_eq!(store.execute(tampered, []).unwrap(), 1);
    drop(store);
    // Without its summary the demo counts as unfinished: everything is found done, and checked again.
    fs::remove_file(root.path().join("summary.txt")).unwrap();
    let again = demo(root.path(), &[]);
    assert_eq!(again.code, 1, "{}\n{}", again.stdout, again.stderr);
    let wrong: Vec<&str> = again.stdout.lines().filter(|line| line.starts_with("MISMATCH")).collect();
    assert_eq!(wrong.len(), 2, "{}", again.stdout);
    assert!(wrong[0].contains("customer-totals") && wrong[1].contains("discounts"), "{}", again.stdout);
    assert!(again.stderr.contains("found a mismatch"), "{}", again.stderr);
}
