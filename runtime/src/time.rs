//! Event time: where it comes from, how it is written, and how stream time follows it.
//!
//! Promise: nothing in here reads a clock. Stream time only moves forward, and only when told to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The moment something happened, in UTC milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventTime(pub i64);

impl EventTime {
    /// 2100-01-01T00:00:00Z, the default upper bound of event time: one absurd record would otherwise
    /// move stream time past everything that follows it.
    pub const DEFAULT_MAX: EventTime = EventTime(4_102_444_800_000);

    /// This time moved by `ms`; saturates at the ends of the range.
    #[must_use]
    #[inline]
    pub fn plus_ms(self, ms: i64) -> EventTime {
        EventTime(self.0.saturating_add(ms))
    }
}

impl fmt::Display for EventTime {
    /// RFC 3339 in UTC, to the millisecond: `2016-10-24T06:37:29.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0.div_euclid(86_400_000);
        let ms_of_day = self.0.rem_euclid(86_400_000);
        let (year, month, day) = civil_from_days(days);
        let (hour, minute) = (ms_of_day / 3_600_000, ms_of_day / 60_000 % 60);
        let (second, ms) = (ms_of_day / 1_000 % 60, ms_of_day % 1_000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

/// Days since 1970-01-01 to a proleptic Gregorian date, by Howard Hinnant's era arithmetic.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// The greatest event time an operator has seen in its task (law 2); nothing before the first record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamTime(Option<EventTime>);

impl StreamTime {
    /// The greatest event time seen so far.
    #[must_use]
    #[inline]
    pub fn now(self) -> Option<EventTime> {
        self.0
    }

    /// Takes note of a record's time; true if stream time moved.
    #[inline]
    pub fn observe(&mut self, time: EventTime) -> bool {
        let moved = self.0.is_none_or(|now| time > now);
        if moved {
            self.0 = Some(time);
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_time_is_written_as_rfc_3339() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_477_291_049_000, "2016-10-24T06:37:29.000Z"),
            (4_102_444_800_000, "2100-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(EventTime(ms).to_string(), text);
        }
    }

    #[test]
    fn stream_time_never_goes_back() {
        let mut time = StreamTime::default();
        assert!(time.observe(EventTime(5)));
        assert!(!time.observe(EventTime(5)));
        assert!(!time.observe(EventTime(3)));
        assert_eq!(time.now(), Some(EventTime(5)));
    }
}
