//! Measuring on Kafka: each peer reads the input from the beginning under a name of its own until its committed offsets reach the
//! end, and what it has written is compared with the recomputation.

pub(crate) mod batches;
pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod fill;
mod schemas;
pub(crate) mod stream;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rdkafka::message::Message as _;
use tempfile::TempDir;
use tidegate_runtime::log::Log as _;

use self::cluster::Cluster;
use crate::datum;
use crate::peer::{Peer, Task};
use crate::process::Process;
use crate::progress::Progress;
use crate::results::{Closed, Verdict, judge};
use crate::sheet::Metric;
use crate::work::Work;

/// How often a peer's committed offsets are looked at.
const LOOK: Duration = Duration::from_millis(50);
/// A peer that commits nothing for so long hangs.
const STANDS_STILL: Duration = Duration::from_secs(180);

/// A cluster whose input topics hold a work.
pub(crate) struct Field {
    pub(crate) cluster: Cluster,
    pub(crate) work: Work,
    /// Tells the applications of this run from those of every other on the same cluster.
    run: String,
    started: u32,
}

/// How a peer takes part.
pub(crate) struct Entry<'e> {
    /// Where peers are built.
    pub(crate) cache: &'e Path,
    pub(crate) commit_ms: u64,
    /// How many processes share the work.
    pub(crate) instances: u32,
}

/// A peer at work.
pub(crate) struct Started {
    pub(crate) processes: Vec<Process>,
    pub(crate) app: String,
    pub(crate) output: String,
    /// Its state is in there, one folder per instance.
    pub(crate) folder: TempDir,
}

impl Field {
    /// Fills the input topics if they do not hold the work already.
    pub(crate) fn prepare(cluster: Cluster, work: Work, progress: &mut Progress) -> Result<Field> {
        fill::fill(&cluster, &work, progress)?;
        Ok(Field::of(cluster, work))
    }

    /// A cluster whose input somebody else writes.
    pub(crate) fn of(cluster: Cluster, work: Work) -> Field {
        let run = jiff::Timestamp::now().as_millisecond().to_string();
        Field { cluster, work, run, started: 0 }
    }

    /// Makes the input topics anew, empty.
    pub(crate) fn empty_input(&self) -> Result<()> {
        fill::empty_for_flow(&self.cluster, &self.work)
    }

    /// Lets a peer do the whole work once.
    pub(crate) fn measure(
        &mut self,
        peer: &Peer,
        entry: &Entry<'_>,
        progress: &mut Progress,
    ) -> Result<Vec<(Metric, u64)>> {
        let mut started = self.start(peer, entry)?;
        let mut values = self.watch(&mut started.processes, &started.app, progress)?;
        // What was committed just before must be readable before its writer is told to stop.
        client::settled(&self.cluster.brokers, &started.output)?;
        if peer.has_results() {
            let output = started.output.clone();
            stop(&mut started)?;
            values.extend(self.check(peer, &output)?.values());
        }
        self.finish(started)?;
        Ok(values)
    }

    /// Starts a peer under a name of its own, with an empty output.
    pub(crate) fn start(&mut self, peer: &Peer, entry: &Entry<'_>) -> Result<Started> {
        self.started += 1;
        let app = format!("bench-{}-{}-{}", peer.name.name, self.run, self.started);
        let output = peer.output(self.work.job, &app);
        fill::renew(&self.cluster, &output, self.work.partitions)?;
        let folder = tempfile::tempdir()?;
        let mut started = Started { processes: Vec::new(), app, output, folder };
        for number in 0..entry.instances {
            let process = self.start_instance(peer, entry, &started, number)?;
            started.processes.push(process);
        }
        Ok(started)
    }

    /// Starts one process of a peer, on the state that stands in its folder.
    pub(crate) fn start_instance(
        &self,
        peer: &Peer,
        entry: &Entry<'_>,
        started: &Started,
        number: u32,
    ) -> Result<Process> {
        let folder = instance_folder(started, number);
        std::fs::create_dir_all(folder.join("state"))?;
        schemas::write(&self.cluster, self.work.job, &folder.join("schemas"))?;
        let command = peer.command(&Task {
            job: self.work.job,
            brokers: &self.cluster.brokers,
            registry: &self.cluster.registry,
            app: &started.app,
            output: &started.output,
            folder: &folder,
            cache: entry.cache,
            commit_ms: entry.commit_ms,
        })?;
        Process::start(command, &folder.join("said"))
    }

    /// Waits for the committed offsets to reach the end, and takes the cost at that moment.
    pub(crate) fn watch(
        &self,
        processes: &mut [Process],
        app: &str,
        progress: &mut Progress,
    ) -> Result<Vec<(Metric, u64)>> {
        let name = self.work.job.input().name;
        let asking = client::consumer(&self.cluster.brokers, app, false)?;
        let ends = client::ends(&asking, name)?;
        let all: i64 = ends.values().sum();
        let (mut before, mut moved) = (0, Instant::now());
        loop {
            let done = client::progress(&asking, name, &ends)?;
            if done == all {
                return sum(processes);
            }
            processes.iter_mut().try_for_each(Process::check_alive)?;
            if done != before {
                (before, moved) = (done, Instant::now());
            }
            if moved.elapsed() > STANDS_STILL {
                let said: String = processes.iter().map(Process::last_words).collect();
                bail!("its committed offsets stand still at {done} of {all} for {STANDS_STILL:?}{said}");
            }
            progress.at(u64::try_from(done)?, u64::try_from(all)?);
            std::thread::sleep(LOOK);
        }
    }

    fn check(&self, peer: &Peer, output: &str) -> Result<Verdict> {
        let mut found = Vec::new();
        client::read(&self.cluster.brokers, output, |message| {
            let (key, value) = (message.key().unwrap_or_default(), message.payload().unwrap_or_default());
            found.push(datum::decode(&self.work, peer.form(), key, value));
            Ok(())
        })
        .context("could not read the results")?;
        judge(&self.work, Closed::Passed, found)
    }

    /// Ends a peer and takes away what it has left, so that a hundred runs take no more room than one.
    pub(crate) fn finish(&self, mut started: Started) -> Result<()> {
        stop(&mut started)?;
        for topic in self.cluster.log.topics()? {
            if topic.name == started.output || topic.name.starts_with(&started.app) {
                self.cluster.log.delete_topic(&topic.name)?;
            }
        }
        Ok(())
    }
}

/// Where an instance keeps its state, the schemas and what it says.
pub(crate) fn instance_folder(started: &Started, number: u32) -> PathBuf {
    started.folder.path().join(number.to_string())
}

fn stop(started: &mut Started) -> Result<()> {
    started.processes.drain(..).try_for_each(|process| process.stop().map(drop))
}

/// What several processes have cost together, and how long the first has run.
fn sum(processes: &mut [Process]) -> Result<Vec<(Metric, u64)>> {
    let mut sums: Vec<(Metric, u64)> = Vec::new();
    for process in processes {
        for (metric, value) in process.values()? {
            match sums.iter_mut().find(|(of, _)| *of == metric) {
                Some((Metric::WallMs, _)) => {}
                Some((_, sum)) => *sum += value,
                None => sums.push((metric, value)),
            }
        }
    }
    Ok(sums)
}
