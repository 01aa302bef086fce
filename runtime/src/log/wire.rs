//! The size of a record on its way to a Kafka broker, and the greatest that is sent.

use super::{Headers, Records, TopicPartition};
use crate::error::{Error, Result};

/// The greatest record that is sent: 588 bytes below the 1 048 588 that brokers take unless told otherwise. A library under us may
/// abort the process for a greater one, so nothing greater reaches it.
pub const RECORD_MAX_BYTES: usize = 1_048_000;

/// The frame of a batch with one record, lengths and times at their longest.
const FRAME_BYTES: usize = 128;

/// What stands beside a header's name and value.
const HEADER_FRAME_BYTES: usize = 10;

/// Returns the most that a record takes with its frame.
#[must_use]
pub fn wire_size<'h>(
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: impl Iterator<Item = (&'h str, &'h [u8])>,
) -> usize {
    let part = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
    FRAME_BYTES + part(key) + part(value) + headers_size(headers)
}

/// Returns the most that headers take.
#[must_use]
pub fn headers_size<'h>(headers: impl Iterator<Item = (&'h str, &'h [u8])>) -> usize {
    headers.map(|(name, value)| HEADER_FRAME_BYTES + name.len() + value.len()).sum()
}

/// Refuses records of which one is too large for a broker.
///
/// # Errors
/// [`Error::Refused`], naming the partition and the record's size.
pub fn check_sizes(to: &TopicPartition, records: &Records) -> Result<()> {
    let size = |index: usize| {
        let headers: Headers<'_> = records.headers(index);
        wire_size(records.key(index), records.value(index), headers)
    };
    match (0..records.len()).map(size).find(|size| *size > RECORD_MAX_BYTES) {
        None => Ok(()),
        Some(size) => Err(Error::Refused {
            what: format!(
                "cannot send a record of {size} bytes to `{to}`: at most {RECORD_MAX_BYTES} are sent"
            ),
            remedy: "shorten its value, key or headers".to_owned(),
        }),
    }
}
