//! Measuring on Kafka: the input is written once; each peer reads it from the beginning under a name of its own until its committed
//! offsets reach the end, and what it has written is compared with the recomputation.

pub(crate) mod client;
pub(crate) mod cluster;
mod fill;
mod schemas;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
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
    measured: u32,
}

impl Field {
    /// Fills the input topics if they do not hold the work already.
    pub(crate) fn prepare(cluster: Cluster, work: Work, progress: &mut Progress) -> Result<Field> {
        fill::fill(&cluster, &work, progress)?;
        let run = jiff::Timestamp::now().as_millisecond().to_string();
        Ok(Field { cluster, work, run, measured: 0 })
    }

    /// Lets a peer do the whole work once.
    pub(crate) fn measure(
        &mut self,
        peer: &Peer,
        cache: &Path,
        commit_ms: u64,
        progress: &mut Progress,
    ) -> Result<Vec<(Metric, u64)>> {
        self.measured += 1;
        let app = format!("bench-{}-{}-{}", peer.name.name, self.run, self.measured);
        let output = peer.output(self.work.job, &app);
        fill::renew(&self.cluster, &output, self.work.partitions)?;
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("state"))?;
        schemas::write(&self.cluster, self.work.job, &folder.path().join("schemas"))?;
        let command = peer.command(&Task {
            job: self.work.job,
            brokers: &self.cluster.brokers,
            registry: &self.cluster.registry,
            app: &app,
            output: &output,
            folder: folder.path(),
            cache,
            commit_ms,
        })?;
        let mut process = Process::start(command, &folder.path().join("said"))?;
        let mut values = self.watch(&mut process, &app, progress)?;
        // What was committed just before must be readable before its writer is told to stop.
        client::settled(&self.cluster.brokers, &output)?;
        process.stop()?;
        if peer.has_results() {
            values.extend(self.check(peer, &output)?.values());
        }
        self.forget(&app, &output)?;
        Ok(values)
    }

    /// Waits for the committed offsets to reach the end, and takes the cost at that moment.
    fn watch(&self, process: &mut Process, app: &str, progress: &mut Progress) -> Result<Vec<(Metric, u64)>> {
        let name = self.work.job.input().name;
        let asking = client::consumer(&self.cluster.brokers, app, false)?;
        let ends = client::ends(&asking, name)?;
        let all: i64 = ends.values().sum();
        let (mut before, mut moved) = (0, Instant::now());
        loop {
            let done = client::progress(&asking, name, &ends)?;
            if done == all {
                return process.values();
            }
            process.check_alive()?;
            if done != before {
                (before, moved) = (done, Instant::now());
            }
            if moved.elapsed() > STANDS_STILL {
                bail!(
                    "its committed offsets stand still at {done} of {all} for {STANDS_STILL:?}{}",
                    process.last_words()
                );
            }
            progress.at(u64::try_from(done)?, u64::try_from(all)?);
            std::thread::sleep(LOOK);
        }
    }

    fn check(&self, peer: &Peer, output: &str) -> Result<Verdict> {
        use rdkafka::message::Message as _;
        let mut found = Vec::new();
        client::read(&self.cluster.brokers, output, |message| {
            let (key, value) = (message.key().unwrap_or_default(), message.payload().unwrap_or_default());
            found.push(datum::decode(&self.work, peer.form(), key, value));
            Ok(())
        })
        .context("could not read the results")?;
        judge(&self.work, Closed::Passed, found)
    }

    /// Takes away what the peer has left, so that a hundred runs take no more room than one.
    fn forget(&self, app: &str, output: &str) -> Result<()> {
        for topic in self.cluster.log.topics()? {
            if topic.name == output || topic.name.starts_with(app) {
                self.cluster.log.delete_topic(&topic.name)?;
            }
        }
        Ok(())
    }
}
