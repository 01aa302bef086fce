//! A record before it is bytes: its topic, key, time and value, and what is to be broken in it.

use tidegate_schemas::{Invoice, OwnerEvent, RadarEvent, Reading, Record, VehicleEvent};

/// One record to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Produced {
    /// The topic it goes to.
    pub topic: &'static str,
    /// Its key; none only under [`Fault::NullKey`].
    pub key: Option<Vec<u8>>,
    /// The record's timestamp: its event time, in UTC milliseconds.
    pub time_ms: i64,
    /// Its value.
    pub value: Value,
    /// What is broken in it on purpose.
    pub fault: Option<Fault>,
}

/// The value of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// For `readings`.
    Reading(Reading),
    /// For `radars`.
    RadarEvent(RadarEvent),
    /// For `vehicles`.
    VehicleEvent(VehicleEvent),
    /// For `owners`.
    OwnerEvent(OwnerEvent),
    /// For `invoices`.
    Invoice(Invoice),
}

/// How a record is malformed. Each is dead-lettered with a reason of its own (law 14). Values over the size limit are left
/// out: a simulation with 1 % of them would be made of nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The value's last bytes are missing.
    Truncated,
    /// Bytes follow the value.
    TrailingGarbage,
    /// The value does not begin with the wire format's 0.
    WrongMagic,
    /// The value names a schema that was never registered.
    UnknownSchema,
    /// The key is missing.
    NullKey,
    /// The event time is after the year 2100, in the value and in the record's timestamp. (Times before 1970 are no
    /// simulation's: Kafka refuses such a timestamp at the door.)
    EventTime,
}

impl Fault {
    /// Every fault, in the order their counts are kept.
    pub const ALL: [Fault; 6] = [
        Fault::Truncated,
        Fault::TrailingGarbage,
        Fault::WrongMagic,
        Fault::UnknownSchema,
        Fault::NullKey,
        Fault::EventTime,
    ];

    /// Added to the time under [`Fault::EventTime`]: 200 years of 365 days, past 2100 from any time since 1970.
    pub(crate) const AHEAD_MS: i64 = 200 * 365 * 86_400_000;

    /// An id no registry of ours gives: they count up from 1.
    const UNREGISTERED_ID: [u8; 4] = [0x7f, 0xff, 0xff, 0xff];

    /// Breaks the framed `value`; the faults that are not in the bytes leave it as it is.
    pub(crate) fn apply(self, value: &mut Vec<u8>) {
        match self {
            Fault::Truncated => value.truncate(value.len() - 1),
            Fault::TrailingGarbage => value.extend_from_slice(b"garbage"),
            Fault::WrongMagic => value[0] = b'{',
            Fault::UnknownSchema => value[1..5].copy_from_slice(&Fault::UNREGISTERED_ID),
            Fault::NullKey | Fault::EventTime => {}
        }
    }
}

impl Produced {
    /// `twin` as a sound record: topic, key and time by the table of topics.
    pub(crate) fn of<T: Record + Into<Value>>(twin: T) -> Produced {
        Produced {
            topic: T::TOPIC.name,
            key: Some(twin.key().to_vec()),
            time_ms: twin.event_time_ms(),
            value: twin.into(),
            fault: None,
        }
    }

    /// The same record, malformed.
    pub(crate) fn with_fault(mut self, fault: Fault) -> Produced {
        match fault {
            Fault::NullKey => self.key = None,
            Fault::EventTime => {
                self.time_ms += Fault::AHEAD_MS;
                *self.value.event_time_mut() = self.time_ms;
            }
            Fault::Truncated | Fault::TrailingGarbage | Fault::WrongMagic | Fault::UnknownSchema => {}
        }
        Produced { fault: Some(fault), ..self }
    }
}

impl Value {
    fn event_time_mut(&mut self) -> &mut i64 {
        match self {
            Value::Reading(reading) => &mut reading.measured_at,
            Value::RadarEvent(event) => &mut event.valid_from,
            Value::VehicleEvent(event) => &mut event.valid_from,
            Value::OwnerEvent(event) => &mut event.valid_from,
            Value::Invoice(invoice) => &mut invoice.issued_at,
        }
    }
}

impl From<Reading> for Value {
    fn from(reading: Reading) -> Value {
        Value::Reading(reading)
    }
}

impl From<RadarEvent> for Value {
    fn from(event: RadarEvent) -> Value {
        Value::RadarEvent(event)
    }
}

impl From<VehicleEvent> for Value {
    fn from(event: VehicleEvent) -> Value {
        Value::VehicleEvent(event)
    }
}

impl From<OwnerEvent> for Value {
    fn from(event: OwnerEvent) -> Value {
        Value::OwnerEvent(event)
    }
}

impl From<Invoice> for Value {
    fn from(invoice: Invoice) -> Value {
        Value::Invoice(invoice)
    }
}
