//! Topics into a SQLite read store, exactly once.
//!
//! The rows and the next offset of every partition are written in one transaction (WAL, `synchronous=FULL`), so that a kill or a power
//! cut leaves both or neither. Several topics of one sink share a database; topics may join later. The tables are those
//! of `tidegate-schemas`; bad records stand whole in `sink_rejects`, the sink itself in `sink_identity` and `sink_offsets`.
//!
//! Any SQLite tool may read while the sink writes. Rows wait in memory and are written in one short transaction per batch, so
//! that another program that writes waits for milliseconds. **A reader that keeps its transaction open** keeps the write-ahead log
//! growing: past [`WAL_MAX_BYTES`] the sink says so and waits until the reader lets go.

mod store;
mod tables;
mod topics;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use rusqlite::{Transaction, params};
use tidegate_runtime::log::{Log, Offset, TopicPartition};
use tidegate_runtime::notice::Notice;
use tidegate_runtime::{Error, Result};
use tidegate_schemas::NamedTable;

use self::store::{Fault, Standing, Store, set_standing};
use self::tables::Insert;
use crate::driver::{self, Destination, Lane};
use crate::intake::Reject;
use crate::layout::Layout;
use crate::place::{self, Source};
use crate::row::{Cell, Row};
use crate::{Settings, Summary};

/// The write-ahead log may grow to this behind a long reader, unless told otherwise: hours of a typical topic, and no disk's
/// end.
pub const WAL_MAX_BYTES: u64 = 1 << 30;

/// What waits for a transaction at most, by [`Waiting::weight_bytes`], and a chunk more. A batch touches most pages of an index on
/// random values, so a large one writes far less; this is some tens of thousands of rows, or what comes in a commit
/// interval.
const BATCH_BYTES: usize = 16 << 20;
/// Statements that are kept prepared beside an insert for each table and its child.
const SPARE_STATEMENTS: usize = 8;
/// What a cell takes in memory beside its text.
const CELL_BYTES: usize = 64;

/// What the SQLite sink is told.
#[derive(Clone)]
pub struct Options {
    /// What every sink is told.
    pub settings: Settings,
    /// The topics: of the table of topics, or with the schema of one that is.
    pub topics: Vec<String>,
    /// The database: a new file, or this sink's own.
    pub database: PathBuf,
    /// See [`WAL_MAX_BYTES`].
    pub wal_max_bytes: u64,
}

/// Writes the topics' records until `stop` is ready, or to the end it was given.
///
/// # Errors
/// [`Refused`](tidegate_runtime::Error::Refused) when the database is another's or in use, or when the log does not have the
/// records the sink needs next; [`UnknownTopic`](tidegate_runtime::Error::UnknownTopic);
/// [`Storage`](tidegate_runtime::Error::Storage) when the database cannot be written, after which nothing more is.
pub async fn run(log: Arc<dyn Log>, options: &Options, stop: impl Future<Output = ()>) -> Result<Summary> {
    let settings = &options.settings;
    place::check_name(&settings.name)?;
    let mut stop = pin!(stop);
    let prepared = settings.patience().until_answered(&mut stop, || prepare(&*log, options)).await?;
    let Some((sources, lanes, rows)) = prepared else { return Ok(Summary::default()) };
    driver::run(log, settings, sources, lanes, rows, stop).await
}

/// Takes the database, and finds out where to begin and to end. A log that cannot tell ends it half-way, which does no harm: it is
/// what a crash would leave.
fn prepare(log: &dyn Log, options: &Options) -> Result<(Vec<Source>, Vec<Lane>, Rows)> {
    let settings = &options.settings;
    let mut sources = BTreeMap::new();
    for name in &options.topics {
        sources.insert(name, place::find_topic(log, name)?);
    }
    let sources: Vec<Source> = sources.into_values().collect();
    let mut store = Store::open(&options.database, &settings.name, &log.identity()?)?;
    let mut tables = BTreeMap::new();
    let begun = store.write(|transaction| {
        for source in &sources {
            tables.insert(source.info.name.clone(), topics::take(transaction, &settings.name, source)?);
        }
        Ok(())
    })?;
    begun.ok_or_else(|| busy(options))?;
    let mut lanes = Vec::new();
    for source in &sources {
        lanes.extend(lanes_of(log, &store, source, settings.until_end)?);
    }
    store.write(|transaction| Ok(write_standings(transaction, &lanes)?))?.ok_or_else(|| busy(options))?;
    let rows = Rows::new(store, &lanes, &tables, options)?;
    Ok((sources, lanes, rows))
}

fn busy(options: &Options) -> Error {
    Error::Refused {
        what: format!("another program is writing `{}`", options.database.display()),
        remedy: "let it finish first".into(),
    }
}

/// The partitions of a topic: where they stand, or where they begin.
fn lanes_of(log: &dyn Log, store: &Store, source: &Source, until_end: bool) -> Result<Vec<Lane>> {
    let known = store.standings(&source.info.name)?;
    place::check_partitions(&source.info, known.len())?;
    // The ends of a run that is under way are those of its first start: partitions that were added since are not in it.
    let is_under_way = known.iter().any(|known| known.until.is_some());
    let lane = |number: u32| {
        let partition = source.partition(number);
        let ends = log.watermarks(&partition)?;
        let known = known.get(number as usize);
        let end = if is_under_way && known.is_none() { ends.low } else { ends.high };
        let until = known.and_then(|known| known.until).unwrap_or(end);
        let position = known.map_or(ends.low, |known| known.next);
        Ok(Lane { shape: source.shape, partition, position, until: until_end.then_some(until) })
    };
    (0..source.info.partitions).map(lane).collect()
}

fn write_standings(transaction: &Transaction<'_>, lanes: &[Lane]) -> rusqlite::Result<()> {
    lanes.iter().try_for_each(|lane| {
        set_standing(transaction, &lane.partition, Standing { next: lane.position, until: lane.until })
    })
}

/// What waits for the next transaction.
enum Waiting {
    Row { lane: usize, offset: Offset, row: Row },
    Reject { lane: usize, reject: OwnedReject },
}

struct OwnedReject {
    offset: Offset,
    time_ms: i64,
    reason: &'static str,
    message: String,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

impl Waiting {
    /// What it takes in memory, roughly. Bad records are kept whole and may have a megabyte each.
    fn weight_bytes(&self) -> usize {
        match self {
            Waiting::Row { row, .. } => row_bytes(row),
            Waiting::Reject { reject, .. } => {
                let part = |part: &Option<Vec<u8>>| part.as_ref().map_or(0, Vec::len);
                part(&reject.key) + part(&reject.value) + reject.message.len() + CELL_BYTES
            }
        }
    }
}

fn row_bytes(row: &Row) -> usize {
    let of_cell = |cell: &Cell| match cell {
        Cell::List(rows) => rows.iter().map(row_bytes).sum(),
        Cell::Text(text) => CELL_BYTES + text.len(),
        _ => CELL_BYTES,
    };
    row.0.iter().map(|(_, cell)| of_cell(cell)).sum()
}

/// The rows of every partition.
struct Rows {
    store: Store,
    lanes: Vec<Lane>,
    /// By topic.
    inserts: BTreeMap<Arc<str>, Insert>,
    waiting: Vec<Waiting>,
    waiting_bytes: usize,
    /// A position moved since the last transaction.
    moved: bool,
    wal_max_bytes: u64,
    notice: Notice,
    /// The user knows what the sink waits for.
    told: bool,
}

impl Rows {
    fn new(
        store: Store,
        lanes: &[Lane],
        tables: &BTreeMap<String, NamedTable>,
        options: &Options,
    ) -> Result<Rows> {
        let mut inserts = BTreeMap::new();
        for lane in lanes {
            if let Some(table) = tables.get(&*lane.partition.topic) {
                inserts.insert(lane.partition.topic.clone(), Insert::of(table, &Layout::of(lane.shape)?));
            }
        }
        store.connection.set_prepared_statement_cache_capacity(2 * inserts.len() + SPARE_STATEMENTS);
        Ok(Rows {
            store,
            lanes: lanes.to_vec(),
            inserts,
            waiting: Vec::new(),
            waiting_bytes: 0,
            moved: false,
            wal_max_bytes: options.wal_max_bytes,
            notice: options.settings.notice.clone(),
            told: false,
        })
    }

    fn wait(&mut self, item: Waiting) {
        self.waiting_bytes += item.weight_bytes();
        self.waiting.push(item);
    }

    /// Says once what the sink waits for.
    fn wait_for(&mut self, what: &str) {
        if !std::mem::replace(&mut self.told, true) {
            self.notice.say(what);
        }
    }

    /// One transaction with everything that waits and every position; false if another program keeps it from being made.
    fn write(&mut self) -> Result<bool> {
        let Rows { store, lanes, inserts, waiting, .. } = self;
        let written = store.write(|transaction| {
            for item in waiting.iter() {
                match item {
                    Waiting::Row { lane, offset, row } => {
                        let lane = &lanes[*lane];
                        inserts[&lane.partition.topic].run(transaction, &lane.partition.at(*offset), row)?;
                    }
                    Waiting::Reject { lane, reject } => {
                        write_reject(transaction, &lanes[*lane].partition, reject)?;
                    }
                }
            }
            Ok(write_standings(transaction, lanes)?)
        })?;
        if written.is_none() {
            let path = self.store.path.display().to_string();
            self.wait_for(&format!("another program is writing `{path}`: the sink waits for it"));
            return Ok(false);
        }
        self.waiting.clear();
        self.waiting_bytes = 0;
        self.moved = false;
        Ok(true)
    }
}

fn write_reject(
    transaction: &Transaction<'_>,
    at: &TopicPartition,
    reject: &OwnedReject,
) -> Result<(), Fault> {
    let mut insert =
        transaction.prepare_cached("INSERT INTO sink_rejects VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    insert.execute(params![
        &*at.topic,
        at.partition,
        reject.offset.0,
        reject.time_ms,
        reject.reason,
        reject.message,
        reject.key,
        reject.value
    ])?;
    Ok(())
}

impl Destination for Rows {
    fn put(&mut self, lane: usize, offset: Offset, row: Row) -> Result<()> {
        self.wait(Waiting::Row { lane, offset, row });
        Ok(())
    }

    fn put_aside(&mut self, lane: usize, reject: &Reject<'_>) -> Result<()> {
        let (key, value) = (reject.key.map(<[u8]>::to_vec), reject.value.map(<[u8]>::to_vec));
        let reject = OwnedReject {
            offset: reject.offset,
            time_ms: reject.time.0,
            reason: reject.bad.reason.code(),
            message: reject.bad.message.clone(),
            key,
            value,
        };
        self.wait(Waiting::Reject { lane, reject });
        Ok(())
    }

    fn open(&mut self, lane: &Lane) -> Result<()> {
        self.lanes.push(lane.clone());
        self.moved = true;
        Ok(())
    }

    fn reached(&mut self, lane: usize, position: Offset) -> Result<()> {
        self.moved |= self.lanes[lane].position != position;
        self.lanes[lane].position = position;
        Ok(())
    }

    fn ended(&mut self, _lane: usize, _position: Offset) -> Result<()> {
        Ok(())
    }

    fn makes_final(&self, _lane: usize, _position: Offset) -> bool {
        false
    }

    fn is_full(&self) -> bool {
        self.waiting_bytes >= BATCH_BYTES
    }

    fn commit(&mut self) -> Result<bool> {
        if self.moved && !self.write()? {
            return Ok(false);
        }
        let Some(left_bytes) = self.store.overgrown_wal(self.wal_max_bytes)? else {
            self.told = false;
            return Ok(true);
        };
        let path = self.store.path.display().to_string();
        self.wait_for(&format!(
            "the write-ahead log of `{path}` has {left_bytes} bytes and cannot be emptied: a reader keeps a transaction \
             open, and the sink waits until it ends"
        ));
        Ok(false)
    }

    fn complete(&mut self) -> Result<bool> {
        for lane in &mut self.lanes {
            lane.until = None;
        }
        self.write()
    }
}
