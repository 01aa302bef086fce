//! Replay of real files: excerpts always, the full files where `TIDEGATE_DATA` names their directory, and made-up ones for
//! what real ones do not have. The numbers were counted outside of this code (tests/data/README.md).

#![allow(clippy::unwrap_used, reason = "a helper of tests may panic as a test may")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tidegate_producers::{
    MoersReplay, Produced, ReplayError, RetailReplay, RetailSummary, Value, replay_invoices, replay_radars,
};
use tidegate_schemas::{Invoice, Reading};

fn excerpt(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(name)
}

/// A file of the full data; none where the variable is not set.
fn full(name: &str) -> Option<PathBuf> {
    std::env::var_os("TIDEGATE_DATA").map(|directory| Path::new(&directory).join(name))
}

fn invoices(replay: &mut RetailReplay) -> Vec<Invoice> {
    let invoice = |record: Result<Produced, ReplayError>| match record.unwrap().value {
        Value::Invoice(invoice) => invoice,
        other => panic!("{other:?}"),
    };
    replay.map(invoice).collect()
}

fn windows(invoices: &[Invoice]) -> usize {
    let window = |invoice: &Invoice| (invoice.customer_id.clone(), invoice.issued_at / 5_000);
    invoices.iter().map(window).collect::<BTreeSet<_>>().len()
}

#[test]
fn the_retail_excerpt_is_grouped_as_counted() {
    let mut replay = replay_invoices(&excerpt("online-retail-2010-12-01-to-08.csv.gz")).unwrap();
    let made = invoices(&mut replay);
    assert_eq!(windows(&made), 862);
    let expected = RetailSummary {
        lines: 19_632,
        invoices: 905,
        credit_notes: 102,
        zero_amounts: 76,
        negative_amounts: 102,
        anonymous: 136,
        differing_times: 1,
        amount_minor: 32_495_632,
        ..RetailSummary::default()
    };
    assert_eq!(replay.summary(), &expected);
    assert!(made.is_sorted_by_key(|invoice| invoice.issued_at));
    let first = &made[0];
    assert_eq!((first.invoice_id.as_str(), first.customer_id.as_str()), ("536365", "17850"));
    // 15.30 + 20.34 + 22.00 + 20.34 + 20.34 + 15.30 + 25.50
    assert_eq!((first.amount_minor, first.lines.len()), (13_912, 7));
    assert_eq!(first.issued_at, 1_291_191_960_000);
}

#[test]
fn the_full_retail_file_is_grouped_as_counted() {
    let Some(file) = full("online-retail.csv.gz") else { return };
    let mut replay = replay_invoices(&file).unwrap();
    let made = invoices(&mut replay);
    assert_eq!(windows(&made), 25_156);
    let expected = RetailSummary {
        lines: 541_909,
        invoices: 25_900,
        credit_notes: 3_836,
        adjustments: 3,
        zero_amounts: 2_102,
        negative_amounts: 3_838,
        anonymous: 3_710,
        rounded: 4,
        scattered: 1,
        differing_times: 43,
        amount_minor: 974_774_793,
        ..RetailSummary::default()
    };
    assert_eq!(replay.summary(), &expected);
}

fn readings(replay: &mut MoersReplay) -> Vec<Reading> {
    let reading = |record: Result<Produced, ReplayError>| match record.unwrap().value {
        Value::Reading(reading) => Some(reading),
        _ => None,
    };
    replay.filter_map(reading).collect()
}

fn above(readings: &[Reading], kmh: i32) -> usize {
    readings.iter().filter(|reading| reading.speed_kmh > kmh).count()
}

#[test]
fn the_moers_excerpt_is_read_as_counted() {
    let mut replay = replay_radars(&excerpt("moers-2016-10-24.txt"), 1, 5_000).unwrap();
    let made = readings(&mut replay);
    assert_eq!((made.len(), above(&made, 30), above(&made, 35)), (5_911, 1_524, 383));
    assert_eq!((replay.summary().readings, replay.summary().over_limit), (5_911, 1_524));
    assert_eq!((made[0].measured_at, made[0].speed_kmh, made[0].sequence), (1_477_291_049_000, 32, 1));
    let identities: BTreeSet<_> = made.iter().map(|reading| reading.sequence).collect();
    assert_eq!(identities.len(), made.len());
    let plates: BTreeSet<_> = made.iter().map(|reading| &reading.plate).collect();
    assert!((3_000..5_000).contains(&plates.len()), "{}", plates.len());
}

#[test]
fn the_full_moers_file_is_read_as_counted() {
    let Some(file) = full("moers-roemerstrasse-30kmh.txt") else { return };
    let made = readings(&mut replay_radars(&file, 1, 5_000).unwrap());
    assert_eq!((made.len(), above(&made, 30), above(&made, 35)), (14_152, 3_947, 1_061));
}

#[test]
fn registrations_come_first_and_are_valid_before_the_first_reading() {
    let mut topics = BTreeMap::new();
    let (mut registered, mut first_reading) = (BTreeSet::new(), None);
    for record in replay_radars(&excerpt("moers-2016-10-24.txt"), 7, 100).unwrap() {
        let record = record.unwrap();
        *topics.entry(record.topic).or_insert(0) += 1;
        match record.value {
            Value::Reading(reading) => {
                assert!(registered.contains(&reading.plate) && registered.contains(&reading.radar_id));
                first_reading.get_or_insert(reading.measured_at);
            }
            _ => {
                assert!(first_reading.is_none() && record.time_ms < 1_477_291_049_000);
                registered.insert(String::from_utf8(record.key.unwrap()).unwrap());
            }
        }
    }
    assert_eq!((topics["radars"], topics["owners"], topics["readings"]), (1, 90, 5_911));
    assert!(topics["vehicles"] >= 100);
}

#[test]
fn plates_are_a_function_of_seed_and_row() {
    let plates = |seed| {
        let made = readings(&mut replay_radars(&excerpt("moers-2016-10-24.txt"), seed, 5_000).unwrap());
        made.into_iter().map(|reading| reading.plate).collect::<Vec<_>>()
    };
    assert_eq!(plates(1), plates(1));
    assert_ne!(plates(1), plates(2));
}

/// A directory with one file in it.
fn file(content: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, content).unwrap();
    (directory, path)
}

const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

fn retail(lines: &[&str]) -> Result<Vec<Invoice>, ReplayError> {
    let (_directory, path) = file(&format!("{HEADER}{}\n", lines.join("\n")));
    let records: Result<Vec<_>, _> = replay_invoices(&path)?.collect();
    Ok(records?
        .into_iter()
        .map(|record| match record.value {
            Value::Invoice(invoice) => invoice,
            other => panic!("{other:?}"),
        })
        .collect())
}

#[test]
fn a_scattered_invoice_is_one_and_stands_where_its_first_line_does() {
    let (_directory, path) = file(&format!(
        "{HEADER}1,s,d,1,2010-12-01 08:26:00,0.125,17850.0,X\n\
        2,s,\"a, \"\"b\"\"\",2,2010-12-01 08:27:00,1.5,,X\n\
        1,s,d,1,2010-12-01 08:28:00,1.0,17851.0,X\n\
        3,s,d,-1,2010-12-01 08:29:00,0.125,17850,X\n"
    ));
    let mut replay = replay_invoices(&path).unwrap();
    let made = invoices(&mut replay);
    let ids: Vec<_> = made.iter().map(|made| (made.invoice_id.as_str(), made.customer_id.as_str())).collect();
    assert_eq!(ids, [("1", "17850"), ("2", "anonymous"), ("3", "17850")]);
    // 1.125 and -0.125: halves of a penny, away from zero.
    assert_eq!(made.iter().map(|made| made.amount_minor).collect::<Vec<_>>(), [113, 300, -13]);
    assert_eq!(made[0].issued_at, 1_291_191_960_000);
    assert_eq!(made[1].lines[0].description, "a, \"b\"");
    let summary = replay.summary();
    assert_eq!((summary.scattered, summary.differing_times, summary.differing_customers), (1, 1, 1));
    assert_eq!((summary.rounded, summary.anonymous, summary.negative_amounts), (2, 1, 1));
}

#[test]
fn an_hour_that_came_twice_is_counted() {
    let (_directory, path) = file(&format!("{HEADER}1,s,d,1,2011-10-30 01:30:00,1.0,,X\n"));
    let mut replay = replay_invoices(&path).unwrap();
    assert_eq!(invoices(&mut replay)[0].issued_at, 1_319_934_600_000);
    assert_eq!(replay.summary().ambiguous_times, 1);
}

#[test]
fn a_wrong_value_is_named_with_file_line_and_field() {
    let sound = "1,s,d,1,2010-12-01 08:26:00,1.0,,X";
    for (line, message) in [
        ("1,s,d,1.5,2010-12-01 08:26:00,1.0,,X", "Quantity is `1.5`; expected a whole number"),
        ("1,s,d,+1,2010-12-01 08:26:00,1.0,,X", "Quantity is `+1`; expected a whole number"),
        (
            "1,s,d,1,2010-12-01 08:26:00,1e3,,X",
            "UnitPrice is `1e3`; expected a decimal number with at most six decimals and no exponent",
        ),
        (
            "1,s,d,1,2010-12-01 08:26:00,1.0,nobody,X",
            "CustomerID is `nobody`; expected a number as `17850.0`, or nothing",
        ),
        (
            "1,s,d,1,2010-12-01 08:26:00,1.0,.0,X",
            "CustomerID is `.0`; expected a number as `17850.0`, or nothing",
        ),
        (
            "1,s,d,1,2011-03-27 01:30:00,1.0,,X",
            "InvoiceDate is `2011-03-27 01:30:00`; expected a time as `2010-12-01 08:26:00` that London's clocks showed",
        ),
        (",s,d,1,2010-12-01 08:26:00,1.0,,X", "InvoiceNo is ``; expected an invoice's number"),
        ("1,s,d", "number of fields is `3`; expected 8"),
    ] {
        let error = retail(&[sound, line]).unwrap_err().to_string();
        assert!(error.ends_with(&format!("file` line 3: {message}")), "{error}");
    }
}

#[test]
fn after_an_error_a_replay_gives_nothing_more() {
    let (_directory, path) =
        file(&format!("{HEADER}1,s,d,x,2010-12-01 08:26:00,1.0,,X\n2,s,d,1,2010-12-01 08:26:00,1.0,,X\n"));
    let mut replay = replay_invoices(&path).unwrap();
    assert!(replay.next().unwrap().is_err());
    assert!(replay.next().is_none());
}

#[test]
fn another_csv_is_refused_by_its_header() {
    let (_directory, path) = file("a,b\n1,2\n");
    let error = replay_invoices(&path).err().unwrap().to_string();
    assert!(error.contains("line 1: the header is `a,b`; expected InvoiceNo,StockCode,"), "{error}");
}

#[test]
fn a_wrong_radar_line_is_named() {
    let sound = "24.10.16 08:37:29;00;032;01;0 \r\n";
    for (line, message) in [
        ("nothing", "the line is `nothing`; expected time;00;speed;length;direction"),
        (
            "24.10.16 08:37;00;032;01;0",
            "time is `24.10.16 08:37`; expected a time as `24.10.16 08:37:29` that Berlin's clocks showed",
        ),
        (
            "24.10.16 08:37:29;01;032;01;0",
            "the field after the time is `01`; expected `00`: nothing else is known",
        ),
        ("24.10.16 08:37:29;00;-32;01;0", "speed is `-32`; expected a whole number"),
        ("24.10.16 08:37:29;00;032;;0", "length is ``; expected a whole number"),
        ("24.10.16 08:37:29;00;401;01;0", "speed is `401`; expected at most 400 km/h"),
        ("24.10.16 08:37:29;00;032;01;2", "direction is `2`; expected `0` or `1`"),
        (
            "24.10.15 08:37:28;00;032;01;0",
            "time is `24.10.15 08:37:28`; expected no time a year before the first line's",
        ),
    ] {
        let (_directory, path) = file(&format!("{sound}{line}\n"));
        let error = replay_radars(&path, 1, 10).unwrap().find_map(Result::err).unwrap().to_string();
        assert!(error.ends_with(&format!("file` line 2: {message}")), "{error}");
    }
}

#[test]
fn a_file_that_is_missing_or_cut_short_is_named() {
    let error = replay_radars(Path::new("/nowhere/at/all"), 1, 10).err().unwrap();
    assert_eq!(error.to_string(), "cannot read `/nowhere/at/all`");
    let whole = fs::read(excerpt("online-retail-2010-12-01-to-08.csv.gz")).unwrap();
    let (_directory, path) = file("");
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(replay_invoices(&path).err().unwrap(), ReplayError::Read { .. }));
}
