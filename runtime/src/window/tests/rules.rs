//! The rules one by one: boundaries, refusals, the end of input, updates.

use super::*;
use crate::error::Reason;

fn tumbling(grace_ms: i64) -> Harness<Chain> {
    Harness::new(TimeWindows::tumbling(5_000, grace_ms).unwrap(), Emit::OnClose, Chain)
}

#[test]
fn a_window_takes_records_until_its_end_and_grace() {
    let mut harness = tumbling(1_000);
    for (text, time) in [("first", 0), ("last", 4_999), ("at-end", 5_000), ("end+grace-1", 5_999), ("in", 1)]
    {
        harness.push(time, Some("k"), text).unwrap();
        assert_eq!(harness.take_out(), [], "{text}");
    }
    harness.push(6_000, Some("k"), "end+grace").unwrap();
    assert_eq!(harness.take_out(), [out("k", 0, 5_000, "+first+last+in")]);
    assert_eq!(harness.take_late(), []);
    harness.push(4_999, Some("k"), "late").unwrap();
    harness.push(9_500, Some("j"), "on").unwrap();
    harness.push(0, Some("k"), "later").unwrap();
    let window = "1970-01-01T00:00:00.000Z/1970-01-01T00:00:05.000Z";
    let late = |text: &str, stream_time: &str, ms: &str| {
        ("k".to_owned(), text.to_owned(), [window, stream_time, ms].map(str::to_owned))
    };
    let expected =
        [late("late", "1970-01-01T00:00:06.000Z", "0"), late("later", "1970-01-01T00:00:09.500Z", "3500")];
    assert_eq!(harness.take_late(), expected);
    assert_eq!((harness.counters.get("late"), harness.counters.get("windows-closed")), (2, 1));
    assert_eq!(harness.take_out(), []);
}

#[test]
fn closed_windows_come_in_the_order_of_end_and_key() {
    let mut harness = tumbling(100_000);
    for (key, time) in [("b", 5_000), ("a\u{0}", 0), ("c", 0), ("a", 0), ("", 0), ("a", 5_001), ("z", 20_000)]
    {
        harness.push(time, Some(key), "1").unwrap();
    }
    harness.push(1_000_000, Some("a"), "1").unwrap();
    let order: Vec<_> = harness.take_out().into_iter().map(|(key, _, time)| (time, key)).collect();
    let expected = [
        (4_999, ""),
        (4_999, "a"),
        (4_999, "a\u{0}"),
        (4_999, "c"),
        (9_999, "a"),
        (9_999, "b"),
        (24_999, "z"),
    ];
    assert_eq!(order, expected.map(|(time, key)| (time, key.to_owned())));
}

#[test]
fn the_end_of_input_closes_every_window_for_good() {
    let mut harness = tumbling(1_000);
    harness.push(7_000, Some("k"), "1").unwrap();
    harness.push(6_100, Some("j"), "2").unwrap();
    harness.push(4_999, Some("k"), "missed").unwrap();
    harness.with(|processor, context| processor.input_ended(context));
    assert_eq!(harness.take_out(), [out("j", 5_000, 10_000, "+2"), out("k", 5_000, 10_000, "+1")]);
    assert_eq!(harness.clock.now(), Some(EventTime(11_000)));
    harness.push(9_999, Some("k"), "after").unwrap();
    harness.with(|processor, context| processor.input_ended(context));
    assert_eq!(harness.take_out(), []);
    let late: Vec<_> = harness.take_late().into_iter().map(|(_, text, _)| text).collect();
    assert_eq!(late, ["missed", "after"]);
}

#[test]
fn time_that_moves_alone_closes_what_is_due() {
    let mut harness = tumbling(1_000);
    harness.push(1, Some("k"), "1").unwrap();
    harness.push(5_001, Some("k"), "2").unwrap();
    harness.clock.observe(EventTime(5_999));
    harness.with(|processor, context| processor.time_moved(context));
    assert_eq!(harness.take_out(), []);
    harness.clock.observe(EventTime(6_000));
    harness.with(|processor, context| processor.time_moved(context));
    assert_eq!(harness.take_out(), [out("k", 0, 5_000, "+1")]);
}

#[test]
fn updates_are_one_per_commit_and_none_without_a_change() {
    let windows = TimeWindows::hopping(10, 5, 0).unwrap();
    let mut harness = Harness::new(windows, Emit::Updates, Chain);
    let mut commit = |records: &[(i64, &str, &str)]| {
        for (time, key, text) in records {
            harness.push(*time, Some(key), text).unwrap();
        }
        harness.with(|processor, context| processor.before_commit(context));
        harness.take_out()
    };
    let first = commit(&[(12, "b", "1"), (11, "a", "2"), (14, "b", "3")]);
    let expected =
        [out("a", 5, 15, "+2"), out("b", 5, 15, "+1+3"), out("a", 10, 20, "+2"), out("b", 10, 20, "+1+3")];
    assert_eq!(first, expected);
    assert_eq!(commit(&[]), []);
    // `[5,15)` closes with what changed since: `b` of it was sent already.
    let second = commit(&[(13, "a", "4"), (16, "c", "5")]);
    let expected =
        [out("a", 5, 15, "+2+4"), out("a", 10, 20, "+2+4"), out("c", 10, 20, "+5"), out("c", 15, 25, "+5")];
    assert_eq!(second, expected);
    harness.with(|processor, context| processor.input_ended(context));
    assert_eq!(harness.take_out(), []);
    assert_eq!(harness.counters.get("windows-closed"), 6);
}

#[test]
fn records_without_key_or_time_are_refused() {
    let mut harness = tumbling(0);
    let max = EventTime::DEFAULT_MAX.0;
    assert_eq!(harness.push(1, None, "x").unwrap_err().reason, Reason::NullKey);
    let error = harness.push(-1, Some("k"), "x").unwrap_err();
    assert_eq!(error.reason, Reason::EventTime);
    assert!(error.message.contains("`1969-12-31T23:59:59.999Z`"), "{error}");
    assert_eq!(harness.push(max + 1, Some("k"), "x").unwrap_err().reason, Reason::EventTime);
    assert_eq!(harness.clock.now(), None);
    harness.push(0, Some("k"), "x").unwrap();
    harness.push(max, Some("k"), "x").unwrap();
    assert_eq!(harness.take_out(), [out("k", 0, 5_000, "+x")]);
}

/// Refuses chains of more than two, and `never` even as the first.
struct Short;

impl Aggregation for Short {
    type Item<'r> = &'r str;
    type Accumulator = String;

    fn read<'r>(
        &mut self,
        record: &RecordRef<'r>,
        key: &mut Vec<u8>,
    ) -> Result<(EventTime, &'r str), BadRecord> {
        Chain.read(record, key)
    }

    fn check(&self, chain: &String, item: &&str) -> Result<(), BadRecord> {
        match chain.matches('+').count() {
            0 | 1 if *item != "never" => Ok(()),
            count => Err(BadRecord::new(Reason::Rule, format!("`{item}` does not fit behind `{count}`"))),
        }
    }

    fn add(&self, chain: &mut String, item: &&str) {
        Chain.add(chain, item);
    }

    fn write(&mut self, window: Window, key: &[u8], chain: &String, value: &mut Vec<u8>) {
        Chain.write(window, key, chain, value);
    }

    fn result_key<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        &key[..1]
    }
}

#[test]
fn a_refused_record_counts_nowhere_and_moves_nothing() {
    let mut harness = Harness::new(TimeWindows::hopping(10, 5, 0).unwrap(), Emit::OnClose, Short);
    for (text, time) in [("1", 13), ("2", 14)] {
        harness.push(time, Some("key"), text).unwrap();
    }
    // `[10,20)` is full; `[15,25)` would be new, and stream time would close `[5,15)`.
    assert_eq!(harness.push(17, Some("key"), "3").unwrap_err().reason, Reason::Rule);
    assert_eq!((harness.clock.now(), harness.take_out()), (Some(EventTime(14)), vec![]));
    assert_eq!(harness.push(90, Some("new"), "never").unwrap_err().reason, Reason::Rule);
    harness.with(|processor, context| processor.input_ended(context));
    assert_eq!(harness.take_out(), [out("k", 5, 15, "+1+2"), out("k", 10, 20, "+1+2")]);
}

#[test]
fn ways_to_emit_are_read_as_they_are_written() {
    for emit in [Emit::OnClose, Emit::Updates] {
        assert_eq!(emit.to_string().parse(), Ok(emit));
    }
    let error = "closed".parse::<Emit>().unwrap_err();
    assert_eq!(error, "`closed` is no way to emit; give `close` or `updates`");
}
