//! Are the topics as the topologies need them?
//!
//! The dearest trap is retention: Kafka deletes by record time, and ours is event time, so that records dated last year are gone minutes
//! after they were written, and nobody is told.

use std::collections::BTreeMap;

use tidegate_runtime::log::kafka::diagnosis::{Read, Settings, Spread, Unread};
use tidegate_runtime::topology::{SourceKind, Topology};

use super::finding::{Finding, Level, Verdict};
use super::replication::of_copies;
use super::units::{NO_LIMIT, counted, time};

/// What a record may be long: a value of 1 000 000 bytes with its key, its headers and the frame around it. Kafka's default.
pub(super) const NEEDED_BYTES: i64 = 1_048_588;

/// What a topic is to its application: what its loss would mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Written by producers, read by processors.
    Input,
    /// Written by processors.
    Output,
    /// An application's state.
    Changelog,
    /// Put aside for people: dead letters, late records, duplicates. To keep them for some time only can be meant.
    Aside,
}

/// A topic that should be there.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) role: Role,
    /// How many partitions it must have, where that is fixed.
    pub(super) partitions: Option<u32>,
    /// The commands that make it.
    pub(super) makers: String,
}

/// A topic as it is.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) spread: Spread,
    pub(super) settings: Read,
}

/// One topic; `brokers` is their number.
pub(super) fn judge(wanted: &Wanted, found: Option<&Found>, brokers: i64) -> Vec<Finding> {
    let what = format!("topic {}", wanted.name);
    let Some(found) = found else {
        let remedy = format!("{} makes it, if this user may", wanted.makers);
        return vec![Finding::warn(what, "not there", remedy)];
    };
    let mut verdicts = spread(wanted, &found.spread);
    match &found.settings {
        Err(Unread::Denied) => verdicts.push(Verdict::warn(
            "this user may not read its settings",
            format!("let the access rules allow it DescribeConfigs on the topic `{}`", wanted.name),
        )),
        Err(Unread::Failed(reason)) => {
            verdicts.push(Verdict::skip(format!("its settings could not be read: {reason}")));
        }
        Ok(settings) => verdicts.extend(of_settings(wanted.role, settings, &found.spread, brokers)),
    }
    if verdicts.iter().all(|verdict| verdict.level == Level::Ok) {
        let partitions = found.spread.partitions;
        let copies = verdicts.pop().map_or_else(String::new, |verdict| format!(", {}", verdict.found));
        return vec![Finding::ok(
            what,
            format!("{}, kept for ever{copies}", counted(partitions, "partition")),
        )];
    }
    let wrong = verdicts.into_iter().filter(|verdict| verdict.level != Level::Ok);
    wrong.map(|verdict| verdict.about(what.clone())).collect()
}

/// One of the topics brokers make for themselves: only its copies are of interest.
pub(super) fn internal(name: &str, found: &Found, brokers: i64) -> Finding {
    let in_sync = found.settings.as_ref().ok().and_then(|settings| settings.get("min.insync.replicas"));
    match in_sync.and_then(|value| value.parse().ok()) {
        Some(in_sync) => copies(&found.spread, in_sync, brokers).about(name),
        None => Finding::skip(name, "its settings could not be read"),
    }
}

fn spread(wanted: &Wanted, spread: &Spread) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let all = spread.partitions;
    if spread.leaderless > 0 {
        verdicts.push(Verdict::fail(
            format!(
                "{} of its {all} partitions have no leader and can be neither read nor written",
                spread.leaderless
            ),
            "start the brokers that hold it",
        ));
    }
    if spread.behind > spread.leaderless {
        verdicts.push(Verdict::warn(
            format!("{} of its {all} partitions have a replica that has fallen behind", spread.behind),
            "see that all brokers run",
        ));
    }
    if let Some(partitions) = wanted.partitions.filter(|partitions| *partitions != all) {
        verdicts.push(Verdict::fail(
            format!("{all} partitions instead of {partitions}: which of them came first is not known to who reads it whole"),
            "make it again with one partition, and replay what it held",
        ));
    }
    verdicts
}

/// In the order in which they are shown; the copies come last.
fn of_settings(role: Role, settings: &Settings, spread: &Spread, brokers: i64) -> Vec<Verdict> {
    let untold = RULES.iter().map(|(setting, _)| *setting).filter(|setting| !settings.contains_key(*setting));
    let untold: Vec<&str> = untold.collect();
    let mut verdicts: Vec<Verdict> =
        RULES.iter().filter_map(|(setting, judge)| judge(setting, settings.get(*setting)?, role)).collect();
    if !untold.is_empty() {
        verdicts.push(Verdict::skip(format!("its brokers do not tell `{}`", untold.join("`, `"))));
    }
    if let Some(in_sync) = settings.get("min.insync.replicas").and_then(|value| value.parse().ok()) {
        verdicts.push(copies(spread, in_sync, brokers));
    }
    verdicts
}

fn copies(spread: &Spread, in_sync: i64, brokers: i64) -> Verdict {
    of_copies(spread.replicas.into(), in_sync, brokers, "default.replication.factor", "min.insync.replicas")
}

/// A setting, and what is wrong with its value.
type Rule = (&'static str, fn(&str, &str, Role) -> Option<Verdict>);

const RULES: [Rule; 8] = [
    ("cleanup.policy", cleanup),
    ("retention.ms", retention_time),
    ("retention.bytes", retention_size),
    ("message.timestamp.type", timestamps),
    ("message.timestamp.after.max.ms", future),
    ("message.timestamp.before.max.ms", past),
    ("max.message.bytes", record_limit),
    ("unclean.leader.election.enable", unclean),
];

fn cleanup(setting: &str, value: &str, role: Role) -> Option<Verdict> {
    let lost = match role {
        Role::Changelog => "the application's state does not survive that",
        _ => "all but the last record of a key are forgotten",
    };
    value.contains("compact").then(|| {
        Verdict::fail(format!("`{setting}` is `{value}`: {lost}"), "set it to delete, with `retention.ms` -1")
    })
}

fn retention_time(setting: &str, value: &str, role: Role) -> Option<Verdict> {
    let ms: i64 = value.parse().ok().filter(|ms| *ms >= 0)?;
    let found = format!(
        "`{setting}` is {value} ({}): records dated further back are deleted within minutes",
        time(ms)
    );
    Some(limited(role, found))
}

fn retention_size(setting: &str, value: &str, role: Role) -> Option<Verdict> {
    value.parse().ok().filter(|bytes: &i64| *bytes >= 0)?;
    Some(limited(role, format!("`{setting}` is {value}: what is older than that many bytes is deleted")))
}

fn limited(role: Role, found: String) -> Verdict {
    match role {
        Role::Aside => Verdict::warn(found, "set it to -1, unless that is meant"),
        _ => Verdict::fail(found, "set it to -1"),
    }
}

fn timestamps(setting: &str, value: &str, _: Role) -> Option<Verdict> {
    (value != "CreateTime").then(|| {
        let found = format!("`{setting}` is `{value}`: the broker's clock takes the place of event time");
        Verdict::fail(found, "set it to CreateTime; what was written until now keeps the wrong time")
    })
}

fn future(setting: &str, value: &str, role: Role) -> Option<Verdict> {
    let ms: i64 = value.parse().ok().filter(|ms| *ms < NO_LIMIT)?;
    let found = |then: &str| format!("`{setting}` is {value} ({}): {then}", time(ms));
    let remedy = format!("set it to {NO_LIMIT}");
    Some(match role {
        Role::Input => Verdict::warn(found("a source whose clock is further ahead is stopped"), remedy),
        _ => Verdict::fail(found("one record that is dated further ahead stops its task for good"), remedy),
    })
}

fn past(setting: &str, value: &str, _: Role) -> Option<Verdict> {
    let ms: i64 = value.parse().ok().filter(|ms| *ms < NO_LIMIT)?;
    let found = format!("`{setting}` is {value} ({}): records dated further back are refused", time(ms));
    Some(Verdict::fail(found, format!("set it to {NO_LIMIT}")))
}

fn record_limit(setting: &str, value: &str, _: Role) -> Option<Verdict> {
    let bytes: i64 = value.parse().ok().filter(|bytes| *bytes < NEEDED_BYTES)?;
    let found = format!("`{setting}` is {bytes}: a value of 1000000 bytes, which is let in, does not fit");
    Some(Verdict::fail(found, format!("set it to {NEEDED_BYTES} or more")))
}

fn unclean(setting: &str, value: &str, _: Role) -> Option<Verdict> {
    (value == "true").then(|| {
        let found = format!("`{setting}` is `true`: acknowledged records can be lost when brokers fail");
        Verdict::warn(found, "set it to false")
    })
}

/// The inputs of a topology that are read together have the same number of partitions.
pub(super) fn co_partitioned(topology: &Topology, partitions: &BTreeMap<&str, u32>) -> Finding {
    let what = format!("inputs of {}", topology.app());
    let sources = topology.sources().iter().filter(|source| source.kind != SourceKind::Broadcast);
    let names: Vec<&str> = sources.map(|source| source.topic.as_str()).collect();
    let counts: Vec<(&str, u32)> =
        names.iter().filter_map(|name| Some((*name, *partitions.get(name)?))).collect();
    if counts.len() < names.len() {
        return Finding::skip(what, "not all of them are there");
    }
    let listed: Vec<String> = counts.iter().map(|(name, count)| format!("`{name}` has {count}")).collect();
    let listed = format!("{} partitions", listed.join(", "));
    match counts.iter().all(|(_, count)| *count == counts[0].1) {
        true => Finding::ok(what, listed),
        false => Finding::fail(
            what,
            listed,
            "give them the same number; keys that are there already stay where they are, so make them again and replay",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tidegate_runtime::topology::{Source, TaskEnvironment};

    use super::*;

    const SPREAD: Spread = Spread { partitions: 4, replicas: 3, behind: 0, leaderless: 0 };

    /// As every topic of ours is made.
    fn good() -> Settings {
        let told = [
            ("cleanup.policy", "delete"),
            ("retention.ms", "-1"),
            ("retention.bytes", "-1"),
            ("message.timestamp.type", "CreateTime"),
            ("message.timestamp.after.max.ms", "9223372036854775807"),
            ("message.timestamp.before.max.ms", "9223372036854775807"),
            ("max.message.bytes", "1048588"),
            ("unclean.leader.election.enable", "false"),
            ("min.insync.replicas", "2"),
        ];
        told.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    fn wanted(role: Role, partitions: Option<u32>) -> Wanted {
        Wanted { name: "readings".to_owned(), role, partitions, makers: "`tidegate simulate`".to_owned() }
    }

    fn judged(role: Role, spread: Spread, settings: Read) -> Vec<Finding> {
        judge(&wanted(role, None), Some(&Found { spread, settings }), 3)
    }

    #[test]
    fn a_good_topic_is_one_line() {
        let findings = judged(Role::Input, SPREAD, Ok(good()));
        assert_eq!(findings.len(), 1);
        assert_eq!(
            findings[0].to_string(),
            "ok    topic readings: 4 partitions, kept for ever, 3 copies, of which 2 must have a record before it counts"
        );
        let missing = judge(&wanted(Role::Input, None), None, 3);
        assert_eq!(
            missing[0].to_string(),
            "warn  topic readings: not there; `tidegate simulate` makes it, if this user may"
        );
    }

    #[test]
    fn every_rule_finds_its_fault() {
        use Level::{Fail, Warn};
        let mut tried = BTreeSet::new();
        for (setting, value, role, level, words) in [
            ("cleanup.policy", "compact", Role::Input, Fail, "all but the last record"),
            ("cleanup.policy", "compact,delete", Role::Changelog, Fail, "state"),
            (
                "retention.ms",
                "604800000",
                Role::Input,
                Fail,
                "604800000 (7 days): records dated further back",
            ),
            ("retention.ms", "604800000", Role::Changelog, Fail, "7 days"),
            ("retention.ms", "0", Role::Output, Fail, "0 s"),
            ("retention.ms", "604800000", Role::Aside, Warn, "7 days"),
            ("retention.bytes", "1000", Role::Output, Fail, "many bytes"),
            ("retention.bytes", "1000", Role::Aside, Warn, "many bytes"),
            ("message.timestamp.type", "LogAppendTime", Role::Input, Fail, "the broker's clock"),
            ("message.timestamp.after.max.ms", "3600000", Role::Input, Warn, "(1 h): a source"),
            ("message.timestamp.after.max.ms", "3600000", Role::Output, Fail, "(1 h): one record"),
            ("message.timestamp.before.max.ms", "3600000", Role::Input, Fail, "are refused"),
            ("max.message.bytes", "1000000", Role::Input, Fail, "does not fit"),
            ("unclean.leader.election.enable", "true", Role::Input, Warn, "can be lost"),
            ("min.insync.replicas", "1", Role::Input, Warn, "lost with one broker"),
        ] {
            let mut settings = good();
            settings.insert(setting.to_owned(), value.to_owned());
            let findings = judged(role, SPREAD, Ok(settings));
            assert_eq!(findings.len(), 1, "{setting}: {findings:?}");
            assert_eq!(findings[0].level, level, "{}", findings[0]);
            assert!(findings[0].found.contains(words) && findings[0].remedy.is_some(), "{}", findings[0]);
            tried.insert(setting);
        }
        assert!(RULES.iter().all(|(setting, _)| tried.contains(setting)), "a rule was never broken");
    }

    #[test]
    fn every_fault_gets_its_own_line() {
        let mut settings = good();
        settings.insert("retention.ms".to_owned(), "1".to_owned());
        settings.insert("cleanup.policy".to_owned(), "compact".to_owned());
        let spread = Spread { leaderless: 1, behind: 2, ..SPREAD };
        let levels: Vec<_> = judged(Role::Input, spread, Ok(settings)).iter().map(|one| one.level).collect();
        assert_eq!(levels, [Level::Fail, Level::Warn, Level::Fail, Level::Fail]);
    }

    #[test]
    fn settings_that_cannot_be_read_are_not_taken_for_good_ones() {
        let denied = judged(Role::Input, SPREAD, Err(Unread::Denied));
        assert_eq!(denied[0].level, Level::Warn);
        assert!(denied[0].remedy.as_ref().unwrap().contains("DescribeConfigs on the topic `readings`"));
        let failed = judged(Role::Input, SPREAD, Err(Unread::Failed("timed out".to_owned())));
        assert_eq!(failed[0].to_string(), "skip  topic readings: its settings could not be read: timed out");
    }

    #[test]
    fn a_setting_that_is_not_told_is_not_taken_for_a_good_one() {
        let mut settings = good();
        settings.remove("retention.ms");
        let findings = judged(Role::Input, SPREAD, Ok(settings));
        assert_eq!(findings[0].to_string(), "skip  topic readings: its brokers do not tell `retention.ms`");
    }

    #[test]
    fn the_copies_of_internal_topics_are_judged_too() {
        let of = |settings| internal("__transaction_state", &Found { spread: SPREAD, settings }, 3);
        assert_eq!(of(Ok(good())).level, Level::Ok);
        let one = Settings::from([("min.insync.replicas".to_owned(), "1".to_owned())]);
        assert_eq!(of(Ok(one)).level, Level::Warn);
        assert_eq!(of(Err(Unread::Denied)).level, Level::Skip);
    }

    #[test]
    fn a_table_that_is_read_whole_has_one_partition() {
        let found = Found { spread: SPREAD, settings: Ok(good()) };
        let findings = judge(&wanted(Role::Input, Some(1)), Some(&found), 3);
        assert!(findings[0].level == Level::Fail && findings[0].found.contains("4 partitions instead of 1"));
    }

    #[test]
    fn inputs_that_are_joined_have_the_same_number_of_partitions() {
        let never =
            |_: &TaskEnvironment| -> Box<dyn tidegate_runtime::processor::Processor> { unreachable!() };
        let topology = Topology::new("speeding", "join", &[], never)
            .source(Source::broadcast("radars"))
            .source(Source::table("vehicles"))
            .source(Source::stream("readings"));
        let counts = |vehicles| BTreeMap::from([("radars", 1), ("vehicles", vehicles), ("readings", 4)]);
        assert_eq!(co_partitioned(&topology, &counts(4)).level, Level::Ok);
        let wrong = co_partitioned(&topology, &counts(3));
        assert_eq!(
            (wrong.level, wrong.found.as_str()),
            (Level::Fail, "`vehicles` has 3, `readings` has 4 partitions")
        );
        assert_eq!(co_partitioned(&topology, &BTreeMap::new()).level, Level::Skip);
    }
}
