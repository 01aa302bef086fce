//! What every twin can say of itself: its topic, its key, its event time.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::topics::{self, Topic};

/// The Rust twin of a topic's value.
///
/// Promise: [`key`](Record::key) and [`event_time_ms`](Record::event_time_ms) agree with the row of the table of topics; a
/// test in `tests/twins.rs` reads both through the schema.
pub trait Record: Serialize + DeserializeOwned {
    /// Its row in the table of topics.
    const TOPIC: &'static Topic;

    /// The bytes of its key.
    fn key(&self) -> &[u8];

    /// When it happened, in UTC milliseconds: the timestamp its record carries (law 1).
    fn event_time_ms(&self) -> i64;
}

macro_rules! record {
    ($twin:ident, $topic:ident, $key:ident, $time:ident) => {
        impl Record for crate::$twin {
            const TOPIC: &'static Topic = &topics::$topic;

            fn key(&self) -> &[u8] {
                self.$key.as_bytes()
            }

            fn event_time_ms(&self) -> i64 {
                self.$time + Self::TOPIC.event_time_shift_ms
            }
        }
    };
}

record!(Reading, READINGS, plate, measured_at);
record!(RadarEvent, RADARS, radar_id, valid_from);
record!(VehicleEvent, VEHICLES, plate, valid_from);
record!(OwnerEvent, OWNERS, owner_id, valid_from);
record!(Infraction, INFRACTIONS, plate, measured_at);
record!(Invoice, INVOICES, customer_id, issued_at);
record!(CustomerTotal, CUSTOMER_TOTALS, customer_id, window_end);
