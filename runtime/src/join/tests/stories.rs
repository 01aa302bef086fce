//! One test per guarantee that cases and worlds do not reach, with the numbers written out.

use super::task::{Inputs, Task};
use super::{Fined, JUDGED, READINGS, Reading, Registered, TABLES, Told};
use crate::join::OutcomeReason::{EarlierRun, Item, Registration};
use crate::join::OutcomeState::{Issued, Revised, Voided};
use crate::join::Side::{Broadcast, Table};
use crate::join::{OutcomeReason, OutcomeState};
use crate::log::TopicPartition;

const GATES: usize = TABLES[0];
const WAGONS: usize = TABLES[2];

fn reading(time: i64, sequence: u8, speed: i64) -> Reading {
    Reading { gate: 'r', tag: 'V', time, sequence, speed }
}

/// A task with its inputs.
struct Story {
    task: Task,
    inputs: Inputs,
}

impl Story {
    fn new(hold_for: i64) -> Story {
        Story { task: Task::new(hold_for), inputs: Inputs::default() }
    }

    fn limit(&mut self, from: i64, limit: impl Into<Option<i64>>) -> &mut Story {
        self.inputs.tables[GATES - 1].push(Registered { key: 'r', from, value: limit.into() });
        self
    }

    fn owner(&mut self, from: i64, owner: impl Into<Option<i64>>) -> &mut Story {
        self.inputs.tables[WAGONS - 1].push(Registered { key: 'V', from, value: owner.into() });
        self
    }

    fn passes(&mut self, time: i64, speed: i64) -> &mut Story {
        self.inputs.readings.push(reading(time, 0, speed));
        self
    }

    /// Somebody else passes, under the limit of another gate.
    fn time_is(&mut self, time: i64) -> &mut Story {
        self.inputs.readings.push(Reading { gate: 'a', tag: 'a', time, sequence: 0, speed: 0 });
        self
    }

    fn step(&mut self) -> &mut Story {
        self.task.step(&self.inputs);
        self
    }

    fn read_tables(&mut self) {
        for table in TABLES {
            self.task.read_table(&self.inputs, table, self.inputs.len(table));
        }
    }

    /// State, revision, reason and owner of all events.
    fn told(&self) -> Vec<(OutcomeState, u32, OutcomeReason, i64)> {
        let line = |told: &Told| (told.state, told.revision, told.reason, told.fined.owner);
        self.task.output.events.iter().map(line).collect()
    }

    fn counts(&self, names: &[&str]) -> Vec<u64> {
        names.iter().map(|name| self.task.count(name)).collect()
    }
}

#[test]
fn events_say_what_changed_and_why() {
    let mut story = Story::new(30);
    story.limit(0, 50).owner(0, 1).passes(7, 60).step();
    story.owner(5, 2).step();
    story.limit(5, 55).step();
    story.limit(6, 70).step();
    story.limit(7, 50).step();
    story.owner(7, None).step();
    story.owner(7, 3).step();
    let expected = [
        (Issued, 1, Item, 1),
        (Revised, 2, Registration(Table), 2),
        (Revised, 3, Registration(Broadcast), 2),
        (Voided, 4, Registration(Broadcast), 2),
        (Issued, 5, Registration(Broadcast), 2),
        (Voided, 6, Registration(Table), 2),
        (Issued, 7, Registration(Table), 3),
    ];
    assert_eq!(story.told(), expected);
    let limits: Vec<i64> = story.task.output.events.iter().map(|told| told.fined.limit).collect();
    assert_eq!(limits, [50, 50, 55, 55, 50, 50, 50], "a voided one repeats what was in force");
    assert_eq!(story.counts(&["judged", "revised", "voided", "reissued"]), [1, 2, 2, 2]);
    assert_eq!(story.counts(&["held", "released", "unidentified", "under-limit"]), [1, 1, 0, 0]);
}

#[test]
fn the_reason_is_what_was_waited_for_or_is_lacking_now() {
    let mut story = Story::new(30);
    story.limit(0, 50).passes(7, 60).step();
    story.limit(5, 55).owner(0, 1).step();
    story.limit(6, 56).owner(6, None).step();
    assert_eq!(story.told(), [(Issued, 1, Registration(Table), 1), (Voided, 2, Registration(Table), 1)]);
}

#[test]
fn an_earlier_runs_outcome_is_answered_once() {
    let mut story = Story::new(30);
    story.limit(0, 50).owner(0, 1).passes(7, 60).passes(8, 60).passes(9, 60).step();
    story.task.reset();
    story.limit(9, 70).owner(8, None).step();
    let answers = &story.told()[3..];
    assert_eq!(answers, [(Issued, 1, EarlierRun, 1), (Voided, 1, EarlierRun, 1), (Voided, 1, EarlierRun, 1)]);
    story.owner(8, 4).step();
    assert_eq!(story.told()[6..], [(Issued, 2, Registration(Table), 4)]);
    assert_eq!(story.counts(&["judged", "voided", "reissued"]), [2, 2, 0]);
    // What is voided already is not answered.
    story.owner(7, None).owner(8, None).step();
    story.task.reset();
    story.step();
    assert_eq!(story.told().len(), 9);
}

#[test]
fn an_earlier_runs_outcome_whose_reading_is_gone_stays_in_force_and_is_counted() {
    let mut story = Story::new(30);
    story.limit(0, 50).owner(0, 1).passes(7, 60).step();
    story.task.reset();
    story.inputs.readings[0] = reading(7, 1, 20);
    story.time_is(37).step();
    assert_eq!(story.counts(&["left-behind"]), [0]);
    story.task.kill();
    story.time_is(38).step();
    assert_eq!(story.counts(&["left-behind"]), [1]);
    assert_eq!(story.task.output.in_force().len(), 1);
}

#[test]
fn a_reading_counts_once_as_judged_or_under_its_limit() {
    let mut story = Story::new(30);
    story.passes(7, 60).passes(8, 60).step();
    assert_eq!(story.task.held(), [7, 8]);
    story.limit(0, 70).step();
    assert_eq!(story.counts(&["held", "released", "under-limit", "judged"]), [2, 2, 2, 0]);
    story.limit(0, 50).owner(8, 1).step();
    assert_eq!(story.task.held(), [7]);
    assert_eq!(story.counts(&["held", "released", "under-limit", "judged"]), [3, 2, 2, 1]);
    story.owner(7, 1).step();
    story.limit(0, 70).step();
    assert_eq!(story.counts(&["held", "released", "under-limit", "judged", "voided"]), [3, 3, 2, 2, 2]);
}

#[test]
fn the_same_reading_again_is_a_duplicate_while_it_is_remembered_and_late_after() {
    let mut story = Story::new(30);
    story.limit(0, 50).owner(0, 1).passes(7, 60).passes(7, 60).time_is(37).step();
    story.task.kill();
    story.passes(7, 60).time_is(38).passes(7, 60).step();
    assert_eq!(story.task.output.duplicates, [1, 3]);
    assert_eq!(story.task.output.too_old, [5]);
    assert_eq!(story.told().len(), 1);
}

#[test]
fn a_reused_id_changes_nothing_and_is_a_bad_record() {
    let mut story = Story::new(30);
    story.limit(0, 50).owner(0, 1).passes(7, 60).passes(7, 80).step();
    assert_eq!((story.task.output.reused.as_slice(), story.told().len()), ([1].as_slice(), 1));
    assert_eq!(story.counts(&["id-reused", "duplicates"]), [1, 0]);
}

#[test]
fn what_is_given_up_long_after_it_was_judged_still_comes_out_as_it_came() {
    let mut story = Story::new(9);
    story.limit(0, 50).owner(0, 1).passes(7, 60).time_is(17).step();
    story.task.kill();
    story.owner(5, None).step();
    let raw = serde_json::to_vec(&story.inputs.readings[0]).unwrap();
    assert_eq!(story.task.output.dead, [(b"V".to_vec(), raw)]);
    assert_eq!(story.task.output.unidentified, [0]);
    assert_eq!(story.counts(&["held", "unidentified"]), [2, 1], "the other one is held too");
}

#[test]
fn idle_time_gives_up_too() {
    let mut story = Story::new(30);
    story.passes(7, 60).step();
    story.task.idle_until(37);
    assert_eq!(story.task.held(), [7]);
    story.task.idle_until(38);
    assert_eq!(story.task.held(), [0_i64; 0]);
}

#[test]
fn a_bad_record_moves_no_time() {
    let mut story = Story::new(30);
    story.passes(7, 60).step();
    for (source, topic) in [(0, "gates"), (1, "wagons"), (2, "readings")] {
        story.task.feed(source, &TopicPartition::new(topic, 0), 9, 'V', 99, b"{");
    }
    story.task.commit();
    assert_eq!((story.task.held(), story.task.output.dead.len()), (vec![7], 3));
}

/// `count` readings of the one gate, at days 7 to 16, each of a wagon of its own number of times.
fn many(story: &mut Story, count: usize) {
    for number in 0..count {
        let tag = char::from(b'A' + (number % 13) as u8);
        let time = 7 + number as i64 * 10 / count as i64;
        let sequence = (number / 13 % 256) as u8;
        story.inputs.readings.push(Reading { gate: 'r', tag, time, sequence, speed: 60 });
    }
}

#[test]
fn a_registration_judges_only_what_it_touches_and_could_change() {
    let mut story = Story::new(30);
    many(&mut story, 2_600);
    story.limit(0, 50).step();
    let judged = |story: &mut Story| {
        let before = JUDGED.get();
        story.step();
        JUDGED.get() - before
    };
    let mut register = |key, from, value| {
        story.inputs.tables[WAGONS - 1].push(Registered { key, from, value: Some(value) });
        judged(&mut story)
    };
    assert_eq!(register('A', 0, 1), 200, "its readings");
    assert_eq!(register('A', 12, 2), 100, "of its times");
    assert_eq!(register('A', 0, 1), 0, "an equal one changes none");
    assert_eq!(register('A', 7, 3), 100, "up to the next version");
    assert_eq!(register('Z', 0, 1), 0, "nobody's");
}

#[test]
fn a_registration_that_touches_many_is_one_entry_and_is_worked_off_in_parts() {
    let mut story = Story::new(30);
    many(&mut story, 2_600);
    for tag in 'A'..='M' {
        story.inputs.tables[WAGONS - 1].push(Registered { key: tag, from: 0, value: Some(1) });
    }
    story.limit(0, 50).step();
    assert_eq!(story.told().len(), 2_600);
    story.limit(0, 55);
    story.read_tables();
    assert_eq!(story.task.entries_of("corrections"), 1);
    story.task.commit();
    story.task.kill();
    assert_eq!(story.task.entries_of("corrections"), 1, "it survives a restart");
    let mut parts = Vec::new();
    loop {
        let more = story.task.work_off();
        parts.push(story.task.uncommitted().0);
        // Every other part is lost, and done again.
        match parts.len() % 2 {
            0 => story.task.kill(),
            _ => story.task.commit(),
        }
        if !more && parts.len() % 2 == 1 {
            break;
        }
    }
    assert_eq!(parts, [1_024, 1_024, 1_024, 552, 552]);
    assert_eq!((story.told().len(), story.counts(&["revised"])), (5_200, vec![2_600]));
    assert_eq!(story.task.entries_of("corrections"), 0);
}

#[test]
fn a_second_registration_in_between_is_right_too() {
    let mut story = Story::new(30);
    many(&mut story, 2_600);
    for tag in 'A'..='M' {
        story.inputs.tables[WAGONS - 1].push(Registered { key: tag, from: 0, value: Some(1) });
    }
    story.limit(0, 50).step();
    story.limit(0, 55);
    story.read_tables();
    assert!(story.task.work_off());
    story.task.commit();
    // The equal value takes over the times of the first one, of which some are not judged again yet.
    story.limit(9, 55).limit(15, 70);
    story.read_tables();
    while story.task.work_off() {}
    story.task.commit();
    let in_force = story.task.output.in_force();
    let expected = |reading: &&Reading| reading.time < 15;
    assert_eq!(in_force.len(), story.inputs.readings.iter().filter(expected).count());
    let fined = Fined { owner: 1, speed: 60, limit: 55, fine: 68 };
    assert!(in_force.values().all(|found| *found == fined));
}

#[test]
fn a_jump_of_time_is_caught_up_with_in_parts_that_are_invisible() {
    let mut story = Story::new(9);
    many(&mut story, 2_600);
    story.limit(0, 50).step();
    assert_eq!(story.task.held().len(), 2_600);
    story.task.idle_until(60);
    assert_eq!(story.task.held().len(), 2_600 - 1_024);
    story.task.commit();
    story.task.kill();
    // These readings are forgotten, though the join has not come to them.
    story.inputs.tables[WAGONS - 1].push(Registered { key: 'M', from: 16, value: Some(1) });
    story.inputs.tables[WAGONS - 1].push(Registered { key: 'M', from: 17, value: Some(1) });
    story.read_tables();
    let mut parts = 0;
    while story.task.work_off() {
        parts += 1;
    }
    story.task.commit();
    assert_eq!(parts, 1, "it forgets what it gives up");
    assert_eq!(story.task.output.unidentified.len(), 2_600);
    assert_eq!(story.task.output.late.keys().collect::<Vec<_>>(), [&(WAGONS, 0)]);
    assert_eq!((story.task.entries_of("remembered"), story.told().len()), (0, 0));
}

#[test]
fn a_part_is_short_where_dead_letters_are_large() {
    let mut story = Story::new(9);
    let large = 200_000;
    for number in 0..20 {
        let mut value = serde_json::to_vec(&reading(7, number, 60)).unwrap();
        value.resize(large, b' ');
        let at = usize::from(number);
        story.task.feed(2, &TopicPartition::new("readings", 0), at, 'V', 7, &value);
    }
    story.task.commit();
    story.task.idle_until(17);
    loop {
        let (_, bytes) = story.task.uncommitted();
        assert!(bytes < 1_300_000, "{bytes}");
        story.task.commit();
        if !story.task.work_off() {
            break;
        }
    }
    story.task.commit();
    assert_eq!(story.task.output.dead.iter().filter(|(_, value)| value.len() == large).count(), 20);
}

#[test]
fn a_join_whose_task_never_works_off_gives_the_same() {
    let mut story = Story::new(9);
    story.limit(0, 50).passes(7, 60).step();
    story.owner(0, 1).passes(8, 60);
    story.read_tables();
    story.task.take(&story.inputs);
    story.task.commit();
    assert_eq!(story.told(), [(Issued, 1, Registration(Table), 1), (Issued, 1, Item, 1)]);
    story.inputs.readings.push(Reading { tag: 'W', ..reading(9, 0, 60) });
    story.time_is(39).time_is(40);
    while story.task.position(READINGS) < story.inputs.readings.len() {
        story.task.take(&story.inputs);
    }
    assert_eq!(story.task.held(), [39, 40]);
    story.owner(8, 2).owner(9, 2);
    story.read_tables();
    story.task.commit();
    assert_eq!(story.task.output.unidentified, [2]);
    assert_eq!(story.task.output.late.keys().collect::<Vec<_>>(), [&(WAGONS, 1)], "day 8 is forgotten");
}

#[test]
fn the_last_event_counts_though_its_revision_is_lower_after_a_reset() {
    let mut story = Story::new(30);
    story.limit(0, 50).owner(0, 1).passes(7, 60).step();
    story.owner(5, 2).step();
    story.task.reset();
    story.limit(5, 70).step();
    let revisions: Vec<u32> = story.task.output.events.iter().map(|told| told.revision).collect();
    assert_eq!(revisions, [1, 2, 1]);
    assert!(story.task.output.in_force().is_empty());
}
