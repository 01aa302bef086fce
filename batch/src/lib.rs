//! The nightly discount: takes a share off every invoice of a business day, once.
//!
//! It is a batch job over the read store that `sink sqlite` fills: one snapshot in, rows and a summary out. It is *not* a
//! stream stage: it links no Kafka client and no engine, and knows of the read store no more than the columns of its
//! `invoices` table.
//!
//! Promises, each owned by one file:
//! - the arithmetic is exact ([`Percent`], in `rule.rs`);
//! - a business day is 23, 24 or 25 hours long, as its zone says ([`BusinessDay`], in `day.rs`);
//! - the heart is a function from an iterator of invoices to an iterator of [`Outcome`]s ([`discounts`], in `discount.rs`), which
//!   needs constant memory;
//! - an invoice is discounted once per job, whatever is run again, and two invoices with one number are never taken for one
//!   (`chunk.rs`);
//! - percentage, zone and rounding belong to the job instance: no day mixes two of them (`output_store.rs`);
//! - a store of discounts of an older version is migrated in place (`format.rs`).
//!
//! The words are Spring Batch's. The *job* is [`JOB`]. A *job instance* is the job for one business day. Each run of an instance is
//! an *execution*, with two *steps*, `discount` and `export`; the first commits a *chunk* of invoices at a time. A record that is passed
//! over for a reason is a *skip*.

mod chunk;
mod day;
mod discount;
mod error;
mod export;
mod format;
mod job;
mod output_store;
mod read_store;
mod rule;

pub use chunk::{Conflict, LISTED_MOST, Reject};
pub use day::{BusinessDay, DEFAULT_ZONE};
pub use discount::{Discounts, Invoice, Outcome, discounts};
pub use error::{Error, Result};
pub use format::{Migration, MixedDay};
pub use job::{CHUNK_INVOICES, CurrencyTotals, Discount, Event, JOB, Summary};
pub use output_store::{Counts, DEFAULT_OUTPUT_STORE};
pub use rule::{Percent, ROUNDING, Split};
