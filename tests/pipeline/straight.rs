use std::path::{Path, PathBuf};

use crate::files::{as_csv, csv_rows, table_rows, values};
use crate::place::{Place, rows, tests_path};
use crate::topics::{Kind, compare};

fn totals_equal(place: &Place, golden: &str) {
    place.compare("customer-totals", Kind::Results, &format!("{golden}/customer-totals.jsonl.gz"));
    place.compare("totals-late", Kind::Late, &format!("{golden}/late.jsonl.gz"));
    place.compare("totals-dead-letters", Kind::DeadLetters, &format!("{golden}/dead-letters.jsonl.gz"));
}

pub(crate) fn infractions_equal(place: &Place) {
    let golden = |name: &str| format!("readings-derivative/speeding/{name}.jsonl.gz");
    place.compare("infractions", Kind::Results, &golden("infractions"));
    place.compare("speeding-late", Kind::Late, &golden("late"));
    place.compare("speeding-duplicates", Kind::Duplicates, &golden("duplicates"));
    place.compare("speeding-dead-letters", Kind::DeadLetters, &golden("dead-letters"));
}

/// `discounts.jsonl.gz` of the oracle against the output store of the nightly batch.
fn discounts_equal(store: &Path, golden: &str) {
    let mut expected = rows(&tests_path("golden").join(golden).join("discounts.jsonl.gz"));
    let query = "SELECT invoice_id, discount_minor, remaining_minor FROM discounts ORDER BY invoice_id";
    let database = rusqlite::Connection::open(store).unwrap();
    let mut statement = database.prepare(query).unwrap();
    let found = statement.query_map([], |row| {
        Ok(serde_json::json!({
            "invoice_id": row.get::<_, String>(0)?,
            "discount_minor": row.get::<_, i64>(1)?,
            "remaining_minor": row.get::<_, i64>(2)?,
        }))
    });
    let found: Vec<_> = found.unwrap().map(Result::unwrap).collect();
    for row in &mut expected {
        row.as_object_mut()
            .unwrap()
            .retain(|name, _| ["invoice_id", "discount_minor", "remaining_minor"].contains(&name.as_str()));
    }
    expected.sort_by(|a, b| a["invoice_id"].as_str().cmp(&b["invoice_id"].as_str()));
    compare("discounts", &found, &expected);
}

fn discount(place: &Place, date: &str, golden: &str) {
    let (store, out) = (place.path("store.sqlite3"), place.path("discounts.sqlite3"));
    let (store, out) = (store.to_str().unwrap(), out.to_str().unwrap());
    place.run(&["sink", "sqlite", "--topic", "invoices", "--out", store, "--until-end"]);
    let arguments =
        ["batch", "discount", "--date", date, "--zone", "Europe/London", "--from", store, "--out", out];
    place.run(&arguments);
    discounts_equal(Path::new(out), golden);
    // Again: nothing is discounted twice. With another percentage or zone: refused, and nothing is changed.
    place.run(&arguments);
    for (percent, zone) in [("50", "Europe/London"), ("30", "UTC")] {
        let other = ["batch", "discount", "--date", date, "--from", store, "--out", out];
        let errors = place.ends(4, &[&other[..], &["--percent", percent, "--zone", zone]].concat());
        assert!(errors.contains("run it with `--percent 30 --zone Europe/London`"), "{errors}");
    }
    discounts_equal(Path::new(out), golden);
}

fn replay_retail(file: &Path, golden: &str) -> Place {
    let place = Place::new();
    place.run(&["replay", "invoices", "--from", file.to_str().unwrap()]);
    place.run(&["process", "totals", "--until-end"]);
    totals_equal(&place, golden);
    place
}

#[test]
fn retail_excerpt() {
    let place =
        replay_retail(&tests_path("data/online-retail-2010-12-01-to-08.csv.gz"), "retail-excerpt/totals");
    discount(&place, "2010-12-01", "retail-excerpt/discount-2010-12-01");
}

#[test]
fn retail_derivative_with_every_setting_of_the_windows() {
    for (size, advance, grace) in [(5_000, 5_000, 0), (5_000, 5_000, 2_000), (10_000, 5_000, 2_000)] {
        let place = Place::loaded("golden/invoices-derivative/input.jsonl.gz");
        let ms = |ms: i32| format!("{ms}ms");
        place.run(&[
            "process",
            "totals",
            "--until-end",
            "--size",
            &ms(size),
            "--advance",
            &ms(advance),
            "--grace",
            &ms(grace),
        ]);
        totals_equal(&place, &format!("invoices-derivative/size-{size}-advance-{advance}-grace-{grace}"));
    }
}

#[test]
fn running_results_end_in_the_final_ones() {
    let place = Place::loaded("golden/invoices-derivative/input.jsonl.gz");
    place.run(&["process", "totals", "--until-end", "--emit", "updates", "--commit-interval", "10ms"]);
    let mut last = std::collections::BTreeMap::new();
    for row in place.content("customer-totals", Kind::Results) {
        let value = &row["value"];
        let of =
            (value["customer_id"].to_string(), value["currency"].to_string(), value["window_start"].as_i64());
        last.insert(of, row["value"].clone());
    }
    let golden = "golden/invoices-derivative/size-5000-advance-5000-grace-0/customer-totals.jsonl.gz";
    let mut expected = values(&rows(&tests_path(golden)));
    expected.sort_by_key(|value| {
        (value["customer_id"].to_string(), value["currency"].to_string(), value["window_start"].as_i64())
    });
    let found: Vec<_> = last.into_values().collect();
    compare("last results", &found, &expected);
}

#[test]
fn discount_of_the_retail_derivative() {
    let place = Place::loaded("golden/invoices-derivative/input.jsonl.gz");
    discount(&place, "2010-12-01", "invoices-derivative/discount-2010-12-01");
}

#[test]
fn readings_derivative_and_its_sinks() {
    let place = Place::loaded("golden/readings-derivative/input.jsonl.gz");
    place.run(&["process", "speeding", "--until-end"]);
    infractions_equal(&place);
    let (files, store) = (place.path("csv"), place.path("store.sqlite3"));
    let (files, store) = (files.to_str().unwrap(), store.to_str().unwrap());
    place.run(&[
        "sink",
        "csv",
        "--topic",
        "infractions",
        "--out",
        files,
        "--segment-records",
        "100",
        "--until-end",
    ]);
    place.run(&["sink", "sqlite", "--topic", "infractions", "--out", store, "--until-end"]);
    let golden = rows(&tests_path("golden/readings-derivative/speeding/infractions.jsonl.gz"));
    compare("CSV", &csv_rows(Path::new(files)), &as_csv(&golden, &["measured_at"]));
    compare("read store", &table_rows(Path::new(store), "infractions"), &values(&golden));
}

/// The plates are the program's choice, so the golden names the lines of the file: a reading's sequence.
fn moers_over_the_limit(file: &Path, golden: &str) {
    let place = Place::new();
    place.run(&["replay", "radars", "--from", file.to_str().unwrap()]);
    place.run(&["process", "speeding", "--until-end"]);
    let mut found = values(&place.content("infractions", Kind::Results));
    let mut expected = rows(&tests_path("golden").join(golden).join("over.jsonl.gz"));
    let order =
        |value: &serde_json::Value| (value["measured_at"].as_i64(), value["measured_speed_kmh"].as_i64());
    found.sort_by_key(order);
    expected.sort_by_key(order);
    for row in &mut expected {
        row.as_object_mut().unwrap().remove("line");
    }
    compare("infractions", &found, &expected);
    for topic in ["speeding-late", "speeding-duplicates", "speeding-dead-letters"] {
        assert_eq!(place.count(topic), 0, "{topic}");
    }
}

#[test]
fn moers_excerpt() {
    moers_over_the_limit(&tests_path("data/moers-2016-10-24.txt"), "moers-excerpt");
}

/// The folder with the whole real files, where there is one: elsewhere the excerpts have to do.
fn real_files() -> Option<PathBuf> {
    std::env::var_os("TIDEGATE_DATA").map(PathBuf::from)
}

#[test]
fn retail_whole() {
    let Some(folder) = real_files() else { return };
    let place = replay_retail(&folder.join("online-retail.csv.gz"), "retail-full/totals");
    assert_eq!(place.count("invoices"), 25_900);
    discount(&place, "2011-10-30", "retail-full/discount-2011-10-30");
}

#[test]
fn moers_whole() {
    let Some(folder) = real_files() else { return };
    moers_over_the_limit(&folder.join("moers-roemerstrasse-30kmh.txt"), "moers-full");
}
