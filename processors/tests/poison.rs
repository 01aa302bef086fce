//! Records of any bytes: the application goes on, whatever a producer writes (law 14).
//!
//! The driver refuses what a broker would refuse, so an output, a letter or a changelog block that is too large fails the test.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use proptest::prelude::*;
use tidegate_processors::billing::{TotalsOptions, totals_topology};
use tidegate_processors::speeding::{SpeedingOptions, speeding_topology};
use tidegate_runtime::driver::{DrivenRecord, TestDriver};
use tidegate_runtime::time::EventTime;
use tidegate_runtime::topology::Topology;
use tidegate_runtime::window::TimeWindows;
use tidegate_schemas::topics::{INVOICES, READINGS};
use tidegate_schemas::{Invoice, Reading};

const START: i64 = 1_780_315_200_000;

/// The greatest value of each part that is drawn: together more than any broker takes.
const PART_BYTES: usize = 1_048_000;

fn totals() -> Topology {
    totals_topology("totals", TotalsOptions::new(TimeWindows::tumbling(5_000, 0).unwrap()))
}

fn speeding() -> Topology {
    speeding_topology("speeding", SpeedingOptions::default())
}

/// A part of a record: mostly short, now and then as long as can be, of bytes of every kind.
fn part() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![4 => 0_usize..40, 1 => 200_usize..400_000, 1 => 900_000..PART_BYTES];
    let begins = prop::collection::vec(any::<u8>(), 1..20);
    (begins, length).prop_map(|(begins, length)| begins.into_iter().cycle().take(length).collect())
}

fn headers() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let many = (0_usize..60_000).prop_map(|count| vec![("h".to_owned(), vec![7; 6]); count]);
    let few = prop::collection::vec((".{0,30}", part()), 0..3);
    prop_oneof![2 => Just(Vec::new()), 2 => few, 1 => many]
}

/// The value of a record: any bytes, or what a topic's schema says with texts of any length.
#[derive(Clone, Debug)]
enum Value {
    Missing,
    Bytes(Vec<u8>),
    Fitting(String, String),
}

fn value() -> impl Strategy<Value = Value> {
    let text = || {
        let length = prop_oneof![4 => 0_usize..40, 1 => 200_usize..300_000, 1 => 400_000_usize..520_000];
        (".{1,8}", length).prop_map(|(begins, length)| {
            let text: String = begins.chars().cycle().take(length).collect();
            text[..text.floor_char_boundary(length)].to_owned()
        })
    };
    prop_oneof![
        1 => Just(Value::Missing),
        2 => part().prop_map(Value::Bytes),
        4 => (text(), text()).prop_map(|(one, other)| Value::Fitting(one, other)),
    ]
}

/// Writes one record, then ends the input and starts again from the changelog.
fn goes_on(
    mut driver: TestDriver,
    topic: &str,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[(String, Vec<u8>)],
) -> Result<Vec<DrivenRecord>, TestCaseError> {
    let app = if topic == "invoices" { "totals" } else { "speeding" };
    let headers: Vec<(&str, &[u8])> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    let failed = |error: tidegate_runtime::Error| TestCaseError::fail(error.to_string());
    driver.pipe_with_headers(topic, EventTime(START), key, value, &headers).map_err(failed)?;
    driver.restart().map_err(failed)?;
    driver.end_input().map_err(failed)?;
    prop_assert_eq!(driver.total("processed"), 1);
    Ok(driver.read(&Topology::dead_letters_of(app)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn totals_goes_on_behind_any_record(key in prop::option::of(part()), value in value(), headers in headers()) {
        let driver = TestDriver::new(totals(), 2).unwrap();
        let (key, value) = match value {
            Value::Missing => (key, None),
            Value::Bytes(bytes) => (key, Some(bytes)),
            Value::Fitting(customer, currency) => {
                let invoice = Invoice {
                    invoice_id: "i".into(), customer_id: customer.clone(), issued_at: START, lines: vec![],
                    amount_minor: 1, currency: if currency.len() % 2 == 0 { "EUR".into() } else { currency },
                };
                let value = driver.encode("invoices", INVOICES.schema, &invoice).unwrap();
                (if invoice.currency == "EUR" { Some(customer.into_bytes()) } else { key }, Some(value))
            }
        };
        goes_on(driver, "invoices", key.as_deref(), value.as_deref(), &headers)?;
    }

    #[test]
    fn speeding_goes_on_behind_any_record(key in prop::option::of(part()), value in value(), headers in headers()) {
        let driver = TestDriver::new(speeding(), 2).unwrap();
        let (key, value) = match value {
            Value::Missing => (key, None),
            Value::Bytes(bytes) => (key, Some(bytes)),
            // Held for a radar that is not known: the whole record is kept in state.
            Value::Fitting(plate, radar_id) => {
                let reading = Reading {
                    plate: plate.clone(), radar_id, sequence: 1, measured_at: START, speed_kmh: 90,
                };
                let value = driver.encode("readings", READINGS.schema, &reading).unwrap();
                (if plate.len() % 4 > 0 { Some(plate.into_bytes()) } else { key }, Some(value))
            }
        };
        goes_on(driver, "readings", key.as_deref(), value.as_deref(), &headers)?;
    }
}

#[test]
fn a_part_that_is_too_large_leaves_its_beginning_its_length_and_its_digest() {
    let key = vec![0xff; 300_000];
    let headers = [("first".to_owned(), b"1".to_vec()), ("huge".to_owned(), vec![b'h'; 700_000])];
    let value = vec![b'v'; 500_000];
    let driver = TestDriver::new(totals(), 1).unwrap();
    let dead = goes_on(driver, "invoices", Some(&key), Some(&value), &headers).unwrap();
    let header = |name: &str| {
        let found = dead[0].headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
        found.map(|value| String::from_utf8(value).unwrap())
    };
    assert_eq!(header("reason").unwrap(), "wrong-magic");
    assert_eq!(header("origin").unwrap(), "invoices[0]@0");
    // The headers were largest, and without them the rest fits.
    assert_eq!(header("headers-length").unwrap(), "700010");
    // python3: sha256(b"".join(len(p).to_bytes(4, "big") + p for p in (b"first", b"1", b"huge", b"h" * 700000)))
    assert_eq!(
        header("headers-sha256").unwrap(),
        "5a3656bafd7243e8916ee3c0561299b715dea76b7687f8d2fb9ed8131e5c40f4"
    );
    assert_eq!(header("first").unwrap(), "1");
    assert_eq!(header("huge"), None);
    assert_eq!((dead[0].key.as_ref(), dead[0].value.as_ref()), (Some(&key), Some(&value)));
}

#[test]
fn a_huge_key_is_quoted_in_part_and_stays_whole_where_it_fits() {
    let key = vec![0xff; 300_000];
    let driver = TestDriver::new(totals(), 1).unwrap();
    let invoice = Invoice {
        invoice_id: "i".into(),
        customer_id: "c".into(),
        issued_at: START,
        lines: vec![],
        amount_minor: 1,
        currency: "EUR".into(),
    };
    let value = driver.encode("invoices", INVOICES.schema, &invoice).unwrap();
    let dead = goes_on(driver, "invoices", Some(&key), Some(&value), &[]).unwrap();
    let message = dead[0].headers.iter().find(|(name, _)| name == "message").map(|(_, value)| value).unwrap();
    // head -c 300000 /dev/zero | tr '\0' '\377' | sha256sum
    let expected = format!(
        "key `{}…` (300000 bytes, SHA-256 76b0aeaa517d0aafaa054a563434429a184a7f7e10c6403136c9daf1ed281024) is not the customer_id, `c`",
        r"\xff".repeat(256)
    );
    assert_eq!(std::str::from_utf8(message).unwrap(), expected);
    assert_eq!(dead[0].key.as_ref(), Some(&key));
}
