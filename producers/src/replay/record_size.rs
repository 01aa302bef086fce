//! The exact size of an invoice's record, from its lines alone, so that an invoice too large for a log is found before it is written.
//!
//! Guarantees: the size is that of the bytes that the encoder writes for the schema of `invoices`. Memory does not grow with the lines.

use tidegate_runtime::log::{RECORD_MAX_BYTES, wire_size};
use tidegate_runtime::processor::VALUE_MAX_BYTES;
use tidegate_schemas::InvoiceLine;

use super::retail::CURRENCY;

/// The zero byte and the schema's id before every value.
const PREFIX_BYTES: usize = 5;

/// The sizes of an invoice's parts.
pub(super) struct RecordSize {
    customer_bytes: usize,
    /// Everything but the lines, their count and the amount.
    head_bytes: usize,
    lines: u64,
    lines_bytes: usize,
}

impl RecordSize {
    pub(super) fn new(invoice_id: &str, customer_id: &str, issued_at: i64) -> RecordSize {
        let head_bytes =
            PREFIX_BYTES + text(invoice_id) + text(customer_id) + integer(issued_at) + text(CURRENCY);
        RecordSize { customer_bytes: customer_id.len(), head_bytes, lines: 0, lines_bytes: 0 }
    }

    pub(super) fn add(&mut self, line: &InvoiceLine) {
        let InvoiceLine { stock_code, description, quantity, unit_price_micros } = line;
        self.lines += 1;
        let bytes = text(stock_code) + text(description) + integer(*quantity) + integer(*unit_price_micros);
        self.lines_bytes = self.lines_bytes.saturating_add(bytes);
    }

    /// Returns whether a log takes the record and processors do not refuse its value.
    pub(super) fn is_sendable(&self, amount_minor: i64) -> bool {
        // One block of all lines, and the empty block behind it.
        let count = integer(self.lines.cast_signed()) + 1;
        let value = (self.head_bytes + count + integer(amount_minor)).saturating_add(self.lines_bytes);
        let frame = wire_size(None, None, std::iter::empty());
        value <= VALUE_MAX_BYTES && frame + self.customer_bytes + value <= RECORD_MAX_BYTES
    }
}

/// A text: its length, then its bytes.
fn text(text: &str) -> usize {
    integer(text.len().cast_signed() as i64) + text.len()
}

/// An Avro `long`: zigzag, seven bits per byte.
fn integer(value: i64) -> usize {
    let zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    let bits = 64 - (zigzag | 1).leading_zeros();
    bits.div_ceil(7) as usize
}
