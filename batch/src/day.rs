//! A business day: from midnight to midnight in a zone.
//!
//! Promise: the same on every machine, because the zone rules are compiled in; days on which clocks change are 23 or 25 hours
//! long, and a day begins with its first moment even where midnight was skipped or struck twice.

use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::error::{Error, Result};

/// Where the billing department closes its books: the zone of the real invoices.
pub const DEFAULT_ZONE: &str = "Europe/London";

/// A date in a zone, and the time it spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusinessDay {
    date: Date,
    zone: String,
    start_ms: i64,
    end_ms: i64,
}

impl BusinessDay {
    /// Reads a date such as `2010-12-01` and the name of a zone such as `Europe/London`.
    ///
    /// # Errors
    /// When either is not what it should be.
    pub fn parse(date: &str, zone: &str) -> Result<BusinessDay> {
        let bad_date = || Error::BadDate { value: date.to_owned() };
        // Strictly `YYYY-MM-DD`: a time or an offset behind it would be dropped in silence.
        let day: Date =
            if date.len() == 10 { date.parse().map_err(|_| bad_date())? } else { return Err(bad_date()) };
        let rules = TimeZoneDatabase::bundled()
            .get(zone)
            .map_err(|_| Error::UnknownZone { value: zone.to_owned() })?;
        let next = day.tomorrow().map_err(|_| bad_date())?;
        let start_ms = first_moment_ms(day, &rules).ok_or_else(bad_date)?;
        let end_ms = first_moment_ms(next, &rules).ok_or_else(bad_date)?;
        // The database knows the spelling: `europe/london` and `Europe/London` are one job instance.
        let zone = rules.iana_name().unwrap_or(zone).to_owned();
        Ok(BusinessDay { date: day, zone, start_ms, end_ms })
    }

    /// The date, as `2010-12-01`.
    #[must_use]
    pub fn date(&self) -> String {
        self.date.to_string()
    }

    /// The zone's name.
    #[must_use]
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// Its first millisecond, UTC.
    #[must_use]
    pub fn start_ms(&self) -> i64 {
        self.start_ms
    }

    /// The first millisecond behind it, UTC.
    #[must_use]
    pub fn end_ms(&self) -> i64 {
        self.end_ms
    }
}

fn first_moment_ms(date: Date, rules: &TimeZone) -> Option<i64> {
    Some(date.to_zoned(rules.clone()).ok()?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    #[test]
    fn a_day_is_as_long_as_its_zone_says() {
        for (date, zone, start_ms, hours) in [
            ("2010-12-01", "Europe/London", 1_291_161_600_000, 24),
            ("2010-12-01", "UTC", 1_291_161_600_000, 24),
            // Clocks go forward and back in London.
            ("2011-03-27", "Europe/London", 1_301_184_000_000, 23),
            ("2011-03-28", "Europe/London", 1_301_266_800_000, 24),
            ("2011-10-30", "Europe/London", 1_319_929_200_000, 25),
            ("2016-10-30", "Europe/Berlin", 1_477_778_400_000, 25),
            // Midnight does not exist: the day begins at 01:00.
            ("2017-10-15", "America/Sao_Paulo", 1_508_036_400_000, 23),
            // Midnight strikes twice: the day begins with the first.
            ("2016-11-06", "America/Havana", 1_478_404_800_000, 25),
            // The day that Samoa left out.
            ("2011-12-30", "Pacific/Apia", 1_325_239_200_000, 0),
        ] {
            let day = BusinessDay::parse(date, zone).unwrap();
            assert_eq!(day.start_ms(), start_ms, "{date} {zone}");
            assert_eq!(day.end_ms() - day.start_ms(), hours * HOUR_MS, "{date} {zone}");
        }
    }

    #[test]
    fn days_meet_without_a_gap() {
        let mut date: Date = "2011-01-01".parse().unwrap();
        let mut end_ms = None;
        while date.year() == 2011 {
            let day = BusinessDay::parse(&date.to_string(), "Europe/London").unwrap();
            assert!(end_ms.is_none_or(|end_ms| end_ms == day.start_ms()), "{date}");
            end_ms = Some(day.end_ms());
            date = date.tomorrow().unwrap();
        }
    }

    #[test]
    fn one_zone_has_one_spelling() {
        assert_eq!(BusinessDay::parse("2010-12-01", "europe/LONDON").unwrap().zone(), "Europe/London");
    }

    #[test]
    fn what_is_no_date_or_zone_is_refused() {
        for date in [
            "",
            "2010-13-01",
            "2011-02-29",
            "01.12.2010",
            "2010-12-1",
            "20101201",
            "2010-12-01T00:00",
            "9999-12-31",
        ] {
            let refused = BusinessDay::parse(date, "UTC").unwrap_err().to_string();
            assert_eq!(refused, format!("`{date}` is no date; write it as `2010-12-01`"));
        }
        let refused = BusinessDay::parse("2010-12-01", "Europe/Lundon").unwrap_err().to_string();
        assert!(refused.starts_with("`Europe/Lundon` is no time zone"), "{refused}");
    }
}
