//! `bench recovery`: a process with much state is killed; how long does its successor take from start to its first commit? Once
//! with what the first left on its disk, once on an empty disk.
//!
//! The state is a window that stays open, with a total for every customer.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use crate::cli::{Home, RecoveryArgs};
use crate::kafka::{self, Entry, Field, client, fill};
use crate::peer::Peer;
use crate::processing;
use crate::progress::Progress;
use crate::rounds::Rounds;
use crate::sheet::{Case, Metric};
use crate::work::{Job, Work};

const COMMIT_MS: u64 = 100;
/// How often the first commit is looked for: what is measured is hundreds of milliseconds.
const LOOK: Duration = Duration::from_millis(5);
/// Who has not committed by then does not recover.
const RECOVERS_WITHIN: Duration = Duration::from_secs(600);
/// What is there to be committed after the kill.
const MORE_RECORDS: u64 = 10_000;

/// Which disk the successor finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disk {
    Kept,
    Empty,
}

/// Measures every peer in every round, on both disks.
pub(crate) fn run(args: &RecoveryArgs) -> Result<()> {
    let mut rounds = Rounds::begin("recovery", &args.peers, &args.run)?;
    let work = Work { job: Job::Totals, records: args.keys, keys: args.keys, partitions: args.partitions };
    let cluster = processing::cluster(&mut rounds, "flow", &args.run)?;
    let mut field = Field::of(cluster, work);
    let cache = rounds.peers_cache();
    let commit_ms = args.run.commit_ms.unwrap_or(COMMIT_MS);
    let entry = Entry { cache: &cache, commit_ms, instances: 1 };
    for (disk, name) in [(Disk::Kept, "recovery"), (Disk::Empty, "recovery from an empty disk")] {
        let case = Case { bench: name.to_owned(), ..processing::case_of("", Home::Kafka, &work) };
        rounds.in_turn(&case, |peer, progress| measure(&mut field, peer, &entry, disk, progress))?;
    }
    rounds.end()?;
    Ok(())
}

fn measure(
    field: &mut Field,
    peer: &Peer,
    entry: &Entry<'_>,
    disk: Disk,
    progress: &mut Progress,
) -> Result<Vec<(Metric, u64)>> {
    field.empty_input()?;
    // All within one window: a record per customer, then a few more for the successor.
    write(field, 0, field.work.keys)?;
    let mut started = field.start(peer, entry)?;
    field.watch(&mut started.processes, &started.app, progress)?;
    let first = started.processes.pop().context("nothing was started")?;
    first.signal(Signal::KILL)?;
    first.stop()?;
    let asking = client::consumer(&field.cluster.brokers, &started.app, false)?;
    let name = field.work.job.input().name;
    let before = client::progress(&asking, name, &client::ends(&asking, name)?)?;
    write(field, field.work.keys, MORE_RECORDS)?;
    let ends = client::ends(&asking, name)?;
    if disk == Disk::Empty {
        let state = kafka::instance_folder(&started, 0).join("state");
        fs::remove_dir_all(&state).with_context(|| format!("could not empty `{}`", state.display()))?;
    }
    let begun = Instant::now();
    let mut process = field.start_instance(peer, entry, &started, 0)?;
    while client::progress(&asking, name, &ends)? <= before {
        process.check_alive()?;
        if begun.elapsed() > RECOVERS_WITHIN {
            bail!("its successor commits nothing within {RECOVERS_WITHIN:?}{}", process.last_words());
        }
        std::thread::sleep(LOOK);
    }
    let mut values = process.values()?;
    values.push((Metric::FirstCommitMs, u64::try_from(begun.elapsed().as_millis())?));
    started.processes.push(process);
    field.watch(&mut started.processes, &started.app, progress)?;
    field.finish(started)?;
    Ok(values)
}

fn write(field: &Field, from: u64, count: u64) -> Result<()> {
    fill::write_in_one_window(&field.cluster, &field.work, from..from + count)
}
