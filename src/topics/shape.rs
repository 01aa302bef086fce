//! The shape of a topic: which of our topics it is like.

use serde_json::Value;
use tidegate_runtime::log::SchemaId;
use tidegate_schemas::{TOPICS, Topic, topic};

/// The row of the table for the topic `name`: its own, or that of the topic whose values have the schema that was registered last for it.
/// Schemas are compared by their full names: the version that wrote a value is asked for each value.
pub(super) fn shape(name: &str, versions: &[(SchemaId, String)]) -> Option<&'static Topic> {
    topic(name).or_else(|| {
        let registered = versions.last().and_then(|(_, schema)| full_name(schema))?;
        TOPICS.into_iter().find(|topic| full_name(topic.schema).as_ref() == Some(&registered))
    })
}

fn full_name(schema: &str) -> Option<String> {
    let schema: Value = serde_json::from_str(schema).ok()?;
    let name = schema.get("name")?.as_str()?;
    match schema.get("namespace").and_then(Value::as_str) {
        Some(namespace) if !name.contains('.') => Some(format!("{namespace}.{name}")),
        _ => Some(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_of_another_name_has_the_shape_of_its_schema() {
        for row in TOPICS {
            for schema in row.older_schemas.iter().chain([&row.schema]) {
                let versions = [(SchemaId(7), (*schema).to_owned())];
                assert_eq!(shape("others", &versions).unwrap().name, row.name);
                assert_eq!(shape("invoices", &versions).unwrap().name, "invoices", "its own row comes first");
            }
        }
        let other = [(SchemaId(1), r#"{"type": "record", "name": "Invoice", "fields": []}"#.to_owned())];
        for versions in [&[][..], &other, &[(SchemaId(1), "\"bytes\"".to_owned())]] {
            assert_eq!(shape("others", versions), None);
        }
    }
}
