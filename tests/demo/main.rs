//! `tidegate demo` from outside: the first command a newcomer runs.
//!
//! Three worlds: a whole run and what it leaves ([`whole`]), directories it must not touch ([`refusals`]), and runs that are
//! interrupted or tampered with ([`interrupted`]).

#![allow(clippy::unwrap_used, reason = "what runs the binary for the tests is a test too")]

mod interrupted;
mod refusals;
mod run;
mod whole;
