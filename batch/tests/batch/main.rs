//! The batch job from outside, on read stores made with the contract's own tables.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on should stop where it is"
)]

// Every module is one question; try not to add more.
mod again; // is an invoice discounted once, whatever is run again?
mod conflicts; // is another invoice with the same number never taken for a double?
mod formats; // is a store of an older version migrated in place, whole or not at all?
mod golden; // does it agree with the independent oracle?
mod kill; // does a killed execution resume at its chunk bounds?
mod model; // does it agree with a slow, obvious model on random stores?
mod money; // does the rule give the known shares on real invoices?
mod refusal; // is everything that cannot work refused in one clear line?
mod world; // a read store and an output store in a temporary directory
