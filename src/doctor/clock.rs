//! Do the clocks agree, and does a transaction take the time it should?
//!
//! A broker's clock cannot be asked for: a record in a topic with the broker's times bears it. Event time does not come from clocks, but
//! `--idle-close`, what a producer stamps, and the broker's own limits on times do.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::fmt::rfc2822::DateTimeParser;

use super::finding::{Finding, Verdict};
use super::units::time;

/// Clocks that are kept by a time server differ by less.
const NOTABLE_MS: i64 = 1_000;
/// Further apart, tickets and certificates begin to fail.
const WRONG_MS: i64 = 5 * 60 * 1_000;
/// Anything in a transaction that takes longer is felt in every commit.
const SLOW_MS: i64 = 1_000;

/// What a transaction of one record has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Probed {
    /// Until the producer was there: the transaction coordinator was found.
    pub(super) opened_ms: i64,
    pub(super) committed_ms: i64,
    /// From the commit's answer until the record was read.
    pub(super) read_ms: i64,
    /// How far the broker's clock is ahead of ours, as far as it is certain.
    pub(super) ahead_ms: i64,
}

/// The broker's clock, and the times.
pub(super) fn judge(probed: &Probed) -> Vec<Finding> {
    vec![times(probed).about("probe"), agreement(probed.ahead_ms, "the broker").about("clock of the broker")]
}

fn times(probed: &Probed) -> Verdict {
    let Probed { opened_ms, committed_ms, read_ms, .. } = *probed;
    let found = format!(
        "a transaction was opened in {opened_ms} ms, committed in {committed_ms} ms, read {read_ms} ms later"
    );
    match committed_ms.max(read_ms) > SLOW_MS {
        true => Verdict::warn(found, "see how busy the brokers and their disks are, and how far away"),
        false => Verdict::ok(found),
    }
}

fn agreement(ahead_ms: i64, whose: &str) -> Verdict {
    let apart = time(ahead_ms.abs());
    let found = match ahead_ms {
        0 => format!("{whose} and this machine agree"),
        1.. => format!("{whose} is {apart} ahead of this machine"),
        _ => format!("{whose} is {apart} behind this machine"),
    };
    let remedy = "let a time server keep both";
    match ahead_ms.abs() {
        apart if apart <= NOTABLE_MS => Verdict::ok(found),
        apart if apart <= WRONG_MS => Verdict::warn(found, remedy),
        _ => Verdict::fail(found, remedy),
    }
}

/// How far a time that was taken between two of ours is ahead: 0 if it may be equal. It is exact to `grain_ms` downwards.
pub(super) fn ahead(taken_ms: i64, grain_ms: i64, ours_ms: (i64, i64)) -> i64 {
    let (before, after) = ours_ms;
    if taken_ms > after { taken_ms - after } else { (taken_ms + grain_ms - before).min(0) }
}

/// A registry's clock, from the header of its answer; `None` if it cannot be read.
pub(super) fn of_registry(date: &str, asked: (SystemTime, SystemTime)) -> Option<Finding> {
    let taken = DateTimeParser::new().parse_timestamp(date).ok()?.as_millisecond();
    // To the second, downwards.
    let ahead_ms = ahead(taken, 999, (since_epoch_ms(asked.0), since_epoch_ms(asked.1)));
    Some(agreement(ahead_ms, "the registry").about("clock of the registry"))
}

/// A time of this machine's.
pub(super) fn since_epoch_ms(time: SystemTime) -> i64 {
    let ms = |length: std::time::Duration| i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
    time.duration_since(UNIX_EPOCH).map_or_else(|before| -ms(before.duration()), ms)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_second_is_noted_and_five_minutes_are_wrong() {
        for (ahead_ms, level, words) in [
            (0, Level::Ok, "agree"),
            (1_000, Level::Ok, "1 s ahead"),
            (1_001, Level::Warn, "1001 ms ahead"),
            (-300_000, Level::Warn, "5 min behind"),
            (-300_001, Level::Fail, "300001 ms behind"),
        ] {
            let probed = Probed { opened_ms: 56, committed_ms: 7, read_ms: 4, ahead_ms };
            let findings = judge(&probed);
            assert_eq!((findings[0].level, findings[1].level), (Level::Ok, level));
            assert!(findings[1].found.contains(words), "{}", findings[1]);
        }
    }

    #[test]
    fn a_slow_commit_is_told() {
        let probed = Probed { opened_ms: 3_000, committed_ms: 1_001, read_ms: 4, ahead_ms: 0 };
        assert_eq!(judge(&probed)[0].level, Level::Warn);
        assert_eq!(judge(&Probed { committed_ms: 4, ..probed })[0].level, Level::Ok);
        assert_eq!(judge(&Probed { committed_ms: 4, read_ms: 1_001, ..probed })[0].level, Level::Warn);
    }

    #[test]
    fn what_the_way_there_may_explain_is_no_difference() {
        assert_eq!(ahead(105, 0, (100, 110)), 0);
        assert_eq!((ahead(115, 0, (100, 110)), ahead(90, 0, (100, 110))), (5, -10));
        assert_eq!((ahead(90, 10, (100, 110)), ahead(80, 10, (100, 110))), (0, -10));
    }

    #[test]
    fn a_registrys_clock_is_read_from_its_answer() {
        let noon = UNIX_EPOCH + Duration::from_millis(1_763_726_400_700);
        let asked = (noon, noon + Duration::from_millis(20));
        let level = |date: &str| of_registry(date, asked).unwrap().level;
        assert_eq!(level("Fri, 21 Nov 2025 12:00:00 GMT"), Level::Ok);
        assert_eq!(level("Fri, 21 Nov 2025 12:00:04 GMT"), Level::Warn);
        assert_eq!(level("Fri, 21 Nov 2025 11:50:00 GMT"), Level::Fail);
        assert_eq!(of_registry("noon", asked), None);
    }
}
