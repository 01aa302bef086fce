//! Groups, instances, reset.

use crate::program::{Place, files, until};

#[test]
fn a_group_shows_its_positions_lag_and_members() {
    let place = Place::with_totals();
    place.done("simulate invoices --count 50 --app more");
    let groups = place.done("groups totals --format json").json();
    let partitions = groups[0]["partitions"].as_array().unwrap();
    let sum = |field: &str| partitions.iter().map(|row| row[field].as_u64().unwrap()).sum::<u64>();
    assert_eq!(sum("lag_records"), 50);
    assert_eq!(sum("end"), place.records("invoices"));
    assert_eq!(sum("offset") + 50, place.records("invoices"));
    let text = place.done("groups").out;
    assert!(text.contains("group totals: 0 members"), "{text}");
    assert!(text.contains("LAG_OFFSETS"), "{text}");
}

#[test]
fn an_application_that_runs_is_shown_with_its_member_and_cannot_be_reset() {
    let place = Place::with_totals();
    let _running = place.start("process totals --grace 10s");
    let member = || {
        let groups = place.done("groups totals --format json").json();
        let owners = groups[0]["partitions"]
            .as_array()?
            .iter()
            .map(|row| row["member"].as_str())
            .collect::<Option<Vec<_>>>()?;
        owners.iter().all(|owner| *owner == "totals.0.0").then_some(())
    };
    until("the member", || member().is_some());
    place.fails("reset --app totals --yes", 4, "`totals` runs as `totals.0.0`; stop it first");
}

#[test]
fn a_reset_forgets_positions_state_and_own_topics_together() {
    let place = Place::with_totals();
    let results = place.records("customer-totals");
    place.fails("reset --app totals", 2, "add --yes to do it");
    assert!(place.records("totals-changelog") > 0, "nothing was touched");
    place.done("reset --app totals --yes");
    place.fails("topics describe totals-changelog", 5, "`totals-changelog`");
    place.fails("groups totals", 5, "`totals`");
    place.done("process totals --grace 10s --until-end");
    assert_eq!(place.records("customer-totals"), 2 * results, "it began from the start");
}

#[test]
fn a_second_process_takes_the_next_instance_and_a_restart_the_same() {
    let place = Place::with_invoices();
    let _first = place.start("process totals");
    until("the first instance", || place.path("tidegate-data/instances/totals.0.lock").exists());
    let mut second = place.start("process totals");
    until("the second instance", || place.path("tidegate-data/instances/totals.1.lock").exists());
    second.signal("KILL");
    until("its end", || second.has_ended());
    place.fails("process totals --instance-id 0", 4, "instance `0` of `totals` runs already");
    let _restarted = place.start("process totals");
    until("both members", || {
        let groups = place.done("groups totals --format json").json();
        groups[0]["members"].as_array().is_some_and(|members| {
            members.iter().map(|member| member["member"].as_str().unwrap()).eq(["totals.0.0", "totals.1.0"])
        })
    });
    assert_eq!(files(&place.path("tidegate-data/instances")), ["totals.0.lock", "totals.1.lock"]);
}
