//! The topologies of Tidegate: speeding and billing.
