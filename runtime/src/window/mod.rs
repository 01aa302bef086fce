//! Time windows: tumbling and hopping, with grace, final results or updates, over a log or over any stream.
//!
//! - [`TimeWindows`] says which windows a time falls into.
//! - [`WindowedAggregate`] is the [`Processor`](crate::processor::Processor) of a topology that aggregates in windows, by the rules of an
//!   [`Aggregation`].
//! - [`windowed`] is the same over any [`Stream`](tokio_stream::Stream) of timestamped items.
//!
//! Both stand on one core, which does no IO, reads no clock and draws no random number. What it promises stands in `store.rs`; it
//! is checked against a slow oracle that recomputes every window from all records.

mod adapter;
mod aggregate;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod time_windows;

pub use adapter::{Timestamped, WindowEvent, Windowed, windowed};
pub use aggregate::{Aggregation, Emit, WindowOptions, WindowedAggregate};
pub use time_windows::{TimeWindows, Window, WindowsError};
