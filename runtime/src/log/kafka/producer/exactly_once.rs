//! The transactional producer: one Kafka transaction per commit.
//!
//! Promise: a transaction shows all at once or never, together with the offsets in it, and only the latest holder of the transactional id
//! can end one. Every commit sends the member's proof along, so that a zombie's is refused by the group's coordinator. When it is not
//! known whether a commit happened, that is said, and this producer does nothing more (law 8).
//!
//! What breaks it: offsets that were not computed from what the same transaction holds; and taking [`Error::Fenced`] for a licence to send
//! the same again. A fenced commit wrote nothing, but for one case: its answer was lost on the way, it was asked for again, and meanwhile
//! somebody else opened the id. So whoever goes on after any error reads what is committed first.
//!
//! librdkafka's traps here: it knows neither KIP-588 nor KIP-890, so that a broker that timed a transaction out looks like a newer holder
//! of the id; a commit cannot be asked about later; an error of the client is for ever. The states below follow from that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::admin::{Admin, refused_by_members};
use super::super::connection::Connection;
use super::super::fault::{Code, Failure};
use super::super::native::{Client, PartitionList};
use super::super::proof::NativeMetadata;
use super::sender::{self, Sender, Unsent};
use super::{LAST_WORDS, REPORTS_WITHIN, member_of, producing, proof_of, stamp, transaction};
use crate::error::{Error, Result};
use crate::log::{GroupOffsets, Outgoing, Producer, Receipt};

/// How long opening an id may take: longer than ending what its former holder left open, and than a coordinator's restart.
const OPENS_WITHIN: Duration = Duration::from_secs(10);
/// How long an abort may take beyond the time its records have.
const ABORTS_WITHIN: Duration = Duration::from_secs(5);

/// What may still be done.
enum State {
    /// Nothing is sent.
    Idle,
    /// A transaction is open.
    Open { since: Instant },
    /// An error left the transaction incomplete: it can only be aborted.
    MustAbort { since: Instant },
    /// As after such an error, and the client has been replaced by one that has not opened the id yet.
    Unopened,
    /// The broker knows a newer epoch of the id.
    Fenced { why: String },
    /// The outcome of a commit is unknown, or the client has ended with an error for ever: only a new producer can go on.
    Over { why: String },
}

/// One holder of a transactional id.
pub(super) struct KafkaProducer {
    sender: Sender,
    config: rdkafka::ClientConfig,
    admin: Arc<Admin>,
    transactional_id: String,
    /// What the broker allows a transaction.
    limit: Duration,
    state: State,
}

impl KafkaProducer {
    pub(super) fn open(connection: &Connection, admin: &Arc<Admin>, id: &str) -> Result<KafkaProducer> {
        let limit = connection.transaction_timeout;
        let mut config = producing(connection, limit);
        config.set("transactional.id", id).set("transaction.timeout.ms", sender::millis(limit).to_string());
        let sender = Sender::new(Client::producer(&config, stamp::prepare)?, admin.clone(), limit);
        let transactional_id = id.to_owned();
        let mut producer = KafkaProducer {
            sender,
            config,
            admin: admin.clone(),
            transactional_id,
            limit,
            state: State::Idle,
        };
        producer.init()?;
        Ok(producer)
    }

    fn init(&mut self) -> Result<()> {
        transaction::init(&self.sender.client, OPENS_WITHIN).map_err(|failure| {
            let what = format!("open the transactional id `{}`", self.transactional_id);
            match failure.is_fencing() {
                true => self.failed(failure, &what),
                false => failure.named(&what),
            }
        })
    }

    /// Goes on with a new client, when the broker has just confirmed that nobody else has opened the id.
    fn reopen(&mut self) -> Result<()> {
        let client = Client::producer(&self.config, stamp::prepare)?;
        self.sender = Sender::new(client, self.admin.clone(), self.limit);
        self.state = State::Unopened;
        self.init()
    }

    fn check_usable(&self) -> Result<()> {
        let id = &self.transactional_id;
        match &self.state {
            State::Idle | State::Open { .. } => Ok(()),
            State::MustAbort { .. } | State::Unopened => Err(Error::Refused {
                what: format!("the transaction of `{id}` has failed"),
                remedy: "abort it".to_owned(),
            }),
            State::Fenced { why } => Err(Error::Fenced { who: id.clone(), why: why.clone() }),
            State::Over { why } => {
                Err(Error::UnknownOutcome { transactional_id: id.clone(), cause: why.clone().into() })
            }
        }
    }

    fn begin(&mut self) -> Result<()> {
        if let State::Idle = self.state {
            self.state = State::Open { since: Instant::now() };
            let begun = transaction::begin(&self.sender.client);
            begun.map_err(|failure| self.failed(failure, "begin a transaction"))?;
        }
        Ok(())
    }

    /// How long a transaction has been open.
    fn age(&self) -> Duration {
        match self.state {
            State::Open { since } | State::MustAbort { since } => since.elapsed(),
            _ => Duration::ZERO,
        }
    }

    fn must_abort(&mut self) {
        if let State::Open { since } = self.state {
            self.state = State::MustAbort { since };
        }
    }

    /// What a call before the end of a transaction was answered with. Nothing of the transaction has been committed.
    fn failed(&mut self, failure: Failure, what: &str) -> Error {
        if failure.is_fencing() {
            let mut why = "a newer instance has opened this transactional id".to_owned();
            let age = self.age();
            // A transaction of a producer that fell silent is ended by the broker by the same means as a newer holder ends it.
            if age >= self.limit {
                why += &format!(
                    ", or the broker has ended a transaction that was open for {} ms, longer than its limit of {} ms",
                    age.as_millis(),
                    self.limit.as_millis()
                );
            }
            self.state = State::Fenced { why: why.clone() };
            return Error::Fenced { who: self.transactional_id.clone(), why };
        }
        if failure.fatal {
            self.state = State::Over { why: failure.to_string() };
            return match failure.clone().named(what) {
                refused @ Error::Refused { .. } if failure.is_permission() => refused,
                _ => self.over(failure),
            };
        }
        self.must_abort();
        failure.named(what)
    }

    fn over(&mut self, failure: Failure) -> Error {
        self.state = State::Over { why: failure.to_string() };
        Error::UnknownOutcome { transactional_id: self.transactional_id.clone(), cause: Box::new(failure) }
    }

    /// Everything sent has been delivered, or the transaction has failed.
    fn drain(&mut self) -> Result<()> {
        let is_drained = self.sender.drain(self.limit + REPORTS_WITHIN);
        let undelivered = self.sender.client.take_undelivered();
        match (undelivered, is_drained) {
            (None, true) => Ok(()),
            (Some(undelivered), _) => Err(self.undelivered(undelivered)),
            (None, false) => {
                let failure = Failure::new(Code::MessageTimedOut, "records are still on their way");
                Err(self.failed(failure, &format!("deliver the records of `{}`", self.transactional_id)))
            }
        }
    }

    /// A record was not delivered, so the transaction has failed: for the record's own reason, unless that was only given up with the rest.
    fn undelivered(&mut self, undelivered: Failure) -> Error {
        let what = format!("deliver the records of `{}`", self.transactional_id);
        let is_given_up = matches!(undelivered.code, Code::PurgeQueue | Code::PurgeInflight);
        match transaction::verdict(&self.sender.client) {
            Err(verdict) if verdict.fatal || verdict.is_fencing() || is_given_up => {
                self.failed(verdict, &what)
            }
            Err(_) => self.failed(undelivered, &what),
            // librdkafka counts what was not delivered before it reports it: it cannot have committed.
            Ok(()) => self.over(undelivered),
        }
    }

    fn add_offsets(&mut self, offsets: &GroupOffsets) -> Result<()> {
        for (partition, _) in &offsets.offsets {
            self.sender.check(partition)?;
        }
        let list =
            PartitionList::new(offsets.offsets.iter().map(|(partition, offset)| (partition, offset.0)))?;
        let who = match &offsets.membership {
            Some(membership) => proof_of(membership, &offsets.group)?.metadata.clone(),
            None => Arc::new(NativeMetadata::memberless(&offsets.group)?),
        };
        let added = transaction::add_offsets(&self.sender.client, list, who, self.limit);
        added.map_err(|failure| match failure.is_group_fencing() {
            true => refused_by_group(offsets, &failure),
            false => {
                let what = format!("put offsets of group `{}` into the transaction", offsets.group);
                self.failed(failure, &what)
            }
        })
    }

    fn abort_transaction(&mut self) -> Result<()> {
        self.must_abort();
        match transaction::abort(&self.sender.client, ABORTS_WITHIN) {
            Ok(()) => {
                self.sender.forget();
                Ok(())
            }
            // The coordinator has compared epochs, found ours the latest, and knows of no transaction: nothing of it had reached the
            // brokers. There is nothing to abort, which librdkafka takes for the end of the client.
            Err(failure) if failure.code == Code::InvalidTransactionalState => self.reopen(),
            Err(failure) => {
                Err(self.failed(failure, &format!("abort a transaction of `{}`", self.transactional_id)))
            }
        }
    }

    /// Asks for the commit. From here on, an error does not mean that nothing happened.
    fn end(&mut self) -> Result<()> {
        let ended = transaction::commit(&self.sender.client, self.limit);
        ended.map_err(|failure| match failure.is_fencing() {
            true => self.failed(failure, "commit"),
            false => self.over(failure),
        })
    }

    fn try_commit(&mut self, offsets: Option<&GroupOffsets>) -> Result<()> {
        self.begin()?;
        // The offsets first: while their coordinators answer, the records are on their way.
        if let Some(offsets) = offsets {
            self.add_offsets(offsets)?;
        }
        self.drain()?;
        self.end()
    }
}

impl Producer for KafkaProducer {
    fn send(&mut self, outgoing: &mut Outgoing) -> Result<()> {
        self.check_usable()?;
        if outgoing.is_empty() {
            return Ok(());
        }
        self.begin()?;
        self.sender.send(outgoing).map_err(|unsent| {
            self.must_abort();
            match unsent {
                Unsent::Error(error) => error,
                Unsent::Failure(failure) => match self.sender.client.take_undelivered() {
                    Some(undelivered) => self.undelivered(undelivered),
                    None => self.failed(failure, &format!("send records by `{}`", self.transactional_id)),
                },
            }
        })
    }

    fn commit(&mut self, offsets: Option<&GroupOffsets>) -> Result<Receipt> {
        self.check_usable()?;
        let offsets = offsets.filter(|offsets| !offsets.offsets.is_empty());
        if matches!(self.state, State::Idle) && offsets.is_none() {
            return Ok(Receipt::default());
        }
        match self.try_commit(offsets) {
            Ok(()) => {
                self.state = State::Idle;
                self.sender.receipt()
            }
            Err(error) => {
                self.must_abort();
                Err(error)
            }
        }
    }

    fn abort(&mut self) -> Result<()> {
        match self.state {
            State::Open { .. } | State::MustAbort { .. } => self.abort_transaction()?,
            State::Unopened => self.init()?,
            State::Idle | State::Fenced { .. } | State::Over { .. } => return self.check_usable(),
        }
        self.state = State::Idle;
        Ok(())
    }
}

impl Drop for KafkaProducer {
    fn drop(&mut self) {
        if let State::Open { .. } | State::MustAbort { .. } = self.state {
            // Readers of committed records would wait for it until the broker ends it. What cannot be ended now is ended then.
            let _ = transaction::abort(&self.sender.client, LAST_WORDS);
        }
    }
}

/// The group's coordinator does not know who committed. Nothing was written.
fn refused_by_group(offsets: &GroupOffsets, failure: &Failure) -> Error {
    let group = &offsets.group;
    match &offsets.membership {
        None => refused_by_members(group, "commit offsets past its members"),
        Some(membership) => Error::Fenced {
            who: member_of(membership, group),
            why: format!(
                "group `{group}` has evicted this member, replaced it by a newer instance, or shared its partitions out anew: {failure}"
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Reaction;
    use crate::log::kafka::RegistryConnection;
    use crate::log::{Membership, Offset, TopicPartition};

    /// In the middle of a transaction that has been open for `age`, with brokers nobody can reach.
    fn open_for(age: Duration) -> KafkaProducer {
        let connection = Connection::new("127.0.0.1:1", RegistryConnection::default());
        let admin = Arc::new(Admin::new(&connection).unwrap());
        let limit = Duration::from_secs(5);
        let config = producing(&connection, limit);
        let client = Client::producer(&config, stamp::prepare).unwrap();
        let sender = Sender::new(client, admin.clone(), limit);
        let state = State::Open { since: Instant::now().checked_sub(age).unwrap() };
        KafkaProducer { sender, config, admin, transactional_id: "id".to_owned(), limit, state }
    }

    fn fatal(code: Code) -> Failure {
        Failure { fatal: true, ..Failure::new(code, "broken") }
    }

    fn records() -> Outgoing {
        let mut outgoing = Outgoing::default();
        outgoing.partition(&"t".into(), 0).push(crate::time::EventTime(1), None, None, &[]);
        outgoing
    }

    #[test]
    fn a_fenced_producer_says_by_what_and_stays_fenced() {
        for (age, both) in [(Duration::ZERO, false), (Duration::from_secs(7), true)] {
            let mut producer = open_for(age);
            let error = producer.failed(fatal(Code::Fenced), "commit");
            let text = error.to_string();
            assert!(matches!(&error, Error::Fenced { who, .. } if who == "id"), "{text}");
            assert_eq!(text.contains("longer than its limit of 5000 ms"), both, "{text}");
            for again in [
                producer.abort().unwrap_err(),
                producer.send(&mut records()).unwrap_err(),
                producer.commit(None).unwrap_err(),
            ] {
                assert_eq!(again.to_string(), text);
            }
        }
    }

    #[test]
    fn a_client_that_has_ended_for_ever_leaves_an_unknown_outcome() {
        let mut producer = open_for(Duration::ZERO);
        let error = producer.failed(fatal(Code::OutOfOrderSequenceNumber), "deliver");
        assert_eq!(error.reaction(), Reaction::Restore, "{error}");
        assert_eq!(producer.abort().unwrap_err().reaction(), Reaction::Restore);
        assert_eq!(producer.send(&mut records()).unwrap_err().reaction(), Reaction::Restore);
        let refused =
            open_for(Duration::ZERO).failed(fatal(Code::TransactionalIdAuthorizationFailed), "commit");
        assert_eq!(refused.reaction(), Reaction::Stop, "{refused}");
    }

    #[test]
    fn after_an_error_that_passes_only_an_abort_is_allowed() {
        let mut producer = open_for(Duration::ZERO);
        let error = producer.failed(Failure::new(Code::MessageTimedOut, "late"), "deliver");
        assert_eq!(error.reaction(), Reaction::Retry, "{error}");
        for again in [producer.commit(None).unwrap_err(), producer.send(&mut records()).unwrap_err()] {
            assert!(again.to_string().contains("abort it"), "{again}");
        }
        // The error of the commit itself is another matter: it may have happened.
        let error = open_for(Duration::ZERO).over(Failure::new(Code::OperationTimedOut, "late"));
        assert_eq!(error.reaction(), Reaction::Restore, "{error}");
    }

    #[test]
    fn a_group_fences_its_member_and_not_the_transactional_id() {
        let membership = Membership { member: "id".to_owned(), incarnation: 1, proof: None };
        let offsets = |membership| GroupOffsets {
            group: "g".to_owned(),
            membership,
            offsets: vec![(TopicPartition::new("t", 0), Offset(1))],
        };
        let failure =
            Failure::new(Code::IllegalGeneration, "Broker: Specified group generation id is not valid");
        let error = refused_by_group(&offsets(Some(membership.clone())), &failure);
        assert!(matches!(&error, Error::Fenced { who, .. } if who == "id in group g"), "{error}");
        let unproved = proof_of(&membership, "g").err().unwrap();
        assert!(matches!(&unproved, Error::Fenced { who, .. } if who == "id in group g"), "{unproved}");
        let error = refused_by_group(&offsets(None), &failure);
        assert!(matches!(error, Error::Refused { .. }), "{error}");
    }

    #[test]
    fn properties_that_do_not_fit_together_are_refused_by_name() {
        let mut connection = Connection::new("127.0.0.1:1", RegistryConnection::default());
        connection.properties.insert("message.timeout.ms".to_owned(), "77777".to_owned());
        let admin = Arc::new(Admin::new(&connection).unwrap());
        let Err(error) = KafkaProducer::open(&connection, &admin, "id") else { panic!("opened") };
        let text = error.to_string();
        assert!(matches!(error, Error::Refused { .. }), "{text}");
        assert!(text.contains("`message.timeout.ms`") && !text.contains("77777"), "{text}");
    }
}
