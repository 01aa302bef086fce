//! A topic into CSV files, exactly once.
//!
//! A directory holds the files of one topic for one named sink. Partition `p`'s records of offsets `[kN, (k+1)N)` stand in
//! `<topic>-<p>-<first>-<end>.csv`, bad ones in `rejects/…-rejects.csv`, where `*.csv` does not find them; a stretch without records leaves no file. What is called so is
//! finished: complete, durable, and never changed or replaced. The tail grows as `<topic>-<p>-<first>.csv.open` and is shown at every
//! commit; a restart cuts it back to nothing and reads its records again from the log, so **only finished files count**, and the log must
//! keep records for as long as a segment takes to fill. The content of a partition's files, one after the other in the order of
//! their names, is its records in order. With `--until-end` the tail finishes early, as a short segment.
//!
//! The position that is published for `groups` is that of the tail as shown; where a restart begins is the end of the
//! last finished segment.

mod directory;
#[cfg(test)]
pub(crate) use disk::fault;
mod disk;
mod segment;
mod shape;
mod tail;

use std::ops::Range;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use tidegate_runtime::log::{Log, Offset};
use tidegate_runtime::{Error, Result};

use self::directory::{Directory, State};
use self::tail::{Shared, Tail};
use crate::driver::{self, Destination, Lane};
use crate::intake::Reject;
use crate::layout::Layout;
use crate::place::{self, Source};
use crate::row::Row;
use crate::{Settings, Summary};

/// Offsets per file, unless told otherwise: some ten megabytes of a typical topic, and a tail read again within a second.
pub const SEGMENT_RECORDS: u64 = 100_000;

/// What the CSV sink is told.
#[derive(Clone)]
pub struct Options {
    /// What every sink is told.
    pub settings: Settings,
    /// The topic: one of the table of topics, or with the schema of one that is.
    pub topic: String,
    /// Where the files go: a new directory, or this sink's own.
    pub directory: PathBuf,
    /// Offsets per file; fixed at the first start. See [`SEGMENT_RECORDS`].
    pub segment_records: u64,
}

/// Writes the topic's records until `stop` is ready, or to the end it was given.
///
/// # Errors
/// [`Refused`](Error::Refused) when the directory is another's or in use, or when the log does not have the records the sink
/// needs next; [`UnknownTopic`](Error::UnknownTopic); [`Storage`](Error::Storage) when a file cannot be written, after which
/// nothing more is.
pub async fn run(log: Arc<dyn Log>, options: &Options, stop: impl Future<Output = ()>) -> Result<Summary> {
    let settings = &options.settings;
    place::check_name(&settings.name)?;
    let segment_records = i64::try_from(options.segment_records).ok().filter(|records| *records > 0);
    let segment_records = segment_records.ok_or_else(|| Error::Refused {
        what: format!("a segment of `{}` records cannot be", options.segment_records),
        remedy: "say how many offsets a file covers, at least 1".into(),
    })?;
    let mut stop = pin!(stop);
    let prepare = || prepare(&*log, options, segment_records);
    let Some((source, lanes, files)) = settings.patience().until_answered(&mut stop, prepare).await? else {
        return Ok(Summary::default());
    };
    driver::run(log, settings, vec![source], lanes, files, stop).await
}

/// Takes the directory, and finds out where to begin and to end. A log that cannot tell ends it half-way, which does no harm: it is
/// what a crash would leave.
fn prepare(log: &dyn Log, options: &Options, segment_records: i64) -> Result<(Source, Vec<Lane>, Files)> {
    let settings = &options.settings;
    let source = place::find_topic(log, &options.topic)?;
    let count = source.info.partitions;
    let marks = |numbers: Range<u32>, low: bool| -> Result<Vec<i64>> {
        let ends = numbers.map(|number| log.watermarks(&source.partition(number)));
        ends.map(|ends| ends.map(|ends| if low { ends.low.0 } else { ends.high.0 })).collect()
    };
    let asked = State::new(&settings.name, &source.info, log.identity()?, segment_records);
    let layout = Layout::of(source.shape)?;
    let mut directory =
        Directory::open(&options.directory, asked, &source.info, &layout, || marks(0..count, true))?;
    let known = directory.state.positions.len();
    place::check_partitions(&source.info, known)?;
    let added = marks(known as u32..count, true)?;
    // The ends of a run that is under way are those of its first start: partitions that were added since are not in it.
    let until = match (settings.until_end, directory.state.until.clone()) {
        (false, _) => None,
        (true, Some(until)) => Some([until, added.clone()].concat()),
        (true, None) => Some(marks(0..count, false)?),
    };
    if directory.state.until != until || !added.is_empty() {
        directory.state.until = until;
        directory.state.positions.extend(added);
        directory.save()?;
    }
    let lanes: Vec<Lane> = (0..count)
        .zip(&directory.state.positions)
        .map(|(number, position)| Lane {
            shape: source.shape,
            partition: source.partition(number),
            position: Offset(*position),
            until: directory.state.until.as_ref().map(|until| Offset(until[number as usize])),
        })
        .collect();
    let files = Files::new(directory, &source, layout, segment_records);
    Ok((source, lanes, files))
}

/// The files of every partition.
struct Files {
    directory: Directory,
    shared: Shared,
    tails: Vec<Tail>,
    /// The state is behind the files.
    stale: bool,
}

impl Files {
    fn new(directory: Directory, source: &Source, layout: Layout, segment_records: i64) -> Files {
        let shared = Shared {
            directory: directory.path.clone(),
            topic: source.info.name.clone(),
            layout,
            segment_records,
            scratch: String::new(),
        };
        let tail = |(partition, position): (usize, &i64)| {
            let forced_end = directory.forced_ends.get(&partition).copied();
            Tail::new(partition, Offset(*position), forced_end, &shared)
        };
        let tails = directory.state.positions.iter().enumerate().map(tail).collect();
        Files { directory, shared, tails, stale: false }
    }

    fn save(&mut self) -> Result<()> {
        self.directory.state.positions = self.tails.iter().map(|tail| tail.first().0).collect();
        self.directory.save()?;
        self.stale = false;
        Ok(())
    }
}

impl Destination for Files {
    fn put(&mut self, lane: usize, offset: Offset, row: Row) -> Result<()> {
        self.reached(lane, offset)?;
        self.tails[lane].put(&row, &mut self.shared)
    }

    fn put_aside(&mut self, lane: usize, reject: &Reject<'_>) -> Result<()> {
        self.reached(lane, reject.offset)?;
        self.tails[lane].put_aside(reject, &mut self.shared)
    }

    /// Saved before the first of its files: a file of a partition that nobody knows would be taken for somebody else's.
    fn open(&mut self, lane: &Lane) -> Result<()> {
        self.tails.push(Tail::new(self.tails.len(), lane.position, None, &self.shared));
        self.save()
    }

    fn reached(&mut self, lane: usize, position: Offset) -> Result<()> {
        self.stale |= self.tails[lane].reach(position, &mut self.shared)?;
        Ok(())
    }

    fn ended(&mut self, lane: usize, position: Offset) -> Result<()> {
        self.stale = true;
        self.tails[lane].end_at(position, &mut self.shared)
    }

    fn makes_final(&self, lane: usize, position: Offset) -> bool {
        self.tails[lane].ends_by(position)
    }

    fn is_full(&self) -> bool {
        false
    }

    fn commit(&mut self) -> Result<bool> {
        self.tails.iter_mut().try_for_each(Tail::flush)?;
        if self.stale {
            self.save()?;
        }
        Ok(true)
    }

    fn complete(&mut self) -> Result<bool> {
        self.directory.state.until = None;
        self.save()?;
        Ok(true)
    }
}
