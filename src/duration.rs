//! Durations as people write them: `100ms`, `5s`, `1h30m`, `30d`. Integers all the way; the unit is never guessed.

use std::time::Duration;

const UNITS_MS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

/// The longest duration: event time is milliseconds in 63 bits, and a window is added to it. A thousand years.
const MAX_MS: u64 = 366_000 * 86_400_000;

/// Reads a duration.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let unreadable = || format!("`{text}` is no duration; write `100ms`, `5s`, `1h30m` or `30d`");
    if text.starts_with('-') {
        return Err(format!("`{text}` is below zero; write `100ms`, `5s`, `1h30m` or `30d`"));
    }
    let mut rest = text;
    let mut total_ms = 0_u64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = rest.split_at(digits);
        let letters = behind.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, behind) = behind.split_at(letters);
        let (_, unit_ms) = UNITS_MS.into_iter().find(|(name, _)| *name == unit).ok_or_else(unreadable)?;
        // Nothing but digits: only an empty or an overlong number fails.
        let number: u64 = number.parse().map_err(|_| unreadable())?;
        let part_ms = number.checked_mul(unit_ms).and_then(|part_ms| total_ms.checked_add(part_ms));
        total_ms = part_ms.filter(|total_ms| *total_ms <= MAX_MS).ok_or_else(|| too_long(text))?;
        rest = behind;
    }
    if text.is_empty() { Err(unreadable()) } else { Ok(Duration::from_millis(total_ms)) }
}

fn too_long(text: &str) -> String {
    format!("`{text}` is too long; give at most a thousand years")
}

/// Milliseconds; exact, because [`parse`] reads nothing finer and nothing longer.
pub(crate) fn as_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact() {
        for (text, ms) in [
            ("100ms", 100),
            ("5s", 5_000),
            ("0s", 0),
            ("1m", 60_000),
            ("1h30m", 5_400_000),
            ("30d", 2_592_000_000),
            ("2w", 1_209_600_000),
            ("1s500ms", 1_500),
        ] {
            assert_eq!(parse(text).map(as_ms), Ok(ms), "{text}");
        }
    }

    #[test]
    fn a_duration_below_zero_is_called_so() {
        assert!(parse("-5s").unwrap_err().starts_with("`-5s` is below zero"));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "5",
            "s",
            "-5s",
            "1.5s",
            "5 s",
            "5S",
            "5sec",
            "s5",
            "99999999999999999999s",
            "999999999d",
            "5s ",
            "５s",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
