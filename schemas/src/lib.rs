//! The contract of Tidegate: Avro schemas, their Rust twins, the table of topics, the read store.
