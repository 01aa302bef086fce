//! A schema made ready to read and write by, once per process.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;

use super::plan::Node;
use super::{MAX_ALLOCATION_BYTES, brief};

/// A schema's plan, which twins are read and written by, and apache-avro's reader, which values are shown by. It borrows the schema and
/// building it per record would cost more than decoding does, so a codec lives as long as the process; see [`interned`].
pub(super) struct Codec {
    pub(super) name: String,
    pub(super) plan: Node,
    pub(super) reader: GenericDatumReader<'static>,
}

/// The codec of a schema's text, made once per distinct text. What is leaked here is bounded by the registries this process
/// talks to: no record can add to it, only a registered schema.
pub(super) fn interned(text: &str) -> Result<&'static Codec, &'static str> {
    type Interned = HashMap<String, Result<&'static Codec, &'static str>>;
    static INTERNED: LazyLock<Mutex<Interned>> = LazyLock::new(|| {
        // Takes effect once per process, before the first datum is read.
        apache_avro::util::max_allocation_bytes(MAX_ALLOCATION_BYTES);
        Mutex::default()
    });
    let mut interned = INTERNED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = interned.get(text) {
        return *found;
    }
    let made = codec(text).map(|codec| &*Box::leak(Box::new(codec))).map_err(|why| &*why.leak());
    interned.insert(text.to_owned(), made);
    made
}

fn codec(text: &str) -> Result<Codec, String> {
    let schema = Schema::parse_str(text).map_err(|error| brief(&error))?;
    let plan = Node::of(&schema)?;
    let schema: &'static Schema = Box::leak(Box::new(schema));
    let reader = GenericDatumReader::builder(schema).human_readable(false).build();
    let reader = reader.map_err(|error| brief(&error))?;
    let name = schema.name().map_or_else(|| "unnamed".into(), ToString::to_string);
    Ok(Codec { name, plan, reader })
}
