//! The engine of Tidegate.

pub mod error;
pub mod log;
pub mod time;

pub use error::{BadRecord, Error, Reaction, Reason, Result};
