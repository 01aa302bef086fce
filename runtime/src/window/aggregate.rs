//! The windowed aggregation: a [`Processor`] over the window core, for rules a topology's author brings.
//!
//! Promise: laws 2 to 6 hold whatever the rules are. Broken by rules that give different results for the same records: a
//! clock, a random number, the order of a hash map.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::store::{Closed, WindowStore};
use super::table::{UNSAVED, UNSENT};
use super::time_windows::{TimeWindows, Window};
use crate::error::{BadRecord, Reason};
use crate::log::RecordRef;
use crate::processor::{Aside, Context, Processor};
use crate::store::Store;
use crate::time::EventTime;

/// When results are forwarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Emit {
    /// Once, when the window closes: the final result (law 4; Kafka Streams' `suppress(untilWindowCloses)`).
    #[default]
    OnClose,
    /// At every commit, for every key and window changed since the last: running results, as from Kafka Streams' record cache.
    /// Closing a window forwards only what changed in this step, which is then its last result; nothing marks it as final.
    Updates,
}

impl fmt::Display for Emit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Emit::OnClose => "close",
            Emit::Updates => "updates",
        })
    }
}

impl FromStr for Emit {
    type Err = String;

    fn from_str(text: &str) -> Result<Emit, String> {
        match text {
            "close" => Ok(Emit::OnClose),
            "updates" => Ok(Emit::Updates),
            _ => Err(format!("`{text}` is no way to emit; give `close` or `updates`")),
        }
    }
}

/// What every windowed aggregation is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowOptions {
    /// The windows.
    pub windows: TimeWindows,
    /// When results are forwarded.
    pub emit: Emit,
    /// A record of a later time is bad: it would move stream time past everything that follows it.
    pub max_event_time: EventTime,
}

impl WindowOptions {
    /// Final results of `windows`, with the default bound of event time.
    #[must_use]
    pub fn new(windows: TimeWindows) -> WindowOptions {
        WindowOptions { windows, emit: Emit::OnClose, max_event_time: EventTime::DEFAULT_MAX }
    }
}

/// The rules of a windowed aggregation: what a record is worth, and what a result looks like.
///
/// Nothing in here needs to allocate per record: a key is written into a buffer that is used again, an item may borrow
/// from the record, accumulators are changed in place, a result is written behind a buffer.
///
/// ```
/// use tidegate_runtime::log::RecordRef;
/// use tidegate_runtime::time::EventTime;
/// use tidegate_runtime::window::{Aggregation, Window};
/// use tidegate_runtime::{BadRecord, Reason};
///
/// /// How many bytes each sender sent.
/// struct Volume;
///
/// impl Aggregation for Volume {
///     type Item<'r> = &'r [u8];
///     type Accumulator = u64;
///
///     fn read<'r>(
///         &mut self,
///         record: &RecordRef<'r>,
///         key: &mut Vec<u8>,
///     ) -> Result<(EventTime, &'r [u8]), BadRecord> {
///         key.extend_from_slice(record.key().unwrap_or_default());
///         let value = record.value().ok_or_else(|| BadRecord::new(Reason::NullValue, "nothing was sent"))?;
///         Ok((record.time(), value))
///     }
///
///     fn add(&self, sum: &mut u64, item: &&[u8]) {
///         *sum += item.len() as u64;
///     }
///
///     fn write(&mut self, _window: Window, _key: &[u8], sum: &u64, value: &mut Vec<u8>) {
///         value.extend_from_slice(&sum.to_be_bytes());
///     }
/// }
/// ```
pub trait Aggregation: Send {
    /// What a record adds; may borrow from it.
    type Item<'r>;

    /// What a window remembers of a key; begins as its default. Its serde form is its form in the changelog.
    type Accumulator: Default + Serialize + DeserializeOwned + Send;

    /// Reads a record: writes the key it counts under into `key`, which is empty, and gives its event time and what it adds.
    ///
    /// # Errors
    /// If the record is none: it goes to the dead-letter topic and counts nowhere.
    fn read<'r>(
        &mut self,
        record: &RecordRef<'r>,
        key: &mut Vec<u8>,
    ) -> Result<(EventTime, Self::Item<'r>), BadRecord>;

    /// Says whether [`add`](Aggregation::add) can be done. Asked for every window of the record before the first one is changed,
    /// so that a record counts in all of them or in none.
    ///
    /// # Errors
    /// If it cannot: a sum would overflow, a rule forbids it. The record is dead-lettered and does not move stream time.
    fn check(&self, accumulator: &Self::Accumulator, item: &Self::Item<'_>) -> Result<(), BadRecord> {
        let _ = (accumulator, item);
        Ok(())
    }

    /// Adds a record to a window.
    fn add(&self, accumulator: &mut Self::Accumulator, item: &Self::Item<'_>);

    /// Writes a result's value into `value`, which is empty.
    fn write(&mut self, window: Window, key: &[u8], accumulator: &Self::Accumulator, value: &mut Vec<u8>);

    /// The key of a result's record, a part of the key it was counted under: it decides the partition.
    fn result_key<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        key
    }
}

/// Aggregates its source in windows and forwards the results to sink 0.
///
/// A record late for a window goes to the late topic, once per window it missed, with the headers `window` (`start/end`),
/// `stream-time` (both RFC 3339) and `lateness-ms`: the stream time at which it came minus the stream time at which the
/// window closed (end + grace), so 0 is just too late. Counts `windows-closed`, one for each key of a window.
pub struct WindowedAggregate<R: Aggregation> {
    rules: R,
    options: WindowOptions,
    store: WindowStore<R::Accumulator>,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl<R: Aggregation> WindowedAggregate<R> {
    /// Windows by `options` around `rules`; `store` is the name of the state store.
    pub fn new(store: impl Into<String>, options: WindowOptions, rules: R) -> WindowedAggregate<R> {
        let marks = match options.emit {
            Emit::OnClose => UNSAVED,
            Emit::Updates => UNSAVED | UNSENT,
        };
        let store = WindowStore::new(store, options.windows, marks);
        WindowedAggregate { rules, options, store, key: Vec::new(), value: Vec::new() }
    }

    fn close_due(&mut self, now: EventTime, context: &mut Context<'_>) {
        while let Some(closed) = self.store.pop_due(now) {
            self.forward_closed(closed, context);
        }
    }

    fn forward_closed(&mut self, mut closed: Closed<R::Accumulator>, context: &mut Context<'_>) {
        context.count_many("windows-closed", closed.table.len() as u64);
        for at in &mut closed.order {
            let (key, accumulator) = (closed.table.key(at), closed.table.accumulator(at));
            forward(&mut self.rules, closed.window, key, accumulator, &mut self.value, context);
        }
        self.store.finish(closed);
    }

    #[cold]
    fn put_late(&self, record: &RecordRef<'_>, time: EventTime, missed: usize, context: &mut Context<'_>) {
        let now = context.stream_time().unwrap_or(time);
        let (aside, windows) = (Aside::from(record), self.options.windows);
        for window in windows.of(time).take(missed) {
            let lateness_ms = now.0.saturating_sub(windows.closes_at(window).0);
            context.late(
                &aside,
                &[
                    ("window", window.to_string()),
                    ("stream-time", now.to_string()),
                    ("lateness-ms", lateness_ms.to_string()),
                ],
            );
        }
    }
}

impl<R: Aggregation> Processor for WindowedAggregate<R> {
    fn process(
        &mut self,
        _source: usize,
        record: &RecordRef<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), BadRecord> {
        if record.key().is_none() {
            return Err(BadRecord::new(Reason::NullKey, "the record has no key to aggregate by"));
        }
        self.key.clear();
        let (time, item) = self.rules.read(record, &mut self.key)?;
        let max = self.options.max_event_time;
        if time < EventTime(0) || time > max {
            return Err(BadRecord::new(
                Reason::EventTime,
                format!("event time `{time}` is not between `{}` and `{max}`", EventTime(0)),
            ));
        }
        let now = context.stream_time().map_or(time, |now| now.max(time));
        let rules = &self.rules;
        let missed = self.store.add(
            now,
            time,
            &self.key,
            |accumulator| rules.check(accumulator, &item),
            |accumulator| rules.add(accumulator, &item),
        )?;
        context.observe(time);
        self.close_due(now, context);
        if missed > 0 {
            self.put_late(record, time, missed, context);
        }
        Ok(())
    }

    fn time_moved(&mut self, context: &mut Context<'_>) {
        if let Some(now) = context.stream_time() {
            self.close_due(now, context);
        }
    }

    fn input_ended(&mut self, context: &mut Context<'_>) {
        while let Some(closed) = self.store.pop_first() {
            // So that what comes after is late for what is final now (law 5).
            context.observe(self.options.windows.closes_at(closed.window));
            self.forward_closed(closed, context);
        }
    }

    fn holds_results(&self) -> bool {
        self.options.emit == Emit::Updates
    }

    fn before_commit(&mut self, context: &mut Context<'_>) {
        if self.holds_results() {
            let (rules, value) = (&mut self.rules, &mut self.value);
            self.store.take_updates(|window, key, accumulator| {
                forward(rules, window, key, accumulator, value, context);
            });
        }
    }

    fn stores(&mut self) -> Vec<&mut dyn Store> {
        vec![&mut self.store]
    }
}

fn forward<R: Aggregation>(
    rules: &mut R,
    window: Window,
    key: &[u8],
    accumulator: &R::Accumulator,
    value: &mut Vec<u8>,
    context: &mut Context<'_>,
) {
    value.clear();
    rules.write(window, key, accumulator, value);
    context.forward(0, window.result_time(), rules.result_key(key), value);
}
