//! Random worlds: in any order of commits, steps, kills and resets, what is in force in the end is what the oracle says.
//!
//! An interleaving is any order of: commits of a few records to one partition, steps of the task (more may be committed between its fetch and its
//! question for the ends of the tables), steps that end in the middle of what is left to do, steps that are killed before their commit, and resets.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::oracle::{check, check_state};
use super::task::{Inputs, Task};
use super::{READINGS, Reading, Registered, TABLES};

/// All that will be committed, and how long a reading is held, in days.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) inputs: Inputs,
    pub(super) hold_for: i64,
}

/// The order in which records were committed.
#[derive(Debug, Default)]
pub(super) struct Written(BTreeMap<(usize, usize), usize>);

impl Written {
    pub(super) fn note(&mut self, input: usize, offset: usize) {
        let order = self.0.len() + 1;
        self.0.insert((input, offset), order);
    }

    pub(super) fn order(&self, input: usize, offset: usize) -> usize {
        self.0[&(input, offset)]
    }
}

/// Makes the decisions of an interleaving. When it has run out it decides for what comes to an end: the last of all choices.
struct Choices<'c> {
    left: std::slice::Iter<'c, u8>,
}

impl Choices<'_> {
    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        let last = all.len() - 1;
        all[self.left.next().map_or(last, |choice| usize::from(*choice) % all.len())]
    }

    /// Once in `odds` times.
    fn rarely(&mut self, odds: u8) -> bool {
        self.left.next().is_some_and(|choice| choice % odds == 0)
    }
}

/// The inputs as they are committed.
struct Log<'w> {
    world: &'w World,
    committed: Inputs,
    written: Written,
    /// Committed first, as far as there is something; any if none.
    favoured: &'static [usize],
}

impl Log<'_> {
    fn commit(&mut self, choices: &mut Choices<'_>, most: &[usize]) {
        for _ in 0..choices.one_of(most) {
            let is_behind = |input: &usize| self.committed.len(*input) < self.world.inputs.len(*input);
            let behind: Vec<usize> = (READINGS..=TABLES[2]).filter(is_behind).collect();
            let chosen: Vec<usize> =
                behind.iter().copied().filter(|input| self.favoured.contains(input)).collect();
            let chosen = if chosen.is_empty() { behind } else { chosen };
            if chosen.is_empty() {
                return;
            }
            let input = choices.one_of(&chosen);
            for _ in 0..choices.one_of(&[1, 2, 3]) {
                self.commit_one(input);
            }
        }
    }

    fn commit_one(&mut self, input: usize) {
        let (all, offset) = (&self.world.inputs, self.committed.len(input));
        if offset == all.len(input) {
            return;
        }
        match input {
            READINGS => self.committed.readings.push(all.readings[offset].clone()),
            table => self.committed.tables[table - 1].push(all.tables[table - 1][offset].clone()),
        }
        self.written.note(input, offset);
    }

    fn is_read_by(&self, task: &Task) -> bool {
        (READINGS..=TABLES[2]).all(|input| task.position(input) == self.world.inputs.len(input))
    }
}

/// Fetches readings, asks for the ends of the tables, reads these, does what is left, then judges what was fetched. Stops anywhere where a task may
/// commit. True if nothing is left to do.
fn step(task: &mut Task, log: &mut Log<'_>, choices: &mut Choices<'_>) -> bool {
    let chunk = choices.one_of(&[0, 1, 2, 3, 4, 5, 99]);
    let fetched = log.committed.len(READINGS).min(task.position(READINGS) + chunk);
    log.commit(choices, &[0, 1, 4, 0]);
    let ends = TABLES.map(|table| log.committed.len(table));
    let orders = [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]];
    for table in choices.one_of(&orders) {
        task.read_table(&log.committed, table, ends[table - 1]);
    }
    while task.work_off() {
        if choices.rarely(3) {
            return false;
        }
    }
    // A join whose task does not do what is left must do it by itself.
    let is_idle = choices.rarely(3);
    while task.position(READINGS) < fetched {
        task.take(&log.committed);
        if choices.rarely(4) {
            return false;
        }
        while !is_idle && task.work_off() {
            if choices.rarely(3) {
                return false;
            }
        }
    }
    while task.work_off() {}
    true
}

fn play(world: &World, favoured: &'static [usize], choices: &[u8]) -> Result<(), String> {
    let mut choices = Choices { left: choices.iter() };
    let mut log = Log { world, committed: Inputs::default(), written: Written::default(), favoured };
    let mut task = Task::new(world.hold_for);
    let mut resets = choices.one_of(&[0, 0, 1, 2]);
    loop {
        log.commit(&mut choices, &[0, 1, 3, 9]);
        task.set_part(choices.one_of(&[1, 2, 99]));
        let is_done = step(&mut task, &mut log, &mut choices);
        if is_done {
            check_state(&log.committed, &task)?;
        }
        if choices.rarely(7) {
            task.kill();
            continue;
        }
        task.commit();
        if is_done && log.is_read_by(&task) {
            break;
        }
        if resets > 0 && choices.rarely(10) {
            resets -= 1;
            task.reset();
        }
    }
    check(world, &log.written, &task.output)
}

/// How a reading follows from the one before: time goes on, and it may lie behind; or it is an earlier one again, perhaps with another speed.
#[derive(Clone, Debug)]
struct Passing {
    advance: i64,
    behind: i64,
    reading: (char, char, u8, i64),
    again: Option<(prop::sample::Index, Option<i64>)>,
}

fn passings() -> impl Strategy<Value = Vec<Passing>> {
    let speeds = || prop::sample::select(vec![20_i64, 60, 80]);
    let reading =
        (prop::sample::select(vec!['r', 's']), prop::sample::select(vec!['V', 'W']), 0_u8..2, speeds());
    let again =
        prop::option::weighted(0.3, (any::<prop::sample::Index>(), prop::option::weighted(0.3, speeds())));
    let advance = prop::sample::select(vec![0_i64, 0, 1, 5, 12, 31]);
    let behind = prop::sample::select(vec![0_i64, 0, 0, 1, 8, 29, 30, 31]);
    let passing = (advance, behind, reading, again).prop_map(|(advance, behind, reading, again)| Passing {
        advance,
        behind,
        reading,
        again,
    });
    prop::collection::vec(passing, 4..17)
}

fn readings(passings: &[Passing]) -> Vec<Reading> {
    let (mut clock, mut readings) = (40, Vec::<Reading>::new());
    for passing in passings {
        clock += passing.advance;
        let (gate, tag, sequence, speed) = passing.reading;
        let mut reading = Reading { gate, tag, time: clock - passing.behind, sequence, speed };
        if let Some((of, speed)) = passing.again.as_ref().filter(|_| !readings.is_empty()) {
            reading = of.get(&readings).clone();
            reading.speed = speed.unwrap_or(reading.speed);
        }
        readings.push(reading);
    }
    readings
}

/// Valid from the beginning, or near the time of a reading.
type Registering = (char, Option<(prop::sample::Index, i64)>, Option<i64>);

fn registerings(keys: [char; 2], values: [i64; 3]) -> impl Strategy<Value = Vec<Registering>> {
    let near = (any::<prop::sample::Index>(), prop::sample::select(vec![-9_i64, -1, 0, 0, 1]));
    let made = (
        prop::sample::select(keys.to_vec()),
        prop::option::of(near),
        prop::option::weighted(0.86, prop::sample::select(values.to_vec())),
    );
    prop::collection::vec(made, 0..8)
}

fn worlds() -> impl Strategy<Value = World> {
    let gates = || registerings(['r', 's'], [30, 50, 70]);
    let tables = (gates(), gates(), registerings(['V', 'W'], [1, 2, 3]));
    (passings(), tables, prop::sample::select(vec![0_i64, 7, 30, 45])).prop_map(
        |(passings, tables, hold_for)| {
            let readings = readings(&passings);
            let made = |table: Vec<Registering>| {
                let one = |(key, near, value): Registering| {
                    let from = near.map_or(0, |(of, by)| of.get(&readings).time + by);
                    Registered { key, from, value }
                };
                table.into_iter().map(one).collect()
            };
            let tables = [made(tables.0), made(tables.1), made(tables.2)];
            World { inputs: Inputs { readings: readings.clone(), tables }, hold_for }
        },
    )
}

/// Twice as many as usual, or as `PROPTEST_CASES` asks for: some rules are needed in few worlds.
fn many_worlds() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: 2 * usual.cases, max_shrink_iters: 20_000, ..usual }
}

proptest! {
    #![proptest_config(many_worlds())]

    /// Six interleavings of one world: tables first, readings first, and four in any order.
    #[test]
    fn any_interleaving_ends_as_the_oracle_says(
        world in worlds(),
        choices in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 6),
    ) {
        let favourites: [&'static [usize]; 6] = [&TABLES, &[READINGS], &[], &[], &[], &[]];
        for (number, (favoured, choices)) in favourites.into_iter().zip(&choices).enumerate() {
            if let Err(wrong) = play(&world, favoured, choices) {
                return Err(TestCaseError::fail(format!("interleaving {number}: {wrong}")));
            }
        }
    }
}
