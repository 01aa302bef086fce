//! The goldens of `tests/golden` on Kafka, as `tests/pipeline` has them on the embedded log, and both homes side by side.
//!
//! - `straight`: excerpts and derivatives of the real files; the full files where `TIDEGATE_DATA` points at them.
//! - `hosted`: law 11: hosted by one, two and four processes, killed at random points and resumed, sinks included.
//! - `homes`: the first 100 000 records of each run are equal on both homes.
#![allow(clippy::print_stdout, reason = "what a test measured is part of its report")]
#![allow(missing_docs, reason = "tests are read, not published")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should end")]

mod homes;
mod hosted;
mod straight;

use tidegate_kafka_tests::cluster::Cluster;
use tidegate_kafka_tests::world::World;

fn world() -> World {
    World::on(Cluster::any, env!("CARGO_BIN_EXE_tidegate-under-test"))
}
