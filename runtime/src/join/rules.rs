//! The domain's part of a join: [`JoinRules`], and the types it uses.
//!
//! Guarantees: the operator knows no plate and no card; everything it needs of the domain comes through here. Requires: rules that
//! look at nothing but their arguments.

use std::cell::Cell;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::versions::VersionedTable;
use crate::Key;
use crate::error::{BadRecord, Reason};
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

/// A stream record as the join sees it. Two records with one id must be equal in all of it: another one is a bad record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinItem<I> {
    /// When it happened: lookups are as of this time.
    pub time: EventTime,
    /// Its key in the broadcast table.
    pub broadcast_key: Key,
    /// Its key in the co-partitioned table; the record's own key, or its task would not hold the table's.
    pub table_key: Key,
    /// The rest of what it says. Kept in state while the record is remembered.
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

/// The judgement of a stream record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<O> {
    /// It has this outcome.
    Emit(O),
    /// It has no outcome; counted under this name.
    Ignore(&'static str),
    /// It cannot be judged before this side has a value for its key and time: it is held (law 19).
    Missing(Side),
}

/// Whether the outcome of an event is in force (law 18).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutcomeState {
    /// It is; nothing was in force before.
    Issued,
    /// It is, instead of another one.
    Revised,
    /// It was, and nothing is now.
    Voided,
}

/// The cause of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutcomeReason {
    /// The stream record was judged for the first time.
    Item,
    /// A registration of this side changed the judgement.
    Registration(Side),
    /// The stream record was judged for the first time since a `reset`, and an earlier run left an outcome of it in force.
    EarlierRun,
}

/// A change of what is in force for an id: one record of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutcomeEvent<'o, O> {
    /// The outcome that is in force from now on; in [`Voided`](OutcomeState::Voided), the one that was.
    pub outcome: &'o O,
    /// Whether it is in force.
    pub state: OutcomeState,
    /// 1 for the first event of an id, then one more for each.
    pub revision: u32,
    /// The cause.
    pub reason: OutcomeReason,
}

/// An event that an earlier run wrote, read back from the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierEvent<O> {
    /// The time of its stream record.
    pub time: EventTime,
    /// Its id.
    pub id: OutcomeId,
    /// Its outcome.
    pub outcome: O,
    /// Whether that is in force.
    pub state: OutcomeState,
}

/// The records of a key that were let go: they came to nothing when they were first judged, and are not remembered one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetGo<M> {
    /// The latest time of one.
    pub latest: EventTime,
    /// The greatest measure of one.
    pub greatest: M,
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

impl OutcomeId {
    /// Reads the text that [`Display`](fmt::Display) writes; nothing if it is another one.
    #[must_use]
    pub fn parse(text: &str) -> Option<OutcomeId> {
        let digit = |at: usize| char::from(*text.as_bytes().get(at)?).to_digit(16);
        let mut id = [0; 16];
        for (at, byte) in id.iter_mut().enumerate() {
            *byte = u8::try_from(digit(2 * at)? << 4 | digit(2 * at + 1)?).ok()?;
        }
        let id = OutcomeId(id);
        (id.to_string() == text).then_some(id)
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

/// One side's value as of the stream record's time. It is only looked up when it is asked for. The operator notes that: a
/// registration can change the judgement of a record that was let go only on a side that was asked.
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

/// The domain's part of a join: how to read its records, judge them, and write its output.
pub trait JoinRules: Send {
    /// What a stream record says, beside its time and keys: a change of its fields needs a reset.
    type Item: PartialEq + Serialize + DeserializeOwned + Send;
    /// A value of the co-partitioned table. Keep only what judgements use: a registration with an equal value changes nothing.
    type Table: TableValue;
    /// A value of the broadcast table; as [`Table`](JoinRules::Table).
    type Broadcast: TableValue;
    /// What is in force for an id, as far as it follows from the registrations. Outcomes are kept in state and compared: an event goes out if
    /// the new one is not equal.
    type Outcome: PartialEq + Serialize + DeserializeOwned + Send;
    /// How near a record is to an outcome, such as its speed: of two records of one key that were let go, the one with the greater
    /// measure is kept.
    type Measure: Copy + Ord + Serialize + DeserializeOwned + Send;

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

    /// Decodes a record of the output that an earlier run wrote. Only called for a topology with
    /// [`reads_earlier_output`](crate::topology::Topology::reads_earlier_output).
    ///
    /// # Errors
    /// What is wrong with it.
    fn read_earlier(&mut self, record: &RecordRef<'_>) -> Result<EarlierEvent<Self::Outcome>, BadRecord> {
        let message = format!("these rules do not read {}", record.coordinates());
        Err(BadRecord::new(Reason::Undecodable, message))
    }

    /// The id of `item`. Records with equal ids must have equal times: a record is compared only with those of its own time.
    fn outcome_id(&self, item: &JoinItem<Self::Item>) -> OutcomeId;

    /// Judges a stream record by its arguments alone.
    fn judge(
        &self,
        item: &JoinItem<Self::Item>,
        broadcast: &Lookup<'_, Self::Broadcast>,
        table: &Lookup<'_, Self::Table>,
    ) -> Verdict<Self::Outcome>;

    /// The key and the value of an event's record. It is sent with the item's time (law 1).
    fn encode(&self, item: &JoinItem<Self::Item>, event: &OutcomeEvent<'_, Self::Outcome>) -> (Key, Vec<u8>);

    /// The measure of a record that is let go.
    fn measure(&self, item: &JoinItem<Self::Item>) -> Self::Measure;

    /// True if a record that was let go could have an outcome under `value`: one of a time from `valid_from` to the latest, and of a
    /// measure up to the greatest. If in doubt it could: the registration is then reported as an exception (law 18).
    fn broadcast_could_catch(
        &self,
        value: &Self::Broadcast,
        valid_from: EventTime,
        let_go: &LetGo<Self::Measure>,
    ) -> bool {
        let _ = (value, valid_from, let_go);
        true
    }

    /// The same for a value of the co-partitioned table.
    fn table_could_catch(
        &self,
        value: &Self::Table,
        valid_from: EventTime,
        let_go: &LetGo<Self::Measure>,
    ) -> bool {
        let _ = (value, valid_from, let_go);
        true
    }

    /// A name for what a record lacked that was held for too long, for the message of its dead letter.
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
    fn an_id_is_read_back_from_its_own_text_only() {
        let text = "f2939f903016e5bb29b1e4a61cdbd376";
        assert_eq!(OutcomeId::parse(text), Some(OutcomeId::of(&[b"ab", b"c"])));
        for other in
            ["", &text[1..], &format!("{text}0"), &text.to_uppercase(), "é2939f903016e5bb29b1e4a61cdbd37"]
        {
            assert_eq!(OutcomeId::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_lookup_notes_that_it_was_asked() {
        let lookup = Lookup::known(Some(&7));
        assert!(!lookup.asked());
        assert_eq!(lookup.get(), Some(&7));
        assert!(lookup.asked());
    }
}
