//! Membership of a consumer group: which partitions are ours, and for how long.
//!
//! A client of its own that never fetches: what the group assigns is paused at once, so that one queue carries rebalances only and
//! another (see `fetch`) records only. Promises:
//!
//! - a partition that is wanted elsewhere stays ours until the worker has given it back: the answer to a revocation waits for that,
//!   while this client goes on being polled, so that no other deadline runs out;
//! - the group learns nothing of a new life before the worker has been told of the end of the old one: the proof of membership changes
//!   behind [`Event::Lost`], in the same channel.
//!
//! What breaks it: a worker that never gives back. The group waits for `max.poll.interval.ms`, then goes on without it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset as Position, TopicPartitionList};

use super::connection::{Connection, SILENCE};
use super::fault;
use super::lives::Lives;
use super::proof::{NativeMetadata, Proof};
use super::serving::{Calls, Counted, serve};
use crate::error::{Error, Result};
use crate::log::bell::Bell;
use crate::log::{Event, Membership, Notice, Offset, Subscription, TopicPartition};

/// How long the group waits for a member that gives nothing back. Longer than a commit may take, shorter than an operator's patience.
const GIVE_BACK_MS: u64 = 60_000;
/// Members hear of a rebalance in the answer to a heartbeat: this is what a handover waits for.
const HEARTBEAT_MS: u64 = 500;
/// How often a proof of membership is compared with what the group knows: where the broker assigns, its epoch changes without a word.
const LOOK: Duration = Duration::from_millis(100);
/// A broker that assigns has no word for "nothing for you": whoever got nothing for so long is a spare. A handover takes two heartbeats,
/// one of whoever gives and one of ours, and the broker asks for one every 5 s.
const NOTHING_AFTER: Duration = Duration::from_secs(15);

/// How long joining waits for the coordinator's first answer.
const INTRODUCTION: Duration = Duration::from_secs(3);
/// How long leaving may take: the group is told, and nobody is waited for.
const LEAVE: Duration = Duration::from_secs(3);

/// A member of a group.
pub(super) struct Member {
    client: Arc<BaseConsumer<Rebalances>>,
    lives: Arc<Lives>,
    subscription: Subscription,
    broker_assigns: bool,
    /// What the group has assigned and neither taken away nor been given back.
    owned: Vec<TopicPartition>,
    /// What is wanted elsewhere and has not been given back.
    wanted: Vec<TopicPartition>,
    /// What the revocation under way named.
    revoked: Vec<TopicPartition>,
    /// Member id and generation of the proof the worker holds.
    proven: Option<(String, i32)>,
    incarnation: i64,
    looked: Instant,
    /// Since when the worker waits to be told what is its.
    untold: Option<Instant>,
}

/// What librdkafka's callbacks leave for the thread that polls.
#[derive(Default)]
struct Rebalances {
    changes: Mutex<VecDeque<Rebalanced>>,
    calls: Calls,
    /// Leaving: nothing is asked back from the worker any more.
    leaving: AtomicBool,
}

enum Rebalanced {
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
    Lost(Vec<TopicPartition>),
}

impl Member {
    pub(super) fn join(
        connection: &Connection,
        subscription: &Subscription,
        lives: &Arc<Lives>,
        bell: &Arc<Bell>,
    ) -> Result<Member> {
        let config = configuration(connection, subscription);
        let client = config.create_with_context(Rebalances::default());
        let mut client: BaseConsumer<Rebalances> =
            client.map_err(|cause| fault::named("could not make a client for the group", cause))?;
        let bell = bell.clone();
        client.set_nonempty_callback(move || bell.ring(false));
        let topics: Vec<&str> = subscription.topics.iter().map(String::as_str).collect();
        let joined = client.subscribe(&topics);
        joined.map_err(|cause| fault::named(&format!("could not join `{}`", subscription.group), cause))?;
        let member = Member {
            client: Arc::new(client),
            lives: lives.clone(),
            subscription: subscription.clone(),
            broker_assigns: connection.broker_assigns,
            owned: Vec::new(),
            wanted: Vec::new(),
            revoked: Vec::new(),
            proven: None,
            incarnation: 0,
            looked: Instant::now(),
            untold: Some(Instant::now()),
        };
        // The coordinator has heard of us once it has given us an id: whoever asks for this member's lives then finds this one. Rebalances
        // met meanwhile wait in the context. Brokers out of reach are not waited for any longer.
        let until = Instant::now() + INTRODUCTION;
        while !member.note_life() && Instant::now() < until {
            let _ = member.client.poll(Duration::from_millis(5));
        }
        Ok(member)
    }

    /// Remembers the id under which the coordinator knows us now, which is another one after it has lost sight of us. False if there is
    /// none yet.
    fn note_life(&self) -> bool {
        let Some(metadata) = NativeMetadata::of(self.client.client()) else { return false };
        self.lives.note(metadata.member_id());
        !metadata.member_id().is_empty()
    }

    /// Serves the group: what has changed goes behind `notices`.
    pub(super) fn tend(&mut self, notices: &mut VecDeque<Notice>) -> Result<()> {
        let served = serve(&self.client, |error| self.judge(error));
        let changes: Vec<Rebalanced> = self.client.context().changes().drain(..).collect();
        for change in changes {
            match change {
                Rebalanced::Assigned(partitions) => {
                    self.untold = None;
                    self.prove(notices);
                    self.owned.extend(partitions.iter().cloned());
                    notices.push_back(Notice::Event(Event::Assigned(partitions)));
                }
                Rebalanced::Revoked(partitions) => {
                    self.wanted.clone_from(&partitions);
                    self.revoked.clone_from(&partitions);
                    notices.push_back(Notice::Event(Event::Revoked(partitions)));
                }
                Rebalanced::Lost(partitions) => self.lose(partitions, notices),
            }
        }
        if !self.wanted.is_empty() && self.client.assignment_lost() {
            // The group did not wait: what was not given back in time is lost.
            let wanted = std::mem::take(&mut self.wanted);
            self.lose(wanted, notices);
            self.give_back();
        }
        if self.broker_assigns && self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            self.prove(notices);
            let is_member = self.proven.is_some();
            if self.untold.take_if(|since| is_member && since.elapsed() >= NOTHING_AFTER).is_some() {
                notices.push_back(Notice::Event(Event::Assigned(Vec::new())));
            }
        }
        if matches!(served, Err(Error::Fenced { .. })) {
            let all = self.owned.clone();
            self.lose(all, notices);
        }
        served
    }

    /// False for a partition of the group that is not ours.
    pub(super) fn may_read(&self, partition: &TopicPartition) -> bool {
        self.owned.contains(partition)
            || !self.subscription.topics.iter().any(|topic| **topic == *partition.topic)
    }

    /// True if giving back `partitions` gives back this one. A worker owns partition *numbers*: naming one topic's partition
    /// gives back that number of every topic.
    pub(super) fn gives_back(&self, partition: &TopicPartition, partitions: &[TopicPartition]) -> bool {
        let of_group =
            |one: &TopicPartition| self.subscription.topics.iter().any(|topic| **topic == *one.topic);
        of_group(partition)
            && partitions.iter().any(|given| given.partition == partition.partition && of_group(given))
    }

    /// Takes back from the worker; once all that was wanted is there, the group gets it.
    pub(super) fn release(&mut self, partitions: &[TopicPartition]) {
        if self.wanted.is_empty() {
            return;
        }
        let wanted = std::mem::take(&mut self.wanted);
        let (given, kept): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(|wanted| self.gives_back(wanted, partitions));
        self.owned.retain(|owned| !given.contains(owned));
        self.wanted = kept;
        if self.wanted.is_empty() {
            self.give_back();
        }
    }

    /// Leaves the group; a static member stays in it until its session ends.
    pub(super) fn leave(&mut self) {
        self.note_life();
        self.client.context().leaving.store(true, Ordering::Release);
        if !self.revoked.is_empty() {
            self.give_back();
        }
        let until = Instant::now() + LEAVE;
        // It fails only if it has begun to close before.
        let _ = self.client.close_queue();
        while !self.client.closed() && Instant::now() < until {
            let _ = self.client.poll(Duration::from_millis(10));
        }
    }

    fn lose(&mut self, partitions: Vec<TopicPartition>, notices: &mut VecDeque<Notice>) {
        self.owned.retain(|owned| !partitions.contains(owned));
        if !partitions.is_empty() {
            self.untold = Some(Instant::now());
            notices.push_back(Notice::Event(Event::Lost(partitions)));
        }
    }

    /// Answers the revocation.
    fn give_back(&mut self) {
        let revoked = std::mem::take(&mut self.revoked);
        self.wanted.clear();
        self.client.context().unassign(&self.client, &as_list(&revoked));
    }

    fn judge(&self, error: KafkaError) -> Result<()> {
        let Subscription { group, member, .. } = &self.subscription;
        let code = error.rdkafka_error_code();
        let refused = |what: String, remedy: &str| Err(Error::Refused { what, remedy: remedy.to_owned() });
        match code {
            Some(RDKafkaErrorCode::FencedInstanceId | RDKafkaErrorCode::UnreleasedInstanceId) => {
                Err(Error::Fenced {
                    who: member.clone(),
                    why: format!("another process is `{member}` in group `{group}`"),
                })
            }
            Some(RDKafkaErrorCode::GroupAuthorizationFailed) => refused(
                format!("the broker does not let us into group `{group}`"),
                "allow READ on the group to this user",
            ),
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => refused(
                format!("the broker does not let us read the topics of group `{group}`"),
                "allow READ and DESCRIBE on them to this user",
            ),
            Some(RDKafkaErrorCode::InconsistentGroupProtocol) => refused(
                format!("the members of group `{group}` assign partitions in another way than `range`"),
                "stop the other program, or choose another --app",
            ),
            Some(RDKafkaErrorCode::InvalidSessionTimeout) => refused(
                format!(
                    "the broker does not allow a session timeout of `{}` ms",
                    self.subscription.session_timeout_ms
                ),
                "choose one between its `group.min.session.timeout.ms` and `group.max.session.timeout.ms`",
            ),
            Some(RDKafkaErrorCode::UnsupportedVersion | RDKafkaErrorCode::UnsupportedAssignor) => refused(
                format!("the broker does not assign partitions for group `{group}`"),
                "use `--group-protocol classic` with brokers before 4.0",
            ),
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
                Err(fault::named(&format!("membership of group `{group}` failed"), error))
            }
            // Coordinators move, connections break: librdkafka joins again by itself.
            _ => Ok(()),
        }
    }

    /// Hands the worker the proof of its present life, if that is a new one.
    fn prove(&mut self, notices: &mut VecDeque<Notice>) {
        let Some(metadata) = NativeMetadata::of(self.client.client()) else { return };
        let life = (metadata.member_id().to_owned(), metadata.generation());
        if life.0.is_empty() || self.proven.as_ref() == Some(&life) {
            return;
        }
        self.lives.note(&life.0);
        self.proven = Some(life);
        self.incarnation += 1;
        let client = Arc::downgrade(&self.client);
        let group = self.subscription.group.clone();
        let commit = move |offsets: &[(TopicPartition, Offset)]| {
            let Some(client) = client.upgrade() else {
                return Err(Error::Fenced {
                    who: group.clone(),
                    why: "the member has left the group".into(),
                });
            };
            let mut list = TopicPartitionList::new();
            for (partition, offset) in offsets {
                let added = list.add_partition_offset(
                    &partition.topic,
                    as_number(partition),
                    Position::Offset(offset.0),
                );
                added.map_err(|cause| fault::named("could not name an offset", cause))?;
            }
            let committed = client.commit(&list, CommitMode::Sync);
            committed.map_err(|cause| fault::named(&format!("could not commit for `{group}`"), cause))
        };
        notices.push_back(Notice::Rejoined(Membership {
            member: self.subscription.member.clone(),
            incarnation: self.incarnation,
            proof: Some(Arc::new(Proof { metadata: Arc::new(metadata), commit: Box::new(commit) })),
        }));
    }
}

impl Rebalances {
    fn changes(&self) -> MutexGuard<'_, VecDeque<Rebalanced>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unassign(&self, client: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        let done = match client.rebalance_protocol() {
            RebalanceProtocol::Cooperative => client.incremental_unassign(partitions),
            RebalanceProtocol::None | RebalanceProtocol::Eager => client.unassign(),
        };
        // It fails only for a client that is broken for good, which the next poll tells.
        let _ = done;
    }
}

impl ClientContext for Rebalances {
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {
        self.calls.note();
    }
    fn error(&self, _: KafkaError, _: &str) {}
    fn stats_raw(&self, _: &[u8]) {
        self.calls.note();
    }
}

impl Counted for Rebalances {
    fn calls(&self) -> &Calls {
        &self.calls
    }
}

impl ConsumerContext for Rebalances {
    /// Called from within `poll`. Never waits: a revocation is answered later, when the worker has given back.
    fn rebalance(&self, client: &BaseConsumer<Self>, kind: RDKafkaRespErr, list: &mut TopicPartitionList) {
        self.calls.note();
        let partitions = from_list(list);
        if kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            // Paused before it is assigned, and at an offset that nobody must be asked for: this client fetches nothing.
            let _ = list.set_all_offsets(Position::Offset(0));
            let _ = client.pause(list);
            let _ = match client.rebalance_protocol() {
                RebalanceProtocol::Cooperative => client.incremental_assign(list),
                RebalanceProtocol::None | RebalanceProtocol::Eager => client.assign(list),
            };
            self.changes().push_back(Rebalanced::Assigned(partitions));
        } else if client.assignment_lost() {
            self.changes().push_back(Rebalanced::Lost(partitions));
            self.unassign(client, list);
        } else if partitions.is_empty() || self.leaving.load(Ordering::Acquire) {
            self.unassign(client, list);
        } else {
            self.changes().push_back(Rebalanced::Revoked(partitions));
        }
    }
}

fn configuration(connection: &Connection, subscription: &Subscription) -> rdkafka::ClientConfig {
    let session_ms = subscription.session_timeout_ms;
    let mut config = connection.client_with(&[("socket.timeout.ms", &SILENCE.as_millis().to_string())]);
    config
        .set("group.id", &subscription.group)
        // Shown as the member's name by every tool, and by `tidegate groups`.
        .set("client.id", &subscription.member)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("allow.auto.create.topics", "false")
        .set("max.poll.interval.ms", session_ms.max(GIVE_BACK_MS).to_string())
        // Nothing is fetched; should anything slip through, it is little.
        .set("queued.max.messages.kbytes", "1")
        .set("queued.min.messages", "1");
    if connection.static_membership {
        config.set("group.instance.id", &subscription.member);
    }
    if connection.broker_assigns {
        // KIP-848: the broker assigns, and its settings decide session timeout and heartbeats.
        config.set("group.protocol", "consumer").set("group.remote.assignor", "range");
    } else {
        // Only `range` gives the same partition number of every topic to one member; cooperative-sticky does not, and has open
        // faults in librdkafka.
        config
            .set("partition.assignment.strategy", "range")
            .set("session.timeout.ms", session_ms.to_string())
            .set("heartbeat.interval.ms", (session_ms / 6).clamp(100, HEARTBEAT_MS).to_string());
    }
    config
}

fn from_list(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let partition = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        TopicPartition::new(element.topic(), u32::try_from(element.partition()).unwrap_or_default())
    };
    list.elements().iter().map(partition).collect()
}

fn as_list(partitions: &[TopicPartition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(&partition.topic, as_number(partition));
    }
    list
}

fn as_number(partition: &TopicPartition) -> i32 {
    i32::try_from(partition.partition).unwrap_or(i32::MAX)
}
