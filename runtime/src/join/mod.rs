//! The stream–table join: each stream record meets what was registered *as of its time*, and waits for what is missing.
//!
//! It knows no plate and no card. [`JoinRules`] read the records of a stream, of a table co-partitioned with it and of a
//! broadcast table, and judge; [`AsOfJoin`] does the rest. It promises, for any order its three inputs come in:
//!
//! - A lookup is as of the record's time: the value of the greatest `valid_from` that is not after it. The same `valid_from`
//!   again replaces; an ended registration counts as none.
//! - Only the stream moves stream time, and nothing but stream time forgets: a version once another superseded it by the
//!   longer of 30 days and the holding time, an id once its record is older than 30 days. Forgetting never shows.
//! - The same record again, while its id is remembered, goes to the duplicates topic; a record older than 30 days goes
//!   unjudged to the late topic (law 12).
//! - A record that lacks a registration is held and judged, in the order of (time, offset), when a registration gives it
//!   what it lacks; once stream time has passed its time by more than the holding time, it is dead-lettered (law 19).
//! - A registration that would have changed what was judged goes to the late topic (law 18) and takes effect for what is
//!   judged from then on.
//!
//! **What counts as late is conservative**: nothing that was changed passes in silence, but some registrations are reported that
//! changed nothing. A registration valid from `v`, superseded at `u` by a later version that is known already, is
//! reported when its value differs from the one in force at `v` and some record of a time at or after `v` was judged by its
//! key. Only the *latest* judged time per key is kept, so where that lies at or after `u`, whether any record of `[v, u)` was judged
//! is not known; the `affected` header then names the results in `[v, u)`, if any. A registration from before the
//! version in force 30 days (or the holding time) ago is not compared with versions that may be forgotten: it is reported
//! if its key has judged anything since. A record counts as judged by a key only if the rules asked for that
//! key's value; giving a held record up counts as judging it by the key it lacked. Values compare by `PartialEq`, so
//! a table value should hold only what judgements use.
//!
//! Broken by: reading the tables' past after the stream (the task's merge prevents it), a rule that looks at anything but its
//! arguments, two different records with one id, or equal ids with different times.
//!
//! Counters: `judged` (results), the rules' own names for what comes to nothing, `held`, `released`, `unidentified`;
//! `held` − `released` − `unidentified` is how many are held now.

mod held;
mod late;
mod operator;
mod outcomes;
mod rules;
mod version_map;
mod versions;

#[cfg(test)]
mod tests;

pub use held::{Held, HeldPlace, HeldRecords};
pub use operator::{AsOfJoin, JoinOptions, STORES};
pub use outcomes::REMEMBERED_MS;
pub use rules::{JoinItem, JoinRules, Lookup, OutcomeId, Registration, Side, TableValue, Verdict};
pub use versions::{Change, VersionedTable};
