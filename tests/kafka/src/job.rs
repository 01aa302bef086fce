//! A whole pipeline under faults: an oracle's input fed live, processors and both sinks running, and the check at the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::behind::Positions;
use crate::check::{self, Kind, Sinks};
use crate::clock::{pass, until};
use crate::feeder::Feeder;
use crate::input::{encoded, golden};
use crate::instances::Process;
use crate::reader::{count, try_ends};
use crate::world::{World, words};

/// What the issue promises after the SIGKILL of one instance.
pub const BACK_AT_WORK: Duration = Duration::from_secs(10);

/// Which processor, on which input, with which answers.
struct Case {
    processor: &'static str,
    /// What is fed live.
    input: &'static str,
    output: &'static str,
    table: &'static str,
    times: &'static [&'static str],
    folder: &'static str,
    results: &'static str,
    kinds: &'static [(&'static str, Kind)],
}

static TOTALS: Case = Case {
    processor: "process totals --grace 2s",
    input: "invoices",
    output: "customer-totals",
    table: "customer_totals",
    times: &["window_start", "window_end"],
    folder: "invoices-derivative/size-5000-advance-5000-grace-2000",
    results: "customer-totals",
    kinds: &[("late", Kind::Late), ("dead-letters", Kind::DeadLetters)],
};

static SPEEDING: Case = Case {
    processor: "process speeding",
    input: "readings",
    output: "infractions",
    table: "infractions",
    times: &["measured_at"],
    folder: "readings-derivative/speeding",
    results: "infractions",
    kinds: &[("late", Kind::Late), ("duplicates", Kind::Duplicates), ("dead-letters", Kind::DeadLetters)],
};

/// A pipeline on a world's cluster.
pub struct Job<'w> {
    pub world: &'w World,
    pub app: String,
    case: &'static Case,
    rows: Vec<Value>,
    /// More words for every processor.
    pub flags: String,
    /// Far shorter than by default, so that a fault meets a commit under way. (Sessions last the 6 s of the default.)
    pub commit_interval: &'static str,
    /// Where processors find the log, if not directly.
    pub through: Option<Vec<String>>,
}

impl<'w> Job<'w> {
    /// Totals of the invoices' derivative: 3 670 rows.
    pub fn totals(world: &'w World) -> Job<'w> {
        world.create_topics();
        let rows = golden("invoices-derivative/input.jsonl.gz");
        Job {
            world,
            app: "totals".to_owned(),
            case: &TOTALS,
            rows,
            flags: String::new(),
            commit_interval: "20ms",
            through: None,
        }
    }

    /// Infractions of the readings' derivative: 6 482 rows, the registrations loaded before (law 11 for joins).
    pub fn speeding(world: &'w World) -> Job<'w> {
        world.create_topics();
        let rows = golden("readings-derivative/input.jsonl.gz");
        let (rows, registrations): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| row["topic"] == "readings");
        world.load(&registrations);
        Job {
            world,
            app: "speeding".to_owned(),
            case: &SPEEDING,
            rows,
            flags: String::new(),
            commit_interval: "20ms",
            through: None,
        }
    }

    /// How many rows are fed.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The topic that is fed.
    pub fn input(&self) -> &'static str {
        self.case.input
    }

    /// Begins to write the input, so many rows per second.
    pub fn feed(&self, per_second: usize) -> Feeder {
        Feeder::start(self.world.brokers(), encoded(&self.rows, &self.world.registry), per_second)
    }

    /// Writes all of the input at once.
    pub fn load(&self) {
        self.world.load(&self.rows);
    }

    /// An instance of the processor, not started yet.
    pub fn processor(&self, instance: &str, more: &str) -> std::process::Command {
        let line = format!(
            "{} --app {} --instance-id {instance} --commit-interval {} {} {more}",
            self.case.processor, self.app, self.commit_interval, self.flags
        );
        let log = self.through.as_ref().unwrap_or(&self.world.program.log);
        self.world.command_on(log, &format!("state-{instance}"), &words(&line))
    }

    /// A live instance.
    pub fn start(&self, instance: &str) -> Process {
        Process::start(self.processor(instance, ""))
    }

    /// Both live sinks.
    pub fn start_sinks(&self) -> [Process; 2] {
        self.sinks().map(|line| self.world.start("state-sinks", &line))
    }

    pub fn sinks(&self) -> [String; 2] {
        let path = |name: &str| self.world.path(name).to_str().unwrap().to_owned();
        let topic = self.case.output;
        [
            format!("sink csv --topic {topic} --segment-records 50 --out {}", path("csv")),
            format!("sink sqlite --topic {topic} --out {}", path("store.sqlite3")),
        ]
    }

    /// How far the group has come in the input.
    pub fn positions(&self) -> Positions {
        self.world.behind.positions(&self.app, self.case.input)
    }

    /// Where the group stands once whatever a process that was just killed had on its way has arrived.
    pub fn settled(&self) -> BTreeMap<i32, i64> {
        pass(Duration::from_millis(100));
        self.positions().now()
    }

    /// Waits until the group has committed something in every partition of the input beyond `before`; says how long since `since`.
    pub fn back_at_work(&self, before: &BTreeMap<i32, i64>, since: Instant) -> Duration {
        let positions = self.positions();
        until("every task to commit again", Duration::from_secs(60), || {
            let now = positions.now();
            (0..4).all(|partition| {
                let is_later = |now: &i64| before.get(&partition).is_none_or(|before| now > before);
                now.get(&partition).is_some_and(is_later)
            }) || self.is_caught_up(&now)
        });
        since.elapsed()
    }

    /// Waits until the group has committed the input's end.
    pub fn caught_up(&self) {
        let positions = self.positions();
        until("the group to reach the end of its input", Duration::from_secs(90), || {
            self.is_caught_up(&positions.now())
        });
    }

    fn is_caught_up(&self, now: &BTreeMap<i32, i64>) -> bool {
        let Ok(ends) = try_ends(self.world.brokers(), self.case.input) else { return false };
        (0..4).zip(&ends).all(|(partition, end)| now.get(&partition).is_some_and(|now| now >= end))
    }

    /// To the end, by several processes at once; then the sinks.
    pub fn finish(&self, processors: usize) {
        let running: Vec<Process> = (0..processors)
            .map(|number| Process::start(self.processor(&format!("end-{number}"), "--until-end")))
            .collect();
        running.into_iter().for_each(Process::finish);
        for line in self.sinks() {
            self.world.start("state-sinks", &format!("{line} --until-end")).finish();
        }
    }

    /// Nothing lost, doubled or wrong: in the topics, in the files, in the read store.
    pub fn check(&self) {
        self.verdict().unwrap_or_else(|difference| panic!("{difference}"));
    }

    pub fn verdict(&self) -> Result<(), String> {
        let (brokers, registry, case) = (self.world.brokers(), &self.world.registry, self.case);
        let fed = count(brokers, case.input);
        if fed != self.rows.len() {
            return Err(format!("`{}` was fed {fed} records instead of {}", case.input, self.rows.len()));
        }
        let rows = |name: &str| golden(&format!("{}/{name}.jsonl.gz", case.folder));
        let results = rows(case.results);
        check::topic(brokers, registry, case.output, Kind::Results, &results)?;
        for (name, kind) in case.kinds {
            check::topic(brokers, registry, &format!("{}-{name}", self.app), *kind, &rows(name))?;
        }
        let (csv, store) = (self.world.path("csv"), self.world.path("store.sqlite3"));
        Sinks { csv: &csv, store: &store, table: case.table, times: case.times }.check(&results)
    }
}
