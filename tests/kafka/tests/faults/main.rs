//! Faults on a real cluster, each with the exact check over read_committed output and both sinks at its end.
//!
//! - `kills`: SIGKILL at random points; how long until work goes on.
//! - `points`: SIGKILL at each named point, and a proof that none was left out.
//! - `zombies`: processes that come back after others have taken over; two with one name; instances that come and go.
//! - `brokers`: restarted cleanly and by SIGKILL, away for a minute.
//! - `commits`: commits whose answer, or whose request, is lost.
//! - `state`: state directories, changelogs and offsets that vanish or change behind the program's back.
//! - `registries`: the schema registry out of reach.
#![allow(clippy::print_stdout, reason = "what a test measured is part of its report")]
#![allow(missing_docs, reason = "tests are read, not published")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should end")]

mod brokers;
mod commits;
mod kills;
mod points;
mod registries;
mod state;
mod zombies;

use tidegate_kafka_tests::proxied;
use tidegate_kafka_tests::world::World;

/// A cluster of our own, which tests here may break.
fn world() -> World {
    World::on(proxied::cluster, env!("CARGO_BIN_EXE_tidegate-under-test"))
}
