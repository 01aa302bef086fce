//! A run of records in one buffer: how records are kept, moved and stored.
//!
//! The bytes of [`Records`] are the embedded log's batch format, so that appending writes them as they are and reading
//! hands them on as they are. Per record: time minus the previous record's time (zigzag varint, the first against 0); key length + 1
//! (varint, 0 = null), key; value length + 1, value; byte length of the headers; headers, each name length, name,
//! value length, value.
//!
//! Nothing is allocated per record; a cleared buffer is used again.

use std::ops::Range;

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
        let mut entries = Vec::new();
        parse_entries(&bytes, 0, 0, count, &mut entries)?;
        Ok(Records { bytes, entries })
    }

    /// Appends a stored run of `count` records, as [`parse`](Records::parse) would read it, without a buffer of its own.
    ///
    /// # Errors
    /// As [`parse`](Records::parse); nothing is appended then.
    pub fn extend_stored(&mut self, stored: &[u8], count: usize) -> Result<(), RecordsError> {
        let (bytes_before, entries_before) = (self.bytes.len(), self.entries.len());
        let previous = self.last_time();
        let appended = rebase(stored, previous, &mut self.bytes)
            .map_err(|what| RecordsError { index: 0, what })
            .and_then(|()| parse_entries(&self.bytes, bytes_before, previous, count, &mut self.entries));
        if appended.is_err() {
            self.bytes.truncate(bytes_before);
            self.entries.truncate(entries_before);
        }
        appended
    }

    /// Moves every record of `other` behind these; `other` keeps a buffer to fill again.
    pub fn append(&mut self, other: &mut Records) {
        if self.is_empty() {
            self.clear();
            std::mem::swap(self, other);
            return;
        }
        rebase(&other.bytes, self.last_time(), &mut self.bytes)
            .expect("what `push` wrote is a run of records");
        let moved = other.bytes.len();
        // Only the first time can change its length, so that everything behind it moves by the same distance.
        let end = self.position();
        let shift = |range: &Range<u32>| range_from_end(range, moved, end);
        self.entries.extend(other.entries.iter().map(|entry| Entry {
            time: entry.time,
            key: entry.key.as_ref().map(shift),
            value: entry.value.as_ref().map(shift),
            headers: shift(&entry.headers),
        }));
        other.clear();
    }

    /// The end of the run from `start` that takes at most `max_bytes` and `max_records`; at least one record.
    #[must_use]
    pub fn run_end(&self, start: usize, max_bytes: usize, max_records: usize) -> usize {
        let limit = self.start_of(start) + max_bytes;
        let fitting = self.entries[start..].partition_point(|entry| entry.headers.end as usize <= limit);
        (start + fitting.clamp(1, max_records)).min(self.len())
    }

    /// Writes the stored form of some of the records behind `into`.
    pub fn encode(&self, range: Range<usize>, into: &mut Vec<u8>) {
        if !range.is_empty() {
            let run = &self.bytes[self.start_of(range.start)..self.start_of(range.end)];
            let mut at = 0;
            take_varint(run, &mut at).expect("what `push` wrote begins with its time");
            put_varint(into, zigzag(self.entries[range.start].time.0));
            into.extend_from_slice(&run[at..]);
        }
    }

    /// The records from `index` on.
    #[must_use]
    pub fn from_index(&self, index: usize) -> Records {
        let mut bytes = Vec::new();
        self.encode(index..self.len(), &mut bytes);
        Records::parse(bytes, self.len() - index).expect("a run of whole records parses")
    }

    /// Appends a record.
    pub fn push(
        &mut self,
        time: EventTime,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, &[u8])],
    ) {
        let previous = self.last_time();
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
        self.time_range_of(0..self.len())
    }

    /// The least and the greatest time of some of the records.
    ///
    /// # Panics
    /// If there are no such records.
    #[must_use]
    pub fn time_range_of(&self, range: Range<usize>) -> Option<(EventTime, EventTime)> {
        let (first, rest) = self.entries[range].split_first()?;
        let widen = |(least, greatest): (EventTime, EventTime), entry: &Entry| {
            (least.min(entry.time), greatest.max(entry.time))
        };
        Some(rest.iter().fold((first.time, first.time), widen))
    }

    /// The time of record `index`.
    ///
    /// # Panics
    /// If there is no such record.
    #[must_use]
    #[inline]
    pub fn time(&self, index: usize) -> EventTime {
        self.entries[index].time
    }

    /// The key of record `index`.
    ///
    /// # Panics
    /// If there is no such record.
    #[must_use]
    #[inline]
    pub fn key(&self, index: usize) -> Option<&[u8]> {
        self.entries[index].key.clone().map(|range| self.slice(range))
    }

    /// The value of record `index`.
    ///
    /// # Panics
    /// If there is no such record.
    #[must_use]
    #[inline]
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

    fn last_time(&self) -> i64 {
        self.entries.last().map_or(0, |entry| entry.time.0)
    }

    fn start_of(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.entries[before].headers.end as usize)
    }

    #[inline]
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

/// Appends the entries of `count` records that fill `bytes` from `at` on; `time` is the one before them.
fn parse_entries(
    bytes: &[u8],
    mut at: usize,
    mut time: i64,
    count: usize,
    entries: &mut Vec<Entry>,
) -> Result<(), RecordsError> {
    // A record takes at least four bytes: a count no buffer could hold must not reserve memory.
    entries.reserve(count.min((bytes.len() - at) / 4 + 1));
    for index in 0..count {
        let entry = parse_entry(bytes, &mut at, &mut time).map_err(|what| RecordsError { index, what })?;
        entries.push(entry);
    }
    if at != bytes.len() {
        return Err(RecordsError { index: count, what: "bytes are left over" });
    }
    Ok(())
}

/// Writes a stored run behind `into`, whose last record has time `previous`.
fn rebase(stored: &[u8], previous: i64, into: &mut Vec<u8>) -> Result<(), &'static str> {
    if !stored.is_empty() {
        let mut at = 0;
        let time = unzigzag(take_varint(stored, &mut at)?);
        put_varint(into, zigzag(time.wrapping_sub(previous)));
        into.extend_from_slice(&stored[at..]);
    }
    Ok(())
}

/// A range of a buffer of `len` bytes, in a longer one that ends with the same bytes at `end`.
fn range_from_end(range: &Range<u32>, len: usize, end: u32) -> Range<u32> {
    let shift = |at: u32| (end as usize - (len - at as usize)) as u32;
    shift(range.start)..shift(range.end)
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
        fn runs_joined_are_the_records_in_one_run(
            made in prop::collection::vec(any_record(), 0..20), at in 0_usize..20,
        ) {
            let (first, second) = made.split_at(at.min(made.len()));
            let whole = build(&made);
            let mut appended = build(first);
            appended.append(&mut build(second));
            prop_assert_eq!(&appended, &whole);
            let mut extended = build(first);
            extended.extend_stored(build(second).bytes(), second.len()).unwrap();
            prop_assert_eq!(&extended, &whole);
            prop_assert_eq!(whole.from_index(first.len()), build(second));
        }

        #[test]
        fn a_run_is_as_long_as_its_bounds_allow(
            made in prop::collection::vec(any_record(), 1..20), bytes in 0_usize..2_000, most in 1_usize..20,
        ) {
            let whole = build(&made);
            let mut read = Records::default();
            while read.len() < made.len() {
                let (start, end) = (read.len(), whole.run_end(read.len(), bytes, most));
                let mut run = Vec::new();
                whole.encode(start..end, &mut run);
                prop_assert!(end - start <= most && end > start);
                prop_assert!(end - start == 1 || run.len() <= bytes + 10);
                read.extend_stored(&run, end - start).unwrap();
            }
            prop_assert_eq!(read, whole);
        }

        #[test]
        fn damaged_bytes_append_nothing(made in prop::collection::vec(any_record(), 1..5)) {
            let mut records = build(&made);
            let stored = records.bytes()[..records.bytes().len() - 1].to_vec();
            prop_assert!(records.extend_stored(&stored, made.len()).is_err());
            prop_assert_eq!(records, build(&made));
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
}
