//! Are the brokers' settings such that transactions, groups and new topics behave as `process` expects?
//!
//! Every broker tells its own, and they can differ: a finding names the brokers it is about when it is not about all.

use std::collections::BTreeMap;

use tidegate_runtime::log::kafka::diagnosis::{Read, Settings, Unread};

use super::finding::{Finding, Verdict};
use super::replication::{TO_BE_MADE, of_new};
use super::topics::NEEDED_BYTES;
use super::units::time;

/// What `process` is told, as far as a broker must agree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ours {
    pub(super) transaction_timeout_ms: i64,
    pub(super) session_timeout_ms: i64,
    /// `--group-protocol consumer`: the session timeout is the broker's.
    pub(super) broker_assigns: bool,
    /// Nothing is written in transactions.
    pub(super) at_least_once: bool,
}

/// A setting and what it must be.
type Rule = (&'static str, fn(&str, &Ours) -> Verdict);

const RULES: [Rule; 13] = [
    ("transaction.max.timeout.ms", transaction_limit),
    ("transaction.abort.timed.out.transaction.cleanup.interval.ms", transaction_sweep),
    ("group.min.session.timeout.ms", shortest_session),
    ("group.max.session.timeout.ms", longest_session),
    ("group.consumer.session.timeout.ms", brokers_session),
    ("group.coordinator.rebalance.protocols", protocols),
    ("group.initial.rebalance.delay.ms", first_rebalance),
    ("offsets.retention.minutes", offsets_kept),
    ("message.max.bytes", record_limit),
    ("log.retention.bytes", bytes_kept),
    ("log.message.timestamp.type", timestamps),
    ("auto.create.topics.enable", typos),
    ("delete.topic.enable", deletable),
];

/// The settings of every broker that could be asked, of as many as there are; those for topics in `made` no longer matter.
pub(super) fn judge(read: &BTreeMap<i32, Read>, ours: &Ours, made: &[&str], brokers: i64) -> Vec<Finding> {
    let mut findings: Vec<Finding> = read.iter().filter_map(|(id, read)| unread(*id, read)).collect();
    let told: BTreeMap<i32, &Settings> =
        read.iter().filter_map(|(id, read)| Some((*id, read.as_ref().ok()?))).collect();
    if told.is_empty() {
        return findings;
    }
    for (setting, judge) in RULES {
        let one = |settings: &Settings| settings.get(setting).map(|value| judge(value, ours));
        findings.extend(over_all(setting, &told, one));
    }
    for topic in TO_BE_MADE.iter().filter(|topic| !made.contains(&topic.what)) {
        findings.extend(over_all(topic.what, &told, |settings| of_new(settings, topic, brokers)));
    }
    findings
}

fn unread(id: i32, read: &Read) -> Option<Finding> {
    let what = format!("settings of broker {id}");
    match read {
        Ok(_) => None,
        Err(Unread::Denied) => Some(Finding::warn(
            what,
            "this user may not read them, so none could be checked",
            "let the access rules allow it DescribeConfigs on the cluster, or ask its operator",
        )),
        Err(Unread::Failed(reason)) => Some(Finding::skip(what, format!("could not be read: {reason}"))),
    }
}

/// One line for all brokers that agree.
fn over_all(
    what: &str,
    told: &BTreeMap<i32, &Settings>,
    judge: impl Fn(&Settings) -> Option<Verdict>,
) -> Vec<Finding> {
    let mut verdicts: Vec<(Verdict, Vec<String>)> = Vec::new();
    for (id, settings) in told {
        // What a broker does not know it does not do either.
        let Some(verdict) = judge(settings) else { continue };
        match verdicts.iter_mut().find(|(known, _)| *known == verdict) {
            Some((_, brokers)) => brokers.push(id.to_string()),
            None => verdicts.push((verdict, vec![id.to_string()])),
        }
    }
    if verdicts.is_empty() {
        return vec![Finding::skip(what, "no broker that was asked knows it")];
    }
    let all = verdicts.len() == 1 && verdicts[0].1.len() == told.len();
    let about = |(verdict, brokers): (Verdict, Vec<String>)| match all {
        true => verdict.about(what),
        false => verdict.about(format!("{what} of broker {}", brokers.join(", "))),
    };
    verdicts.into_iter().map(about).collect()
}

/// A value that is no number is none of Apache Kafka's.
fn number(value: &str, judge: impl FnOnce(i64) -> Verdict) -> Verdict {
    value.parse().map_or_else(|_| Verdict::skip(format!("`{value}` is no number")), judge)
}

fn transaction_limit(value: &str, ours: &Ours) -> Verdict {
    let needed = ours.transaction_timeout_ms;
    number(value, |limit| match limit >= needed || ours.at_least_once {
        true => Verdict::ok(time(limit)),
        false => Verdict::fail(
            format!("{}, and transactions ask for {}", time(limit), time(needed)),
            "raise it, or give a shorter --transaction-timeout",
        ),
    })
}

fn transaction_sweep(value: &str, ours: &Ours) -> Verdict {
    /// What leaves a process that was killed ten seconds to be back at work.
    const OFTEN_ENOUGH_MS: i64 = 1_000;
    number(value, |interval| {
        let waited = time(interval.saturating_add(ours.transaction_timeout_ms));
        match interval <= OFTEN_ENOUGH_MS || ours.at_least_once {
            true => Verdict::ok(time(interval)),
            false => Verdict::warn(
                format!(
                    "{}: after a process was killed, readers and its successor wait up to {waited}",
                    time(interval)
                ),
                "set it to 1000 in the brokers' configuration",
            ),
        }
    })
}

fn shortest_session(value: &str, ours: &Ours) -> Verdict {
    let asked = ours.session_timeout_ms;
    number(value, |least| match least <= asked || ours.broker_assigns {
        true => Verdict::ok(time(least)),
        false => Verdict::fail(
            format!("{}, and --session-timeout is {}", time(least), time(asked)),
            "lower it, or give a longer --session-timeout",
        ),
    })
}

fn longest_session(value: &str, ours: &Ours) -> Verdict {
    let asked = ours.session_timeout_ms;
    number(value, |most| match most >= asked || ours.broker_assigns {
        true => Verdict::ok(time(most)),
        false => Verdict::fail(
            format!("{}, and --session-timeout is {}", time(most), time(asked)),
            "raise it, or give a shorter --session-timeout",
        ),
    })
}

fn brokers_session(value: &str, ours: &Ours) -> Verdict {
    /// What leaves a process that was killed ten seconds to be replaced.
    const SOON_ENOUGH_MS: i64 = 6_000;
    number(value, |session| {
        if !ours.broker_assigns || session <= SOON_ENOUGH_MS {
            return Verdict::ok(time(session));
        }
        Verdict::warn(
            format!("{}: so long the tasks of a process that was killed wait for another", time(session)),
            "set `consumer.session.timeout.ms` of the group, or this, to 6000",
        )
    })
}

fn protocols(value: &str, ours: &Ours) -> Verdict {
    let has = |protocol: &str| value.split(',').any(|one| one.trim() == protocol);
    let needed = if ours.broker_assigns { "consumer" } else { "classic" };
    match has(needed) {
        true => Verdict::ok(value),
        false => {
            Verdict::fail(format!("`{value}`"), format!("add `{needed}`, or give another --group-protocol"))
        }
    }
}

fn first_rebalance(value: &str, _: &Ours) -> Verdict {
    /// Kafka's default: long enough to have all instances of a deployment in the first round.
    const LONG_MS: i64 = 3_000;
    number(value, |delay| match delay <= LONG_MS {
        true => Verdict::ok(time(delay)),
        false => Verdict::warn(
            format!(
                "{}: so long an application waits whenever it starts as the first of its group",
                time(delay)
            ),
            "set it to 3000 or less",
        ),
    })
}

fn offsets_kept(value: &str, _: &Ours) -> Verdict {
    /// Kafka's default.
    const LONG_ENOUGH_MIN: i64 = 7 * 24 * 60;
    number(value, |minutes| {
        let kept = time(minutes.saturating_mul(60_000));
        match minutes >= LONG_ENOUGH_MIN {
            true => Verdict::ok(kept),
            // Processors and sinks have their positions elsewhere too.
            false => Verdict::warn(
                format!(
                    "{kept}: a `replay` or `simulate` resumed after that begins again, and what it wrote is there twice"
                ),
                "set it to 10080 or more",
            ),
        }
    })
}

fn record_limit(value: &str, _: &Ours) -> Verdict {
    number(value, |bytes| match bytes >= NEEDED_BYTES {
        true => Verdict::ok(format!("{bytes} bytes")),
        false => Verdict::fail(
            format!("{bytes} bytes: a value of 1000000 bytes, which is let in, does not fit into new topics"),
            format!("set it to {NEEDED_BYTES} or more"),
        ),
    })
}

fn bytes_kept(value: &str, _: &Ours) -> Verdict {
    number(value, |bytes| match bytes < 0 {
        true => Verdict::ok("no limit"),
        false => Verdict::fail(
            format!("{bytes}: records of new topics, and the state of applications, are deleted beyond that"),
            "set it to -1, and `retention.bytes` of topics that are to be short",
        ),
    })
}

fn timestamps(value: &str, _: &Ours) -> Verdict {
    match value {
        "CreateTime" => Verdict::ok(value),
        _ => Verdict::fail(
            format!("`{value}`: in new topics the broker's clock takes the place of event time"),
            "set it to CreateTime",
        ),
    }
}

fn typos(value: &str, _: &Ours) -> Verdict {
    match value {
        "false" => Verdict::ok(value),
        _ => Verdict::warn(
            format!("`{value}`: a misspelt topic in any client makes one, with retention by time"),
            "set it to false; nothing of tidegate needs it",
        ),
    }
}

fn deletable(value: &str, _: &Ours) -> Verdict {
    match value {
        "true" => Verdict::ok(value),
        _ => Verdict::warn(
            format!("`{value}`: `reset --app` cannot delete an application's topics"),
            "set it to true",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::finding::Level;
    use super::*;

    const SWEEP: &str = "transaction.abort.timed.out.transaction.cleanup.interval.ms";
    const OURS: Ours = Ours {
        transaction_timeout_ms: 5_000,
        session_timeout_ms: 6_000,
        broker_assigns: false,
        at_least_once: false,
    };
    const BY_BROKER: Ours = Ours { broker_assigns: true, ..OURS };
    const AT_LEAST_ONCE: Ours = Ours { at_least_once: true, ..OURS };

    fn settings(told: &[(&str, &str)]) -> Settings {
        told.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// The line about one setting with this value.
    fn line(setting: &str, value: &str, ours: &Ours) -> Finding {
        let read = BTreeMap::from([(1, Ok(settings(&[(setting, value)])))]);
        let mut findings = judge(&read, ours, &[], 1);
        findings.retain(|finding| finding.level != Level::Skip);
        assert_eq!(findings.len(), 1, "{setting}: {findings:?}");
        findings.remove(0)
    }

    #[test]
    fn every_rule_tells_good_from_bad() {
        use Level::{Fail, Ok, Warn};
        let mut tried = BTreeSet::new();
        for (setting, value, ours, level, words) in [
            ("transaction.max.timeout.ms", "5000", OURS, Ok, "5 s"),
            ("transaction.max.timeout.ms", "4999", OURS, Fail, "4999 ms, and transactions ask for 5 s"),
            ("transaction.max.timeout.ms", "4999", AT_LEAST_ONCE, Ok, "4999 ms"),
            (SWEEP, "1000", OURS, Ok, "1 s"),
            (
                SWEEP,
                "10000",
                OURS,
                Warn,
                "10 s: after a process was killed, readers and its successor wait up to 15 s",
            ),
            (SWEEP, "10000", AT_LEAST_ONCE, Ok, "10 s"),
            ("group.min.session.timeout.ms", "6000", OURS, Ok, "6 s"),
            ("group.min.session.timeout.ms", "6001", OURS, Fail, "6001 ms, and --session-timeout is 6 s"),
            ("group.min.session.timeout.ms", "6001", BY_BROKER, Ok, "6001 ms"),
            ("group.max.session.timeout.ms", "6000", OURS, Ok, "6 s"),
            ("group.max.session.timeout.ms", "5999", OURS, Fail, "5999 ms, and --session-timeout is 6 s"),
            ("group.max.session.timeout.ms", "5999", BY_BROKER, Ok, "5999 ms"),
            ("group.consumer.session.timeout.ms", "45000", OURS, Ok, "45 s"),
            ("group.consumer.session.timeout.ms", "6000", BY_BROKER, Ok, "6 s"),
            ("group.consumer.session.timeout.ms", "45000", BY_BROKER, Warn, "45 s: so long the tasks"),
            ("group.coordinator.rebalance.protocols", "classic,consumer", BY_BROKER, Ok, "classic,consumer"),
            ("group.coordinator.rebalance.protocols", "classic", OURS, Ok, "classic"),
            (
                "group.coordinator.rebalance.protocols",
                "classic, streams",
                BY_BROKER,
                Fail,
                "`classic, streams`",
            ),
            ("group.coordinator.rebalance.protocols", "consumer", OURS, Fail, "`consumer`"),
            ("group.initial.rebalance.delay.ms", "3000", OURS, Ok, "3 s"),
            ("group.initial.rebalance.delay.ms", "3001", OURS, Warn, "3001 ms: so long"),
            ("offsets.retention.minutes", "10080", OURS, Ok, "7 days"),
            ("offsets.retention.minutes", "1440", OURS, Warn, "1 day: a `replay`"),
            ("message.max.bytes", "1048588", OURS, Ok, "1048588 bytes"),
            ("message.max.bytes", "1048587", OURS, Fail, "1048587 bytes: a value"),
            ("log.retention.bytes", "-1", OURS, Ok, "no limit"),
            ("log.retention.bytes", "0", OURS, Fail, "0: records"),
            ("log.message.timestamp.type", "CreateTime", OURS, Ok, "CreateTime"),
            ("log.message.timestamp.type", "LogAppendTime", OURS, Fail, "the broker's clock"),
            ("auto.create.topics.enable", "false", OURS, Ok, "false"),
            ("auto.create.topics.enable", "true", OURS, Warn, "a misspelt topic"),
            ("delete.topic.enable", "true", OURS, Ok, "true"),
            ("delete.topic.enable", "false", OURS, Warn, "`reset --app`"),
        ] {
            let found = line(setting, value, &ours);
            assert_eq!((found.level, found.what.as_str()), (level, setting), "{value}: {found}");
            assert!(found.found.starts_with(words) || found.found.contains(words), "{found}");
            assert_eq!(found.remedy.is_some(), level != Ok, "{found}");
            tried.insert((setting, level == Ok));
        }
        for (setting, _) in RULES {
            assert!(tried.contains(&(setting, true)) && tried.contains(&(setting, false)), "{setting}");
        }
    }

    #[test]
    fn brokers_that_differ_get_a_line_each() {
        let one = |value: &str| Ok(settings(&[("auto.create.topics.enable", value)]));
        let read = BTreeMap::from([(1, one("false")), (2, one("true")), (3, one("false"))]);
        let about = |one: &Finding| one.what.starts_with("auto");
        let findings = judge(&read, &OURS, &[], 1).into_iter().filter(about);
        let whats: Vec<_> = findings.map(|one| (one.level, one.what)).collect();
        assert_eq!(
            whats,
            [
                (Level::Ok, "auto.create.topics.enable of broker 1, 3".to_owned()),
                (Level::Warn, "auto.create.topics.enable of broker 2".to_owned())
            ]
        );
    }

    #[test]
    fn a_broker_that_says_nothing_is_named_with_the_right_it_takes() {
        let read =
            BTreeMap::from([(1, Err(Unread::Denied)), (2, Err(Unread::Failed("timed out".to_owned())))]);
        let findings = judge(&read, &OURS, &[], 1);
        assert_eq!(findings.iter().map(|one| one.level).collect::<Vec<_>>(), [Level::Warn, Level::Skip]);
        assert!(findings[0].remedy.as_ref().unwrap().contains("DescribeConfigs on the cluster"));
    }

    #[test]
    fn a_setting_that_no_broker_knows_is_not_passed_over() {
        let read = BTreeMap::from([(1, Ok(settings(&[("auto.create.topics.enable", "false")])))]);
        let skipped = judge(&read, &OURS, &[], 1).into_iter().filter(|one| one.level == Level::Skip).count();
        assert_eq!(skipped, RULES.len() - 1 + TO_BE_MADE.len());
    }

    #[test]
    fn settings_for_topics_that_exist_no_longer_matter() {
        let told =
            [("transaction.state.log.replication.factor", "3"), ("transaction.state.log.min.isr", "2")];
        let read = BTreeMap::from([(1, Ok(settings(&told)))]);
        let about = |made: &[&str]| {
            let findings = judge(&read, &OURS, made, 1).into_iter();
            findings.filter(|one| one.what == "__transaction_state").map(|one| one.level).collect::<Vec<_>>()
        };
        assert_eq!(about(&[]), [Level::Fail]);
        assert_eq!(about(&["__transaction_state"]), []);
    }
}
