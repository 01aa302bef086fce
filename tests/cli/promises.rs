//! What the README, the pages in `docs` and `--help` say is so.

use crate::program::Place;

fn page(name: &str) -> String {
    std::fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
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
fn the_page_of_exit_codes_lists_what_help_lists() {
    let help = Place::new().done("--help").out;
    let table = help.split("Exit codes:\n").nth(1).unwrap();
    let codes: Vec<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .filter(|word| word.parse::<u8>().is_ok())
        .collect();
    assert_eq!(codes, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "130", "143"]);
    let page = page("docs/exit-codes.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let listed: Vec<&str> = rows.filter(|code| code.parse::<u8>().is_ok()).collect();
    assert_eq!(listed, codes);
}

/// Every command line in the README is one the program can read: `--help` behind it shows so without running it.
#[test]
fn every_command_in_the_readme_can_be_read() {
    let place = Place::new();
    let readme = page("README.md");
    let lines: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("$ tidegate ")).collect();
    assert!(lines.len() >= 10, "the tour is missing");
    for line in lines {
        let line = line.split(['|', '#']).next().unwrap();
        place.done(&format!("{line} --help"));
    }
}

/// The rows of the tables of flags: `| flags | commands | meaning |`, where `all` are these commands.
#[test]
fn every_flag_in_the_docs_is_one_of_its_commands() {
    let place = Place::new();
    let commands = |named: &str| -> Vec<&str> {
        match named {
            "everywhere" => vec!["process totals", "topics list"],
            "process" => vec!["process totals", "process speeding"],
            "simulate" => vec!["simulate radars", "simulate invoices"],
            "replay" => vec!["replay radars", "replay invoices"],
            "sink" => vec!["sink csv", "sink sqlite"],
            "tail" => vec!["topics tail"],
            "process totals" => vec!["process totals"],
            "process speeding" => vec!["process speeding"],
            "replay radars" => vec!["replay radars"],
            "topics tail" => vec!["topics tail"],
            other => panic!("`{other}` is no command of the table"),
        }
    };
    let mut checked = 0;
    for line in page("docs/commands.md").lines().filter(|line| line.starts_with("| `-")) {
        let line = line.replace("\\|", "/");
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        for command in cells[2].split(", ").flat_map(commands) {
            let help = place.done(&format!("{command} --help")).out;
            for flag in cells[1].split('`').filter(|part| part.starts_with('-')) {
                let flag = flag.split([' ', '=']).next().unwrap();
                let found = help.lines().any(|line| line.split([' ', ',']).any(|word| word == flag));
                assert!(found, "`{command}` has no `{flag}`");
                checked += 1;
            }
        }
    }
    assert!(checked > 30, "only {checked} flags were found in the table");
}

#[test]
fn the_page_of_topics_lists_the_table_of_topics() {
    let page = page("docs/topics.md");
    for topic in tidegate_schemas::TOPICS {
        let code =
            |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let row = format!(
            "| `{}` | `{}` | {} | {} | {} |",
            topic.name,
            topic.key_field,
            topic.partitions,
            code(topic.writers),
            code(topic.readers)
        );
        assert!(page.contains(&row), "docs/topics.md has no row `{row}`");
    }
}
