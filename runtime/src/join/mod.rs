//! The stream–table join: each stream record meets what was registered *as of its time*, and is corrected when registrations come late.
//!
//! It knows no plate and no card. [`JoinRules`] read the records of a stream, of a table co-partitioned with it and of a
//! broadcast table, and judge; [`AsOfJoin`] does the rest. The result of a record is its *outcome*. An outcome belongs to the record's id,
//! and each change of what is in force for an id is one event in the output. The last event of an id in its partition counts.
//!
//! Guarantees, for any order its three inputs come in:
//!
//! - **Lookups.** A lookup is as of the record's time: the value of the greatest `valid_from` that is not after it. Of two registrations with
//!   the same `valid_from`, the one with the greater (partition, offset) counts, whichever was read first. An ended registration counts as none.
//! - **Memory.** A record that comes to nothing when it is first judged is let go: it is not remembered, and judged anew if it is sent again. Every
//!   other record is remembered, whatever becomes of it, until stream time is more than 30 days past its time, and in any case while it is held.
//!   While it is remembered, the same record again goes to the duplicates topic, and one with its id and other content is a bad record
//!   (`id-reused`). A record that is older than 30 days and not remembered goes unjudged to the late topic (law 12).
//! - **Corrections.** A registration judges every remembered record of its key again whose lookup it decides: held, with an outcome or without, or
//!   given up. If what is in force changes, one event is sent: *issued*, *revised* or *voided*, with a revision number and the reason (law 18).
//! - **Holding.** A record that lacks a registration is held. When stream time has passed its time by more than the holding time, it goes
//!   to the dead-letter topic as unidentified; later registrations still judge it again while it is remembered (law 19).
//! - **Earlier runs.** A first start reads what is in force in its output. An outcome left there by a run before a `reset` is answered when its
//!   record is judged: voided, or issued again. If the record does not come within 30 days, it stays in force and is counted.
//! - **Exceptions.** With the same records in the inputs, what is in force in the end is the same, except for what goes to the late topic with a
//!   header `kind`: a registration that may concern a record that is not remembered any more (`forgotten`), or one that was let go and could have an
//!   outcome now (`let-go`). Both err on the side of reporting. The third exception is `id-reused`.
//! - **Bounds.** What a registration or a jump of time leaves to do is done in parts of some 1 000 records (law 16). It is in the stores, so a commit
//!   and a restart may fall between two parts, and the parts are invisible in the output. A registration that touches a million records
//!   takes one entry of state. A registration finds its records by an index and does not look at others.
//!
//! Only the stream moves stream time, and only stream time forgets. Forgetting a version is invisible: it goes once another one superseded it by the
//! longer of 30 days and the holding time.
//!
//! Requires: tables that are read to their ends before a record is judged (the task does that); rules that look at nothing but their
//! arguments; ids that follow from the content, with equal times for equal ids.
//!
//! Counters: `judged` (ids with their first outcome), `reissued`, `revised` and `voided` (events), the rules' own names for what comes to nothing,
//! `held`, `released`, `unidentified`; `held` − `released` − `unidentified` is how many are held now. Exceptions: `late-forgotten`, `late-let-go`,
//! `id-reused`, and `left-behind` for outcomes of an earlier run whose record did not come.

mod corrections;
mod index;
mod operator;
mod part;
mod remembered;
mod rules;
mod settle;
mod time;
mod version_map;
mod versions;

#[cfg(test)]
mod tests;

pub use operator::{AsOfJoin, JoinOptions, STORES};
pub use remembered::{Held, REMEMBERED_MS};
pub use rules::{
    EarlierEvent, JoinItem, JoinRules, LetGo, Lookup, OutcomeEvent, OutcomeId, OutcomeReason, OutcomeState,
    Registration, Side, TableValue, Verdict,
};
pub use versions::{Change, TablePosition, VersionedTable};
