//! What a registry's answer means when it is none.
//!
//! Promise: an id is unknown, or a schema refused, only if a schema registry said so. Everything else (no connection, no time left,
//! a 5xx, an answer by somebody who is no registry: a proxy's page, say) is passing, and no record is ever thought bad for it.

use std::fmt;

use reqwest::StatusCode;
use schema_registry_converter::schema_registry_common::RawError;

use crate::error::Error;
use crate::log::compatibility;
use crate::quote::printable;

/// Longer messages of a registry are cut: one line of ours holds them.
const LONGEST_MESSAGE_CHARS: usize = 600;

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// The subject, version or id is not there.
    Unknown,
    /// Asking again may help. `no_route`: somebody answered that there is nothing at this path.
    Passing { cause: String, no_route: bool },
    /// The registry said no.
    Refused { status: StatusCode, message: String },
}

/// What stood in the way of a question.
#[derive(Debug)]
struct Unanswered(String);

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unanswered {}

impl Fault {
    /// What the registry at `place` said with a status that is no success.
    pub(super) fn said(place: &str, status: StatusCode, body: &[u8]) -> Fault {
        let said: Option<RawError> = serde_json::from_slice(body).ok();
        let code = said.as_ref().map_or(0, |said| said.error_code);
        let message = match said {
            Some(said) if code != 0 => brief(&said.message),
            _ => "not as a schema registry does; is the path right?".to_owned(),
        };
        let answered = format!("schema registry `{place}` answered {status}: {message}");
        match status {
            StatusCode::NOT_FOUND if (40401..=40403).contains(&code) => Fault::Unknown,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => passing(answered),
            StatusCode::NOT_FOUND => Fault::Passing { cause: answered, no_route: true },
            _ if status.is_client_error() => Fault::Refused { status, message },
            _ => passing(answered),
        }
    }

    /// The error of a caller who wanted to do `what`.
    pub(super) fn named(self, what: &str) -> Error {
        match self {
            Fault::Passing { cause, .. } => transient(what, cause),
            Fault::Unknown => Error::Refused {
                what: format!("could not {what}: the schema registry does not know it"),
                remedy: "`tidegate schemas list` shows what it knows".to_owned(),
            },
            Fault::Refused { status: StatusCode::CONFLICT, message } => {
                compatibility::refusal(format!("could not {what}: the schema registry refuses it: {message}"))
            }
            Fault::Refused { status: StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, .. } => {
                Error::Refused {
                    what: format!("could not {what}: the schema registry does not let us"),
                    remedy: "check the user and the password it is asked with, and what they may do there"
                        .to_owned(),
                }
            }
            Fault::Refused { status, message } => Error::Refused {
                what: format!("could not {what}: the schema registry answered {status}: {message}"),
                remedy: "correct what it names, or its settings".to_owned(),
            },
        }
    }
}

pub(super) fn passing(cause: String) -> Fault {
    Fault::Passing { cause, no_route: false }
}

/// Not now.
pub(super) fn transient(what: &str, cause: String) -> Error {
    Error::Transient { what: format!("could not {what}"), cause: Box::new(Unanswered(cause)) }
}

/// What lies behind an error of the client, without its first words: they repeat the address.
pub(super) fn causes(first: &(dyn std::error::Error + 'static)) -> String {
    let mut words = Vec::new();
    let mut cause = first.source();
    while let Some(behind) = cause {
        words.push(behind.to_string());
        cause = behind.source();
    }
    if words.is_empty() { "no answer".to_owned() } else { brief(&words.join(": ")) }
}

/// Words of unknown origin on one line, of a bounded length.
fn brief(text: &str) -> String {
    let line = printable(&text.split_whitespace().collect::<Vec<_>>().join(" ")).into_owned();
    match line.char_indices().nth(LONGEST_MESSAGE_CHARS) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line,
    }
}
