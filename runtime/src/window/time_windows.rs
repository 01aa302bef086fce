//! Which windows a time falls into: pure arithmetic on event time.
//!
//! Promise (law 2): windows are `[start, end)`, aligned to the epoch plus an offset, for times before 1970 too; a time
//! falls into every window that holds it and into no other. Nothing in here overflows: a window that would reach past the range
//! of `i64` is cut off there, so that the very last millisecond, `i64::MAX`, counts as late when there is no grace.
//!
//! Unlike Kafka Streams, whose windows never start before 1970, a hopping window may: whoever feeds times of the first
//! `size` milliseconds of 1970 sees the windows that began before it.

use std::fmt;

use crate::time::EventTime;

/// A span of event time, half open: `[start, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// The first time in it.
    pub start: EventTime,
    /// The first time behind it.
    pub end: EventTime,
}

impl Window {
    /// The record time of its results: its last millisecond (law 1).
    #[must_use]
    pub fn result_time(self) -> EventTime {
        self.end.plus_ms(-1)
    }
}

impl fmt::Display for Window {
    /// `start/end`, both RFC 3339.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.start, self.end)
    }
}

/// Sizes that make no windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WindowsError {
    /// The size is zero or negative.
    #[error("window size `{0} ms` is not positive; give at least `1 ms`")]
    Size(i64),
    /// The advance is zero, negative, or greater than the size.
    #[error("window advance `{advance_ms} ms` does not fit; give `1 ms` up to the size, `{size_ms} ms`")]
    Advance {
        /// What was asked for.
        advance_ms: i64,
        /// Its upper bound.
        size_ms: i64,
    },
    /// The grace is negative.
    #[error("window grace `{0} ms` is negative; give `0 ms` or more")]
    Grace(i64),
    /// Size and grace together are past the range of event time.
    #[error(
        "window size `{size_ms} ms` and grace `{grace_ms} ms` together are out of range; give less grace"
    )]
    Range {
        /// The size.
        size_ms: i64,
        /// The grace.
        grace_ms: i64,
    },
    /// Every record would count in more windows than is sane.
    #[error(
        "window size `{size_ms} ms` by advance `{advance_ms} ms` puts each record into more than \
         {max} windows; give a longer advance", max = TimeWindows::PER_RECORD_MAX
    )]
    TooMany {
        /// The size.
        size_ms: i64,
        /// The advance.
        advance_ms: i64,
    },
}

/// Windows of one size, one every `advance`, that wait for late records for `grace`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeWindows {
    size_ms: i64,
    advance_ms: i64,
    grace_ms: i64,
    /// In `0..advance_ms`.
    offset_ms: i64,
}

impl TimeWindows {
    /// The most windows a record may fall into: a day hopping by ten seconds is 8 640 of them; what asks for more has most
    /// likely mistaken a unit, and would pay this number of updates for every record.
    pub const PER_RECORD_MAX: i64 = 10_000;

    /// Windows side by side.
    ///
    /// # Errors
    /// If `size_ms` is not positive, `grace_ms` is negative, or both together are out of range.
    pub fn tumbling(size_ms: i64, grace_ms: i64) -> Result<TimeWindows, WindowsError> {
        if size_ms <= 0 {
            return Err(WindowsError::Size(size_ms));
        }
        TimeWindows::hopping(size_ms, size_ms, grace_ms)
    }

    /// Windows that overlap: one starts every `advance_ms`.
    ///
    /// # Errors
    /// As [`tumbling`](TimeWindows::tumbling), and if `advance_ms` is not in `1..=size_ms` or so short that a record would
    /// fall into more than [`PER_RECORD_MAX`](TimeWindows::PER_RECORD_MAX) windows.
    pub fn hopping(size_ms: i64, advance_ms: i64, grace_ms: i64) -> Result<TimeWindows, WindowsError> {
        if size_ms <= 0 {
            return Err(WindowsError::Size(size_ms));
        }
        if advance_ms <= 0 || advance_ms > size_ms {
            return Err(WindowsError::Advance { advance_ms, size_ms });
        }
        if grace_ms < 0 {
            return Err(WindowsError::Grace(grace_ms));
        }
        if size_ms.checked_add(grace_ms).is_none() {
            return Err(WindowsError::Range { size_ms, grace_ms });
        }
        if (size_ms - 1) / advance_ms >= TimeWindows::PER_RECORD_MAX {
            return Err(WindowsError::TooMany { size_ms, advance_ms });
        }
        Ok(TimeWindows { size_ms, advance_ms, grace_ms, offset_ms: 0 })
    }

    /// The same windows, aligned to the epoch plus `offset_ms`.
    #[must_use]
    pub fn with_offset(self, offset_ms: i64) -> TimeWindows {
        TimeWindows { offset_ms: offset_ms.rem_euclid(self.advance_ms), ..self }
    }

    /// How long a window is.
    #[must_use]
    pub fn size_ms(&self) -> i64 {
        self.size_ms
    }

    /// How far apart two windows start.
    #[must_use]
    pub fn advance_ms(&self) -> i64 {
        self.advance_ms
    }

    /// How long after its end a window still takes records, in stream time.
    #[must_use]
    pub fn grace_ms(&self) -> i64 {
        self.grace_ms
    }

    /// The alignment against the epoch, in `0..advance`.
    #[must_use]
    pub fn offset_ms(&self) -> i64 {
        self.offset_ms
    }

    /// The windows `time` falls into, earliest first.
    pub fn of(self, time: EventTime) -> impl DoubleEndedIterator<Item = Window> {
        let span = self.span(time);
        (span.first..=span.last).map(move |number| self.window(number))
    }

    /// The stream time from which `window` is closed: its end plus the grace. Until then it takes records.
    #[must_use]
    pub fn closes_at(&self, window: Window) -> EventTime {
        window.end.plus_ms(self.grace_ms)
    }

    /// The window that starts at `offset + number × advance`. Numbers follow the order of ends, and stay apart where
    /// windows at the edge of the range are cut off at the same end.
    pub(super) fn window(&self, number: i64) -> Window {
        let start = i128::from(number) * i128::from(self.advance_ms) + i128::from(self.offset_ms);
        Window { start: clamped(start), end: clamped(start + i128::from(self.size_ms)) }
    }

    /// The numbers of the windows `time` falls into, with all the times that share them.
    pub(super) fn span(&self, time: EventTime) -> Span {
        let (size, advance, time) = (self.size_ms, self.advance_ms, time.0);
        let last = time.div_euclid(advance) - i64::from(time.rem_euclid(advance) < self.offset_ms);
        // How far into the last window's advance: windows that started up to `whole` advances earlier still hold it, and one
        // more does in the first `part` milliseconds.
        let phase = (time.rem_euclid(advance) - self.offset_ms).rem_euclid(advance);
        let (whole, part) = (size / advance, size % advance);
        let (count, from, through) =
            if phase < part { (whole + 1, phase, part - 1) } else { (whole, phase - part, advance - 1) };
        let first = last.saturating_sub(count - 1);
        Span {
            from: time.saturating_sub(from),
            through: time.saturating_add(through - phase),
            first,
            last,
            first_closes_at: self.closes_at(self.window(first)),
        }
    }
}

/// A run of times that fall into the same windows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    from: i64,
    through: i64,
    /// The earliest of the windows.
    pub(super) first: i64,
    /// The latest of the windows.
    pub(super) last: i64,
    /// When the earliest one closes: before that, none is missed.
    pub(super) first_closes_at: EventTime,
}

impl Span {
    /// Covers no time.
    pub(super) const NONE: Span =
        Span { from: 1, through: 0, first: 1, last: 0, first_closes_at: EventTime(i64::MIN) };

    #[inline]
    pub(super) fn covers(&self, time: EventTime) -> bool {
        self.from <= time.0 && time.0 <= self.through
    }
}

fn clamped(ms: i128) -> EventTime {
    let least = i128::from(i64::MIN);
    EventTime(i64::try_from(ms).unwrap_or(if ms < least { i64::MIN } else { i64::MAX }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(windows: TimeWindows, time: i64) -> Vec<(i64, i64)> {
        windows.of(EventTime(time)).map(|window| (window.start.0, window.end.0)).collect()
    }

    /// The numbers of `TimeWindowsTest`: `shouldComputeWindowsForHoppingWindows`, `…ForBarelyOverlappingHoppingWindows`,
    /// `…ForTumblingWindows`.
    #[test]
    fn the_windows_of_kafka_streams() {
        let cases = [
            (12, 5, 21, vec![(10, 22), (15, 27), (20, 32)]),
            (6, 5, 7, vec![(5, 11)]),
            (12, 12, 21, vec![(12, 24)]),
        ];
        for (size, advance, time, expected) in cases {
            assert_eq!(of(TimeWindows::hopping(size, advance, 0).unwrap(), time), expected);
        }
    }

    /// `TimeWindowsTest`: `windowSizeMustNotBeZero`, `…BeNegative`, `advanceIntervalMustNotBeZero`, `…BeNegative`,
    /// `…BeLargerThanWindowSize`, `gracePeriodShouldEnforceBoundaries`; and the bounds of our own.
    #[test]
    fn sizes_that_make_no_windows_are_refused() {
        use WindowsError as E;
        let cases = [
            (0, 0, 0, E::Size(0)),
            (-1, -1, 0, E::Size(-1)),
            (123, 0, 0, E::Advance { advance_ms: 0, size_ms: 123 }),
            (123, -1, 0, E::Advance { advance_ms: -1, size_ms: 123 }),
            (123, 124, 0, E::Advance { advance_ms: 124, size_ms: 123 }),
            (3, 3, -1, E::Grace(-1)),
            (3, 3, i64::MAX - 2, E::Range { size_ms: 3, grace_ms: i64::MAX - 2 }),
            (10_001, 1, 0, E::TooMany { size_ms: 10_001, advance_ms: 1 }),
        ];
        for (size, advance, grace, expected) in cases {
            assert_eq!(TimeWindows::hopping(size, advance, grace), Err(expected), "{size} {advance} {grace}");
        }
        assert_eq!(TimeWindows::tumbling(0, 0), Err(E::Size(0)));
        for (size, advance, grace) in [(3, 3, 0), (123, 4, 1_024), (10_000, 1, 0), (1, 1, i64::MAX - 1)] {
            let windows = TimeWindows::hopping(size, advance, grace).unwrap();
            assert_eq!((windows.size_ms(), windows.advance_ms(), windows.grace_ms()), (size, advance, grace));
        }
    }

    #[test]
    fn errors_name_value_and_remedy() {
        let error = TimeWindows::hopping(5_000, 6_000, 0).unwrap_err().to_string();
        assert_eq!(error, "window advance `6000 ms` does not fit; give `1 ms` up to the size, `5000 ms`");
    }

    #[test]
    fn windows_at_the_edge_of_the_range_are_cut_off() {
        let hopping = TimeWindows::hopping(20, 10, 0).unwrap();
        let (min, max) = (i64::MIN, i64::MAX);
        assert_eq!(of(hopping, max), [(max - 17, max), (max - 7, max)]);
        assert_eq!(of(hopping, min), [(min, min + 8), (min, min + 18)]);
        let long = TimeWindows::tumbling(max, 0).unwrap();
        assert_eq!(of(long, max - 1), [(0, max)]);
        assert_eq!(of(long, -max), [(-max, 0)]);
        let fine = TimeWindows::hopping(3, 1, 0).unwrap();
        assert_eq!(of(fine, min).len(), 1);
    }

    #[test]
    fn a_window_is_written_as_an_interval() {
        let window =
            TimeWindows::tumbling(5_000, 0).unwrap().of(EventTime(1_477_291_049_000)).next().unwrap();
        assert_eq!(window.to_string(), "2016-10-24T06:37:25.000Z/2016-10-24T06:37:30.000Z");
        assert_eq!(window.result_time(), EventTime(1_477_291_049_999));
    }

    proptest! {
        /// Against the definition: every aligned start within one size before the time.
        #[test]
        fn a_time_falls_into_the_windows_that_hold_it(
            size in 1_i64..60, advance in 1_i64..60, offset in -200_i64..200, time in -500_i64..500, far in any::<bool>(),
        ) {
            let windows = TimeWindows::hopping(size, advance.min(size), 0).unwrap().with_offset(offset);
            let (advance, time) = (windows.advance_ms(), if far { time + (1 << 61) } else { time });
            let expected: Vec<_> = (time - size + 1..=time)
                .filter(|start| (start - offset).rem_euclid(advance) == 0)
                .map(|start| (start, start + size))
                .collect();
            prop_assert_eq!(of(windows, time), expected);
        }

        /// Every time of a span has its windows, the next ones on either side do not.
        #[test]
        fn a_span_is_as_long_as_its_windows_are_shared(
            size in 1_i64..60, advance in 1_i64..60, offset in -200_i64..200, time in -500_i64..500,
        ) {
            let windows = TimeWindows::hopping(size, advance.min(size), 0).unwrap().with_offset(offset);
            let span = windows.span(EventTime(time));
            prop_assert!(span.covers(EventTime(time)));
            for shared in span.from..=span.through {
                prop_assert_eq!(of(windows, shared), of(windows, time));
            }
            prop_assert_ne!(of(windows, span.from - 1), of(windows, time));
            prop_assert_ne!(of(windows, span.through + 1), of(windows, time));
        }

        #[test]
        fn no_time_overflows(size in 1..=i64::MAX, hops in 1_i64..10_000, offset in any::<i64>(), time in any::<i64>()) {
            if let Ok(windows) = TimeWindows::hopping(size, (size / hops).max(1), 0) {
                let mut ends = windows.with_offset(offset).of(EventTime(time)).map(|window| window.end);
                prop_assert!(ends.next_back().is_some_and(|end| end.0 > time || end.0 == i64::MAX));
            }
        }
    }
}
