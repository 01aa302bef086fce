//! Numbers of settings in words.

/// Kafka's word for no limit.
pub(super) const NO_LIMIT: i64 = i64::MAX;

/// A length of time in the largest unit that holds it exactly.
pub(super) fn time(ms: i64) -> String {
    const UNITS: [(i64, &str); 4] = [(86_400_000, "day"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    match ms {
        NO_LIMIT => "no limit".to_owned(),
        0 => "0 s".to_owned(),
        _ => {
            let fits = UNITS.iter().find(|(unit, _)| ms % unit == 0);
            fits.map_or_else(
                || format!("{ms} ms"),
                |(unit, word)| match (ms / unit, *word) {
                    (1, word) => format!("1 {word}"),
                    (days, "day") => format!("{days} days"),
                    (number, word) => format!("{number} {word}"),
                },
            )
        }
    }
}

/// A number of things.
pub(super) fn counted(number: impl Into<i64>, thing: &str) -> String {
    match number.into() {
        1 => format!("1 {thing}"),
        number => format!("{number} {thing}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_largest_unit_that_holds_them() {
        for (ms, words) in [
            (604_800_000, "7 days"),
            (86_400_000, "1 day"),
            (3_600_000, "1 h"),
            (900_000, "15 min"),
            (10_000, "10 s"),
            (1_500, "1500 ms"),
            (0, "0 s"),
            (i64::MAX, "no limit"),
        ] {
            assert_eq!(time(ms), words);
        }
    }
}
