//! What can go wrong, named by what the runtime does next (law 13).
//!
//! A bad *record* is not an [`Error`]: it is a [`BadRecord`], goes to the dead-letter topic, and the stream goes on.
//! An [`Error`] is about the log, the state or the machine, and its [`Reaction`] says whether trying again helps.

use std::fmt;

use crate::log::Coordinates;
use crate::quote::{bounded, printable};

/// The result of anything that touches the log or the state.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What the runtime does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// The same call may succeed later; nothing was changed by it.
    Retry,
    /// The worker drops its producer and every task it wrote for goes back to the committed offsets and state.
    Restore,
    /// This owner has been replaced: it lets go of its tasks, which live on elsewhere.
    Release,
    /// Nothing more is accepted: the process says so and ends with a non-zero code.
    Stop,
}

/// An error of the log, the state or the machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A passing fault: a lock, a broker or a registry out of reach.
    #[error("{what}")]
    Transient {
        /// What was tried.
        what: String,
        /// What stood in the way.
        #[source]
        cause: Cause,
    },
    /// The outcome of a commit is not known: it may or may not have happened (law 8).
    #[error("the outcome of a commit by `{transactional_id}` is unknown")]
    UnknownOutcome {
        /// Whose commit.
        transactional_id: String,
        /// What was heard last.
        #[source]
        cause: Cause,
    },
    /// A newer instance uses the same transactional id, or the group has given the partitions to another member.
    #[error("`{who}` was fenced: {why}")]
    Fenced {
        /// The transactional id or the member.
        who: String,
        /// By what.
        why: String,
    },
    /// Stored bytes are not what was written.
    #[error("{at}: stored data is damaged: {detail}")]
    Corrupt {
        /// Where.
        at: Coordinates,
        /// What does not fit.
        detail: String,
    },
    /// The topic is not there.
    #[error("topic `{0}` does not exist; `tidegate topics list` shows what does")]
    UnknownTopic(String),
    /// A request that contradicts what is kept; says the remedy.
    #[error("{what}; {remedy}")]
    Refused {
        /// What was asked, and what stands against it.
        what: String,
        /// What the user can do.
        remedy: String,
    },
    /// Something that is needed was not named: a flag is missing.
    #[error("{what}; {remedy}")]
    Unnamed {
        /// What is missing.
        what: String,
        /// How to name it.
        remedy: String,
    },
    /// The other side is not who it should be, or does not believe us: a TLS check failed.
    #[error("{what}; {remedy}")]
    Untrusted {
        /// What was tried, and what the check found.
        what: String,
        /// What the user can do.
        remedy: String,
    },
    /// The storage failed.
    #[error("{what}")]
    Storage {
        /// What was done, to which file.
        what: String,
        /// The database's or the system's word.
        #[source]
        cause: Cause,
    },
    /// A law was broken inside the engine: a defect of ours.
    #[error("defect in the engine: {0}; please report it")]
    Defect(String),
}

impl Error {
    /// What the runtime does about it.
    #[must_use]
    pub fn reaction(&self) -> Reaction {
        match self {
            Error::Transient { .. } => Reaction::Retry,
            Error::UnknownOutcome { .. } => Reaction::Restore,
            Error::Fenced { .. } => Reaction::Release,
            Error::Corrupt { .. }
            | Error::UnknownTopic(_)
            | Error::Refused { .. }
            | Error::Unnamed { .. }
            | Error::Untrusted { .. }
            | Error::Storage { .. }
            | Error::Defect(_) => Reaction::Stop,
        }
    }
}

/// Why a record cannot be processed: the reason's code stands in the dead letter's `reason` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// The first byte is not the 0 of the Confluent wire format.
    WrongMagic,
    /// No schema is registered under the record's schema id.
    UnknownSchema,
    /// The value ends before its schema does, or does not fit it.
    Undecodable,
    /// Bytes are left over behind the datum.
    TrailingBytes,
    /// The record stands in another partition than the one murmur2 gives its key.
    WrongPartition,
    /// The record has no key, and this topic needs one.
    NullKey,
    /// The record has no value.
    NullValue,
    /// The event time is before 1970 or past the allowed maximum.
    EventTime,
    /// The value is longer than a record may be.
    TooLarge,
    /// A rule of the domain refused it.
    Rule,
    /// A held record whose missing registration never came (law 19).
    Unidentified,
    /// A record with the same id and other content is remembered (law 12).
    IdReused,
}

impl Reason {
    /// The code in headers, counters and listings.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Reason::WrongMagic => "wrong-magic",
            Reason::UnknownSchema => "unknown-schema",
            Reason::Undecodable => "undecodable",
            Reason::TrailingBytes => "trailing-bytes",
            Reason::WrongPartition => "wrong-partition",
            Reason::NullKey => "null-key",
            Reason::NullValue => "null-value",
            Reason::EventTime => "event-time",
            Reason::TooLarge => "too-large",
            Reason::Rule => "rule",
            Reason::Unidentified => "unidentified",
            Reason::IdReused => "id-reused",
        }
    }
}

/// A record that cannot be processed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// The kind of fault.
    pub reason: Reason,
    /// The same for people, with the offending value.
    pub message: String,
}

impl BadRecord {
    /// A bad record with its reason and a message for people: what is not printable in it is escaped, and its length has a bound.
    pub fn new(reason: Reason, message: impl Into<String>) -> BadRecord {
        BadRecord { reason, message: bounded(&printable(&message.into())).into_owned() }
    }
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.code(), self.message)
    }
}

impl std::error::Error for BadRecord {}
