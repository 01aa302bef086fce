//! The command line's contract: what a script may rely on. The program is run as a user runs it; nothing of it is linked.
//!
//! - `program`: runs it in a directory of its own.
//! - `applications`: two side by side, their topics, and what they may not take from each other.
//! - `commands`: every command on a small scale, its output and its code.
//! - `exposition`: a reader of Prometheus' text format.
//! - `looking`: commands that only look, by a user who may not write the log.
//! - `metrics`: what is served while a command runs, and what the dashboard asks for.
//! - `doctor`: a line per check and a code, on the embedded log and on a cluster that is away.
//! - `refusals`: every bad input: one clear line and the code of the table.
//! - `replay`: files with bad lines, and control characters in any input.
//! - `tail`: what `topics tail` prints, where it begins and where it stops.
//! - `schemas`: how schemas stand to the registry, and registering them.
//! - `connection`: naming a Kafka cluster by flags, variables and a file.
//! - `state`: groups, instances, reset.
//! - `stopping`: Ctrl-C, SIGTERM, a closed pipe.
//! - `promises`: what the README and `--help` say is so.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod applications;
mod commands;
mod connection;
mod doctor;
mod exposition;
mod looking;
mod metrics;
mod program;
mod promises;
mod refusals;
mod replay;
mod schemas;
mod state;
mod stopping;
mod tail;
