//! What vanishes or changes behind the program's back: state directories, changelogs, offsets.
//!
//! State comes back from the changelog (law 10). Offsets and changelogs that contradict each other are refused with the remedy (law 8).

use std::path::Path;
use std::time::Instant;

use tidegate_kafka_tests::instances::Process;
use tidegate_kafka_tests::job::Job;
use tidegate_kafka_tests::segment::{Batch, Place, damage};

use crate::world;

const REMEDY: &str = "reset --app totals";

/// Half of the input processed and committed by instances that have left.
fn half_done(job: &Job<'_>) {
    let feeder = job.feed(2_000);
    let process = job.start("0");
    feeder.reach(job.rows() / 2);
    job.back_at_work(&job.positions().now(), Instant::now());
    feeder.finish();
    process.stop();
}

#[test]
fn a_state_directory_that_is_deleted_comes_back_from_the_changelog() {
    let world = world();
    let job = Job::totals(&world);
    let feeder = job.feed(400);
    for life in 1..=3 {
        let process = job.start("0");
        feeder.reach(life * 1_100);
        job.back_at_work(&job.positions().now(), Instant::now());
        if life % 2 == 0 {
            process.kill()
        } else {
            process.stop()
        }
        std::fs::remove_dir_all(world.path("state-0")).unwrap();
    }
    feeder.finish();
    job.finish(2);
    job.check();
}

/// A backup that was put back: what it says of the past is true, and the log has what came after it.
#[test]
fn a_state_directory_of_an_earlier_time_is_only_a_beginning() {
    let world = world();
    let job = Job::totals(&world);
    let feeder = job.feed(400);
    let (state, earlier) = (world.path("state-0"), world.path("earlier"));
    for life in 1..=3 {
        let process = job.start("0");
        feeder.reach(life * 1_100);
        job.back_at_work(&job.positions().now(), Instant::now());
        process.kill();
        if life == 1 {
            copy_folder(&state, &earlier);
        } else {
            std::fs::remove_dir_all(&state).unwrap();
            copy_folder(&earlier, &state);
        }
    }
    feeder.finish();
    job.finish(2);
    job.check();
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy_folder(&path, &to.join(name));
        } else {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

#[test]
fn offsets_of_the_group_reset_behind_our_back_are_refused() {
    let world = world();
    let job = Job::totals(&world);
    half_done(&job);
    let committed = world.behind.committed("totals", "invoices")[&1];
    for elsewhere in [0, committed - 1, committed + 1] {
        world.behind.set_committed("totals", "invoices", 1, elsewhere);
        Process::start(job.processor("0", "--until-end")).refuses(4, &["invoices[1]", REMEDY]);
    }
    world.behind.set_committed("totals", "invoices", 1, committed);
    job.finish(2);
    job.check();
}

/// Expired with the group's retention: the changelog knows them.
#[test]
fn a_group_that_is_forgotten_goes_on_from_its_changelog() {
    let world = world();
    let job = Job::totals(&world);
    half_done(&job);
    world.behind.delete_group("totals");
    job.finish(2);
    job.check();
}

#[test]
fn a_changelog_that_was_trimmed_behind_our_back_is_noticed() {
    let world = world();
    let job = Job::totals(&world);
    half_done(&job);
    let (low, high) = world.behind.watermarks("totals-changelog", 2);
    assert!(high - low > 2, "there is something to trim");
    world.behind.trim("totals-changelog", 2, high - 2);
    Process::start(job.processor("elsewhere", "--until-end"))
        .refuses(1, &["totals-changelog[2]", "reset --app"]);
    // Who has a copy of what is gone misses nothing.
    Process::start(job.processor("0", "--until-end")).finish();
    job.finish(0);
    job.check();
}

/// All of it: an empty changelog beside the group's offsets is no first start.
#[test]
fn a_changelog_that_was_emptied_behind_our_back_is_noticed() {
    let world = world();
    let job = Job::totals(&world);
    half_done(&job);
    let high = world.behind.watermarks("totals-changelog", 2).1;
    world.behind.trim("totals-changelog", 2, high);
    Process::start(job.processor("0", "--until-end"))
        .refuses(4, &["`totals-changelog[2]` was emptied", REMEDY]);
    // Nor without the group's offsets.
    world.behind.delete_group("totals");
    Process::start(job.processor("0", "--until-end"))
        .refuses(4, &["`totals-changelog[2]` was emptied", REMEDY]);
}

#[test]
fn a_changelog_that_was_deleted_behind_our_back_is_noticed() {
    let world = world();
    let job = Job::totals(&world);
    half_done(&job);
    world.behind.delete_topics(&["totals-changelog"]);
    Process::start(job.processor("0", "--until-end")).refuses(4, &["`totals-changelog` is missing", REMEDY]);
}

#[test]
fn a_record_that_is_no_block_in_a_changelog_is_named() {
    let world = world();
    let job = Job::totals(&world);
    half_done(&job);
    let at = world.behind.watermarks("totals-changelog", 3).1;
    world.behind.append("totals-changelog", 3, b"no block");
    Process::start(job.processor("0", "--until-end"))
        .refuses(1, &[&format!("totals-changelog[3]@{at}"), "damaged"]);
}

#[test]
fn a_changelog_damaged_on_the_brokers_disk_is_named() {
    let places = [(Batch::Last, Place::Records), (Batch::First, Place::Records), (Batch::Last, Place::Magic)];
    for (batch, place) in places {
        let world = world();
        let job = Job::totals(&world);
        half_done(&job);
        let (low, _) = world.behind.watermarks("totals-changelog", 3);
        damage(&world.cluster.files_of("totals-changelog", 3), low, batch, place);
        println!("{batch:?} {place:?}");
        // With its copy it would not read the first.
        std::fs::remove_dir_all(world.path("state-0")).unwrap();
        Process::start(job.processor("0", "--until-end")).refuses(1, &["totals-changelog[3]@", "damaged"]);
    }
}

/// The copies go before the topics: as long as there is anything left, the command can be given again.
#[test]
fn a_reset_that_failed_half_way_is_finished_by_the_next() {
    let world = world();
    let job = Job::totals(&world);
    half_done(&job);
    let copies = world.path("state-0").join("state/totals");
    assert!(copies.join("0").is_dir(), "there are copies");
    let aside = world.path("aside");
    std::fs::rename(&copies, &aside).unwrap();
    std::fs::write(&copies, "in the way").unwrap();
    let reset = || world.start("state-0", "reset --app totals --yes");
    reset().refuses(6, &["could not remove", "state/totals"]);
    std::fs::remove_file(&copies).unwrap();
    std::fs::rename(&aside, &copies).unwrap();
    reset().finish();
    assert!(!copies.exists());
    let own = |topic: &String| topic.starts_with("totals-");
    assert!(!world.behind.topics().iter().any(own));
}
