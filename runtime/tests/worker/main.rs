//! The worker on the embedded log: the same answer however it is hosted, interrupted or disturbed.
//!
//! - `counting`: the topology all of these run, and what its output must be.
//! - `copies`: of the changelog on this machine.
//! - `earlier`: what a first start reads of its earlier output.
//! - `faulty`: a log that fails on demand.
//! - `identity`: state is only taken up by the application it belongs to, from the topics it has read.
//! - `ingesting`: writing a sequence once, and stopping it.
//! - `interleavings`: a test driver in small steps.
//! - `judging`: a topology that notices what it was not shown in time.
//! - `lives`: ends, restarts, several workers, takeovers.
//! - `placement`: records in another partition than their key's.
//! - `progress`: commits that show nothing can wait.
//! - `faults`: unknown outcomes, fencing, a registry out of reach.
//! - `regressions`: faults that were found and mended.
//! - `sessions`: passing faults that end a session and never the worker.
//! - `status`: what a board shows, and that its counters are exact.
//! - `tables`: what a record is judged by was in the tables before it.
//! - `refusals`: what contradicts the kept state is refused and named.
#![allow(missing_docs, reason = "tests are read, not published")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should end")]
#![allow(clippy::disallowed_methods, reason = "the ban is for the core; tests run threads against deadlines")]

mod copies;
mod counting;
mod earlier;
mod faults;
mod faulty;
mod identity;
mod ingesting;
mod interleavings;
mod judging;
mod lives;
mod placement;
mod progress;
mod refusals;
mod regressions;
mod sessions;
mod status;
mod tables;
