//! Rows of the oracle's inputs as the bytes that stand in a log. The tests of the Kafka home read them by this as well.

use base64::Engine;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tidegate_runtime::avro::Encoder;
use tidegate_schemas::{Invoice, OwnerEvent, RadarEvent, Reading, VehicleEvent, topics};

/// The value of a row: as it is, framed, or encoded by its topic's twin.
pub(crate) fn value_bytes(row: &Value, topic: &topics::Topic, encoder: &Encoder) -> Option<Vec<u8>> {
    let base64 = |field: &str| {
        let text = row.get(field)?.as_str()?;
        Some(base64::engine::general_purpose::STANDARD.decode(text).unwrap())
    };
    if let Some(raw) = base64("raw_base64") {
        return Some(raw);
    }
    if let Some(datum) = base64("datum_base64") {
        let header = [&[0], encoder.id().0.to_be_bytes().as_slice()].concat();
        return Some([header, datum].concat());
    }
    let value = row.get("value").filter(|value| !value.is_null())?.clone();
    let mut bytes = Vec::new();
    match topic.name {
        "invoices" => encoder.encode(&twin::<Invoice>(value), &mut bytes),
        "readings" => encoder.encode(&twin::<Reading>(value), &mut bytes),
        "vehicles" => encoder.encode(&twin::<VehicleEvent>(value), &mut bytes),
        "radars" => encoder.encode(&twin::<RadarEvent>(value), &mut bytes),
        "owners" => encoder.encode(&twin::<OwnerEvent>(value), &mut bytes),
        other => panic!("an input has no `{other}`"),
    }
    .unwrap();
    Some(bytes)
}

fn twin<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}
