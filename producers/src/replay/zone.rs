//! Local times of a file to UTC.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

/// A place's time zone, from the database compiled in.
pub(super) struct Zone(TimeZone);

/// A local time in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) utc_ms: i64,
    /// The clock showed this time twice; the first one is taken.
    pub(super) ambiguous: bool,
}

impl Zone {
    /// The zone `name` of the IANA database; `None` only if the compiled-in database lacks it.
    pub(super) fn named(name: &str) -> Option<Zone> {
        TimeZone::get(name).ok().map(Zone)
    }

    /// What `text` means by `format` (as in strftime) in this zone; `None` if it fits neither the format nor the clock: an
    /// hour that was left out in spring never was.
    pub(super) fn moment(&self, format: &str, text: &str) -> Option<Moment> {
        let local = DateTime::strptime(format, text).ok()?;
        let found = self.0.to_ambiguous_timestamp(local);
        let ambiguous = match found.offset() {
            AmbiguousOffset::Unambiguous { .. } => false,
            AmbiguousOffset::Fold { .. } => true,
            AmbiguousOffset::Gap { .. } => return None,
        };
        let utc_ms = found.earlier().ok()?.as_millisecond();
        Some(Moment { utc_ms, ambiguous })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin(text: &str) -> Option<Moment> {
        Zone::named("Europe/Berlin").unwrap().moment("%d.%m.%y %H:%M:%S", text)
    }

    /// The expected numbers are `date -u -d '2016-10-24 06:37:29' +%s` and the like.
    #[test]
    fn local_times_become_utc() {
        let summer = Moment { utc_ms: 1_477_291_049_000, ambiguous: false };
        assert_eq!(berlin("24.10.16 08:37:29"), Some(summer));
        let winter = Moment { utc_ms: 1_477_899_449_000, ambiguous: false };
        assert_eq!(berlin("31.10.16 08:37:29"), Some(winter));
        let london = Zone::named("Europe/London").unwrap();
        let zoned = |text| london.moment("%Y-%m-%d %H:%M:%S", text).unwrap().utc_ms;
        assert_eq!(zoned("2010-12-01 08:26:00"), 1_291_191_960_000);
        assert_eq!(zoned("2011-07-01 08:26:00"), 1_309_505_160_000);
    }

    #[test]
    fn of_an_hour_that_came_twice_the_first_is_taken_and_one_that_never_was_refused() {
        let first = Moment { utc_ms: 1_477_787_400_000, ambiguous: true };
        assert_eq!(berlin("30.10.16 02:30:00"), Some(first));
        assert_eq!(berlin("27.03.16 02:30:00"), None);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "24.10.16", "24.13.16 08:37:29", "24.10.16 24:00:00", "24.10.16 08:37:29 x"] {
            assert_eq!(berlin(text), None, "{text}");
        }
    }
}
