//! The topologies of Tidegate: speeding and billing.

pub mod billing;
pub mod speeding;
