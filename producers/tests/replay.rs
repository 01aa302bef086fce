//! Replay of real files: excerpts always, the full files where `TIDEGATE_DATA` names their directory, and made-up ones for
//! what real ones do not have. The numbers were counted outside of this code (tests/data/README.md).

#![allow(clippy::unwrap_used, reason = "a helper of tests may panic as a test may")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tidegate_producers::{
    MoersReplay, Produced, RadarFile, ReplayBounds, ReplayError, RetailReplay, RetailSummary, Value,
};
use tidegate_schemas::{Invoice, Reading};

fn excerpt(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(name)
}

/// A file of the full data; none where the variable is not set.
fn full(name: &str) -> Option<PathBuf> {
    std::env::var_os("TIDEGATE_DATA").map(|directory| Path::new(&directory).join(name))
}

/// Without a bad line.
fn replay_invoices(file: &Path) -> Result<RetailReplay, ReplayError> {
    tidegate_producers::replay_invoices(file, ReplayBounds::default(), &mut Err::<(), _>)
}

fn replay_radars(file: &Path, seed: u64, vehicles: u32) -> Result<MoersReplay, ReplayError> {
    let options = RadarFile { seed, vehicles, ..RadarFile::default() };
    tidegate_producers::replay_radars(file, options, ReplayBounds::default(), &mut Err::<(), _>)
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

/// The lines that are left out, with what is wrong, and the records of the others.
fn sifted<R: Iterator<Item = Result<Produced, ReplayError>>>(
    make: impl FnOnce(&mut dyn FnMut(ReplayError) -> Result<(), ReplayError>) -> Result<R, ReplayError>,
) -> (Vec<(u64, String, String)>, Vec<Value>) {
    let mut bad = Vec::new();
    let mut take = |error: ReplayError| {
        let ReplayError::Value { line, field, text, .. } = error else { return Err(error) };
        bad.push((line, field.to_owned(), String::from_utf8(text).unwrap()));
        Ok(())
    };
    let made = make(&mut take).unwrap().map(|record| record.unwrap().value).collect();
    (bad, made)
}

#[test]
fn bad_lines_are_left_out_with_their_numbers_whatever_ends_the_lines() {
    for end in ["\n", "\r\n"] {
        let lines = [
            "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country",
            "1,s,d,1,2010-12-01 08:26:00,1.0,,X",
            "2,s,d,six,2010-12-01 08:26:00,1.0,,X",
            "3,s,\"two",
            "lines\",x,2010-12-01 08:26:00,1.0,,X",
            "",
            "4,s,d",
            "1,s,\"over\"\"two",
            "lines\",1,2010-12-01 08:26:00,1.0,,X",
            "5,s,d,9223372036854775807,2010-12-01 08:26:00,9223372036854,,X",
            "6,s,\"not closed,1,2010-12-01 08:26:00,1.0,,X",
        ];
        let (_directory, path) = file(&(lines.join(end) + end));
        let bounds = ReplayBounds::default();
        let (bad, made) = sifted(|bad| tidegate_producers::replay_invoices(&path, bounds, bad));
        let told: Vec<_> = bad.iter().map(|(line, field, _)| (*line, field.as_str())).collect();
        let expected =
            [(3, "Quantity"), (4, "Quantity"), (7, "number of fields"), (11, "the record"), (10, "invoice")];
        assert_eq!(told, expected);
        assert_eq!(bad[0].2, lines[2]);
        assert_eq!(bad[1].2, format!("{}\n{}", lines[3], lines[4]));
        assert_eq!(made.len(), 1);
        let Value::Invoice(invoice) = &made[0] else { panic!("{made:?}") };
        assert_eq!((invoice.invoice_id.as_str(), invoice.amount_minor, invoice.lines.len()), ("1", 200, 2));
        assert_eq!(invoice.lines[1].description, "over\"two\nlines");

        let lines = ["24.10.16 08:37:29;00;032;01;0", "nonsense", "24.10.16 08:37:30;00;033;01;0"];
        let (_directory, path) = file(&(lines.join(end) + end));
        let (bad, made) =
            sifted(|bad| tidegate_producers::replay_radars(&path, RadarFile::default(), bounds, bad));
        assert_eq!(bad, [(2, "the line".to_owned(), "nonsense".to_owned())]);
        let readings: Vec<_> = made.iter().filter(|value| matches!(value, Value::Reading(_))).collect();
        assert_eq!(readings.len(), 2);
        let Value::Reading(last) = readings[1] else { panic!() };
        assert_eq!((last.sequence, last.speed_kmh), (3, 33), "a reading's number is its line's");
    }
}

#[test]
fn a_line_that_is_too_long_is_a_bad_one_and_the_next_is_read() {
    let bounds = ReplayBounds { line_bytes: 100, ..ReplayBounds::default() };
    let long = "x".repeat(50_000);
    let (_directory, path) =
        file(&format!("24.10.16 08:37:29;00;032;01;0\r\n{long}\r\n24.10.16 08:37:30;00;033;01;0\n{long}"));
    let (bad, made) =
        sifted(|bad| tidegate_producers::replay_radars(&path, RadarFile::default(), bounds, bad));
    assert_eq!(bad.iter().map(|(line, ..)| *line).collect::<Vec<_>>(), [2, 4]);
    assert!(bad.iter().all(|(_, _, text)| text.len() <= 102));
    assert_eq!(made.iter().filter(|value| matches!(value, Value::Reading(_))).count(), 2);
    // A quotation mark does not get around it.
    let rows = "1,s,d,1,2010-12-01 08:26:00,1.0,,X\n".repeat(10);
    let (_directory, path) = file(&format!("{HEADER}1,s,\"d,\n{rows}2,s,d,1,2010-12-01 08:26:00,1.0,,X\n"));
    let (bad, made) = sifted(|bad| tidegate_producers::replay_invoices(&path, bounds, bad));
    assert!(bad.iter().all(|(_, _, text)| text.len() < 200), "{bad:?}");
    assert!(!made.is_empty(), "{bad:?}");
}

#[test]
fn what_unpacks_without_an_end_is_given_up() {
    use std::io::Write as _;
    let line = "24.10.16 08:37:29;00;032;01;0\n".repeat(1_000);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    (0..100).for_each(|_| packed.write_all(line.as_bytes()).unwrap());
    let (_directory, path) = file("");
    fs::write(&path, packed.finish().unwrap()).unwrap();
    let replay = |unpacked_bytes| {
        let bounds = ReplayBounds { unpacked_bytes, ..ReplayBounds::default() };
        tidegate_producers::replay_radars(&path, RadarFile::default(), bounds, &mut Err::<(), _>)
    };
    assert!(replay(None).is_ok() && replay(Some(3_000_000)).is_ok());
    let error = replay(Some(2_999_999)).err().unwrap();
    assert!(matches!(error, ReplayError::TooLarge { .. }), "{error}");
    assert!(error.to_string().contains("unpacks to more than 2999999 bytes"), "{error}");
}

#[test]
fn the_radar_its_limit_and_its_zone_can_be_told() {
    let (_directory, path) = file("28.07.21 08:00:29;00;45;0;0\r\n");
    let options = RadarFile {
        radar_id: "other-street".to_owned(),
        speed_limit_kmh: 60,
        zone: "UTC".to_owned(),
        ..RadarFile::default()
    };
    let bounds = ReplayBounds::default();
    let mut replay = tidegate_producers::replay_radars(&path, options, bounds, &mut Err::<(), _>).unwrap();
    let made: Vec<_> = replay.by_ref().map(|record| record.unwrap().value).collect();
    assert_eq!(replay.summary().over_limit, 0);
    let Value::RadarEvent(radar) = &made[0] else { panic!("{made:?}") };
    assert_eq!(
        (radar.radar_id.as_str(), radar.speed_limit_kmh, radar.place.as_str()),
        ("other-street", 60, "other-street")
    );
    let Some(Value::Reading(reading)) = made.last() else { panic!("{made:?}") };
    assert_eq!((reading.radar_id.as_str(), reading.measured_at), ("other-street", 1_627_459_229_000));
    for options in [
        RadarFile { radar_id: String::new(), ..RadarFile::default() },
        RadarFile { speed_limit_kmh: 0, ..RadarFile::default() },
        RadarFile { zone: "Mars".to_owned(), ..RadarFile::default() },
    ] {
        let error =
            tidegate_producers::replay_radars(&path, options, bounds, &mut Err::<(), _>).err().unwrap();
        assert!(matches!(error, ReplayError::Option(_)), "{error}");
    }
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
            "time is `24.10.16 08:37`; expected a time as `24.10.16 08:37:29` that the clocks of its zone showed",
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
        let error = replay_radars(&path, 1, 10).err().unwrap().to_string();
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
