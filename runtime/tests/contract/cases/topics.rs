//! Topics: made whole or not at all, found again, trimmed, searched by time, removed.

use tidegate_runtime::Error;
use tidegate_runtime::log::{Cleanup, Log, Offset, TopicSpec, Watermarks};
use tidegate_runtime::time::EventTime;

use super::home::*;

pub(crate) fn what_is_made_is_found(home: &dyn Home) {
    let log = home.open();
    assert_eq!(log.topics().unwrap(), []);
    let compact = TopicSpec { cleanup: Cleanup::Compact, ..spec("b", 3) };
    log.create_topics(&[compact.clone(), spec("a", 1)]).unwrap();
    log.create_topics(&[spec("a", 1), compact, spec("c-._9", 2)]).unwrap();
    let found = home.open().topics().unwrap();
    let shapes: Vec<_> = found.iter().map(|info| (&*info.name, info.partitions, info.cleanup)).collect();
    assert_eq!(
        shapes,
        [("a", 1, Cleanup::Delete), ("b", 3, Cleanup::Compact), ("c-._9", 2, Cleanup::Delete)]
    );
    assert_eq!(log.topic("b").unwrap(), Some(found[1].clone()));
    assert_eq!(log.topic("d").unwrap(), None);
}

pub(crate) fn another_shape_of_a_topic_is_refused_and_nothing_is_made(home: &dyn Home) {
    let log = home.open();
    topic(&*log, "t", 4);
    let compact = TopicSpec { cleanup: Cleanup::Compact, ..spec("t", 4) };
    for (wrong, words) in [(spec("t", 6), ["4", "6"]), (compact, ["delete", "compact"])] {
        let error = log.create_topics(&[spec("new", 1), wrong]).unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("`t`") && words.iter().all(|word| text.contains(word)), "{text}");
        assert_eq!(log.topics().unwrap().len(), 1);
    }
}

pub(crate) fn a_name_no_home_could_carry_is_refused(home: &dyn Home) {
    let log = home.open();
    let long = "x".repeat(250);
    for name in ["", ".", "..", "a b", "a/b", "ä", &long] {
        let error = log.create_topics(&[spec("fine", 1), spec(name, 1)]).unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "`{name}`: {error}");
    }
    log.create_topics(&[spec("none", 0)]).unwrap_err();
    assert_eq!(log.topics().unwrap(), []);
    log.create_topics(&[spec(&long[1..], 1)]).unwrap();
}

pub(crate) fn an_unknown_topic_is_named(home: &dyn Home) {
    let log = home.open();
    topic(&*log, "t", 1);
    for unknown in [at("nowhere", 0), at("t", 1)] {
        let errors = [
            log.watermarks(&unknown).unwrap_err(),
            log.watermarks_of(&[at("t", 0), unknown.clone()]).unwrap_err(),
            log.offset_at_time(&unknown, EventTime(0)).unwrap_err(),
            log.trim(&unknown, Offset(0)).unwrap_err(),
        ];
        for error in errors {
            let named = matches!(&error, Error::UnknownTopic(name) if name.starts_with(&*unknown.topic));
            assert!(named, "{error}");
        }
        let mut worker = Worker::new(log.reader(1 << 20).unwrap());
        worker.consumer.seek(unknown, Offset(0));
        let error = worker.error();
        assert!(matches!(error, Error::UnknownTopic(_)), "{error}");
    }
    log.delete_topic("nowhere").unwrap_err();
    let Err(error) = log.subscribe(&subscription("g", "m", &["t", "nowhere"], home.session_timeout_ms()))
    else {
        panic!("subscribed to a topic that does not exist")
    };
    assert!(matches!(&error, Error::UnknownTopic(name) if name == "nowhere"), "{error}");
}

pub(crate) fn watermarks_follow_the_records(home: &dyn Home) {
    let log = home.open();
    topic(&*log, "t", 2);
    let ends = |partition| log.watermarks(&at("t", partition)).unwrap();
    assert_eq!(ends(0), Watermarks { low: Offset(0), high: Offset(0) });
    write(&*log, "t", 0, 0..10);
    let last = read_from(&*log, "t", 0, 0).last().unwrap().0;
    assert!(ends(0).high > Offset(last));
    assert_eq!(ends(1), Watermarks { low: Offset(0), high: Offset(0) });
    let asked = [at("t", 1), at("t", 0)];
    assert_eq!(log.watermarks_of(&asked).unwrap(), [ends(1), ends(0)], "in the order of the question");
    assert_eq!(log.watermarks_of(&[]).unwrap(), []);
}

pub(crate) fn a_trim_removes_what_lies_before_and_nothing_after(home: &dyn Home) {
    let log = home.open();
    topic(&*log, "t", 1);
    for start in 0..10 {
        write(&*log, "t", 0, start * 10..start * 10 + 10);
    }
    let all = read_from(&*log, "t", 0, 0);
    for kept in [all[35].0, all[50].0] {
        log.trim(&at("t", 0), Offset(kept)).unwrap();
        let low = log.watermarks(&at("t", 0)).unwrap().low;
        assert!(low > Offset(0) && low <= Offset(kept), "{low}");
        let expected: Vec<_> = all.iter().filter(|record| record.0 >= low.0).cloned().collect();
        assert_eq!(read_from(&*log, "t", 0, low.0), expected);
        // A reader from before sees where the gap ends.
        let mut worker = Worker::new(log.reader(1 << 20).unwrap());
        worker.consumer.seek(at("t", 0), Offset(1));
        let chunk = worker.chunk();
        assert_eq!((chunk.from, seen(&chunk)[0].0), (Offset(1), low.0));
    }
    log.trim(&at("t", 0), Offset(all[10].0)).unwrap();
    assert!(log.watermarks(&at("t", 0)).unwrap().low >= Offset(all[35].0), "a trim never goes back");
    let high = log.watermarks(&at("t", 0)).unwrap().high;
    log.trim(&at("t", 0), high).unwrap();
    assert_eq!(log.watermarks(&at("t", 0)).unwrap(), Watermarks { low: high, high });
    write(&*log, "t", 0, [7]);
    assert_eq!(times(&*log, "t", 0), [7]);
    log.trim(&at("t", 0), Offset(high.0 + 1_000)).unwrap_err();
}

pub(crate) fn a_position_past_the_end_is_refused_with_both_ends(home: &dyn Home) {
    let log = home.open();
    topic(&*log, "t", 1);
    write(&*log, "t", 0, 0..3);
    // What ends the transaction may take an offset, a moment after the commit.
    assert_eq!(read_from(&*log, "t", 0, 0).len(), 3);
    let mut worker = Worker::new(log.reader(1 << 20).unwrap());
    worker.consumer.seek(at("t", 0), Offset(4_711));
    let error = worker.error();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    let (text, high) = (error.to_string(), log.watermarks(&at("t", 0)).unwrap().high);
    assert!(text.contains("4711") && text.contains(&high.to_string()), "{text}");
}

pub(crate) fn a_time_is_found_at_the_first_record_that_has_reached_it(home: &dyn Home) {
    let log = home.open();
    topic(&*log, "t", 1);
    let part = at("t", 0);
    assert_eq!(log.offset_at_time(&part, EventTime(0)).unwrap(), Offset(0));
    // Out of order, within a batch and over batches.
    for batch in [vec![10, 30, 20], vec![15, 40], vec![5, 6], vec![50, 35]] {
        write(&*log, "t", 0, batch);
    }
    let all = read_from(&*log, "t", 0, 0);
    let high = log.watermarks(&part).unwrap().high;
    let check = |from: i64| {
        for time in 0..60 {
            let first = all.iter().find(|record| record.0 >= from && record.1 >= time);
            let expected = first.map_or(high, |record| Offset(record.0));
            assert_eq!(log.offset_at_time(&part, EventTime(time)).unwrap(), expected, "time {time}");
        }
    };
    check(0);
    // The greatest time of the first batch is now in its trimmed part.
    log.trim(&part, Offset(all[2].0)).unwrap();
    check(log.watermarks(&part).unwrap().low.0);
}

pub(crate) fn a_deleted_topic_takes_its_records_and_offsets_along(home: &dyn Home) {
    let log = home.open();
    log.create_topics(&[spec("t", 1), spec("u", 1)]).unwrap();
    write(&*log, "t", 0, 0..10);
    write(&*log, "u", 0, 0..10);
    let mut producer = log.producer("p").unwrap();
    producer.commit(Some(&offsets("g", None, &[(at("t", 0), 5), (at("u", 0), 6)]))).unwrap();
    log.delete_topic("t").unwrap();
    assert_eq!(log.topic("t").unwrap(), None);
    assert_eq!(committed(&*log, "g"), [(at("u", 0), 6)].into());
    topic(&*log, "t", 1);
    assert!(times(&*log, "t", 0).is_empty());
    assert_eq!(times(&*log, "u", 0).len(), 10);
}

pub(crate) fn a_topic_keeps_its_id_and_one_made_again_has_another(home: &dyn Home) {
    let log = home.open();
    log.create_topics(&[spec("t", 2), spec("u", 1)]).unwrap();
    let id = |log: &dyn Log, name: &str| log.topic(name).unwrap().unwrap().id.expect("a topic has an id");
    let (first, other) = (id(&*log, "t"), id(&*log, "u"));
    assert_ne!(first, other);
    write(&*log, "t", 0, 0..3);
    log.create_topics(&[spec("t", 2)]).unwrap();
    let again = home.open();
    assert_eq!(id(&*again, "t"), first, "the same topic, whoever asks");
    let listed: Vec<_> = again.topics().unwrap().into_iter().map(|info| info.id).collect();
    assert_eq!(listed, [Some(first.clone()), Some(other.clone())]);
    log.delete_topic("t").unwrap();
    topic(&*log, "t", 2);
    let second = id(&*log, "t");
    assert!(second != first && second != other, "{second}");
    assert_eq!(id(&*home.open(), "t"), second);
    assert_eq!(id(&*log, "u"), other);
}
