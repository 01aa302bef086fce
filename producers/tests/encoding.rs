//! Faults reach the bytes: each is refused by the decoder with the reason it is made for.

#![allow(clippy::unwrap_used, reason = "a helper of tests may panic as a test may")]

use std::sync::Mutex;

use tidegate_producers::{Encoders, Fault, InvoiceOptions, Share, Shares, simulate_invoices};
use tidegate_runtime::avro::{Decoder, SchemaCache};
use tidegate_runtime::log::{SchemaId, SchemaRegistry};
use tidegate_runtime::{Reason, Result};
use tidegate_schemas::Invoice;

#[derive(Default)]
struct InMemory(Mutex<Vec<String>>);

impl SchemaRegistry for InMemory {
    fn register(&self, _: &str, schema: &str) -> Result<SchemaId> {
        let mut schemas = self.0.lock().unwrap();
        schemas.push(schema.into());
        Ok(SchemaId(schemas.len() as u32))
    }

    fn schema(&self, id: SchemaId) -> Result<Option<String>> {
        Ok(self.0.lock().unwrap().get((id.0 as usize).wrapping_sub(1)).cloned())
    }

    fn versions(&self, _: &str) -> Result<Vec<(SchemaId, String)>> {
        Ok(Vec::new())
    }

    fn subjects(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

#[test]
fn each_fault_is_refused_for_its_reason_and_sound_records_are_read_back() {
    let registry = InMemory::default();
    let encoders = Encoders::register(&registry).unwrap();
    let cache = SchemaCache::new();
    for id in 1..=5 {
        cache.resolve(SchemaId(id), &registry).unwrap();
    }
    let mut decoder = Decoder::new(cache);
    let malformed = Share::of_ten_thousand(5_000).unwrap();
    let options = InvoiceOptions {
        count: 400,
        shares: Shares { malformed, ..Shares::default() },
        ..InvoiceOptions::default()
    };
    let (mut bytes, mut seen) = (Vec::new(), std::collections::BTreeSet::new());
    for record in simulate_invoices(&options).unwrap() {
        encoders.encode(&record, &mut bytes).unwrap();
        let decoded = decoder.decode::<Invoice>(Some(&bytes)).map_err(|bad| bad.reason);
        let whole = decoded.clone().map(tidegate_producers::Value::Invoice);
        match record.fault {
            None => assert_eq!(whole, Ok(record.value)),
            // These two are not in the value's bytes: the record around it is at fault.
            Some(Fault::NullKey) => assert_eq!((whole, &record.key), (Ok(record.value), &None)),
            Some(Fault::EventTime) => assert_eq!(decoded.unwrap().issued_at, record.time_ms),
            Some(Fault::Truncated) => assert_eq!(decoded, Err(Reason::Undecodable)),
            Some(Fault::TrailingGarbage) => assert_eq!(decoded, Err(Reason::TrailingBytes)),
            Some(Fault::WrongMagic) => assert_eq!(decoded, Err(Reason::WrongMagic)),
            Some(Fault::UnknownSchema) => assert_eq!(decoded, Err(Reason::UnknownSchema)),
        }
        seen.insert(record.fault);
    }
    assert_eq!(seen.len(), 1 + Fault::ALL.len());
}
