//! Texts that are never shown, the properties that hold them, and files that others can read.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// A password or a key: whoever prints it by mistake prints a dot.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// The text itself, for those it is meant for.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Words in a property's name that make its value a secret: librdkafka's (`sasl.password`, `ssl.key.password`,
/// `sasl.oauthbearer.client.secret`, `…passphrase`, `ssl.key.pem`), and those Java has for the same (`sasl.jaas.config`).
const SECRET_WORDS: [&str; 6] = ["password", "passphrase", "secret", "key.pem", "jaas", "oauthbearer.config"];

/// True for a property whose value is a secret.
pub(crate) fn is_secret(property: &str) -> bool {
    let property = property.to_lowercase();
    SECRET_WORDS.iter().any(|word| property.contains(word))
}

/// A warning, if everybody on this machine can read this file. A group may: that is how a service is given its secrets.
pub(crate) fn exposed(path: &Path) -> Option<String> {
    const READABLE_BY_OTHERS: u32 = 0o004;
    let mode = fs::metadata(path).ok()?.permissions().mode();
    let path = path.display();
    (mode & READABLE_BY_OTHERS != 0).then(|| {
        format!("`{path}` holds a secret and everybody on this machine can read it; `chmod o-r {path}`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_never_shown() {
        let shown = format!("{:?}", Some(Secret::from("hunter2".to_owned())));
        assert_eq!(shown, "Some(…)");
    }

    #[test]
    fn librdkafkas_secrets_are_known_by_name_and_paths_are_none() {
        for name in [
            "sasl.password",
            "ssl.key.password",
            "ssl.key.pem",
            "ssl.keystore.password",
            "sasl.oauthbearer.config",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.client.credentials.client.secret",
            "sasl.oauthbearer.assertion.private.key.passphrase",
            "sasl.oauthbearer.assertion.private.key.pem",
            "SASL.Password",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["ssl.key.location", "ssl.ca.pem", "ssl.certificate.pem", "sasl.username", "linger.ms"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
