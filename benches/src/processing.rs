//! `bench totals|speeding|scale`: the whole job on a filled topic, from the start of the process until everything is committed.

use anyhow::Result;

use crate::cli::{Home, RunArgs};
use crate::embedded;
use crate::kafka::cluster::Cluster;
use crate::kafka::{Entry, Field};
use crate::peer::PeerName;
use crate::rounds::Rounds;
use crate::sheet::Case;
use crate::work::Work;

/// How often everybody commits unless the user says otherwise.
const COMMIT_MS: u64 = 100;

/// Measures every peer on every work, each shared by so many instances.
pub(crate) fn run(
    bench: &'static str,
    works: &[(Work, u32)],
    home: Home,
    peers: &[PeerName],
    run: &RunArgs,
) -> Result<()> {
    let mut rounds = Rounds::begin(bench, peers, run)?;
    for (work, instances) in works {
        let case = Case { instances: *instances, ..case_of(bench, home, work) };
        if home == Home::Embedded {
            rounds.in_turn(&case, |peer, progress| embedded::measure(work, peer, progress))?;
            continue;
        }
        let cluster = cluster(&mut rounds, &work.to_string(), run)?;
        let mut field = Field::prepare(cluster, *work, &mut rounds.progress)?;
        let cache = rounds.peers_cache();
        let entry =
            Entry { cache: &cache, commit_ms: run.commit_ms.unwrap_or(COMMIT_MS), instances: *instances };
        rounds.in_turn(&case, |peer, progress| field.measure(peer, &entry, progress))?;
    }
    rounds.end()?;
    Ok(())
}

/// The user's cluster, or one of our own whose folder says what it is for.
pub(crate) fn cluster(rounds: &mut Rounds, purpose: &str, run: &RunArgs) -> Result<Cluster> {
    let cluster = match (&run.brokers, &run.registry) {
        (Some(brokers), Some(registry)) => {
            Cluster::at(brokers, registry, "a Kafka cluster of the user's".to_owned())?
        }
        _ => {
            rounds.progress.step("starting Kafka");
            Cluster::own(&rounds.cache.join("kafka").join(purpose))?
        }
    };
    rounds.took_part(&cluster.version);
    Ok(cluster)
}

/// What a work is called in tables.
pub(crate) fn case_of(bench: &str, home: Home, work: &Work) -> Case {
    Case {
        bench: bench.to_owned(),
        home: home.name().to_owned(),
        records: work.records,
        keys: work.keys,
        partitions: work.partitions,
        instances: 1,
    }
}

/// The works of `bench scale`: a base, and one thing after the other varied from it.
pub(crate) struct Scale {
    pub(crate) base: Work,
    pub(crate) records: Vec<u64>,
    pub(crate) keys: Vec<u64>,
    pub(crate) partitions: Vec<u32>,
    pub(crate) instances: Vec<u32>,
}

impl Scale {
    /// Each once, with how many instances share it.
    pub(crate) fn works(&self) -> Vec<(Work, u32)> {
        let base = self.base;
        let mut works = vec![(base, 1)];
        works.extend(self.records.iter().map(|records| (Work { records: *records, ..base }, 1)));
        works.extend(self.keys.iter().map(|keys| (Work { keys: *keys, ..base }, 1)));
        works.extend(self.partitions.iter().map(|partitions| (Work { partitions: *partitions, ..base }, 1)));
        works.extend(self.instances.iter().map(|instances| (base, *instances)));
        let mut each = Vec::new();
        for work in works {
            if !each.contains(&work) {
                each.push(work);
            }
        }
        each
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::Job;

    #[test]
    fn one_thing_is_varied_at_a_time() {
        let base = Work { job: Job::Totals, records: 5, keys: 10, partitions: 4 };
        let scale = Scale {
            base,
            records: vec![1, 5, 50],
            keys: vec![1_000],
            partitions: vec![64],
            instances: vec![1, 2],
        };
        let expected = [
            (base, 1),
            (Work { records: 1, ..base }, 1),
            (Work { records: 50, ..base }, 1),
            (Work { keys: 1_000, ..base }, 1),
            (Work { partitions: 64, ..base }, 1),
            (base, 2),
        ];
        assert_eq!(scale.works(), expected);
    }
}
