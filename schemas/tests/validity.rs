//! Each type's judgement, asked through the table of topics as sinks ask it.

use serde_json::{Value, json};
use tidegate_schemas::topics::{self, Topic};
use tidegate_schemas::validity::{Fields, Why};

const MAX_MS: i64 = 4_102_444_800_000;

struct Json(Value);

impl Fields for Json {
    fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_else(|| panic!("no text `{field}`"))
    }

    fn integer(&self, field: &str) -> i64 {
        self.0[field].as_i64().unwrap_or_else(|| panic!("no number `{field}`"))
    }
}

/// The field that is wrong; none if the value is valid.
fn wrong(topic: &Topic, value: &Value, changes: &Value) -> Option<&'static str> {
    let mut value = value.clone();
    if let (Value::Object(fields), Value::Object(changes)) = (&mut value, changes) {
        fields.extend(changes.clone());
    }
    let key = value[topic.key_field].as_str().unwrap_or_default().as_bytes().to_vec();
    topic.judge(&key, &Json(value), MAX_MS).err().map(|invalid| invalid.field)
}

fn invoice() -> Value {
    json!({"invoice_id": "1", "customer_id": "A", "issued_at": 5, "amount_minor": 7, "currency": "EUR"})
}

#[test]
fn invoices() {
    for (changes, field) in [
        (json!({}), None),
        (json!({"issued_at": 0, "amount_minor": i64::MIN, "customer_id": ""}), None),
        (json!({"issued_at": MAX_MS, "customer_id": "x\u{0}y"}), None),
        (json!({"issued_at": -1}), Some("issued_at")),
        (json!({"issued_at": MAX_MS + 1}), Some("issued_at")),
        (json!({"issued_at": 1_704_110_400_000_000_i64}), Some("issued_at")), // microseconds: the year 55969
        (json!({"invoice_id": ""}), Some("invoice_id")),
        (json!({"currency": "eur"}), Some("currency")),
        (json!({"currency": ""}), Some("currency")),
        (json!({"currency": "US$"}), Some("currency")),
        (json!({"currency": "EURO"}), Some("currency")),
        (json!({"currency": "ÄR"}), Some("currency")),
    ] {
        assert_eq!(wrong(&topics::INVOICES, &invoice(), &changes), field, "{changes}");
    }
}

#[test]
fn readings() {
    let reading = json!({"radar_id": "R", "sequence": 1, "plate": "P", "measured_at": 5, "speed_kmh": 50});
    for (changes, field) in [
        (json!({}), None),
        (json!({"speed_kmh": 0, "measured_at": MAX_MS}), None),
        (json!({"speed_kmh": 400}), None),
        (json!({"speed_kmh": 401}), Some("speed_kmh")),
        (json!({"speed_kmh": -1}), Some("speed_kmh")),
        (json!({"measured_at": -1}), Some("measured_at")),
        (json!({"measured_at": MAX_MS + 1}), Some("measured_at")),
    ] {
        assert_eq!(wrong(&topics::READINGS, &reading, &changes), field, "{changes}");
    }
}

#[test]
fn registrations() {
    let radar = json!({"radar_id": "R", "kind": "CHANGED", "speed_limit_kmh": 30, "valid_from": 5});
    let vehicle = json!({"plate": "P", "kind": "REGISTERED", "owner_id": "O", "valid_from": 5});
    let owner = json!({"owner_id": "O", "kind": "REMOVED", "name": "", "address": "", "valid_from": 5});
    for (topic, value, changes, field) in [
        (&topics::RADARS, &radar, json!({}), None),
        (&topics::RADARS, &radar, json!({"speed_limit_kmh": 0}), Some("speed_limit_kmh")),
        (&topics::RADARS, &radar, json!({"speed_limit_kmh": 0, "kind": "REMOVED"}), None),
        (&topics::RADARS, &radar, json!({"valid_from": -1}), Some("valid_from")),
        (&topics::VEHICLES, &vehicle, json!({}), None),
        (&topics::VEHICLES, &vehicle, json!({"owner_id": ""}), Some("owner_id")),
        (&topics::VEHICLES, &vehicle, json!({"owner_id": "", "kind": "DEREGISTERED"}), None),
        (&topics::VEHICLES, &vehicle, json!({"valid_from": MAX_MS + 1}), Some("valid_from")),
        (&topics::OWNERS, &owner, json!({}), None),
        (&topics::OWNERS, &owner, json!({"valid_from": -1}), Some("valid_from")),
    ] {
        assert_eq!(wrong(topic, value, &changes), field, "{} {changes}", topic.name);
    }
}

/// Whatever a processor makes of valid records is valid: its windows may begin before 1970 and end past the bound.
#[test]
fn results() {
    let total = json!({"customer_id": "A", "window_start": 0, "window_end": 5_000});
    let infraction = json!({"plate": "P", "measured_at": MAX_MS});
    for (topic, value, changes, field) in [
        (&topics::CUSTOMER_TOTALS, &total, json!({}), None),
        (&topics::CUSTOMER_TOTALS, &total, json!({"window_start": -2_500, "window_end": 1}), None),
        (
            &topics::CUSTOMER_TOTALS,
            &total,
            json!({"window_start": MAX_MS, "window_end": MAX_MS + 5_000}),
            None,
        ),
        (
            &topics::CUSTOMER_TOTALS,
            &total,
            json!({"window_start": -5_000, "window_end": 0}),
            Some("window_end"),
        ),
        (&topics::CUSTOMER_TOTALS, &total, json!({"window_start": 5, "window_end": 5}), Some("window_end")),
        (
            &topics::CUSTOMER_TOTALS,
            &total,
            json!({"window_start": MAX_MS + 1, "window_end": MAX_MS + 2}),
            Some("window_start"),
        ),
        (&topics::INFRACTIONS, &infraction, json!({}), None),
        (&topics::INFRACTIONS, &infraction, json!({"measured_at": -1}), Some("measured_at")),
    ] {
        assert_eq!(wrong(topic, value, &changes), field, "{} {changes}", topic.name);
    }
}

#[test]
fn a_key_repeats_its_field() {
    let judged = topics::INVOICES.judge(b"B", &Json(invoice()), MAX_MS);
    let invalid = judged.err().map(|invalid| (invalid.field, invalid.why.clone(), text(&invalid)));
    let message = "key `B` is not the customer_id, `A`".to_owned();
    assert_eq!(invalid, Some(("customer_id", Why::Key(b"B".to_vec()), message)));
}

fn text(invalid: &tidegate_schemas::validity::Invalid) -> String {
    invalid.message(|text| format!("`{}`", String::from_utf8_lossy(text)))
}

#[test]
fn messages_name_the_field_its_value_and_the_rule() {
    let message = |changes: &[(&str, Value)]| {
        let mut value = invoice();
        for (field, content) in changes {
            value[field] = content.clone();
        }
        topics::INVOICES.judge(b"A", &Json(value), 10).err().map(|invalid| text(&invalid))
    };
    for (field, content, expected) in [
        ("issued_at", json!(11), "issued_at `11` is before 1970 or past `10`, the greatest event time"),
        ("invoice_id", json!(""), "invoice_id is empty"),
        ("currency", json!("eur"), "currency `eur` is no ISO 4217 code"),
    ] {
        assert_eq!(message(&[(field, content)]).as_deref(), Some(expected));
    }
}
