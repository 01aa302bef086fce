//! A simulation: registrations, then records, some of them out of order, late, doubled or malformed; and the count of each.
//!
//! Promise: a record takes at most one detour; a duplicate comes after its original, at most 20 records later and before the
//! simulation ends; [`Manifest`] counts what has been handed out, no more.

use std::collections::BTreeMap;

use crate::options::{Pace, Shares};
use crate::produced::{Fault, Produced};
use crate::random::{Dice, Purpose};

/// What a simulation has handed out so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Registrations of radars, vehicles and owners.
    pub registrations: u64,
    /// Readings or invoices, each once: sound, out of order, late and malformed ones.
    pub records: u64,
    /// Of `records`: event time a few seconds back.
    pub out_of_order: u64,
    /// Of `records`: event time minutes back.
    pub late: u64,
    /// Written again: on top of `records`.
    pub duplicates: u64,
    /// Of `records`: malformed ones, by fault.
    pub malformed: BTreeMap<Fault, u64>,
}

impl Manifest {
    /// Every record handed out.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.registrations + self.records + self.duplicates
    }

    /// Malformed records of any fault.
    #[must_use]
    pub fn malformed_total(&self) -> u64 {
        self.malformed.values().sum()
    }
}

/// What happens to a record on its way.
enum Detour {
    None,
    /// Its event time is so far back.
    Back {
        ms: i64,
        late: bool,
    },
    /// It is written again after so many further records.
    Again {
        after: u64,
    },
    Malformed(Fault),
}

/// Makes record `index` at an event time.
pub(crate) type Make = Box<dyn FnMut(u64, i64) -> Produced + Send>;

/// The records of a simulation, in the order they are to be written.
pub struct Simulation {
    seed: u64,
    count: u64,
    pace: Pace,
    shares: Shares,
    registrations: Box<dyn Iterator<Item = Produced> + Send>,
    make: Make,
    next_index: u64,
    /// Duplicates to come, by the index they come before. At most one for each of the last 20 records.
    again: BTreeMap<(u64, u64), Produced>,
    manifest: Manifest,
}

impl Simulation {
    pub(crate) fn new(
        (seed, count): (u64, u64),
        pace: Pace,
        shares: Shares,
        registrations: Box<dyn Iterator<Item = Produced> + Send>,
        make: Make,
    ) -> Simulation {
        Simulation {
            seed,
            count,
            pace,
            shares,
            registrations,
            make,
            next_index: 0,
            again: BTreeMap::new(),
            manifest: Manifest::default(),
        }
    }

    /// What has been handed out so far.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn due_again(&mut self) -> Option<Produced> {
        let first = self.again.first_entry()?;
        let due = first.key().0 <= self.next_index || self.next_index == self.count;
        due.then(|| {
            self.manifest.duplicates += 1;
            first.remove()
        })
    }

    fn next_record(&mut self) -> Option<Produced> {
        if self.next_index == self.count {
            return None;
        }
        let index = self.next_index;
        self.next_index += 1;
        self.manifest.records += 1;
        let time_ms = self.pace.time_ms(index);
        Some(match self.detour(index) {
            Detour::None => (self.make)(index, time_ms),
            Detour::Back { ms, late } => {
                let count = if late { &mut self.manifest.late } else { &mut self.manifest.out_of_order };
                *count += 1;
                (self.make)(index, time_ms - ms)
            }
            Detour::Again { after } => {
                let record = (self.make)(index, time_ms);
                self.again.insert((index + 1 + after, index), record.clone());
                record
            }
            Detour::Malformed(fault) => {
                *self.manifest.malformed.entry(fault).or_default() += 1;
                (self.make)(index, time_ms).with_fault(fault)
            }
        })
    }

    fn detour(&self, index: u64) -> Detour {
        let Shares { out_of_order, late, duplicates, malformed } = self.shares;
        let mut dice = Dice::new(self.seed, Purpose::Disorder, index);
        let mut rest = dice.below(10_000);
        let mut falls_in = |parts: u32| {
            let inside = rest < parts;
            rest = rest.wrapping_sub(if inside { 0 } else { parts });
            inside
        };
        if falls_in(out_of_order.parts()) {
            Detour::Back { ms: dice.between(1_000, 9_000).into(), late: false }
        } else if falls_in(late.parts()) {
            Detour::Back { ms: dice.between(120_000, 600_000).into(), late: true }
        } else if falls_in(duplicates.parts()) {
            Detour::Again { after: dice.below(20).into() }
        } else if falls_in(malformed.parts()) {
            Detour::Malformed(*dice.pick(&Fault::ALL))
        } else {
            Detour::None
        }
    }
}

impl Iterator for Simulation {
    type Item = Produced;

    fn next(&mut self) -> Option<Produced> {
        if let Some(registration) = self.registrations.next() {
            self.manifest.registrations += 1;
            return Some(registration);
        }
        self.due_again().or_else(|| self.next_record())
    }
}
