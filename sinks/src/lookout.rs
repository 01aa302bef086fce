//! Looks at the sink's topics while it runs: partitions may be added to them, and a topic may be deleted and created again.
//!
//! Promise: a look never holds the sink up. A log that does not answer may take long to say so, so each look has a thread of its own, one at a
//! time; if it fails, the next one tries again. Why the log does not answer is what the reader tells.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate_runtime::log::{Log, Offset, TopicInfo, TopicPartition};
use tidegate_runtime::{Error, Reaction, Result};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use crate::Settings;
use crate::driver::Lane;
use crate::place::{self, Source};

/// What one look has found of a topic: how it is, and where its new partitions begin.
struct Found {
    info: TopicInfo,
    /// Those that have begun, without a gap behind the partitions that are read.
    begins: Vec<(u32, Offset)>,
}

pub(crate) struct Lookout {
    sink: String,
    log: Arc<dyn Log>,
    /// By name; with as many partitions as are read.
    sources: BTreeMap<String, Source>,
    interval: Duration,
    next: Instant,
    asked: Option<oneshot::Receiver<Result<Vec<Found>>>>,
}

impl Lookout {
    pub(crate) fn new(log: Arc<dyn Log>, sources: Vec<Source>, settings: &Settings) -> Lookout {
        let (sink, interval) = (settings.name.clone(), settings.look_interval);
        let sources = sources.into_iter().map(|source| (source.info.name.clone(), source)).collect();
        Lookout { sink, log, sources, interval, next: Instant::now() + interval, asked: None }
    }

    /// Waits for partitions that were added, and gives each once. It may be dropped while it waits.
    ///
    /// # Errors
    /// [`Refused`](Error::Refused) when a topic is another one by now.
    pub(crate) async fn added(&mut self) -> Result<Vec<Lane>> {
        loop {
            let asked = match &mut self.asked {
                Some(asked) => asked,
                None => {
                    sleep_until(self.next).await;
                    self.asked.insert(ask(self.log.clone(), self.sources.values()))
                }
            };
            let answer = asked.await;
            self.asked = None;
            self.next = Instant::now() + self.interval;
            match answer {
                Ok(Ok(found)) => {
                    let lanes = self.take(found)?;
                    if !lanes.is_empty() {
                        return Ok(lanes);
                    }
                }
                Ok(Err(error)) if error.reaction() != Reaction::Retry => return Err(error),
                // No answer: that the thread could not be started may pass as well.
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }

    fn take(&mut self, found: Vec<Found>) -> Result<Vec<Lane>> {
        let mut lanes = Vec::new();
        for Found { info, begins } in found {
            let Some(source) = self.sources.get_mut(&info.name) else { continue };
            place::check_identity(&info, source.info.id.as_deref(), &self.sink)?;
            let lane = |(number, position)| Lane {
                shape: source.shape,
                partition: source.partition(number),
                position,
                until: None,
            };
            lanes.extend(begins.iter().copied().map(lane));
            source.info.partitions += begins.len() as u32;
        }
        Ok(lanes)
    }
}

fn ask<'s>(
    log: Arc<dyn Log>,
    sources: impl Iterator<Item = &'s Source>,
) -> oneshot::Receiver<Result<Vec<Found>>> {
    let known: Vec<(String, u32)> =
        sources.map(|source| (source.info.name.clone(), source.info.partitions)).collect();
    let (answer, asked) = oneshot::channel();
    let look = move || {
        // Nobody waits for it any more if the sink has ended.
        let _ = answer.send(look(&*log, &known));
    };
    // If it cannot be started, the answer is dropped with it.
    let _ = std::thread::Builder::new().name("sink-topics".to_owned()).spawn(look);
    asked
}

fn look(log: &dyn Log, known: &[(String, u32)]) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for (name, partitions) in known {
        // A topic that is gone is the reader's to tell.
        let Some(info) = log.topic(name)? else { continue };
        let mut begins = Vec::new();
        for number in *partitions..info.partitions {
            match log.watermarks(&TopicPartition::new(&**name, number)) {
                Ok(ends) => begins.push((number, ends.low)),
                // One broker knows of it and another does not yet.
                Err(Error::UnknownTopic(_)) => break,
                Err(error) => return Err(error),
            }
        }
        found.push(Found { info, begins });
    }
    Ok(found)
}
