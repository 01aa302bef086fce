//! The schedule: what is taken off a measured speed, and what an excess costs.
//!
//! Promise: whole numbers throughout (law 17), and for every time from its first period on, every limit and every excess
//! there is exactly one bracket: [`Schedule::parse`] refuses anything else.

use serde::{Deserialize, Serialize};
use tidegate_runtime::join::OutcomeId;
use tidegate_runtime::time::EventTime;
use tidegate_schemas::RadarKind;

/// The periods of a schedule, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// For people.
    pub name: String,
    pub(super) periods: Vec<Period>,
}

/// Margins and brackets from a moment on, until the next period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    /// From when on.
    pub valid_from: EventTime,
    /// ISO 4217 code of its fines.
    pub currency: String,
    /// For radars at rest.
    pub fixed: Margin,
    /// For radars in a moving vehicle.
    pub mobile: Margin,
    pub(super) brackets: Vec<Bracket>,
}

/// What is taken off a measured speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Margin {
    /// Below this measured speed `minus_kmh` counts, from it on `percent`.
    pub below_kmh: i32,
    /// Taken off low speeds.
    pub minus_kmh: i32,
    /// Taken off high speeds.
    pub percent: i32,
}

/// What an excess costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bracket {
    /// The least excess.
    pub from_excess_kmh: i32,
    /// The first excess past it; none if it has no end.
    pub to_excess_kmh: Option<i32>,
    /// It applies where the limit is over this.
    pub limit_over_kmh: i32,
    /// It applies where the limit is at most this; anywhere if none.
    pub limit_up_to_kmh: Option<i32>,
    /// The fine, in minor units of the period's currency.
    pub fine_minor: i64,
    /// Points off the licence.
    pub points: i32,
    /// The rule it stands in.
    pub rule: String,
}

/// Which bracket of which period of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BracketPlace {
    period: u32,
    bracket: u32,
}

/// A measured speed over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offence<'s> {
    /// Measured speed less the margin.
    pub retained_kmh: i32,
    /// Retained speed less the limit; above 0.
    pub excess_kmh: i32,
    /// The currency of the fine.
    pub currency: &'s str,
    /// What it costs.
    pub bracket: &'s Bracket,
    /// The number of that bracket in its period.
    pub(super) bracket_number: u32,
}

impl Margin {
    /// What remains of a measured speed, in whole km/h rounded down; never below 0.
    #[must_use]
    pub fn retained_kmh(self, measured_kmh: i32) -> i32 {
        if measured_kmh < self.below_kmh {
            return measured_kmh.saturating_sub(self.minus_kmh).max(0);
        }
        let hundredths = i64::from(measured_kmh) * i64::from(100 - self.percent);
        i32::try_from(hundredths.div_euclid(100)).unwrap_or(i32::MAX).max(0)
    }

    /// The most that remains of any speed up to `measured_kmh`: a margin may jump where its percentage begins.
    #[must_use]
    pub fn most_retained_kmh(self, measured_kmh: i32) -> i32 {
        let before_percent = self.below_kmh.saturating_sub(1).min(measured_kmh);
        self.retained_kmh(measured_kmh).max(self.retained_kmh(before_percent))
    }
}

impl Bracket {
    fn applies(&self, limit_kmh: i32, excess_kmh: i32) -> bool {
        limit_kmh > self.limit_over_kmh
            && self.limit_up_to_kmh.is_none_or(|most| limit_kmh <= most)
            && excess_kmh >= self.from_excess_kmh
            && self.to_excess_kmh.is_none_or(|end| excess_kmh < end)
    }
}

impl Period {
    /// The offence a measured speed is; none at or under the limit.
    #[must_use]
    pub fn judge(&self, radar: RadarKind, measured_kmh: i32, limit_kmh: i32) -> Option<Offence<'_>> {
        let retained_kmh = self.margin(radar).retained_kmh(measured_kmh);
        let excess_kmh = retained_kmh.checked_sub(limit_kmh).filter(|excess| *excess > 0)?;
        let mut numbered = (0_u32..).zip(&self.brackets);
        let (bracket_number, bracket) =
            numbered.find(|(_, bracket)| bracket.applies(limit_kmh, excess_kmh))?;
        Some(Offence { retained_kmh, excess_kmh, currency: &self.currency, bracket, bracket_number })
    }

    /// The most that remains of any speed up to `measured_kmh`.
    #[must_use]
    pub fn most_retained_kmh(&self, radar: RadarKind, measured_kmh: i32) -> i32 {
        self.margin(radar).most_retained_kmh(measured_kmh)
    }

    fn margin(&self, radar: RadarKind) -> Margin {
        match radar {
            RadarKind::Fixed => self.fixed,
            RadarKind::Mobile => self.mobile,
        }
    }
}

impl Schedule {
    /// The period in force at a time; none before the first.
    #[must_use]
    pub fn at(&self, time: EventTime) -> Option<&Period> {
        let begun = self.periods.partition_point(|period| period.valid_from <= time);
        self.periods.get(begun.checked_sub(1)?)
    }

    /// The periods in force at some time from `from` to `to`, both included.
    pub fn between(&self, from: EventTime, to: EventTime) -> impl Iterator<Item = &Period> {
        let first = self.periods.partition_point(|period| period.valid_from <= from).saturating_sub(1);
        self.periods[first..].iter().take_while(move |period| period.valid_from <= to)
    }

    /// The place of the bracket that an offence of `time` falls under.
    pub(super) fn place_of(&self, time: EventTime, offence: &Offence<'_>) -> BracketPlace {
        let begun = self.periods.partition_point(|period| period.valid_from <= time);
        // A schedule has a few periods and brackets.
        BracketPlace { period: begun.saturating_sub(1) as u32, bracket: offence.bracket_number }
    }

    /// The bracket at a place that this schedule gave, and its period.
    pub(super) fn bracket(&self, place: BracketPlace) -> (&Period, &Bracket) {
        let period = &self.periods[place.period as usize];
        (period, &period.brackets[place.bracket as usize])
    }

    /// When the first period begins.
    #[must_use]
    pub fn begins(&self) -> EventTime {
        self.periods.first().map_or(EventTime(i64::MAX), |period| period.valid_from)
    }

    /// A digest of everything in it that shapes results: another one is another schedule, however its file is written.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        for period in &self.periods {
            parts.push(period.valid_from.0.to_be_bytes().to_vec());
            parts.push(period.currency.as_bytes().to_vec());
            for margin in [period.fixed, period.mobile] {
                parts.extend([margin.below_kmh, margin.minus_kmh, margin.percent].map(part));
            }
            parts.push(part(i32::try_from(period.brackets.len()).unwrap_or(i32::MAX)));
            for bracket in &period.brackets {
                let end = bracket.to_excess_kmh.unwrap_or(i32::MAX);
                let most = bracket.limit_up_to_kmh.unwrap_or(i32::MAX);
                parts.extend([bracket.from_excess_kmh, end, bracket.limit_over_kmh, most].map(part));
                parts.push(bracket.fine_minor.to_be_bytes().to_vec());
                parts.push(part(bracket.points));
                parts.push(bracket.rule.as_bytes().to_vec());
            }
        }
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        OutcomeId::of(&parts).to_string()
    }
}

fn part(number: i32) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}
