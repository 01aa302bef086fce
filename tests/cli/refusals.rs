//! Every bad input: one clear line and the code of the table.

use std::fs;

use crate::program::{Place, files};

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    let place = Place::new();
    for (line, words) in [
        ("", "a subcommand is missing"),
        ("frobnicate", "frobnicate"),
        ("process", "a subcommand is missing"),
        ("process totals --sise 5s", "a similar argument exists: '--size'"),
        ("process totals --size 5", "`5` is no duration"),
        ("process totals --size -5s", "`-5s` is below zero"),
        ("process totals --size 1.5s", "`1.5s` is no duration"),
        ("process totals --emit sometimes", "`sometimes` is no way to emit"),
        ("process totals --app a/b", "`a/b` is no name"),
        ("process totals --instance-id a.b", "`a.b` is no instance id"),
        ("process totals --max-errors many", "`many` is no share of records"),
        ("process totals --workers 0", "--workers"),
        ("process totals --until-end --idle-close 5s", "cannot be used with"),
        ("simulate invoices --late 5e-2", "`5e-2`"),
        ("simulate invoices --unpaced", "--rate"),
        ("simulate invoices --start 2024-01-01", "--start"),
        ("replay invoices", "--from"),
        ("sink sqlite --out d", "--topic"),
        ("batch discount --date 2010-13-01 --from f", "`2010-13-01` is no date"),
        ("batch discount --date 2010-12-01 --zone Mars --from f", "`Mars` is no time zone"),
        ("batch discount --date 2010-12-01 --percent half --from f", "`half` is no percentage"),
        ("topics tail t --from begin", "`begin` is no place to begin"),
        ("topics tail t --follow --until-end", "cannot be used with"),
        ("schemas", "a subcommand is missing"),
        ("schemas check nope", "'nope'"),
        ("reset", "--app"),
    ] {
        place.fails(line, 2, words);
    }
    assert!(files(&place.path("")).is_empty(), "nothing was made");
}

#[test]
fn what_can_be_read_and_makes_no_sense_has_a_code_of_its_own() {
    let place = Place::new();
    for (line, words) in [
        ("process totals --size 0s", "window size `0 ms` is not positive"),
        ("process totals --advance 0s", "window advance `0 ms`"),
        ("process totals --size 5s --advance 6s", "window advance `6000 ms`"),
        ("process totals --size 30d --advance 1ms", "`2592000000 ms` by advance `1 ms`"),
        ("process totals --commit-interval 0s", "--commit-interval"),
        ("process totals --session-timeout 50ms", "--session-timeout"),
        ("process totals --idle-close 0s", "--idle-close"),
        ("process totals --max-errors 5/5", "--max-errors"),
        ("process totals --max-errors 1/10001", "--max-errors"),
        ("simulate invoices --rate 0", "`rate`"),
        // Milliseconds, so soon after 1970 that no registration fits before it.
        ("simulate invoices --start 2024", "`start`"),
        ("simulate invoices --late 60% --duplicates 60%", "at most 100 %"),
        ("simulate invoices --late 150%", "at most 100 %"),
        ("simulate radars --keys 0", "`0`"),
        ("sink csv --topic invoices --out d --segment-records 0", "--segment-records"),
        ("batch discount --date 2010-12-01 --percent 130 --from f", "--percent cannot be `130`"),
        ("batch discount --date 2010-12-01 --percent -5 --from f", "--percent cannot be `-5`"),
    ] {
        place.fails(line, 7, words);
    }
    assert!(files(&place.path("")).is_empty(), "nothing was made");
}

#[test]
fn what_is_not_there_is_named() {
    let place = Place::new();
    for line in [
        "topics list",
        "topics tail invoices",
        "topics describe invoices",
        "groups",
        "schemas check",
        "schemas register",
        "schemas list",
        "reset --app totals --yes",
        // A mistyped directory is no reason for a new log.
        "process totals --until-end",
        "process speeding",
        "sink csv --topic invoices --out csv --until-end",
        "sink sqlite --topic invoices --out read.sqlite3",
    ] {
        place.fails(line, 5, "there is no log in `./tidegate-data`");
    }
    place.fails("replay invoices --from nowhere.csv", 5, "`nowhere.csv`");
    place.fails("replay radars --from nowhere.txt", 5, "`nowhere.txt`");
    place.fails("process speeding --schedule nowhere.toml", 5, "`nowhere.toml`");
    place.fails(
        "batch discount --date 2010-12-01 --from nowhere.sqlite3",
        5,
        "there is no read store at `nowhere.sqlite3`",
    );
    assert!(files(&place.path("")).is_empty(), "nothing was made");

    place.done("simulate invoices --count 10");
    place.fails("topics tail invoyces", 5, "topic `invoyces` does not exist");
    place.fails("topics describe invoyces", 5, "topic `invoyces` does not exist");
    place.fails("sink csv --topic invoyces --out d", 5, "topic `invoyces` does not exist");
    place.fails("topics tail invoices -p 4", 5, "there is no `4`");
    place.fails("groups nobody", 5, "there is no group `nobody`");
    place.fails("reset --app nobody --yes", 5, "there is no application `nobody`");
}

/// Root may do what it likes with modes, so these are places that nobody can use as what they are asked to be.
#[test]
fn a_place_that_cannot_be_used_is_named() {
    let place = Place::new();
    place.write("file", "I am a file");
    fs::create_dir(place.path("directory")).unwrap();
    place.fails("--data file topics list", 6, "`file`");
    place.fails("--data file simulate invoices --count 1", 6, "`file`");
    place.fails("--data file/below simulate invoices --count 1", 6, "`file/below`");
    place.fails("replay invoices --from directory", 6, "`directory`");
    place.fails("process speeding --schedule directory", 6, "`directory`");
    place.done("simulate invoices --count 10");
    place.fails("sink csv --topic invoices --out file --until-end", 6, "`file`");
    place.fails("sink csv --topic invoices --out file/below --until-end", 6, "file/below");
    place.done("sink sqlite --topic invoices --out read.sqlite3 --until-end");
    place.fails("batch discount --date 2024-01-01 --from read.sqlite3 --out file/below", 6, "file/below");
    place.fails("batch discount --date 2024-01-01 --from read.sqlite3 --csv directory", 6, "directory");
    place.fails(
        "batch discount --date 2024-01-01 --from file/below",
        6,
        "cannot open the read store `file/below`",
    );
}

#[test]
fn an_input_file_that_does_not_hold_what_it_should_is_named_with_its_line() {
    let place = Place::new();
    place.write("no.csv", "a,b\n1,2\n");
    place.fails("replay invoices --from no.csv", 3, "`no.csv`");
    place.write("no.txt", "24.10.16 08:37:29;00;fast;01;0\n");
    place.fails("replay radars --from no.txt", 3, "`no.txt` line 1");
    place.write("no.toml", "name = 5");
    place.fails("process speeding --schedule no.toml", 3, "`no.toml`, line 1");
    let built_in = concat!(env!("CARGO_MANIFEST_DIR"), "/processors/schedules/france.toml");
    let schedule = fs::read_to_string(built_in).unwrap();
    let first = schedule.find("[[period.bracket]]").unwrap();
    let bracket =
        schedule[first..].lines().take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    place.write("twice.toml", &format!("{}{bracket}\n\n{}", &schedule[..first], &schedule[first..]));
    place.fails("process speeding --schedule twice.toml", 3, "overlap");
    assert!(!place.path("tidegate-data").exists(), "the file is read before anything is made");
}

#[test]
fn what_contradicts_what_is_kept_is_refused_with_the_remedy() {
    let place = Place::with_totals();
    place.fails("process totals --size 10s", 4, "`tidegate reset --app totals`");
    place.fails("simulate invoices --count 5", 4, "`tidegate reset --app simulate-invoices`");
    place.done("sink csv --topic invoices --out csv --until-end");
    place.fails("sink csv --topic invoices --out csv --name other", 4, "csv");
    place.fails("sink csv --topic customer-totals --out csv", 4, "csv");
}

#[test]
fn a_foreign_database_is_refused_untouched() {
    let place = Place::with_invoices();
    place.done("sink sqlite --topic invoices --out read.sqlite3 --until-end");
    fs::create_dir(place.path("theirs")).unwrap();
    for name in ["theirs/log.sqlite3", "theirs.sqlite3"] {
        let database = rusqlite::Connection::open(place.path(name)).unwrap();
        database
            .execute_batch("CREATE TABLE precious (thing TEXT); INSERT INTO precious VALUES ('one')")
            .unwrap();
    }
    let before = fs::read(place.path("theirs.sqlite3")).unwrap();
    place.fails("--data theirs topics list", 4, "was not made by tidegate");
    place.fails("--data theirs process totals", 4, "was not made by tidegate");
    place.fails("sink sqlite --topic invoices --out theirs.sqlite3 --until-end", 4, "theirs.sqlite3");
    place.fails("batch discount --date 2024-01-01 --from theirs.sqlite3", 3, "theirs.sqlite3");
    place.fails(
        "batch discount --date 2024-01-01 --from read.sqlite3 --out theirs.sqlite3",
        4,
        "theirs.sqlite3",
    );
    place.write("theirs.txt", &"no database at all\n".repeat(100));
    place.fails("sink sqlite --topic invoices --out theirs.txt --until-end", 4, "theirs.txt");
    assert_eq!(fs::read(place.path("theirs.sqlite3")).unwrap(), before);
}
