//! What the README and `--help` say is so.

use crate::program::Place;

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap()
}

#[test]
fn every_command_and_its_version_are_shown() {
    let place = Place::new();
    let version = place.done("--version").out;
    assert_eq!(version, format!("tidegate {}\n", env!("CARGO_PKG_VERSION")));
    let help = place.done("--help").out;
    for command in
        ["simulate", "replay", "process", "sink", "batch", "topics", "schemas", "groups", "doctor", "reset"]
    {
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
    }
    for line in [
        "process totals",
        "process speeding",
        "sink csv",
        "sink sqlite",
        "topics tail",
        "schemas check",
        "batch discount",
    ] {
        assert!(
            place.done(&format!("{line} --help")).out.contains(&format!("Usage: tidegate {line}")),
            "{line}"
        );
    }
}

#[test]
fn the_readme_lists_the_exit_codes_that_help_lists() {
    let help = Place::new().done("--help").out;
    let table = help.split("Exit codes:\n").nth(1).unwrap();
    let codes: Vec<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .filter(|word| word.parse::<u8>().is_ok())
        .collect();
    assert_eq!(codes, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "130", "143"]);
    let readme = readme();
    for code in codes {
        assert!(readme.contains(&format!("\n| {code} |")), "the README says nothing of {code}");
    }
}

/// Every command line in the README is one the program can read: `--help` behind it shows so without running it.
#[test]
fn every_command_in_the_readme_can_be_read() {
    let place = Place::new();
    let readme = readme();
    let lines: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("$ tidegate ")).collect();
    assert!(lines.len() >= 10, "the tour is missing");
    for line in lines {
        let line = line.split(['|', '#']).next().unwrap();
        place.done(&format!("{line} --help"));
    }
}
