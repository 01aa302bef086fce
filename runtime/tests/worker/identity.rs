//! State is only taken up by the application it belongs to, from the topics it has read; and nobody is disturbed by a mistake.

use tidegate_runtime::driver::TestDriver;
use tidegate_runtime::log::{Cleanup, TopicSpec};
use tidegate_runtime::processor::{Context, Processor};
use tidegate_runtime::store::{KeyValueStore, Store};
use tidegate_runtime::topology::{Source, Topology};
use tidegate_runtime::{BadRecord, Error};

use crate::counting::{PARTITIONS, Place, Running, live, topology, until_end, wait_for};
use crate::refusals::{refusal, used};

/// Does nothing, with a store of this name.
struct Idle(KeyValueStore<Vec<u8>, u64>);

impl Processor for Idle {
    fn process(
        &mut self,
        _source: usize,
        _record: &tidegate_runtime::log::RecordRef<'_>,
        _context: &mut Context<'_>,
    ) -> Result<(), BadRecord> {
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn Store> {
        vec![&mut self.0]
    }
}

/// The application `counting`, made of other things.
fn idle(operator: &str, declared: &[&str], store: &'static str, output: &str) -> Topology {
    Topology::new("counting", operator, declared, move |_| Box::new(Idle(KeyValueStore::new(store))))
        .source(Source::stream("words"))
        .sink(output, r#""bytes""#)
}

fn spec(name: &str, partitions: u32) -> TopicSpec {
    TopicSpec { name: name.to_owned(), partitions, cleanup: Cleanup::Delete }
}

fn make_again(place: &Place, name: &str, partitions: u32) {
    place.log.delete_topic(name).unwrap();
    place.log.create_topics(&[spec(name, partitions)]).unwrap();
}

fn generation(place: &Place) -> Option<i64> {
    let groups = place.log.groups().unwrap();
    groups.into_iter().find(|group| group.group == "counting").unwrap().generation
}

#[test]
fn another_application_is_refused_before_it_disturbs_the_one_that_runs() {
    let mut place = Place::new();
    place.log.create_topics(&[spec("others", PARTITIONS)]).unwrap();
    let running = Running::start(&place.log, live("a"));
    place.write(300);
    wait_for("the output", || place.count_output() == 300);
    let before = generation(&place);
    for (other, part) in [
        (
            idle("guess", &["counts"], "counts", "counts"),
            "of the kind `count`, and was now started as one of the kind `guess`",
        ),
        (
            idle("count", &["guesses"], "guesses", "counts"),
            "kept the stores `counts` before, and now `guesses`",
        ),
        (idle("count", &["counts"], "counts", "others"), "wrote to `counts` before, and now `others`"),
        (topology().parameter("size", "7s"), "now with `size=7s`"),
    ] {
        let text = refusal(Running::start_topology(&place.log, other, live("b")));
        assert!(text.contains(part) && text.contains("reset --app counting"), "{text}");
    }
    assert_eq!(generation(&place), before, "nobody joined the group");
    place.write(200);
    wait_for("the rest of the output", || place.count_output() == 500);
    running.stop().unwrap();
    place.check();
}

#[test]
fn other_inputs_are_refused() {
    let place = used();
    place.log.create_topics(&[spec("letters", PARTITIONS)]).unwrap();
    let other =
        Topology::new("counting", "count", &["counts"], |_| Box::new(Idle(KeyValueStore::new("counts"))));
    let other = other.source(Source::stream("letters")).sink("counts", r#""bytes""#);
    let text = refusal(Running::start_topology(&place.log, other, until_end("a")));
    assert!(text.contains("read `words` before, and now `letters`"), "{text}");
}

#[test]
fn a_topic_that_was_made_again_is_another_one() {
    let mut place = used();
    make_again(&place, "words", PARTITIONS);
    place.write(600);
    let text = refusal(Running::start(&place.log, until_end("a")));
    assert!(text.contains("topic `words` was deleted and created again"), "{text}");
    assert!(text.contains("reset --app counting"), "{text}");
    assert_eq!(place.count_output(), 500, "nothing of it was read");
}

#[test]
fn a_topic_that_is_made_again_ends_the_application_that_reads_it() {
    let mut place = Place::new();
    place.write(100);
    let running = Running::start(&place.log, live("a"));
    wait_for("the output", || place.count_output() == 100);
    make_again(&place, "words", PARTITIONS);
    wait_for("the end", || running.has_ended());
    // It may have looked when there was none.
    let text = refusal(running);
    assert!(text.contains("topic `words` was deleted") && text.contains("reset --app counting"), "{text}");
    let text = refusal(Running::start(&place.log, until_end("a")));
    assert!(text.contains("topic `words` was deleted and created again"), "{text}");
}

#[test]
fn another_output_topic_of_the_same_name_is_no_matter() {
    let mut place = used();
    make_again(&place, "counts", PARTITIONS);
    place.write(50);
    Running::start(&place.log, until_end("a")).wait().unwrap();
    assert_eq!(place.count_output(), 50);
}

#[test]
fn stores_that_are_not_the_declared_ones_are_refused_by_worker_and_driver() {
    for declared in [&[][..], &["other"], &["counts", "more"]] {
        let place = Place::new();
        let mistaken = || idle("count", declared, "counts", "counts");
        let text = refusal(Running::start_topology(&place.log, mistaken(), until_end("a")));
        let expected = format!(
            "declares the stores [{}], and its processor has the stores [counts]",
            declared.join(", ")
        );
        assert!(text.contains(&expected), "{text}");
        let Err(error) = TestDriver::new(mistaken(), 1) else { panic!("the driver ran it") };
        assert!(matches!(&error, Error::Refused { .. }) && error.to_string() == text, "{error}");
    }
}
