//! Simulations are what their description says, record by record: the goldens come from `golden/simulate.py`, which has its own
//! ChaCha8. What a few dozen records cannot show (shares, bounds, prefixes) is counted over ten thousand.

#![allow(clippy::unwrap_used, reason = "a helper of tests may panic as a test may")]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use tidegate_producers::{
    DEFAULT_START_MS, Fault, InvoiceOptions, Produced, RadarOptions, Share, Shares, Simulation, Value,
    simulate_invoices, simulate_radars,
};

fn shares(out_of_order: u32, late: u32, duplicates: u32, malformed: u32) -> Shares {
    let share = |parts| Share::of_ten_thousand(parts).unwrap();
    Shares {
        out_of_order: share(out_of_order),
        late: share(late),
        duplicates: share(duplicates),
        malformed: share(malformed),
    }
}

fn as_json(record: &Produced) -> Json {
    let value = match &record.value {
        Value::Reading(reading) => serde_json::to_value(reading),
        Value::RadarEvent(event) => serde_json::to_value(event),
        Value::VehicleEvent(event) => serde_json::to_value(event),
        Value::OwnerEvent(event) => serde_json::to_value(event),
        Value::Invoice(invoice) => serde_json::to_value(invoice),
    };
    let key = record.key.as_ref().map(|key| String::from_utf8(key.clone()).unwrap());
    let fault = record.fault.map(|fault| format!("{fault:?}"));
    json!({"topic": record.topic, "key": key, "time_ms": record.time_ms, "fault": fault, "value": value.unwrap()})
}

fn equals_golden(simulation: Simulation, golden: &str) {
    let made: Vec<_> = simulation.map(|record| as_json(&record)).collect();
    let expected: Vec<Json> = golden.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (index, (made, expected)) in made.iter().zip(&expected).enumerate() {
        assert_eq!(made, expected, "record {index}");
    }
    assert_eq!(made.len(), expected.len());
}

#[test]
fn radars_equal_the_golden() {
    let options = RadarOptions {
        seed: 42,
        count: 80,
        per_second: 3,
        vehicles: 40,
        radars: 3,
        start_ms: DEFAULT_START_MS,
        shares: shares(1_000, 500, 1_000, 1_500),
    };
    equals_golden(simulate_radars(&options).unwrap(), include_str!("golden/radars.jsonl"));
}

#[test]
fn invoices_equal_the_golden() {
    let options = InvoiceOptions {
        seed: u64::MAX,
        count: 80,
        per_second: 7,
        customers: 5,
        currencies: vec!["EUR".into(), "SEK".into()],
        start_ms: DEFAULT_START_MS,
        shares: shares(1_000, 500, 1_000, 1_500),
    };
    equals_golden(simulate_invoices(&options).unwrap(), include_str!("golden/invoices.jsonl"));
}

fn busy_radars(count: u64) -> RadarOptions {
    RadarOptions { count, shares: shares(500, 100, 200, 300), ..RadarOptions::default() }
}

#[test]
fn a_longer_simulation_begins_as_a_shorter_one() {
    let first = |count| simulate_radars(&busy_radars(count)).unwrap().take(2_300).collect::<Vec<_>>();
    assert_eq!(first(1_000), first(5_000));
}

#[test]
fn the_manifest_counts_what_was_handed_out() {
    let mut simulation = simulate_radars(&busy_radars(10_000)).unwrap();
    let mut written = 0;
    let mut by_fault = BTreeMap::new();
    for record in simulation.by_ref() {
        written += 1;
        if let Some(fault) = record.fault {
            *by_fault.entry(fault).or_insert(0) += 1;
            assert_eq!(record.key.is_none(), fault == Fault::NullKey);
            assert_eq!(record.time_ms > 4_102_444_800_000, fault == Fault::EventTime);
        }
    }
    let manifest = simulation.manifest().clone();
    assert_eq!((manifest.written(), manifest.records), (written, 10_000));
    assert_eq!(manifest.malformed, by_fault);
    assert_eq!(by_fault.len(), Fault::ALL.len());
    // Four standard deviations around the shares asked for.
    for (count, expected) in [
        (manifest.out_of_order, 413..587),
        (manifest.late, 60..140),
        (manifest.duplicates, 144..256),
        (manifest.malformed_total(), 232..368),
    ] {
        assert!(expected.contains(&count), "{count} is not in {expected:?}");
    }
}

#[test]
fn duplicates_follow_their_originals_shortly() {
    let options = RadarOptions { shares: shares(0, 0, 3_000, 0), count: 2_000, ..RadarOptions::default() };
    let mut simulation = simulate_radars(&options).unwrap();
    let mut seen = BTreeMap::new();
    let (mut doubled, mut position) = (0, 0);
    for record in simulation.by_ref() {
        let Value::Reading(reading) = record.value else { continue };
        position += 1;
        if let Some(before) = seen.insert((reading.radar_id, reading.sequence, reading.measured_at), position)
        {
            assert!(position - before <= 40, "{} records between", position - before);
            doubled += 1;
        }
    }
    assert_eq!(doubled, simulation.manifest().duplicates);
    assert_eq!(seen.len(), 2_000);
}

#[test]
fn readings_are_of_registered_radars_and_vehicles_and_some_are_too_fast() {
    let (mut limits, mut plates, mut readings, mut over) = (BTreeMap::new(), BTreeSet::new(), 0, 0);
    for record in simulate_radars(&RadarOptions::default()).unwrap() {
        match record.value {
            Value::RadarEvent(event) => drop(limits.insert(event.radar_id, event.speed_limit_kmh)),
            Value::VehicleEvent(event) => drop(plates.insert(event.plate)),
            Value::OwnerEvent(_) => {}
            Value::Reading(reading) => {
                assert!(plates.contains(&reading.plate));
                assert!((1..=400).contains(&reading.speed_kmh));
                readings += 1;
                over += i32::from(reading.speed_kmh > limits[&reading.radar_id]);
            }
            Value::Invoice(_) => panic!("a radar wrote an invoice"),
        }
    }
    assert_eq!(readings, 10_000);
    assert!((1_000..1_500).contains(&over), "{over}");
}

#[test]
fn invoices_are_the_sum_of_their_lines_and_several_share_a_window() {
    let (mut credit_notes, mut rounded, mut windows) = (0, 0, BTreeMap::new());
    for record in simulate_invoices(&InvoiceOptions::default()).unwrap() {
        let Value::Invoice(invoice) = record.value else { panic!("no invoice") };
        let exact: i64 = invoice.lines.iter().map(|line| line.quantity * line.unit_price_micros).sum();
        // Within half a cent, and the half itself only away from zero.
        let off = invoice.amount_minor * 10_000 - exact;
        assert!(off.abs() <= 5_000 && (off.abs() < 5_000 || off.signum() == exact.signum()), "{invoice:?}");
        assert_eq!(invoice.amount_minor < 0, invoice.invoice_id.starts_with('C'), "{invoice:?}");
        credit_notes += i32::from(invoice.amount_minor < 0);
        rounded += i32::from(off != 0);
        *windows.entry((invoice.customer_id, invoice.issued_at / 5_000)).or_insert(0) += 1;
    }
    assert!((200..400).contains(&credit_notes), "{credit_notes}");
    assert!(rounded > 100, "{rounded}");
    assert!(10_000 / windows.len() >= 5, "{} windows", windows.len());
}

#[test]
fn options_out_of_bounds_are_refused_with_the_remedy() {
    let radars = |change: fn(&mut RadarOptions)| {
        let mut options = RadarOptions::default();
        change(&mut options);
        simulate_radars(&options).err().unwrap().to_string()
    };
    assert_eq!(
        radars(|options| options.vehicles = 0),
        "option `keys` is `0`; give from 1 to 279561159 vehicles"
    );
    assert_eq!(radars(|options| options.radars = 0), "option `radars` is `0`; give from 1 to 100000 radars");
    let invoices = |change: fn(&mut InvoiceOptions)| {
        let mut options = InvoiceOptions::default();
        change(&mut options);
        simulate_invoices(&options).err().unwrap().option
    };
    assert_eq!(invoices(|options| options.customers = 0), "keys");
    assert_eq!(invoices(|options| options.currencies = vec![]), "currency");
    assert_eq!(invoices(|options| options.currencies = vec!["JPY".into()]), "currency");
    let too_much = |options: &mut InvoiceOptions| {
        options.shares.late = Share::WHOLE;
        options.shares.malformed = Share::of_ten_thousand(1).unwrap();
    };
    assert_eq!(invoices(too_much), "out-of-order, late, duplicates, malformed");
}
