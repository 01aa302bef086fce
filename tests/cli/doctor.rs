//! `doctor`: a line per check and a code, on the embedded log and on a cluster that is away.

use crate::program::{Ended, Place};

/// The doctor's lines that do not begin with `ok`.
fn faults(ended: &Ended) -> Vec<&str> {
    ended.out.lines().filter(|line| !line.starts_with("ok    ")).collect()
}

#[test]
fn a_log_that_is_not_there_yet_is_no_fault_and_is_not_made() {
    let place = Place::new();
    let ended = place.done("doctor");
    assert!(
        ended.out.starts_with("ok    directory ./tidegate-data: not there, and can be made in `"),
        "{ended:?}"
    );
    assert_eq!(
        faults(&ended),
        [
            "warn  log: there is none yet; name its directory with --data, or create one with `tidegate simulate` or `replay`"
        ]
    );
    assert!(!place.path("tidegate-data").exists());
    std::fs::create_dir(place.path("tidegate-data")).unwrap();
    std::fs::write(place.path("tidegate-data/log.sqlite3"), "").unwrap();
    place.done("doctor");
    let inside: Vec<_> = std::fs::read_dir(place.path("tidegate-data")).unwrap().collect();
    assert_eq!((inside.len(), inside[0].as_ref().unwrap().metadata().unwrap().len()), (1, 0));
}

#[test]
fn a_sound_log_is_told_line_by_line_in_either_form() {
    let place = Place::with_totals();
    // Only the topics of billing are there: the other processor has not been used.
    let text = place.done("doctor");
    assert_eq!(faults(&text), ["skip  inputs of process speeding: not all of them are there"]);
    place.done("simulate radars --count 10");
    let text = place.done("doctor");
    assert_eq!(faults(&text), Vec::<&str>::new());
    for line in [
        "ok    application totals: 4 tasks, reads invoices",
        "ok    inputs of process speeding: `vehicles` has 4, `readings` has 4 partitions",
    ] {
        assert!(text.out.lines().any(|found| found == line), "{line}: {text:?}");
    }
    let json = place.done("doctor --format json").json();
    assert_eq!(json.len(), text.out.lines().count(), "one line each");
    for (line, text) in json.iter().zip(text.out.lines()) {
        assert_eq!(line["level"], "ok");
        assert_eq!(line["remedy"], serde_json::Value::Null);
        let what = line["what"].as_str().unwrap();
        assert!(text.starts_with(&format!("ok    {what}: ")), "{line} {text}");
    }
    let named = place.done("doctor --app totals nobody");
    assert_eq!(
        faults(&named),
        [
            "warn  application nobody: it has not run here; `tidegate process … --app nobody` makes its topics, if this user may"
        ]
    );
}

#[test]
fn what_is_no_log_of_ours_is_told_by_a_line_and_a_code() {
    let place = Place::new();
    place.write("a-file", "x");
    let ended = place.run("--data a-file doctor");
    assert_eq!((ended.code, ended.err.as_str()), (Some(9), ""));
    assert_eq!(
        ended.out,
        "FAIL  directory a-file: it is a file; name a directory with --data\nskip  log: what stands above keeps it from being opened\n"
    );

    place.done("simulate invoices --count 5");
    let file = rusqlite::Connection::open(place.path("tidegate-data/log.sqlite3")).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    file.close().unwrap();
    let newer = place.run("doctor");
    assert_eq!(newer.code, Some(9));
    assert_eq!(faults(&newer).len(), 1, "{newer:?}");
    assert!(faults(&newer)[0].contains("has format version 99"), "{newer:?}");
}

#[test]
fn a_cluster_that_is_away_is_told_with_the_reason() {
    let place = Place::new();
    let ended =
        place.run("doctor -b 127.0.0.1:1,no-such-host.invalid:9092 --registry http://127.0.0.1:1 --probe");
    assert_eq!((ended.code, ended.err.as_str()), (Some(9), ""));
    let whats: Vec<&str> = ended.out.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(
        whats,
        [
            "FAIL  address 127.0.0.1:1",
            "FAIL  address no-such-host.invalid:9092",
            "skip  settings",
            "skip  topics",
            "skip  applications",
            "FAIL  registry http://127.0.0.1:1",
            "skip  schemas",
            "skip  probe",
            "skip  clock of the broker",
        ]
    );
    for words in ["Connection refused; start the broker", "Failed to resolve 'no-such-host.invalid:9092'"] {
        assert!(ended.out.contains(words), "{words}: {ended:?}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_looked_at() {
    let place = Place::new();
    place.fails("doctor --probe", 2, "`--probe` is for Kafka");
    place.fails("doctor --transaction-timeout 3s", 2, "is for Kafka");
    place.fails(
        "doctor -b 127.0.0.1:1 --session-timeout 4s --transaction-timeout 5s",
        7,
        "--transaction-timeout",
    );
}
