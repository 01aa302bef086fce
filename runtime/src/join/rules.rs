//! What a topology's author writes for a join: [`JoinRules`], and the values they speak in.
//!
//! Promise: the operator knows no plate and no card; all it needs of the domain comes through here. Broken by: rules that
//! look at anything but their arguments, or ids that two different records share.

use std::cell::Cell;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::versions::VersionedTable;
use crate::Key;
use crate::error::BadRecord;
use crate::log::RecordRef;
use crate::quote::quoted;
use crate::time::EventTime;

/// What can be looked up: plain data, kept in state.
pub trait TableValue: PartialEq + Serialize + DeserializeOwned + Send {}

impl<V: PartialEq + Serialize + DeserializeOwned + Send> TableValue for V {}

/// The two tables a stream is joined with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Side {
    /// The table every task reads whole.
    Broadcast,
    /// The table that is co-partitioned with the stream.
    Table,
}

/// A stream record as the join sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinItem<I> {
    /// When it happened: lookups are as of this time.
    pub time: EventTime,
    /// Its key in the broadcast table.
    pub broadcast_key: Key,
    /// Its key in the co-partitioned table; the record's own key, or its task would not hold the table's.
    pub table_key: Key,
    /// What the rules need of it. Kept in state while the record is held.
    pub item: I,
}

/// A table record: from `valid_from` on, `key` has `value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration<V> {
    /// Whose.
    pub key: Key,
    /// From when.
    pub valid_from: EventTime,
    /// What; `None` ends what was before.
    pub value: Option<V>,
}

/// What the rules make of a stream record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A result goes out, with the record's time (law 1).
    Emit {
        /// The key of the result.
        key: Key,
        /// The value of the result.
        value: Vec<u8>,
    },
    /// Nothing comes of it; counted under this name and not remembered.
    Ignore(&'static str),
    /// It cannot be judged before this side has a value for its key and time: it is held (law 19).
    Missing(Side),
    /// A rule refuses it.
    Bad(BadRecord),
}

/// Who a result is, by the content of the stream record it comes from: the same record again has the same id (law 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OutcomeId(pub [u8; 16]);

impl OutcomeId {
    /// The first 16 bytes of the SHA-256 over `parts`, each preceded by its length as four big-endian bytes, so that no
    /// two different lists of parts read the same.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> OutcomeId {
        let mut digest = Sha256::new();
        for part in parts {
            // A part is a field of a record, and records are far below 4 GiB.
            digest.update((part.len() as u32).to_be_bytes());
            digest.update(part);
        }
        let mut id = [0; 16];
        id.copy_from_slice(&digest.finalize()[..16]);
        OutcomeId(id)
    }
}

impl fmt::Display for OutcomeId {
    /// Thirty-two lower-case hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |place: usize| DIGITS[usize::from(self.0[place / 2] >> (4 * (1 - place % 2)) & 15)];
        let text: [u8; 32] = std::array::from_fn(digit);
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// One side's value as of the stream record's time. It is only looked up when asked for, and the operator takes note of
/// that: a record whose judgement never asked for a side is not changed by what is registered there later (law 18).
pub struct Lookup<'a, V> {
    place: Place<'a, V>,
    asked: Cell<bool>,
}

enum Place<'a, V> {
    Known(Option<&'a V>),
    In { table: &'a VersionedTable<V>, key: &'a [u8], time: EventTime },
}

impl<'a, V: TableValue> Lookup<'a, V> {
    /// A lookup that finds `value`: for tests of rules.
    #[must_use]
    pub fn known(value: Option<&'a V>) -> Lookup<'a, V> {
        Lookup { place: Place::Known(value), asked: Cell::new(false) }
    }

    pub(super) fn of(table: &'a VersionedTable<V>, key: &'a [u8], time: EventTime) -> Lookup<'a, V> {
        Lookup { place: Place::In { table, key, time }, asked: Cell::new(false) }
    }

    /// The value in force at the record's time; nothing if there was none yet, or if it had ended.
    #[must_use]
    pub fn get(&self) -> Option<&'a V> {
        self.asked.set(true);
        match &self.place {
            Place::Known(value) => *value,
            Place::In { table, key, time } => table.as_of(key, *time),
        }
    }

    /// True once [`get`](Lookup::get) was called.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.asked.get()
    }
}

/// The domain's part of a join: reading its records, and judging them.
pub trait JoinRules: Send {
    /// What they need of a stream record. Kept in state while it is held: a change of its fields needs a reset.
    type Item: Serialize + DeserializeOwned + Send;
    /// A value of the co-partitioned table. Keep only what judgements use: registrations with equal values count as
    /// changing nothing.
    type Table: TableValue;
    /// A value of the broadcast table; as [`Table`](JoinRules::Table).
    type Broadcast: TableValue;

    /// Decodes and checks a stream record.
    ///
    /// # Errors
    /// What is wrong with it; it goes to the dead-letter topic and moves no time.
    fn read_item(&mut self, record: &RecordRef<'_>) -> Result<JoinItem<Self::Item>, BadRecord>;

    /// Decodes and checks a record of the co-partitioned table.
    ///
    /// # Errors
    /// What is wrong with it.
    fn read_table(&mut self, record: &RecordRef<'_>) -> Result<Registration<Self::Table>, BadRecord>;

    /// Decodes and checks a record of the broadcast table.
    ///
    /// # Errors
    /// What is wrong with it.
    fn read_broadcast(&mut self, record: &RecordRef<'_>) -> Result<Registration<Self::Broadcast>, BadRecord>;

    /// Who the result of `item` is. Records with equal ids must have equal times: a record is compared only with
    /// those of its own time.
    fn outcome_id(&self, item: &JoinItem<Self::Item>) -> OutcomeId;

    /// Judges a stream record by its arguments alone.
    fn judge(
        &self,
        item: &JoinItem<Self::Item>,
        broadcast: &Lookup<'_, Self::Broadcast>,
        table: &Lookup<'_, Self::Table>,
    ) -> Verdict;

    /// What a record lacked that was held for too long, for the message of its dead letter.
    fn name_missing(&self, side: Side, key: &[u8]) -> String {
        let table = match side {
            Side::Broadcast => "the broadcast table",
            Side::Table => "the table",
        };
        format!("{} in {table}", quoted(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_digest_of_its_parts_and_their_lengths() {
        // printf '\0\0\0\2ab\0\0\0\1c' | sha256sum
        assert_eq!(OutcomeId::of(&[b"ab", b"c"]).to_string(), "f2939f903016e5bb29b1e4a61cdbd376");
        assert_ne!(OutcomeId::of(&[b"a", b"bc"]), OutcomeId::of(&[b"ab", b"c"]));
        assert_ne!(OutcomeId::of(&[b"a", b""]), OutcomeId::of(&[b"a"]));
    }

    #[test]
    fn a_lookup_notes_that_it_was_asked() {
        let lookup = Lookup::known(Some(&7));
        assert!(!lookup.asked());
        assert_eq!(lookup.get(), Some(&7));
        assert!(lookup.asked());
    }
}
