//! How many copies there are, and how many of them count: of topics that are there, and of those that would be made.
//!
//! Everything is written with acks=all: a record counts once as many replicas have it as `min.insync.replicas` says.

use tidegate_runtime::log::kafka::diagnosis::Settings;

use super::finding::Verdict;

/// Brokers' settings for topics that do not exist yet.
pub(super) struct ToBeMade {
    /// Whose: an internal topic's name, or all others.
    pub(super) what: &'static str,
    replicas: &'static str,
    in_sync: &'static str,
}

/// Of topics in general, and of the two that brokers make for themselves.
pub(super) const TO_BE_MADE: [ToBeMade; 3] = [
    ToBeMade {
        what: "replication of new topics",
        replicas: "default.replication.factor",
        in_sync: "min.insync.replicas",
    },
    ToBeMade {
        what: "__transaction_state",
        replicas: "transaction.state.log.replication.factor",
        in_sync: "transaction.state.log.min.isr",
    },
    ToBeMade {
        what: "__consumer_offsets",
        replicas: "offsets.topic.replication.factor",
        in_sync: "min.insync.replicas",
    },
];

/// What a broker would make.
pub(super) fn of_new(settings: &Settings, topic: &ToBeMade, brokers: i64) -> Option<Verdict> {
    let number = |name: &str| settings.get(name)?.parse().ok();
    let (replicas, in_sync): (i64, i64) = (number(topic.replicas)?, number(topic.in_sync)?);
    let ToBeMade { replicas: replicas_set_by, in_sync: in_sync_set_by, .. } = topic;
    if replicas > brokers {
        return Some(Verdict::fail(
            format!("{replicas} replicas are asked for, and there are {brokers} brokers: it cannot be made"),
            format!("set `{replicas_set_by}` to {brokers} or less, or start more brokers"),
        ));
    }
    Some(of_copies(replicas, in_sync, brokers, replicas_set_by, in_sync_set_by))
}

/// Copies, and how many of them count; the settings are named in the remedy.
pub(super) fn of_copies(replicas: i64, in_sync: i64, brokers: i64, more: &str, least: &str) -> Verdict {
    let copies = match replicas {
        1 => "1 copy".to_owned(),
        _ => format!("{replicas} copies, of which {in_sync} must have a record before it counts"),
    };
    if in_sync > replicas {
        Verdict::fail(
            format!("{replicas} copies, of which {in_sync} must have a record: nothing can be written"),
            format!("set `{least}` to {}", (replicas - 1).max(1)),
        )
    } else if replicas == 1 && brokers > 1 {
        Verdict::warn(
            format!("{copies} on one of {brokers} brokers: with that broker it is away, or lost"),
            format!("give it more replicas, and set `{more}` to {} for those to come", brokers.min(3)),
        )
    } else if replicas > 1 && in_sync == replicas {
        Verdict::warn(
            format!("{copies}: while one broker is away nothing can be written"),
            format!("set `{least}` to {}", replicas - 1),
        )
    } else if replicas > 2 && in_sync < 2 {
        Verdict::warn(
            format!("{copies}: it can be lost with one broker, after it was acknowledged"),
            format!("set `{least}` to 2"),
        )
    } else {
        Verdict::ok(copies)
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn copies_are_judged_by_what_one_broker_less_would_do() {
        for (replicas, in_sync, brokers, level, words) in [
            (1, 1, 1, Level::Ok, "1 copy"),
            (3, 2, 3, Level::Ok, "3 copies, of which 2"),
            (2, 1, 2, Level::Ok, "2 copies"),
            (1, 1, 3, Level::Warn, "on one of 3 brokers"),
            (3, 1, 3, Level::Warn, "lost with one broker"),
            (3, 3, 3, Level::Warn, "nothing can be written"),
            (2, 2, 3, Level::Warn, "nothing can be written"),
            (1, 2, 1, Level::Fail, "nothing can be written"),
        ] {
            let verdict = of_copies(replicas, in_sync, brokers, "more", "least");
            assert_eq!(verdict.level, level, "{replicas} {in_sync} {brokers}: {verdict:?}");
            assert!(verdict.found.contains(words), "{replicas} {in_sync} {brokers}: {verdict:?}");
        }
    }

    #[test]
    fn a_topic_with_more_replicas_than_brokers_cannot_be_made() {
        let settings = |factor: &str| {
            let told = [
                ("transaction.state.log.replication.factor", factor),
                ("transaction.state.log.min.isr", "2"),
            ];
            told.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
        };
        let verdict = of_new(&settings("3"), &TO_BE_MADE[1], 1).unwrap();
        assert_eq!(verdict.level, Level::Fail);
        assert!(verdict.remedy.unwrap().contains("`transaction.state.log.replication.factor` to 1"));
        assert_eq!(of_new(&settings("3"), &TO_BE_MADE[1], 3).unwrap().level, Level::Ok);
        assert_eq!(of_new(&Settings::new(), &TO_BE_MADE[1], 3), None);
    }
}
