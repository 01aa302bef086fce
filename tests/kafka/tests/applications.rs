//! What two applications, and changes to topics, do to an application that runs: nothing that is not said.
#![allow(missing_docs, reason = "tests are read, not published")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should end")]

use tidegate_kafka_tests::clock::{DEADLINE, until};
use tidegate_kafka_tests::cluster::Cluster;
use tidegate_kafka_tests::instances::Process;
use tidegate_kafka_tests::reader::count;
use tidegate_kafka_tests::world::World;

fn world() -> World {
    World::on(Cluster::any, env!("CARGO_BIN_EXE_tidegate-under-test"))
}

/// Totals that have processed the first input.
fn running_totals(world: &World) -> Process {
    world.run("simulate invoices --count 3000");
    let mut totals = world.start("state", "process totals");
    totals.says("running");
    until("some totals", DEADLINE, || count(world.brokers(), "customer-totals") > 0);
    totals
}

#[test]
fn the_name_of_an_application_that_runs_is_refused_before_its_group_is_joined() {
    let world = world();
    let mut totals = running_totals(&world);
    let said = totals.said();
    world
        .start("other", "process speeding --app totals")
        .refuses(4, &["of the kind `totals`", "reset --app totals"]);
    world.start("other", "process totals --size 7s").refuses(4, &["size=7000ms", "reset --app totals"]);
    world.start("other", "process totals --output others").refuses(4, &["to `others`"]);
    assert_eq!(totals.said(), said, "it has kept its tasks");
    let before = count(world.brokers(), "customer-totals");
    world.run("simulate invoices --count 3000 --app more --start 2030-01-01T00:00:00Z");
    until("more totals", DEADLINE, || count(world.brokers(), "customer-totals") > before);
    assert!(!totals.has_ended());
    totals.stop();
}

#[test]
fn partitions_that_are_added_end_the_application_with_what_has_happened() {
    let world = world();
    let totals = running_totals(&world);
    world.behind.add_partitions("invoices", 6);
    let words = ["topic `invoices` had 4 partitions", "and has 6 now", "reset --app totals"];
    totals.refuses(4, &words);
    world.start("state", "process totals").refuses(4, &words);
}

#[test]
fn a_topic_that_is_made_again_ends_the_application_that_reads_it() {
    let world = world();
    let totals = running_totals(&world);
    world.behind.delete_topics(&["invoices"]);
    world.run("simulate invoices --count 4000 --app again");
    // It may have looked when there was none.
    totals.refuses(4, &["topic `invoices` was deleted", "reset --app totals"]);
    let words = ["topic `invoices` was deleted and created again", "reset --app totals"];
    world.start("state", "process totals").refuses(4, &words);
}

/// A command uses its own topics, and no others.
#[test]
fn only_the_topics_that_a_command_uses_are_created() {
    let world = world();
    world.run("simulate invoices --count 10 --partitions 3");
    let mut topics = world.behind.topics();
    topics.sort();
    let ours: Vec<&str> =
        topics.iter().map(String::as_str).filter(|topic| !topic.contains("registry")).collect();
    assert_eq!(ours, ["invoices", "simulate-invoices-changelog"]);
    world.run("simulate radars --count 10 --partitions 2");
    world.run("process totals --until-end --app minute");
    let topics = world.behind.topics();
    assert!(topics.iter().any(|topic| topic == "minute-customer-totals"), "{topics:?}");
    assert!(!topics.iter().any(|topic| topic == "customer-totals" || topic == "infractions"), "{topics:?}");
}
