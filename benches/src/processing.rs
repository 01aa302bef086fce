//! `bench totals|speeding`: the whole job on a filled topic, from the start of the process until everything is committed.

use anyhow::Result;

use crate::cli::{Home, RunArgs};
use crate::embedded;
use crate::kafka::Field;
use crate::kafka::cluster::Cluster;
use crate::peer::PeerName;
use crate::rounds::Rounds;
use crate::sheet::Case;
use crate::work::Work;

/// Measures every peer on every work.
pub(crate) fn run(works: &[Work], home: Home, peers: &[PeerName], run: &RunArgs) -> Result<()> {
    let Some(bench) = works.first().map(|work| work.job.name()) else { return Ok(()) };
    let mut rounds = Rounds::begin(bench, peers, run)?;
    for work in works {
        one(&mut rounds, work, home, run)?;
    }
    rounds.end()?;
    Ok(())
}

fn one(rounds: &mut Rounds, work: &Work, home: Home, run: &RunArgs) -> Result<()> {
    let case = case_of(work.job.name(), home, work);
    if home == Home::Embedded {
        return rounds.in_turn(&case, |peer, progress| embedded::measure(work, peer, progress));
    }
    let mut field = field(rounds, work, run)?;
    let cache = rounds.peers_cache();
    rounds.in_turn(&case, |peer, progress| field.measure(peer, &cache, run.commit_ms, progress))
}

/// A cluster whose topics hold a work.
pub(crate) fn field(rounds: &mut Rounds, work: &Work, run: &RunArgs) -> Result<Field> {
    let cluster = match (&run.brokers, &run.registry) {
        (Some(brokers), Some(registry)) => {
            Cluster::at(brokers, registry, "a Kafka cluster of the user's".to_owned())?
        }
        _ => {
            rounds.progress.step("starting Kafka");
            Cluster::own(&rounds.cache.join("kafka").join(work.to_string()))?
        }
    };
    rounds.took_part(&cluster.version);
    Field::prepare(cluster, *work, &mut rounds.progress)
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
