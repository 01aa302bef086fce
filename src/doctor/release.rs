//! Which release a broker is of, as far as its requests tell.
//!
//! The protocol carries no release. Each release, though, understands requests that the one before did not: the table holds one of
//! them for each, read from the client libraries of these releases (`ApiKeys`: what a broker offers on its own listeners, without what
//! is marked unstable). A broker newer than the table is told as "or later"; what only imitates Kafka is told as what it imitates.

use std::fmt;

use tidegate_runtime::log::kafka::diagnosis::Apis;

const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const LIST_OFFSETS: i16 = 2;
const JOIN_GROUP: i16 = 11;
const LIST_GROUPS: i16 = 16;
const INIT_PRODUCER_ID: i16 = 22;
const ADD_PARTITIONS_TO_TXN: i16 = 24;
const TXN_OFFSET_COMMIT: i16 = 28;
const DESCRIBE_LOG_DIRS: i16 = 35;
const CONSUMER_GROUP_HEARTBEAT: i16 = 68;

/// A release, major and minor.
type Number = (u8, u8);

/// The first release of a broker that will do: every topic of ours is made with `message.timestamp.after.max.ms`, which came with it.
pub(super) const OLDEST: Number = (3, 6);

/// Of each release, in order: a request, and its version that the release before did not understand. 3.4 brought none, and is told as
/// "3.3 or later".
const NEW: [(Number, i16, i16); 14] = [
    ((2, 5), TXN_OFFSET_COMMIT, 3),
    ((2, 8), FETCH, 12),
    ((3, 0), LIST_OFFSETS, 7),
    ((3, 1), FETCH, 13),
    ((3, 2), JOIN_GROUP, 9),
    ((3, 3), DESCRIBE_LOG_DIRS, 4),
    ((3, 5), FETCH, 15),
    ((3, 6), ADD_PARTITIONS_TO_TXN, 4),
    ((3, 7), FETCH, 16),
    ((3, 8), LIST_GROUPS, 5),
    ((3, 9), FETCH, 17),
    ((4, 0), PRODUCE, 12),
    ((4, 1), FETCH, 18),
    ((4, 2), LIST_OFFSETS, 11),
];

/// What is known of a broker's release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Release {
    /// Before all that the table knows.
    Older,
    /// This one.
    Exactly(Number),
    /// This one or a later one, which brings nothing that the table knows.
    AtLeast(Number),
}

impl Release {
    /// The release whose requests, and those of all before it, are understood.
    pub(super) fn of(apis: &Apis) -> Release {
        let known = NEW.iter().take_while(|(_, api, version)| understands(apis, *api, *version)).count();
        let Some((number, ..)) = known.checked_sub(1).and_then(|last| NEW.get(last)) else {
            return Release::Older;
        };
        let next = NEW.get(known).map(|(next, ..)| *next);
        // Two releases with nothing between them that the table knows cannot be told apart.
        let is_next = next.is_some_and(|next| next == (number.0, number.1 + 1) || next.1 == 0);
        if is_next { Release::Exactly(*number) } else { Release::AtLeast(*number) }
    }

    /// Not older than `number`.
    pub(super) fn reaches(self, number: Number) -> bool {
        match self {
            Release::Older => false,
            Release::Exactly(own) | Release::AtLeast(own) => own >= number,
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Release::Older => write!(f, "Kafka before {}.{}", NEW[0].0.0, NEW[0].0.1),
            Release::Exactly((major, minor)) => write!(f, "Kafka {major}.{minor}"),
            Release::AtLeast((major, minor)) => write!(f, "Kafka {major}.{minor} or later"),
        }
    }
}

/// Producers can have transactions.
pub(super) fn has_transactions(apis: &Apis) -> bool {
    understands(apis, INIT_PRODUCER_ID, 0)
}

/// The broker can spread the tasks of a group (KIP-848).
pub(super) fn has_broker_assignment(apis: &Apis) -> bool {
    understands(apis, CONSUMER_GROUP_HEARTBEAT, 0)
}

fn understands(apis: &Apis, api: i16, version: i16) -> bool {
    apis.get(&api).is_some_and(|(oldest, newest)| (*oldest..=*newest).contains(&version))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a release offers, as its own client library lists it; the rest plays no part.
    fn apis(versions: &[(i16, i16, i16)]) -> Apis {
        versions.iter().map(|(api, oldest, newest)| (*api, (*oldest, *newest))).collect()
    }

    fn of(produce: i16, fetch: i16, offsets: i16, groups: i16, dirs: i16, partitions: i16) -> Apis {
        let rest = [(JOIN_GROUP, 0, 9), (TXN_OFFSET_COMMIT, 0, 3)];
        let told = [
            (PRODUCE, 0, produce),
            (FETCH, 0, fetch),
            (LIST_OFFSETS, 0, offsets),
            (LIST_GROUPS, 0, groups),
            (DESCRIBE_LOG_DIRS, 0, dirs),
            (ADD_PARTITIONS_TO_TXN, 0, partitions),
        ];
        apis(&[&rest[..], &told[..]].concat())
    }

    #[test]
    fn releases_are_told_by_what_they_understand() {
        for (apis, words) in [
            (of(9, 13, 7, 4, 4, 3), "Kafka 3.3 or later"),
            (of(9, 15, 8, 4, 4, 3), "Kafka 3.5"),
            (of(9, 15, 8, 4, 4, 4), "Kafka 3.6"),
            (of(10, 16, 8, 4, 4, 4), "Kafka 3.7"),
            (of(11, 16, 8, 5, 4, 5), "Kafka 3.8"),
            (of(11, 17, 9, 5, 4, 5), "Kafka 3.9"),
            (of(12, 17, 10, 5, 4, 5), "Kafka 4.0"),
            (of(13, 18, 10, 5, 4, 5), "Kafka 4.1"),
            (of(13, 18, 11, 5, 4, 5), "Kafka 4.2 or later"),
            (of(99, 99, 99, 99, 99, 99), "Kafka 4.2 or later"),
        ] {
            assert_eq!(Release::of(&apis).to_string(), words);
        }
        assert_eq!(Release::of(&apis(&[(FETCH, 4, 18)])), Release::Older);
        assert_eq!(Release::of(&apis(&[(TXN_OFFSET_COMMIT, 0, 3)])).to_string(), "Kafka 2.5 or later");
    }

    #[test]
    fn one_that_imitates_a_part_is_told_by_the_part() {
        let mut partly = of(13, 18, 10, 5, 4, 5);
        partly.remove(&LIST_GROUPS);
        assert_eq!(Release::of(&partly).to_string(), "Kafka 3.7");
    }

    #[test]
    fn releases_are_in_order() {
        assert!(NEW.is_sorted_by_key(|(number, ..)| *number));
        assert!(Release::Exactly((4, 1)).reaches((3, 6)) && Release::AtLeast((3, 6)).reaches((3, 6)));
        assert!(!Release::Exactly((3, 5)).reaches((3, 6)) && !Release::Older.reaches((2, 5)));
    }
}
