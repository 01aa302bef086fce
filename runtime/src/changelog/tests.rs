//! Whatever history wrote it, a changelog gives the last commit's state back, or says which block is wrong.

use proptest::prelude::*;

use super::*;
use crate::error::Result;
use crate::log::TopicPartition;
use crate::store::KeyValueStore;

type State = KeyValueStore<u32, Vec<u8>>;

const HISTORY: History = History(7);

/// What a log would keep: blocks with their offsets.
#[derive(Default)]
struct Kept(Vec<(Offset, Vec<u8>)>);

impl Kept {
    /// Commits `state`, appends its blocks with a gap before them, and trims as told.
    fn commit(&mut self, changelog: &mut Changelog, state: &mut State, clock: i64) {
        let mut progress = Progress::default();
        progress.clock.observe(EventTime(clock));
        let mut blocks = Records::default();
        changelog.append(&mut [state], &progress, EventTime(clock), &mut blocks);
        // A transaction marker stands between the commits, as on Kafka.
        let first = Offset(self.0.last().map_or(0, |(last, _)| last.0 + 2));
        for index in 0..blocks.len() {
            self.0.push((Offset(first.0 + index as i64), blocks.value(index).unwrap().to_vec()));
        }
        if let Some(before) = changelog.committed(first) {
            self.0.retain(|(offset, _)| *offset >= before);
        }
    }

    fn restore(&self) -> Result<Option<(Progress, Changelog, State)>> {
        let mut state = State::new("s");
        let mut restore = Restore::default();
        let partition = TopicPartition::new("changelog", 0);
        for (offset, block) in &self.0 {
            restore.apply(&partition.at(*offset), block, &mut [&mut state])?;
        }
        let restored = restore.finish(&partition.at(Offset(9_999)), &mut [&mut state], HISTORY)?;
        Ok(restored.map(|(progress, changelog)| (progress, changelog, state)))
    }
}

fn contents(state: &State) -> Vec<(u32, Vec<u8>)> {
    state.iter().map(|(key, value)| (*key, value.clone())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    /// Law 10: whenever it is read, by whichever life it was written, the changelog gives the last commit's state.
    #[test]
    fn state_comes_back_equal_at_every_commit(
        steps in prop::collection::vec(
            (prop::collection::vec((0_u32..60, 0_usize..900, any::<bool>()), 0..20), any::<bool>()), 1..80),
    ) {
        let (mut changelog, mut state, mut kept) = (Changelog::new(HISTORY), State::new("s"), Kept::default());
        for (step, (changes, restart)) in steps.iter().enumerate() {
            for (key, len, put) in changes {
                if *put { state.put(*key, vec![step as u8; *len]); } else { state.remove(key); }
            }
            kept.commit(&mut changelog, &mut state, step as i64);
            let (progress, continued, restored) = kept.restore().unwrap().unwrap();
            prop_assert_eq!(contents(&restored), contents(&state));
            prop_assert_eq!(progress.clock.now(), Some(EventTime(step as i64)));
            if *restart {
                (changelog, state) = (continued, restored);
            }
        }
    }
}

/// The cost of a restore follows the size of the state, not the number of commits.
#[test]
fn a_long_history_of_a_small_state_stays_short() {
    let (mut changelog, mut state, mut kept) = (Changelog::new(HISTORY), State::new("s"), Kept::default());
    for round in 0..5_000_u32 {
        state.put(round % 100, vec![1; 50]);
        kept.commit(&mut changelog, &mut state, i64::from(round));
    }
    let bytes: usize = kept.0.iter().map(|(_, block)| block.len()).sum();
    assert!(kept.0.len() < 700, "{} blocks are kept", kept.0.len());
    assert!(bytes < 150_000, "{bytes} bytes are kept for a state of {}", state.size_bytes());
}

/// The same when every life ends after a commit or two.
#[test]
fn lives_too_short_for_a_cycle_are_trimmed_too() {
    let (mut changelog, mut state, mut kept) = (Changelog::new(HISTORY), State::new("s"), Kept::default());
    for round in 0..3_000_u32 {
        state.put(round % 100, vec![1; 200]);
        kept.commit(&mut changelog, &mut state, i64::from(round));
        (_, changelog, state) = kept.restore().unwrap().unwrap();
    }
    let bytes: usize = kept.0.iter().map(|(_, block)| block.len()).sum();
    assert!(bytes < 6 * state.size_bytes(), "{bytes} bytes are kept for a state of {}", state.size_bytes());
}

fn history() -> Kept {
    let (mut changelog, mut state, mut kept) = (Changelog::new(HISTORY), State::new("s"), Kept::default());
    for round in 0..6_u32 {
        state.put(round, vec![1; 300_000]);
        kept.commit(&mut changelog, &mut state, i64::from(round));
    }
    kept
}

#[test]
fn a_missing_block_is_noticed_and_named() {
    let mut kept = history();
    kept.0.remove(3);
    let error = kept.restore().err().unwrap().to_string();
    assert!(error.starts_with("changelog[0]@"), "{error}");
    assert!(error.contains("what stood between is missing"), "{error}");
}

#[test]
fn a_missing_beginning_is_no_empty_state() {
    let (mut changelog, mut state, mut kept) = (Changelog::new(HISTORY), State::new("s"), Kept::default());
    for round in 0..4 {
        state.put(round, vec![]);
        kept.commit(&mut changelog, &mut state, 0);
    }
    kept.0.remove(0);
    let error = kept.restore().err().unwrap().to_string();
    assert!(error.contains("beginning is missing"), "{error}");
}

#[test]
fn a_block_of_another_version_or_cut_short_is_refused() {
    let mut kept = history();
    kept.0[2].1[0] = 9;
    let error = kept.restore().err().unwrap().to_string();
    assert!(error.contains("block format `9`"), "{error}");
    let mut kept = history();
    let cut = kept.0[2].1.len() - 1;
    kept.0[2].1.truncate(cut);
    assert!(kept.restore().is_err());
}

#[test]
fn blocks_stay_below_the_brokers_limit() {
    let kept = history();
    assert!(kept.0.iter().all(|(_, block)| block.len() < 1_000_000));
    assert!(kept.0.len() > 6, "six large values take more than a block per commit");
}

/// A held record may have a megabyte, and a key's versions more: no block is larger than a broker takes, and all come back.
#[test]
fn entries_of_any_size_are_cut_into_blocks_that_a_log_takes() {
    let (mut changelog, mut state, mut kept) = (Changelog::new(HISTORY), State::new("s"), Kept::default());
    let sizes = [3_000_000, 100, 1_048_000, 524_288, 524_289, 262_144, 900_000];
    for round in 0..60_u32 {
        state.put(round % 20, vec![round as u8; sizes[round as usize % sizes.len()]]);
        if round % 7 == 0 {
            state.remove(&((round + 3) % 20));
        }
        kept.commit(&mut changelog, &mut state, i64::from(round));
        if round % 9 == 8 {
            let (_, continued, restored) = kept.restore().unwrap().unwrap();
            assert_eq!(contents(&restored), contents(&state), "round {round}");
            (changelog, state) = (continued, restored);
        }
    }
    let largest = kept.0.iter().map(|(_, block)| block.len()).max().unwrap();
    assert!(largest < 600_000, "{largest}");
    assert!(kept.0[0].0 > Offset(0), "its beginning has been trimmed");
    // Without one of its parts an entry is not taken for another.
    let lost = kept.0.len() / 2;
    kept.0.remove(lost);
    assert!(kept.restore().is_err());
}
