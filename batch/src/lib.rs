//! The nightly discount.
