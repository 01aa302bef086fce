//! The oracle's inputs and goldens, and an input's rows as a producer writes them.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tidegate_runtime::avro::Encoder;
use tidegate_runtime::log::{SchemaId, partition_for};
use tidegate_schemas::topics;

use self::rows::value_bytes;
use crate::registry::Registry;

#[path = "../../pipeline/rows.rs"]
mod rows;

/// A record to be written.
#[derive(Clone, Debug)]
pub struct Fed {
    pub topic: String,
    pub partition: i32,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub time_ms: i64,
}

pub fn tests_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// The rows of a `.jsonl.gz` under `tests/golden`.
pub fn golden(name: &str) -> Vec<Value> {
    rows(&tests_path("golden").join(name))
}

/// The rows of a `.jsonl.gz`.
pub fn rows(path: &Path) -> Vec<Value> {
    let packed = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// An input's rows as records, their schemas registered as the program would.
pub fn encoded(rows: &[Value], registry: &Registry) -> Vec<Fed> {
    let mut encoders: Vec<(String, Encoder)> = Vec::new();
    let mut encode = |row: &Value| {
        let name = row["topic"].as_str().unwrap();
        let topic = topics::topic(name).unwrap();
        if !encoders.iter().any(|(known, _)| known == name) {
            let id = registry.register(&format!("{name}-value"), topic.schema);
            encoders.push((name.to_owned(), Encoder::new(SchemaId(id), topic.schema).unwrap()));
        }
        let (_, encoder) = encoders.iter().find(|(known, _)| known == name).unwrap();
        let key = row["key"].as_str().map(|key| key.as_bytes().to_vec());
        let partition = match row.get("partition").and_then(Value::as_u64) {
            Some(partition) => u32::try_from(partition).unwrap(),
            None => partition_for(key.as_deref().unwrap(), topic.partitions),
        };
        Fed {
            topic: name.to_owned(),
            partition: i32::try_from(partition).unwrap(),
            value: value_bytes(row, topic, encoder),
            key,
            time_ms: row["time_ms"].as_i64().unwrap(),
        }
    };
    rows.iter().map(&mut encode).collect()
}
