//! CSV files: what is in them, when they finish, and that no end of the process at any moment shows.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tidegate_runtime::log::Log;
use tidegate_runtime::{Error, Reaction};

use super::scripted::{Partition, Record, Scripted};
use super::{block_on, csv_to_end, invoice, invoice_line, invoice_value};
use crate::Settings;
use crate::csv::{Options, fault, run};

const HEADER: &str = "invoice_id,customer_id,issued_at,amount_minor,currency,lines\r\n";
const REJECT_HEADER: &str = "offset,time,reason,message,key_hex,value_hex\r\n";

fn options(directory: &Path) -> Options {
    Options {
        settings: Settings {
            until_end: true,
            commit_interval: Duration::from_millis(5),
            ..Settings::named("files")
        },
        topic: "invoices".into(),
        directory: directory.to_owned(),
        segment_records: 10,
    }
}

fn live(directory: &Path) -> Options {
    let mut options = options(directory);
    options.settings.until_end = false;
    options
}

/// The files whose names end like this, by name; those of the folder beside as `rejects/…`.
fn files(directory: &Path, ending: &str) -> BTreeMap<String, String> {
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    let beside = fs::read_dir(directory.join("rejects"));
    paths.extend(beside.into_iter().flatten().map(|entry| entry.unwrap().path()));
    let named = paths.iter().filter(|path| path.to_str().unwrap().ends_with(ending));
    let name = |path: &Path| path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
    named.map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// The lines of a partition's finished files in the order of their names, without the headers.
fn content(directory: &Path, partition: u32, rejects: bool) -> Vec<String> {
    let lines = |(name, text): (String, String)| -> Vec<String> {
        let header = if rejects { REJECT_HEADER } else { HEADER };
        let rest = text.strip_prefix(header).unwrap_or_else(|| panic!("no header in {name}"));
        rest.split_inclusive("\r\n").map(str::to_owned).collect()
    };
    let prefix = format!("{}invoices-{partition}-", if rejects { "rejects/" } else { "" });
    let of_part = |name: &String| name.starts_with(&prefix) && name.ends_with("-rejects.csv") == rejects;
    files(directory, ".csv").into_iter().filter(|(name, _)| of_part(name)).flat_map(lines).collect()
}

fn names(directory: &Path, ending: &str) -> Vec<String> {
    files(directory, ending).into_keys().map(|name| name.replace("00000000000000000", "")).collect()
}

/// Two partitions with every shape there is: full segments, gaps over boundaries, empty stretches, bad records, a segment
/// of bad ones only, a gap at the end.
fn rich() -> Vec<Partition> {
    let mut first = Partition::default();
    (0..14).chain(16..19).chain(22..24).chain(57..63).for_each(|offset| first.invoice(offset));
    for offset in [3, 17, 41, 42, 64] {
        first.put(offset, Record { value: Some(vec![7]), ..first.records[&2].clone() });
    }
    first.high = 66;
    let mut second = Partition::default();
    (0..25).for_each(|offset| second.invoice(offset));
    vec![first, second]
}

fn expected(partition: &Partition) -> (Vec<String>, usize) {
    let good = partition.records.iter().filter(|(_, record)| record.value != Some(vec![7]));
    let lines: Vec<_> = good.map(|(offset, _)| invoice_line(*offset)).collect();
    let rejects = partition.records.len() - lines.len();
    (lines, rejects)
}

fn assert_exact(directory: &Path, partitions: &[Partition]) {
    for (number, partition) in (0..).zip(partitions) {
        let (rows, rejects) = expected(partition);
        assert_eq!(content(directory, number, false), rows);
        let aside = content(directory, number, true);
        assert_eq!(aside.len(), rejects, "{aside:?}");
        let bad = partition.records.iter().filter(|(_, record)| record.value == Some(vec![7]));
        for ((offset, _), line) in bad.zip(aside) {
            let key = "3d32"; // the key of record 2
            let ending = format!(
                "wrong-magic,\"the value begins with `0x07`, not with the wire format's `0x00`\",{key},07\r\n"
            );
            assert!(line.starts_with(&format!("{offset},")) && line.ends_with(&ending), "{line}");
        }
    }
    assert!(files(directory, ".open").is_empty());
}

#[test]
fn segments_hold_their_offsets_and_empty_ones_leave_no_file() {
    let place = TempDir::new().unwrap();
    let log = Scripted::new(rich());
    let summary = csv_to_end(log.clone(), &options(place.path())).unwrap();
    assert!(summary.reached_end);
    assert_eq!((summary.rows, summary.rejects), (23 + 25, 5));
    assert_eq!(
        names(place.path(), ".csv"),
        [
            "invoices-0-000-010.csv",
            "invoices-0-010-020.csv",
            "invoices-0-020-030.csv",
            "invoices-0-040-050.csv",
            "invoices-0-050-060.csv",
            "invoices-0-060-066.csv",
            "invoices-1-000-010.csv",
            "invoices-1-010-020.csv",
            "invoices-1-020-025.csv",
            "rejects/invoices-0-000-010-rejects.csv",
            "rejects/invoices-0-010-020-rejects.csv",
            "rejects/invoices-0-040-050-rejects.csv",
            "rejects/invoices-0-060-066-rejects.csv",
        ]
    );
    assert_exact(place.path(), &rich());
    assert_eq!(*log.published.borrow(), summary.positions);
}

#[test]
fn a_segment_finishes_when_a_gap_reaches_its_end() {
    let place = TempDir::new().unwrap();
    let mut partition = Partition::default();
    (0..8).for_each(|offset| partition.invoice(offset));
    partition.high = 34; // two markers, and many more
    let log = Scripted::new(vec![partition]);
    let stop = log.published_at(34);
    let summary = block_on(run(log.clone(), &live(place.path()), stop)).unwrap();
    assert!(!summary.reached_end);
    assert_eq!(names(place.path(), ".csv"), ["invoices-0-000-010.csv"]);
    assert!(files(place.path(), ".open").is_empty());
    // No file says so, but a restart need not read the markers again.
    let state: serde_json::Value =
        serde_json::from_slice(&fs::read(place.path().join("sink.json")).unwrap()).unwrap();
    assert_eq!(state["positions"], serde_json::json!([30]));
}

#[test]
fn the_tail_is_visible_and_cut_back_by_a_restart() {
    let place = TempDir::new().unwrap();
    let mut partition = Partition::default();
    (0..13).for_each(|offset| partition.invoice(offset));
    let log = Scripted::new(vec![partition.clone()]);
    block_on(run(log.clone(), &live(place.path()), log.published_at(13))).unwrap();
    let open = files(place.path(), ".open");
    assert_eq!(open.keys().collect::<Vec<_>>(), ["invoices-0-00000000000000000010.csv.open"]);
    let shown: Vec<_> = (10..13).map(invoice_line).collect();
    assert_eq!(open.into_values().next().unwrap(), format!("{HEADER}{}", shown.concat()));

    (13..23).for_each(|offset| partition.invoice(offset));
    let log = Scripted::new(vec![partition.clone()]);
    csv_to_end(log, &options(place.path())).unwrap();
    assert_exact(place.path(), &[partition]);
}

#[test]
fn what_follows_an_early_end_begins_there() {
    let place = TempDir::new().unwrap();
    let mut partition = Partition::default();
    for end in [4, 7, 7, 12, 30] {
        (partition.high..end).for_each(|offset| partition.invoice(offset));
        csv_to_end(Scripted::new(vec![partition.clone()]), &options(place.path())).unwrap();
        assert_exact(place.path(), std::slice::from_ref(&partition));
    }
    let ranges = ["000-004", "004-007", "007-010", "010-012", "012-020", "020-030"];
    assert_eq!(names(place.path(), ".csv"), ranges.map(|range| format!("invoices-0-{range}.csv")));
}

/// Ends the process at its every operation on a file in turn, and lets `resume` go on.
fn at_every_operation(resume: impl Fn(&Arc<Scripted>, &Path)) {
    let mut count = 0;
    loop {
        let place = TempDir::new().unwrap();
        let log = Scripted::new(rich());
        fault::end_at(count);
        let ended = csv_to_end(log.clone(), &options(place.path()));
        let died = fault::clear();
        assert_eq!(ended.is_err(), died, "operation {count}: {ended:?}");
        let finished = files(place.path(), ".csv");
        resume(&log, place.path());
        let after = files(place.path(), ".csv");
        for (name, text) in finished {
            assert_eq!(after.get(&name), Some(&text), "{name} changed after operation {count}");
        }
        if !died {
            assert!(count > 60, "only {count} operations");
            return;
        }
        count += 1;
    }
}

#[test]
fn an_end_at_any_operation_leaves_no_trace() {
    let straight = TempDir::new().unwrap();
    csv_to_end(Scripted::new(rich()), &options(straight.path())).unwrap();
    at_every_operation(|log, place| {
        csv_to_end(log.clone(), &options(place)).unwrap();
        assert_eq!(files(place, ".csv"), files(straight.path(), ".csv"));
        assert_exact(place, &rich());
    });
}

#[test]
fn an_end_at_any_operation_and_then_another_end_doubles_nothing() {
    at_every_operation(|log, place| {
        // The end that was asked for is forgotten, and the log has grown past the segment that was being finished.
        {
            let mut partitions = log.partitions.lock().unwrap();
            (66..91).for_each(|offset| partitions[0].invoice(offset));
            (25..31).for_each(|offset| partitions[1].invoice(offset));
        }
        block_on(run(log.clone(), &live(place), log.published_at(91))).unwrap();
        csv_to_end(log.clone(), &options(place)).unwrap();
        let partitions = log.partitions.lock().unwrap().clone();
        assert_exact(place, &partitions);
    });
}

#[test]
fn a_killed_and_resumed_until_end_keeps_its_first_end() {
    at_every_operation(|log, place| {
        {
            let mut partitions = log.partitions.lock().unwrap();
            (66..91).for_each(|offset| partitions[0].invoice(offset));
        }
        // Before its end is durable, the resumed run is the first one; once all is done, it is the next.
        let state = fs::read(place.join("sink.json")).unwrap_or_else(|_| b"{}".to_vec());
        let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
        let knows_its_end = !state["until"].is_null();
        csv_to_end(log.clone(), &options(place)).unwrap();
        if knows_its_end {
            assert_exact(place, &rich());
        } else {
            let partitions = log.partitions.lock().unwrap().clone();
            assert_exact(place, &partitions);
        }
    });
}

#[test]
fn nothing_is_written_after_a_failed_write() {
    let place = TempDir::new().unwrap();
    let log = Scripted::new(rich());
    let mut options = options(place.path());
    // One commit, at the start.
    options.settings.commit_interval = Duration::from_secs(3_600);
    fault::end_at(20);
    let error = csv_to_end(log.clone(), &options).unwrap_err();
    assert!(fault::clear());
    assert!(matches!(error, Error::Storage { .. }), "{error}");
    assert_eq!(error.reaction(), Reaction::Stop);
    assert!(error.to_string().contains(place.path().to_str().unwrap()), "{error}");
    assert!(log.published.borrow().values().all(|position| position.0 == 0));
}

#[test]
fn the_state_adds_what_the_files_do_not_say() {
    let place = TempDir::new().unwrap();
    let mut partition = Partition::default();
    (0..23).for_each(|offset| partition.invoice(offset));
    csv_to_end(Scripted::new(vec![partition.clone()]), &options(place.path())).unwrap();
    let state = fs::read_to_string(place.path().join("sink.json")).unwrap();

    // An older state: the files win.
    fs::write(place.path().join("sink.json"), state.replace("23", "0")).unwrap();
    csv_to_end(Scripted::new(vec![partition.clone()]), &options(place.path())).unwrap();
    assert_exact(place.path(), std::slice::from_ref(&partition));

    // Finished files that were moved away, all but the first: the state wins.
    let archive = TempDir::new().unwrap();
    for name in files(place.path(), ".csv").into_keys().skip(1) {
        fs::rename(place.path().join(&name), archive.path().join(&name)).unwrap();
    }
    let summary = csv_to_end(Scripted::new(vec![partition]), &options(place.path())).unwrap();
    assert_eq!(summary.rows, 0);
    assert_eq!(names(place.path(), ".csv"), ["invoices-0-000-010.csv"]);
}

#[test]
fn bad_records_stand_beside_with_their_reasons() {
    let place = TempDir::new().unwrap();
    let mut partition = Partition::default();
    (0..8).for_each(|offset| partition.invoice(offset));
    let mut change =
        |offset: i64, change: &dyn Fn(&mut Record)| change(partition.records.get_mut(&offset).unwrap());
    change(0, &|record| record.key = None);
    change(1, &|record| record.value = None);
    change(2, &|record| record.value.as_mut().unwrap().push(0));
    change(3, &|record| record.value.as_mut().unwrap()[4] = 99);
    change(4, &|record| record.value.as_mut().unwrap().truncate(20));
    change(5, &|record| record.key = Some(b"another".to_vec()));
    change(6, &|record| record.value.as_mut().unwrap().resize(1_000_001, 0));
    let log = Scripted::new(vec![partition]);
    let summary = csv_to_end(log, &options(place.path())).unwrap();
    assert_eq!((summary.rows, summary.rejects), (1, 7));
    let reasons: Vec<String> = content(place.path(), 0, true)
        .iter()
        .map(|line| line.split(',').nth(2).unwrap().to_owned())
        .collect();
    let codes =
        ["null-key", "null-value", "trailing-bytes", "unknown-schema", "undecodable", "rule", "too-large"];
    assert_eq!(reasons, codes);
    assert_eq!(content(place.path(), 0, false), [invoice_line(7)]);
}

#[test]
fn an_invoice_of_the_older_schema_has_no_lines() {
    let place = TempDir::new().unwrap();
    let mut partition = Partition::default();
    partition.invoice(0);
    // The older schema is the newer one without its last field, and invoice 0 has no lines: one byte.
    let mut value = invoice_value(0);
    assert_eq!(value.pop(), Some(0));
    value[4] = 2;
    partition.records.get_mut(&0).unwrap().value = Some(value);
    let log = Scripted::new(vec![partition]);
    csv_to_end(log, &options(place.path())).unwrap();
    assert!(invoice(0).lines.is_empty());
    assert_eq!(content(place.path(), 0, false), [invoice_line(0)]);
}

#[test]
fn passing_faults_are_told_and_change_nothing() {
    let place = TempDir::new().unwrap();
    let log = Scripted::new(rich());
    *log.registry_faults.lock().unwrap() = 2;
    *log.reader_faults.lock().unwrap() = 1;
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut options = options(place.path());
    options.settings.commit_interval = Duration::from_millis(1);
    options.settings.notice = crate::Notice::new({
        let told = told.clone();
        move |line| told.lock().unwrap().push(line.to_owned())
    });
    let log: Arc<dyn Log> = log;
    csv_to_end(log, &options).unwrap();
    let lines = ["sink `files` tries again: out of reach: as the test has it", "sink `files` goes on"];
    assert_eq!(*told.lock().unwrap(), lines);
    assert_exact(place.path(), &rich());
}

/// The rejects among the rows, and a format that says so: what an earlier version would have left.
fn make_old(directory: &Path) {
    for name in files(directory, ".csv").into_keys().filter(|name| name.starts_with("rejects/")) {
        fs::rename(directory.join(&name), directory.join(name.strip_prefix("rejects/").unwrap())).unwrap();
    }
    let state = directory.join("sink.json");
    let old = fs::read_to_string(&state).unwrap().replace("\"format\": 3", "\"format\": 2");
    fs::write(state, old).unwrap();
}

/// Every row and every reject once, wherever the rejects stand.
fn assert_exact_in_either_folder(directory: &Path, partitions: &[Partition]) {
    let mut numbers = Vec::new();
    for text in files(directory, "-rejects.csv").into_values() {
        let lines = text.strip_prefix(REJECT_HEADER).unwrap().lines();
        numbers.extend(lines.map(|line| line.split(',').next().unwrap().parse::<i64>().unwrap()));
    }
    numbers.sort_unstable();
    let bad = |partition: &Partition| -> Vec<i64> {
        let bad = partition.records.iter().filter(|(_, record)| record.value == Some(vec![7]));
        bad.map(|(offset, _)| *offset).collect()
    };
    assert_eq!(numbers, partitions.iter().flat_map(bad).collect::<Vec<_>>());
    for (number, partition) in (0..).zip(partitions) {
        assert_eq!(content(directory, number, false), expected(partition).0);
    }
}

#[test]
fn a_directory_with_rejects_among_the_rows_is_taken_over_as_it_is() {
    let place = TempDir::new().unwrap();
    csv_to_end(Scripted::new(rich()), &options(place.path())).unwrap();
    make_old(place.path());
    let old = files(place.path(), ".csv");
    let mut partitions = rich();
    (66..75).for_each(|offset| partitions[0].invoice(offset));
    let bad = partitions[0].records[&3].clone();
    partitions[0].put(75, bad);
    csv_to_end(Scripted::new(partitions.clone()), &options(place.path())).unwrap();
    let new = files(place.path(), ".csv");
    assert!(old.iter().all(|(name, text)| new.get(name) == Some(text)), "{new:?}");
    let added: Vec<_> = new.keys().filter(|name| !old.contains_key(*name)).collect();
    assert_eq!(added.iter().filter(|name| name.starts_with("rejects/")).count(), 1, "{added:?}");
    assert_exact_in_either_folder(place.path(), &partitions);
    assert!(fs::read_to_string(place.path().join("sink.json")).unwrap().contains("\"format\": 3"));
}

#[test]
fn what_an_earlier_version_was_finishing_ends_where_its_rejects_are() {
    at_every_operation(|log, place| {
        if place.join("sink.json").exists() {
            make_old(place);
            {
                let mut partitions = log.partitions.lock().unwrap();
                (66..91).for_each(|offset| partitions[0].invoice(offset));
            }
            block_on(run(log.clone(), &live(place), log.published_at(91))).unwrap();
        }
        let moved = fs::read_dir(place.join("rejects")).into_iter().flatten().map(|entry| entry.unwrap());
        let moved: Vec<_> = moved.map(|entry| entry.file_name()).collect();
        assert!(moved.iter().all(|name| !place.join(name).exists()), "{moved:?} stand in both folders");
        csv_to_end(log.clone(), &options(place)).unwrap();
        let partitions = log.partitions.lock().unwrap().clone();
        assert_exact_in_either_folder(place, &partitions);
        // Back where this version has them, as the caller saw them.
        for name in files(place, "-rejects.csv").into_keys().filter(|name| !name.contains('/')) {
            fs::create_dir_all(place.join("rejects")).unwrap();
            fs::rename(place.join(&name), place.join("rejects").join(&name)).unwrap();
        }
    });
}

#[test]
fn rejects_in_both_folders_and_a_file_in_place_of_theirs_are_refused() {
    let place = TempDir::new().unwrap();
    csv_to_end(Scripted::new(rich()), &options(place.path())).unwrap();
    let name = "invoices-0-00000000000000000000-00000000000000000010-rejects.csv";
    fs::copy(place.path().join("rejects").join(name), place.path().join(name)).unwrap();
    let refusal = || csv_to_end(Scripted::new(rich()), &options(place.path())).unwrap_err();
    let error = refusal();
    assert!(matches!(error, Error::Refused { .. }) && error.to_string().contains("does not fit"), "{error}");
    fs::remove_dir_all(place.path().join("rejects")).unwrap();
    fs::write(place.path().join("rejects"), "").unwrap();
    let error = refusal();
    assert!(matches!(error, Error::Refused { .. }) && error.to_string().contains("not a folder"), "{error}");
}
