//! The client against a registry that says what a test tells it to.
//!
//! - `ids`: what an id means, and what becomes of it while the registry is out of reach.
//! - `subjects`: registering, checking, listing.
//! - `connecting`: several servers, users, TLS, and who may call from where.

mod connecting;
mod ids;
mod server;
mod subjects;

use std::time::{Duration, Instant};

use super::{ConfluentRegistry, Patience};
use crate::error::{Error, Result};
use crate::log::kafka::RegistryConnection;

/// Longer than anything here takes on a busy machine: a test that waits for so long hangs.
const DEADLINE: Duration = Duration::from_secs(60);

/// Nobody waits for so long: what has to be answered at once would hang.
const FOR_EVER: Duration = Duration::from_secs(3_600);

/// Retries without a pause, and otherwise all the time of the world.
fn patience() -> Patience {
    Patience {
        request: DEADLINE,
        first_answer: FOR_EVER,
        start: DEADLINE,
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(1),
        unknown: FOR_EVER,
        forget: FOR_EVER,
    }
}

fn at(urls: &[&str]) -> RegistryConnection {
    RegistryConnection { urls: urls.iter().map(|url| (*url).to_owned()).collect(), ..Default::default() }
}

fn registry(url: &str) -> ConfluentRegistry {
    ConfluentRegistry::with(&at(&[url]), patience()).unwrap()
}

/// A registry's answer with a schema in it.
fn holding(schema: &str) -> (u16, String) {
    (200, serde_json::json!({ "subject": "t-value", "version": 1, "id": 7, "schema": schema }).to_string())
}

fn error(status: u16, code: u32, message: &str) -> (u16, String) {
    (status, serde_json::json!({ "error_code": code, "message": message }).to_string())
}

fn assert_transient<T: std::fmt::Debug>(answer: Result<T>, words: &str) {
    let Err(Error::Transient { what, cause }) = answer else { panic!("{answer:?}") };
    assert!(format!("{what}: {cause}").contains(words), "{what}: {cause}");
}

fn refused<T: std::fmt::Debug>(answer: Result<T>) -> String {
    let Err(error @ Error::Refused { .. }) = answer else { panic!("{answer:?}") };
    error.to_string()
}

/// Asks until the answer is not a passing fault.
fn finally<T>(mut question: impl FnMut() -> Result<T>) -> Result<T> {
    let mut last = None;
    until("an answer", || {
        let answer = question();
        let is_answer = !matches!(answer, Err(Error::Transient { .. }));
        last = Some(answer);
        is_answer
    });
    last.unwrap()
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {DEADLINE:?} for {what}");
        // Nobody unparks: this gives the processor away between two looks.
        std::thread::park_timeout(Duration::from_millis(1));
    }
}
