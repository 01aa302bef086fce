//! Names of applications, sinks and instances: they become topics, groups, transactional ids and files, so they carry what all of these can.

/// Leaves room for `-dead-letters` within a topic's 249.
const MAX_BYTES: usize = 200;

/// Reads a name.
pub(crate) fn parse(text: &str) -> Result<String, String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let fits = (1..=MAX_BYTES).contains(&text.len()) && text != "." && text != "..";
    if fits && text.bytes().all(legal) {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is no name; use 1 to {MAX_BYTES} letters, digits, `.`, `_` and `-`"))
}

/// Reads an instance's id: a name without `.`, because `app.instance.worker` must not mean two things.
pub(crate) fn parse_instance(text: &str) -> Result<String, String> {
    if text.contains('.') {
        return Err(format!("`{text}` is no instance id; use letters, digits, `_` and `-`"));
    }
    parse(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_a_topic_and_a_file_can_carry() {
        assert_eq!(parse("totals-2.b_1"), Ok("totals-2.b_1".to_owned()));
        for text in ["", ".", "..", "a/b", "a b", "é", &"x".repeat(201)] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse_instance("host.1").is_err());
        assert!(parse_instance("host-1").is_ok());
    }
}
