//! A key in memory: [`Key`].
//!
//! Keys of records are plain bytes (UTF-8 text or big-endian integers), and most are short: plates, ids, numbers. Promise: up to
//! sixteen of them stand in the value itself, so that copying and comparing one neither allocates nor follows a pointer; order, equality and
//! hash are those of the bytes, and its changelog form is that of a `Vec<u8>`. Broken by: nothing a caller can do.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};
use smallvec::SmallVec;

/// As many as fit beside the length where a longer key has its pointer and capacity: a `Key` is as large as a `Vec<u8>`.
const INLINE_BYTES: usize = 16;

/// The bytes of a key.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(SmallVec<[u8; INLINE_BYTES]>);

impl Key {
    /// Takes the bytes of another key, in the same memory.
    pub fn overwrite(&mut self, bytes: &[u8]) {
        self.0.clear();
        self.0.extend_from_slice(bytes);
    }
}

impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Key {
        Key(SmallVec::from_slice(bytes))
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Key {
        Key::from(text.as_bytes())
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.escape_ascii())
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_bytes(Bytes)
    }
}

struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes of a key")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Key, E> {
        Ok(Key::from(bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Short and long ones, so that both homes of the bytes are met.
        #[test]
        fn a_key_is_its_bytes(a in prop::collection::vec(0_u8..3, 0..40), b in prop::collection::vec(0_u8..3, 0..40)) {
            let (key, other) = (Key::from(a.as_slice()), Key::from(b.as_slice()));
            prop_assert_eq!(&*key, a.as_slice());
            prop_assert_eq!(key.cmp(&other), a.cmp(&b));
            prop_assert_eq!(key == other, a == b);
            let state = RandomState::new();
            prop_assert_eq!(state.hash_one(&key), state.hash_one(a.as_slice()));
            let coded = postcard::to_stdvec(&key).unwrap();
            prop_assert_eq!(&coded, &postcard::to_stdvec(&a).unwrap());
            prop_assert_eq!(postcard::from_bytes::<Key>(&coded).unwrap(), key);
            let mut reused = other;
            reused.overwrite(&a);
            prop_assert_eq!(&*reused, a.as_slice());
        }
    }

    #[test]
    fn a_key_takes_no_more_room_than_a_vector() {
        assert_eq!(size_of::<Key>(), size_of::<Vec<u8>>());
        assert_eq!(format!("{:?}", Key::from("GZ-778-ZS")), "`GZ-778-ZS`");
    }
}
