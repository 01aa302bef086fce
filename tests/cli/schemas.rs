//! `schemas`: how schemas stand to the registry, and registering them.

use serde_json::Value;

use crate::program::{Place, files};

/// Of each subject, one field.
fn of<'r>(rows: &'r [Value], subject: &str, field: &str) -> &'r Value {
    &rows.iter().find(|row| row["subject"] == subject).unwrap()[field]
}

/// The registry of the embedded log is in its own file.
fn registry(place: &Place) -> rusqlite::Connection {
    rusqlite::Connection::open(place.path("tidegate-data/log.sqlite3")).unwrap()
}

/// With the inputs' schemas registered by a producer, and not those of results.
fn with_inputs() -> Place {
    let place = Place::new();
    place.done("simulate invoices --count 1");
    place
}

#[test]
fn a_check_says_what_is_not_registered_yet_and_registers_nothing() {
    let place = with_inputs();
    for _ in 0..2 {
        let check = place.run("schemas check --format json");
        assert_eq!(check.code, Some(5), "{check:?}");
        assert!(check.err.contains("2 not registered yet; `tidegate schemas register`"), "{check:?}");
        let rows = check.json();
        assert_eq!(rows.len(), 7);
        assert_eq!(of(&rows, "invoices-value", "standing"), "registered");
        assert!(of(&rows, "invoices-value", "id").is_u64());
        assert_eq!(of(&rows, "infractions-value", "standing"), "missing");
        assert_eq!(of(&rows, "infractions-value", "id"), &Value::Null);
    }
    let named = place.done("schemas check invoices readings");
    let lines: Vec<&str> = named.out.lines().collect();
    assert_eq!(lines.len(), 3, "{named:?}");
    assert!(lines[0].starts_with("SUBJECT "), "{named:?}");
    assert!(lines[1].starts_with("readings-value  registered  "), "{named:?}");
    assert_eq!(named.err, "");
}

#[test]
fn what_is_registered_is_said_and_a_second_time_nothing_is_new() {
    let place = with_inputs();
    let first = place.done("schemas register --format json").json();
    assert_eq!(of(&first, "invoices-value", "standing"), "known");
    assert_eq!(of(&first, "infractions-value", "standing"), "new");
    let second = place.done("schemas register --format json").json();
    assert!(second.iter().all(|row| row["standing"] == "known"), "{second:?}");
    let ids = |rows: &[Value]| rows.iter().map(|row| row["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&first), ids(&second));
    let check = place.done("schemas check --format json");
    assert_eq!(check.err, "");
    assert!(check.json().iter().all(|row| row["standing"] == "registered"));
}

#[test]
fn only_the_named_are_registered() {
    let place = with_inputs();
    let rows = place.done("schemas register customer-totals --format json").json();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["standing"], "new");
    let check = place.run("schemas check --format json").json();
    assert_eq!(of(&check, "customer-totals-value", "standing"), "registered");
    assert_eq!(of(&check, "infractions-value", "standing"), "missing");
}

#[test]
fn an_incompatible_schema_is_refused_and_nothing_is_registered() {
    let place = with_inputs();
    // Somebody else's version of a subject: ours reads fields it does not have.
    registry(&place)
        .execute_batch(
            r#"INSERT INTO schemas (normalised, schema) VALUES ('"int"', '"int"');
               INSERT INTO versions (subject, version, schema_id)
               SELECT 'infractions-value', 1, id FROM schemas WHERE normalised = '"int"';"#,
        )
        .unwrap();
    let check = place.run("schemas check --format json");
    assert_eq!(check.code, Some(4), "{check:?}");
    let rows = check.json();
    assert_eq!(of(&rows, "infractions-value", "standing"), "incompatible");
    let reason = of(&rows, "infractions-value", "reason").as_str().unwrap().to_owned();
    assert!(reason.contains("the new schema of `infractions-value` cannot read version 1"), "{reason}");
    assert_eq!(of(&rows, "customer-totals-value", "standing"), "missing");
    place.fails("schemas register", 4, "`infractions-value` cannot read version 1");
    place.fails("schemas register", 4, "nothing was registered");
    let rows = place.run("schemas check customer-totals --format json").json();
    assert_eq!(of(&rows, "customer-totals-value", "standing"), "missing");
}

#[test]
fn a_compatible_schema_becomes_the_next_version() {
    let place = with_inputs();
    // As a log that was begun by the first release: the subject has the older version only.
    let older = include_str!("../../schemas/avro/invoice.v1.avsc");
    let registry = registry(&place);
    registry.execute("INSERT INTO schemas (normalised, schema) VALUES ('older', ?1)", [older]).unwrap();
    registry
        .execute(
            "UPDATE versions SET schema_id = (SELECT id FROM schemas WHERE normalised = 'older')
             WHERE subject = 'invoices-value'",
            [],
        )
        .unwrap();
    let check = place.run("schemas check invoices --format json");
    assert_eq!((check.code, &check.json()[0]["standing"]), (Some(5), &"compatible".into()));
    assert_eq!(place.done("schemas register invoices --format json").json()[0]["standing"], "new");
    let list = place.done("schemas list --format json").json();
    let versions = of(&list, "invoices-value", "versions").as_array().unwrap();
    let numbers: Vec<_> = versions.iter().map(|version| version["version"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2]);
    assert_eq!(versions[0]["schema"], serde_json::from_str::<Value>(older).unwrap());
}

#[test]
fn a_list_shows_every_subject_with_its_versions() {
    let place = with_inputs();
    let list = place.done("schemas list");
    let lines: Vec<Vec<&str>> = list.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["SUBJECT", "VERSION", "ID"]);
    let subjects: Vec<&str> = lines[1..].iter().map(|line| line[0]).collect();
    let inputs = ["invoices-value", "owners-value", "radars-value", "readings-value", "vehicles-value"];
    assert_eq!(subjects, inputs);
    assert!(lines[1..].iter().all(|line| line[1] == "1" && line[2].parse::<u32>().is_ok()), "{list:?}");
}

#[test]
fn looking_makes_nothing() {
    let place = Place::new();
    for line in ["schemas check", "schemas list", "schemas register"] {
        assert_eq!(place.run(line).code, Some(5));
    }
    assert!(files(&place.path("")).is_empty(), "nothing was made");
}
