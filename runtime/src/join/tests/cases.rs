//! The named cases of laws 12, 18 and 19: what is committed, in order, and what is told of gate `r` and wagon `V` in the end.

use super::oracle::check;
use super::task::{Inputs, Task};
use super::worlds::{World, Written};
use super::{READINGS, Reading, Registered, TABLES};
use crate::join::OutcomeState;

#[derive(Clone, Copy, Debug)]
enum Item {
    /// A limit of gate `r`: valid from, limit, partition of the gates.
    Limit(i64, i64, usize),
    /// An owner of wagon `V`.
    Owner(i64, Option<char>),
    /// The wagon passes the gate, at this speed.
    Passes(i64, i64),
    /// Another one does.
    TimeIs(i64),
    Step,
    Reset,
}

use Item::{Limit, Owner, Passes, Reset, Step, TimeIs};

const LIMIT: Item = Limit(0, 50, 0);
const A: Item = Owner(0, Some('A'));

fn owner(from: i64, name: char) -> Item {
    Owner(from, Some(name))
}

const PASSES: Item = Passes(7, 60);

/// Name, days held for, script, what is told.
type Case = (&'static str, i64, Vec<Item>, &'static str);

/// A limit and an owner from the beginning, and then these.
fn both(rest: &[Item]) -> Vec<Item> {
    [&[LIMIT, A], rest].concat()
}

/// Registrations in any order, before or after the reading.
fn cases_of_order() -> Vec<Case> {
    vec![
        ("owners loaded oldest first, at once", 30, vec![LIMIT, PASSES, Step, A, owner(5, 'B')], "ISSUED B"),
        ("and one by one", 30, vec![LIMIT, PASSES, Step, A, Step, owner(5, 'B')], "ISSUED A, REVISED B"),
        (
            "limits loaded oldest first, down",
            30,
            vec![A, PASSES, Step, Limit(0, 70, 0), Step, Limit(5, 50, 0)],
            "ISSUED A",
        ),
        ("and up", 30, vec![A, PASSES, Step, LIMIT, Step, Limit(5, 70, 0)], "ISSUED A, VOIDED"),
        (
            "an owner from the same time replaces",
            30,
            both(&[owner(5, 'B'), PASSES, Step, owner(5, 'C')]),
            "ISSUED B, REVISED C",
        ),
        (
            "a limit in a lower partition does not",
            30,
            vec![Limit(5, 50, 1), A, PASSES, Step, Limit(5, 70, 0)],
            "ISSUED A",
        ),
        (
            "in a higher one it does",
            30,
            vec![Limit(5, 50, 0), A, PASSES, Step, Limit(5, 70, 1)],
            "ISSUED A, VOIDED",
        ),
        (
            "voided, then restored",
            30,
            both(&[PASSES, Step, Owner(5, None), Step, owner(6, 'B')]),
            "ISSUED A, VOIDED, ISSUED B",
        ),
        (
            "deregistered, then registered",
            30,
            both(&[Owner(5, None), PASSES, Step, owner(6, 'B')]),
            "ISSUED B",
        ),
        ("given up, then registered", 9, vec![LIMIT, PASSES, TimeIs(17), Step, A], "unidentified, ISSUED A"),
        ("held to the day", 9, vec![LIMIT, PASSES, TimeIs(16), Step, A], "ISSUED A"),
        (
            "voided after its hold: given up at once",
            9,
            both(&[PASSES, TimeIs(17), Step, Owner(5, None)]),
            "unidentified, ISSUED A, VOIDED",
        ),
        (
            "held for its wagon, the limit goes up",
            9,
            vec![LIMIT, PASSES, Step, Limit(5, 70, 0), Step, TimeIs(17)],
            "",
        ),
    ]
}

/// What is remembered, forgotten or let go, and what a reset leaves.
fn cases_of_memory() -> Vec<Case> {
    vec![
        (
            "remembered to the day",
            30,
            both(&[PASSES, TimeIs(37), Step, owner(5, 'B')]),
            "ISSUED A, REVISED B",
        ),
        (
            "forgotten on the next",
            30,
            both(&[PASSES, TimeIs(38), Step, owner(5, 'B')]),
            "ISSUED A, late: forgotten",
        ),
        ("just not too old", 30, both(&[TimeIs(37), Step, PASSES]), "ISSUED A"),
        ("too old", 30, both(&[TimeIs(38), Step, PASSES]), ""),
        ("held past memory", 45, vec![LIMIT, PASSES, TimeIs(52), Step, A, owner(5, 'B')], "ISSUED B"),
        (
            "and then forgotten",
            45,
            vec![LIMIT, PASSES, TimeIs(52), Step, A, Step, owner(5, 'B')],
            "ISSUED A, late: forgotten",
        ),
        (
            "let go under its limit",
            30,
            both(&[Limit(5, 70, 0), PASSES, Step, Limit(6, 50, 0)]),
            "late: let-go",
        ),
        (
            "and sent again",
            30,
            both(&[Limit(5, 70, 0), PASSES, Step, Limit(6, 50, 0), PASSES]),
            "ISSUED A, late: let-go",
        ),
        ("a limit that catches nobody", 30, both(&[Limit(5, 70, 0), PASSES, Step, Limit(6, 60, 0)]), ""),
        ("other content", 30, both(&[PASSES, Passes(7, 80)]), "ISSUED A, conflict"),
        (
            "reset before the limit went up",
            30,
            both(&[PASSES, Step, Limit(5, 70, 0), Reset]),
            "ISSUED A, VOIDED",
        ),
        (
            "reset before it was deregistered",
            30,
            both(&[PASSES, Step, Owner(5, None), Reset]),
            "ISSUED A, VOIDED",
        ),
        (
            "reset with nothing new",
            30,
            both(&[PASSES, Step, owner(5, 'B'), Step, Reset]),
            "ISSUED A, REVISED B, ISSUED B",
        ),
    ]
}

fn run(hold_for: i64, script: &[Item]) -> String {
    let (mut task, mut inputs, mut written) = (Task::new(hold_for), Inputs::default(), Written::default());
    let register = |inputs: &mut Inputs, table: usize, key, from, value| {
        inputs.tables[table - 1].push(Registered { key, from, value });
        table
    };
    for item in script.iter().chain([&Step]) {
        let input = match *item {
            Limit(from, limit, partition) => register(&mut inputs, TABLES[partition], 'r', from, Some(limit)),
            Owner(from, name) => {
                register(&mut inputs, TABLES[2], 'V', from, name.map(|name| i64::from(u32::from(name))))
            }
            Passes(time, speed) => {
                inputs.readings.push(Reading { gate: 'r', tag: 'V', time, sequence: 0, speed });
                READINGS
            }
            TimeIs(time) => {
                inputs.readings.push(Reading { gate: 'a', tag: 'a', time, sequence: 0, speed: 0 });
                READINGS
            }
            Step => {
                task.step(&inputs);
                continue;
            }
            Reset => {
                task.reset();
                continue;
            }
        };
        written.note(input, inputs.len(input) - 1);
    }
    let world = World { inputs, hold_for };
    check(&world, &written, &task.output).unwrap();
    told(&world, &task)
}

fn told(world: &World, task: &Task) -> String {
    let of_wagon = |offset: &&usize| world.inputs.readings[**offset].tag == 'V';
    let mut told = vec!["unidentified".to_owned(); task.output.unidentified.iter().filter(of_wagon).count()];
    for event in &task.output.events {
        let owner = u32::try_from(event.fined.owner).ok().and_then(char::from_u32).unwrap();
        told.push(match event.state {
            OutcomeState::Issued => format!("ISSUED {owner}"),
            OutcomeState::Revised => format!("REVISED {owner}"),
            OutcomeState::Voided => "VOIDED".to_owned(),
        });
    }
    told.extend(task.output.late.values().map(|kind| format!("late: {kind}")));
    told.extend(task.output.reused.iter().map(|_| "conflict".to_owned()));
    told.join(", ")
}

#[test]
fn named_cases_end_as_the_laws_say() {
    let cases = [cases_of_order(), cases_of_memory()].concat();
    assert_eq!(cases.len(), 26);
    for (name, hold_for, script, expected) in cases {
        assert_eq!(run(hold_for, &script), expected, "{name}");
    }
}
