//! One member's part in its group: lease, cooperative handover, and what to tell the worker.
//!
//! Every member computes the same wish from the same rows: ranges of partition numbers over the members by name. A number
//! this one owns and should not is reported as revoked and kept until the worker gives it back; one it should own is taken
//! as soon as it is free. Nobody takes from a living member, so that a number never has two owners.
//!
//! A wake costs one read of the group's generation; the rows are read only when that has moved or a lease ran out.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::groups::{self, Joining, View, now_ms};
use super::home::Home;
use crate::error::{Error, Result};
use crate::log::Membership;

/// A lease is renewed this often while it lasts, so that one late renewal costs nothing.
const RENEWALS: u64 = 3;

/// News for the worker, in partition numbers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Assigned(BTreeSet<u32>),
    Revoked(BTreeSet<u32>),
    Lost(BTreeSet<u32>),
    Rejoined(Membership),
}

/// The thread's own view of its membership.
pub(super) struct Member {
    joining: Joining,
    partitions: u32,
    incarnation: i64,
    owned: BTreeSet<u32>,
    /// Owned still, but reported as wanted elsewhere.
    revoked: BTreeSet<u32>,
    /// The worker has been told what is its, if only that there is nothing for it.
    is_told: bool,
    generation: i64,
    renew_at: Instant,
    /// When the first lease of another member runs out, as far as is known.
    look_at: Option<Instant>,
}

impl Member {
    pub(super) fn join(
        home: &Home,
        connection: &mut Connection,
        joining: Joining,
        partitions: u32,
    ) -> Result<Member> {
        let incarnation = home.write_on(connection, "join a group", |connection| {
            groups::join(connection, &joining, now_ms())
        })?;
        Ok(Member {
            joining,
            partitions,
            incarnation,
            owned: BTreeSet::new(),
            revoked: BTreeSet::new(),
            is_told: false,
            generation: -1,
            renew_at: Instant::now(),
            look_at: None,
        })
    }

    pub(super) fn membership(&self) -> Membership {
        Membership { member: self.joining.member.clone(), incarnation: self.incarnation, proof: None }
    }

    pub(super) fn owns(&self, number: u32) -> bool {
        self.owned.contains(&number)
    }

    /// When to tend to it next without being woken.
    pub(super) fn due(&self) -> Instant {
        self.look_at.map_or(self.renew_at, |look_at| look_at.min(self.renew_at))
    }

    /// Renews the lease if it is time, and does what the group's rows ask.
    pub(super) fn tend(
        &mut self,
        home: &Home,
        connection: &mut Connection,
        woken: bool,
        changes: &mut Vec<Change>,
    ) -> Result<()> {
        let now = Instant::now();
        let expired = self.look_at.is_some_and(|look_at| now >= look_at);
        if now >= self.renew_at {
            self.renew_at = now + self.renewal_interval();
            if !self.renew(home, connection)? {
                return self.rejoin(home, connection, changes);
            }
        } else if !woken && !expired {
            return Ok(());
        }
        let group = self.joining.group.as_str();
        let (generation, view) = home.read_on(connection, "look at a group", |connection| {
            let generation = groups::generation(connection, group)?;
            let unmoved = generation == self.generation && !expired;
            let view = if unmoved { None } else { Some(groups::view(connection, group)?) };
            Ok((generation, view))
        })?;
        self.generation = generation;
        match view {
            Some(view) => self.follow(home, connection, &view, changes),
            None => Ok(()),
        }
    }

    /// Gives numbers back to the group.
    pub(super) fn release(
        &mut self,
        home: &Home,
        connection: &mut Connection,
        numbers: &BTreeSet<u32>,
    ) -> Result<()> {
        let released: BTreeSet<u32> = self.owned.intersection(numbers).copied().collect();
        if released.is_empty() {
            return Ok(());
        }
        let (group, incarnation) = (&self.joining.group, self.incarnation);
        home.write_on(connection, "release partitions", |connection| {
            groups::release(connection, group, incarnation, &released)
        })?;
        self.owned.retain(|number| !released.contains(number));
        self.revoked.retain(|number| !released.contains(number));
        Ok(())
    }

    /// Ends this life: what it owned is free at once.
    pub(super) fn leave(&self, home: &Home, connection: &mut Connection) -> Result<()> {
        let (group, incarnation) = (&self.joining.group, self.incarnation);
        home.write_on(connection, "leave a group", |connection| {
            groups::end_life(connection, group, incarnation)
        })
    }

    fn renewal_interval(&self) -> Duration {
        let session_ms = u64::try_from(self.joining.session_timeout_ms).unwrap_or_default();
        Duration::from_millis(session_ms / RENEWALS)
    }

    fn renew(&self, home: &Home, connection: &mut Connection) -> Result<bool> {
        home.write_on(connection, "renew a lease", |connection| {
            let now_ms = now_ms();
            let lease_end_ms = now_ms.saturating_add(self.joining.session_timeout_ms);
            let lives = groups::renew(connection, self.incarnation, lease_end_ms)?;
            groups::evict_expired(connection, &self.joining.group, now_ms)?;
            Ok(lives)
        })
    }

    fn follow(
        &mut self,
        home: &Home,
        connection: &mut Connection,
        view: &View,
        changes: &mut Vec<Change>,
    ) -> Result<()> {
        if !self.lives_in(view) {
            return self.rejoin(home, connection, changes);
        }
        let desired = view.desired(&self.joining.member, self.partitions);
        let revoked: BTreeSet<u32> = self
            .owned
            .iter()
            .filter(|number| !desired.contains(number) && !self.revoked.contains(number))
            .copied()
            .collect();
        if !revoked.is_empty() {
            self.revoked.extend(&revoked);
            changes.push(Change::Revoked(revoked));
        }
        if desired.is_empty() && !self.is_told {
            self.is_told = true;
            changes.push(Change::Assigned(BTreeSet::new()));
        }
        let now_ms = now_ms();
        let others = view.members.values().filter(|life| life.incarnation != self.incarnation);
        let next_end_ms = others.map(|life| life.lease_end_ms).min();
        let free = desired.iter().any(|number| !view.owners.contains_key(number));
        if free || next_end_ms.is_some_and(|end_ms| end_ms < now_ms) {
            // The members change with an eviction: whoever is woken by it, this one included, looks again.
            return self.claim(home, connection, changes);
        }
        // One millisecond on, because a lease still holds in the millisecond it ends.
        let left_ms = next_end_ms.map(|end_ms| u64::try_from(end_ms - now_ms + 1).unwrap_or_default());
        self.look_at = left_ms.map(|left_ms| Instant::now() + Duration::from_millis(left_ms));
        Ok(())
    }

    fn claim(&mut self, home: &Home, connection: &mut Connection, changes: &mut Vec<Change>) -> Result<()> {
        let claimed = home.write_on(connection, "claim partitions", |connection| {
            let group = self.joining.group.as_str();
            let now_ms = now_ms();
            // Its own lease first: a member that was slow must not evict itself on the way to more work.
            let lease_end_ms = now_ms.saturating_add(self.joining.session_timeout_ms);
            groups::renew(connection, self.incarnation, lease_end_ms)?;
            groups::evict_expired(connection, group, now_ms)?;
            let view = groups::view(connection, group)?;
            if !self.lives_in(&view) {
                return Ok(BTreeSet::new());
            }
            let desired = view.desired(&self.joining.member, self.partitions);
            groups::claim(connection, group, self.incarnation, &desired)
        })?;
        self.look_at = Some(Instant::now());
        if !claimed.is_empty() {
            self.owned.extend(&claimed);
            self.is_told = true;
            changes.push(Change::Assigned(claimed));
        }
        Ok(())
    }

    fn lives_in(&self, view: &View) -> bool {
        view.members.get(&self.joining.member).is_some_and(|life| life.incarnation == self.incarnation)
    }

    /// Starts a new life after an eviction. A newer instance under the same name is not driven out again: that would
    /// never end.
    fn rejoin(&mut self, home: &Home, connection: &mut Connection, changes: &mut Vec<Change>) -> Result<()> {
        self.revoked.clear();
        self.is_told = false;
        let lost = std::mem::take(&mut self.owned);
        if !lost.is_empty() {
            changes.push(Change::Lost(lost));
        }
        let incarnation = home.write_on(connection, "join a group again", |connection| {
            let view = groups::view(connection, &self.joining.group)?;
            if view.members.contains_key(&self.joining.member) {
                let why = "a newer instance has joined under this name".to_owned();
                return Err(Error::Fenced { who: self.joining.member.clone(), why }.into());
            }
            groups::join(connection, &self.joining, now_ms())
        })?;
        (self.incarnation, self.generation) = (incarnation, -1);
        (self.renew_at, self.look_at) = (Instant::now() + self.renewal_interval(), Some(Instant::now()));
        changes.push(Change::Rejoined(self.membership()));
        Ok(())
    }
}
