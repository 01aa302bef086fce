//! Invoices of a shop's file that are left out as a whole, and the numbers of the invoices that a bad line belongs to.

use std::collections::HashMap;

use csv_core::{ReadFieldResult, Reader};
use tidegate_runtime::log::RECORD_MAX_BYTES;
use tidegate_runtime::processor::VALUE_MAX_BYTES;

use super::{Misfit, ReplayError};

/// The longest number of an invoice. The bound keeps a file of bad lines from filling the memory with what their first fields hold.
pub(super) const MAX_NUMBER_BYTES: usize = 200;

/// Why an invoice is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// This line of it is bad.
    BadLine(u64),
    /// Its amount does not fit 64 bits.
    Amount,
    /// Its record is larger than a log or a processor takes.
    TooLarge,
}

impl Unfit {
    /// What is wrong with a sound line of invoice `number`.
    pub(super) fn misfit(self, number: &str) -> Misfit {
        let field = "invoice";
        match self {
            Unfit::BadLine(line) => {
                Misfit::new(field, number, format!("line {line} of the same invoice is bad"))
            }
            Unfit::Amount => Misfit::new(field, number, "its amount does not fit 64 bits: split it"),
            Unfit::TooLarge => {
                let remedy = format!(
                    "at most {VALUE_MAX_BYTES} bytes are taken as a value, and {RECORD_MAX_BYTES} as a record: split it"
                );
                Misfit::new(field, number, remedy)
            }
        }
    }
}

/// The invoices that bad lines belong to, each with its first bad line.
///
/// A record with an open quotation mark takes in the lines behind it. Each of them is a bad line of the invoice that its first field names.
/// If a line's number cannot be read, only that line is left out: nothing says which invoice it belongs to.
#[derive(Default)]
pub(super) struct BadInvoices(HashMap<String, u64>);

impl BadInvoices {
    /// Takes the lines of a bad record.
    pub(super) fn take(&mut self, error: &ReplayError) {
        let ReplayError::Value { line, text, .. } = error else { return };
        for (number, line) in text.split(|byte| *byte == b'\n').zip(*line..) {
            for part in number.split(|byte| *byte == b'\r') {
                if let Some(number) = invoice_number(part) {
                    self.0.entry(number).or_insert(line);
                }
            }
        }
    }

    pub(super) fn first_bad_line(&self, number: &str) -> Option<u64> {
        self.0.get(number).copied()
    }
}

/// The first field of a line, if it can be an invoice's number.
fn invoice_number(line: &[u8]) -> Option<String> {
    // The parser calls a field that fills the buffer unfinished.
    let mut field = [0; MAX_NUMBER_BYTES + 1];
    let mut parser = Reader::new();
    let (mut result, _, mut length) = parser.read_field(line, &mut field);
    if result == ReadFieldResult::InputEmpty {
        let written;
        (result, _, written) = parser.read_field(b"\n", &mut field[length..]);
        length += written;
    }
    let ReadFieldResult::Field { .. } = result else { return None };
    let number = std::str::from_utf8(&field[..length]).ok()?;
    (!number.is_empty()).then(|| number.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_field_of_a_bad_line_is_its_invoice() {
        let longest = "7".repeat(MAX_NUMBER_BYTES);
        for (line, number) in [
            ("1,s,d", Some("1")),
            ("1", Some("1")),
            ("\"a \"\"b\"\"\",s", Some("a \"b\"")),
            ("1,\"open", Some("1")),
            ("", None),
            (",s,d", None),
            ("\"1,s,d", None),
            (&longest, Some(longest.as_str())),
            (&format!("{longest}7,s"), None),
        ] {
            assert_eq!(invoice_number(line.as_bytes()).as_deref(), number, "{line}");
        }
        assert_eq!(invoice_number(b"\xff,s,d"), None);
    }
}
