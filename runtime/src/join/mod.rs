//! The stream–table join: each stream record meets what was registered *as of its time*, and is corrected when registrations come late.
//!
//! It knows no plate and no card. [`JoinRules`] read the records of a stream, of a table co-partitioned with it and of a
//! broadcast table, and judge; [`AsOfJoin`] does the rest. What comes of a record is its *outcome*, and each change of what is in force for an
//! id is one record of the output.

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
