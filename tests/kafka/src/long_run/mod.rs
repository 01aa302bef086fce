//! The long run: live simulators, processors and sinks under faults drawn from a seed, and the exact check at the end.
//!
//! ```text
//! mod (the run) ─┬─ fleet    the processes, each with a place and a line of its own
//!                ├─ fault    what can be drawn, and how it is done
//!                ├─ journal  what is printed: every fault, every recovery, the summary
//!                └─ oracle   what must have come out, by tests/oracle
//! ```

mod fault;
mod fleet;
mod journal;
mod oracle;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use self::fault::Fault;
use self::fleet::Fleet;
use self::journal::{Journal, SESSION};
use crate::draw::Draw;
use crate::proxied;
use crate::world::World;

/// How to run.
pub struct Options {
    pub minutes: u64,
    pub seed: u64,
    /// Readings and invoices per second, of each.
    pub rate: u64,
    /// The program.
    pub executable: PathBuf,
    pub environment: Vec<(String, String)>,
}

/// The applications that must work on after every fault, each with its input.
const APPLICATIONS: [(&str, &str); 2] = [("totals", "invoices"), ("speeding", "readings")];

/// No fault here may take work away for longer.
const RECOVERY_AT_MOST: Duration = Duration::from_secs(60);

/// What takes longer than any promise is worth an explanation: then everybody's words go into the journal.
const WORTH_A_LOOK: Duration = Duration::from_secs(20);

/// The share of the time that is left to faults' outages, during which simulators wait: seven eighths.
const PRODUCING_SHARE: (u64, u64) = (7, 8);

/// Runs it all; an error is what was found wrong.
pub fn run(options: &Options) -> Result<(), String> {
    let mut world = World::on(proxied::cluster, &options.executable);
    world.program.environment.clone_from(&options.environment);
    let mut journal = Journal::begin(options.seed, options.minutes, options.rate);
    let count = options.rate * options.minutes * 60 * PRODUCING_SHARE.0 / PRODUCING_SHARE.1;
    let mut fleet = Fleet::start(&world, options.rate, count);
    let end = Instant::now() + Duration::from_secs(options.minutes * 60);
    let mut draw = Draw::new(options.seed);
    fleet.recovered(RECOVERY_AT_MOST)?;
    journal.say("everything works");
    while Instant::now() < end {
        fleet.mend(&mut journal);
        let fault = Fault::draw(&mut draw, &fleet);
        journal.fault(&fault);
        let since = fault.apply(&mut fleet, &mut draw);
        let took = fleet.recovered_since(since, RECOVERY_AT_MOST, &mut journal)?;
        if took > WORTH_A_LOOK {
            journal.say(&format!("this took long; what was said:{}", fleet.last_words()));
        }
        fault.after(&mut fleet);
        journal.recovered(&fault, took);
        // Most faults meet the aftermath of another, and some do not.
        let pause = if draw.below(4) == 0 { SESSION + draw.ms(0, 1_000) } else { draw.ms(200, 3_000) };
        crate::clock::pass(pause);
    }
    journal.say("no more faults");
    fleet.finish(&mut journal)?;
    let verdict = oracle::check(&world, options.rate, count, &mut journal);
    journal.summary(verdict.is_ok());
    verdict.and_then(|()| journal.promises())
}
