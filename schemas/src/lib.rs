//! The contract between the stages: what a record of each topic holds, and where it comes from and goes.
//!
//! What makes a value valid is here too ([`validity`]), one judgement per type.
//!
//! It is the Avro schemas of `avro/` (older versions kept beside), their Rust twins, the one table of topics
//! ([`TOPICS`]) and the read store's tables ([`READ_STORE`]). It is *not* a codec and does no IO: the wire format is
//! the runtime's, and this crate knows neither an engine nor a client.
//!
//! Units stand last in names: `_kmh`, `_minor` (minor units of the currency, cents or pence), `_micros` (millionths of the
//! major unit). Times are UTC milliseconds since 1970. There is no float in it.

mod billing;
pub mod csv_text;
mod ddl;
mod record;
pub mod topics;
mod traffic;
pub mod validity;

pub use billing::{ANONYMOUS, CustomerTotal, CustomerTotalFields, Invoice, InvoiceFields, InvoiceLine};
pub use ddl::{ChildTable, NamedTable, READ_STORE, TABLES, Table, table_of};
pub use record::Record;
pub use topics::{Cleanup, KeyKind, TOPICS, Topic, topic};
pub use traffic::{
    Infraction, InfractionState, MAX_SPEED_KMH, OwnerEvent, OwnerEventKind, RadarEvent, RadarEventFields,
    RadarEventKind, RadarKind, Reading, ReadingFields, VehicleEvent, VehicleEventFields, VehicleEventKind,
};
