//! What makes a value valid: one judgement for each type, beside its schema (`billing.rs`, `traffic.rs`).
//!
//! Guarantees: everybody who takes a value asks here, and so takes the same values: processors, sinks, the batch, `replay` and the demo's
//! check. A judgement reads scalar fields only and allocates nothing for a valid value, so it works on a borrowed value as well as on a
//! whole one. The one event time of a value is its field, never its record's timestamp.
//!
//! What is not judged here: whether bytes can be decoded, and rules that need more than the value (a schedule, a partition).

use crate::billing::{CustomerTotalFields, InvoiceFields};
use crate::topics::Topic;
use crate::traffic::{RadarEventFields, ReadingFields, VehicleEventFields};

/// Why a value is not valid. Whoever shows it quotes `value` and what `why` holds: both come from the input and have no bound here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The field that is wrong.
    pub field: &'static str,
    /// What it holds.
    pub value: Vec<u8>,
    /// What is wrong with it.
    pub why: Why,
}

impl Invalid {
    /// What is wrong, in one line; `quote` bounds and escapes what comes from the input.
    #[must_use]
    pub fn message(&self, quote: impl Fn(&[u8]) -> String) -> String {
        let Invalid { field, value, why } = self;
        match why {
            Why::EventTime(max) => {
                format!("{field} {} is before 1970 or past `{max}`, the greatest event time", quote(value))
            }
            Why::Key(key) => format!("key {} is not the {field}, {}", quote(key), quote(value)),
            Why::Rule(rule) if value.is_empty() => format!("{field} is {rule}"),
            Why::Rule(rule) => format!("{field} {} is {rule}", quote(value)),
        }
    }
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is no event time: before 1970, or past this bound in UTC milliseconds.
    EventTime(i64),
    /// The record's key, this one, is another one.
    Key(Vec<u8>),
    /// A rule, by what the value is against it: `below 0`.
    Rule(&'static str),
}

/// The type of a topic's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// [`Reading`](crate::Reading).
    Reading,
    /// [`RadarEvent`](crate::RadarEvent).
    RadarEvent,
    /// [`VehicleEvent`](crate::VehicleEvent).
    VehicleEvent,
    /// [`OwnerEvent`](crate::OwnerEvent).
    OwnerEvent,
    /// [`Infraction`](crate::Infraction).
    Infraction,
    /// [`Invoice`](crate::Invoice).
    Invoice,
    /// [`CustomerTotal`](crate::CustomerTotal).
    CustomerTotal,
}

/// A value whose type is known from its topic only. It has every field of its topic's schema.
pub trait Fields {
    /// The text or symbol in a field.
    fn text(&self, field: &str) -> &str;

    /// The whole number or time in a field.
    fn integer(&self, field: &str) -> i64;
}

impl Topic {
    /// Judges a value of this topic and the key of its record.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn judge(&self, key: &[u8], value: &dyn Fields, max_event_time_ms: i64) -> Result<(), Invalid> {
        let text = |field| value.text(field).as_bytes();
        match self.value {
            ValueType::Reading => ReadingFields {
                measured_at: value.integer("measured_at"),
                speed_kmh: value.integer("speed_kmh"),
            }
            .judge(max_event_time_ms),
            ValueType::RadarEvent => RadarEventFields {
                in_force: value.text("kind") != "REMOVED",
                speed_limit_kmh: value.integer("speed_limit_kmh"),
                valid_from: value.integer("valid_from"),
            }
            .judge(max_event_time_ms),
            ValueType::VehicleEvent => VehicleEventFields {
                in_force: value.text("kind") != "DEREGISTERED",
                owner_id: text("owner_id"),
                valid_from: value.integer("valid_from"),
            }
            .judge(max_event_time_ms),
            ValueType::Invoice => InvoiceFields {
                invoice_id: text("invoice_id"),
                issued_at: value.integer("issued_at"),
                currency: text("currency"),
            }
            .judge(max_event_time_ms),
            ValueType::CustomerTotal => CustomerTotalFields {
                window_start: value.integer("window_start"),
                window_end: value.integer("window_end"),
            }
            .judge(max_event_time_ms),
            ValueType::OwnerEvent | ValueType::Infraction => {
                event_time(self.event_time_field, value.integer(self.event_time_field), max_event_time_ms)
            }
        }?;
        judge_key(self.key_field, text(self.key_field), key)
    }
}

/// Judges the key of a record: it repeats a field of the value. The key decides the partition and with it the task, so under another
/// key a record would be apart from the others of its customer or vehicle.
///
/// # Errors
/// If it is another one.
pub fn judge_key(field: &'static str, value: &[u8], key: &[u8]) -> Result<(), Invalid> {
    if key == value {
        return Ok(());
    }
    Err(Invalid { field, value: value.to_vec(), why: Why::Key(key.to_vec()) })
}

/// Judges an event time (law 14).
pub(crate) fn event_time(field: &'static str, ms: i64, max_event_time_ms: i64) -> Result<(), Invalid> {
    if (0..=max_event_time_ms).contains(&ms) {
        return Ok(());
    }
    Err(Invalid { field, value: ms.to_string().into_bytes(), why: Why::EventTime(max_event_time_ms) })
}

/// Judges a rule.
pub(crate) fn rule(
    holds: bool,
    field: &'static str,
    value: impl FnOnce() -> Vec<u8>,
    rule: &'static str,
) -> Result<(), Invalid> {
    if holds { Ok(()) } else { Err(Invalid { field, value: value(), why: Why::Rule(rule) }) }
}
