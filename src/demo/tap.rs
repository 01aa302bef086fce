//! What comes out, as it comes out: the last infractions and the customers' sums, for the view.
//!
//! It reads the topics like anybody else and is no part of the pipeline: if it fails, the view shows no more news, and the demo goes on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result};
use tidegate_runtime::avro::{Decoder, SchemaCache};
use tidegate_runtime::log::{Chunk, Consumer, Event, Log, TopicPartition};
use tidegate_schemas::topics::{CUSTOMER_TOTALS, INFRACTIONS};
use tidegate_schemas::{CustomerTotal, Infraction, InfractionState};
use tokio::sync::watch;
use tokio_stream::StreamExt;

use crate::workers::block_on;

/// Fetched and not yet looked at: a second of output is a few kilobytes.
const BUFFER_BYTES: usize = 1 << 20;

/// As many as the view has room for.
pub(super) const INFRACTIONS_KEPT: usize = 5;

/// A customer's windows so far, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) invoices: i64,
    pub(super) amount_minor: i64,
}

/// What the view shows of the output.
#[derive(Clone, Debug, Default)]
pub(super) struct News {
    /// The latest last.
    pub(super) infractions: VecDeque<Infraction>,
    /// By customer and currency: as many as the demo has customers.
    pub(super) customers: BTreeMap<(String, String), Sum>,
}

impl News {
    /// The last event of an id counts: it takes the place of the one before, and one that voids leaves none.
    fn take(&mut self, infraction: Infraction) {
        self.infractions.retain(|shown| shown.infraction_id != infraction.infraction_id);
        if infraction.state == InfractionState::Voided {
            return;
        }
        self.infractions.push_back(infraction);
        if self.infractions.len() > INFRACTIONS_KEPT {
            self.infractions.pop_front();
        }
    }
}

/// Reads along until it is dropped.
pub(super) struct Tap {
    news: Arc<Mutex<News>>,
    over: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Tap {
    /// Begins to read.
    pub(super) fn open(log: Arc<dyn Log>) -> Result<Tap> {
        let (news, over) = (Arc::new(Mutex::new(News::default())), watch::Sender::new(false));
        let (shared, end) = (news.clone(), over.subscribe());
        let thread = std::thread::Builder::new().name("tap".to_owned());
        let thread = thread.spawn(move || {
            // See the head of this file for why nobody hears of an error.
            let _ = block_on(follow(log, &shared, end));
        });
        Ok(Tap { news, over, thread: Some(thread.context("could not start a thread")?) })
    }

    /// What has come out so far.
    pub(super) fn news(&self) -> News {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.over.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic of it was shown already, and is no reason for another one.
            let _ = thread.join();
        }
    }
}

async fn follow(log: Arc<dyn Log>, news: &Mutex<News>, mut over: watch::Receiver<bool>) -> Result<()> {
    let mut reader = open_reader(log.as_ref())?;
    let schemas = SchemaCache::new();
    let mut decoder = Decoder::new(schemas.clone());
    loop {
        let event = tokio::select! {
            biased;
            _ = over.wait_for(|over| *over) => return Ok(()),
            event = reader.next() => event,
        };
        if let Event::Chunk(chunk) = event.context("the log's reader has ended")?? {
            for id in schemas.missing_ids(&chunk) {
                schemas.resolve(id, log.registry())?;
            }
            take(&chunk, &mut decoder, &mut news.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

fn open_reader(log: &dyn Log) -> Result<Consumer> {
    let reader = log.reader(BUFFER_BYTES)?;
    for name in [INFRACTIONS.name, CUSTOMER_TOTALS.name] {
        let partitions = log.topic(name)?.map_or(0, |topic| topic.partitions);
        for number in 0..partitions {
            let partition = TopicPartition::new(name, number);
            let low = log.watermarks(&partition)?.low;
            reader.seek(partition, low);
        }
    }
    Ok(reader)
}

fn take(chunk: &Chunk, decoder: &mut Decoder, news: &mut News) {
    for record in chunk.records() {
        if *chunk.partition.topic == *INFRACTIONS.name {
            let Ok(infraction) = decoder.decode::<Infraction>(record.value()) else { continue };
            news.take(infraction);
        } else if let Ok(total) = decoder.decode::<CustomerTotal>(record.value()) {
            let sum = news.customers.entry((total.customer_id, total.currency)).or_default();
            sum.invoices = sum.invoices.saturating_add(total.count);
            sum.amount_minor = sum.amount_minor.saturating_add(total.amount_minor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: usize, owner: &str, state: InfractionState) -> Infraction {
        Infraction {
            infraction_id: format!("{id}"),
            radar_id: "R".into(),
            plate: "P".into(),
            owner_id: owner.into(),
            measured_at: 1,
            measured_speed_kmh: 65,
            retained_speed_kmh: 60,
            speed_limit_kmh: 30,
            excess_kmh: 30,
            fine_minor: 13_500,
            currency: "EUR".into(),
            points: 3,
            rule: "a rule".into(),
            revision: 1,
            state,
            reason: "reading".into(),
        }
    }

    #[test]
    fn what_is_shown_is_in_force() {
        let mut news = News::default();
        (0..7).for_each(|id| news.take(event(id, "A", InfractionState::Issued)));
        news.take(event(3, "B", InfractionState::Revised));
        news.take(event(5, "A", InfractionState::Voided));
        let shown: Vec<_> =
            news.infractions.iter().map(|shown| (&*shown.infraction_id, &*shown.owner_id)).collect();
        assert_eq!(shown, [("2", "A"), ("4", "A"), ("6", "A"), ("3", "B")]);
    }
}
