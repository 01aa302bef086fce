//! The records of the driver's topics: what is written to them, and what tasks read of them.

use std::collections::BTreeMap;

use crate::log::{Chunk, Offset, Records, TopicPartition};
use crate::task::Input;
use crate::time::EventTime;

/// A record a topology wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrivenRecord {
    /// Where to.
    pub partition: TopicPartition,
    /// Its event time.
    pub time: EventTime,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Vec<(String, Vec<u8>)>,
}

pub(super) fn end_of(log: &BTreeMap<TopicPartition, Records>, partition: &TopicPartition) -> Offset {
    Offset(log.get(partition).map_or(0, Records::len) as i64)
}

/// At most `most` records that an input has not fetched yet, as one chunk.
pub(super) fn unread_of(log: &BTreeMap<TopicPartition, Records>, input: &Input, most: usize) -> Chunk {
    let (partition, from) = (input.partition(), input.fetched());
    let mut records = Records::default();
    if let Some(all) = log.get(partition) {
        let unread = usize::try_from(from.0).unwrap_or_default()..all.len();
        unread.take(most).for_each(|index| copy_to(&mut records, all, index));
    }
    Chunk::contiguous(partition.clone(), from, from, records, end_of(log, partition))
}

pub(super) fn copy_to(records: &mut Records, from: &Records, index: usize) {
    let headers: Vec<(&str, &[u8])> = from.headers(index).collect();
    records.push(from.time(index), from.key(index), from.value(index), &headers);
}

pub(super) fn driven(to: &TopicPartition, records: &Records, index: usize) -> DrivenRecord {
    let owned = |(name, value): (&str, &[u8])| (name.to_owned(), value.to_vec());
    DrivenRecord {
        partition: to.clone(),
        time: records.time(index),
        key: records.key(index).map(<[u8]>::to_vec),
        value: records.value(index).map(<[u8]>::to_vec),
        headers: records.headers(index).map(owned).collect(),
    }
}
