//! Whether librdkafka takes a property: asked before any client is made, so that a user is told where it stands.
//!
//! Promise: what exactly-once stands on cannot be set; a message names the property and never its value, which may be a password.

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use super::connection::{OURS, refused};
use crate::error::{Error, Result};

/// Whether librdkafka takes this property with this value, and whether it is the user's to set.
///
/// # Errors
/// [`Refused`](crate::Error::Refused), with the name and never the value.
pub fn check_property(name: &str, value: &str) -> Result<()> {
    if let Some((_, why)) = OURS.iter().find(|(ours, _)| *ours == name) {
        let what = format!("property `{name}` cannot be set: {why}");
        return Err(Error::Refused { what, remedy: "leave it out".to_owned() });
    }
    match ClientConfig::new().set(name, value).create_native_config() {
        Ok(_) => Ok(()),
        // Of Java's properties it says what to give instead. Elsewhere its words may hold the value.
        Err(KafkaError::ClientConfig(_, words, ..))
            if words.starts_with("Java") && !words.contains(value) =>
        {
            Err(Error::Refused { what: format!("property `{name}` is unknown"), remedy: words })
        }
        Err(error) => Err(refused(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: &str, value: &str) -> String {
        check_property(name, value).unwrap_err().to_string()
    }

    #[test]
    fn what_librdkafka_has_is_taken() {
        for (name, value) in [
            ("linger.ms", "5"),
            ("security.protocol", "SASL_SSL"),
            ("sasl.password", "hunter2"),
            ("compression.type", "zstd"),
            ("queue.buffering.max.ms", "7"),
        ] {
            check_property(name, value).unwrap();
        }
    }

    #[test]
    fn what_it_has_not_is_named_without_its_value() {
        assert!(said("linger", "hunter2").contains("property `linger` is unknown"));
        assert!(said("ssl.truststore.location", "/trust").contains("use `ssl.ca.location`"));
        for (name, value) in
            [("linger.ms", "hunter2"), ("security.protocol", "hunter2"), ("sasl.jaas.config", "hunter2")]
        {
            let said = said(name, value);
            assert!(said.contains(&format!("`{name}`")) && !said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn what_exactly_once_stands_on_is_ours() {
        assert!(said("isolation.level", "read_uncommitted").contains("exactly-once stands on it"));
        assert!(said("session.timeout.ms", "9000").contains("--session-timeout"));
        for (name, _) in OURS {
            assert!(said(name, "something else").contains("cannot be set"), "{name}");
        }
    }
}
