//! Properties against a slow obvious oracle: it keeps all records and recomputes every window from them.
//!
//! It shares no code with the core: it finds windows by trying every start, decides for each record by the stream time of the records
//! up to it, and closes windows by comparing the stream times before and after each record.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::task::{Context as Polling, Poll, Waker};

use proptest::prelude::*;
use tokio_stream::Stream;

use super::restore::{Fate, Fates, any_fates};
use super::*;

/// Sizes of windows, as plain numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    size: i64,
    advance: i64,
    grace: i64,
    offset: i64,
}

impl Sizes {
    pub(super) fn windows(self) -> TimeWindows {
        TimeWindows::hopping(self.size, self.advance, self.grace).unwrap().with_offset(self.offset)
    }

    fn starts_of(self, time: i64) -> impl Iterator<Item = i64> {
        let holds = move |start: &i64| (start - self.offset).rem_euclid(self.advance) == 0;
        (time - self.size + 1..=time).filter(holds)
    }
}

pub(super) fn any_sizes() -> impl Strategy<Value = Sizes> {
    (1_i64..30, 1_i64..30, prop_oneof![Just(0), 0_i64..40], -50_i64..50)
        .prop_map(|(size, advance, grace, offset)| Sizes { size, advance: advance.min(size), grace, offset })
}

/// Records of few keys, in order by and large, with jumps and stragglers.
pub(super) fn any_records(first: i64) -> impl Strategy<Value = Vec<(i64, String)>> {
    let step = prop_oneof![6 => 0_i64..6, 3 => -40_i64..0, 1 => 0_i64..300];
    prop::collection::vec((step, prop::sample::select(vec!["a", "b", "ab", ""])), 0..60).prop_map(
        move |steps| {
            let mut at = first;
            let mut next = |(step, key): (i64, &str)| {
                at += step;
                (at, key.to_owned())
            };
            steps.into_iter().map(&mut next).collect()
        },
    )
}

/// What must come out of some records: results and late records in sequence, and the stream time at the end.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Expected {
    pub(super) results: Vec<Out>,
    /// Text of the record, start of the window, stream time.
    pub(super) late: Vec<(String, i64, i64)>,
}

pub(super) fn expected(sizes: Sizes, records: &[(i64, String)]) -> Expected {
    let mut expected = Expected::default();
    let stream_time = |upto: usize| records[..upto].iter().map(|(time, _)| *time).max();
    let mut admitted: BTreeMap<(i64, String), String> = BTreeMap::new();
    for (index, (time, key)) in records.iter().enumerate() {
        let now = stream_time(index + 1).unwrap();
        for start in sizes.starts_of(*time) {
            if start + sizes.size > now - sizes.grace {
                let chain = admitted.entry((start, key.clone())).or_default();
                *chain = format!("{chain}+{index}");
            } else {
                expected.late.push((index.to_string(), start, now));
            }
        }
    }
    // A window's records are all in before it closes: closing can be computed afterwards.
    for upto in 1..=records.len() + 1 {
        let before = stream_time(upto - 1).unwrap_or(i64::MIN);
        let now = if upto > records.len() { i64::MAX } else { stream_time(upto).unwrap() };
        for ((start, key), chain) in &admitted {
            let closes_at = start + sizes.size + sizes.grace;
            if before < closes_at && closes_at <= now {
                expected.results.push(out(key, *start, start + sizes.size, chain));
            }
        }
    }
    expected
}

/// Runs the operator over all records, with commits, kills and restores where `fates` says.
fn run(sizes: Sizes, emit: Emit, records: &[(i64, String)], fates: &Fates) -> (Vec<Out>, Vec<Late>) {
    let harness = Harness::new(sizes.windows(), emit, Chain);
    let mut fated = Fate::new(harness, fates.clone());
    while let Some(index) = fated.next_record(records.len()) {
        let (time, key) = &records[index];
        fated.harness.push(*time, Some(key), &index.to_string()).unwrap();
        fated.after_record(|| Harness::new(sizes.windows(), emit, Chain));
    }
    fated.harness.with(|processor, context| processor.input_ended(context));
    fated.commit();
    (fated.committed_out, fated.committed_late)
}

fn written(sizes: Sizes, (text, start, now): &(String, i64, i64), key: &str) -> Late {
    let window = Window { start: EventTime(*start), end: EventTime(start + sizes.size) };
    let lateness = now - (start + sizes.size + sizes.grace);
    let headers = [window.to_string(), EventTime(*now).to_string(), lateness.to_string()];
    (key.to_owned(), text.clone(), headers)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Laws 2, 3, 4, 6 and 11: final results and late records are those of the oracle, in sequence, wherever commits and kills fell.
    #[test]
    fn final_results_are_those_of_the_oracle(
        sizes in any_sizes(), records in any_records(100), fates in any_fates(),
    ) {
        prop_assume!(records.iter().all(|(time, _)| *time >= 0));
        let expected = expected(sizes, &records);
        let (results, late) = run(sizes, Emit::OnClose, &records, &fates);
        prop_assert_eq!(results, expected.results);
        let key = |text: &str| records[text.parse::<usize>().unwrap()].1.as_str();
        let expected: Vec<Late> =
            expected.late.iter().map(|missed| written(sizes, missed, key(&missed.0))).collect();
        prop_assert_eq!(late, expected);
    }

    /// Under `--emit updates` the last value of each key and window is the final one, and no value is sent twice.
    #[test]
    fn last_updates_are_those_of_the_oracle(
        sizes in any_sizes(), records in any_records(100), fates in any_fates(),
    ) {
        prop_assume!(records.iter().all(|(time, _)| *time >= 0));
        let expected = expected(sizes, &records);
        let (updates, late) = run(sizes, Emit::Updates, &records, &fates);
        prop_assert_eq!(late.len(), expected.late.len());
        let distinct: BTreeSet<_> = updates.iter().collect();
        prop_assert_eq!(distinct.len(), updates.len());
        let last = |outs: &[Out]| -> BTreeMap<(i64, String), String> {
            outs.iter().map(|(key, value, time)| ((*time, key.clone()), value.clone())).collect()
        };
        prop_assert_eq!(last(&updates), last(&expected.results));
    }

    /// The adapter follows the same rules, before 1970 too.
    #[test]
    fn a_windowed_stream_gives_what_the_oracle_does(
        sizes in any_sizes(), records in any_records(-200), pending in prop::collection::vec(any::<bool>(), 60),
    ) {
        let expected = expected(sizes, &records);
        let items = Hesitant { records: records.clone(), pending, next: 0 };
        let mut stream = windowed(items, sizes.windows(), |chain: &mut String, index: &usize| {
            *chain = format!("{chain}+{index}");
        });
        let (mut results, mut late) = (Vec::new(), Vec::new());
        loop {
            match Pin::new(&mut stream).poll_next(&mut Polling::from_waker(Waker::noop())) {
                Poll::Pending => {}
                Poll::Ready(None) => break,
                Poll::Ready(Some(WindowEvent::Closed { window, key, value })) => {
                    results.push(out(&text(&key), window.start.0, window.end.0, &value));
                }
                Poll::Ready(Some(WindowEvent::Late { missed, stream_time, item })) => {
                    late.extend(missed.iter().map(|w| (item.item.to_string(), w.start.0, stream_time.0)));
                }
            }
        }
        prop_assert_eq!(Expected { results, late }, expected);
    }
}

/// A stream that is not always ready.
struct Hesitant {
    records: Vec<(i64, String)>,
    pending: Vec<bool>,
    next: usize,
}

impl Stream for Hesitant {
    type Item = Timestamped<String, usize>;

    fn poll_next(self: Pin<&mut Self>, _cx: &mut Polling<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.pending.pop() == Some(true) {
            return Poll::Pending;
        }
        let Some((time, key)) = this.records.get(this.next).cloned() else { return Poll::Ready(None) };
        this.next += 1;
        Poll::Ready(Some(Timestamped { time: EventTime(time), key, item: this.next - 1 }))
    }
}
