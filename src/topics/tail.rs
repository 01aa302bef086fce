//! `topics tail`: records from some place on, bounded unless asked otherwise.
//!
//! Promise: one bad record never ends the session; a partition that does not exist does before it begins. Without a flag it prints the
//! last 10 records; `--from` alone the 10 from there; `--until-end` everything up to the end as it was at the start; `-f` goes on for ever.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::Args;
use tidegate_runtime::Reaction;
use tidegate_runtime::avro::SchemaCache;
use tidegate_runtime::log::{Chunk, Event, Log, Offset, RangeReader, RecordRef, TopicInfo, TopicPartition};
use tokio_stream::StreamExt;

use super::merge::Merge;
use super::record::Lines;
use super::start::Start;
use super::{Format, find, held_back, producers_of};
use crate::console::{Console, Output};
use crate::exit::Exit;
use crate::signals::Stop;
use crate::workers::block_on;

/// How many records are printed unless told otherwise: `tail`'s own number.
const DEFAULT_RECORDS: u64 = 10;

/// Fetched and not yet printed; a terminal is slower than any log.
const BUFFER_BYTES: usize = 4 << 20;

/// Until a registry that cannot be reached is asked again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// `topics tail`.
#[derive(Args, Debug)]
pub(crate) struct Tail {
    /// The topic's name; changelogs and dead letters may be looked at too.
    topic: String,
    /// Where to begin in each partition: `start`, `end`, an offset, `-5` (the last so many records), a moment in RFC 3339, or `@` and
    /// milliseconds.
    #[arg(long, value_name = "PLACE", value_parser = Start::parse, allow_hyphen_values = true)]
    from: Option<Start>,
    /// Only this partition.
    #[arg(long, short, value_name = "N")]
    partition: Option<u32>,
    /// At most so many records [default: 10; without bound under --until-end and --follow].
    #[arg(long, short = 'n', value_name = "N")]
    max: Option<u64>,
    /// Print all up to the end as it is now; from the start unless --from says otherwise.
    #[arg(long, conflicts_with = "follow")]
    until_end: bool,
    /// Go on with what is written from now on; Ctrl-C ends it.
    #[arg(long, short)]
    follow: bool,
    /// For people, or JSON objects, one a line.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What was asked, on this topic as it is now.
struct Plan {
    lanes: Vec<(TopicPartition, Offset, Offset)>,
    follow: bool,
    /// Of what there is at the start, only so many of the last.
    last: Option<usize>,
    /// How many in all.
    max: u64,
}

/// Prints records.
pub(super) fn run(args: &Tail, log: Arc<dyn Log>, console: Console) -> Result<Exit> {
    let stop = Stop::on_signals()?;
    let planned = block_on(async {
        tokio::select! {
            biased;
            () = stop.requested() => Ok(None),
            plan = plan(args, &*log, console) => plan.map(Some),
        }
    })??;
    let Some(plan) = planned else { return Ok(stop.exit(args.follow)) };
    let schemas = SchemaCache::new();
    let printer = Printer {
        format: args.format,
        lines: Lines::new(&args.topic, args.format, schemas.clone()),
        output: Output::new(),
        window: plan.last.map(|last| (last, VecDeque::new())),
        left: plan.max,
    };
    let session = Session { log, schemas, console, printer, merge: Merge::new(plan.lanes.clone()) };
    let finished = block_on(session.run(&plan, &stop))??;
    Ok(stop.exit(finished || args.follow))
}

async fn plan(args: &Tail, log: &dyn Log, console: Console) -> Result<Plan> {
    let topic = find(log, &args.topic)?;
    if let Some(partition) = args.partition.filter(|partition| *partition >= topic.partitions) {
        let message = format!(
            "`{}` has {} partitions, from 0; there is no `{partition}`",
            topic.name, topic.partitions
        );
        return Err(Exit::NotFound.because(message));
    }
    let max = args.max.unwrap_or(if args.until_end || args.follow { u64::MAX } else { DEFAULT_RECORDS });
    let last = (args.from.is_none() && !args.until_end).then(|| args.max.unwrap_or(DEFAULT_RECORDS));
    let start = args.from.unwrap_or(match last {
        Some(last) => Start::Last(last),
        None => Start::Beginning,
    });
    let lanes = lanes(args, log, &topic, start, last.is_some(), console).await?;
    // `-f -n 5` shows the last 5 and then follows without bound, as `tail` does.
    let max = if last.is_some() && args.follow { u64::MAX } else { max };
    Ok(Plan {
        lanes,
        follow: args.follow,
        last: last.map(|last| usize::try_from(last).unwrap_or(usize::MAX)),
        max,
    })
}

/// Where each partition begins and ends. `last`: the last records are wanted, so those that an open transaction holds back are not
/// waited for.
async fn lanes(
    args: &Tail,
    log: &dyn Log,
    topic: &TopicInfo,
    start: Start,
    last: bool,
    console: Console,
) -> Result<Vec<(TopicPartition, Offset, Offset)>> {
    let name: Arc<str> = topic.name.as_str().into();
    let chosen = (0..topic.partitions).filter(|number| args.partition.is_none_or(|only| only == *number));
    let partitions: Vec<_> = chosen.map(|number| TopicPartition::new(name.clone(), number)).collect();
    let (marks, readable) = (log.watermarks_of(&partitions)?, log.stable_ends(&partitions)?);
    let mut reader = RangeReader::new(log)?;
    let mut lanes = Vec::new();
    for ((partition, marks), readable) in partitions.into_iter().zip(marks).zip(readable) {
        if let Some(held) = held_back(marks, readable) {
            let what = if last { "are not shown" } else { "are waited for" };
            console.say(format_args!(
                "{partition}: {held} offsets from {readable} on stand behind an open transaction and {what}; {}",
                producers_of(log, &partition)
            ));
        }
        let from = start.resolve(log, &mut reader, &partition, marks, readable).await?;
        lanes.push((partition, from, if last { readable } else { marks.high }));
    }
    Ok(lanes)
}

struct Session {
    log: Arc<dyn Log>,
    schemas: SchemaCache,
    console: Console,
    printer: Printer,
    merge: Merge,
}

impl Session {
    /// True if all that was asked for is printed; false if it was asked to stop before.
    async fn run(mut self, plan: &Plan, stop: &Stop) -> Result<bool> {
        let mut finished = true;
        let mut reader = self.log.reader(BUFFER_BYTES)?;
        for (partition, from, end) in &plan.lanes {
            if plan.follow || from < end {
                reader.seek(partition.clone(), *from);
            }
        }
        loop {
            self.print()?;
            if self.printer.left == 0 || (self.merge.is_drained() && !self.begin_to_follow(plan)?) {
                break;
            }
            self.printer.output.flush()?;
            let event = tokio::select! {
                biased;
                () = stop.requested() => {
                    finished = false;
                    break;
                }
                event = reader.next() => event,
            };
            match event.ok_or_else(|| anyhow!("the log's reader has ended"))?? {
                Event::Chunk(chunk) => {
                    if !self.resolve(&chunk, stop).await? {
                        finished = false;
                        break;
                    }
                    self.merge.push(chunk);
                }
                Event::Assigned(_) | Event::Revoked(_) | Event::Lost(_) => {}
            }
        }
        self.printer.output.flush()?;
        if self.printer.left == 0 && !self.merge.is_drained() && !plan.follow {
            self.console.say("there is more: raise --max, or give --until-end for all of it");
        }
        Ok(finished)
    }

    fn print(&mut self) -> Result<()> {
        while self.printer.left > 0 {
            let printer = &mut self.printer;
            match self.merge.take(|record| printer.take(record)) {
                Some(taken) => taken?,
                None => break,
            }
        }
        Ok(())
    }

    /// What there was at the start is printed; false if that was all that was asked for.
    fn begin_to_follow(&mut self, plan: &Plan) -> Result<bool> {
        self.printer.end_window()?;
        self.merge.follow();
        Ok(plan.follow)
    }

    /// Looks up the schemas of a chunk; false if it was asked to stop while the registry could not be reached.
    async fn resolve(&self, chunk: &Chunk, stop: &Stop) -> Result<bool> {
        for id in self.schemas.missing_ids(chunk) {
            while let Err(error) = self.schemas.resolve(id, self.log.registry()) {
                if error.reaction() != Reaction::Retry {
                    return Err(error.into());
                }
                self.console.say(format_args!("tail tries again: {error}"));
                tokio::select! {
                    () = stop.requested() => return Ok(false),
                    () = tokio::time::sleep(RETRY_PAUSE) => {}
                }
            }
        }
        Ok(true)
    }
}

struct Printer {
    format: Format,
    lines: Lines,
    output: Output,
    /// The last so many lines of what there is at the start.
    window: Option<(usize, VecDeque<String>)>,
    left: u64,
}

impl Printer {
    fn take(&mut self, record: &RecordRef<'_>) -> Result<()> {
        let line = self.lines.line(record);
        if let Some((last, window)) = &mut self.window {
            window.push_back(line);
            if window.len() > *last {
                window.pop_front();
            }
            return Ok(());
        }
        self.left -= 1;
        self.write(&line)
    }

    fn write(&mut self, line: &str) -> Result<()> {
        match self.format {
            Format::Json => self.output.json(line),
            Format::Text => self.output.line(line),
        }
    }

    fn end_window(&mut self) -> Result<()> {
        let (_, window) = self.window.take().unwrap_or_default();
        window.into_iter().try_for_each(|line| self.write(&line))
    }
}
