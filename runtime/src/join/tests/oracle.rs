//! The same laws, slowly: sees all input before it decides anything, and knows no index, no pruning, no parts and no state.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::task::{Inputs, Output, Task};
use super::worlds::{World, Written};
use super::{Fined, READINGS, Reading, TABLES};
use crate::join::OutcomeId;

/// A registration: its input and offset.
type Place = (usize, usize);

enum Verdict {
    Under,
    Unknown,
    Fined(Fined),
}

fn verdict(speed: i64, limit: Option<i64>, owner: Option<i64>) -> Verdict {
    match (limit, owner) {
        (Some(limit), _) if speed <= limit => Verdict::Under,
        (Some(limit), Some(owner)) => {
            let fine = if speed >= limit + 20 { 135 } else { 68 };
            Verdict::Fined(Fined { owner, speed, limit, fine })
        }
        _ => Verdict::Unknown,
    }
}

/// The registration that decides as of a reading's time, of the gate or of the wagon: among those before `ends`, the latest valid one, of equal
/// ones the greatest (partition, offset).
fn deciding(inputs: &Inputs, ends: [usize; 3], reading: &Reading, of_gate: bool) -> Option<Place> {
    let key = if of_gate { reading.gate } else { reading.tag };
    let tables = TABLES.iter().filter(|table| (**table != TABLES[2]) == of_gate);
    let all = tables.flat_map(|table| {
        inputs.tables[table - 1][..ends[table - 1]]
            .iter()
            .enumerate()
            .map(|(offset, made)| (*table, offset, made))
    });
    let begun = all.filter(|(_, _, made)| made.key == key && made.from <= reading.time);
    begun
        .max_by_key(|(table, offset, made)| (made.from, *table, *offset))
        .map(|(table, offset, _)| (table, offset))
}

fn value(inputs: &Inputs, place: Option<Place>) -> Option<i64> {
    place.and_then(|(table, offset)| inputs.tables[table - 1][offset].value)
}

fn judge(inputs: &Inputs, ends: [usize; 3], reading: &Reading) -> Verdict {
    let [limit, owner] = [true, false].map(|of_gate| value(inputs, deciding(inputs, ends, reading, of_gate)));
    verdict(reading.speed, limit, owner)
}

fn all(inputs: &Inputs) -> [usize; 3] {
    TABLES.map(|table| inputs.len(table))
}

/// What must be in force in the end, and per id the registrations that decide it.
fn decide_all(inputs: &Inputs) -> (BTreeMap<OutcomeId, Fined>, BTreeMap<OutcomeId, Vec<Place>>) {
    let (mut stream_time, mut met) = (i64::MIN, BTreeSet::new());
    let (mut in_force, mut decided_by) = (BTreeMap::new(), BTreeMap::new());
    for reading in &inputs.readings {
        let id = reading.id();
        if met.contains(&id) || stream_time > reading.time + 30 {
            continue;
        }
        stream_time = stream_time.max(reading.time);
        let by = [true, false].map(|of_gate| deciding(inputs, all(inputs), reading, of_gate));
        decided_by.insert(id, by.into_iter().flatten().collect());
        match judge(inputs, all(inputs), reading) {
            Verdict::Under => continue,
            Verdict::Unknown => {}
            Verdict::Fined(fined) => drop(in_force.insert(id, fined)),
        }
        met.insert(id);
    }
    (in_force, decided_by)
}

/// Compares what is in force in the end, and subtracts exactly the exceptions that law 18 names.
pub(super) fn check(world: &World, written: &Written, output: &Output) -> Result<(), String> {
    let (expected, decided_by) = decide_all(&world.inputs);
    let found = output.in_force();
    let ids: BTreeSet<OutcomeId> = expected.keys().chain(found.keys()).copied().collect();
    for id in ids.into_iter().filter(|id| expected.get(id) != found.get(id)) {
        let copies: Vec<&Reading> =
            world.inputs.readings.iter().filter(|reading| reading.id() == id).collect();
        let says = format!("{:?}: expected {:?}, found {:?}", copies[0], expected.get(&id), found.get(&id));
        let several_contents = copies.iter().collect::<HashSet<_>>().len() > 1;
        let kind = if output.remembered.contains(&id) { "forgotten" } else { "let-go" };
        let is_named = |place: &&Place| {
            output
                .late
                .get(place)
                .is_some_and(|kinds| several_contents || kinds.split(',').any(|named| named == kind))
        };
        let named: Vec<&Place> = decided_by.get(&id).into_iter().flatten().filter(is_named).collect();
        let is_conflict = output.reused.iter().any(|offset| world.inputs.readings[*offset].id() == id);
        if named.is_empty() && !is_conflict {
            return Err(says);
        }
        if several_contents {
            continue;
        }
        if kind == "let-go" && found.contains_key(&id) {
            return Err(format!("{says}: it was let go"));
        }
        let chance = last_chance(world, written, copies[0], kind);
        if named.iter().all(|place| written.order(place.0, place.1) < chance) {
            return Err(format!("{says}: its registrations were committed in time"));
        }
    }
    Ok(())
}

/// Whatever is committed before this counts: the last copy of the reading that is not too old or, for one that was remembered, the reading that
/// moves time so far that it is forgotten.
fn last_chance(world: &World, written: &Written, of: &Reading, kind: &str) -> usize {
    let (mut stream_time, mut chance) = (i64::MIN, 0);
    for (offset, reading) in world.inputs.readings.iter().enumerate() {
        stream_time = stream_time.max(reading.time);
        if kind == "let-go" && reading.id() == of.id() && stream_time <= reading.time + 30 {
            chance = written.order(READINGS, offset);
        }
        if kind == "forgotten" && stream_time > of.time + 30 {
            return written.order(READINGS, offset);
        }
    }
    chance
}

/// With nothing left to do, each remembered reading stands as the tables that were read say.
pub(super) fn check_state(inputs: &Inputs, task: &Task) -> Result<(), String> {
    let ends = TABLES.map(|table| task.position(table));
    for (reading, stands) in task.remembered() {
        let expected = match judge(inputs, ends, &reading) {
            Verdict::Unknown => None,
            Verdict::Under => Some(None),
            Verdict::Fined(fined) => Some(Some(fined)),
        };
        if stands != expected {
            return Err(format!("{reading:?} stands as {stands:?} and not as {expected:?}"));
        }
    }
    Ok(())
}
