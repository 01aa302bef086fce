//! The examination of a Kafka cluster: what is asked in which order, and what cannot be asked any more after something failed.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use anyhow::Result;
use tidegate_runtime::log::Log as _;
use tidegate_runtime::log::kafka::diagnosis::{Diagnosis, Read, Spread, Told, Unread, ask, ask_registry};
use tidegate_runtime::log::kafka::{Connection, KafkaLog};
use tidegate_runtime::topology::Topology;
use tidegate_schemas::TOPICS;

use super::brokers::{self, Asked};
use super::finding::Finding;
use super::settings::{self, Ours};
use super::topics::{self, Found, Role, Wanted};
use super::{Report, clock, needs, probe, registry};

/// Topics brokers make for themselves, and everything stands on.
const INTERNAL: [&str; 2] = ["__transaction_state", "__consumer_offsets"];

/// What to examine.
pub(super) struct Examination<'a> {
    pub(super) connection: &'a Connection,
    pub(super) apps: &'a [String],
    pub(super) ours: Ours,
    pub(super) probe: bool,
}

/// Everything, line by line.
pub(super) fn examine(examination: &Examination<'_>, report: &mut Report) -> Result<()> {
    let connection = examination.connection;
    let bootstrap: BTreeSet<String> = connection
        .brokers
        .split(',')
        .map(|address| address.trim().to_owned())
        .filter(|it| !it.is_empty())
        .collect();
    let mut asked = ask_all(connection, bootstrap);
    report.add(brokers::bootstrap(&asked))?;
    let told = asked.values().find_map(|answer| answer.as_ref().ok()).cloned();
    let log = KafkaLog::open(connection.clone())?;
    match told {
        None => {
            let unreached = |what: &str| Finding::skip(what, "no broker is reached");
            report.add(["settings", "topics", "applications"].map(unreached).to_vec())?;
            of_registry(connection, &log, report)?;
            report.add(["probe", "clock of the broker"].map(unreached).to_vec())
        }
        Some(told) => {
            let advertised = told.brokers.iter().map(|broker| broker.address.clone());
            let unasked = advertised.filter(|address| !asked.contains_key(address)).collect();
            asked.extend(ask_all(connection, unasked));
            let wants = examination.ours.broker_assigns;
            report.add(brokers::advertised(told.cluster_id.as_deref(), &told.brokers, &asked, wants))?;
            let cluster = Cluster { examination, log: &log, told: &told, asked: &asked };
            cluster.examine(report)?;
            of_registry(connection, &log, report)?;
            cluster.probe(report)
        }
    }
}

/// Every address at once: one that does not answer takes seconds.
fn ask_all(connection: &Connection, addresses: BTreeSet<String>) -> Asked {
    thread::scope(|scope| {
        let start = |address: String| {
            let of = address.clone();
            (address, scope.spawn(move || ask(connection, &of)))
        };
        let started: Vec<_> = addresses.into_iter().map(start).collect();
        let ended = |handle: thread::ScopedJoinHandle<'_, _>| {
            handle.join().unwrap_or_else(|_| Err("the thread that asked it has ended".to_owned()))
        };
        started.into_iter().map(|(address, handle)| (address, ended(handle))).collect()
    })
}

/// The topics of a cluster.
type Topics = BTreeMap<String, Spread>;

/// A cluster that has answered.
struct Cluster<'a> {
    examination: &'a Examination<'a>,
    log: &'a KafkaLog,
    told: &'a Told,
    asked: &'a Asked,
}

impl Cluster<'_> {
    fn is_reached(&self, address: &str) -> bool {
        self.asked.get(address).is_some_and(Result::is_ok)
    }

    fn brokers(&self) -> i64 {
        i64::try_from(self.told.brokers.len()).unwrap_or(i64::MAX)
    }

    fn examine(&self, report: &mut Report) -> Result<()> {
        // Clients live by what those tell.
        let advertised = self.told.brokers.iter().filter_map(|broker| self.asked.get(&broker.address));
        let Some(topics) = advertised.flatten().find_map(|told| told.topics.as_ref()) else {
            let is_reached = self.told.brokers.iter().any(|broker| self.is_reached(&broker.address));
            let why = if is_reached {
                "no broker has listed its topics"
            } else {
                "no broker is reached where it sends its clients"
            };
            let skip = |what: &str| Finding::skip(what, why);
            return report.add(["settings", "topics", "applications"].map(skip).to_vec());
        };
        report.add(self.settings(topics))?;
        let partitions: BTreeMap<&str, u32> =
            topics.iter().map(|(name, spread)| (name.as_str(), spread.partitions)).collect();
        let apps = needs::applications_of(self.examination.apps, &partitions);
        report.add(self.topics(topics, &apps))?;
        report.add(needs::inputs(self.log, &partitions)?)?;
        report.add(needs::applications(self.log, &apps, &partitions))
    }

    /// Each broker tells its own settings: one that is not reached, none.
    fn settings(&self, topics: &Topics) -> Vec<Finding> {
        let diagnosis = Diagnosis::of(self.log);
        let (reached, unreached): (Vec<_>, Vec<_>) =
            self.told.brokers.iter().partition(|broker| self.is_reached(&broker.address));
        let read: BTreeMap<i32, Read> =
            reached.iter().map(|broker| (broker.id, diagnosis.broker(broker.id))).collect();
        let unreached = unreached.iter().map(|broker| format!("settings of broker {}", broker.id));
        let mut findings: Vec<Finding> =
            unreached.map(|what| Finding::skip(what, "it is not reached")).collect();
        let made: Vec<&str> = INTERNAL.into_iter().filter(|name| topics.contains_key(*name)).collect();
        findings.extend(settings::judge(&read, &self.examination.ours, &made, self.brokers()));
        findings
    }

    fn topics(&self, listed: &Topics, apps: &BTreeSet<String>) -> Vec<Finding> {
        let wanted: Vec<Wanted> =
            of_table().chain(apps.iter().flat_map(|app| of_application(self.log, listed, app))).collect();
        let there = wanted.iter().map(|wanted| wanted.name.as_str()).chain(INTERNAL);
        let there: Vec<&str> = there.filter(|name| listed.contains_key(*name)).collect();
        let mut settings = Diagnosis::of(self.log).topics(&there);
        let mut found = |name: &str| {
            let settings =
                settings.remove(name).unwrap_or_else(|| Err(Unread::Failed("no answer".to_owned())));
            listed.get(name).map(|spread| Found { spread: *spread, settings })
        };
        let internal = INTERNAL
            .into_iter()
            .filter_map(|name| found(name).map(|found| topics::internal(name, &found, self.brokers())));
        let mut findings: Vec<Finding> = internal.collect();
        for wanted in &wanted {
            match found(&wanted.name) {
                None => findings.extend(self.unlisted(wanted)),
                found => findings.extend(topics::judge(wanted, found.as_ref(), self.brokers())),
            }
        }
        findings
    }

    /// A topic this user may not see is not listed either.
    fn unlisted(&self, wanted: &Wanted) -> Vec<Finding> {
        match self.log.topic(&wanted.name) {
            Ok(_) => topics::judge(wanted, None, self.brokers()),
            Err(tidegate_runtime::Error::Refused { what, remedy }) => {
                vec![Finding::fail(format!("topic {}", wanted.name), what, remedy)]
            }
            Err(error) => {
                let found = format!("{:#}", anyhow::Error::new(error));
                vec![Finding::skip(format!("topic {}", wanted.name), found)]
            }
        }
    }

    fn probe(&self, report: &mut Report) -> Result<()> {
        let skip = |why: &str| ["probe", "clock of the broker"].map(|what| Finding::skip(what, why)).to_vec();
        if !self.examination.probe {
            return report.add(skip("give --probe"));
        }
        if !self.told.brokers.iter().all(|broker| self.is_reached(&broker.address)) {
            return report.add(skip("not all brokers are reached where they send their clients"));
        }
        report.add(probe::run(self.log))
    }
}

/// The topics of the table. One that has a single partition there is read whole by every task.
fn of_table() -> impl Iterator<Item = Wanted> {
    TOPICS.into_iter().map(|topic| {
        let is_output = topic.writers.iter().all(|writer| writer.starts_with("process"));
        Wanted {
            name: topic.name.to_owned(),
            role: if is_output { Role::Output } else { Role::Input },
            partitions: Some(topic.partitions).filter(|partitions| *partitions == 1),
            makers: format!("`tidegate {}`", topic.writers.join("`, `tidegate ")),
        }
    })
}

/// Those of an application that has run: what has not made its topics lacks none.
fn of_application(log: &KafkaLog, listed: &Topics, app: &str) -> Vec<Wanted> {
    let changelog = Topology::changelog_of(app);
    let names = needs::own_topics(app);
    if !names.iter().any(|name| listed.contains_key(name)) {
        return Vec::new();
    }
    let own = |name: String| Wanted {
        role: if name == changelog { Role::Changelog } else { Role::Aside },
        makers: format!("the next start of `{app}`"),
        partitions: None,
        name,
    };
    let needs::KeptTopics { inputs, outputs } = needs::kept_topics(log, app);
    let output = |name: String| Wanted { role: Role::Output, ..own(name) };
    let input =
        |name| Wanted { role: Role::Input, makers: "who writes it".to_owned(), partitions: None, name };
    let others: Vec<Wanted> = inputs.into_iter().map(input).chain(outputs.into_iter().map(output)).collect();
    names.into_iter().map(own).chain(others).collect()
}

fn of_registry(connection: &Connection, log: &KafkaLog, report: &mut Report) -> Result<()> {
    let told = ask_registry(&connection.registry);
    report.add(registry::judge(&told))?;
    let reached = told.iter().find_map(|(_, answer)| answer.as_ref().ok());
    let Some(reached) = reached else {
        return report.add(vec![Finding::skip("schemas", "no registry is reached")]);
    };
    report.add(
        reached
            .date
            .as_deref()
            .and_then(|date| clock::of_registry(date, reached.asked))
            .into_iter()
            .collect(),
    )?;
    report.add(needs::schemas(log.registry(), !connection.registry.lookup_only))
}
