use tidegate_runtime::Error;
use tidegate_runtime::log::{GroupOffsets, Offset, TopicPartition};
use tidegate_runtime::task::ErrorBudget;
use tidegate_runtime::worker::WorkerOptions;

use crate::counting::{Place, Running, start_of, topology, until_end};

pub(crate) fn refusal(running: Running) -> String {
    match running.wait().unwrap_err() {
        error @ Error::Refused { .. } => error.to_string(),
        error => panic!("refused was expected, not: {error}"),
    }
}

/// A place where one bounded run has been.
pub(crate) fn used() -> Place {
    let mut place = Place::new();
    place.write(500);
    Running::start(&place.log, until_end("a")).wait().unwrap();
    place
}

#[test]
fn other_parameters_under_the_same_name() {
    let place = used();
    let other = topology().parameter("size", "7s");
    let text = refusal(Running::start_topology(&place.log, other, until_end("a")));
    assert!(text.contains("`size=7s`") && text.contains("reset --app counting"), "{text}");
}

#[test]
fn group_offsets_that_were_moved_behind_our_back() {
    let place = used();
    let mut producer = place.log.producer("somebody").unwrap();
    let moved = GroupOffsets {
        group: "counting".to_owned(),
        membership: None,
        offsets: (0..4).map(start_of).collect(),
    };
    producer.commit(Some(&moved)).unwrap();
    let text = refusal(Running::start(&place.log, until_end("a")));
    assert!(text.contains("stands at words["), "{text}");
}

#[test]
fn group_offsets_without_a_changelog() {
    let place = used();
    let changelog = place.log.topic("counting-changelog").unwrap().unwrap();
    place.log.delete_topic(&changelog.name).unwrap();
    let text = refusal(Running::start(&place.log, until_end("a")));
    assert!(
        text.contains("`counting-changelog` is missing") && text.contains("reset --app counting"),
        "{text}"
    );
    for topic in ["counting-dead-letters", "counting-late", "counting-duplicates"] {
        place.log.delete_topic(topic).unwrap();
    }
    let text = refusal(Running::start(&place.log, until_end("a")));
    assert!(text.contains("its group has positions"), "{text}");
}

#[test]
fn a_changelog_that_was_emptied_is_no_first_start() {
    let place = used();
    place.log.delete_group("counting").unwrap();
    for partition in 0..4 {
        let changelog = TopicPartition::new("counting-changelog", partition);
        let high = place.log.watermarks(&changelog).unwrap().high;
        place.log.trim(&changelog, high).unwrap();
    }
    let text = refusal(Running::start(&place.log, until_end("a")));
    assert!(text.contains("was emptied") && text.contains("reset --app counting"), "{text}");
    assert_eq!(place.count_output(), 500, "nothing was counted again");
}

#[test]
fn one_task_whose_changelog_was_emptied_is_refused() {
    let place = used();
    place.log.delete_group("counting").unwrap();
    let changelog = TopicPartition::new("counting-changelog", 2);
    let high = place.log.watermarks(&changelog).unwrap().high;
    place.log.trim(&changelog, high).unwrap();
    let text = refusal(Running::start(&place.log, until_end("a")));
    assert!(text.contains("`counting-changelog[2]` was emptied"), "{text}");
}

#[test]
fn missing_group_offsets_are_taken_from_the_changelog() {
    let mut place = used();
    place.log.delete_group("counting").unwrap();
    place.write(300);
    Running::start(&place.log, until_end("a")).wait().unwrap();
    place.check();
}

#[test]
fn a_changelog_whose_beginning_was_removed() {
    let mut place = used();
    place.write(100);
    Running::start(&place.log, until_end("a")).wait().unwrap();
    for partition in 0..4 {
        let changelog = TopicPartition::new("counting-changelog", partition);
        place.log.trim(&changelog, Offset(1)).unwrap();
    }
    let error = Running::start(&place.log, until_end("a")).wait().unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    assert!(error.to_string().starts_with("counting-changelog["), "{error}");
}

#[test]
fn too_many_dead_letters_stop_the_task_until_they_are_accepted() {
    let place = Place::new();
    let good = (b"k".to_vec(), b"good".as_slice());
    let bad = (b"k".to_vec(), b"bad".as_slice());
    place.append(&[good.clone(), bad.clone(), good.clone(), bad.clone(), bad.clone(), good.clone()]);
    let strict = WorkerOptions { error_budget: Some(ErrorBudget { most: 2, among: 10 }), ..until_end("a") };
    let text = refusal(Running::start(&place.log, strict.clone()));
    assert!(text.contains("--max-errors 2/10"), "{text}");
    assert_eq!(place.count_output(), 2, "what came before is committed");
    assert_eq!(place.read("counting-dead-letters").len(), 3);
    let text = refusal(Running::start(&place.log, strict.clone()));
    assert!(text.contains("--accept-errors"), "{text}");
    let accepting = WorkerOptions { accept_errors: true, ..strict };
    Running::start(&place.log, accepting).wait().unwrap();
    assert_eq!(place.count_output(), 3);
    assert_eq!(place.read("counting-dead-letters").len(), 3);
}
