//! Twins of the billing department's records.

use serde::{Deserialize, Serialize};

use crate::validity::{Invalid, event_time, rule};

/// The customer of an invoice that names none.
pub const ANONYMOUS: &str = "anonymous";

/// An invoice with its lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// The invoice's number.
    pub invoice_id: String,
    /// The customer, or [`ANONYMOUS`].
    pub customer_id: String,
    /// When it was issued, in UTC milliseconds; the event time.
    pub issued_at: i64,
    /// Its total in minor units of `currency`; negative for a credit note.
    pub amount_minor: i64,
    /// ISO 4217 code of every amount in it.
    pub currency: String,
    /// Its lines. Version 1 did not carry them.
    #[serde(default)]
    pub lines: Vec<InvoiceLine>,
}

/// What of an [`Invoice`] decides whether it is valid. Its amount may be anything, and its customer may have any name.
#[derive(Clone, Copy, Debug)]
pub struct InvoiceFields<'v> {
    /// Its number.
    pub invoice_id: &'v [u8],
    /// When it was issued.
    pub issued_at: i64,
    /// The code of its currency.
    pub currency: &'v [u8],
}

impl InvoiceFields<'_> {
    /// Judges the invoice. Without a number, it cannot be told from another one.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn judge(&self, max_event_time_ms: i64) -> Result<(), Invalid> {
        event_time("issued_at", self.issued_at, max_event_time_ms)?;
        rule(!self.invoice_id.is_empty(), "invoice_id", Vec::new, "empty")?;
        let is_code = self.currency.len() == 3 && self.currency.iter().all(u8::is_ascii_uppercase);
        rule(is_code, "currency", || self.currency.to_vec(), "no ISO 4217 code")
    }
}

/// One line of an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceLine {
    /// What was sold.
    pub stock_code: String,
    /// The same for people.
    pub description: String,
    /// How many; negative when returned.
    pub quantity: i64,
    /// Price of one in millionths of the currency's major unit: real prices have up to three decimals.
    pub unit_price_micros: i64,
}

/// Count and total of a customer's invoices in one window and currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerTotal {
    /// The customer.
    pub customer_id: String,
    /// ISO 4217 code; a window with two currencies gives two results.
    pub currency: String,
    /// The window's first millisecond, UTC.
    pub window_start: i64,
    /// The first millisecond behind the window, UTC. The event time is 1 ms before it.
    pub window_end: i64,
    /// How many invoices.
    pub count: i64,
    /// Their total in minor units of `currency`.
    pub amount_minor: i64,
}

/// What of a [`CustomerTotal`] decides whether it is valid.
#[derive(Clone, Copy, Debug)]
pub struct CustomerTotalFields {
    /// The window's first millisecond.
    pub window_start: i64,
    /// The first millisecond behind the window.
    pub window_end: i64,
}

impl CustomerTotalFields {
    /// Judges the total. A window may begin before 1970 and may end past the bound, as long as a valid invoice can be in it.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn judge(&self, max_event_time_ms: i64) -> Result<(), Invalid> {
        let last = self.window_end.saturating_sub(1);
        let end = || self.window_end.to_string().into_bytes();
        rule(self.window_start <= last, "window_end", end, "not after window_start")?;
        event_time("window_end", last.min(max_event_time_ms), max_event_time_ms)?;
        event_time("window_start", self.window_start.max(0), max_event_time_ms)
    }
}
