//! The topologies of Tidegate: speeding and billing.

pub mod billing;
mod invalid;
pub mod speeding;
