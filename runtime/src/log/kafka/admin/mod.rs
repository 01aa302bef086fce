//! Questions and changes: topics, watermarks, groups.
//!
//! One client for the whole process, shared by everybody. It is a consumer that joins no group and reads uncommitted: its questions never
//! make a topic, and its high watermarks count open transactions. Every call blocks for at most a few seconds; a cluster out of reach
//! is a transient error that names what its connections reported.
//!
//! ```text
//! mod (conditions, order) ─┬─ topics · configs · offsets · groups   one request each
//!                          └─ scan                                  offsets by time, where markers mislead the broker
//! request (deadline, answer)
//! ```

mod configs;
mod groups;
mod offsets;
mod request;
mod scan;
mod topics;

use std::collections::BTreeMap;
use std::mem::replace;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use self::configs::Answers;
pub use self::configs::Settings;
use self::topics::{Made, Seen};
use super::connection::Connection;
use super::fault::{Code, Failure};
use super::native::Client;
use crate::error::{Error, Result};
use crate::log::{Cleanup, GroupInfo, MemberInfo, Offset, TopicInfo, TopicPartition, TopicSpec, Watermarks};
use crate::time::EventTime;

/// How long a change may take until every broker that is asked shows it.
const SHOWS_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How long a coordinator on the move is waited for.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);
/// How long an offset of a transaction in progress is waited for: until the transaction ends, or the broker ends it.
const STABLE_WITHIN: Duration = Duration::from_secs(15);
const ASK_AGAIN: Duration = Duration::from_millis(50);

pub(super) struct Admin {
    connection: Connection,
    client: Mutex<Arc<Client>>,
    cluster_id: OnceLock<String>,
}

impl Admin {
    pub(super) fn new(connection: &Connection) -> Result<Admin> {
        connection.check()?;
        let client = Mutex::new(Arc::new(asking(connection)?));
        Ok(Admin { connection: connection.clone(), client, cluster_id: OnceLock::new() })
    }

    /// The client to ask: a new one once the old is retired, which ends when nobody waits for its answers any more.
    fn client(&self) -> Result<Arc<Client>> {
        let mut kept = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.is_retired() {
            return Ok(kept.clone());
        }
        // The properties are sound: it is the machine that has no thread or no socket left just now.
        let new = asking(&self.connection).map_err(|error| transient("make a client", error))?;
        let new = Arc::new(new);
        let old = replace(&mut *kept, new.clone());
        // A client waits for its threads when it ends, which may be asking a name server: nobody else should have to.
        drop(kept);
        drop(old);
        Ok(new)
    }

    /// Asks a group's coordinator; one that has moved is looked up anew, by a new client.
    fn ask_coordinator<T>(
        &self,
        what: &str,
        ask: impl Fn(&Client) -> std::result::Result<T, Failure>,
    ) -> Result<T> {
        let begun = Instant::now();
        loop {
            let client = self.client()?;
            let failure = match ask(&client) {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let patience = match failure.code {
                Code::UnstableOffsetCommit => STABLE_WITHIN,
                _ if failure.is_coordinator_moving() => SETTLES_WITHIN,
                _ => Duration::ZERO,
            };
            client.retire_over(&failure);
            if begun.elapsed() >= patience {
                return Err(failure.named(what));
            }
            std::thread::sleep(ASK_AGAIN);
        }
    }

    /// The cluster's id, which no other cluster has.
    pub(super) fn cluster_id(&self) -> Result<String> {
        if let Some(id) = self.cluster_id.get() {
            return Ok(id.clone());
        }
        let id = request::cluster_id(&*self.client()?)?;
        Ok(self.cluster_id.get_or_init(|| id).clone())
    }

    pub(super) fn create_topics(&self, specs: &[TopicSpec]) -> Result<()> {
        specs.iter().try_for_each(TopicSpec::check)?;
        // Somebody else may make a topic just when it was about to be made here, and what was made a moment ago does not show at once.
        until_it_shows("make the topics", || {
            let missing = self.missing(specs)?;
            if missing.is_empty() {
                return Ok(true);
            }
            // Asked first what would happen: one topic that a broker refuses must not leave the others behind.
            for only_checked in [true, false] {
                if let Made::Raced = topics::create(&*self.client()?, &missing, &[], only_checked)? {
                    return Ok(false);
                }
            }
            self.wait_until_led(&missing)?;
            Ok(true)
        })
    }

    /// Those that do not exist, each once; one that exists in another shape is refused.
    fn missing<'s>(&self, specs: &'s [TopicSpec]) -> Result<Vec<&'s TopicSpec>> {
        let mut wanted: BTreeMap<&str, &TopicSpec> = BTreeMap::new();
        for spec in specs {
            if let Some(earlier) = wanted.insert(&spec.name, spec) {
                spec.check_shape(earlier.partitions, earlier.cleanup)?;
            }
        }
        let names: Vec<&str> = wanted.keys().copied().collect();
        let found = self.infos(&names)?;
        for info in &found {
            if let Some(spec) = wanted.remove(info.name.as_str()) {
                spec.check_same(info)?;
            }
        }
        Ok(wanted.into_values().collect())
    }

    /// Those of these topics that exist, by name.
    pub(super) fn infos(&self, names: &[&str]) -> Result<Vec<TopicInfo>> {
        let seen = topics::describe(&*self.client()?, names, "look up topics")?;
        let names: Vec<&str> = seen.keys().map(String::as_str).collect();
        let cleanup = configs::cleanup(&*self.client()?, &names)?;
        let mut infos = Vec::new();
        for (name, seen) in &seen {
            match cleanup.get(name) {
                Some(Ok(cleanup)) => infos.push(seen.info(name, *cleanup)),
                Some(Err(failure)) if !failure.is_unknown_topic() => {
                    return Err(failure.clone().named(&format!("read the settings of topic `{name}`")));
                }
                // Removed since.
                _ => {}
            }
        }
        Ok(infos)
    }

    fn wait_until_led(&self, specs: &[&TopicSpec]) -> Result<()> {
        let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        let what = "wait for the new topics";
        until_it_shows(what, || {
            let seen = topics::describe(&*self.client()?, &names, what)?;
            let is_ready = |spec: &&TopicSpec| {
                seen.get(&spec.name).is_some_and(|seen| seen.is_led && seen.partitions == spec.partitions)
            };
            Ok(specs.iter().all(is_ready))
        })
    }

    pub(super) fn topics(&self) -> Result<Vec<TopicInfo>> {
        let listed = topics::list(&*self.client()?)?;
        let names: Vec<&str> = listed.iter().map(String::as_str).collect();
        let seen = topics::describe(&*self.client()?, &names, "list the topics")?;
        let cleanup = configs::cleanup(&*self.client()?, &names)?;
        let info = |(name, seen): (&String, &Seen)| match cleanup.get(name) {
            Some(Err(failure)) if failure.is_unknown_topic() => None,
            // Another application's topic, whose settings are kept from us, must not keep ours from being listed.
            Some(Err(_)) | None => Some(seen.info(name, Cleanup::Delete)),
            Some(Ok(cleanup)) => Some(seen.info(name, *cleanup)),
        };
        Ok(seen.iter().filter_map(info).collect())
    }

    pub(super) fn topic(&self, name: &str) -> Result<Option<TopicInfo>> {
        Ok(self.infos(&[name])?.pop())
    }

    /// The partition counts of these topics; [`Error::UnknownTopic`] for one that is not there.
    pub(super) fn partition_counts(&self, names: &[String]) -> Result<Vec<u32>> {
        let distinct: std::collections::BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let distinct: Vec<&str> = distinct.into_iter().collect();
        let seen = topics::describe(&*self.client()?, &distinct, "look up topics")?;
        let count = |name: &String| seen.get(name).map(|seen| seen.partitions);
        names.iter().map(|name| count(name).ok_or_else(|| Error::UnknownTopic(name.clone()))).collect()
    }

    pub(super) fn delete_topic(&self, name: &str) -> Result<()> {
        topics::delete(&*self.client()?, name)?;
        let what = format!("wait until topic `{name}` is gone");
        until_it_shows(&what, || Ok(topics::describe(&*self.client()?, &[name], &what)?.is_empty()))?;
        // The coordinators drop its offsets a moment later. Until then, a new topic of this name would begin with old positions.
        let what = format!("wait until the offsets in topic `{name}` are gone");
        until_it_shows(&what, || {
            for group in self.group_names()? {
                let offsets = self.committed(&group)?;
                if offsets.keys().any(|partition| *partition.topic == *name) {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    pub(super) fn watermarks(&self, partition: &TopicPartition) -> Result<Watermarks> {
        let ends = self.ends(std::slice::from_ref(partition))?;
        ends.into_iter().next().ok_or_else(|| Error::Defect("no watermarks came back".to_owned()))
    }

    /// The ends of several partitions, in their order, in the time of one.
    pub(super) fn ends(&self, partitions: &[TopicPartition]) -> Result<Vec<Watermarks>> {
        if partitions.is_empty() { Ok(Vec::new()) } else { offsets::ends(&*self.client()?, partitions) }
    }

    /// The last stable offsets of several partitions, in their order.
    pub(super) fn stable_ends(&self, partitions: &[TopicPartition]) -> Result<Vec<Offset>> {
        if partitions.is_empty() {
            Ok(Vec::new())
        } else {
            offsets::stable_ends(&*self.client()?, partitions)
        }
    }

    pub(super) fn offset_at_time(&self, partition: &TopicPartition, time: EventTime) -> Result<Offset> {
        let ends = self.watermarks(partition)?;
        // Times below zero mean something else to a broker, and every record may have one.
        let from = match time.0 < 0 {
            true => Some(ends.low),
            false => offsets::from_time(&*self.client()?, partition, time)?,
        };
        match from {
            // After a trim into the middle of a batch a broker looks no further than that batch, whose greatest time is gone.
            None if ends.low > Offset(0) => {
                scan::first_at(&self.connection, partition, ends.low, ends.high, time)
            }
            None => Ok(ends.high),
            Some(from) => scan::first_at(&self.connection, partition, from, ends.high, time),
        }
    }

    pub(super) fn trim(&self, partition: &TopicPartition, before: Offset) -> Result<()> {
        offsets::trim(&*self.client()?, partition, before)
    }

    pub(super) fn groups(&self) -> Result<Vec<GroupInfo>> {
        let names = self.group_names()?;
        let mut members = self.members(&names)?;
        let mut infos = Vec::new();
        for group in names {
            let offsets = self.committed(&group)?;
            let members = members.remove(&group).unwrap_or_default().into_iter();
            let mut members: Vec<_> = members
                .map(|member| MemberInfo { member: member.name, partitions: member.partitions })
                .collect();
            members.sort_by(|one, other| one.member.cmp(&other.member));
            // Kafka tells a group's generation to its members only.
            infos.push(GroupInfo { group, generation: None, members, offsets });
        }
        infos.sort_by(|one, other| one.group.cmp(&other.group));
        Ok(infos)
    }

    fn group_names(&self) -> Result<Vec<String>> {
        self.ask_coordinator("list the groups", groups::list)
    }

    fn members(&self, groups: &[String]) -> Result<BTreeMap<String, Vec<groups::Member>>> {
        self.ask_coordinator("describe the groups", |client| groups::members(client, groups))
    }

    pub(super) fn committed(&self, group: &str) -> Result<BTreeMap<TopicPartition, Offset>> {
        let what = format!("read the offsets of group `{group}`");
        self.ask_coordinator(&what, |client| groups::committed(client, group))
    }

    /// Commits offsets in the name of a group without members, outside of any transaction.
    pub(super) fn commit_memberless(&self, group: &str, offsets: &[(TopicPartition, Offset)]) -> Result<()> {
        let what = format!("commit offsets of group `{group}`");
        let has_members = Code::UnknownMemberId;
        let altered = self.ask_coordinator(&what, |client| match groups::alter(client, group, offsets) {
            Err(failure) if failure.code == has_members => Ok(false),
            outcome => outcome.map(|()| true),
        })?;
        if altered { Ok(()) } else { Err(refused_by_members(group, "commit offsets past its members")) }
    }

    pub(super) fn delete_group(&self, group: &str) -> Result<()> {
        let what = format!("forget group `{group}`");
        let has_members = Code::NonEmptyGroup;
        let deleted = self.ask_coordinator(&what, |client| match groups::delete(client, group) {
            Err(failure) if failure.code == has_members => Ok(false),
            outcome => outcome.map(|()| true),
        })?;
        if deleted { Ok(()) } else { Err(refused_by_members(group, "forget its offsets")) }
    }

    /// A broker's settings.
    pub(super) fn broker_settings(&self, id: i32) -> Result<Settings, Failure> {
        configs::of_broker(&*self.client()?, id)
    }

    /// The settings of these topics, as far as they can be read.
    pub(super) fn topic_settings(&self, names: &[&str]) -> Result<Answers<Settings>, Failure> {
        configs::of_topics(&*self.client()?, names)
    }

    /// Makes a topic whose records bear the broker's time.
    pub(super) fn make_probe(&self, spec: &TopicSpec) -> Result<()> {
        let settings = [(c"message.timestamp.type", c"LogAppendTime")];
        match topics::create(&*self.client()?, &[spec], &settings, false)? {
            Made::All => self.wait_until_led(&[spec]),
            Made::Raced => Err(transient("make the topics", "one of this name exists")),
        }
    }

    /// Removes a topic in which no group has offsets.
    pub(super) fn remove_probe(&self, name: &str) -> Result<()> {
        topics::delete(&*self.client()?, name)
    }

    /// The coordinator's ids of the members of a group that bear this name: another one in every life of a member.
    pub(super) fn members_named(&self, group: &str, name: &str) -> Result<Vec<String>> {
        let mut members = self.members(&[group.to_owned()])?;
        let members = members.remove(group).unwrap_or_default().into_iter();
        Ok(members.filter(|member| member.name == name).map(|member| member.id).collect())
    }
}

/// A client that asks. The group is never joined: without one, librdkafka 2.12 crashes when a coordinator answers that it is not the
/// right one any more.
fn asking(connection: &Connection) -> Result<Client> {
    let mut config = connection.client();
    config.set("isolation.level", "read_uncommitted").set("group.id", "tidegate-admin");
    config.set("enable.auto.commit", "false");
    Client::consumer(&config)
}

/// The refusal of what only a group without members allows.
pub(super) fn refused_by_members(group: &str, what: &str) -> Error {
    Error::Refused {
        what: format!("group `{group}` has members: cannot {what}"),
        remedy: "stop them first".to_owned(),
    }
}

/// Waits for a condition that a change has brought about and one broker after the other shows.
fn until_it_shows(what: &str, mut shows: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + SHOWS_WITHIN;
    while !shows()? {
        if Instant::now() >= end {
            return Err(transient(what, "the cluster does not show the change yet"));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}

fn transient(what: &str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Transient { what: format!("could not {what}"), cause: cause.into() }
}
