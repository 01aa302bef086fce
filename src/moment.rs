//! Moments as people write them: RFC 3339, or milliseconds since 1970.

use jiff::Timestamp;
use tidegate_runtime::time::EventTime;

/// Reads `2010-12-01T08:26:00Z` or `1291191960000`.
pub(crate) fn parse(text: &str) -> Result<EventTime, String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(EventTime).map_err(|_| unreadable(text));
    }
    let moment: Timestamp = text.parse().map_err(|_| unreadable(text))?;
    Ok(EventTime(moment.as_millisecond()))
}

fn unreadable(text: &str) -> String {
    format!("`{text}` is no moment; write `2010-12-01T08:26:00Z` or milliseconds since 1970")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_rfc_3339_or_milliseconds() {
        let moment = EventTime(1_291_191_960_000);
        for text in ["2010-12-01T08:26:00Z", "2010-12-01T09:26:00+01:00", "1291191960000"] {
            assert_eq!(parse(text), Ok(moment), "{text}");
        }
        assert_eq!(parse("-1"), Ok(EventTime(-1)));
        for text in ["", "-", "yesterday", "2010-12-01", "2010-12-01T08:26:00", "99999999999999999999"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
