//! The self-check: everything the demo wrote, read back and recomputed by code the processors do not share.
//!
//! Promise: it believes nobody. Topics are read from their first record; what became of each reading and each invoice is worked out
//! again, slowly and plainly, from the twins; files and databases are counted with their own readers. The one thing it takes from the
//! processors are their counts of readings under the limit and held, which leave no record, and it recomputes these too. What it cannot
//! see: a fault that topics, files and its own rules have in common.

mod discounts;
mod files;
mod invoices;
mod readings;
mod topics;

use std::collections::BTreeMap;
use std::fmt::Display;

use anyhow::Result;
use tidegate_runtime::log::Log;
use tidegate_runtime::topology::Topology;
use tidegate_schemas::topics::{CUSTOMER_TOTALS, INFRACTIONS, INVOICES, RADARS, READINGS, VEHICLES};
use tidegate_schemas::{CustomerTotal, Infraction, Invoice, RadarEvent, Reading, TOPICS, VehicleEvent};

use self::readings::Fates;
use self::topics::Tally;
use super::place::Place;
use super::sample;
use super::stages::{CSV_TOPICS, Stages};
use crate::signals::Stop;

/// One comparison and how it came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) ok: bool,
    pub(super) what: String,
}

impl Check {
    fn new(ok: bool, what: impl Into<String>) -> Check {
        Check { ok, what: what.into() }
    }

    /// `what` names both sides; if they differ, their values say how.
    fn equal<T: PartialEq + Display>(what: impl Display, found: &T, expected: &T) -> Check {
        if found == expected {
            return Check::new(true, format!("{what}: {found}"));
        }
        Check::new(false, format!("{what}: found {found}, expected {expected}"))
    }
}

/// Every check; none if it was stopped on the way.
pub(super) fn run(
    log: &dyn Log,
    place: &Place,
    stages: &Stages<'_>,
    stop: &Stop,
) -> Result<Option<Vec<Check>>> {
    let mut tallies = BTreeMap::new();
    for topic in TOPICS {
        tallies.insert(topic.name, topics::tally(log, topic.name)?);
    }
    let mut checks = vec![written(&tallies, stages)];
    let steps: [&dyn Fn() -> Result<Vec<Check>>; 5] = [
        &|| check_readings(log, stages),
        &|| check_invoices(log, stages),
        &|| files::check(place, &CSV_TOPICS, &tallies),
        &|| check_in_force(log, place),
        &|| discounts::check(place, &topics::read_all::<Invoice>(log, INVOICES.name)?.concat()),
    ];
    for step in steps {
        if stop.is_requested() {
            return Ok(None);
        }
        checks.extend(step()?);
    }
    Ok(Some(checks))
}

/// What the producers handed out is in the log.
fn written(tallies: &BTreeMap<&str, Tally>, stages: &Stages<'_>) -> Check {
    let handed = [&stages.registries, &stages.readings, &stages.invoices];
    let handed: u64 =
        handed.iter().map(|handed| handed.records.load(std::sync::atomic::Ordering::Relaxed)).sum();
    let outputs = [INFRACTIONS.name, CUSTOMER_TOTALS.name];
    let inputs = tallies.iter().filter(|(topic, _)| !outputs.contains(topic));
    let found = inputs.map(|(_, tally)| tally.records).sum();
    Check::equal("records the producers handed out, and records in the log", &found, &handed)
}

fn check_readings(log: &dyn Log, stages: &Stages<'_>) -> Result<Vec<Check>> {
    let readings = topics::read_all::<Reading>(log, READINGS.name)?;
    let radars = topics::read_all::<RadarEvent>(log, RADARS.name)?.concat();
    let vehicles = topics::read_all::<VehicleEvent>(log, VEHICLES.name)?.concat();
    let events = topics::read_all::<Infraction>(log, INFRACTIONS.name)?;
    let (app, board) = (stages.speeding.name(), &stages.speeding.board);
    let aside = |topic: String| topics::count_from(log, &topic, READINGS.name);
    let reported = Fates {
        judged: u64::try_from(readings::in_force(&events).len())?,
        under_limit: board.total("under-limit"),
        held: sample::held(board),
        duplicates: aside(Topology::duplicates_of(app))?,
        late: aside(Topology::late_of(app))?,
        dead_letters: aside(Topology::dead_letters_of(app))?,
    };
    Ok(readings::check(&readings, &radars, &vehicles, reported, &events))
}

/// The read store shows the infractions in force, and only these.
fn check_in_force(log: &dyn Log, place: &Place) -> Result<Vec<Check>> {
    let events = topics::read_all::<Infraction>(log, INFRACTIONS.name)?;
    let in_topic = readings::in_force(&events);
    let fines: i64 = in_topic.iter().map(|infraction| infraction.fine_minor).sum();
    let in_store = files::in_force(&files::open(&place.read_store())?)?;
    let words = |count: u64, fines: i64| format!("{count} over {fines} cents");
    let expected = words(u64::try_from(in_topic.len())?, fines);
    Ok(vec![Check::equal(
        "infractions in force in the read store",
        &words(in_store.0, in_store.1),
        &expected,
    )])
}

fn check_invoices(log: &dyn Log, stages: &Stages<'_>) -> Result<Vec<Check>> {
    let invoices = topics::read_all::<Invoice>(log, INVOICES.name)?;
    let totals = topics::read_all::<CustomerTotal>(log, CUSTOMER_TOTALS.name)?.concat();
    let app = stages.totals.name();
    let late = topics::count_from(log, &Topology::late_of(app), INVOICES.name)?;
    let dead_letters = topics::count_from(log, &Topology::dead_letters_of(app), INVOICES.name)?;
    Ok(invoices::check(&invoices, &totals, late, dead_letters))
}
