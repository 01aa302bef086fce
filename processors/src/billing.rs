//! Billing: how many invoices a customer got in each window, and what they come to.
//!
//! Promise: exact minor units, one result per currency, every invoice counted once per window (a doubled invoice is two records and counts
//! twice, law 12). Broken by: adding amounts of different currencies, or arithmetic that wraps; both are refused before
//! anything is counted.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_runtime::avro::{Decoder, Encoder};
use tidegate_runtime::log::RecordRef;
use tidegate_runtime::time::EventTime;
use tidegate_runtime::topology::{Source, TaskEnvironment, Topology};
pub use tidegate_runtime::window::WindowOptions as TotalsOptions;
use tidegate_runtime::window::{Aggregation, Window, WindowedAggregate};
use tidegate_runtime::{BadRecord, Reason};
use tidegate_schemas::InvoiceFields;
use tidegate_schemas::topics::{CUSTOMER_TOTALS, INVOICES};
use tidegate_schemas::validity::{Invalid, judge_key};

use crate::invalid::bad_record;

/// The name of the state store.
const STORE: &str = "totals";

/// Behind the customer's id in a window's key: a zero byte and the currency's three letters.
const CURRENCY_BYTES: usize = 4;

/// An invoice, as far as totals read it: its text stays in the record, its lines are passed over. The schema is
/// [`Invoice`](tidegate_schemas::Invoice)'s, in any version.
#[derive(Deserialize)]
#[serde(rename = "Invoice")]
struct Billed<'v> {
    invoice_id: &'v [u8],
    customer_id: &'v str,
    issued_at: i64,
    amount_minor: i64,
    currency: &'v [u8],
}

/// A [`CustomerTotal`](tidegate_schemas::CustomerTotal) whose text stays in the window's key.
#[derive(Serialize)]
#[serde(rename = "CustomerTotal")]
struct Closed<'k> {
    customer_id: &'k str,
    currency: &'k str,
    window_start: i64,
    window_end: i64,
    count: i64,
    amount_minor: i64,
}

/// Count and total of a customer in one currency and window.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Total {
    count: i64,
    amount_minor: i64,
}

impl Total {
    fn with(&self, amount_minor: i64) -> Option<Total> {
        Some(Total {
            count: self.count.checked_add(1)?,
            amount_minor: self.amount_minor.checked_add(amount_minor)?,
        })
    }
}

struct Totals {
    invoices: Decoder,
    totals: Arc<Encoder>,
    max_event_time: EventTime,
}

impl Aggregation for Totals {
    type Item<'r> = i64;
    type Accumulator = Total;

    fn read<'r>(&mut self, record: &RecordRef<'r>, key: &mut Vec<u8>) -> Result<(EventTime, i64), BadRecord> {
        let invoice: Billed<'_> = self.invoices.decode(record.value())?;
        self.judge(record.key().unwrap_or_default(), &invoice).map_err(bad_record)?;
        key.extend_from_slice(invoice.customer_id.as_bytes());
        key.push(0);
        key.extend_from_slice(invoice.currency);
        Ok((EventTime(invoice.issued_at), invoice.amount_minor))
    }

    fn check(&self, total: &Total, amount_minor: &i64) -> Result<(), BadRecord> {
        let refused = || {
            let Total { count, amount_minor: sum } = total;
            let message = format!(
                "amount `{amount_minor}` does not fit behind `{sum}`, the total of `{count}` invoices"
            );
            BadRecord::new(Reason::Rule, message)
        };
        total.with(*amount_minor).map(drop).ok_or_else(refused)
    }

    fn add(&self, total: &mut Total, amount_minor: &i64) {
        if let Some(sum) = total.with(*amount_minor) {
            *total = sum;
        }
    }

    fn write(&mut self, window: Window, key: &[u8], total: &Total, value: &mut Vec<u8>) {
        let currency = &key[key.len() - CURRENCY_BYTES + 1..];
        let result = Closed {
            customer_id: &String::from_utf8_lossy(self.result_key(key)),
            currency: &String::from_utf8_lossy(currency),
            window_start: window.start.0,
            window_end: window.end.0,
            count: total.count,
            amount_minor: total.amount_minor,
        };
        self.totals
            .encode(&result, value)
            .expect("it has the fields of its schema: the tests of totals write it");
    }

    fn result_key<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        &key[..key.len() - CURRENCY_BYTES]
    }
}

impl Totals {
    /// The currency becomes part of a window's key: its judgement makes sure that it has the length a currency has.
    fn judge(&self, key: &[u8], invoice: &Billed<'_>) -> Result<(), Invalid> {
        let Billed { invoice_id, issued_at, currency, .. } = *invoice;
        InvoiceFields { invoice_id, issued_at, currency }.judge(self.max_event_time.0)?;
        judge_key("customer_id", invoice.customer_id.as_bytes(), key)
    }
}

/// The topology of `process totals`: invoices in, customers' totals per window out.
pub fn totals_topology(app: impl Into<String>, options: TotalsOptions) -> Topology {
    let windows = options.windows;
    let supplier = move |environment: &TaskEnvironment| {
        let rules = Totals {
            invoices: environment.decoder(),
            totals: environment.encoder(0),
            max_event_time: options.max_event_time,
        };
        Box::new(WindowedAggregate::new(STORE, options, rules)) as Box<_>
    };
    let topology = Topology::new(app, "totals", &[STORE], supplier)
        .source(Source::stream(INVOICES.name))
        .sink(CUSTOMER_TOTALS.name, CUSTOMER_TOTALS.schema)
        .parameter("size", format!("{}ms", windows.size_ms()))
        .parameter("advance", format!("{}ms", windows.advance_ms()))
        .parameter("grace", format!("{}ms", windows.grace_ms()))
        .parameter("emit", options.emit.to_string());
    match windows.offset_ms() {
        0 => topology,
        offset_ms => topology.parameter("offset", format!("{offset_ms}ms")),
    }
}
