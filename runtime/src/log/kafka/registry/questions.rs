//! What ids mean: asked once, kept for ever.
//!
//! Promise: whoever asks what an id means waits once, and not for long; while the registry is out of reach everybody else is told so at
//! once, and a thread in the background goes on asking, at growing intervals. An id nobody is registered under is kept so for a
//! moment only, because it may be registered the next. What breaks it: holding the lock during a question.
//!
//! Kept are schemas and nothing else grows: what is kept is bounded by the registry, what is under way by [`MOST_QUESTIONS`].

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Patience;
use super::fault::{Fault, transient};
use super::servers::Servers;
use crate::error::{Error, Result};
use crate::log::SchemaId;

/// Ids asked for at the same time, each by a thread of its own. Every thread of a caller waits for one id, so more callers than this
/// there will not be; ids that nobody waits for any more go after [`Patience::forget`].
const MOST_QUESTIONS: usize = 64;

/// The ids this process has met.
pub(super) struct Questions {
    servers: Arc<Servers>,
    patience: Patience,
    answers: Mutex<Answers>,
    changed: Condvar,
}

#[derive(Default)]
struct Answers {
    known: HashMap<SchemaId, String>,
    /// Those without a schema so far.
    open: HashMap<SchemaId, Open>,
    /// The registry's last fault, and until when it stands for every new question as well.
    out_of_reach: Option<(String, Instant)>,
    closed: bool,
}

struct Open {
    state: State,
    /// When somebody last asked.
    wanted: Instant,
}

enum State {
    /// Asked for the first time, without an answer yet.
    Asked,
    /// Asked again and again in the background; the last fault.
    Failing(String),
    /// Answered then, with nothing to keep: counts for a moment, and for everybody who waited for it.
    Settled(Settled, Instant),
}

#[derive(Clone)]
enum Settled {
    Unknown,
    Refused(Fault),
}

impl Questions {
    pub(super) fn new(servers: Arc<Servers>, patience: Patience) -> Arc<Questions> {
        Arc::new(Questions { servers, patience, answers: Mutex::default(), changed: Condvar::new() })
    }

    /// The schema behind `id`; `None` if the registry knows none.
    pub(super) fn schema(self: &Arc<Self>, id: SchemaId) -> Result<Option<String>> {
        let began = Instant::now();
        let until = began + self.patience.first_answer;
        let fresh = |open: &Open, now| open.counts(now, self.patience) || open.is_since(began);
        let mut answers = self.hold();
        loop {
            let now = Instant::now();
            if let Some(schema) = answers.known.get(&id) {
                return Ok(Some(schema.clone()));
            }
            match answers.open.get_mut(&id).filter(|open| fresh(open, now)) {
                None => answers = self.begin(id, answers, now)?,
                Some(open) => {
                    open.wanted = now;
                    match &open.state {
                        State::Settled(Settled::Unknown, _) => return Ok(None),
                        State::Settled(Settled::Refused(fault), _) => {
                            return Err(fault.clone().named(&look_up(id)));
                        }
                        State::Failing(cause) => return Err(transient(&look_up(id), cause.clone())),
                        State::Asked if now >= until => {
                            let cause = "the schema registry has not answered yet".to_owned();
                            open.state = State::Failing(cause.clone());
                            return Err(transient(&look_up(id), cause));
                        }
                        State::Asked => {
                            let waited = self.changed.wait_timeout(answers, until - now);
                            answers = waited.unwrap_or_else(PoisonError::into_inner).0;
                        }
                    }
                }
            }
        }
    }

    /// Keeps what was learned on another way.
    pub(super) fn learn(&self, id: SchemaId, schema: String) {
        self.hold().known.insert(id, schema);
    }

    /// Nobody will ask any more: questions in the background end.
    pub(super) fn close(&self) {
        self.hold().closed = true;
        self.changed.notify_all();
    }

    /// How many ids are being asked for.
    #[cfg(test)]
    pub(super) fn under_way(&self) -> usize {
        self.hold().under_way()
    }

    fn begin<'a>(
        self: &'a Arc<Self>,
        id: SchemaId,
        mut answers: MutexGuard<'a, Answers>,
        now: Instant,
    ) -> Result<MutexGuard<'a, Answers>> {
        answers.open.retain(|_, open| open.counts(now, self.patience));
        if answers.under_way() >= MOST_QUESTIONS {
            return Err(transient(&look_up(id), format!("{MOST_QUESTIONS} others are being looked up")));
        }
        let state = match &answers.out_of_reach {
            Some((cause, until)) if now < *until => State::Failing(cause.clone()),
            _ => State::Asked,
        };
        answers.open.insert(id, Open { state, wanted: now });
        let questions = self.clone();
        let pursue = move || Pursuit { questions, id, is_settled: false }.run();
        match std::thread::Builder::new().name("schema-registry".into()).spawn(pursue) {
            Ok(_) => Ok(answers),
            Err(cause) => {
                answers.open.remove(&id);
                Err(Error::Transient { what: format!("could not {}", look_up(id)), cause: Box::new(cause) })
            }
        }
    }

    fn hold(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn counts(&self, now: Instant, patience: Patience) -> bool {
        !matches!(self.state, State::Settled(_, at) if now >= at + patience.unknown)
    }

    fn is_since(&self, began: Instant) -> bool {
        matches!(self.state, State::Settled(_, at) if at >= began)
    }

    fn is_under_way(&self) -> bool {
        !matches!(self.state, State::Settled(..))
    }
}

fn look_up(id: SchemaId) -> String {
    format!("look up schema `{id}`")
}

/// One id, asked for until it is answered or nobody wants to know.
struct Pursuit {
    questions: Arc<Questions>,
    id: SchemaId,
    is_settled: bool,
}

impl Pursuit {
    fn run(mut self) {
        let questions = self.questions.clone();
        let Questions { servers, patience, changed, .. } = &*questions;
        let mut pause = patience.first_pause;
        loop {
            let answer = servers.schema(self.id);
            let mut answers = questions.hold();
            if answers.settle(self.id, answer, *patience) {
                self.is_settled = true;
                changed.notify_all();
                return;
            }
            changed.notify_all();
            let waited = changed.wait_timeout_while(answers, pause, |answers| !answers.closed);
            answers = waited.unwrap_or_else(PoisonError::into_inner).0;
            let wanted = answers.open.get(&self.id).map(|open| open.wanted);
            if answers.closed || wanted.is_none_or(|wanted| wanted.elapsed() > patience.forget) {
                return;
            }
            pause = (pause * 2).min(patience.longest_pause);
        }
    }
}

/// Given up, or ended by a panic in the client: the next one who asks begins anew.
impl Drop for Pursuit {
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        let mut answers = self.questions.hold();
        if answers.open.get(&self.id).is_some_and(Open::is_under_way) {
            answers.open.remove(&self.id);
            self.questions.changed.notify_all();
        }
    }
}

impl Answers {
    fn under_way(&self) -> usize {
        self.open.values().filter(|open| open.is_under_way()).count()
    }

    /// Takes an answer in; false if the question must be asked again.
    fn settle(&mut self, id: SchemaId, answer: Result<String, Fault>, patience: Patience) -> bool {
        let now = Instant::now();
        let settled = match answer {
            Ok(schema) => {
                self.known.insert(id, schema);
                self.open.remove(&id);
                self.out_of_reach = None;
                return true;
            }
            Err(Fault::Passing { cause, .. }) => {
                if let Some(open) = self.open.get_mut(&id) {
                    open.state = State::Failing(cause.clone());
                }
                self.out_of_reach = Some((cause, now + patience.longest_pause + patience.request));
                return false;
            }
            Err(Fault::Unknown) => Settled::Unknown,
            Err(refused) => Settled::Refused(refused),
        };
        self.out_of_reach = None;
        if let Some(open) = self.open.get_mut(&id) {
            open.state = State::Settled(settled, now);
        }
        true
    }
}
