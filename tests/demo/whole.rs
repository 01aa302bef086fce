//! A whole run: it adds up, leaves what it says, and the commands it recommends work.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::run::{demo, ended, tidegate};

#[test]
fn a_run_ends_by_itself_and_adds_up() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("demo");
    let run = demo(&data, &[]);
    assert_eq!(run.code, 0, "{}\n{}", run.stdout, run.stderr);
    assert!(!run.stdout.contains("MISMATCH") && !run.stdout.contains('\x1b'), "{}", run.stdout);
    assert!(run.stdout.lines().filter(|line| line.starts_with("ok ")).count() >= 15, "{}", run.stdout);
    // Unfolded: where a line is broken depends on its numbers.
    let words: Vec<&str> = run.stdout.split_whitespace().collect();
    let text = words.join(" ");
    for part in [
        "readings = ",
        " judged + ",
        " under the limit + ",
        " held + ",
        " duplicate + ",
        " late + ",
        " dead-lettered",
    ] {
        assert!(text.contains(part), "`{part}` is missing in {}", run.stdout);
    }
    // Each fate occurs: a check of nothing but zeros would say nothing.
    let sum = text.split("readings = ").nth(1).unwrap().split(" ok ").next().unwrap();
    let numbers: Vec<u64> = sum.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(numbers.len() == 6 && numbers.iter().all(|number| *number > 0), "{sum}");
    assert!(run.stderr.lines().any(|line| line.starts_with("demo: live: ")), "{}", run.stderr);
    assert_eq!(fs::read_to_string(data.join("summary.txt")).unwrap(), run.stdout);
    holds_what_it_says(&data);
    the_recommended_commands_work(&run.stdout);
}

fn holds_what_it_says(data: &Path) {
    for topic in ["infractions", "invoices", "customer-totals"] {
        let names =
            fs::read_dir(data.join("csv").join(topic)).unwrap().map(|entry| entry.unwrap().file_name());
        let names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        assert!(names.iter().any(|name| name.ends_with(".csv")), "{topic}: {names:?}");
        assert!(!names.iter().any(|name| name.ends_with(".open")), "{topic}: {names:?}");
    }
    for file in ["log.sqlite3", "read-store.sqlite3", "discounts.sqlite3", "csv/discounts.csv"] {
        assert!(data.join(file).is_file(), "{file}");
    }
    let store = rusqlite::Connection::open(data.join("read-store.sqlite3")).unwrap();
    let named = "SELECT count(*) FROM infractions_with_owners WHERE owner_name IS NOT NULL";
    let named: i64 = store.query_row(named, [], |row| row.get(0)).unwrap();
    assert!(named > 0, "no infraction has an owner with a name");
}

/// As they stand in the summary, through a shell; `sqlite3` need not be installed, so its question is asked here.
fn the_recommended_commands_work(summary: &str) {
    let commands = summary.split("What to try next\n").nth(1).unwrap().replace("\\\n", " ");
    let commands: Vec<&str> = commands.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(commands.len(), 3, "{summary}");
    let quoted: Vec<&str> = commands[0].split('"').collect();
    let store = quoted[0].trim().split(' ').next_back().unwrap();
    let store = rusqlite::Connection::open(store).unwrap();
    let rows = store
        .prepare(quoted[1])
        .unwrap()
        .query_map([], |row| row.get::<_, String>("owner_name"))
        .unwrap()
        .count();
    assert_eq!(rows, 5);
    for command in &commands[1..] {
        let run = ended(Command::new("sh").args(["-c", command]).output().unwrap());
        assert_eq!(run.code, 0, "{command}: {}", run.stderr);
        assert!(run.stdout.contains(command.split(' ').nth(3).unwrap()), "{command}: {}", run.stdout);
    }
}

#[test]
fn the_same_seed_gives_the_same_summary_and_another_one_another() {
    let root = tempfile::tempdir().unwrap();
    let run = |name: &str, seed: &str| {
        let data = root.path().join(name);
        let run = demo(&data, &["--seed", seed]);
        assert_eq!(run.code, 0, "{}", run.stdout);
        // The first line names the seed itself.
        run.stdout
            .lines()
            .skip(1)
            .take_while(|line| !line.starts_with("Where"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (first, again, other) = (run("a", "7"), run("b", "7"), run("c", "8"));
    assert_eq!(first, again);
    assert_ne!(first, other);
}

#[test]
fn its_own_directory_is_the_default() {
    let root = tempfile::tempdir().unwrap();
    let mut command = tidegate(&["demo", "--seconds", "1"]);
    let run = ended(command.current_dir(root.path()).output().unwrap());
    assert_eq!(run.code, 0, "{}\n{}", run.stdout, run.stderr);
    assert!(root.path().join("tidegate-demo/summary.txt").is_file());
    assert!(!root.path().join("tidegate-data").exists());
}
