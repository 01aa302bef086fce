//! A run of records in one buffer: how records are kept, moved and stored.
//!
//! The bytes of [`Records`] are the embedded log's batch format, so that appending writes them as they are and reading
//! hands them on as they are. Per record: time minus the previous record's time (zigzag varint, the first against 0); key length + 1
//! (varint, 0 = null), key; value length + 1, value; byte length of the headers; headers, each name length, name,
//! value length, value.
//!
//! Nothing is allocated per record; a cleared buffer is used again.

use std::ops::Range;

use super::TopicPartition;
use crate::time::EventTime;

/// Where one record's parts stand in the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The record's time.
    pub time: EventTime,
    key: Option<Range<u32>>,
    value: Option<Range<u32>>,
    headers: Range<u32>,
}

/// Records of one partition, in order. At most 4 GiB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

/// Bytes that are not a run of records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {index} of the batch: {what}")]
pub struct RecordsError {
    /// Which record, from 0.
    pub index: usize,
    /// What does not fit.
    pub what: &'static str,
}

impl Records {
    /// Reads back what [`bytes`](Records::bytes) gave.
    ///
    /// # Errors
    /// If `bytes` is not `count` whole records.
    pub fn parse(bytes: Vec<u8>, count: usize) -> Result<Records, RecordsError> {
        // A record takes at least four bytes: a count no buffer could hold must not reserve memory.
        let mut entries = Vec::with_capacity(count.min(bytes.len() / 4 + 1));
        let mut at = 0;
        let mut time = 0;
        for index in 0..count {
            let fail = |what| RecordsError { index, what };
            let entry = parse_entry(&bytes, &mut at, &mut time).map_err(fail)?;
            entries.push(entry);
        }
        if at != bytes.len() {
            return Err(RecordsError { index: count, what: "bytes are left over" });
        }
        Ok(Records { bytes, entries })
    }

    /// Appends a record.
    pub fn push(
        &mut self,
        time: EventTime,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, &[u8])],
    ) {
        let previous = self.entries.last().map_or(0, |entry| entry.time.0);
        put_varint(&mut self.bytes, zigzag(time.0.wrapping_sub(previous)));
        let key = self.put_optional(key);
        let value = self.put_optional(value);
        let headers_len: usize = headers
            .iter()
            .map(|(name, value)| varint_len(name.len()) + name.len() + varint_len(value.len()) + value.len())
            .sum();
        put_varint(&mut self.bytes, headers_len as u64);
        let start = self.position();
        for (name, value) in headers {
            self.put_bytes(name.as_bytes());
            self.put_bytes(value);
        }
        self.entries.push(Entry { time, key, value, headers: start..self.position() });
    }

    /// The stored form.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets the records, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    /// The least and the greatest time in it.
    #[must_use]
    pub fn time_range(&self) -> Option<(EventTime, EventTime)> {
        let times = || self.entries.iter().map(|entry| entry.time);
        times().min().zip(times().max())
    }

    /// The time of record `index`.
    ///
    /// # Panics
    /// If there is no such record.
    #[must_use]
    pub fn time(&self, index: usize) -> EventTime {
        self.entries[index].time
    }

    /// The key of record `index`.
    ///
    /// # Panics
    /// If there is no such record.
    #[must_use]
    pub fn key(&self, index: usize) -> Option<&[u8]> {
        self.entries[index].key.clone().map(|range| self.slice(range))
    }

    /// The value of record `index`.
    ///
    /// # Panics
    /// If there is no such record.
    #[must_use]
    pub fn value(&self, index: usize) -> Option<&[u8]> {
        self.entries[index].value.clone().map(|range| self.slice(range))
    }

    /// The headers of record `index`.
    ///
    /// # Panics
    /// If there is no such record.
    #[must_use]
    pub fn headers(&self, index: usize) -> Headers<'_> {
        Headers { rest: self.slice(self.entries[index].headers.clone()) }
    }

    fn slice(&self, range: Range<u32>) -> &[u8] {
        &self.bytes[range.start as usize..range.end as usize]
    }

    fn put_optional(&mut self, part: Option<&[u8]>) -> Option<Range<u32>> {
        let Some(part) = part else {
            put_varint(&mut self.bytes, 0);
            return None;
        };
        put_varint(&mut self.bytes, part.len() as u64 + 1);
        let start = self.position();
        self.bytes.extend_from_slice(part);
        Some(start..self.position())
    }

    fn put_bytes(&mut self, part: &[u8]) {
        put_varint(&mut self.bytes, part.len() as u64);
        self.bytes.extend_from_slice(part);
    }

    fn position(&self) -> u32 {
        u32::try_from(self.bytes.len()).expect("a batch stays below 4 GiB: its writers bound it")
    }
}

/// The headers of one record: names and values, in order.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    rest: &'a [u8],
}

impl<'a> Headers<'a> {
    /// The first value under `name`.
    pub fn get(mut self, name: &str) -> Option<&'a [u8]> {
        self.find(|(found, _)| *found == name).map(|(_, value)| value)
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let mut at = 0;
        // The bytes were checked by `parse` or written by `push`: a part that does not fit ends the list.
        let name = take_bytes(self.rest, &mut at).ok()?;
        let value = take_bytes(self.rest, &mut at).ok()?;
        self.rest = &self.rest[at..];
        Some((std::str::from_utf8(name).unwrap_or_default(), value))
    }
}

/// Records on their way to several partitions: what a step produces, in order within each partition.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    batches: Vec<(TopicPartition, Records)>,
}

impl Outgoing {
    /// The buffer of one partition; look it up once per run of records.
    pub fn partition(&mut self, topic: &std::sync::Arc<str>, partition: u32) -> &mut Records {
        let found = self.batches.iter().position(|(to, _)| to.partition == partition && to.topic == *topic);
        let at = found.unwrap_or_else(|| {
            let to = TopicPartition { topic: topic.clone(), partition };
            self.batches.push((to, Records::default()));
            self.batches.len() - 1
        });
        &mut self.batches[at].1
    }

    /// Every partition with records in it.
    pub fn batches(&self) -> impl Iterator<Item = (&TopicPartition, &Records)> {
        self.batches.iter().filter(|(_, records)| !records.is_empty()).map(|(to, records)| (to, records))
    }

    /// True if there is no record in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batches().next().is_none()
    }

    /// The size of all records.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.batches.iter().map(|(_, records)| records.bytes.len()).sum()
    }

    /// Forgets the records, keeps the memory.
    pub fn clear(&mut self) {
        for (_, records) in &mut self.batches {
            records.clear();
        }
    }
}

fn parse_entry(bytes: &[u8], at: &mut usize, time: &mut i64) -> Result<Entry, &'static str> {
    *time = time.wrapping_add(unzigzag(take_varint(bytes, at)?));
    let key = take_optional(bytes, at)?;
    let value = take_optional(bytes, at)?;
    let headers_len = usize::try_from(take_varint(bytes, at)?).map_err(|_| "a length is too great")?;
    let headers = take_range(bytes, at, headers_len)?;
    check_headers(&bytes[headers.start as usize..headers.end as usize])?;
    Ok(Entry { time: EventTime(*time), key, value, headers })
}

fn check_headers(bytes: &[u8]) -> Result<(), &'static str> {
    let mut at = 0;
    while at < bytes.len() {
        let name = take_bytes(bytes, &mut at)?;
        std::str::from_utf8(name).map_err(|_| "a header's name is not UTF-8")?;
        take_bytes(bytes, &mut at)?;
    }
    Ok(())
}

fn take_optional(bytes: &[u8], at: &mut usize) -> Result<Option<Range<u32>>, &'static str> {
    let len = usize::try_from(take_varint(bytes, at)?).map_err(|_| "a length is too great")?;
    if len == 0 { Ok(None) } else { take_range(bytes, at, len - 1).map(Some) }
}

fn take_bytes<'a>(bytes: &'a [u8], at: &mut usize) -> Result<&'a [u8], &'static str> {
    let len = usize::try_from(take_varint(bytes, at)?).map_err(|_| "a length is too great")?;
    let range = take_range(bytes, at, len)?;
    Ok(&bytes[range.start as usize..range.end as usize])
}

fn take_range(bytes: &[u8], at: &mut usize, len: usize) -> Result<Range<u32>, &'static str> {
    let end = at.checked_add(len).filter(|end| *end <= bytes.len()).ok_or("it ends early")?;
    let start = u32::try_from(*at).map_err(|_| "the batch is too long")?;
    *at = end;
    Ok(start..u32::try_from(end).map_err(|_| "the batch is too long")?)
}

pub(crate) fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

pub(crate) fn take_varint(bytes: &[u8], at: &mut usize) -> Result<u64, &'static str> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at).ok_or("it ends early")?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("a number is too long")
}

fn varint_len(value: usize) -> usize {
    let bits = usize::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Made = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Vec<u8>)>);

    fn any_record() -> impl Strategy<Value = Made> {
        let part = || prop::collection::vec(any::<u8>(), 0..200);
        let headers = prop::collection::vec(("[a-z]{0,9}", part()), 0..4);
        (any::<i64>(), prop::option::of(part()), prop::option::of(part()), headers)
    }

    fn build(made: &[Made]) -> Records {
        let mut records = Records::default();
        for (time, key, value, headers) in made {
            let headers: Vec<_> =
                headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
            records.push(EventTime(*time), key.as_deref(), value.as_deref(), &headers);
        }
        records
    }

    proptest! {
        #[test]
        fn what_is_stored_is_read_back(made in prop::collection::vec(any_record(), 0..20)) {
            let records = build(&made);
            let read = Records::parse(records.bytes().to_vec(), made.len()).unwrap();
            prop_assert_eq!(&read, &records);
            for (index, (time, key, value, headers)) in made.iter().enumerate() {
                prop_assert_eq!(read.time(index), EventTime(*time));
                prop_assert_eq!(read.key(index), key.as_deref());
                prop_assert_eq!(read.value(index), value.as_deref());
                let back: Vec<_> =
                    read.headers(index).map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
                prop_assert_eq!(&back, headers);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), count in 0_usize..50) {
            if let Ok(records) = Records::parse(bytes, count) {
                for index in 0..count {
                    let _ = (records.key(index), records.value(index), records.headers(index).count());
                }
            }
        }

        #[test]
        fn a_batch_cut_short_is_refused(made in prop::collection::vec(any_record(), 1..5), cut in 1_usize..20) {
            let bytes = build(&made).bytes().to_vec();
            let kept = bytes.len().saturating_sub(cut);
            prop_assert!(Records::parse(bytes[..kept].to_vec(), made.len()).is_err());
        }
    }

    #[test]
    fn a_great_count_reserves_no_memory() {
        let error = Records::parse(vec![0; 8], usize::MAX).unwrap_err();
        assert_eq!(error.to_string(), "record 2 of the batch: it ends early");
    }

    #[test]
    fn outgoing_keeps_the_order_within_a_partition() {
        let topic: std::sync::Arc<str> = "t".into();
        let mut outgoing = Outgoing::default();
        for index in 0..4_i64 {
            let partition = u32::from(index % 2 == 1);
            outgoing.partition(&topic, partition).push(EventTime(index), None, None, &[]);
        }
        let odd = outgoing.batches().find(|(to, _)| to.partition == 1).unwrap().1;
        assert_eq!((odd.time(0), odd.time(1)), (EventTime(1), EventTime(3)));
        outgoing.clear();
        assert!(outgoing.is_empty());
    }
}
