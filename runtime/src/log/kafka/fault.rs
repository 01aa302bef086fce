//! From librdkafka's words to the log's errors.
//!
//! A [`Failure`] is what a call was answered with, together with what the client heard from its brokers meanwhile: "timed out" alone tells
//! nobody that a port refuses connections. Where a call leaves the home, [`Failure::named`] says what was tried. What passes by itself
//! is transient; what a user must change (a permission, a password, a limit) is refused with the remedy; a code this file does not know
//! is refused too, so that nothing is tried again for ever that nobody has thought about.

use std::error::Error as StdError;
use std::fmt;

use rdkafka::error::KafkaError;
pub(super) use rdkafka::error::RDKafkaErrorCode as Code;

use super::heard::Word;
use crate::error::Error;

/// What a call was answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: Code,
    /// The same for people.
    pub(super) text: String,
    /// What the brokers' connections have reported lately.
    pub(super) heard: Option<Word>,
    /// The client is of no more use.
    pub(super) fatal: bool,
    /// The same call may be made again to wait on.
    pub(super) retriable: bool,
}

impl Failure {
    pub(super) fn new(code: Code, text: impl Into<String>) -> Failure {
        Failure { code, text: text.into(), heard: None, fatal: false, retriable: false }
    }

    /// The error a caller sees: `what` was tried.
    pub(super) fn named(self, what: &str) -> Error {
        let code = self.effective_code();
        match remedy(code) {
            Some(remedy) if code == Code::SSL => {
                Error::Untrusted { what: format!("could not {what}: {self}"), remedy: remedy.to_owned() }
            }
            Some(remedy) => {
                Error::Refused { what: format!("could not {what}: {self}"), remedy: remedy.to_owned() }
            }
            None => Error::Transient { what: format!("could not {what}"), cause: Box::new(self) },
        }
    }

    /// As [`named`](Failure::named), for a request about one topic.
    pub(super) fn about(self, topic: &str, what: &str) -> Error {
        match self.is_unknown_topic() {
            true => Error::UnknownTopic(topic.to_owned()),
            false => self.named(what),
        }
    }

    pub(super) fn is_unknown_topic(&self) -> bool {
        matches!(
            self.code,
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::InvalidTopic
        )
    }

    /// The group's coordinator is elsewhere, or on its way.
    pub(super) fn is_coordinator_moving(&self) -> bool {
        matches!(
            self.code,
            Code::NotCoordinator | Code::CoordinatorNotAvailable | Code::CoordinatorLoadInProgress
        )
    }

    /// The group knows the member no more, or in another generation.
    pub(super) fn is_group_fencing(&self) -> bool {
        matches!(
            self.code,
            Code::IllegalGeneration
                | Code::UnknownMemberId
                | Code::FencedInstanceId
                | Code::FencedMemberEpoch
                | Code::StaleMemberEpoch
                | Code::RebalanceInProgress
        )
    }

    /// The user is not allowed to, or not known.
    pub(super) fn is_permission(&self) -> bool {
        matches!(
            self.effective_code(),
            Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::TransactionalIdAuthorizationFailed
                | Code::Authentication
                | Code::SaslAuthenticationFailed
        )
    }

    /// The broker knows a newer epoch of the transactional id.
    pub(super) fn is_fencing(&self) -> bool {
        matches!(self.code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
    }

    /// A password that is refused shows in the call as a timeout: what was heard is closer to the cause.
    fn effective_code(&self) -> Code {
        let heard = self.heard.as_ref().and_then(|word| word.code);
        match heard {
            Some(heard) if is_timeout(self.code) => heard,
            _ => self.code,
        }
    }
}

fn is_timeout(code: Code) -> bool {
    matches!(
        code,
        Code::OperationTimedOut
            | Code::MessageTimedOut
            | Code::TimedOutQueue
            | Code::BrokerTransportFailure
            | Code::AllBrokersDown
    )
}

/// What the user can do; `None` for what passes.
fn remedy(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::TopicAuthorizationFailed => {
            "let the broker's access rules allow this user to describe, read, write and create the topic"
        }
        Code::GroupAuthorizationFailed => {
            "let the broker's access rules allow this user to read and describe the group"
        }
        Code::TransactionalIdAuthorizationFailed => {
            "let the broker's access rules allow this user to write and describe the transactional id"
        }
        Code::ClusterAuthorizationFailed => {
            "let the broker's access rules allow this user to do so on the cluster"
        }
        Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism => {
            "check the user, the password and the SASL mechanism"
        }
        Code::SSL => "check the security protocol and the certificates on both sides",
        Code::InvalidTransactionTimeout => {
            "make the transaction timeout shorter, or raise the broker's `transaction.max.timeout.ms`"
        }
        Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::MessageBatchTooLarge => {
            "raise `max.message.bytes` of the topic, or `message.max.bytes` of the broker and of the client"
        }
        Code::InvalidTimestamp => {
            "set `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms` of the topic to 9223372036854775807"
        }
        code if passes(code) => return None,
        _ => "see the broker's log for the reason",
    })
}

fn passes(code: Code) -> bool {
    let ours = (code as i32) < 0;
    // Codes below zero are librdkafka's own: the network, its queues and its timers, but for those that name a mistake.
    let mistake = matches!(
        code,
        Code::InvalidArgument
            | Code::UnsupportedFeature
            | Code::NotConfigured
            | Code::InvalidType
            | Code::ReadOnly
    );
    (ours && !mistake)
        || matches!(
            code,
            Code::LeaderNotAvailable
                | Code::NotLeaderForPartition
                | Code::RequestTimedOut
                | Code::BrokerNotAvailable
                | Code::ReplicaNotAvailable
                | Code::NetworkException
                | Code::CoordinatorLoadInProgress
                | Code::CoordinatorNotAvailable
                | Code::NotCoordinator
                | Code::NotEnoughReplicas
                | Code::NotEnoughReplicasAfterAppend
                | Code::NotController
                | Code::RebalanceInProgress
                | Code::ConcurrentTransactions
                | Code::UnstableOffsetCommit
                | Code::KafkaStorageError
                | Code::ThrottlingQuotaExceeded
                | Code::FencedLeaderEpoch
                | Code::UnknownLeaderEpoch
                | Code::OffsetNotAvailable
                | Code::PreferredLeaderNotAvailable
                | Code::EligibleLeadersNotAvailable
                | Code::ReassignmentInProgress
                | Code::OutOfOrderSequenceNumber
                | Code::UnknownProducerId
                | Code::InvalidProducerIdMapping
                | Code::InvalidTransactionalState
                | Code::TopicAlreadyExists
                | Code::UnknownTopicOrPartition
                | Code::Unknown
        )
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match &self.heard {
            Some(word) if is_timeout(self.code) => write!(f, " ({})", word.text),
            _ => Ok(()),
        }
    }
}

impl StdError for Failure {}

/// What never reached librdkafka: a name it cannot take.
impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::new(Code::InvalidArgument, error.to_string())
    }
}

impl From<KafkaError> for Failure {
    fn from(error: KafkaError) -> Failure {
        let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
        Failure::new(code, error.to_string())
    }
}

/// What went wrong while doing `what`, and what is to be done about it.
pub(super) fn named(what: &str, cause: KafkaError) -> Error {
    Failure::from(cause).named(what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Reaction;

    #[test]
    fn what_passes_is_tried_again_and_what_a_user_must_change_is_not() {
        for code in
            [Code::OperationTimedOut, Code::NotCoordinator, Code::BrokerTransportFailure, Code::QueueFull]
        {
            assert_eq!(Failure::new(code, "x").named("do it").reaction(), Reaction::Retry, "{code:?}");
        }
        let permission = Failure::new(Code::TopicAuthorizationFailed, "Broker: Topic authorization failed");
        let text = permission.named("write to `t`").to_string();
        assert!(
            text.starts_with("could not write to `t`: Broker: Topic") && text.contains("access rules"),
            "{text}"
        );
        for code in [Code::InvalidConfig, Code::PolicyViolation, Code::InvalidArgument] {
            assert_eq!(Failure::new(code, "x").named("do it").reaction(), Reaction::Stop, "{code:?}");
        }
    }

    #[test]
    fn a_timeout_says_what_was_heard() {
        let refused =
            Word { code: Some(Code::BrokerTransportFailure), text: "h:1: Connection refused".to_owned() };
        let failure =
            Failure { heard: Some(refused), ..Failure::new(Code::OperationTimedOut, "Local: Timed out") };
        assert_eq!(failure.to_string(), "Local: Timed out (h:1: Connection refused)");
        assert_eq!(failure.named("ask").reaction(), Reaction::Retry);
        let password =
            Word { code: Some(Code::Authentication), text: "SASL authentication error".to_owned() };
        let failure =
            Failure { heard: Some(password), ..Failure::new(Code::OperationTimedOut, "Local: Timed out") };
        let text = failure.named("ask").to_string();
        assert!(text.contains("SASL authentication error") && text.contains("check the user"), "{text}");
    }

    /// Out of reach, for a script: nothing that is kept contradicts what was asked.
    #[test]
    fn a_failed_tls_check_is_an_error_of_its_own() {
        let heard = Word { code: Some(Code::SSL), text: "certificate verify failed".to_owned() };
        let failure =
            Failure { heard: Some(heard), ..Failure::new(Code::OperationTimedOut, "Local: Timed out") };
        let error = failure.named("ask");
        assert!(matches!(error, Error::Untrusted { .. }), "{error}");
        assert_eq!(error.reaction(), Reaction::Stop);
    }

    #[test]
    fn an_unknown_topic_is_named() {
        let failure = Failure::new(Code::UnknownTopicOrPartition, "x");
        assert!(matches!(failure.about("t", "ask"), Error::UnknownTopic(name) if name == "t"));
        assert!(!matches!(
            Failure::new(Code::OperationTimedOut, "x").about("t", "ask"),
            Error::UnknownTopic(_)
        ));
    }
}
