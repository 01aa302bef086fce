//! What `topics tail` prints, where it begins and where it stops.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::program::{Place, until};

fn times(records: &[Value]) -> Vec<i64> {
    records.iter().map(|record| record["timestamp"].as_i64().unwrap()).collect()
}

#[test]
fn it_prints_the_last_ten_by_event_time_unless_told_otherwise() {
    let place = Place::new();
    place.done("simulate invoices --count 100");
    let last = place.done("topics tail invoices --format json").json();
    let expected: Vec<i64> = (90..100).map(|index| 1_704_067_200_000 + index * 10).collect();
    assert_eq!(times(&last), expected);
    assert_eq!(place.done("topics tail invoices -n 3").out.lines().count(), 3);
    assert_eq!(place.done("topics tail invoices --until-end").out.lines().count(), 100);
}

#[test]
fn it_begins_where_it_is_told_and_is_bounded_there_too() {
    let place = Place::new();
    place.done("simulate invoices --count 100");
    let first =
        |arguments: &str| place.done(&format!("topics tail invoices --format json {arguments}")).json();
    assert_eq!(times(&first("--from start")).len(), 10);
    assert_eq!(times(&first("--from start"))[0], 1_704_067_200_000);
    assert_eq!(times(&first("--from 2024-01-01T00:00:00.500Z -n 2")), [1_704_067_200_500, 1_704_067_200_510]);
    assert_eq!(times(&first("--from @1704067200500 -n 1")), [1_704_067_200_500]);
    assert_eq!(first("--from 3 -p 1 -n 1")[0]["offset"], 3);
    assert_eq!(first("--from -2 -p 1").len(), 2);
    assert_eq!(first("--from end").len(), 0);
    assert_eq!(first("--from 2024-01-01T00:00:00.500Z --until-end").len(), 50);
    let bounded = place.done("topics tail invoices --from start");
    assert!(bounded.err.contains("--until-end for all of it"), "{bounded:?}");
}

#[test]
fn bad_records_are_shown_with_their_reason_and_end_nothing() {
    let place = Place::with_invoices();
    let ended = place.done("topics tail invoices --until-end --format json");
    let records = ended.json();
    assert_eq!(u64::try_from(records.len()).unwrap(), place.records("invoices"));
    let bad: Vec<&Value> = records.iter().filter(|record| record.get("error").is_some()).collect();
    let reasons: BTreeSet<&str> =
        bad.iter().map(|record| record["error"]["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, BTreeSet::from(["trailing-bytes", "undecodable", "unknown-schema", "wrong-magic"]));
    assert!(bad.iter().all(|record| record["raw_base64"].is_string() && record.get("value").is_none()));
    assert!(records.iter().any(|record| record["key"].is_null()), "a null key is shown as it is");
    let text = place.done("topics tail invoices --until-end").out;
    assert_eq!(text.lines().filter(|line| line.contains("  error ")).count(), bad.len());
}

#[test]
fn dead_letters_are_shown_raw_with_where_they_came_from() {
    let place = Place::with_totals();
    let records = place.done("topics tail totals-dead-letters --until-end --format json").json();
    assert!(!records.is_empty());
    for record in &records {
        assert!(record["raw_base64"].is_string() && record.get("error").is_none(), "{record}");
        assert!(record["headers"]["origin"].as_str().unwrap().starts_with("invoices["), "{record}");
        assert!(record["headers"]["reason"].is_string(), "{record}");
    }
    let late = place.done("topics tail totals-late --format json").json();
    assert!(late.iter().all(|record| record["value"]["invoice_id"].is_string()), "late records are decoded");
}

#[test]
fn a_changelog_is_shown_by_how_far_its_task_had_come() {
    let place = Place::with_totals();
    let blocks = place.done("topics tail totals-changelog --until-end --format json").json();
    let progress = &blocks.last().unwrap()["value"]["progress"];
    assert_eq!(progress["until_end"]["done"], true);
    assert!(progress["inputs"].as_object().unwrap().keys().next().unwrap().starts_with("invoices["));
    assert!(progress["counters"]["processed"].as_u64().unwrap() > 0);
}

#[test]
fn following_prints_what_is_written_from_now_on() {
    let place = Place::new();
    place.done("simulate invoices --count 20");
    let file = std::fs::File::create(place.path("followed")).unwrap();
    let mut follower = place.command("topics tail invoices -f -n 5").stdout(file).spawn().unwrap();
    let lines = || std::fs::read_to_string(place.path("followed")).unwrap().lines().count();
    until("the last five", || lines() == 5);
    place.done("simulate invoices --count 30 --app more --seed 2");
    until("what came after", || lines() == 35);
    follower.kill().unwrap();
    follower.wait().unwrap();
}
