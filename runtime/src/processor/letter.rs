//! The record that is written for a record put aside: the original, or as much of it as a broker takes.
//!
//! Guarantees: whatever a record's key, value and headers are, its letter fits into a log (law 14). A part that must give way is
//! replaced by its beginning, and headers of the letter hold its length and SHA-256. Parts that fit are kept whole.

use sha2::{Digest, Sha256};

use super::{Aside, DEAD_LETTER_PREFIX_BYTES, VALUE_MAX_BYTES};
use crate::log::{RECORD_MAX_BYTES, headers_size, wire_size};
use crate::quote::hex;

/// What three cut parts add: two names of headers each, a length and a SHA-256.
const FACTS_BYTES: usize = 3 * 200;

/// A record put aside, as it is written.
pub(super) struct Letter<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    /// The original's headers.
    pub(super) headers: Vec<(&'a str, &'a [u8])>,
    /// Headers that say what was cut.
    pub(super) facts: Vec<(&'static str, String)>,
}

impl<'a> Letter<'a> {
    /// Takes as much of `record` as fits beside `added_bytes` of other headers.
    pub(super) fn new(record: &'a Aside, added_bytes: usize) -> Letter<'a> {
        let headers = record.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        let mut letter = Letter {
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: headers.collect(),
            facts: Vec::new(),
        };
        if letter.value_bytes() > VALUE_MAX_BYTES {
            letter.cut_value();
        }
        // Each part at most once, the largest first: what is left of all three always fits.
        for _ in 0..3 {
            if letter.size() + added_bytes + FACTS_BYTES <= RECORD_MAX_BYTES {
                break;
            }
            let (key, value) = (letter.key.map_or(0, <[u8]>::len), letter.value_bytes());
            let headers = headers_size(letter.headers.iter().copied());
            if headers >= key.max(value) {
                letter.cut_headers();
            } else if key >= value {
                letter.cut_key();
            } else {
                letter.cut_value();
            }
        }
        letter
    }

    fn size(&self) -> usize {
        wire_size(self.key, self.value, self.headers.iter().copied())
    }

    fn value_bytes(&self) -> usize {
        self.value.map_or(0, <[u8]>::len)
    }

    fn cut_value(&mut self) {
        let value = self.value.unwrap_or_default();
        self.facts.push(("length", value.len().to_string()));
        self.facts.push(("sha256", hex(&Sha256::digest(value))));
        self.value = Some(prefix(value));
    }

    fn cut_key(&mut self) {
        let key = self.key.unwrap_or_default();
        self.facts.push(("key-length", key.len().to_string()));
        self.facts.push(("key-sha256", hex(&Sha256::digest(key))));
        self.key = Some(prefix(key));
    }

    /// Keeps the first headers that fit, each whole. The SHA-256 is over all names and values, each behind its length as four bytes,
    /// big-endian; the length is that of all names and values.
    fn cut_headers(&mut self) {
        let (mut digest, mut length, mut kept, mut kept_bytes) = (Sha256::new(), 0, 0, 0);
        for (name, value) in &self.headers {
            for part in [name.as_bytes(), value] {
                digest.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
                digest.update(part);
                length += part.len();
            }
            kept_bytes += headers_size(std::iter::once((*name, *value)));
            kept += usize::from(kept_bytes <= DEAD_LETTER_PREFIX_BYTES);
        }
        self.headers.truncate(kept);
        self.facts.push(("headers-length", length.to_string()));
        self.facts.push(("headers-sha256", hex(&digest.finalize())));
    }
}

fn prefix(part: &[u8]) -> &[u8] {
    part.get(..DEAD_LETTER_PREFIX_BYTES).unwrap_or(part)
}
