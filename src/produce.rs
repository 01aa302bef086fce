//! What `simulate` and `replay` share: records into the log, exactly once, and how far it came.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::Result;
use tidegate_producers::{Encoders, Produced};
use tidegate_runtime::ingest::{IngestError, IngestOptions, IngestRecord, Ingested, SourceItem, ingest};
use tidegate_runtime::log::Log;
use tidegate_runtime::notice::Notice;
use tidegate_runtime::patience::Patience;
use tidegate_runtime::time::EventTime;

use crate::console::Console;
use crate::exit::Exit;
use crate::metrics::{Metrics, Source, Watch};
use crate::signals::Stop;
use crate::workers::block_on;

/// How often a producer commits: often enough to look live, seldom enough to cost nothing.
const COMMIT_INTERVAL: Duration = Duration::from_millis(100);

/// What is to be written, under which name, and how fast.
pub(crate) struct Plan {
    pub(crate) app: String,
    /// What the sequence of records depends on.
    pub(crate) parameters: String,
    pub(crate) rate_per_second: Option<u32>,
    pub(crate) notice: Notice,
    /// Counts what is in the log, for whoever shows it.
    pub(crate) written: Arc<AtomicU64>,
}

/// Begins to show how far it is, if somebody asked for it.
pub(crate) fn show(
    metrics: Metrics,
    app: &str,
    stop: &Stop,
    console: Console,
) -> Result<(Watch, Arc<AtomicU64>)> {
    let written: Arc<AtomicU64> = Arc::default();
    let source = Source::Producer { app: app.to_owned(), written: written.clone() };
    // A producer is one thread: when it fails the process ends, and nobody is left to tell.
    Ok((metrics.serve(source, stop, console)?, written))
}

/// Writes all of `records` that is not in the log yet.
pub(crate) fn write<R, E>(log: Arc<dyn Log>, plan: Plan, records: R, stop: &Stop) -> Result<Ingested>
where
    R: Iterator<Item = Result<Produced, E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    let mut patience = Patience::new(format!("`{}`", plan.app), plan.notice.clone());
    let mut stopped = Box::pin(stop.requested());
    let register = || Encoders::register(log.registry());
    let Some(encoders) = block_on(patience.until_answered(&mut stopped, register))?? else {
        return Ok(Ingested { before: 0, written: 0, finished: false });
    };
    let encoded = Encoded { encoders, topics: HashMap::new(), records };
    let options = IngestOptions {
        app: plan.app,
        parameters: plan.parameters,
        rate_per_second: plan.rate_per_second,
        commit_interval: COMMIT_INTERVAL,
        written: plan.written,
        notice: plan.notice,
    };
    let outcome = block_on(ingest(log, &options, encoded, stop.requested()))?;
    outcome.map_err(|error| match error {
        IngestError::Log(error) => error.into(),
        // The source's own error, without the one around it that says the same.
        IngestError::Source(error) => match error.downcast::<E>() {
            Ok(error) => anyhow::Error::new(*error),
            Err(error) => anyhow::Error::from_boxed(error),
        },
    })
}

/// One line on how far it came.
pub(crate) fn progress(app: &str, ingested: &Ingested) -> String {
    let Ingested { before, written, finished } = *ingested;
    let end = if finished { "complete" } else { "stopped before the end; the same command goes on" };
    format!("{app}: wrote {written} records, {before} were there: {end}")
}

/// A run with an end of its own exits as done only if it reached it.
pub(crate) fn exit(stop: &Stop, ingested: &Ingested) -> Exit {
    stop.exit(ingested.finished)
}

struct Encoded<R> {
    records: R,
    encoders: Encoders,
    /// The names as the log takes them, each made once.
    topics: HashMap<&'static str, Arc<str>>,
}

impl<R, E> Iterator for Encoded<R>
where
    R: Iterator<Item = Result<Produced, E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    type Item = SourceItem;

    fn next(&mut self) -> Option<SourceItem> {
        Some(match self.records.next()? {
            Ok(record) => self.encode(record),
            Err(error) => Err(error.into()),
        })
    }
}

impl<R> Encoded<R> {
    fn encode(&mut self, record: Produced) -> SourceItem {
        let mut value = Vec::new();
        self.encoders.encode(&record, &mut value)?;
        let topic = self.topics.entry(record.topic).or_insert_with(|| record.topic.into()).clone();
        Ok(IngestRecord { topic, key: record.key, value: Some(value), time: EventTime(record.time_ms) })
    }
}
