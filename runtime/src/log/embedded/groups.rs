//! Groups: who is a member, who owns which partition numbers, what has been committed.
//!
//! Promise: a partition number has one owner, and only that life of the member can commit offsets of it. A life is an incarnation, a
//! number never used twice; ownership is a row, and every check happens in the transaction that relies on it. So it does not
//! matter when a member notices that it has been replaced or evicted: its commits are refused from that transaction on.
//!
//! Leases are wall-clock times: a clock that jumps forward evicts members that live, which costs them a rejoin and
//! nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, params};

use super::batches::partition_row;
use super::fault::Outcome;
use crate::error::Error;
use crate::log::{GroupInfo, GroupOffsets, MemberInfo, Membership, Offset, TopicPartition};

/// A group at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    /// Members by name.
    pub(super) members: BTreeMap<String, Life>,
    /// The owner's incarnation per partition number that is not free.
    pub(super) owners: BTreeMap<u32, i64>,
}

/// One life of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) incarnation: i64,
    pub(super) lease_end_ms: i64,
}

impl View {
    /// Which numbers a member should own: ranges over the members in the order of their names.
    pub(super) fn desired(&self, member: &str, partitions: u32) -> BTreeSet<u32> {
        let count = u32::try_from(self.members.len()).unwrap_or(u32::MAX).max(1);
        let place = self.members.keys().position(|name| name == member);
        let Some(place) = place.and_then(|place| u32::try_from(place).ok()) else { return BTreeSet::new() };
        let (share, rest) = (partitions / count, partitions % count);
        let start = place * share + place.min(rest);
        (start..start + share + u32::from(place < rest)).collect()
    }
}

pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn generation(connection: &Connection, group: &str) -> Outcome<i64> {
    let mut statement = connection.prepare_cached("SELECT generation FROM groups WHERE name = ?1")?;
    Ok(statement.query_row([group], |row| row.get(0)).optional()?.unwrap_or_default())
}

pub(super) fn view(connection: &Connection, group: &str) -> Outcome<View> {
    let mut members = connection
        .prepare_cached("SELECT member, incarnation, lease_end_ms FROM members WHERE group_name = ?1")?;
    let members = members.query_map([group], |row| {
        Ok((row.get(0)?, Life { incarnation: row.get(1)?, lease_end_ms: row.get(2)? }))
    })?;
    let members = members.collect::<Result<_, _>>()?;
    let mut owners =
        connection.prepare_cached("SELECT number, incarnation FROM assignments WHERE group_name = ?1")?;
    let owners = owners.query_map([group], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(View { members, owners: owners.collect::<Result<_, _>>()? })
}

fn grow(connection: &Connection, group: &str) -> Outcome<()> {
    connection
        .prepare_cached("UPDATE groups SET generation = generation + 1 WHERE name = ?1")?
        .execute([group])?;
    Ok(())
}

/// Who joins, and for how long without a word.
#[derive(Clone, Debug)]
pub(super) struct Joining {
    pub(super) group: String,
    pub(super) member: String,
    /// Sorted: all members of a group read the same ones, or a number would be read by an owner that misses a topic.
    pub(super) topics: Vec<String>,
    pub(super) session_timeout_ms: i64,
}

/// Makes a new life of a member; an older one under the same name ends at once.
pub(super) fn join(connection: &Connection, joining: &Joining, now_ms: i64) -> Outcome<i64> {
    let group = joining.group.as_str();
    connection
        .prepare_cached("INSERT OR IGNORE INTO groups (name, generation, topics) VALUES (?1, 0, '')")?
        .execute([group])?;
    evict_expired(connection, group, now_ms)?;
    end_member(connection, group, &joining.member)?;
    let topics = joining.topics.join(" ");
    let others: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM members WHERE group_name = ?1)",
        [group],
        |row| row.get(0),
    )?;
    let theirs: String =
        connection.query_row("SELECT topics FROM groups WHERE name = ?1", [group], |row| row.get(0))?;
    if others && theirs != topics {
        return Err(Error::Refused {
            what: format!(
                "the members of group `{group}` read `{theirs}`, and `{}` would read `{topics}`",
                joining.member
            ),
            remedy: "stop the other instances first, or name another application with --app".to_owned(),
        }
        .into());
    }
    connection.execute("UPDATE groups SET topics = ?2 WHERE name = ?1", params![group, topics])?;
    connection
        .prepare_cached("INSERT INTO members (group_name, member, lease_end_ms) VALUES (?1, ?2, ?3)")?
        .execute(params![group, joining.member, now_ms.saturating_add(joining.session_timeout_ms)])?;
    let incarnation = connection.last_insert_rowid();
    grow(connection, group)?;
    Ok(incarnation)
}

/// Moves a lease on; false if that life has ended.
pub(super) fn renew(connection: &Connection, incarnation: i64, lease_end_ms: i64) -> Outcome<bool> {
    let mut statement =
        connection.prepare_cached("UPDATE members SET lease_end_ms = ?2 WHERE incarnation = ?1")?;
    Ok(statement.execute(params![incarnation, lease_end_ms])? == 1)
}

/// Ends every member whose lease is over.
pub(super) fn evict_expired(connection: &Connection, group: &str, now_ms: i64) -> Outcome<()> {
    let mut expired = connection
        .prepare_cached("SELECT incarnation FROM members WHERE group_name = ?1 AND lease_end_ms < ?2")?;
    let expired: Vec<i64> =
        expired.query_map(params![group, now_ms], |row| row.get(0))?.collect::<Result<_, _>>()?;
    expired.into_iter().try_for_each(|incarnation| end_life(connection, group, incarnation))
}

fn end_member(connection: &Connection, group: &str, member: &str) -> Outcome<()> {
    let older: Option<i64> = connection
        .prepare_cached("SELECT incarnation FROM members WHERE group_name = ?1 AND member = ?2")?
        .query_row([group, member], |row| row.get(0))
        .optional()?;
    older.map_or(Ok(()), |incarnation| end_life(connection, group, incarnation))
}

/// Ends one life: what it owned is free.
pub(super) fn end_life(connection: &Connection, group: &str, incarnation: i64) -> Outcome<()> {
    connection
        .prepare_cached("DELETE FROM assignments WHERE group_name = ?1 AND incarnation = ?2")?
        .execute(params![group, incarnation])?;
    let ended =
        connection.prepare_cached("DELETE FROM members WHERE incarnation = ?1")?.execute([incarnation])?;
    if ended > 0 { grow(connection, group) } else { Ok(()) }
}

/// Takes those numbers that are free; returns what it got.
pub(super) fn claim(
    connection: &Connection,
    group: &str,
    incarnation: i64,
    numbers: &BTreeSet<u32>,
) -> Outcome<BTreeSet<u32>> {
    let mut insert = connection.prepare_cached(
        "INSERT OR IGNORE INTO assignments (group_name, number, incarnation) VALUES (?1, ?2, ?3)",
    )?;
    let mut claimed = BTreeSet::new();
    for number in numbers {
        if insert.execute(params![group, number, incarnation])? == 1 {
            claimed.insert(*number);
        }
    }
    if !claimed.is_empty() {
        grow(connection, group)?;
    }
    Ok(claimed)
}

/// Gives numbers back.
pub(super) fn release(
    connection: &Connection,
    group: &str,
    incarnation: i64,
    numbers: &BTreeSet<u32>,
) -> Outcome<()> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM assignments WHERE group_name = ?1 AND number = ?2 AND incarnation = ?3",
    )?;
    for number in numbers {
        delete.execute(params![group, number, incarnation])?;
    }
    grow(connection, group)
}

/// Writes a group's offsets, if the membership allows it.
pub(super) fn commit_offsets(connection: &Connection, offsets: &GroupOffsets, now_ms: i64) -> Outcome<()> {
    match &offsets.membership {
        Some(membership) => check_owner(connection, offsets, membership)?,
        None => check_memberless(connection, &offsets.group, now_ms)?,
    }
    let mut upsert = connection.prepare_cached(
        "INSERT INTO offsets (group_name, partition, next_offset) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset",
    )?;
    for (partition, offset) in &offsets.offsets {
        let row = partition_row(connection, partition)?;
        upsert.execute(params![offsets.group, row.id, offset.0])?;
    }
    Ok(())
}

fn check_owner(connection: &Connection, offsets: &GroupOffsets, membership: &Membership) -> Outcome<()> {
    // Not the bare name: that is also a transactional id, whose fencing means something else.
    let who = format!("{} in group {}", membership.member, offsets.group);
    let fenced = |why: String| Error::Fenced { who: who.clone(), why };
    let lives: bool = connection
        .prepare_cached(
            "SELECT EXISTS (
                 SELECT 1 FROM members WHERE incarnation = ?1 AND group_name = ?2 AND member = ?3)",
        )?
        .query_row(params![membership.incarnation, offsets.group, membership.member], |row| row.get(0))?;
    if !lives {
        let why =
            format!("group `{}` has evicted this member or replaced it by a newer instance", offsets.group);
        return Err(fenced(why).into());
    }
    let mut owner = connection
        .prepare_cached("SELECT incarnation FROM assignments WHERE group_name = ?1 AND number = ?2")?;
    let numbers: BTreeSet<u32> = offsets.offsets.iter().map(|(partition, _)| partition.partition).collect();
    for number in numbers {
        let found: Option<i64> =
            owner.query_row(params![offsets.group, number], |row| row.get(0)).optional()?;
        if found != Some(membership.incarnation) {
            let why = format!("partition number {number} of group `{}` is not its own", offsets.group);
            return Err(fenced(why).into());
        }
    }
    Ok(())
}

fn check_memberless(connection: &Connection, group: &str, now_ms: i64) -> Outcome<()> {
    evict_expired(connection, group, now_ms)?;
    refuse_members(connection, group, "commit offsets past its members")
}

fn refuse_members(connection: &Connection, group: &str, what: &str) -> Outcome<()> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM members WHERE group_name = ?1")?
        .query_row([group], |row| row.get(0))?;
    if count > 0 {
        return Err(Error::Refused {
            what: format!("group `{group}` has {count} members: cannot {what}"),
            remedy: "stop them first".to_owned(),
        }
        .into());
    }
    Ok(())
}

pub(super) fn committed(connection: &Connection, group: &str) -> Outcome<BTreeMap<TopicPartition, Offset>> {
    let mut statement = connection.prepare_cached(
        "SELECT topic, number, next_offset FROM offsets JOIN partitions ON partitions.id = offsets.partition
         WHERE group_name = ?1",
    )?;
    let rows = statement.query_map([group], |row| {
        Ok((TopicPartition::new(row.get::<_, String>(0)?, row.get(1)?), Offset(row.get(2)?)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Forgets a group. Incarnations are not used again, so that no older life of a member can pass for one in a later group.
pub(super) fn delete(connection: &Connection, group: &str, now_ms: i64) -> Outcome<()> {
    evict_expired(connection, group, now_ms)?;
    refuse_members(connection, group, "forget its offsets")?;
    connection.execute("DELETE FROM offsets WHERE group_name = ?1", [group])?;
    connection.execute("DELETE FROM groups WHERE name = ?1", [group])?;
    Ok(())
}

pub(super) fn list(connection: &Connection) -> Outcome<Vec<GroupInfo>> {
    let mut names = connection
        .prepare_cached("SELECT name FROM groups UNION SELECT DISTINCT group_name FROM offsets ORDER BY 1")?;
    let names: Vec<String> = names.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    names.into_iter().map(|group| describe(connection, group)).collect()
}

fn describe(connection: &Connection, group: String) -> Outcome<GroupInfo> {
    let view = view(connection, &group)?;
    let topics: Option<String> = connection
        .query_row("SELECT topics FROM groups WHERE name = ?1", [&group], |row| row.get(0))
        .optional()?;
    let topics: Vec<&str> = topics.as_deref().unwrap_or_default().split_whitespace().collect();
    let owned = |life: &Life| {
        let numbers =
            view.owners.iter().filter(|(_, owner)| **owner == life.incarnation).map(|(number, _)| *number);
        numbers
            .flat_map(|number| topics.iter().map(move |topic| TopicPartition::new(*topic, number)))
            .collect()
    };
    let members = view.members.iter();
    let members = members
        .map(|(member, life)| MemberInfo { member: member.clone(), partitions: owned(life) })
        .collect();
    let (generation, offsets) = (generation(connection, &group)?, committed(connection, &group)?);
    Ok(GroupInfo { group, generation: Some(generation), members, offsets })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_desired_by_exactly_one_member() {
        for (members, partitions) in
            (0..9).flat_map(|members| (0..40).map(move |partitions| (members, partitions)))
        {
            let life = Life { incarnation: 0, lease_end_ms: 0 };
            let names: Vec<String> = (0..members).map(|name| format!("m{name}")).collect();
            let members = names.iter().map(|name| (name.clone(), life)).collect();
            let view = View { members, owners: BTreeMap::new() };
            let desired: Vec<u32> = names.iter().flat_map(|name| view.desired(name, partitions)).collect();
            let all: Vec<u32> = if names.is_empty() { Vec::new() } else { (0..partitions).collect() };
            assert_eq!(desired, all);
        }
    }
}
