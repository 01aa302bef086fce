//! Records to bytes: the schemas of what producers write, registered, and the faults put in.

use tidegate_runtime::Result;
use tidegate_runtime::avro::Encoder;
use tidegate_runtime::log::{SchemaRegistry, subject_of_value};
use tidegate_schemas::Topic;
use tidegate_schemas::topics::{INVOICES, OWNERS, RADARS, READINGS, VEHICLES};

use crate::produced::{Produced, Value};

/// An encoder for each topic that producers write.
pub struct Encoders {
    readings: Encoder,
    radars: Encoder,
    vehicles: Encoder,
    owners: Encoder,
    invoices: Encoder,
}

impl Encoders {
    /// Registers the schemas of these topics.
    ///
    /// # Errors
    /// When the registry cannot be reached or refuses a schema.
    pub fn register(registry: &dyn SchemaRegistry) -> Result<Encoders> {
        let encoder = |topic: &'static Topic| -> Result<Encoder> {
            Encoder::new(registry.register(&subject_of_value(topic.name), topic.schema)?, topic.schema)
        };
        Ok(Encoders {
            readings: encoder(&READINGS)?,
            radars: encoder(&RADARS)?,
            vehicles: encoder(&VEHICLES)?,
            owners: encoder(&OWNERS)?,
            invoices: encoder(&INVOICES)?,
        })
    }

    /// Puts the bytes of the record's value into `out`, which is emptied first.
    ///
    /// # Errors
    /// [`Defect`](tidegate_runtime::Error::Defect) if a twin does not fit its schema.
    pub fn encode(&self, record: &Produced, out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        match &record.value {
            Value::Reading(reading) => self.readings.encode(reading, out)?,
            Value::RadarEvent(event) => self.radars.encode(event, out)?,
            Value::VehicleEvent(event) => self.vehicles.encode(event, out)?,
            Value::OwnerEvent(event) => self.owners.encode(event, out)?,
            Value::Invoice(invoice) => self.invoices.encode(invoice, out)?,
        }
        if let Some(fault) = record.fault {
            fault.apply(out);
        }
        Ok(())
    }
}
