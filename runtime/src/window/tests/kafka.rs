//! The cases of Kafka Streams' published tests: their numbers, not their code.
//!
//! Two differences, both by design: our results carry their window's end minus 1 ms where Kafka Streams' carry the last record's time
//! (law 1), and our hopping windows may start before 1970, so those are left out of the comparison.

use super::*;

type Input<'a> = &'a [(&'a str, &'a str, i64)];

fn since_1970(out: &Out) -> bool {
    !out.1.starts_with('-')
}

/// Kafka Streams' tests see every update: a commit after each record.
fn updates(windows: TimeWindows, input: Input<'_>) -> (Vec<Out>, Vec<Late>) {
    let mut harness = Harness::new(windows, Emit::Updates, Chain);
    for (key, text, time) in input {
        harness.push(*time, Some(key), text).unwrap();
        harness.with(|processor, context| processor.before_commit(context));
    }
    (harness.take_out(), harness.take_late())
}

fn finals(windows: TimeWindows, input: Input<'_>) -> Vec<Out> {
    let mut harness = Harness::new(windows, Emit::OnClose, Chain);
    for (key, text, time) in input {
        harness.push(*time, Some(key), text).unwrap();
    }
    harness.take_out()
}

/// `KStreamWindowAggregateTest.testAggBasic`: hopping, out of order, default grace of a day. Their initial `0` is left out.
#[test]
fn agg_basic() {
    let windows = TimeWindows::hopping(10, 5, 86_400_000 - 10).unwrap();
    #[rustfmt::skip]
    let input = [
        ("A", "1", 0), ("B", "2", 1), ("C", "3", 2), ("D", "4", 3), ("A", "1", 4),
        ("A", "1", 5), ("B", "2", 6), ("D", "4", 7), ("B", "2", 8), ("C", "3", 9),
        ("A", "1", 10), ("B", "2", 11), ("D", "4", 12), ("B", "2", 13), ("C", "3", 14),
        ("B", "1", 3), ("B", "2", 2), ("B", "3", 9),
    ];
    #[rustfmt::skip]
    let expected = [
        ("A", 0, 10, "+1"), ("B", 0, 10, "+2"), ("C", 0, 10, "+3"), ("D", 0, 10, "+4"), ("A", 0, 10, "+1+1"),
        ("A", 0, 10, "+1+1+1"), ("A", 5, 15, "+1"),
        ("B", 0, 10, "+2+2"), ("B", 5, 15, "+2"),
        ("D", 0, 10, "+4+4"), ("D", 5, 15, "+4"),
        ("B", 0, 10, "+2+2+2"), ("B", 5, 15, "+2+2"),
        ("C", 0, 10, "+3+3"), ("C", 5, 15, "+3"),
        ("A", 5, 15, "+1+1"), ("A", 10, 20, "+1"),
        ("B", 5, 15, "+2+2+2"), ("B", 10, 20, "+2"),
        ("D", 5, 15, "+4+4"), ("D", 10, 20, "+4"),
        ("B", 5, 15, "+2+2+2+2"), ("B", 10, 20, "+2+2"),
        ("C", 5, 15, "+3+3"), ("C", 10, 20, "+3"),
        ("B", 0, 10, "+2+2+2+1"), ("B", 0, 10, "+2+2+2+1+2"),
        ("B", 0, 10, "+2+2+2+1+2+3"), ("B", 5, 15, "+2+2+2+2+3"),
    ];
    let expected: Vec<Out> =
        expected.iter().map(|(key, start, end, chain)| out(key, *start, *end, chain)).collect();
    let (updates, late) = updates(windows, &input);
    assert_eq!(updates.into_iter().filter(since_1970).collect::<Vec<_>>(), expected);
    assert_eq!(late, []);
}

/// `KStreamWindowAggregateTest.shouldLogAndMeterWhenSkippingExpiredWindow`: windows `[0,10)` of the seven late records are
/// missed, as stream time 100 is just their end plus 90; `[5,15)` still counts.
#[test]
fn skipping_expired_window() {
    let windows = TimeWindows::hopping(10, 5, 90).unwrap();
    #[rustfmt::skip]
    let input = [
        ("k", "100", 100), ("k", "0", 0), ("k", "1", 1), ("k", "2", 2), ("k", "3", 3), ("k", "4", 4), ("k", "5", 5),
        ("k", "6", 6),
    ];
    let (updates, late) = updates(windows, &input);
    let expected = [
        out("k", 95, 105, "+100"),
        out("k", 100, 110, "+100"),
        out("k", 5, 15, "+5"),
        out("k", 5, 15, "+5+6"),
    ];
    assert_eq!(updates, expected);
    let missed = |text: &str| {
        let window = "1970-01-01T00:00:00.000Z/1970-01-01T00:00:00.010Z";
        let headers = [window, "1970-01-01T00:00:00.100Z", "0"].map(str::to_owned);
        ("k".to_owned(), text.to_owned(), headers)
    };
    let late: Vec<Late> =
        late.into_iter().filter(|(_, _, [window, ..])| window.starts_with("1970")).collect();
    assert_eq!(late, ["0", "1", "2", "3", "4", "5", "6"].map(missed));
}

/// `KStreamWindowAggregateTest.shouldLogAndMeterWhenSkippingExpiredWindowByGrace`.
#[test]
fn skipping_expired_window_by_grace() {
    let windows = TimeWindows::hopping(10, 10, 90).unwrap();
    #[rustfmt::skip]
    let input = [
        ("k", "100", 200), ("k", "0", 100), ("k", "1", 101), ("k", "2", 102), ("k", "3", 103), ("k", "4", 104),
        ("k", "5", 105), ("k", "6", 6),
    ];
    let (updates, late) = updates(windows, &input);
    assert_eq!(updates, [out("k", 200, 210, "+100")]);
    let lateness: Vec<_> = late.iter().map(|(_, text, [_, _, ms])| (text.as_str(), ms.as_str())).collect();
    let expected = [("0", "0"), ("1", "0"), ("2", "0"), ("3", "0"), ("4", "0"), ("5", "0"), ("6", "100")];
    assert_eq!(lateness, expected);
    assert_eq!(late[6].2[0], "1970-01-01T00:00:00.000Z/1970-01-01T00:00:00.010Z");
}

/// `SuppressScenarioTest.shouldSupportFinalResultsForTimeWindows`: counts 4 and 1, the last record is out of grace.
#[test]
fn final_results_for_time_windows() {
    let times = [0, 1, 2, 1, 0, 5, 0];
    let input = times.map(|time| ("k1", "v1", time));
    let expected = [out("k1", 0, 2, "+v1+v1+v1+v1"), out("k1", 2, 4, "+v1")];
    assert_eq!(finals(TimeWindows::tumbling(2, 1).unwrap(), &input), expected);
}

/// `SuppressScenarioTest.shouldSupportFinalResultsForTimeWindowsWithLargeJump`: counts 4, 2 and 1.
#[test]
fn final_results_for_time_windows_with_large_jump() {
    let times = [0, 1, 2, 0, 3, 0, 4, 0, 30];
    let input = times.map(|time| ("k1", "v1", time));
    let expected = [out("k1", 0, 2, "+v1+v1+v1+v1"), out("k1", 2, 4, "+v1+v1"), out("k1", 4, 6, "+v1")];
    assert_eq!(finals(TimeWindows::tumbling(2, 2).unwrap(), &input), expected);
}
