//! A sink's position as a group's offsets, so that `groups` shows its lag.
//!
//! News and nothing else: it follows what the sink has written by up to two commits, is never read back, and a log that cannot take
//! it just now is asked again later. Only another holder of the sink's name is an error: two sinks would
//! be shown as one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate_runtime::log::{GroupOffsets, Log, Offset, Producer, TopicPartition};
use tidegate_runtime::patience::Patience;
use tidegate_runtime::{Reaction, Result};
use tokio::time::Instant;

use crate::Settings;

pub(crate) struct Publisher {
    log: Arc<dyn Log>,
    name: String,
    /// A commit of the log each time: not more often than people who watch can tell, which is a second by default.
    interval: Duration,
    patience: Patience,
    producer: Option<Box<dyn Producer>>,
    published: BTreeMap<TopicPartition, Offset>,
    last: Option<Instant>,
}

impl Publisher {
    pub(crate) fn new(log: Arc<dyn Log>, settings: &Settings) -> Publisher {
        Publisher {
            log,
            name: settings.name.clone(),
            interval: 2 * settings.commit_interval,
            patience: Patience::new(
                format!("sink `{}`, publishing its position,", settings.name),
                settings.notice.clone(),
            ),
            producer: None,
            published: BTreeMap::new(),
            last: None,
        }
    }

    /// Publishes what is new, unless it did so a moment ago.
    pub(crate) fn publish(&mut self, positions: &BTreeMap<TopicPartition, Offset>) -> Result<()> {
        if self.last.is_some_and(|last| last.elapsed() < self.interval) {
            return Ok(());
        }
        self.publish_now(positions)
    }

    /// Publishes what is new, unless the log could not take it a moment ago: whoever ends now does not wait for it.
    pub(crate) fn publish_now(&mut self, positions: &BTreeMap<TopicPartition, Offset>) -> Result<()> {
        if *positions == self.published || !self.patience.is_due() {
            return Ok(());
        }
        self.last = Some(Instant::now());
        match self.commit(positions) {
            Ok(()) => {
                self.published.clone_from(positions);
                self.patience.succeeded();
                Ok(())
            }
            // A fence too is no reason to stop: a sink of the same name elsewhere publishes as well, and this is news only.
            Err(error) if error.reaction() != Reaction::Stop => {
                self.producer = None;
                self.patience.failed(&error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn commit(&mut self, positions: &BTreeMap<TopicPartition, Offset>) -> Result<()> {
        let producer = match &mut self.producer {
            Some(producer) => producer,
            none => none.insert(self.log.producer(&self.name)?),
        };
        let offsets = positions.iter().map(|(partition, offset)| (partition.clone(), *offset)).collect();
        let group = GroupOffsets { group: self.name.clone(), membership: None, offsets };
        producer.commit(Some(&group)).map(drop)
    }
}
