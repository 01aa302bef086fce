//! Every flag of the whole command tree by its variable and by the file, and what wins.

use std::collections::HashMap;

use clap::CommandFactory as _;

use super::*;
use crate::cli::Cli;

/// Values of every kind a flag takes; each is tried until one is taken.
const VALUES: [&str; 14] = [
    "127.0.0.1:9000",
    "1",
    "5s",
    "name",
    "2024-01-01T00:00:00Z",
    "5%",
    "1/10",
    "text",
    "mermaid",
    "json",
    "invoices",
    "updates",
    "scram-sha-256",
    "classic",
];

/// Every command that can be run, by its path.
fn leaves(command: &Command, path: &[String]) -> Vec<(Vec<String>, Command)> {
    let below: Vec<_> = flags::below(command).collect();
    if below.is_empty() {
        return vec![(path.to_vec(), command.clone())];
    }
    let longer = |below: &Command| [path, &[below.get_name().to_owned()]].concat();
    below.into_iter().flat_map(|below| leaves(below, &longer(below))).collect()
}

fn built() -> Command {
    let mut root = Cli::command();
    root.build();
    root
}

fn completed(words: &[&str], variables: &[(&str, &str)]) -> Result<Completed> {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    let arguments = std::iter::once("tidegate").chain(words.iter().copied()).map(OsString::from).collect();
    complete(Cli::command(), arguments, &|name| variables.get(name).map(OsString::from))
}

/// What clap makes of it, whatever else may be missing.
fn parsed(completed: &Completed) -> ArgMatches {
    let matches = Cli::command().ignore_errors(true).get_matches_from(&completed.arguments);
    innermost(&matches).1.clone()
}

/// The flag's values as they reach the command; a switch that is on has none.
fn reached(completed: &Completed, arg: &Arg, long: &str) -> Option<Vec<String>> {
    if long == PROPERTY {
        let properties = completed.given.properties.iter();
        return Some(properties.map(|(name, value, _)| format!("{name}={}", value.expose())).collect());
    }
    let matches = parsed(completed);
    let id = arg.get_id().as_str();
    if matches.value_source(id) != Some(ValueSource::CommandLine) {
        return None;
    }
    let values = matches.get_raw(id).map(|values| values.map(|value| value.to_string_lossy().into_owned()));
    Some(if is_switch(arg) { Vec::new() } else { values.into_iter().flatten().collect() })
}

/// A value this flag takes, as it is typed and as it reaches the command.
fn sample(words: &[&str], arg: &Arg, long: &str) -> (String, Vec<String>) {
    if is_switch(arg) {
        return ("true".to_owned(), Vec::new());
    }
    if long == PROPERTY {
        return ("linger.ms=5".to_owned(), vec!["linger.ms=5".to_owned()]);
    }
    let taken = |value: &&str| {
        let flag = format!("--{long}={value}");
        let arguments = [&["tidegate"], words, &[&flag]].concat();
        let completed = Completed {
            arguments: arguments.into_iter().map(OsString::from).collect(),
            ..Completed::default()
        };
        reached(&completed, arg, long).is_some_and(|values| values == [*value])
    };
    let value = VALUES.iter().find(|value| taken(value));
    let value = value.unwrap_or_else(|| panic!("no value is known for `--{long}` of {words:?}"));
    ((*value).to_owned(), vec![(*value).to_owned()])
}

/// The promise of this module, for every flag there is and every one to come.
#[test]
fn every_flag_comes_from_a_variable_and_from_the_file() {
    let root = built();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tidegate.toml");
    let config = format!("--config={}", file.display());
    let mut seen = 0;
    for (path, command) in leaves(&root, &[]) {
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        let has_cluster = !WITHOUT_A_CLUSTER.contains(&words[0]);
        for (arg, long) in flags::of(&command).filter(|(arg, _)| has_cluster || !flags::is_about_kafka(arg)) {
            let (value, wanted) = sample(&words, arg, long);
            let by_variable = completed(&words, &[(&flags::variable(long), &value)]).unwrap();
            assert_eq!(
                reached(&by_variable, arg, long),
                Some(wanted.clone()),
                "{words:?} --{long} by its variable"
            );
            let written = if is_switch(arg) { value } else { format!("'{value}'") };
            for table in flags::tables(&path, &root, arg) {
                let header = if table.is_empty() { String::new() } else { format!("[{table}]\n") };
                std::fs::write(&file, format!("{header}{long} = {written}\n")).unwrap();
                let by_file = completed(&[&words[..], &[&config]].concat(), &[]).unwrap();
                assert_eq!(
                    reached(&by_file, arg, long),
                    Some(wanted.clone()),
                    "{words:?} --{long} in `[{table}]`"
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 200, "only {seen} flags were seen");
}

#[test]
fn no_two_flags_of_a_command_share_a_variable_and_none_reads_its_own() {
    for (path, command) in leaves(&built(), &[]) {
        let mut variables: Vec<String> = flags::of(&command).map(|(_, long)| flags::variable(long)).collect();
        variables.extend(file::PASSWORDS.map(flags::variable));
        variables.sort();
        let all = variables.len();
        variables.dedup();
        assert_eq!(variables.len(), all, "{path:?}");
        let own = flags::of(&command).find(|(arg, _)| arg.get_env().is_some());
        assert!(own.is_none(), "{path:?}: {own:?} has its variable already, by the rule");
    }
}

/// What wins, for every pair of places.
#[test]
fn a_flag_wins_over_its_variable_that_over_the_file_that_over_the_default() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tidegate.toml");
    let config = format!("--config={}", file.display());
    let size = |typed: Option<&str>, variable: Option<&str>, in_file: &str| {
        std::fs::write(&file, in_file).unwrap();
        let typed = typed.map(|value| format!("--size={value}"));
        let words: Vec<&str> = ["process", "totals", &config].into_iter().chain(typed.as_deref()).collect();
        let variables: Vec<_> = variable.map(|value| ("TIDEGATE_SIZE", value)).into_iter().collect();
        let completed = completed(&words, &variables).unwrap();
        parsed(&completed).get_raw("size").unwrap().next().unwrap().to_str().unwrap().to_owned()
    };
    let (both, general) = ("[process]\nsize = '4s'\n[process.totals]\nsize = '3s'", "[process]\nsize = '4s'");
    assert_eq!(size(Some("1s"), Some("2s"), both), "1s");
    assert_eq!(size(Some("1s"), None, both), "1s");
    assert_eq!(size(Some("1s"), Some("2s"), ""), "1s");
    assert_eq!(size(None, Some("2s"), both), "2s");
    assert_eq!(size(None, None, both), "3s");
    assert_eq!(size(None, None, general), "4s");
    assert_eq!(size(None, None, ""), "5s");
    assert_eq!(size(None, Some(""), general), "4s", "an empty variable is not set");
}

#[test]
fn a_switch_that_a_variable_takes_back_is_off() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tidegate.toml");
    std::fs::write(&file, "[process]\nuntil-end = true").unwrap();
    let config = format!("--config={}", file.display());
    let words = ["process", "totals", config.as_str()];
    let is_on =
        |variables: &[(&str, &str)]| parsed(&completed(&words, variables).unwrap()).get_flag("until_end");
    assert!(is_on(&[]));
    assert!(is_on(&[("TIDEGATE_UNTIL_END", "yes")]));
    assert!(!is_on(&[("TIDEGATE_UNTIL_END", "0")]));
    assert!(completed(&words, &[("TIDEGATE_UNTIL_END", "perhaps")]).is_err());
}

#[test]
fn several_values_stand_in_a_list_or_behind_commas() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tidegate.toml");
    std::fs::write(&file, "kafka.brokers = ['one:1', 'two:2']\nsink.topic = ['invoices', 'owners']").unwrap();
    let config = format!("--config={}", file.display());
    let of = |completed: &Completed, id: &str| -> Vec<String> {
        parsed(completed).get_raw(id).unwrap().map(|value| value.to_str().unwrap().to_owned()).collect()
    };
    let by_file = completed(&["sink", "sqlite", &config], &[]).unwrap();
    assert_eq!(of(&by_file, "topic"), ["invoices", "owners"]);
    assert_eq!(of(&by_file, "brokers"), ["one:1,two:2"]);
    let by_variable =
        completed(&["sink", "sqlite", &config], &[("TIDEGATE_TOPIC", "radars, owners")]).unwrap();
    assert_eq!(of(&by_variable, "topic"), ["radars", "owners"]);
    let typed = completed(&["sink", "sqlite", &config, "--topic", "readings", "--", "x"], &[]).unwrap();
    assert_eq!(of(&typed, "topic"), ["readings"]);
    assert_eq!(typed.arguments.last().unwrap(), "x", "what is added stands before the end of the flags");
}

#[test]
fn what_is_said_of_a_cluster_is_not_meant_for_commands_without_one() {
    for words in [&["demo"][..], &["batch", "discount"]] {
        let completed =
            completed(words, &[("TIDEGATE_BROKERS", "one:9092"), ("TIDEGATE_PASSWORD", "p")]).unwrap();
        assert_eq!(completed.arguments.len(), words.len() + 1, "{words:?}");
        assert!(completed.given.passwords.is_empty());
    }
}

#[test]
fn an_error_says_where_the_value_comes_from_and_nothing_is_said_of_others() {
    let variables = [("TIDEGATE_SIZE", "x"), ("TIDEGATE_GRACE", "1s")];
    let given = completed(&["process", "totals"], &variables).unwrap().given;
    let said = given.explain("invalid value 'x' for '--size <DURATION>'");
    assert_eq!(
        said,
        "invalid value 'x' for '--size <DURATION>'; `--size` comes from the variable `TIDEGATE_SIZE`"
    );
    assert_eq!(given.explain("what is '--size-of'"), "what is '--size-of'");
}
