//! The table of topics is consistent with itself and with the schemas.

#![allow(clippy::unwrap_used, reason = "a helper of tests may panic as a test may")]

use std::collections::BTreeSet;

use apache_avro::Schema;
use tidegate_schemas::{TOPICS, topic, topics};

#[test]
fn names_are_unique_and_found() {
    let names: BTreeSet<_> = TOPICS.iter().map(|topic| topic.name).collect();
    assert_eq!(names.len(), TOPICS.len());
    for row in TOPICS {
        assert!(std::ptr::eq(topic(row.name).unwrap(), row));
        assert!(row.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{}", row.name);
    }
    assert_eq!(topic("reading"), None);
}

#[test]
fn keys_and_event_times_are_fields_of_the_right_type() {
    for row in TOPICS {
        let schema = Schema::parse_str(row.schema).unwrap();
        let Schema::Record(record) = schema else { panic!("{} holds no record", row.name) };
        let field =
            |name: &str| record.fields.iter().find(|field| field.name == name).map(|field| &field.schema);
        assert_eq!(field(row.key_field), Some(&Schema::String), "{}", row.name);
        assert_eq!(field(row.event_time_field), Some(&Schema::TimestampMillis), "{}", row.name);
    }
}

#[test]
fn every_topic_has_partitions_a_writer_and_a_reader() {
    for row in TOPICS {
        assert!(row.partitions > 0 && !row.writers.is_empty() && !row.readers.is_empty(), "{}", row.name);
    }
}

#[test]
fn what_is_joined_by_plate_is_co_partitioned() {
    assert_eq!(topics::READINGS.partitions, topics::VEHICLES.partitions);
    assert_eq!(
        (topics::READINGS.key, topics::READINGS.key_field),
        (topics::VEHICLES.key, topics::VEHICLES.key_field)
    );
}
