//! `replay` of files that hold bad lines, and what control characters of any input do on a terminal: nothing.

use std::fs;

use crate::program::Place;

const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country";

/// Seven invoices; the sixth has no number for a quantity.
fn seven(quantity: &str) -> String {
    let line = |number: u32, quantity: &str| {
        format!("{number},85123A,X,{quantity},2010-12-01 08:26:00,2.55,17850.0,United Kingdom\r\n")
    };
    let lines: String =
        (1..=7).map(|number| line(number, if number == 6 { quantity } else { "6" })).collect();
    format!("{HEADER}\r\n{lines}")
}

#[test]
fn a_file_with_a_bad_line_writes_nothing_and_can_be_corrected() {
    let place = Place::new();
    place.write("a.csv", &seven("six"));
    place.fails(
        "replay invoices --from a.csv",
        3,
        "`a.csv` line 7: Quantity is `six`; expected a whole number",
    );
    assert!(!place.path("tidegate-data").exists(), "not even a log was made");
    place.write("a.csv", &seven("6"));
    let made = place.done("replay invoices --from a.csv");
    assert!(made.err.contains("created a new log in `./tidegate-data`"), "{}", made.err);
    assert_eq!(place.records("invoices"), 7);
    let again = place.done("replay invoices --from a.csv");
    assert!(!again.err.contains("created"), "{}", again.err);
    assert_eq!(place.records("invoices"), 7, "once");
    place.write("b.csv", &seven("7"));
    place.fails("replay invoices --from b.csv", 4, "reset --app replay-invoices");
}

#[test]
fn bad_lines_go_to_a_file_of_their_own() {
    let place = Place::new();
    place.write("a.csv", &seven("six"));
    let line = "replay invoices --from a.csv --skip-bad bad.csv";
    let made = place.done(line);
    assert!(made.err.contains("1 lines are left out; they are in `bad.csv`"), "{}", made.err);
    assert_eq!(place.records("invoices"), 6);
    let bad = "line,reason,text\n7,Quantity is `six`; expected a whole number,\
               \"6,85123A,X,six,2010-12-01 08:26:00,2.55,17850.0,United Kingdom\"\n";
    assert_eq!(fs::read_to_string(place.path("bad.csv")).unwrap(), bad);
    place.done(line);
    assert_eq!(place.records("invoices"), 6, "once");
    assert_eq!(fs::read_to_string(place.path("bad.csv")).unwrap(), bad);
    // Whether lines are left out decides which records there are.
    place.write("a.csv", &seven("6"));
    place.fails(line, 4, "reset --app replay-invoices");
    place.write("mine.csv", "something of mine\n");
    place.fails("replay invoices --from a.csv --skip-bad mine.csv", 4, "`mine.csv` is there already");
    place.fails("replay invoices --from a.csv --skip-bad a.csv", 4, "`a.csv` is there already");
    place.fails("replay invoices --from a.csv --max-line 0", 2, "`0` is no size");
    place.fails("replay invoices --from a.csv --max-line 10", 3, "line 1: the line is");
}

#[test]
fn an_invoice_is_whole_or_left_out() {
    let place = Place::new();
    let line = |number: u32, quantity: &str| format!("{number},s,d,{quantity},2010-12-01 08:26:00,1.0,,X");
    let lines = [line(1, "6"), line(1, "six"), line(1, "7"), line(2, "1")];
    place.write("a.csv", &format!("{HEADER}\n{}\n", lines.join("\n")));
    place.fails("replay invoices --from a.csv", 3, "`a.csv` line 3: Quantity is `six`");
    let command = "replay invoices --from a.csv --skip-bad bad.csv";
    let made = place.done(command);
    assert!(made.err.contains("3 lines are left out; they are in `bad.csv`"), "{}", made.err);
    assert_eq!(place.records("invoices"), 1);
    let expected = format!(
        "line,reason,text\n3,Quantity is `six`; expected a whole number,\"{}\"\n\
         2,invoice is `1`; line 3 of the same invoice is bad,\"{}\"\n\
         4,invoice is `1`; line 3 of the same invoice is bad,\"{}\"\n",
        lines[1], lines[0], lines[2]
    );
    assert_eq!(fs::read_to_string(place.path("bad.csv")).unwrap(), expected);
    place.done(command);
    assert_eq!(place.records("invoices"), 1, "once");
}

#[test]
fn an_invoice_that_no_log_takes_is_found_before_anything_is_written() {
    let place = Place::new();
    let text = "d".repeat(400_000);
    let large = format!("2,s,{text},1,2010-12-01 08:26:00,1.0,,X\n").repeat(3);
    place.write("a.csv", &format!("{HEADER}\n1,s,d,1,2010-12-01 08:26:00,1.0,,X\n{large}"));
    let reason = "`a.csv` line 3: invoice is `2`; at most 1000000 bytes are taken as a value, and 1048000 as a record: split it";
    place.fails("replay invoices --from a.csv", 3, reason);
    assert!(!place.path("tidegate-data").exists(), "not even a log was made");
    let made = place.done("replay invoices --from a.csv --skip-bad bad.csv");
    assert!(made.err.contains("3 lines are left out"), "{}", made.err);
    assert_eq!(place.records("invoices"), 1);
}

#[test]
fn a_refused_file_leaves_no_part_of_a_file_of_bad_lines() {
    let place = Place::new();
    place.write("a.csv", "a,b\n1,2\n");
    place.fails("replay invoices --from a.csv --skip-bad bad.csv", 3, "the header is");
    assert!(!place.path("bad.csv.part").exists() && !place.path("bad.csv").exists());
    place.write("bad.csv.part", "something of mine\n");
    let command = "replay invoices --from a.csv --skip-bad bad.csv";
    place.fails(command, 4, "`bad.csv.part` is there already");
    assert_eq!(fs::read_to_string(place.path("bad.csv.part")).unwrap(), "something of mine\n");
}

#[test]
fn the_street_the_limit_and_the_zone_are_said_and_can_be_changed() {
    let place = Place::new();
    place.write("r.txt", "28.07.21 08:00:29;00;45;0;0\r\n");
    let usual = place.done("replay radars --from r.txt --app usual").err;
    let words =
        "assuming `moers-roemerstrasse` (Römerstraße, Moers), a limit of 30 km/h and times of Europe/Berlin";
    assert!(usual.contains(words), "{usual}");
    assert!(usual.contains("1 readings, 1 of them measured above the limit"), "{usual}");
    let other = place.done("replay radars --from r.txt --app other --radar north --limit 60 --zone UTC").err;
    assert!(other.contains("assuming `north` (north), a limit of 60 km/h and times of UTC"), "{other}");
    assert!(other.contains("1 readings, 0 of them measured above the limit"), "{other}");
    let readings = place.done("topics tail readings --until-end --format json").json();
    let seen: Vec<_> = readings
        .iter()
        .map(|row| (row["value"]["radar_id"].as_str().unwrap(), row["timestamp"].as_i64().unwrap()))
        .collect();
    assert!(seen.contains(&("north", 1_627_459_229_000)), "{seen:?}");
    assert!(seen.contains(&("moers-roemerstrasse", 1_627_452_029_000)), "{seen:?}");
    for (flag, code, words) in [("--limit 0", 7, "`limit` is `0`"), ("--zone Mars", 7, "`zone` is `Mars`")] {
        place.fails(&format!("replay radars --from r.txt --app more {flag}"), code, words);
    }
}

/// Every byte that a terminal acts on, in names and in a file.
const HOSTILE: &str = "\u{1b}]0;pwned\u{7}\u{1b}[31mred\nINJECTED LINE\r\u{9b}2J\u{7f}\u{202e}";

#[test]
fn no_control_character_of_any_input_reaches_a_terminal() {
    let place = Place::with_invoices();
    let log = rusqlite::Connection::open(place.path("tidegate-data/log.sqlite3")).unwrap();
    log.execute("INSERT INTO offsets (group_name, partition, next_offset) VALUES (?1, 1, 1)", [HOSTILE])
        .unwrap();
    log.execute("INSERT INTO versions (subject, version, schema_id) VALUES (?1, 1, 1)", [HOSTILE]).unwrap();
    drop(log);
    place.write(
        "e.csv",
        &format!("{HEADER}\n1,2,3,{},2010-12-01 08:26:00,1.0,1,UK\n", HOSTILE.replace(['\n', '\r'], "")),
    );
    place.write("r.txt", &format!("{}\n", HOSTILE.replace('\n', "")));
    let lines = [
        ("groups", 0),
        ("groups --format json", 0),
        ("schemas list", 0),
        ("schemas list --format json", 0),
        ("replay invoices --from e.csv --app e", 3),
        ("replay radars --from r.txt --app r", 3),
        ("topics tail totals-\u{1b}[31m", 5),
        ("simulate invoices --count 1 --app a\u{1b}[31m", 2),
        ("doctor", 0),
    ];
    for (line, code) in lines {
        let ended = place.run(line);
        assert_eq!(ended.code, Some(code), "{line:?}: {ended:?}");
        for text in [&ended.out, &ended.err] {
            let raw =
                text.chars().find(|c| (c.is_control() && *c != '\n') || matches!(c, '\u{202a}'..='\u{202e}'));
            assert_eq!(raw, None, "{line:?}: {text:?}");
            assert!(!text.lines().any(|line| line.starts_with("INJECTED")), "{line:?}: {text:?}");
        }
    }
    let groups = place.done("groups --format json").json();
    assert!(groups.iter().any(|group| group["group"] == HOSTILE), "JSON says what it is: {groups:?}");
}
