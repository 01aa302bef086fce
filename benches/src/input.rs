//! The input: the same for everybody who is measured, made by arithmetic so that what must come out can be recomputed.

use anyhow::Result;
use serde::Serialize;
use tidegate_runtime::avro::Encoder;
use tidegate_runtime::log::{SchemaId, SchemaRegistry, subject_of_value};
use tidegate_schemas::topics::{INVOICES, RADARS, READINGS, VEHICLES};
use tidegate_schemas::{
    RadarEvent, RadarEventKind, RadarKind, Reading, Topic, VehicleEvent, VehicleEventKind,
};

use crate::work::{Job, Work};

/// Where event time begins: 2023-11-14T22:13:20Z, a multiple of the window size. A record is 1 ms later than the one before.
pub(crate) const START_MS: i64 = 1_700_000_000_000;
/// How long a window is.
pub(crate) const WINDOW_MS: i64 = 5_000;
const RADAR_COUNT: u64 = 100;
/// One reading in so many is over the limit, after the margin of 5 km/h.
pub(crate) const OVER_THE_LIMIT_EVERY: u64 = 10;

/// Version 1 of the invoice: 41 bytes on average, as in the comparison with other stream processors.
#[derive(Serialize)]
struct PlainInvoice<'i> {
    invoice_id: &'i str,
    customer_id: &'i str,
    issued_at: i64,
    amount_minor: i64,
    currency: &'static str,
}

/// A record to be written.
pub(crate) struct Sample<'s> {
    pub(crate) topic: &'static Topic,
    pub(crate) time_ms: i64,
    pub(crate) key: &'s str,
    pub(crate) value: &'s [u8],
}

/// Registers the schema that a topic's records are written by.
pub(crate) fn register(registry: &dyn SchemaRegistry, topic: &Topic) -> Result<(SchemaId, &'static str)> {
    // Invoices without lines: the first version.
    let schema = if topic.name == INVOICES.name { INVOICES.older_schemas[0] } else { topic.schema };
    Ok((registry.register(&subject_of_value(topic.name), schema)?, schema))
}

/// Makes every record, in the order of event time.
pub(crate) fn generate(
    work: &Work,
    registry: &dyn SchemaRegistry,
    take: &mut dyn FnMut(&Sample<'_>) -> Result<()>,
) -> Result<()> {
    match work.job {
        Job::Totals => invoices(work, registry, take),
        Job::Speeding => {
            registrations(work, registry, take)?;
            readings(work, registry, take)
        }
    }
}

fn encoder(registry: &dyn SchemaRegistry, topic: &Topic) -> Result<Encoder> {
    let (id, schema) = register(registry, topic)?;
    Ok(Encoder::new(id, schema)?)
}

fn invoices(
    work: &Work,
    registry: &dyn SchemaRegistry,
    take: &mut dyn FnMut(&Sample<'_>) -> Result<()>,
) -> Result<()> {
    let encoder = encoder(registry, &INVOICES)?;
    let mut value = Vec::new();
    for number in 0..work.records {
        let customer_id = customer(customer_of(work, number));
        value.clear();
        encode_invoice(&encoder, number, &customer_id, time_of(number), &mut value)?;
        take(&Sample { topic: &INVOICES, time_ms: time_of(number), key: &customer_id, value: &value })?;
    }
    Ok(())
}

/// Appends the framed invoice of that number.
pub(crate) fn encode_invoice(
    encoder: &Encoder,
    number: u64,
    customer_id: &str,
    issued_at: i64,
    value: &mut Vec<u8>,
) -> Result<()> {
    let amount_minor = amount_of(number);
    let invoice_id = format!("INV-{number:010}");
    let invoice =
        PlainInvoice { invoice_id: &invoice_id, customer_id, issued_at, amount_minor, currency: "EUR" };
    Ok(encoder.encode(&invoice, value)?)
}

fn registrations(
    work: &Work,
    registry: &dyn SchemaRegistry,
    take: &mut dyn FnMut(&Sample<'_>) -> Result<()>,
) -> Result<()> {
    let mut value = Vec::new();
    let radars = encoder(registry, &RADARS)?;
    for number in 0..RADAR_COUNT {
        let event = RadarEvent {
            radar_id: radar(number),
            kind: RadarEventKind::Installed,
            radar_kind: RadarKind::Fixed,
            speed_limit_kmh: 50,
            place: "a road".to_owned(),
            valid_from: START_MS - 1,
        };
        value.clear();
        radars.encode(&event, &mut value)?;
        take(&Sample { topic: &RADARS, time_ms: event.valid_from, key: &event.radar_id, value: &value })?;
    }
    let vehicles = encoder(registry, &VEHICLES)?;
    for number in 0..work.keys {
        let event = VehicleEvent {
            plate: plate(number),
            kind: VehicleEventKind::Registered,
            owner_id: owner(number),
            valid_from: START_MS - 1,
        };
        value.clear();
        vehicles.encode(&event, &mut value)?;
        take(&Sample { topic: &VEHICLES, time_ms: event.valid_from, key: &event.plate, value: &value })?;
    }
    Ok(())
}

fn readings(
    work: &Work,
    registry: &dyn SchemaRegistry,
    take: &mut dyn FnMut(&Sample<'_>) -> Result<()>,
) -> Result<()> {
    let encoder = encoder(registry, &READINGS)?;
    let mut value = Vec::new();
    for number in 0..work.records {
        let reading = Reading {
            radar_id: radar(number),
            sequence: i64::try_from(number)?,
            plate: plate(customer_of(work, number)),
            measured_at: time_of(number),
            speed_kmh: if number % OVER_THE_LIMIT_EVERY == 0 { 70 } else { 45 },
        };
        value.clear();
        encoder.encode(&reading, &mut value)?;
        take(&Sample { topic: &READINGS, time_ms: reading.measured_at, key: &reading.plate, value: &value })?;
    }
    Ok(())
}

/// A record's event time.
pub(crate) fn time_of(number: u64) -> i64 {
    START_MS + i64::try_from(number).unwrap_or(i64::MAX - START_MS)
}

/// Whose invoice, or whose reading, a record is.
pub(crate) fn customer_of(work: &Work, number: u64) -> u64 {
    scattered(number) % work.keys
}

/// An invoice's amount.
pub(crate) fn amount_of(number: u64) -> i64 {
    i64::try_from(scattered(number) % 10_000).unwrap_or(0) + 1
}

/// A customer's id.
pub(crate) fn customer(number: u64) -> String {
    format!("C{number:06}")
}

/// A vehicle's plate.
pub(crate) fn plate(vehicle: u64) -> String {
    format!("V-{vehicle:06}")
}

/// A vehicle's owner.
pub(crate) fn owner(vehicle: u64) -> String {
    format!("owner-{vehicle}")
}

fn radar(number: u64) -> String {
    format!("radar-{}", number % RADAR_COUNT)
}

/// Spreads numbers over keys without a pattern that a cache would like (SplitMix64's finish).
pub(crate) fn scattered(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 27)
}
