//! Requests to one server of a registry, with a bound on everything that comes back.
//!
//! Guarantees: an answer is read up to [`ANSWER_MAX_BYTES`] and within the time of a request, whatever the server sends; a longer or
//! slower one is an error that says so.
//! Requires: use outside of an async runtime (the client blocks, and would panic there).
//!
//! schema_registry_converter gives the forms of the answers. Its own requests read an answer of any length into memory, so they are
//! not used.

use std::io::Read;
use std::time::{Duration, Instant};

use reqwest::blocking::{Client, RequestBuilder, Response};
use serde::de::DeserializeOwned;

use super::fault::{Fault, causes, passing};

/// The longest answer that is read: a hundred times the largest schemas that people write.
pub(super) const ANSWER_MAX_BYTES: usize = 10 * 1024 * 1024;

/// As registries name JSON.
const CONTENT: &str = "application/vnd.schemaregistry.v1+json";

/// One server.
pub(super) struct Requests {
    /// Its address, without secrets.
    pub(super) place: String,
    pub(super) client: Client,
    pub(super) user: Option<(String, String)>,
    /// The time of one request.
    pub(super) patience: Duration,
}

impl Requests {
    /// Asks for what is at `path`.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fault> {
        self.answer(self.client.get(format!("{}{path}", self.place)))
    }

    /// Sends `body` to `path`.
    pub(super) fn post<T: DeserializeOwned>(&self, path: &str, body: &str) -> Result<T, Fault> {
        let request = self.client.post(format!("{}{path}", self.place)).body(body.to_owned());
        self.answer(request.header("Content-Type", CONTENT).header("Accept", CONTENT))
    }

    fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Fault> {
        let until = Instant::now() + self.patience;
        let request = match &self.user {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        };
        let place = &self.place;
        let response = request
            .send()
            .map_err(|error| passing(format!("schema registry `{place}`: {}", causes(&error))))?;
        let status = response.status();
        let body = bounded_body(response, until)
            .map_err(|why| passing(format!("schema registry `{place}` {why}")))?;
        if !status.is_success() {
            return Err(Fault::said(place, status, &body));
        }
        let not_ours = |_| passing(format!("`{place}` answered, but not as a schema registry does"));
        serde_json::from_slice(&body).map_err(not_ours)
    }
}

/// Returns the body of an answer.
///
/// # Errors
/// In words, if it is longer than [`ANSWER_MAX_BYTES`], does not end before `until`, or breaks off.
pub(super) fn bounded_body(mut response: Response, until: Instant) -> Result<Vec<u8>, String> {
    const STEP: usize = 64 * 1024;
    let too_long = || Err(format!("sent an answer of more than {ANSWER_MAX_BYTES} bytes"));
    if response.content_length().is_some_and(|length| length > ANSWER_MAX_BYTES as u64) {
        return too_long();
    }
    let (mut body, mut step) = (Vec::new(), vec![0; STEP]);
    loop {
        match response.read(&mut step) {
            Ok(0) => return Ok(body),
            Ok(count) => body.extend_from_slice(&step[..count]),
            Err(error) => return Err(format!("broke off its answer: {error}")),
        }
        if body.len() > ANSWER_MAX_BYTES {
            return too_long();
        }
        if Instant::now() >= until {
            return Err("did not end its answer in time".to_owned());
        }
    }
}
