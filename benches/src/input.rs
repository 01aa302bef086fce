//! The input: the same for everybody who is measured, made by arithmetic so that what must come out can be recomputed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use serde::Serialize;
use tidegate_runtime::avro::Encoder;
use tidegate_runtime::log::embedded::EmbeddedLog;
use tidegate_runtime::log::{Cleanup, Log, Outgoing, Producer, TopicSpec, partition_for, subject_of_value};
use tidegate_runtime::time::EventTime;
use tidegate_schemas::topics::{INVOICES, RADARS, READINGS, TOPICS, VEHICLES};
use tidegate_schemas::{
    RadarEvent, RadarEventKind, RadarKind, Reading, Topic, VehicleEvent, VehicleEventKind,
};

use crate::Job;

/// Where event time begins: 2023-11-14T22:13:20Z, a multiple of the window size.
const START_MS: i64 = 1_700_000_000_000;
const WINDOW_MS: i64 = 5_000;
/// How many records go into one transaction.
const TRANSACTION_RECORDS: u64 = 50_000;
const RADAR_COUNT: u64 = 100;

/// What must come out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Count and amount per customer and window start.
    Totals(BTreeMap<(String, i64), (i64, i64)>),
    /// Plate and time of every infraction, with its owner.
    Infractions(BTreeMap<(String, i64), String>),
}

/// Version 1 of the invoice: 41 bytes on average, as in the comparison with other stream processors.
#[derive(Serialize)]
struct PlainInvoice {
    invoice_id: String,
    customer_id: String,
    issued_at: i64,
    amount_minor: i64,
    currency: String,
}

/// Fills a new log; gives what must come out.
pub(crate) fn write(job: Job, data: &Path, records: u64, keys: u64) -> Result<Expected> {
    let log = EmbeddedLog::open(data)?;
    let spec = |topic: &Topic| TopicSpec {
        name: topic.name.to_owned(),
        partitions: topic.partitions,
        cleanup: Cleanup::Delete,
    };
    log.create_topics(&TOPICS.map(spec))?;
    let mut writer =
        Writer { producer: log.producer("bench-input")?, outgoing: Outgoing::default(), log, pending: 0 };
    match job {
        Job::Totals => invoices(&mut writer, records, keys),
        Job::Speeding => readings(&mut writer, records, keys),
    }
}

fn invoices(writer: &mut Writer, records: u64, keys: u64) -> Result<Expected> {
    let encoder = writer.encoder(&INVOICES, INVOICES.older_schemas[0])?;
    let mut totals: BTreeMap<(String, i64), (i64, i64)> = BTreeMap::new();
    for number in 0..records {
        let issued_at = START_MS + i64::try_from(number)?;
        let invoice = PlainInvoice {
            invoice_id: format!("INV-{number:010}"),
            customer_id: format!("C{:06}", scattered(number) % keys),
            issued_at,
            amount_minor: i64::try_from(scattered(number) % 10_000)? + 1,
            currency: "EUR".to_owned(),
        };
        let window = issued_at - issued_at.rem_euclid(WINDOW_MS);
        let total = totals.entry((invoice.customer_id.clone(), window)).or_default();
        *total = (total.0 + 1, total.1 + invoice.amount_minor);
        writer.push(&INVOICES, issued_at, &invoice.customer_id, &encoder, &invoice)?;
    }
    writer.commit()?;
    Ok(Expected::Totals(totals))
}

fn readings(writer: &mut Writer, records: u64, keys: u64) -> Result<Expected> {
    let radars = writer.encoder(&RADARS, RADARS.schema)?;
    for number in 0..RADAR_COUNT {
        let event = RadarEvent {
            radar_id: format!("radar-{number}"),
            kind: RadarEventKind::Installed,
            radar_kind: RadarKind::Fixed,
            speed_limit_kmh: 50,
            place: "a road".to_owned(),
            valid_from: START_MS - 1,
        };
        writer.push(&RADARS, event.valid_from, &event.radar_id, &radars, &event)?;
    }
    let vehicles = writer.encoder(&VEHICLES, VEHICLES.schema)?;
    for number in 0..keys {
        let event = VehicleEvent {
            plate: plate(number),
            kind: VehicleEventKind::Registered,
            owner_id: format!("owner-{number}"),
            valid_from: START_MS - 1,
        };
        writer.push(&VEHICLES, event.valid_from, &event.plate, &vehicles, &event)?;
    }
    let encoder = writer.encoder(&READINGS, READINGS.schema)?;
    let mut infractions = BTreeMap::new();
    for number in 0..records {
        let vehicle = scattered(number) % keys;
        let reading = Reading {
            radar_id: format!("radar-{}", number % RADAR_COUNT),
            sequence: i64::try_from(number)?,
            plate: plate(vehicle),
            measured_at: START_MS + i64::try_from(number)?,
            // One in ten is over the limit after the margin of 5 km/h.
            speed_kmh: if number % 10 == 0 { 70 } else { 45 },
        };
        if number % 10 == 0 {
            infractions.insert((reading.plate.clone(), reading.measured_at), format!("owner-{vehicle}"));
        }
        writer.push(&READINGS, reading.measured_at, &reading.plate, &encoder, &reading)?;
    }
    writer.commit()?;
    Ok(Expected::Infractions(infractions))
}

fn plate(vehicle: u64) -> String {
    format!("V-{vehicle:06}")
}

/// Spreads numbers over keys without a pattern that a cache would like (SplitMix64's finish).
fn scattered(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 27)
}

struct Writer {
    log: EmbeddedLog,
    producer: Box<dyn Producer>,
    outgoing: Outgoing,
    pending: u64,
}

impl Writer {
    fn encoder(&self, topic: &Topic, schema: &str) -> Result<Encoder> {
        let id = self.log.registry().register(&subject_of_value(topic.name), schema)?;
        Ok(Encoder::new(id, schema)?)
    }

    fn push<T: Serialize>(
        &mut self,
        topic: &Topic,
        time_ms: i64,
        key: &str,
        encoder: &Encoder,
        value: &T,
    ) -> Result<()> {
        let mut bytes = Vec::new();
        encoder.encode(value, &mut bytes)?;
        let name: Arc<str> = topic.name.into();
        let partition = partition_for(key.as_bytes(), topic.partitions);
        let to = self.outgoing.partition(&name, partition);
        to.push(EventTime(time_ms), Some(key.as_bytes()), Some(&bytes), &[]);
        self.pending += 1;
        if self.pending == TRANSACTION_RECORDS { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<()> {
        self.producer.send(&mut self.outgoing)?;
        self.producer.commit(None)?;
        self.pending = 0;
        Ok(())
    }
}
