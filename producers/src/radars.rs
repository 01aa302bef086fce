//! `simulate radars`: a fleet passing radars, some of it too fast.

use tidegate_schemas::{RadarEvent, RadarEventKind, RadarKind, Reading};

use crate::disorder::Simulation;
use crate::fleet::{Fleet, PLATES, plate};
use crate::options::{DEFAULT_START_MS, OptionError, Pace, Shares};
use crate::produced::Produced;
use crate::random::{Dice, Purpose};

/// Limits of the simulated roads.
const LIMITS_KMH: [i32; 6] = [30, 50, 50, 80, 110, 130];

/// Of a hundred readings, so many are over the limit.
const OVER_OF_HUNDRED: u32 = 13;

/// More radars than any road authority has, few enough for a table that every task holds whole.
const MAX_RADARS: u32 = 100_000;

/// What readings to simulate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RadarOptions {
    /// The same seed gives the same records.
    pub seed: u64,
    /// How many readings, duplicates not counted.
    pub count: u64,
    /// How many vehicles (`--keys`).
    pub vehicles: u32,
    /// How many radars.
    pub radars: u32,
    /// The first reading's time, in UTC milliseconds.
    pub start_ms: i64,
    /// Readings per second of event time.
    pub per_second: u32,
    /// How many take which detour.
    pub shares: Shares,
}

impl Default for RadarOptions {
    fn default() -> RadarOptions {
        RadarOptions {
            seed: 1,
            count: 10_000,
            vehicles: 1_000,
            radars: 8,
            start_ms: DEFAULT_START_MS,
            per_second: 100,
            shares: Shares::default(),
        }
    }
}

/// The registrations of radars, owners and vehicles, then the readings.
///
/// # Errors
/// If an option is out of its bounds.
pub fn simulate_radars(options: &RadarOptions) -> Result<Simulation, OptionError> {
    let RadarOptions { seed, count, vehicles, radars, start_ms, per_second, shares } = *options;
    shares.check()?;
    if vehicles == 0 || vehicles > PLATES {
        return Err(OptionError::new("keys", vehicles, "give from 1 to 279561159 vehicles"));
    }
    if radars == 0 || radars > MAX_RADARS {
        return Err(OptionError::new("radars", radars, "give from 1 to 100000 radars"));
    }
    let pace = Pace::new(start_ms, per_second, count)?;
    let fleet = Fleet { seed, vehicles, start_ms: pace.start_ms() };
    let installed = (0..radars).map(move |number| Produced::of(radar(seed, number, fleet.registered_ms())));
    let registrations = Box::new(installed.chain(fleet.registrations()));
    let mut sequences = vec![0; radars as usize];
    let make =
        Box::new(move |index, time_ms| Produced::of(reading(seed, index, time_ms, vehicles, &mut sequences)));
    Ok(Simulation::new((seed, count), pace, shares, registrations, make))
}

fn radar(seed: u64, number: u32, valid_from: i64) -> RadarEvent {
    let mut dice = Dice::new(seed, Purpose::Radar, number.into());
    let speed_limit_kmh = *dice.pick(&LIMITS_KMH);
    let radar_kind = if dice.below(10) < 8 { RadarKind::Fixed } else { RadarKind::Mobile };
    RadarEvent {
        radar_id: radar_id(number),
        kind: RadarEventKind::Installed,
        radar_kind,
        speed_limit_kmh,
        place: format!("D{} PK {}", dice.between(1, 999), dice.between(0, 99)),
        valid_from,
    }
}

fn radar_id(number: u32) -> String {
    format!("R-{number:04}")
}

/// Reading `index`. `sequences` holds each radar's counter.
fn reading(seed: u64, index: u64, measured_at: i64, vehicles: u32, sequences: &mut [i64]) -> Reading {
    let mut dice = Dice::new(seed, Purpose::Reading, index);
    let number = dice.below(u32::try_from(sequences.len()).unwrap_or(MAX_RADARS));
    let vehicle = dice.small_below(vehicles);
    let limit = *Dice::new(seed, Purpose::Radar, number.into()).pick(&LIMITS_KMH);
    let speed_kmh = if dice.below(100) < OVER_OF_HUNDRED {
        limit + 1 + dice.small_below(60).cast_signed()
    } else {
        limit - dice.below(21).cast_signed()
    };
    let sequence = &mut sequences[number as usize];
    *sequence += 1;
    Reading {
        radar_id: radar_id(number),
        sequence: *sequence,
        plate: plate(seed, vehicle),
        measured_at,
        speed_kmh,
    }
}
