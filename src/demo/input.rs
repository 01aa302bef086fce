//! What goes in: the registries, then readings and invoices, some of them awkward in every way the laws name.
//!
//! Promise: it follows from the scenario alone, so that a demo that was stopped goes on with the same records. Beside what the simulators
//! do by themselves (out of order, late, doubled, malformed), one radar is never registered, some vehicles never and some only
//! halfway through, and now and then a reading comes a month late. A vehicle registered halfway is one that never changed hands and
//! every radar that is registered is so from the start: no registration then comes too late for what was judged already, and what
//! becomes of a reading does not depend on how fast it was judged.

use std::collections::BTreeSet;

use tidegate_producers::{
    InvoiceOptions, OptionError, Produced, RadarOptions, Share, Shares, Simulation, Value, simulate_invoices,
    simulate_radars,
};
use tidegate_schemas::VehicleEventKind;

use super::Scenario;

/// 2024-03-04T09:00:00Z: a Monday, and far enough from midnight that all invoices are of one business day.
pub(super) const START_MS: i64 = 1_709_542_800_000;

/// The business day of every sound invoice.
pub(super) const DATE: &str = "2024-03-04";

/// Enough for the numbers to run visibly, few enough for a debug build on a small machine.
const READINGS_PER_SECOND: u32 = 200;
const INVOICES_PER_SECOND: u32 = 100;

const VEHICLES: u32 = 400;
const RADARS: u32 = 24;
const CUSTOMERS: u32 = 40;

/// This radar measures without being registered: a twenty-fourth of all readings is held for it.
const UNKNOWN_RADAR: &str = "R-0023";

/// Of the vehicles that never changed hands, each of this many is not registered at the start, and each other of those never.
const WITHHELD_EACH: usize = 20;

/// Each reading of this many comes from a radar that was out of reach for `OUTAGE_MS`: longer ago than is judged (law 12).
const OUTAGE_EACH: u64 = 150;
const OUTAGE_MS: i64 = 31 * 86_400_000;

/// All records of a scenario, by how they are written.
pub(super) struct Input {
    /// Radars, owners and vehicles; at once, before anything else.
    pub(super) registries: Vec<Produced>,
    /// Readings, with the belated registrations among them.
    pub(super) readings: Readings,
    /// How many records those are at least: duplicates come on top.
    pub(super) readings_expected: u64,
    pub(super) invoices: Simulation,
    pub(super) invoices_expected: u64,
}

/// Records per second of the clock, for readings and invoices.
pub(super) const RATES: [u32; 2] = [READINGS_PER_SECOND, INVOICES_PER_SECOND];

impl Input {
    /// The records of `scenario`.
    pub(super) fn of(scenario: Scenario) -> Result<Input, OptionError> {
        let shares = shares()?;
        let readings_expected = u64::from(READINGS_PER_SECOND) * u64::from(scenario.seconds);
        let invoices_expected = u64::from(INVOICES_PER_SECOND) * u64::from(scenario.seconds);
        let radars = simulate_radars(&RadarOptions {
            seed: scenario.seed,
            count: readings_expected,
            vehicles: VEHICLES,
            radars: RADARS,
            start_ms: START_MS,
            per_second: READINGS_PER_SECOND,
            shares,
        })?;
        let invoices = simulate_invoices(&InvoiceOptions {
            seed: scenario.seed,
            count: invoices_expected,
            customers: CUSTOMERS,
            currencies: vec!["EUR".to_owned()],
            start_ms: START_MS,
            per_second: INVOICES_PER_SECOND,
            shares,
        })?;
        let mut records = radars.peekable();
        let mut registries = Vec::new();
        while let Some(registration) = records.next_if(|record| !matches!(record.value, Value::Reading(_))) {
            registries.push(registration);
        }
        let belated = withhold(&mut registries);
        let readings = Readings { simulation: records, belated, written: 0, halfway: readings_expected / 2 };
        Ok(Input { registries, readings, readings_expected, invoices, invoices_expected })
    }
}

fn shares() -> Result<Shares, OptionError> {
    let share = Share::of_ten_thousand;
    Ok(Shares {
        out_of_order: share(500)?,
        late: share(200)?,
        duplicates: share(200)?,
        malformed: share(150)?,
    })
}

/// Takes out what is not registered at the start; gives what is registered halfway through.
fn withhold(registries: &mut Vec<Produced>) -> Vec<Produced> {
    let plates = |kind: VehicleEventKind| {
        registries.iter().filter_map(move |record| match &record.value {
            Value::VehicleEvent(event) if event.kind == kind => Some(event.plate.clone()),
            _ => None,
        })
    };
    let moved: BTreeSet<String> = plates(VehicleEventKind::Transferred).collect();
    let settled = plates(VehicleEventKind::Registered).filter(|plate| !moved.contains(plate));
    let withheld: Vec<String> = settled.step_by(WITHHELD_EACH).collect();
    let mut belated = Vec::new();
    registries.retain(|record| match &record.value {
        Value::RadarEvent(event) => event.radar_id != UNKNOWN_RADAR,
        Value::VehicleEvent(event) => match withheld.iter().position(|plate| *plate == event.plate) {
            Some(number) => {
                if number % 2 == 0 {
                    belated.push(record.clone());
                }
                false
            }
            None => true,
        },
        _ => true,
    });
    belated
}

/// The readings, with what is registered halfway among them.
pub(super) struct Readings {
    simulation: std::iter::Peekable<Simulation>,
    /// Given from the back: in which order these come makes no difference.
    belated: Vec<Produced>,
    written: u64,
    halfway: u64,
}

impl Iterator for Readings {
    type Item = Produced;

    fn next(&mut self) -> Option<Produced> {
        if self.written >= self.halfway
            && let Some(registration) = self.belated.pop()
        {
            return Some(registration);
        }
        self.written += 1;
        let mut record = self.simulation.next()?;
        if self.written.is_multiple_of(OUTAGE_EACH)
            && record.fault.is_none()
            && let Value::Reading(reading) = &mut record.value
        {
            reading.measured_at -= OUTAGE_MS;
            record.time_ms -= OUTAGE_MS;
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_scenario_gives_the_same_records_and_all_of_the_awkward_ones() {
        let scenario = Scenario { seed: 1, seconds: 5 };
        let (input, again) = (Input::of(scenario).unwrap(), Input::of(scenario).unwrap());
        let readings: Vec<Produced> = input.readings.collect();
        assert_eq!(input.registries, again.registries);
        assert_eq!(readings, again.readings.collect::<Vec<_>>());
        let of = |wanted: fn(&Produced) -> bool| readings.iter().filter(|record| wanted(record)).count();
        assert!(of(|record| matches!(&record.value, Value::VehicleEvent(_))) >= 5);
        assert!(
            of(
                |record| matches!(&record.value, Value::Reading(reading) if reading.radar_id == UNKNOWN_RADAR)
            ) >= 5
        );
        assert!(of(|record| record.time_ms < START_MS - OUTAGE_MS / 2) >= 2);
        assert!(of(|record| record.fault.is_some()) >= 2);
        assert!(input.registries.iter().all(|record| record.time_ms < START_MS));
    }

    #[test]
    fn a_belated_vehicle_has_one_registration() {
        let input = Input::of(Scenario { seed: 3, seconds: 1 }).unwrap();
        let belated = input.readings.belated;
        for Produced { key, .. } in &belated {
            let of_key = belated.iter().chain(&input.registries).filter(|record| record.key == *key);
            assert_eq!(of_key.count(), 1, "{key:?}");
        }
    }
}
