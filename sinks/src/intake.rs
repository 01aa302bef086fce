//! From a record to a row, or to the reason why it is none (law 14).
//!
//! Promise: no IO. The schema ids of a chunk are resolved before, so that a registry out of reach stops the chunk and
//! never makes a bad record of a good one.

use tidegate_runtime::avro::{Decoder, SchemaCache};
use tidegate_runtime::log::{Offset, RecordRef};
use tidegate_runtime::processor::VALUE_MAX_BYTES;
use tidegate_runtime::time::EventTime;
use tidegate_runtime::{BadRecord, Reason, Result};
use tidegate_schemas::Topic;

use crate::layout::Layout;
use crate::row::Row;

/// Takes the records of one topic.
pub(crate) struct Intake {
    layout: Layout,
    decoder: Decoder,
    max_event_time: EventTime,
}

impl Intake {
    pub(crate) fn new(topic: &Topic, cache: SchemaCache, max_event_time: EventTime) -> Result<Intake> {
        Ok(Intake { layout: Layout::of(topic)?, decoder: Decoder::new(cache), max_event_time })
    }

    /// The record's row, fitted to the topic's columns.
    pub(crate) fn take(&mut self, record: &RecordRef<'_>) -> Result<Row, BadRecord> {
        let size_bytes = record.value().map_or(0, <[u8]>::len);
        if size_bytes > VALUE_MAX_BYTES {
            let message = format!("the value has `{size_bytes}` bytes, and `{VALUE_MAX_BYTES}` is the most");
            return Err(BadRecord::new(Reason::TooLarge, message));
        }
        if record.key().is_none() {
            return Err(BadRecord::new(Reason::NullKey, "the record has no key"));
        }
        let time = record.time();
        if time < EventTime(0) || time > self.max_event_time {
            let message = format!("event time `{time}` is not between 1970 and `{}`", self.max_event_time);
            return Err(BadRecord::new(Reason::EventTime, message));
        }
        self.layout.fit(self.decoder.decode(record.value())?)
    }
}

/// A bad record as it is kept beside the rows.
pub(crate) struct Reject<'a> {
    pub(crate) offset: Offset,
    pub(crate) time: EventTime,
    pub(crate) bad: &'a BadRecord,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
}

impl<'a> Reject<'a> {
    pub(crate) fn new(record: &RecordRef<'a>, bad: &'a BadRecord) -> Reject<'a> {
        Reject { offset: record.offset(), time: record.time(), bad, key: record.key(), value: record.value() }
    }
}
