//! The one table of topics: whoever writes, reads, lists or sinks a topic asks here.
//!
//! Promise: a name, a key or a partition count stands nowhere else. `readings` and `vehicles` are joined by plate, so they
//! have the same number of partitions; a test holds that. Registry topics (`radars`, `vehicles`, `owners`) hold *events* and are
//! never compacted: a lookup is as of the reading's time, and compaction would forget who the owner was.

use crate::validity::ValueType;

/// How the bytes of a key are to be read. Keys are never framed (DESIGN, "Keys are plain bytes").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// UTF-8 text.
    Utf8,
    /// A signed integer of eight bytes, most significant first.
    BigEndianInteger,
}

/// What happens to old records of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleanup {
    /// Kept until retention removes them; retention is unlimited unless the user says otherwise.
    Delete,
}

/// A row of the table of topics.
#[derive(Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: &'static str,
    /// How its keys are to be read.
    pub key: KeyKind,
    /// The field of the value that the key repeats.
    pub key_field: &'static str,
    /// The type of its values: how they are judged.
    pub value: ValueType,
    /// The Avro schema of its values, as JSON.
    pub schema: &'static str,
    /// Older versions of the schema, oldest first: records written by them still stand in the log.
    pub older_schemas: &'static [&'static str],
    /// How many partitions it gets unless the user says otherwise.
    pub partitions: u32,
    /// What happens to old records.
    pub cleanup: Cleanup,
    /// The field of the value that is its event time.
    pub event_time_field: &'static str,
    /// Added to that field: a window's result carries its end minus 1 ms (law 1).
    pub event_time_shift_ms: i64,
    /// Which commands write it.
    pub writers: &'static [&'static str],
    /// Which commands read it, apart from inspection.
    pub readers: &'static [&'static str],
}

const BY_TEXT: Topic = Topic {
    name: "",
    key: KeyKind::Utf8,
    key_field: "",
    value: ValueType::Reading,
    schema: "",
    older_schemas: &[],
    partitions: 4,
    cleanup: Cleanup::Delete,
    event_time_field: "",
    event_time_shift_ms: 0,
    writers: &[],
    readers: &[],
};

const SINKS: [&str; 2] = ["sink csv", "sink sqlite"];

/// Vehicles passing radars.
pub static READINGS: Topic = Topic {
    name: "readings",
    key_field: "plate",
    value: ValueType::Reading,
    schema: include_str!("../avro/reading.avsc"),
    event_time_field: "measured_at",
    writers: &["simulate radars", "replay radars"],
    readers: &["process speeding", SINKS[0], SINKS[1]],
    ..BY_TEXT
};

/// Changes to radars. Few: a table that every task reads whole, so it has one partition.
pub static RADARS: Topic = Topic {
    name: "radars",
    key_field: "radar_id",
    value: ValueType::RadarEvent,
    schema: include_str!("../avro/radar_event.avsc"),
    partitions: 1,
    event_time_field: "valid_from",
    writers: &["simulate radars", "replay radars"],
    readers: &["process speeding", SINKS[0], SINKS[1]],
    ..BY_TEXT
};

/// Changes to vehicles' registrations, co-partitioned with the readings.
pub static VEHICLES: Topic = Topic {
    name: "vehicles",
    key_field: "plate",
    value: ValueType::VehicleEvent,
    schema: include_str!("../avro/vehicle_event.avsc"),
    event_time_field: "valid_from",
    writers: &["simulate radars", "replay radars"],
    readers: &["process speeding", SINKS[0], SINKS[1]],
    ..BY_TEXT
};

/// Changes to owners: personal data, read by the read store only.
pub static OWNERS: Topic = Topic {
    name: "owners",
    key_field: "owner_id",
    value: ValueType::OwnerEvent,
    schema: include_str!("../avro/owner_event.avsc"),
    partitions: 1,
    event_time_field: "valid_from",
    writers: &["simulate radars", "replay radars"],
    readers: &SINKS,
    ..BY_TEXT
};

/// Judged readings over the limit.
pub static INFRACTIONS: Topic = Topic {
    name: "infractions",
    key_field: "plate",
    value: ValueType::Infraction,
    schema: include_str!("../avro/infraction.avsc"),
    older_schemas: &[include_str!("../avro/infraction.v1.avsc")],
    event_time_field: "measured_at",
    writers: &["process speeding"],
    readers: &SINKS,
    ..BY_TEXT
};

/// Invoices.
pub static INVOICES: Topic = Topic {
    name: "invoices",
    key_field: "customer_id",
    value: ValueType::Invoice,
    schema: include_str!("../avro/invoice.avsc"),
    older_schemas: &[include_str!("../avro/invoice.v1.avsc")],
    event_time_field: "issued_at",
    writers: &["simulate invoices", "replay invoices"],
    readers: &["process totals", SINKS[0], SINKS[1]],
    ..BY_TEXT
};

/// Customers' counts and totals per window.
pub static CUSTOMER_TOTALS: Topic = Topic {
    name: "customer-totals",
    key_field: "customer_id",
    value: ValueType::CustomerTotal,
    schema: include_str!("../avro/customer_total.avsc"),
    event_time_field: "window_end",
    event_time_shift_ms: -1,
    writers: &["process totals"],
    readers: &SINKS,
    ..BY_TEXT
};

/// Every topic of Tidegate's own stages, inputs first. Changelogs, dead-letter, late and duplicate topics belong to an
/// application and are not listed here.
pub static TOPICS: [&Topic; 7] =
    [&READINGS, &RADARS, &VEHICLES, &OWNERS, &INFRACTIONS, &INVOICES, &CUSTOMER_TOTALS];

/// The row of `name`.
#[must_use]
pub fn topic(name: &str) -> Option<&'static Topic> {
    TOPICS.into_iter().find(|topic| topic.name == name)
}
