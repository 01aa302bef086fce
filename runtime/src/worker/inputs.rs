//! The topics an application reads, while it runs: still those that it began with, with as many partitions?
//!
//! Guarantees: a topic that was deleted and created again, and partitions that were added, end the process within seconds, with an error
//! that says what has happened. Commits go on until then; what they keep names the topics as they were, so that no later start takes
//! it up. The question travels on a thread of its own: neither records nor a stop wait for the answer.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::Duration;

use tokio::time::Instant;

use super::{Plan, Worker};
use crate::error::{Error, Reaction, Result};
use crate::identity::{InputTopic, check_inputs, remedy};
use crate::log::{Log, TopicInfo};

/// Between two questions.
const INTERVAL: Duration = Duration::from_secs(2);

/// When the topics were asked for last, and the answer that is to come.
#[derive(Default)]
pub(super) struct Look {
    asked: Option<Instant>,
    answer: Option<Receiver<Result<Vec<TopicInfo>>>>,
}

impl Plan {
    /// Refuses inputs that are not those of the plan any more.
    pub(super) fn check_inputs_now(&self, log: &dyn Log) -> Result<()> {
        self.check_inputs_in(&log.topics_of(&self.input_names())?)
    }

    fn input_names(&self) -> Vec<&str> {
        self.identity.inputs.iter().map(|input| input.name.as_str()).collect()
    }

    /// One that is missing says nothing: a broker that has just started may not know it yet. Whoever reads it is told if it is gone.
    fn check_inputs_in(&self, topics: &[TopicInfo]) -> Result<()> {
        let pair = |kept: &InputTopic| {
            let found = topics.iter().find(|topic| topic.name == kept.name)?;
            let now = InputTopic { id: found.id.clone(), partitions: found.partitions, ..kept.clone() };
            Some((kept.clone(), now))
        };
        let (kept, now): (Vec<_>, Vec<_>) = self.identity.inputs.iter().filter_map(pair).unzip();
        check_inputs(&self.app, &kept, &now)
    }

    /// A topic that was deleted, created again or given more partitions is met as many errors: the one that says so is the better one.
    pub(super) fn explain(&self, log: &dyn Log, error: Error) -> Error {
        match (self.check_inputs_now(log), &error) {
            (Err(better @ Error::Refused { .. }), _) => better,
            (_, Error::UnknownTopic(name)) if self.input_names().contains(&name.as_str()) => Error::Refused {
                what: format!("topic `{name}` was deleted while application `{}` read it", self.app),
                remedy: remedy(&self.app),
            },
            _ => error,
        }
    }
}

impl Worker<'_> {
    /// Takes the answer if it is there, and asks again when it is time. A log that does not answer is asked again: whoever needs it tells.
    pub(super) fn look_at_inputs(&mut self) -> Result<()> {
        if let Some(answer) = &self.inputs.answer {
            match answer.try_recv() {
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => {}
                Ok(Err(error)) if error.reaction() == Reaction::Retry => {}
                Ok(topics) => self.plan.check_inputs_in(&topics?)?,
            }
            self.inputs.answer = None;
        }
        if self.inputs.asked.is_some_and(|asked| asked.elapsed() < INTERVAL) {
            return Ok(());
        }
        self.inputs.asked = Some(Instant::now());
        let (answer, received) = sync_channel(1);
        let (log, plan): (Arc<dyn Log>, Arc<Plan>) = (self.log.clone(), self.plan.clone());
        // Where no thread can be had now, the next look may have one.
        let asking = std::thread::Builder::new().name("inputs".to_owned()).spawn(move || {
            // Nobody takes the answer of a session that has ended.
            let _ = answer.send(log.topics_of(&plan.input_names()));
        });
        self.inputs.answer = asking.is_ok().then_some(received);
        Ok(())
    }
}
