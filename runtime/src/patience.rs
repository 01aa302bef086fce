//! Trying again after a passing fault: how long to wait, and what to say of it.
//!
//! Promise: whoever has lost a broker for an hour asks it a few times a minute, finds it again within [`MOST_DELAY`] of its return, and
//! has said each thing once. Whoever has lost it for a moment loses a moment.
#![allow(
    clippy::disallowed_methods,
    reason = "the shell around the pure core: it may read the clock and wait"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::error::{Error, Reaction, Result};
use crate::notice::Notice;

/// The first wait: as long as a commit interval.
const FIRST_DELAY: Duration = Duration::from_millis(100);

/// The longest wait: half of the ten seconds within which everything is back at work.
pub const MOST_DELAY: Duration = Duration::from_secs(5);

/// What was said is said anew when a fault comes back after so long without one: below that it is the same trouble.
const CALM: Duration = Duration::from_secs(10);

/// So many different things are said of one trouble: the text of a fault may hold numbers, and no list grows for ever.
const MOST_SAID: usize = 16;

/// How somebody bears with passing faults: one for each thing that is tried.
#[derive(Debug)]
pub struct Patience {
    who: String,
    notice: Notice,
    delay: Option<Duration>,
    /// What failed last, until something succeeds.
    fault: Option<String>,
    not_before: Option<Instant>,
    last_fault: Option<Instant>,
    said: BTreeSet<String>,
    /// A fault was said, and not yet that it is over.
    owes_good_news: bool,
}

impl Patience {
    /// For `who`, named as a user knows it: "sink `x`".
    pub fn new(who: impl Into<String>, notice: Notice) -> Patience {
        Patience {
            who: who.into(),
            notice,
            delay: None,
            fault: None,
            not_before: None,
            last_fault: None,
            said: BTreeSet::new(),
            owes_good_news: false,
        }
    }

    /// It failed: says so, once for each fault, and doubles the wait.
    pub fn failed(&mut self, fault: &Error) {
        self.failed_at(fault, Instant::now());
    }

    fn failed_at(&mut self, fault: &Error, now: Instant) {
        let is_over = self.delay.is_none() && self.last_fault.is_some_and(|last| now - last > CALM);
        if is_over {
            self.said.clear();
        }
        self.last_fault = Some(now);
        let delay = self.delay.map_or(FIRST_DELAY, |delay| (2 * delay).min(MOST_DELAY));
        self.delay = Some(delay);
        self.not_before = Some(now + delay);
        let text = with_causes(fault);
        if self.said.len() < MOST_SAID && self.said.insert(text.clone()) {
            self.owes_good_news = true;
            self.notice.say(format_args!("{} tries again: {text}", self.who));
        }
        self.fault = Some(text);
    }

    /// It succeeded: the next fault is the first again.
    pub fn succeeded(&mut self) {
        (self.delay, self.fault, self.not_before) = (None, None, None);
        if std::mem::take(&mut self.owes_good_news) {
            self.notice.say(format_args!("{} goes on", self.who));
        }
    }

    /// Asks until there is an answer, however long that takes; nothing if `stop` came first.
    ///
    /// # Errors
    /// What `ask` reports, unless it may pass.
    pub async fn until_answered<T>(
        &mut self,
        stop: &mut (impl Future<Output = ()> + Unpin),
        mut ask: impl FnMut() -> Result<T>,
    ) -> Result<Option<T>> {
        loop {
            match ask() {
                Err(error) if error.reaction() == Reaction::Retry => self.failed(&error),
                Err(error) => return Err(error),
                Ok(answer) => {
                    self.succeeded();
                    return Ok(Some(answer));
                }
            }
            tokio::select! {
                biased;
                () = &mut *stop => return Ok(None),
                () = self.wait() => {}
            }
        }
    }

    /// True if it has failed since it last succeeded.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.delay.is_some()
    }

    /// What failed last, if it has not succeeded since.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// True when it may be tried now: for those who have other things to do meanwhile.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.not_before.is_none_or(|not_before| Instant::now() >= not_before)
    }

    /// Waits until it may be tried.
    pub async fn wait(&self) {
        if let Some(not_before) = self.not_before {
            sleep_until(not_before).await;
        }
    }
}

/// An error in one line, causes last.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn fault(what: &str) -> Error {
        Error::Transient { what: what.to_owned(), cause: "no route".into() }
    }

    fn listening() -> (Patience, Arc<Mutex<Vec<String>>>) {
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = told.clone();
        let notice = Notice::new(move |line| heard.lock().unwrap().push(line.to_owned()));
        (Patience::new("`x`", notice), told)
    }

    #[test]
    fn waits_double_up_to_a_bound_and_begin_anew_after_a_success() {
        let (mut patience, _) = listening();
        let mut now = Instant::now();
        for delays_ms in [[100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]; 2] {
            assert!(patience.is_due() && !patience.is_failing());
            for delay_ms in delays_ms {
                patience.failed_at(&fault("away"), now);
                now += Duration::from_millis(delay_ms);
                assert_eq!(patience.not_before, Some(now));
            }
            assert!(!patience.is_due() && patience.is_failing());
            assert_eq!(patience.fault(), Some("away: no route"));
            patience.succeeded();
            assert_eq!(patience.fault(), None);
        }
    }

    #[test]
    fn each_fault_is_said_once_until_the_trouble_is_over() {
        let (mut patience, told) = listening();
        let trouble = ["`x` tries again: away: no route", "`x` tries again: slow: no route", "`x` goes on"];
        let fail = |patience: &mut Patience, now: Instant| {
            for what in ["away", "away", "slow", "away"] {
                patience.failed_at(&fault(what), now);
            }
            patience.succeeded();
            patience.succeeded();
        };
        let now = Instant::now();
        fail(&mut patience, now);
        assert_eq!(*told.lock().unwrap(), trouble);
        fail(&mut patience, now + CALM);
        assert_eq!(*told.lock().unwrap(), trouble, "it is the same trouble");
        fail(&mut patience, now + 2 * CALM + Duration::from_millis(1));
        assert_eq!(*told.lock().unwrap(), [trouble, trouble].concat());
    }

    #[test]
    fn a_fault_with_numbers_is_not_remembered_for_ever() {
        let (mut patience, told) = listening();
        (0..1_000).for_each(|number| patience.failed(&fault(&number.to_string())));
        assert_eq!(told.lock().unwrap().len(), MOST_SAID);
    }
}
