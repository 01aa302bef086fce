//! Applications side by side: none writes over the results of another, and a mistaken name or topic is refused with the remedy.

use crate::program::Place;

/// The names of all topics.
fn topics(place: &Place) -> Vec<String> {
    let list = place.done("topics list --format json").json();
    list.iter().map(|row| row["topic"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_command_creates_the_topics_it_uses_and_looks_at_no_others() {
    let place = Place::new();
    place.done("simulate invoices --count 10 --partitions 3");
    assert_eq!(topics(&place), ["invoices", "simulate-invoices-changelog"]);
    place.done("simulate radars --count 10 --partitions 2");
    place.done("process totals --until-end");
    let found = topics(&place);
    assert!(!found.contains(&"infractions".to_owned()), "{found:?}");
    let described = place.done("topics describe customer-totals --format json").json();
    assert_eq!(described[0]["partitions"].as_array().unwrap().len(), 3, "as many as the invoices have");
    place.done("process speeding --until-end");
    let described = place.done("topics describe infractions --format json").json();
    assert_eq!(described[0]["partitions"].as_array().unwrap().len(), 2);
}

#[test]
fn another_application_writes_to_a_topic_of_its_own() {
    let place = Place::with_totals();
    let before = place.records("customer-totals");
    let other = place.done("process totals --app minute --size 1m --until-end");
    assert!(other.err.contains("minute: writes `minute-customer-totals`"), "{}", other.err);
    assert_eq!(place.records("customer-totals"), before);
    assert!(place.records("minute-customer-totals") > 0);
    // It goes on with its topic, also when it is told.
    place.done("process totals --app minute --size 1m --until-end");
    place.done("process totals --app minute --size 1m --until-end --output minute-customer-totals");
    let described = place.done("topics describe minute-customer-totals");
    for part in [
        "shape       that of `customer-totals`",
        "the value's `customer_id`",
        "event time  the value's `window_end`",
    ] {
        assert!(described.out.contains(part), "{}", described.out);
    }
    let tail = place.done("topics tail minute-customer-totals -n 1 --format json").json();
    assert!(
        tail[0]["value"]["window_end"].is_string() || tail[0]["value"]["window_end"].is_number(),
        "{tail:?}"
    );
    place.done("doctor");
    place.done("simulate radars --count 200");
    place.done("process speeding --app others --until-end --output fines");
    assert!(topics(&place).contains(&"fines".to_owned()));
}

#[test]
fn an_output_or_input_that_is_not_what_is_kept_is_refused() {
    let place = Place::with_totals();
    place.fails(
        "process totals --grace 10s --until-end --output other",
        4,
        "wrote to `customer-totals` before, and now to `other`",
    );
    place.done("simulate invoices --count 5 --app more");
    place.fails(
        "process totals --grace 10s --until-end --input nowhere",
        5,
        "topic `nowhere` does not exist",
    );
    place.fails(
        "process totals --until-end --app loop --output invoices",
        4,
        "topic `invoices` is named twice",
    );
    assert!(!topics(&place).contains(&"other".to_owned()), "nothing was made");
}

#[test]
fn another_input_is_read_under_another_name() {
    let place = Place::with_totals();
    let before = place.records("customer-totals");
    // Totals of invoices that stand in a topic of another name: here the totals of another application, which are none.
    place.done("process totals --app strange --until-end --input customer-totals --output strange");
    assert_eq!(place.records("strange-dead-letters"), before);
    place.fails(
        "process totals --app strange --until-end",
        4,
        "read `customer-totals` before, and now `invoices`",
    );
}

#[test]
fn the_name_of_another_kind_of_application_is_refused() {
    let place = Place::with_invoices();
    place.done("simulate radars --count 200");
    place.done("process totals --app x --until-end");
    place.done("process speeding --app y --until-end");
    place.fails(
        "process speeding --app x --until-end",
        4,
        "`x` is of the kind `totals`, and was now started as one of the kind `speeding`",
    );
    place.fails(
        "process totals --app y --until-end",
        4,
        "`y` is of the kind `speeding`, and was now started as one of the kind `totals`",
    );
    place.fails("simulate invoices --app x", 4, "`x` is the name of an application that processes records");
    place.fails("process totals --app simulate-radars --until-end", 4, "of the kind `ingest`");
    place.done("reset --app x --yes");
    place.done("process speeding --app x --until-end");
}
