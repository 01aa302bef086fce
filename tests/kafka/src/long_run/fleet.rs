//! The processes of the long run, each in a place of its own; who dies without being killed is started again and noted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::journal::Journal;
use super::{APPLICATIONS, PRODUCING_SHARE};
use crate::behind::Positions;
use crate::clock::pass;
use crate::instances::Process;
use crate::proxied::{broker_flags, registry};
use crate::proxy::Mode;
use crate::reader::try_ends;
use crate::world::{World, words};

/// How many instances of each application there are at first, and at most.
const INSTANCES: (usize, usize) = (2, 4);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Producer,
    Processor,
    Sink,
}

/// A place for a process, and the line that is run there.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) role: Role,
    line: String,
    pub(super) process: Option<Process>,
}

pub(super) struct Fleet<'w> {
    pub(super) world: &'w World,
    pub(super) places: Vec<Place>,
    positions: Vec<(Positions, &'static str, BTreeMap<i32, i64>)>,
    /// Instances started so far, per application: a name is never used for two.
    numbers: usize,
}

/// The lines of the simulators: also what the check runs on an embedded log.
pub(super) fn producers(rate: u64, count: u64) -> [(&'static str, String); 2] {
    let detours = "--out-of-order 5% --late 1% --duplicates 1% --malformed 1%";
    ["invoices", "radars"]
        .map(|what| (what, format!("simulate {what} --rate {rate} --count {count} --seed 7 {detours}")))
}

pub(super) fn processor(app: &str) -> &'static str {
    match app {
        "totals" => "process totals --grace 10s",
        _ => "process speeding",
    }
}

pub(super) fn sinks(world: &World) -> Vec<(String, String)> {
    let path = |name: &str| world.path(name).to_str().unwrap().to_owned();
    let of = |topic: &str| {
        let csv = format!(
            "sink csv --topic {topic} --segment-records 1000 --out {}",
            path(&format!("csv-{topic}"))
        );
        let name = format!("sqlite-{topic}");
        let store = path(&format!("{topic}.sqlite3"));
        [
            (format!("csv-{topic}"), csv),
            (name.clone(), format!("sink sqlite --name {name} --topic {topic} --out {store}")),
        ]
    };
    ["customer-totals", "infractions"].into_iter().flat_map(of).collect()
}

impl<'w> Fleet<'w> {
    pub(super) fn start(world: &'w World, rate: u64, count: u64) -> Fleet<'w> {
        let positions = APPLICATIONS
            .map(|(app, input)| (world.behind.positions(app, input), input, BTreeMap::new()))
            .into();
        let mut fleet = Fleet { world, places: Vec::new(), positions, numbers: 0 };
        for (what, line) in producers(rate, count) {
            fleet.add(Role::Producer, format!("simulate-{what}"), line);
        }
        for _ in 0..INSTANCES.0 {
            APPLICATIONS.iter().for_each(|(app, _)| fleet.add_instance(app));
        }
        for (name, line) in sinks(world) {
            fleet.add(Role::Sink, name, line);
        }
        fleet
    }

    fn add(&mut self, role: Role, name: String, line: String) {
        self.places.push(Place { name, role, line, process: None });
        self.revive(self.places.len() - 1);
    }

    /// One more instance of an application.
    pub(super) fn add_instance(&mut self, app: &str) {
        let name = format!("{app}-{}", self.numbers);
        let line = format!("{} --instance-id {}", processor(app), self.numbers);
        self.numbers += 1;
        self.add(Role::Processor, name, line);
    }

    /// Starts what stands at a place, on the log behind the proxies.
    pub(super) fn revive(&mut self, place: usize) {
        let Place { name, line, .. } = &self.places[place];
        let log = crate::world::log_flags(&broker_flags(&self.world.cluster)[1], &self.registry());
        let command = self.world.command_on(&log, &format!("state-{name}"), &words(line));
        self.places[place].process = Some(Process::start(command));
    }

    fn registry(&self) -> String {
        crate::cluster::registry_at(registry().port)
    }

    /// Where processes of a role run.
    pub(super) fn running(&self, is_wanted: impl Fn(Role) -> bool) -> Vec<usize> {
        let places = self.places.iter().enumerate();
        places
            .filter(|(_, place)| is_wanted(place.role) && place.process.is_some())
            .map(|(index, _)| index)
            .collect()
    }

    /// How many instances of an application have a place.
    pub(super) fn instances(&self, app: &str) -> Vec<usize> {
        let prefix = format!("{app}-");
        let places = self.places.iter().enumerate();
        places.filter(|(_, place)| place.name.starts_with(&prefix)).map(|(index, _)| index).collect()
    }

    pub(super) fn may_grow(&self, app: &str) -> bool {
        self.instances(app).len() < INSTANCES.1
    }

    pub(super) fn kill(&mut self, place: usize) {
        if let Some(process) = self.places[place].process.take() {
            process.kill();
        }
    }

    /// Starts again what has ended without being killed, as a supervisor would, and notes what it said last. A simulator that has
    /// written everything stays away.
    pub(super) fn mend(&mut self, journal: &mut Journal) {
        for index in 0..self.places.len() {
            let place = &mut self.places[index];
            let Some(process) = place.process.as_mut() else { continue };
            if !process.has_ended_quietly() {
                continue;
            }
            let status = process.ended_within(Duration::from_secs(1));
            let last = process.said().lines().last().unwrap_or_default().to_owned();
            let (name, is_done) = (place.name.clone(), place.role == Role::Producer && status.success());
            place.process = None;
            if is_done {
                journal.say(&format!("{name} has written everything"));
            } else {
                journal.ended(&name, &format!("{status}: {last}"));
                self.revive(index);
            }
        }
    }

    /// Where the groups stand once whatever a process that was just killed had on its way has arrived.
    pub(super) fn note_positions(&mut self) {
        pass(Duration::from_millis(100));
        for (positions, _, before) in &mut self.positions {
            let now = positions.now();
            if !now.is_empty() {
                *before = now;
            }
        }
    }

    /// Waits until every task of every application has committed something new, or has nothing left to commit.
    pub(super) fn recovered(&mut self, most: Duration) -> Result<Duration, String> {
        self.recovered_since(Instant::now(), most, &mut Journal::silent())
    }

    pub(super) fn recovered_since(
        &mut self,
        since: Instant,
        most: Duration,
        journal: &mut Journal,
    ) -> Result<Duration, String> {
        let brokers = self.world.brokers().to_owned();
        loop {
            let is_back = self.positions.iter().all(|(positions, input, before)| {
                let now = positions.now();
                let grew = |partition: i32| {
                    let is_later = |now: &i64| before.get(&partition).is_none_or(|before| now > before);
                    now.get(&partition).is_some_and(is_later)
                };
                let ends = || try_ends(&brokers, input).unwrap_or_default();
                (0..4).all(grew)
                    || (0..4).zip(ends()).all(|(partition, end)| now.get(&partition) == Some(&end))
            });
            if is_back {
                return Ok(since.elapsed());
            }
            if since.elapsed() > most {
                return Err(format!("not back at work after {most:?}: {}", self.last_words()));
            }
            self.mend(journal);
            pass(Duration::from_millis(50));
        }
    }

    pub(super) fn last_words(&self) -> String {
        let said = |place: &Place| {
            let words = place.process.as_ref().map(Process::said).unwrap_or_default();
            format!("\n--- {}\n{words}", place.name)
        };
        let all: String = self.places.iter().map(said).collect();
        format!("{all}\n--- the broker, of its groups\n{}", self.world.cluster.said_of_groups())
    }

    /// Waits for the simulators, stops everybody, and brings everything to its end without faults.
    pub(super) fn finish(mut self, journal: &mut Journal) -> Result<(), String> {
        let patience = Instant::now() + Duration::from_secs(1_800 * PRODUCING_SHARE.1 / PRODUCING_SHARE.0);
        while !self.running(|role| role == Role::Producer).is_empty() {
            self.mend(journal);
            if Instant::now() > patience {
                return Err("the simulators do not come to their end".to_owned());
            }
            pass(Duration::from_millis(200));
        }
        for place in self.places.drain(..) {
            if let Some(process) = place.process {
                process.signal("TERM");
                process.finish();
            }
        }
        journal.say("everybody has stopped");
        let to_end = |state: &str, line: &str| self.world.start(state, &format!("{line} --until-end"));
        let last: Vec<Process> = APPLICATIONS
            .iter()
            .flat_map(|(app, _)| {
                ["a", "b"].map(|id| {
                    to_end(&format!("end-{app}-{id}"), &format!("{} --instance-id end-{id}", processor(app)))
                })
            })
            .collect();
        last.into_iter().for_each(Process::finish);
        for (name, line) in sinks(self.world) {
            to_end(&format!("state-{name}"), &line).finish();
        }
        registry().set(Mode::Pass);
        Ok(())
    }
}
