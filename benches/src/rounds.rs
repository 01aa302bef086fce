//! Everybody in turn: one round measures every peer once, the next in the opposite order, so that a machine that gets slower or busier
//! does so for all of them.

use std::path::Path;

use anyhow::Result;

use crate::cli::{Home, RunArgs};
use crate::embedded;
use crate::kafka::Field;
use crate::kafka::cluster::Cluster;
use crate::measured::Measured;
use crate::peer::{self, Peer, Ready};
use crate::progress::Progress;
use crate::work::Work;

/// Measures every peer on every work.
pub(crate) fn run(works: &[Work], args: &RunArgs) -> Result<()> {
    let mut progress = Progress::new();
    let cache = args.cache()?;
    let mut peers = Vec::new();
    for name in &args.peers {
        progress.step(format!("building {name}"));
        match peer::prepare(name, &cache.join("peers"))? {
            Ready::Yes(peer) => peers.push(peer),
            Ready::Missing(how) => progress.say(&format!("{name}: not installed: {how}")),
        }
    }
    for work in works {
        match args.home {
            Home::Embedded => {
                in_turn(&peers, args.runs, work, &mut progress, |peer, progress| {
                    embedded::measure(work, peer, progress)
                })?;
            }
            Home::Kafka => on_kafka(&peers, work, args, &cache, &mut progress)?,
        }
    }
    progress.clear();
    Ok(())
}

fn on_kafka(
    peers: &[Peer],
    work: &Work,
    args: &RunArgs,
    cache: &Path,
    progress: &mut Progress,
) -> Result<()> {
    let cluster = match (&args.brokers, &args.registry) {
        (Some(brokers), Some(registry)) => Cluster::at(brokers, registry, "the user's own".to_owned())?,
        _ => {
            progress.step("starting Kafka");
            Cluster::own(&cache.join("kafka").join(work.to_string()))?
        }
    };
    progress.say(&cluster.version);
    let mut field = Field::prepare(cluster, *work, progress)?;
    in_turn(peers, args.runs, work, progress, |peer, progress| {
        field.measure(peer, &cache.join("peers"), args.commit_ms, progress)
    })
}

fn in_turn(
    peers: &[Peer],
    runs: u32,
    work: &Work,
    progress: &mut Progress,
    mut measure: impl FnMut(&Peer, &mut Progress) -> Result<Measured>,
) -> Result<()> {
    for round in 1..=runs {
        let mut order: Vec<&Peer> = peers.iter().collect();
        if round % 2 == 0 {
            order.reverse();
        }
        for peer in order {
            progress.step(format!("{work}: round {round} of {runs}: {}", peer.name));
            let measured = measure(peer, progress)?;
            progress.say(&format!("{work}: {}: {}", peer.name, measured.line(work)));
        }
    }
    Ok(())
}
