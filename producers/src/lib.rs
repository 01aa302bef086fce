//! Where records come from: simulators ([`simulate_radars`], [`simulate_invoices`]) and replay of real files
//! ([`replay_radars`], [`replay_invoices`]).
//!
//! Everything here is an iterator of [`Produced`] records and nothing else: no log, no clock, no entropy. The same options
//! give the same records in the same order on every machine, so a producer that was killed goes on by skipping what is already
//! in the log (law 12). It does *not* write: that is the runtime's, and [`Encoders`] turns records into the bytes it takes.

mod disorder;
mod encode;
mod fleet;
mod invoices;
mod money;
mod options;
mod produced;
mod radars;
mod random;
mod replay;

pub use disorder::{Manifest, Simulation};
pub use encode::Encoders;
pub use fleet::plate;
pub use invoices::{InvoiceOptions, simulate_invoices};
pub use money::{MICROS_PER_MINOR, minor_from_micros};
pub use options::{DEFAULT_START_MS, OptionError, Share, Shares};
pub use produced::{Fault, Produced, Value};
pub use radars::{RadarOptions, simulate_radars};
pub use replay::{
    MoersReplay, MoersSummary, RadarFile, ReplayBounds, ReplayError, RetailReplay, RetailSummary, TakeBad,
    replay_invoices, replay_radars,
};
