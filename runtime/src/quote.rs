//! Text that quotes input: escaped and bounded.
//!
//! Guarantees: a quotation of any bytes is printable, takes a bounded number of bytes, and can still be recognized. At most
//! [`QUOTED_BYTES`] of the input are shown; a longer input is followed by its length and its SHA-256.
//! Requires: every error, header, notice and log line that contains a part of a record or of a file writes it with [`quoted`].

use std::borrow::Cow;
use std::fmt::{self, Write};

use sha2::{Digest, Sha256};

/// The bytes of input in a quotation: enough for any key or name that a person would read.
pub const QUOTED_BYTES: usize = 256;

/// The bytes of a message in a dead letter. It holds a few quotations; escapes make each up to four times as long as its input.
pub(crate) const MESSAGE_BYTES: usize = 8 * 1_024;

/// A quotation of input: in backticks, escaped and bounded.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(&'a [u8]);

/// Returns a quotation of `input`.
pub fn quoted<T: AsRef<[u8]> + ?Sized>(input: &T) -> Quoted<'_> {
    Quoted(input.as_ref())
}

/// Returns true for a character that must not reach a terminal raw: controls (C0, DEL, C1), and what changes the direction or the
/// lines of text.
#[must_use]
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns `text` with every unprintable character escaped as Rust writes it: `\n`, `\u{1b}`.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unprintable(c) { escaped.extend(c.escape_default()) } else { escaped.push(c) }
    }
    Cow::Owned(escaped)
}

/// Returns `message` if it is no longer than a message may be; else its beginning, its length and its SHA-256.
pub(crate) fn bounded(message: &str) -> Cow<'_, str> {
    if message.len() <= MESSAGE_BYTES {
        return Cow::Borrowed(message);
    }
    let kept = &message[..message.floor_char_boundary(MESSAGE_BYTES)];
    Cow::Owned(format!("{kept}… ({})", Whole(message.as_bytes())))
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(QUOTED_BYTES)];
        f.write_char('`')?;
        for chunk in shown.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\\' => f.write_str("\\\\")?,
                    c if is_unprintable(c) => write!(f, "{}", c.escape_default())?,
                    c => f.write_char(c)?,
                }
            }
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        if shown.len() < self.0.len() {
            return write!(f, "…` ({})", Whole(self.0));
        }
        f.write_char('`')
    }
}

/// How an input is recognized that is shown in part.
struct Whole<'a>(&'a [u8]);

impl fmt::Display for Whole<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, SHA-256 {}", self.0.len(), hex(&Sha256::digest(self.0)))
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_text_is_quoted_as_it_is() {
        assert_eq!(quoted("Zoë-京").to_string(), "`Zoë-京`");
        assert_eq!(quoted(b"a\x1b[31m\\\xff\x00").to_string(), r"`a\u{1b}[31m\\\xff\u{0}`");
        assert_eq!(quoted("\u{202e}txt\u{9b}").to_string(), r"`\u{202e}txt\u{9b}`");
    }

    #[test]
    fn long_input_shows_its_beginning_its_length_and_its_digest() {
        // head -c 300 /dev/zero | tr '\0' a | sha256sum
        let digest = "9835fa6bf4e20a9b9ea812506302e98982721a6cf8d2cae67af57129bf21ae90";
        let expected = format!("`{}…` (300 bytes, SHA-256 {digest})", "a".repeat(256));
        assert_eq!(quoted(&[b'a'; 300]).to_string(), expected);
    }

    proptest! {
        #[test]
        fn any_input_gives_a_bounded_printable_line(input in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let text = quoted(&input).to_string();
            prop_assert!(text.len() <= 10 * QUOTED_BYTES + 120, "{}", text.len());
            prop_assert!(!text.contains(is_unprintable), "{text}");
        }

        #[test]
        fn printable_text_is_left_alone_and_other_text_is_made_so(text in any::<String>()) {
            let shown = printable(&text);
            prop_assert!(!shown.contains(is_unprintable));
            prop_assert_eq!(shown == text, !text.contains(is_unprintable));
        }
    }
}
