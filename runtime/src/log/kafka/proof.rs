//! Proof of membership: what a commit shows the group's coordinator, so that it can refuse a zombie.
//!
//! Promise: the coordinator compares member id and generation in the commit itself, so that it does not matter when a member notices
//! that it was replaced. What breaks it: metadata that is not fresh. A member makes a new [`Proof`] after every rebalance, or its commits
//! are refused; and never for partitions it has already given up, since the coordinator checks members, not partitions.
#![allow(unsafe_code, reason = "rdkafka hands out group metadata only to its own producer; ours is native")]

use std::ffi::{CStr, CString};
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use rdkafka::client::{Client, ClientContext};
use rdkafka_sys as sys;

use crate::error::{Error, Result};
use crate::log::{Offset, TopicPartition};
use crate::quote::quoted;

/// What [`Membership::proof`](crate::log::Membership) holds in this home.
pub(super) struct Proof {
    /// Goes into the transaction with the offsets.
    pub(super) metadata: Arc<NativeMetadata>,
    /// Commits offsets by the member itself, outside of any transaction: the way of at-least-once.
    pub(super) commit: MemberCommit,
}

/// An OffsetCommit by a member: returns once the coordinator has answered.
pub(super) type MemberCommit = Box<dyn Fn(&[(TopicPartition, Offset)]) -> Result<()> + Send + Sync>;

/// Who commits, for the group's coordinator: group, member id, generation, instance id.
pub(super) struct NativeMetadata(NonNull<sys::rd_kafka_consumer_group_metadata_s>);

// SAFETY: librdkafka never changes the metadata after it was made, and every function here only reads it.
unsafe impl Send for NativeMetadata {}
// SAFETY: as above.
unsafe impl Sync for NativeMetadata {}

impl NativeMetadata {
    /// What the group knows this member as now; `None` for a client without a group.
    pub(super) fn of<C: ClientContext>(member: &Client<C>) -> Option<NativeMetadata> {
        // SAFETY: the client lives as long as the borrow; the result is null or ours to destroy.
        NonNull::new(unsafe { sys::rd_kafka_consumer_group_metadata(member.native_ptr()) })
            .map(NativeMetadata)
    }

    /// For a group nobody subscribes to. Without a member id the coordinator would take the commit even while the group has members;
    /// this one belongs to nobody, so that it is accepted by an empty group only.
    pub(super) fn memberless(group: &str) -> Result<NativeMetadata> {
        let name = CString::new(group).map_err(|_| Error::Refused {
            what: format!("{} cannot name a group", quoted(group)),
            remedy: "use a name without a zero byte".to_owned(),
        })?;
        let nobody = c"no-member-of-this-group";
        // SAFETY: the strings live through the call, which copies them.
        let made = unsafe {
            sys::rd_kafka_consumer_group_metadata_new_with_genid(
                name.as_ptr(),
                -1,
                nobody.as_ptr(),
                std::ptr::null(),
            )
        };
        NonNull::new(made).map(NativeMetadata).ok_or_else(|| Error::Defect("no metadata was made".to_owned()))
    }

    /// For the calls of a native producer.
    pub(super) fn as_ptr(&self) -> *const sys::rd_kafka_consumer_group_metadata_s {
        self.0.as_ptr()
    }

    /// The member id the coordinator gave; empty before the first rebalance.
    pub(super) fn member_id(&self) -> &str {
        // SAFETY: the string belongs to the metadata and ends with a zero.
        let id = unsafe { CStr::from_ptr(sys::rd_kafka_consumer_group_metadata_member_id(self.as_ptr())) };
        id.to_str().unwrap_or_default()
    }

    /// The group's generation, or the member's epoch where the broker assigns; -1 before the first rebalance.
    pub(super) fn generation(&self) -> i32 {
        // SAFETY: a field is read.
        unsafe { sys::rd_kafka_consumer_group_metadata_generation_id(self.as_ptr()) }
    }
}

impl fmt::Debug for NativeMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.member_id(), self.generation())
    }
}

impl Drop for NativeMetadata {
    fn drop(&mut self) {
        // SAFETY: it was made for us and is destroyed once.
        unsafe { sys::rd_kafka_consumer_group_metadata_destroy(self.0.as_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_a_member_of_no_generation() {
        let metadata = NativeMetadata::memberless("g").unwrap();
        assert_eq!((metadata.member_id(), metadata.generation()), ("no-member-of-this-group", -1));
        assert!(NativeMetadata::memberless("g\0h").is_err());
    }
}
