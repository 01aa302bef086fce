//! Speeding: a reading meets its radar and its vehicle as of its time, and becomes an infraction if it is over the limit.
//!
//! Guarantees: the last event of an infraction says what is due now: the owner of the vehicle at the time of the reading and the fine by the
//! schedule in force then, or that nothing is. Lookups, held readings, duplicates, corrections and their exceptions are those of
//! [`join`](tidegate_runtime::join). Requires: readings under the key of their plate, and a schedule with one answer; others are refused.
//!
//! Counters: those of the join, and `under-limit`.

mod join_rules;
mod schedule;
mod schedule_file;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use join_rules::infraction_id;
pub use schedule::{Bracket, Margin, Offence, Period, Schedule};
pub use schedule_file::ScheduleError;
use tidegate_runtime::join::{AsOfJoin, JoinOptions, REMEMBERED_MS, STORES};
use tidegate_runtime::time::EventTime;
use tidegate_runtime::topology::{Source, TaskEnvironment, Topology};
use tidegate_schemas::topics::{INFRACTIONS, RADARS, READINGS, VEHICLES};

use self::join_rules::SpeedingRules;

/// The version of what is kept in the stores. State of another version is refused: it would be read as something else.
const STATE: &str = "2";

/// How readings are judged.
#[derive(Clone, Debug)]
pub struct SpeedingOptions {
    /// Margins, fines and points.
    pub schedule: Schedule,
    /// How long a reading waits for a missing registration, in event time (`--hold-for`).
    pub hold_for_ms: i64,
    /// The latest event time that is believed (`--max-event-time`).
    pub max_event_time: EventTime,
}

impl Default for SpeedingOptions {
    /// The French schedule, held for 30 days, times before 2100.
    fn default() -> SpeedingOptions {
        SpeedingOptions {
            schedule: Schedule::france(),
            hold_for_ms: REMEMBERED_MS,
            max_event_time: EventTime::DEFAULT_MAX,
        }
    }
}

/// The topology of `process speeding`: radars, vehicles and readings in, infractions out.
pub fn speeding_topology(app: impl Into<String>, options: SpeedingOptions) -> Topology {
    let SpeedingOptions { schedule, hold_for_ms, max_event_time } = options;
    let schedule = Arc::new(schedule);
    let digest = schedule.digest();
    let join = JoinOptions { broadcast: 0, table: 1, stream: 2, sink: 0, hold_for_ms };
    let supplier = move |environment: &TaskEnvironment| {
        let rules = SpeedingRules {
            decoder: environment.decoder(),
            infractions: environment.encoder(0),
            schedule: schedule.clone(),
            max_event_time,
        };
        Box::new(AsOfJoin::new(rules, join)) as Box<_>
    };
    Topology::new(app, "speeding", &STORES, supplier)
        .source(Source::broadcast(RADARS.name))
        .source(Source::table(VEHICLES.name))
        .source(Source::stream(READINGS.name))
        .sink(INFRACTIONS.name, INFRACTIONS.schema)
        .reads_earlier_output(0)
        .parameter("hold-for", format!("{hold_for_ms}ms"))
        .parameter("schedule", digest)
        .parameter("state", STATE)
}
