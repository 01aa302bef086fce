//! A registry's address as the user wrote it, and the secrets taken out of it.
//!
//! Promise: what is kept as the address holds neither user nor password, so it may stand in any message; a text that cannot be
//! read is shown without whatever stands before its last `@`.

use reqwest::Url;

use crate::error::{Error, Result};

/// Where a registry is, and who asks.
pub(super) struct Address {
    /// Without a slash at its end.
    pub(super) url: String,
    /// The user and the password that stood in it.
    pub(super) user: Option<(String, String)>,
}

impl Address {
    /// Reads `http://HOST:PORT/PATH`, with or without `USER:PASSWORD@` before the host.
    pub(super) fn parse(text: &str) -> Result<Address> {
        let mut url = Url::parse(text).map_err(|error| unreadable(text, &error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(unreadable(text, "it begins with neither `http://` nor `https://`"));
        }
        // A password with a slash, a question mark or a sharp in it ends up behind the host, where it would be shown.
        if url.query().is_some() || url.fragment().is_some() || url.path().contains('@') {
            return Err(unreadable(text, "`?`, `#`, or an `@` behind a `/` has no meaning in it"));
        }
        let user = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some((decoded(user), decoded(password.unwrap_or_default()))),
        };
        // Fails for an address without a host, and it has one.
        let _ = (url.set_username(""), url.set_password(None));
        Ok(Address { url: url.as_str().trim_end_matches('/').to_owned(), user })
    }
}

/// The address without what may be a secret: for messages about one that cannot be read.
pub(in crate::log::kafka) fn without_secrets(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").map_or(("", text), |(scheme, rest)| (scheme, rest));
    // What stands around these signs may be half a password or a token.
    let place = if rest.contains(['?', '#']) { "…" } else { rest.rsplit('@').next().unwrap_or_default() };
    if scheme.is_empty() { place.to_owned() } else { format!("{scheme}://{place}") }
}

fn unreadable(text: &str, why: &str) -> Error {
    Error::Refused {
        what: format!("the schema registry's address `{}` cannot be read: {why}", without_secrets(text)),
        remedy: "write it as `http://HOST:PORT/PATH`; in a user or password, write `@ : / ? #` as `%40 %3A %2F %3F %23`"
            .to_owned(),
    }
}

/// `%40` as `@`; what is no such pair stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let pair = tail.get(..2).filter(|_| *first == b'%').and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A subject as one part of a path.
pub(super) fn encoded(subject: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    subject
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_of_an_address() {
        let address = Address::parse("https://me:p%40ss%2f%zz@host:8081/apis/ccompat/v7/").unwrap();
        assert_eq!(address.url, "https://host:8081/apis/ccompat/v7");
        assert_eq!(address.user, Some(("me".to_owned(), "p@ss/%zz".to_owned())));
        let plain = Address::parse("http://[::1]:8081").unwrap();
        assert_eq!((plain.url.as_str(), plain.user), ("http://[::1]:8081", None));
    }

    #[test]
    fn an_address_that_cannot_be_read_shows_no_secret() {
        for text in [
            "me:secret@host:8081",
            "http://me:sec/ret@host",
            "http://me:/secret@host",
            "http://me:sec?ret@host",
            "http://me:secret#@host",
            "ftp://me:secret@host",
            "http://me:secret@host:port",
            "http://host/?token=secret",
            "http://host/?token=a@secret",
            "host",
            "",
        ] {
            let error = Address::parse(text).err().unwrap_or_else(|| panic!("{text} was read")).to_string();
            assert!(!error.contains("sec") && !error.contains("ret@"), "{error}");
        }
    }

    #[test]
    fn a_subject_is_one_part_of_a_path() {
        assert_eq!(encoded("a-b._c-value"), "a-b._c-value");
        assert_eq!(encoded("a/b?c%"), "a%2Fb%3Fc%25");
    }
}
