//! What a client's connections report while a call waits: the reason behind "timed out".
//!
//! librdkafka would print these lines. Here the latest one is kept, and shown with the error of a call that ran out of time; normal work
//! stays silent. librdkafka leaves out what it has said within the last thirty seconds, so a line counts for a little longer than
//! that, or until a call succeeds.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::fault::Code;

/// Longer than librdkafka keeps quiet about the same thing.
const COUNTS_FOR: Duration = Duration::from_secs(35);

/// One thing that was reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// What kind of thing, where it is known.
    pub(super) code: Option<Code>,
    /// The same for people.
    pub(super) text: String,
}

/// The latest thing that was reported. Written by librdkafka's threads, read by whoever names an error.
#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<Option<(Instant, Word)>>);

impl Heard {
    /// A log line; those about a connection that failed count. What else is an error comes back from the call it belongs to.
    pub(super) fn line(&self, facility: &str, text: &str) {
        if facility == "FAIL" {
            // "[thrd:h:9092/1]: h:9092/1: Connect to …" says where twice.
            let text = text
                .strip_prefix("[thrd:")
                .and_then(|rest| rest.split_once("]: "))
                .map_or(text, |(_, text)| text);
            self.keep(None, text);
        }
    }

    /// An error event: the same with its code.
    pub(super) fn error(&self, code: Code, text: &str) {
        // That all brokers are down follows from what was said about each of them.
        if code != Code::AllBrokersDown {
            self.keep(Some(code), text);
        }
    }

    fn keep(&self, code: Option<Code>, text: &str) {
        // How long the connection had been in which state is for those who look into librdkafka; that a silent broker might be an old one
        // is a guess from another decade.
        let text = text.rsplit_once(" (after ").map_or(text, |(text, _)| text);
        let text = text.split_once(": probably due to broker version").map_or(text, |(text, _)| text);
        let word = Word { code, text: text.to_owned() };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), word));
    }

    /// The latest thing, if it still counts.
    pub(super) fn recent(&self) -> Option<Word> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|(at, _)| at.elapsed() < COUNTS_FOR).map(|(_, word)| word.clone())
    }

    /// A call has succeeded: what was heard before explains no later failure.
    pub(super) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_reason_is_kept_until_a_call_succeeds() {
        let heard = Heard::default();
        heard.line("CONFWARN", "Configuration property `x` is a producer property");
        assert_eq!(heard.recent(), None);
        heard.line(
            "FAIL",
            "[thrd:h:1/bootstrap]: h:1/bootstrap: Connect to ipv4#h:1 failed: Connection refused (after 0ms in state CONNECT)",
        );
        assert_eq!(
            heard.recent().unwrap().text,
            "h:1/bootstrap: Connect to ipv4#h:1 failed: Connection refused"
        );
        heard.error(Code::Authentication, "SASL authentication error");
        heard.error(Code::AllBrokersDown, "1/1 brokers are down");
        assert_eq!(heard.recent().unwrap().code, Some(Code::Authentication));
        heard.forget();
        assert_eq!(heard.recent(), None);
    }
}
