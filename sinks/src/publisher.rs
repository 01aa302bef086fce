//! A sink's position as a group's offsets, so that `groups` shows its lag.
//!
//! News and nothing else: it follows what the sink has written by up to two commits, is never read back, and a log that cannot take
//! it just now is asked again later. A sink only reads the log, so publishing takes no transactional id and no right to write. A group of
//! the sink's name that has members is an error: two readers would be shown as one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate_runtime::log::{Log, Offset, TopicPartition};
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
            Err(error) if error.reaction() != Reaction::Stop => {
                self.patience.failed(&error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn commit(&self, positions: &BTreeMap<TopicPartition, Offset>) -> Result<()> {
        let offsets: Vec<_> =
            positions.iter().map(|(partition, offset)| (partition.clone(), *offset)).collect();
        self.log.commit_offsets(&self.name, &offsets)
    }
}
