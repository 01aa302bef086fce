//! Commands that only look, by a user who may read the log and not write it.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::time::SystemTime;

use crate::program::{Ended, Place};

/// Modes do not bind root: what it runs for a test of them, nobody does.
const NOBODY: u32 = 65_534;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// The log of `place`, from now on to be read and not to be written.
fn closed(place: &Place) {
    set_mode(&place.path(""), 0o755);
    for name in ["log.sqlite3", "log.sqlite3-wal", "log.sqlite3-shm", "log.lock"] {
        let path = place.path("tidegate-data").join(name);
        if path.exists() {
            set_mode(&path, 0o444);
        }
    }
    set_mode(&place.path("tidegate-data"), 0o555);
}

fn run(place: &Place, line: &str) -> Ended {
    let mut command = place.command(line);
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        command.uid(NOBODY);
    }
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn inside(directory: &Path) -> BTreeMap<String, (u64, SystemTime)> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let found = entries.map(|entry| {
        let metadata = entry.metadata().unwrap();
        (entry.file_name().into_string().unwrap(), (metadata.len(), metadata.modified().unwrap()))
    });
    found.collect()
}

const LOOKS: [&str; 6] = [
    "topics list",
    "topics describe invoices",
    "topics tail invoices",
    "topics tail invoices --until-end",
    "groups",
    "schemas list",
];

#[test]
fn what_only_looks_needs_no_right_to_write() {
    let place = Place::with_totals();
    let expected = LOOKS.map(|line| place.done(line).out);
    let checked = place.run("schemas check");
    closed(&place);
    let before = inside(&place.path("tidegate-data"));
    for (line, expected) in LOOKS.iter().zip(expected) {
        let ended = run(&place, line);
        assert_eq!((ended.code, &ended.out), (Some(0), &expected), "`{line}`: {ended:?}");
    }
    let again = run(&place, "schemas check");
    assert_eq!((again.code, again.out), (checked.code, checked.out));
    // That nothing can run here is a fault, and it looks all the same.
    let doctor = run(&place, "doctor");
    assert_eq!(doctor.code, Some(9), "{doctor:?}");
    for line in ["FAIL  directory ./tidegate-data: this user may not write there", "ok    log: can be read; "]
    {
        let said = |found: &str| found.to_lowercase().starts_with(&line.to_lowercase());
        assert!(doctor.out.lines().any(said), "{line}: {doctor:?}");
    }
    let refused = run(&place, "schemas register");
    assert_eq!(refused.code, Some(6), "{refused:?}");
    assert_eq!(inside(&place.path("tidegate-data")), before);
    set_mode(&place.path("tidegate-data"), 0o755);
}

/// The file alone would lack what was written last.
#[test]
fn a_write_ahead_log_that_cannot_be_shared_is_refused() {
    let place = Place::with_invoices();
    let data = place.path("tidegate-data");
    let open = rusqlite::Connection::open(data.join("log.sqlite3")).unwrap();
    open.execute_batch("CREATE TABLE t (c); DROP TABLE t").unwrap();
    let left = Place::new();
    fs::create_dir(left.path("tidegate-data")).unwrap();
    for name in ["log.sqlite3", "log.sqlite3-wal"] {
        fs::copy(data.join(name), left.path("tidegate-data").join(name)).unwrap();
    }
    closed(&left);
    let before = inside(&left.path("tidegate-data"));
    let ended = run(&left, "topics list");
    assert_eq!(ended.code, Some(6), "{ended:?}");
    assert!(ended.err.contains("has a write-ahead log, which this user may not share"), "{ended:?}");
    assert_eq!(inside(&left.path("tidegate-data")), before);
    // Who may make the file that it is shared by reads all of it.
    set_mode(&left.path("tidegate-data"), 0o777);
    assert_eq!(run(&left, "topics list").out, place.done("topics list").out);
}
