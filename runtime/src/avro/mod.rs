//! Record values: Avro in the Confluent wire format (byte 0 is 0, bytes 1 to 4 the schema id, then the datum).
//!
//! Promise: decoding does no IO and never panics, a value that is not exactly one datum of its schema is a [`BadRecord`], and
//! nothing a value or a foreign schema declares can make it allocate or run beyond the value's own size. What breaks it:
//!
//! - `GenericDatumReader::read_value`: it turns a truncated datum into `Ok` with nulls. Only `read_deser` is used here.
//! - leaving out the check for bytes behind the datum: no reader of apache-avro makes it.
//! - decoding a chunk before [`SchemaCache::missing_ids`] of it were [resolved](SchemaCache::resolve): an id that is not in
//!   the cache is a bad record, so a registry out of reach must stop the chunk before it gets here.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use apache_avro::error::Details;
use serde::{Deserialize, Serialize};

use crate::error::{BadRecord, Error, Reason, Result};
use crate::log::{Chunk, SchemaId, SchemaRegistry};

use codec::{Codec, interned};
use decode::Datum;
use encode::Place;
use input::Input;

mod codec;
mod decode;
mod default;
mod encode;
mod input;
mod json;
mod number;
mod plan;

/// Magic byte and schema id.
const HEADER_BYTES: usize = 5;

/// The longest string or byte string a datum may declare: a little above the longest value a record may have (law 14),
/// where apache-avro by itself would allocate up to 512 MiB on the word of a damaged length.
const MAX_ALLOCATION_BYTES: usize = 1 << 20;

/// What schema ids mean, shared by every task of a process.
///
/// The shell fills it before a chunk is applied; [`Decoder`]s only read it. Ids that no schema is registered under are not
/// kept: asking for them again, once per chunk that has them, finds a schema registered meanwhile, and what is kept stays
/// bounded by the registry.
#[derive(Clone, Default)]
pub struct SchemaCache {
    known: Arc<RwLock<HashMap<SchemaId, Known>>>,
}

/// What is known of a registered id.
#[derive(Clone, Copy)]
enum Known {
    Readable(&'static Codec),
    /// The registry holds something here that is no schema we read; says what.
    Refused(&'static str),
}

impl SchemaCache {
    /// An empty cache.
    #[must_use]
    pub fn new() -> SchemaCache {
        SchemaCache::default()
    }

    /// The ids in the values of `chunk` that are not in the cache, each once.
    #[must_use]
    pub fn missing_ids(&self, chunk: &Chunk) -> Vec<SchemaId> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut missing = BTreeSet::new();
        let mut last = None;
        for id in chunk.records().filter_map(|record| framed_id(record.value()?)) {
            // Nearly every record has the id of the one before.
            if last != Some(id) && !known.contains_key(&id) {
                missing.insert(id);
            }
            last = Some(id);
        }
        missing.into_iter().collect()
    }

    /// Asks the registry what `id` means and keeps the answer; an id it does not know is left out.
    ///
    /// # Errors
    /// When the registry cannot be asked. The chunk must wait then: its records are not bad.
    pub fn resolve(&self, id: SchemaId, registry: &dyn SchemaRegistry) -> Result<()> {
        if let Some(text) = registry.schema(id)? {
            let known = match interned(&text) {
                Ok(codec) => Known::Readable(codec),
                Err(refusal) => Known::Refused(refusal),
            };
            self.known.write().unwrap_or_else(PoisonError::into_inner).insert(id, known);
        }
        Ok(())
    }

    fn get(&self, id: SchemaId) -> Option<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(&id).copied()
    }
}

/// Decodes values; one per task, so that the last id's schema is at hand without a lock.
pub struct Decoder {
    cache: SchemaCache,
    last: Option<(SchemaId, &'static Codec)>,
}

impl Decoder {
    /// A decoder over what `cache` knows.
    #[must_use]
    pub fn new(cache: SchemaCache) -> Decoder {
        Decoder { cache, last: None }
    }

    /// The twin in `value`, which may borrow text and bytes from it. Fields the writer's schema lacks take the twin's serde
    /// defaults; fields it has beyond the twin's are passed over. Where the types differ, what Avro promotes is read: an int
    /// as a long, text as bytes, a value as an optional one.
    ///
    /// # Errors
    /// If `value` is not exactly one datum of a known schema that fits `T`.
    pub fn decode<'v, T: Deserialize<'v>>(&mut self, value: Option<&'v [u8]>) -> Result<T, BadRecord> {
        let (id, codec, datum) = self.open(value)?;
        let mut input = Input::new(datum);
        let decoded = T::deserialize(Datum::new(&codec.plan, &mut input))
            .map_err(|error| undecodable(id, codec, &error))?;
        nothing_left(input.rest(), datum)?;
        Ok(decoded)
    }

    /// `value` as JSON, for inspection: fields in the schema's order, times and other logical types as their plain numbers,
    /// bytes as hexadecimal text. Read by apache-avro: who inspects a record does not depend on the decoder that judged it.
    ///
    /// # Errors
    /// If `value` is not exactly one datum of a known schema.
    pub fn decode_json(&mut self, value: Option<&[u8]>) -> Result<serde_json::Value, BadRecord> {
        let (id, codec, datum) = self.open(value)?;
        let mut rest = datum;
        let json: json::Json =
            codec.reader.read_deser(&mut rest).map_err(|error| undecodable(id, codec, &error))?;
        nothing_left(rest, datum)?;
        Ok(json.0)
    }

    #[inline]
    fn open<'v>(
        &mut self,
        value: Option<&'v [u8]>,
    ) -> Result<(SchemaId, &'static Codec, &'v [u8]), BadRecord> {
        let framed = value.and_then(|value| Some((framed_id(value)?, &value[HEADER_BYTES..])));
        let (id, datum) = framed.ok_or_else(|| unframed(value))?;
        let codec = match self.last {
            Some((last, codec)) if last == id => codec,
            _ => self.look_up(id)?,
        };
        Ok((id, codec, datum))
    }

    #[cold]
    fn look_up(&mut self, id: SchemaId) -> Result<&'static Codec, BadRecord> {
        match self.cache.get(id) {
            Some(Known::Readable(codec)) => {
                self.last = Some((id, codec));
                Ok(codec)
            }
            Some(Known::Refused(why)) => {
                Err(BadRecord::new(Reason::Undecodable, format!("schema `{id}` cannot be read: {why}")))
            }
            None => {
                Err(BadRecord::new(Reason::UnknownSchema, format!("no schema is registered under id `{id}`")))
            }
        }
    }
}

/// Encodes twins under one registered schema.
#[derive(Clone, Copy)]
pub struct Encoder {
    id: SchemaId,
    codec: &'static Codec,
}

impl Encoder {
    /// An encoder for values of `schema` (as JSON), registered under `id`.
    ///
    /// # Errors
    /// [`Refused`](Error::Refused) if `schema` is none.
    pub fn new(id: SchemaId, schema: &str) -> Result<Encoder> {
        let refused = |why: &str| Error::Refused {
            what: format!("schema `{id}` cannot be written: {why}"),
            remedy: "register another schema for the topic".into(),
        };
        interned(schema).map(|codec| Encoder { id, codec }).map_err(refused)
    }

    /// The id it writes into headers.
    #[must_use]
    pub fn id(&self) -> SchemaId {
        self.id
    }

    /// Appends `value`, framed, to `out`. After an error `out` is as before.
    ///
    /// # Errors
    /// [`Defect`](Error::Defect) if the twin does not fit the schema.
    pub fn encode<T: Serialize>(&self, value: &T, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        out.push(0);
        out.extend_from_slice(&self.id.0.to_be_bytes());
        value.serialize(Place::new(&self.codec.plan, out)).map_err(|misfit| {
            out.truncate(start);
            Error::Defect(format!("a value does not fit schema `{}`: {misfit}", self.codec.name))
        })
    }
}

#[inline]
fn framed_id(value: &[u8]) -> Option<SchemaId> {
    let (header, _) = value.split_first_chunk::<HEADER_BYTES>()?;
    let [0, id @ ..] = header else { return None };
    Some(SchemaId(u32::from_be_bytes(*id)))
}

/// Why a value has no id.
#[cold]
fn unframed(value: Option<&[u8]>) -> BadRecord {
    let Some(value) = value else { return BadRecord::new(Reason::NullValue, "the record has no value") };
    match value.first() {
        None => BadRecord::new(Reason::Undecodable, "the value is empty"),
        Some(0) => BadRecord::new(Reason::Undecodable, "the value ends within its header"),
        Some(magic) => {
            let message = format!("the value begins with `{magic:#04x}`, not with the wire format's `0x00`");
            BadRecord::new(Reason::WrongMagic, message)
        }
    }
}

#[inline]
fn nothing_left(rest: &[u8], datum: &[u8]) -> Result<(), BadRecord> {
    if rest.is_empty() { Ok(()) } else { Err(left_over(rest, datum)) }
}

#[cold]
fn left_over(rest: &[u8], datum: &[u8]) -> BadRecord {
    let taken = datum.len() - rest.len();
    let message = format!("`{}` bytes are left over behind the datum's `{taken}`", rest.len());
    BadRecord::new(Reason::TrailingBytes, message)
}

#[cold]
fn undecodable(id: SchemaId, codec: &Codec, error: &apache_avro::Error) -> BadRecord {
    let why = match error.details() {
        Details::ReadBytes(_) | Details::ReadVariableIntegerBytes(_) => "it ends early".into(),
        _ => brief(error),
    };
    BadRecord::new(Reason::Undecodable, format!("the value is no `{}` of schema `{id}`: {why}", codec.name))
}

/// apache-avro prints whole schemas into its messages; a header wants a line.
fn brief(error: &apache_avro::Error) -> String {
    const MAX_CHARS: usize = 200;
    let text = match error.details() {
        Details::DeserializeSchemaAware { value_type, value, .. } => format!("`{value_type}`: {value}"),
        _ => error.to_string(),
    };
    if text.chars().count() <= MAX_CHARS {
        return text;
    }
    text.chars().take(MAX_CHARS).chain(['…']).collect()
}

#[cfg(test)]
mod tests;
