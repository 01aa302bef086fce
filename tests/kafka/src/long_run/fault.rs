//! What can be drawn: each fault, how it is done, and when what it took away is given back.

use std::fmt;
use std::time::{Duration, Instant};

use super::APPLICATIONS;
use super::fleet::{Fleet, Role};
use crate::clock::pass;
use crate::draw::Draw;
use crate::proxied::{broker, registry};
use crate::proxy::Mode;

/// A fault, with everything that was drawn for it.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// SIGKILL, and started again at once.
    Kill {
        place: usize,
        name: String,
        deletes_state: bool,
    },
    /// SIGKILL of an instance; the others take over, and it comes back after they have.
    KillForGood {
        place: usize,
        name: String,
    },
    /// SIGKILL of several at once, of any kind.
    KillMany {
        places: Vec<usize>,
    },
    /// SIGSTOP for so long, and back.
    Stop {
        place: usize,
        name: String,
        time: Duration,
    },
    Add {
        app: &'static str,
    },
    /// A planned stop, for good.
    Remove {
        place: usize,
        name: String,
    },
    RestartBroker {
        hard: bool,
    },
    BrokerAway {
        time: Duration,
    },
    /// What a proxy does for so long.
    Network {
        mode: Mode,
        time: Duration,
    },
    ConnectionsGoDead,
    RegistryAway {
        time: Duration,
    },
}

impl Fault {
    pub(super) fn draw(draw: &mut Draw, fleet: &Fleet<'_>) -> Fault {
        let any = fleet.running(|_| true);
        // Nobody takes over from one that is alone.
        let mut replaceable = Vec::new();
        for (app, _) in APPLICATIONS {
            let instances = fleet.instances(app).into_iter().filter(|place| any.contains(place));
            let instances: Vec<usize> = instances.collect();
            replaceable.extend(instances.iter().copied().filter(|_| instances.len() > 1));
        }
        let name = |place: usize| fleet.places[place].name.clone();
        let one = |draw: &mut Draw, of: &[usize]| of[draw.index(of.len())];
        match draw.below(100) {
            28..46 if !replaceable.is_empty() => {
                let place = one(draw, &replaceable);
                Fault::KillForGood { place, name: name(place) }
            }
            0..46 => {
                let place = one(draw, &any);
                let is_processor = fleet.places[place].role == Role::Processor;
                Fault::Kill { place, name: name(place), deletes_state: is_processor && draw.below(4) == 0 }
            }
            46..52 => {
                let places = any.iter().copied().filter(|_| draw.below(2) == 0).collect();
                Fault::KillMany { places }
            }
            52..60 => {
                let place = one(draw, &any);
                Fault::Stop { place, name: name(place), time: draw.ms(1_000, 14_000) }
            }
            60..72 => {
                let app = APPLICATIONS[draw.index(APPLICATIONS.len())].0;
                let instances = fleet.instances(app);
                let shrinks = instances.len() > 1 && (draw.below(2) == 0 || !fleet.may_grow(app));
                let place = instances[draw.index(instances.len())];
                if shrinks { Fault::Remove { place, name: name(place) } } else { Fault::Add { app } }
            }
            72..78 => Fault::RestartBroker { hard: draw.below(2) == 0 },
            78..81 => Fault::BrokerAway { time: draw.ms(5_000, 60_000) },
            81..84 => Fault::ConnectionsGoDead,
            84..95 => {
                let mode = [Mode::LoseAnswers, Mode::LoseRequests, Mode::Cut][draw.index(3)];
                Fault::Network { mode, time: draw.ms(50, 9_000) }
            }
            _ => Fault::RegistryAway { time: draw.ms(1_000, 10_000) },
        }
    }

    /// Does it, and gives back when work could go on.
    pub(super) fn apply(&self, fleet: &mut Fleet<'_>, draw: &mut Draw) -> Instant {
        let now = Instant::now();
        match self {
            Fault::Kill { place, name, deletes_state } => {
                fleet.kill(*place);
                if *deletes_state {
                    // It may have died before it made one.
                    let _ = std::fs::remove_dir_all(fleet.world.path(&format!("state-{name}")));
                }
                fleet.note_positions();
                fleet.revive(*place);
                return now;
            }
            Fault::KillForGood { place, .. } => {
                fleet.kill(*place);
                fleet.note_positions();
                return now;
            }
            Fault::KillMany { places } => {
                places.iter().for_each(|place| fleet.kill(*place));
                pass(draw.ms(1, 2_000));
                places.iter().for_each(|place| fleet.revive(*place));
            }
            Fault::Stop { place, time, .. } => {
                fleet.places[*place].process.as_ref().unwrap().signal("STOP");
                pass(*time);
                fleet.places[*place].process.as_ref().unwrap().signal("CONT");
            }
            Fault::Add { app } => fleet.add_instance(app),
            Fault::Remove { place, .. } => {
                let place = fleet.places.remove(*place);
                place.process.unwrap().stop();
            }
            Fault::RestartBroker { hard: false } => fleet.world.cluster.restart(),
            Fault::RestartBroker { hard: true } => fleet.world.cluster.restart_hard(),
            Fault::BrokerAway { time } => {
                fleet.world.cluster.kill_broker();
                pass(*time);
                fleet.world.cluster.start_broker();
            }
            Fault::Network { mode, time } => {
                broker().set(*mode);
                pass(*time);
                broker().set(Mode::Pass);
            }
            Fault::ConnectionsGoDead => broker().go_dead(),
            Fault::RegistryAway { time } => {
                registry().set(Mode::Cut);
                pass(*time);
                registry().set(Mode::Pass);
            }
        }
        fleet.note_positions();
        Instant::now()
    }

    /// Once work goes on: whoever stayed away comes back.
    pub(super) fn after(&self, fleet: &mut Fleet<'_>) {
        if let Fault::KillForGood { place, .. } = self {
            fleet.revive(*place);
        }
    }

    /// How many processes it kills.
    pub(super) fn kills(&self) -> usize {
        match self {
            Fault::Kill { .. } | Fault::KillForGood { .. } => 1,
            Fault::KillMany { places } => places.len(),
            _ => 0,
        }
    }

    /// What it is counted under.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Fault::Kill { deletes_state: false, .. } => "SIGKILL of one, restarted",
            Fault::Kill { .. } => "SIGKILL of one, restarted without its state directory",
            Fault::KillForGood { .. } => "SIGKILL of one, taken over",
            Fault::KillMany { .. } => "SIGKILL of several",
            Fault::Stop { .. } => "SIGSTOP and back",
            Fault::Add { .. } => "instance added",
            Fault::Remove { .. } => "instance removed",
            Fault::RestartBroker { hard: false } => "broker restarted",
            Fault::RestartBroker { hard: true } => "broker restarted by SIGKILL",
            Fault::BrokerAway { .. } => "broker away",
            Fault::Network { mode: Mode::LoseAnswers, .. } => "answers to commits lost",
            Fault::Network { mode: Mode::LoseRequests, .. } => "commits lost on their way",
            Fault::Network { .. } => "connections cut",
            Fault::ConnectionsGoDead => "connections dead without a word",
            Fault::RegistryAway { .. } => "registry away",
        }
    }

    /// True for what is promised to be over within ten seconds.
    pub(super) fn is_one_kill(&self) -> bool {
        matches!(self, Fault::Kill { .. } | Fault::KillForGood { .. })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        match self {
            Fault::Kill { name, .. } | Fault::KillForGood { name, .. } | Fault::Remove { name, .. } => {
                write!(f, ": {name}")
            }
            Fault::Stop { name, time, .. } => write!(f, ": {name}, {} ms", time.as_millis()),
            Fault::KillMany { places } => write!(f, ": {}", places.len()),
            Fault::Add { app } => write!(f, ": {app}"),
            Fault::BrokerAway { time } | Fault::Network { time, .. } | Fault::RegistryAway { time } => {
                write!(f, ": {} ms", time.as_millis())
            }
            Fault::RestartBroker { .. } | Fault::ConnectionsGoDead => Ok(()),
        }
    }
}
