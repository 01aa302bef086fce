//! Everybody in turn: one round measures every peer once, the next in the opposite order, so that a machine that gets slower or busier
//! does so for all of them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;

use crate::cli::RunArgs;
use crate::peer::{self, Peer, PeerName, Ready};
use crate::progress::Progress;
use crate::run_folder::{self, About};
use crate::sheet::{Case, Metric, Sheet};
use crate::weather::Weather;
use crate::{place, table};

/// A run: who takes part, and what came out so far.
pub(crate) struct Rounds {
    pub(crate) progress: Progress,
    pub(crate) cache: PathBuf,
    pub(crate) peers: Vec<Peer>,
    /// Of the broker and of peers, for the README.
    versions: BTreeSet<String>,
    sheet: Sheet,
    runs: u32,
    save: Option<String>,
    bench: &'static str,
}

impl Rounds {
    /// Builds the peers.
    pub(crate) fn begin(bench: &'static str, peers: &[PeerName], run: &RunArgs) -> Result<Rounds> {
        let cache =
            run.cache.clone().map_or_else(place::default_cache, |cache| Ok(std::path::absolute(cache)?));
        let mut rounds = Rounds {
            progress: Progress::new(),
            cache: cache?,
            peers: Vec::new(),
            versions: BTreeSet::new(),
            sheet: Sheet::default(),
            runs: run.runs,
            save: run.save.clone(),
            bench,
        };
        for name in peers {
            rounds.progress.step(format!("building {name}"));
            match peer::prepare(name, &rounds.peers_cache())? {
                Ready::Yes(peer) => {
                    rounds.versions.extend(peer.version.iter().map(|version| format!("{name}: {version}")));
                    rounds.peers.push(peer);
                }
                Ready::Missing(how) => rounds.leave_out(name, &how),
            }
        }
        Ok(rounds)
    }

    /// Where peers are built.
    pub(crate) fn peers_cache(&self) -> PathBuf {
        self.cache.join("peers")
    }

    /// Something that takes part beside the peers.
    pub(crate) fn took_part(&mut self, version: &str) {
        self.versions.insert(version.to_owned());
    }

    fn leave_out(&mut self, peer: &PeerName, why: &str) {
        self.progress.say(&format!("{peer}: left out: {why}"));
        self.sheet.absent.insert(peer.to_string(), why.to_owned());
    }

    /// Measures every peer in every round. One that fails is left out from then on: the others' numbers stand.
    pub(crate) fn in_turn(
        &mut self,
        case: &Case,
        mut measure: impl FnMut(&Peer, &mut Progress) -> Result<Vec<(Metric, u64)>>,
    ) -> Result<()> {
        for round in 1..=self.runs {
            let mut order = self.peers.clone();
            if round % 2 == 0 {
                order.reverse();
            }
            for peer in order.iter().filter(|peer| !self.has_failed(case, peer)).collect::<Vec<_>>() {
                self.progress.step(format!(
                    "{}: round {round} of {}: {}",
                    case.title(),
                    self.runs,
                    peer.name
                ));
                let weather = Weather::look()?;
                match measure(peer, &mut self.progress) {
                    Ok(mut values) => {
                        values.extend(weather.values()?);
                        self.sheet.add(case, &peer.name.to_string(), round, &values);
                    }
                    // Without ourselves there is nothing to measure.
                    Err(error) if peer.is_tidegate() => return Err(error.context(peer.name.to_string())),
                    Err(error) => {
                        let why = format!("{error:#}");
                        self.progress.say(&format!("{}: left out: {why}", peer.name));
                        self.sheet.absent.insert(absent_in(case, peer), why);
                    }
                }
            }
        }
        Ok(())
    }

    fn has_failed(&self, case: &Case, peer: &Peer) -> bool {
        self.sheet.absent.contains_key(&absent_in(case, peer))
    }

    /// Prints the table, and keeps the run.
    pub(crate) fn end(mut self) -> Result<Sheet> {
        self.progress.clear();
        println!("{}", table::render(&self.sheet));
        let doubts = run_folder::doubts(&self.sheet, cfg!(debug_assertions));
        if !doubts.is_empty() {
            println!("{doubts}");
        }
        let folder = match &self.save {
            Some(name) => run_folder::folder(name),
            None => {
                let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%S");
                self.cache.join("runs").join(format!("{now}-{}", self.bench))
            }
        };
        let versions: Vec<String> = self.versions.into_iter().collect();
        run_folder::save(&folder, &self.sheet, &About::this_run(&versions))?;
        println!("kept in {}", folder.display());
        Ok(self.sheet)
    }
}

fn absent_in(case: &Case, peer: &Peer) -> String {
    format!("{} ({})", peer.name, case.title())
}
