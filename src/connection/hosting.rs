//! What `process` is told about the Kafka group and its transactions, and when it makes no sense.

use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use tidegate_runtime::log::kafka::Connection;

use crate::duration;
use crate::exit::Exit;

/// Heading in `--help`.
const KAFKA: &str = "Kafka";

/// How often a commit is possible at most: librdkafka drains its queues in a few milliseconds.
const MIN_COMMIT_INTERVAL: Duration = Duration::from_millis(10);

/// What a process commits and is expelled by, unless told otherwise.
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(6);

/// Longer than any commit takes, and short enough that whoever waits for a dead one's transaction is back within seconds.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(5);

/// How the workers of a processor join their group and commit, on Kafka.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct HostingArgs {
    /// Keep this instance's tasks for it over a restart within the session timeout, instead of spreading them at once.
    ///
    /// Kafka's static membership (`group.instance.id`): a quick restart moves no task. A planned stop leaves its tasks waiting
    /// for the session timeout.
    #[arg(long, help_heading = KAFKA, hide_short_help = true)]
    static_membership: bool,
    /// Who spreads the tasks: the members (`classic`, the default) or the broker (`consumer`, KIP-848, Kafka 4 and later).
    ///
    /// With `consumer` the session timeout is the broker's (`group.consumer.session.timeout.ms`).
    #[arg(long, value_enum, value_name = "PROTOCOL", help_heading = KAFKA, hide_short_help = true)]
    group_protocol: Option<GroupProtocol>,
    /// Write without transactions: cheaper, and after a crash some records come twice and count twice.
    #[arg(long, conflicts_with = "transaction_timeout", help_heading = KAFKA, hide_short_help = true)]
    at_least_once: bool,
    /// After how long the broker gives up the open transaction of a process that has gone [default: 5s, or 5/6 of a session timeout
    /// below 6s].
    ///
    /// Until then readers see nothing behind it. Must be longer than the commit interval and shorter than the session timeout.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, help_heading = KAFKA, hide_short_help = true)]
    transaction_timeout: Option<Duration>,
}

/// Who spreads the tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum GroupProtocol {
    Classic,
    Consumer,
}

/// What `process` is told on either home, as far as it bears on this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) commit_interval: Duration,
    /// If it was given.
    pub(crate) session_timeout: Option<Duration>,
}

impl HostingArgs {
    /// On the embedded log none of it means anything.
    pub(crate) fn refuse(&self) -> Result<()> {
        let HostingArgs { static_membership, group_protocol, at_least_once, transaction_timeout } = self;
        let flags = [
            ("static-membership", *static_membership, "a restart takes its tasks back at once anyway"),
            ("group-protocol", group_protocol.is_some(), "its groups have a protocol of their own"),
            ("at-least-once", *at_least_once, "exactly once costs nothing there"),
            (
                "transaction-timeout",
                transaction_timeout.is_some(),
                "an open transaction keeps nobody waiting there",
            ),
        ];
        match flags.into_iter().find(|(_, is_given, _)| *is_given) {
            Some((flag, _, why)) => Err(Exit::Usage.because(format!(
                "`--{flag}` is for Kafka, and this is the embedded log: {why}; leave it out, or give --brokers"
            ))),
            None => Ok(()),
        }
    }

    /// The connection for these workers.
    pub(crate) fn apply(&self, connection: &Connection, timing: Timing) -> Result<Connection> {
        let senseless = |message: String| Err(Exit::Senseless.because(message));
        let broker_assigns = self.group_protocol == Some(GroupProtocol::Consumer);
        let Timing { commit_interval, session_timeout } = timing;
        if broker_assigns && session_timeout.is_some() {
            return Err(Exit::Usage.because(
                "with `--group-protocol consumer` the session timeout is the broker's (`group.consumer.session.timeout.ms`); leave \
                 --session-timeout out",
            ));
        }
        if commit_interval < MIN_COMMIT_INTERVAL {
            return senseless(format!(
                "a commit interval of `{commit_interval:?}` is below what Kafka can do; give --commit-interval at least `10ms`"
            ));
        }
        let session_timeout = session_timeout.unwrap_or(SESSION_TIMEOUT);
        let transaction_timeout =
            self.transaction_timeout.unwrap_or_else(|| TRANSACTION_TIMEOUT.min(session_timeout * 5 / 6));
        if transaction_timeout >= session_timeout && !broker_assigns {
            return senseless(format!(
                "a transaction timeout of `{transaction_timeout:?}` is not below the session timeout of `{session_timeout:?}`: who takes a \
                 dead one's tasks over would wait for its transaction; give a shorter --transaction-timeout or a longer --session-timeout"
            ));
        }
        if transaction_timeout <= commit_interval && !self.at_least_once {
            return senseless(format!(
                "a transaction timeout of `{transaction_timeout:?}` is not above the commit interval of `{commit_interval:?}`: every \
                 transaction would be given up; give a shorter --commit-interval"
            ));
        }
        let HostingArgs { static_membership, at_least_once, .. } = *self;
        Ok(Connection {
            static_membership,
            broker_assigns,
            at_least_once,
            transaction_timeout,
            ..connection.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidegate_runtime::log::kafka::RegistryConnection;

    use super::*;

    fn applied(args: HostingArgs, commit_ms: u64, session: Option<u64>) -> Result<Connection> {
        let timing = Timing {
            commit_interval: Duration::from_millis(commit_ms),
            session_timeout: session.map(Duration::from_secs),
        };
        args.apply(&Connection::new("one:9092", RegistryConnection::default()), timing)
    }

    fn timeout(args: HostingArgs, commit_ms: u64, session: Option<u64>) -> Result<u128, Exit> {
        let applied = applied(args, commit_ms, session);
        applied.map(|connection| connection.transaction_timeout.as_millis()).map_err(|error| Exit::of(&error))
    }

    #[test]
    fn a_transaction_ends_before_its_session_and_after_its_commit() {
        let none = HostingArgs::default();
        let of = |secs| HostingArgs { transaction_timeout: Some(Duration::from_secs(secs)), ..none };
        assert_eq!(timeout(none, 100, None), Ok(5_000));
        assert_eq!(timeout(none, 100, Some(60)), Ok(5_000));
        assert_eq!(timeout(none, 100, Some(3)), Ok(2_500));
        assert_eq!(timeout(of(5), 100, None), Ok(5_000));
        assert_eq!(timeout(of(6), 100, None), Err(Exit::Senseless));
        assert_eq!(timeout(of(6), 100, Some(7)), Ok(6_000));
        assert_eq!(timeout(of(1), 1_000, None), Err(Exit::Senseless));
        assert_eq!(timeout(none, 9, None), Err(Exit::Senseless));
        assert_eq!(timeout(none, 10, None), Ok(5_000));
    }

    #[test]
    fn the_brokers_session_timeout_is_not_ours_to_set() {
        let consumer =
            HostingArgs { group_protocol: Some(GroupProtocol::Consumer), ..HostingArgs::default() };
        assert_eq!(timeout(consumer, 100, Some(9)), Err(Exit::Usage));
        assert!(applied(consumer, 100, None).unwrap().broker_assigns);
        let longer = HostingArgs { transaction_timeout: Some(Duration::from_secs(20)), ..consumer };
        assert_eq!(timeout(longer, 100, None), Ok(20_000));
    }
}
