//! `doctor`: is everything there that the other commands stand on, and is it as they need it?
//!
//! ```text
//! mod ─┬─ kafka (asks, in order) ─── brokers · release · settings · replication · topics · registry · clock   judge
//!      │                        └── probe   makes, uses and removes a topic
//!      ├─ embedded                          looks and judges
//!      └─ needs · applications · placement  what our topologies need of either home
//! finding (one line) · units (numbers in words)
//! ```
//!
//! Promise: whatever is found is one line with its remedy; what could not be looked at is a line too, never silence. Nothing is changed,
//! and without `--probe` nothing is made. Those who judge are pure: facts in, findings out.

mod applications;
mod brokers;
mod clock;
mod embedded;
mod finding;
mod kafka;
mod needs;
mod placement;
mod probe;
mod registry;
mod release;
mod replication;
mod settings;
mod topics;
mod units;

use std::time::Duration;

use anyhow::Result;
use clap::Args;

use self::embedded::Place;
use self::finding::{Finding, Level};
use self::kafka::Examination;
use self::settings::Ours;
use crate::cli::Context;
use crate::connection::{HostingArgs, SESSION_TIMEOUT, Timing};
use crate::console::Output;
use crate::exit::Exit;
use crate::signals::Stop;
use crate::topics::Format;
use crate::{duration, name};

/// What `process` commits by, unless told otherwise: only what contradicts it is refused.
const COMMIT_INTERVAL: Duration = Duration::from_millis(100);

const LINES: &str = "\
Each line begins with how it stands:
  ok    as it should be
  warn  works, and will surprise or hurt one day; behind the `;` stands the remedy
  FAIL  does not work, or loses data; behind the `;` stands the remedy
  skip  could not be looked at: something before it failed, or was not asked for
Exit codes:
  0  no line says FAIL
  9  at least one does";

/// `doctor`.
#[derive(Args, Debug)]
#[command(after_help = LINES)]
pub(crate) struct Doctor {
    /// Also make a topic, write to it in a transaction, read it, and delete it again: tells the times it takes and the broker's clock.
    #[arg(long)]
    probe: bool,
    /// Applications whose topics and positions to look at [default: all that have run here].
    #[arg(long, value_name = "NAME", num_args = 1.., value_parser = name::parse)]
    app: Vec<String>,
    /// The session timeout that `process` will be given [default: 6s].
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    session_timeout: Option<Duration>,
    #[command(flatten)]
    hosting: HostingArgs,
    /// For people, or a JSON object per line.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Carries out `doctor`.
pub(crate) fn run(args: &Doctor, context: &Context) -> Result<Exit> {
    let timing = Timing { commit_interval: COMMIT_INTERVAL, session_timeout: args.session_timeout };
    let home = context.home.hosting(&args.hosting, timing)?;
    let mut report = Report { output: Output::new(), format: args.format, worst: Level::Ok };
    let Some(connection) = home.kafka() else {
        on_embedded(args, context, &mut report)?;
        return Ok(report.exit());
    };
    let ours = Ours {
        transaction_timeout_ms: duration::as_ms(connection.transaction_timeout),
        session_timeout_ms: duration::as_ms(args.session_timeout.unwrap_or(SESSION_TIMEOUT)),
        broker_assigns: connection.broker_assigns,
        at_least_once: connection.at_least_once,
    };
    // A first Ctrl-C must not leave the probe's topic behind.
    let stop = args.probe.then(Stop::on_signals).transpose()?;
    let examination = Examination { connection, apps: &args.app, ours, probe: args.probe };
    kafka::examine(&examination, &mut report)?;
    match stop.map(|stop| stop.exit(false)) {
        None | Some(Exit::Done) => Ok(report.exit()),
        Some(stopped) => Ok(stopped),
    }
}

fn on_embedded(args: &Doctor, context: &Context, report: &mut Report) -> Result<()> {
    if args.probe {
        return Err(Exit::Usage.because(
            "`--probe` is for Kafka, and this is the embedded log; leave it out, or give --brokers",
        ));
    }
    let directory = context.home.directory();
    let place = Place::look(directory);
    let findings = embedded::judge(directory, &place);
    // Who may not write the directory may look at it.
    let failed = findings.iter().filter(|finding| finding.level == Level::Fail).count();
    let is_readable = place.is_directory && failed == usize::from(place.unwritable.is_some());
    report.add(findings)?;
    if !is_readable {
        return report.add(vec![Finding::skip("log", "what stands above keeps it from being opened")]);
    }
    // Opening an empty file would fill it.
    if place.file.is_none_or(|file| file.bytes == 0) {
        let remedy = "name its directory with --data, or create one with `tidegate simulate` or `replay`";
        return report.add(vec![Finding::warn("log", "there is none yet", remedy)]);
    }
    let log = match context.home.look() {
        Ok(log) => log,
        Err(error) => return report.add(vec![embedded::unreadable(&error)]),
    };
    let topics = match log.topics() {
        Ok(topics) => topics,
        Err(error) => return report.add(vec![embedded::unreadable(&error.into())]),
    };
    report.add(vec![Finding::ok("log", format!("can be read; {} topics", topics.len()))])?;
    let partitions = topics.iter().map(|topic| (topic.name.as_str(), topic.partitions)).collect();
    report.add(needs::inputs(&*log, &partitions)?)?;
    let apps = needs::applications_of(&args.app, &partitions);
    report.add(needs::applications(&*log, &apps, &partitions))?;
    report.add(needs::schemas(log.registry(), true))
}

/// Prints what is found as it is found, and remembers the worst of it.
struct Report {
    output: Output,
    format: Format,
    worst: Level,
}

impl Report {
    fn add(&mut self, findings: Vec<Finding>) -> Result<()> {
        for finding in findings {
            self.worst = self.worst.max(finding.level);
            match self.format {
                Format::Text => self.output.line(&finding)?,
                Format::Json => self.output.json(finding.as_json())?,
            }
        }
        self.output.flush()
    }

    fn exit(&self) -> Exit {
        if self.worst == Level::Fail { Exit::Unfit } else { Exit::Done }
    }
}
