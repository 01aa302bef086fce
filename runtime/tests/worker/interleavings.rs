//! Whatever order things are written, fetched, judged, committed and killed in: a reading is judged by everything that stood in the
//! tables before it (law 18), and each reading once.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidegate_runtime::driver::TestDriver;
use tidegate_runtime::log::TopicPartition;
use tidegate_runtime::time::EventTime;

use crate::judging::judging;

#[derive(Clone, Debug)]
enum Move {
    Owner(u8),
    /// In whichever partition: nobody checks the key of a broadcast table.
    Limit(u8, u32),
    Reading(u8),
    Fetch(&'static str, usize),
    Step(usize),
    Commit,
    Kill,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let key = 0..4_u8;
    let topic = prop::sample::select(vec!["owners", "limits", "readings", "readings"]);
    let one = prop_oneof![
        4 => key.clone().prop_map(Move::Owner),
        4 => (key.clone(), 0..3_u32).prop_map(|(key, partition)| Move::Limit(key, partition)),
        4 => key.prop_map(Move::Reading),
        4 => (topic, 1..4_usize).prop_map(|(topic, most)| Move::Fetch(topic, most)),
        3 => (0..3_usize).prop_map(Move::Step),
        1 => Just(Move::Commit),
        1 => Just(Move::Kill),
    ];
    prop::collection::vec(one, 0..80)
}

/// What was written: the greatest number of each key in both tables.
#[derive(Default)]
struct World {
    numbers: [BTreeMap<u8, u64>; 2],
    next: u64,
    readings: u64,
}

impl World {
    fn write(&mut self, driver: &mut TestDriver, table: usize, key: u8, partition: Option<u32>) {
        self.next += 1;
        self.numbers[table].insert(key, self.next);
        let (topic, value) = (["owners", "limits"][table], self.next.to_be_bytes());
        // Ever earlier: nothing may depend on a table's times.
        let time = EventTime(1_000 - i64::try_from(self.next).unwrap());
        match partition {
            Some(partition) => {
                let to = TopicPartition::new(topic, partition);
                driver.append_to(&to, time, Some(&[key]), Some(&value)).unwrap();
            }
            None => driver.append(topic, time, Some(&[key]), Some(&value)).unwrap(),
        }
    }

    fn read(&mut self, driver: &mut TestDriver, key: u8) {
        let known = self.numbers.each_ref().map(|table| table.get(&key).copied());
        let [Some(owner), Some(limit)] = known else { return };
        self.readings += 1;
        let (time, number) = (EventTime(i64::try_from(self.readings).unwrap()), owner.min(limit));
        driver.append("readings", time, Some(&[key]), Some(&number.to_be_bytes())).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_interleaving_lets_a_reading_miss_what_stood_before_it(moves in moves()) {
        let mut driver = TestDriver::with_partitions(judging(), 2, &[("limits", 3)]).unwrap();
        driver.commit_after_each_record(false);
        let mut world = World::default();
        for next in moves {
            match next {
                Move::Owner(key) => world.write(&mut driver, 0, key, None),
                Move::Limit(key, partition) => world.write(&mut driver, 1, key, Some(partition)),
                Move::Reading(key) => world.read(&mut driver, key),
                Move::Fetch(topic, most) => driver.fetch(topic, most).unwrap(),
                Move::Step(parts) => {
                    driver.step(parts).unwrap();
                }
                Move::Commit => driver.commit().unwrap(),
                Move::Kill => driver.kill().unwrap(),
            }
            prop_assert_eq!(driver.total("missed"), 0);
        }
        driver.process().unwrap();
        driver.commit().unwrap();
        prop_assert_eq!((driver.total("judged"), driver.total("missed")), (world.readings, 0));
    }
}
