//! What a simulation is asked for, checked before the first record.

use std::fmt;
use std::str::FromStr;

/// 2024-01-01T00:00:00Z: when simulations begin unless told otherwise. Not now: a simulation reads no clock.
pub const DEFAULT_START_MS: i64 = 1_704_067_200_000;

/// Simulated event times end here, 2100-01-01T00:00:00Z: later ones would be dead-lettered (law 14).
const MAX_EVENT_TIME_MS: i64 = 4_102_444_800_000;

/// Registrations and late records need room before the first record.
const MIN_START_MS: i64 = 400 * 86_400_000;

/// An option that no simulation can be made of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("option `{option}` is `{value}`; {remedy}")]
pub struct OptionError {
    /// Its name on the command line, without dashes.
    pub option: &'static str,
    /// What was given.
    pub value: String,
    /// What would do.
    pub remedy: &'static str,
}

impl OptionError {
    pub(crate) fn new(option: &'static str, value: impl fmt::Display, remedy: &'static str) -> OptionError {
        OptionError { option, value: value.to_string(), remedy }
    }
}

/// A share of all records, in parts of ten thousand: exact, and written as `0.05` or `5%`. One that was read may be more than all of
/// them: it can be read, and no simulation can be made of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// All of them.
    pub const WHOLE: Share = Share(10_000);

    /// `parts` of ten thousand.
    ///
    /// # Errors
    /// If that is more than all.
    pub fn of_ten_thousand(parts: u32) -> Result<Share, OptionError> {
        if parts > Share::WHOLE.0 {
            return Err(OptionError::new("share", parts, "give at most 10000 parts of 10000"));
        }
        Ok(Share(parts))
    }

    /// The share in parts of ten thousand.
    #[must_use]
    pub fn parts(self) -> u32 {
        self.0
    }
}

impl FromStr for Share {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Share, OptionError> {
        const REMEDY: &str = "give a share from 0 to 1 with up to four decimals, or a percentage like `5%`";
        let fail = || OptionError::new("share", text, REMEDY);
        let (number, decimals) = match text.strip_suffix('%') {
            Some(percent) => (percent.trim_end(), 2),
            None => (text, 4),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        // More digits than a share has could only be an overflow.
        if whole.is_empty()
            || whole.len() > 6
            || !digits(whole)
            || !digits(fraction)
            || fraction.len() > decimals
        {
            return Err(fail());
        }
        let scaled = format!("{whole}{fraction:0<decimals$}");
        scaled.parse().map(Share).map_err(|_| fail())
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02} %", self.0 / 100, self.0 % 100)
    }
}

/// How many records take which detour; no record takes two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// Event time 1 to 9 s back: within a grace of 10 s.
    pub out_of_order: Share,
    /// Event time 2 to 10 minutes back.
    pub late: Share,
    /// Written again, up to 20 records later.
    pub duplicates: Share,
    /// Broken in one of the ways of [`Fault`](crate::Fault).
    pub malformed: Share,
}

impl Shares {
    pub(crate) fn check(&self) -> Result<(), OptionError> {
        let sum = self.out_of_order.0 + self.late.0 + self.duplicates.0 + self.malformed.0;
        if sum > Share::WHOLE.0 {
            let sum = format!("{}.{:02} %", sum / 100, sum % 100);
            return Err(OptionError::new(
                "out-of-order, late, duplicates, malformed",
                sum,
                "together they take at most 100 %, for no record takes two of them",
            ));
        }
        Ok(())
    }
}

/// Where event times begin and how they go on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    start_ms: i64,
    per_second: u32,
}

impl Pace {
    /// Checks that `count` records from `start_ms` on have event times in bounds.
    pub(crate) fn new(start_ms: i64, per_second: u32, count: u64) -> Result<Pace, OptionError> {
        if per_second == 0 {
            return Err(OptionError::new("rate", 0, "give at least 1 record per second"));
        }
        if start_ms < MIN_START_MS {
            let remedy = "give a time after 1971-02-05: registrations come before it";
            return Err(OptionError::new("start", start_ms, remedy));
        }
        let span_ms = u128::from(count) * 1_000 / u128::from(per_second);
        let room_ms = u128::try_from(MAX_EVENT_TIME_MS.saturating_sub(start_ms)).unwrap_or(0);
        if span_ms >= room_ms {
            let remedy =
                "fewer records, a higher rate or an earlier start: event times end with the year 2099";
            return Err(OptionError::new("count", count, remedy));
        }
        Ok(Pace { start_ms, per_second })
    }

    pub(crate) fn start_ms(self) -> i64 {
        self.start_ms
    }

    /// The event time of record `index`.
    pub(crate) fn time_ms(self, index: u64) -> i64 {
        let after_ms = u128::from(index) * 1_000 / u128::from(self.per_second);
        self.start_ms.saturating_add(i64::try_from(after_ms).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_exactly() {
        for (text, parts) in [
            ("0", 0),
            ("0.05", 500),
            ("5%", 500),
            ("5 %", 500),
            ("0.0001", 1),
            ("0.01%", 1),
            ("1", 10_000),
            ("1.0000", 10_000),
            ("100%", 10_000),
        ] {
            assert_eq!(text.parse(), Ok(Share(parts)), "{text}");
        }
        for text in ["", "%", "-0.1", "0.00001", "5e-2", ".5", "0,5", "9999999", "0.0.1"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
        for (text, parts) in [("1.0001", 10_001), ("150%", 15_000)] {
            assert_eq!(text.parse(), Ok(Share(parts)), "{text} can be read, and is refused later");
        }
        let error = "x".parse::<Share>().unwrap_err().to_string();
        assert_eq!(
            error,
            "option `share` is `x`; give a share from 0 to 1 with up to four decimals, or a percentage like `5%`"
        );
        assert_eq!(Share(512).to_string(), "5.12 %");
    }

    #[test]
    fn shares_of_more_than_all_are_refused() {
        assert!(Shares { late: Share(15_000), ..Shares::default() }.check().is_err());
        let half = Share(5_000);
        assert_eq!(Shares { out_of_order: half, late: half, ..Shares::default() }.check(), Ok(()));
        assert!(
            Shares { out_of_order: half, late: half, malformed: Share(1), ..Shares::default() }
                .check()
                .is_err()
        );
    }

    #[test]
    fn times_follow_the_rate_without_drift() {
        let pace = Pace::new(DEFAULT_START_MS, 3, 10).unwrap();
        let times: Vec<_> = (0..4).map(|index| pace.time_ms(index) - DEFAULT_START_MS).collect();
        assert_eq!(times, [0, 333, 666, 1_000]);
        assert_eq!(pace.time_ms(3_000_000) - DEFAULT_START_MS, 1_000_000_000);
    }

    #[test]
    fn event_times_out_of_bounds_are_refused() {
        assert_eq!(Pace::new(0, 1, 1).unwrap_err().option, "start");
        assert_eq!(Pace::new(DEFAULT_START_MS, 0, 1).unwrap_err().option, "rate");
        assert_eq!(Pace::new(DEFAULT_START_MS, 1, u64::MAX).unwrap_err().option, "count");
        assert_eq!(Pace::new(i64::MAX, 1, 1).unwrap_err().option, "count");
    }
}
