//! Registrations that come behind the readings they decide (law 18): what is in force in the end is what the oracle says, which sees all of
//! them first. How it came about differs with every run and is not compared.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::files::{table_rows, values};
use crate::place::{Place, rows, tests_path};
use crate::topics::{Kind, compare};

/// The oracle's input, cut where a registration follows a reading.
fn phases() -> Vec<Vec<Value>> {
    let mut phases: Vec<Vec<Value>> = vec![Vec::new()];
    let mut after_a_reading = false;
    for row in rows(&tests_path("golden/corrections/input.jsonl.gz")) {
        let is_reading = row["topic"] == "readings";
        if after_a_reading && !is_reading {
            phases.push(Vec::new());
        }
        after_a_reading = is_reading;
        phases.last_mut().unwrap().push(row);
    }
    phases
}

fn by_id(mut rows: Vec<Value>) -> Vec<Value> {
    rows.sort_by(|one, other| one["infraction_id"].as_str().cmp(&other["infraction_id"].as_str()));
    rows
}

/// The read store against the golden, and against the topic's own last events.
fn in_force_equal(place: &Place) {
    let store = place.path("store.sqlite3");
    let words = ["sink", "sqlite", "--topic", "infractions", "--out", store.to_str().unwrap(), "--until-end"];
    place.run(&words);
    let shown = by_id(table_rows(&store, "infractions"));
    compare("in force", &shown, &values(&rows(&tests_path("golden/corrections/speeding/in-force.jsonl.gz"))));
    let events = values(&place.content("infractions", Kind::Results));
    compare("history", &table_rows(&store, "infraction_history"), &events);
    let mut last = std::collections::BTreeMap::new();
    for event in events {
        last.insert(event["infraction_id"].to_string(), event);
    }
    let in_force: Vec<Value> = last.into_values().filter(|event| event["state"] != "VOIDED").collect();
    compare("the topic's last events", &by_id(in_force), &shown);
}

fn states(place: &Place, state: &str) -> usize {
    let events = values(&place.content("infractions", Kind::Results));
    events.iter().filter(|event| event["state"] == state).count()
}

#[test]
fn infractions_are_corrected_by_registrations_that_come_late() {
    let place = Place::new();
    for phase in phases() {
        place.load(&phase);
        place.run(&["process", "speeding", "--until-end"]);
    }
    in_force_equal(&place);
    assert!(states(&place, "REVISED") > 0 && states(&place, "VOIDED") > 0, "there was something to correct");
    // Another run from the beginning changes no count and no sum: what it issues again replaces what was.
    place.run(&["reset", "--app", "speeding", "--yes"]);
    place.run(&["process", "speeding", "--until-end"]);
    in_force_equal(&place);
}

/// The same while processes run, and are killed wherever they happen to be.
#[test]
fn infractions_are_corrected_under_kills() {
    let place = Place::new();
    let words = ["process", "speeding", "--commit-interval", "5ms", "--session-timeout", "1s"];
    let mut process = place.start(&words);
    for phase in phases() {
        for part in phase.chunks(phase.len().div_ceil(4)) {
            place.load(part);
            let moment = Instant::now() + Duration::from_millis(part.len() as u64 % 97);
            while Instant::now() < moment {
                std::thread::yield_now();
            }
            process.kill();
            process = place.start(&words);
        }
        // The readings are judged before the next registrations come.
        let readings = place.count("readings");
        let deadline = Instant::now() + Duration::from_secs(60);
        while processed(&place) < readings {
            assert!(
                Instant::now() < deadline,
                "{} of {readings} readings within a minute",
                processed(&place)
            );
            std::thread::yield_now();
        }
    }
    process.kill();
    place.run(&["process", "speeding", "--until-end"]);
    in_force_equal(&place);
    assert!(states(&place, "REVISED") > 0 && states(&place, "VOIDED") > 0, "there was something to correct");
}

fn processed(place: &Place) -> i64 {
    let offsets = place.log.committed("speeding").unwrap();
    offsets.iter().filter(|(of, _)| &*of.topic == "readings").map(|(_, offset)| offset.0).sum()
}
