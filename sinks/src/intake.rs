//! From a record to a row, or to the reason why it is none (law 14).
//!
//! Promise: a record becomes a row if and only if its value is valid by the judgement of its type (`validity` of `tidegate-schemas`),
//! which processors ask too; the timestamp of its record decides nothing. No IO. The schema ids of a chunk are resolved before, so that a registry out of reach stops the chunk and
//! never makes a bad record of a good one.

use tidegate_runtime::avro::{Decoder, SchemaCache};
use tidegate_runtime::log::{Offset, RecordRef};
use tidegate_runtime::processor::VALUE_MAX_BYTES;
use tidegate_runtime::quote::quoted;
use tidegate_runtime::time::EventTime;
use tidegate_runtime::{BadRecord, Reason, Result};
use tidegate_schemas::Topic;
use tidegate_schemas::validity::{Fields, Invalid, Why};

use crate::layout::Layout;
use crate::row::{Cell, Row};

/// Takes the records of one topic.
pub(crate) struct Intake {
    topic: &'static Topic,
    layout: Layout,
    decoder: Decoder,
    max_event_time: EventTime,
}

impl Intake {
    pub(crate) fn new(
        topic: &'static Topic,
        cache: SchemaCache,
        max_event_time: EventTime,
    ) -> Result<Intake> {
        Ok(Intake { topic, layout: Layout::of(topic)?, decoder: Decoder::new(cache), max_event_time })
    }

    /// The record's row, fitted to the topic's columns.
    pub(crate) fn take(&mut self, record: &RecordRef<'_>) -> Result<Row, BadRecord> {
        let size_bytes = record.value().map_or(0, <[u8]>::len);
        if size_bytes > VALUE_MAX_BYTES {
            let message = format!("the value has `{size_bytes}` bytes, and `{VALUE_MAX_BYTES}` is the most");
            return Err(BadRecord::new(Reason::TooLarge, message));
        }
        let Some(key) = record.key() else {
            return Err(BadRecord::new(Reason::NullKey, "the record has no key"));
        };
        let row = self.layout.fit(self.decoder.decode(record.value())?)?;
        self.topic.judge(key, &row, self.max_event_time.0).map_err(bad_record)?;
        Ok(row)
    }
}

fn bad_record(invalid: Invalid) -> BadRecord {
    let reason = match invalid.why {
        Why::EventTime(_) => Reason::EventTime,
        Why::Key(_) | Why::Rule(_) => Reason::Rule,
    };
    BadRecord::new(reason, invalid.message(|text| quoted(text).to_string()))
}

impl Fields for Row {
    fn text(&self, field: &str) -> &str {
        let found = self.0.iter().find(|(name, _)| *name == field);
        match found {
            Some((_, Cell::Text(text))) => text,
            _ => "",
        }
    }

    fn integer(&self, field: &str) -> i64 {
        let found = self.0.iter().find(|(name, _)| *name == field);
        match found {
            Some((_, Cell::Integer(number))) => *number,
            _ => 0,
        }
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
