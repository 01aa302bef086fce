//! Sizes on the command line: bytes, or a number with a unit of 1024.

/// Reads `1MiB`, `64KiB`, `2GiB`, or a number of bytes.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let unread = || {
        format!(
            "`{text}` is no size; write bytes or a unit behind a number: `1048576`, `64KiB`, `1MiB`, `2GiB`"
        )
    };
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match &text[digits.len()..] {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(unread()),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(unread());
    }
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
        .filter(|size| *size > 0)
        .ok_or_else(unread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_with_a_unit() {
        for (text, bytes) in
            [("1", 1), ("7B", 7), ("64KiB", 65_536), ("1MiB", 1_048_576), ("2GiB", 2_147_483_648)]
        {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "MiB", "1MB", "1.5MiB", "-1", "1 MiB", "99999999999GiB"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
