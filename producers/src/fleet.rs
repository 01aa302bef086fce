//! Who drives: plates, vehicles and their owners, all made up, all from the seed.
//!
//! Promise: every registration is valid before the first reading, so that a reading is judged without being held, and plates
//! of one seed are distinct.

use tidegate_schemas::{OwnerEvent, OwnerEventKind, VehicleEvent, VehicleEventKind};

use crate::produced::Produced;
use crate::random::{Dice, Purpose};

const DAY_MS: i64 = 86_400_000;

/// Letters of a plate: those of the French system, which leaves out what looks like a digit or another letter.
const LETTERS: &[u8; 23] = b"ABCDEFGHJKLMNPQRSTVWXYZ";

/// How many plates there are: two letters, 001 to 999, two letters.
pub(crate) const PLATES: u32 = 23 * 23 * 999 * 23 * 23;

/// Steps from one vehicle's plate to the next one's. A prime that does not divide [`PLATES`], so that all are visited once.
const PLATE_STEP: u64 = 179_424_673;

const FIRST_NAMES: [&str; 16] = [
    "Ada", "Anton", "Chiara", "Clara", "Emil", "Fatma", "Hugo", "Ines", "Jonas", "Lea", "Malik", "Nora",
    "Oskar", "Paula", "Samir", "Zoé",
];
const LAST_NAMES: [&str; 16] = [
    "Bauer", "Demir", "Dubois", "Fischer", "Garcia", "Hansen", "Kowalski", "Lambert", "Martin", "Moreau",
    "Novak", "Petit", "Rossi", "Schmidt", "Weber", "Yilmaz",
];
const STREETS: [&str; 8] = [
    "Am Markt",
    "Bergstraße",
    "Hafenweg",
    "Lindenallee",
    "rue de la Gare",
    "rue des Écoles",
    "rue du Moulin",
    "Schulgasse",
];

/// The plate of vehicle `vehicle`, written `AA-123-AA`.
#[must_use]
pub fn plate(seed: u64, vehicle: u32) -> String {
    let first = u64::from(Dice::new(seed, Purpose::Plates, 0).below(PLATES));
    let number = (first + u64::from(vehicle) * PLATE_STEP) % u64::from(PLATES);
    let letter = |at: u64| char::from(LETTERS[(number / at % 23) as usize]);
    let digits = number / (23 * 23) % 999 + 1;
    let upper = 23 * 23 * 999;
    format!("{}{}-{digits:03}-{}{}", letter(upper * 23), letter(upper), letter(23), letter(1))
}

/// The vehicles and owners of one simulation or replay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fleet {
    pub(crate) seed: u64,
    pub(crate) vehicles: u32,
    /// The first reading's time; late ones are up to ten minutes older.
    pub(crate) start_ms: i64,
}

impl Fleet {
    /// When the first registrations are valid from.
    pub(crate) fn registered_ms(self) -> i64 {
        self.start_ms - 365 * DAY_MS
    }

    /// The owners, then the vehicles, then the vehicles that changed hands.
    pub(crate) fn registrations(self) -> impl Iterator<Item = Produced> + Send {
        let owners = (0..self.owners()).map(move |owner| Produced::of(self.owner(owner)));
        let vehicles = (0..self.vehicles).map(move |vehicle| Produced::of(self.registered(vehicle)));
        let transfers =
            (0..self.vehicles).filter_map(move |vehicle| self.transferred(vehicle)).map(Produced::of);
        owners.chain(vehicles).chain(transfers)
    }

    /// Nine owners to ten vehicles: some have two.
    fn owners(self) -> u32 {
        self.vehicles - self.vehicles / 10
    }

    fn owner(self, owner: u32) -> OwnerEvent {
        let mut dice = Dice::new(self.seed, Purpose::Owner, owner.into());
        let name = format!("{} {}", dice.pick(&FIRST_NAMES), dice.pick(&LAST_NAMES));
        let street = *dice.pick(&STREETS);
        OwnerEvent {
            owner_id: owner_id(owner),
            kind: OwnerEventKind::Registered,
            name,
            address: format!("{street} {}, {:05}", dice.between(1, 120), dice.between(1_000, 99_999)),
            valid_from: self.registered_ms(),
        }
    }

    fn registered(self, vehicle: u32) -> VehicleEvent {
        let mut dice = Dice::new(self.seed, Purpose::Vehicle, vehicle.into());
        VehicleEvent {
            plate: plate(self.seed, vehicle),
            kind: VehicleEventKind::Registered,
            owner_id: owner_id(dice.below(self.owners())),
            valid_from: self.registered_ms() + i64::from(dice.below(200)) * DAY_MS,
        }
    }

    /// Three vehicles in a hundred have changed hands, 10 to 29 days before the first reading.
    fn transferred(self, vehicle: u32) -> Option<VehicleEvent> {
        let mut dice = Dice::new(self.seed, Purpose::Vehicle, vehicle.into());
        let _ = (dice.below(self.owners()), dice.below(200));
        let changed_hands = dice.below(100) < 3;
        changed_hands.then(|| VehicleEvent {
            plate: plate(self.seed, vehicle),
            kind: VehicleEventKind::Transferred,
            owner_id: owner_id(dice.below(self.owners())),
            valid_from: self.start_ms - i64::from(dice.between(10, 29)) * DAY_MS,
        })
    }
}

fn owner_id(owner: u32) -> String {
    format!("O-{owner:06}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::produced::Value;

    #[test]
    fn plates_are_distinct_and_well_formed() {
        let plates: BTreeSet<_> = (0..20_000).map(|vehicle| plate(3, vehicle)).collect();
        assert_eq!(plates.len(), 20_000);
        for plate in plates {
            let bytes = plate.as_bytes();
            assert_eq!((bytes.len(), bytes[2], bytes[6]), (9, b'-', b'-'), "{plate}");
            assert!([0, 1, 7, 8].iter().all(|at| LETTERS.contains(&bytes[*at])), "{plate}");
            assert!((1..=999).contains(&plate[3..6].parse::<u32>().unwrap()), "{plate}");
        }
        assert_ne!(plate(3, 0), plate(4, 0));
    }

    #[test]
    fn the_step_visits_every_plate() {
        let (mut a, mut b) = (u64::from(PLATES), PLATE_STEP);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        assert_eq!(a, 1, "the step and the number of plates have a common factor");
    }

    #[test]
    fn everybody_is_registered_before_the_first_reading() {
        let fleet = Fleet { seed: 1, vehicles: 1_000, start_ms: crate::DEFAULT_START_MS };
        let (mut owners, mut vehicles, mut transfers) = (BTreeSet::new(), BTreeSet::new(), 0);
        for record in fleet.registrations() {
            assert!(record.time_ms <= fleet.start_ms - DAY_MS);
            match record.value {
                Value::OwnerEvent(event) => assert!(owners.insert(event.owner_id)),
                Value::VehicleEvent(event) => {
                    assert!(owners.contains(&event.owner_id));
                    match event.kind {
                        VehicleEventKind::Registered => assert!(vehicles.insert(event.plate)),
                        _ => {
                            assert!(vehicles.contains(&event.plate));
                            transfers += 1;
                        }
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((owners.len(), vehicles.len()), (900, 1_000));
        assert!((10..60).contains(&transfers), "{transfers}");
    }
}
