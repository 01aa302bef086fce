//! Groups, of both of Kafka's protocols: who is in them and what they have committed.
#![allow(unsafe_code, reason = "librdkafka's admin interface, see `request`")]

use std::collections::BTreeMap;
use std::ffi::CString;

use rdkafka_sys as sys;
use sys::rd_kafka_admin_op_t as Kind;

use super::super::fault::{Code, Failure};
use super::super::native::{Client, PartitionList, c_name, is_fine, listed, text_of, word_for};
use super::request::{Answer, Request, each};
use crate::error::Error;
use crate::log::{Offset, TopicPartition};

type Outcome<T> = std::result::Result<T, Failure>;

/// One member as the coordinator describes it.
pub(super) struct Member {
    /// Chosen by the coordinator, another one in every life.
    pub(super) id: String,
    /// The name we gave it.
    pub(super) name: String,
    pub(super) partitions: Vec<TopicPartition>,
}

/// The names of all groups.
pub(super) fn list(client: &Client) -> Outcome<Vec<String>> {
    let request = Request::new(client, Kind::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS)?;
    // SAFETY: only pointers of the request are passed on.
    let request = request
        .send(|client, options, queue| unsafe { sys::rd_kafka_ListConsumerGroups(client, options, queue) });
    let answer = request.answer()?;
    // SAFETY: everything read belongs to the answer, which lives through the block.
    unsafe {
        let (mut count, mut errors) = (0, 0);
        let result = sys::rd_kafka_event_ListConsumerGroups_result(answer.as_ptr());
        let failed = each(sys::rd_kafka_ListConsumerGroups_result_errors(result, &raw mut errors), errors);
        if let Some(error) = failed.first() {
            return Err(failure_of(*error));
        }
        let groups = each(sys::rd_kafka_ListConsumerGroups_result_valid(result, &raw mut count), count);
        let name = |group: &*const _| text_of(sys::rd_kafka_ConsumerGroupListing_group_id(*group));
        Ok(groups.iter().map(name).collect())
    }
}

/// The members of these groups; a group that is gone has none.
pub(super) fn members(client: &Client, groups: &[String]) -> Outcome<BTreeMap<String, Vec<Member>>> {
    if groups.is_empty() {
        return Ok(BTreeMap::new());
    }
    let names: Vec<CString> =
        groups.iter().map(|group| c_name(group)).collect::<std::result::Result<_, Error>>()?;
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let request = Request::new(client, Kind::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS)?.for_coordinator();
    // SAFETY: the names live through the call, which copies them.
    let request = request.send(|client, options, queue| unsafe {
        sys::rd_kafka_DescribeConsumerGroups(client, pointers.as_mut_ptr(), pointers.len(), options, queue);
    });
    let answer = request.answer()?;
    let mut found = BTreeMap::new();
    // SAFETY: everything read belongs to the answer, which lives through the block.
    unsafe {
        let mut count = 0;
        let result = sys::rd_kafka_event_DescribeConsumerGroups_result(answer.as_ptr());
        for group in each(sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count), count) {
            let name = text_of(sys::rd_kafka_ConsumerGroupDescription_group_id(group));
            let error = sys::rd_kafka_ConsumerGroupDescription_error(group);
            if !error.is_null() {
                let failure = failure_of(error);
                if failure.code != Code::GroupIdNotFound {
                    return Err(failure);
                }
            }
            found.insert(name, members_of(group));
        }
    }
    Ok(found)
}

/// # Safety
/// `group` belongs to an answer that lives.
unsafe fn members_of(group: *const sys::rd_kafka_ConsumerGroupDescription_t) -> Vec<Member> {
    // SAFETY: as the caller says.
    unsafe {
        let count = sys::rd_kafka_ConsumerGroupDescription_member_count(group);
        let member = |index| {
            let member = sys::rd_kafka_ConsumerGroupDescription_member(group, index);
            let assigned = sys::rd_kafka_MemberDescription_assignment(member);
            let partitions = match assigned.is_null() {
                true => Vec::new(),
                false => listed(sys::rd_kafka_MemberAssignment_partitions(assigned)),
            };
            Member {
                id: text_of(sys::rd_kafka_MemberDescription_consumer_id(member)),
                name: text_of(sys::rd_kafka_MemberDescription_client_id(member)),
                partitions: partitions.into_iter().map(|one| one.partition).collect(),
            }
        };
        (0..count).map(member).collect()
    }
}

/// What a group has committed; nothing if it is not known. Offsets of a transaction that has not ended are an error of their own.
pub(super) fn committed(client: &Client, group: &str) -> Outcome<BTreeMap<TopicPartition, Offset>> {
    let name = c_name(group)?;
    let request = Request::new(client, Kind::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS)?.for_coordinator();
    // SAFETY: the name is copied, null asks for all partitions; the object is destroyed once, after the call that copies it.
    let request = request.stable().send(|client, options, queue| unsafe {
        let mut asked = sys::rd_kafka_ListConsumerGroupOffsets_new(name.as_ptr(), std::ptr::null());
        sys::rd_kafka_ListConsumerGroupOffsets(client, &raw mut asked, 1, options, queue);
        sys::rd_kafka_ListConsumerGroupOffsets_destroy(asked);
    });
    let answer = request.answer()?;
    // SAFETY: the result belongs to the answer.
    let results = unsafe {
        let mut count = 0;
        let result = sys::rd_kafka_event_ListConsumerGroupOffsets_result(answer.as_ptr());
        each(sys::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &raw mut count), count)
    };
    match check_groups(&answer, &results) {
        Err(failure) if failure.code == Code::GroupIdNotFound => Ok(BTreeMap::new()),
        listed => Ok(listed?.into_iter().filter(|one| one.1.0 >= 0).collect()),
    }
}

/// Commits offsets in the name of a group without members, outside of any transaction.
pub(super) fn alter(client: &Client, group: &str, offsets: &[(TopicPartition, Offset)]) -> Outcome<()> {
    let name = c_name(group)?;
    let list = PartitionList::new(offsets.iter().map(|(partition, offset)| (partition, offset.0)))?;
    let request = Request::new(client, Kind::RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS)?.for_coordinator();
    // SAFETY: name and list are copied; the object is destroyed once, after the call that copies it.
    let request = request.send(|client, options, queue| unsafe {
        let mut asked = sys::rd_kafka_AlterConsumerGroupOffsets_new(name.as_ptr(), list.as_ptr());
        sys::rd_kafka_AlterConsumerGroupOffsets(client, &raw mut asked, 1, options, queue);
        sys::rd_kafka_AlterConsumerGroupOffsets_destroy(asked);
    });
    let answer = request.answer()?;
    // SAFETY: the result belongs to the answer.
    let results = unsafe {
        let mut count = 0;
        let result = sys::rd_kafka_event_AlterConsumerGroupOffsets_result(answer.as_ptr());
        each(sys::rd_kafka_AlterConsumerGroupOffsets_result_groups(result, &raw mut count), count)
    };
    check_groups(&answer, &results).map(drop)
}

/// Forgets a group with its offsets; one that is not known is forgotten already.
pub(super) fn delete(client: &Client, group: &str) -> Outcome<()> {
    let name = c_name(group)?;
    let request = Request::new(client, Kind::RD_KAFKA_ADMIN_OP_DELETEGROUPS)?.for_coordinator();
    // SAFETY: the name is copied; the object is destroyed once, after the call that copies it.
    let request = request.send(|client, options, queue| unsafe {
        let mut asked = sys::rd_kafka_DeleteGroup_new(name.as_ptr());
        sys::rd_kafka_DeleteGroups(client, &raw mut asked, 1, options, queue);
        sys::rd_kafka_DeleteGroup_destroy(asked);
    });
    let answer = request.answer()?;
    // SAFETY: the result belongs to the answer.
    let results = unsafe {
        let mut count = 0;
        let result = sys::rd_kafka_event_DeleteGroups_result(answer.as_ptr());
        each(sys::rd_kafka_DeleteGroups_result_groups(result, &raw mut count), count)
    };
    match check_groups(&answer, &results) {
        Ok(_) => Ok(()),
        Err(failure) if failure.code == Code::GroupIdNotFound => Ok(()),
        Err(failure) => Err(failure),
    }
}

/// The offsets of all groups of an answer, or the first error in it.
fn check_groups(
    _: &Answer,
    results: &[*const sys::rd_kafka_group_result_t],
) -> Outcome<Vec<(TopicPartition, Offset)>> {
    let mut offsets = Vec::new();
    for result in results {
        // SAFETY: the results live as long as the answer.
        let listed = unsafe {
            let error = sys::rd_kafka_group_result_error(*result);
            if !error.is_null() {
                return Err(failure_of(error));
            }
            listed(sys::rd_kafka_group_result_partitions(*result))
        };
        for one in listed {
            if !is_fine(one.error) {
                return Err(Failure::new(
                    one.error.into(),
                    format!("{}: {}", one.partition, word_for(one.error)),
                ));
            }
            offsets.push((one.partition, one.offset));
        }
    }
    Ok(offsets)
}

/// # Safety
/// `error` is not null and belongs to an answer that lives.
unsafe fn failure_of(error: *const sys::rd_kafka_error_t) -> Failure {
    // SAFETY: as the caller says.
    unsafe {
        Failure::new(sys::rd_kafka_error_code(error).into(), text_of(sys::rd_kafka_error_string(error)))
    }
}
