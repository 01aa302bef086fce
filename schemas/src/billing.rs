//! Twins of the billing department's records.

use serde::{Deserialize, Serialize};

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
