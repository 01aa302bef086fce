//! The pure core: an iterator of invoices in, an iterator of outcomes out.
//!
//! Guarantees: no IO, no clock, and two invoices in memory, so that millions of them cost no more than two. Records of one number
//! and one content (customer, time, amount, currency) are one invoice: its first record, by `(partition, offset)`, is discounted and the
//! others are doubles. A record of the same number with other content is another invoice in conflict with the first, and is never
//! taken for a double. A record that is no valid invoice is rejected and settles nothing for its number.
//!
//! Requires: invoices in `(invoice_id, source_partition, source_offset)` order. Out of order, records of one number that are not
//! side by side all come out as `First`, and only the output store tells doubles from conflicts.

use tidegate_schemas::InvoiceFields;
use tidegate_schemas::validity::Invalid;

use crate::rule::{Percent, Split};

/// What the job reads of an invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// The invoice's number.
    pub invoice_id: String,
    /// The customer.
    pub customer_id: String,
    /// When it was issued, in UTC milliseconds.
    pub issued_at: i64,
    /// Its total in minor units of the currency; negative for a credit note.
    pub amount_minor: i64,
    /// ISO 4217 code of the amount.
    pub currency: String,
    /// The partition its record came from.
    pub source_partition: i64,
    /// The offset its record came from.
    pub source_offset: i64,
}

impl Invoice {
    /// True if both are one invoice: the same number and the same content. Where their records are makes no difference.
    #[must_use]
    pub fn is_same(&self, other: &Invoice) -> bool {
        self.invoice_id == other.invoice_id
            && self.customer_id == other.customer_id
            && self.issued_at == other.issued_at
            && self.amount_minor == other.amount_minor
            && self.currency == other.currency
    }
}

/// The outcome for one record, as far as the records before it decide. The output store knows the invoices of earlier executions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The first valid record of its number, with its discount and the remainder.
    First(Invoice, Split),
    /// Another record of the same invoice as the first.
    Doubled(Invoice),
    /// The number of the first, with other content.
    Conflicting(Invoice),
    /// No valid invoice, and why.
    Rejected(Invoice, Invalid),
}

/// Takes `percent` off each invoice. An error of the source is passed on and ends nothing: the caller decides.
///
/// An invoice issued after `max_event_time_ms` is not valid.
pub fn discounts<I, E>(invoices: I, percent: Percent, max_event_time_ms: i64) -> Discounts<I::IntoIter>
where
    I: IntoIterator<Item = Result<Invoice, E>>,
{
    Discounts { invoices: invoices.into_iter(), percent, max_event_time_ms, first: None }
}

/// The iterator of [`discounts`].
#[derive(Debug)]
pub struct Discounts<I> {
    invoices: I,
    percent: Percent,
    max_event_time_ms: i64,
    /// The first valid record of the current number.
    first: Option<Invoice>,
}

impl<I, E> Iterator for Discounts<I>
where
    I: Iterator<Item = Result<Invoice, E>>,
{
    type Item = Result<Outcome, E>;

    fn next(&mut self) -> Option<Self::Item> {
        let invoice = match self.invoices.next()? {
            Ok(invoice) => invoice,
            Err(error) => return Some(Err(error)),
        };
        Some(Ok(self.outcome(invoice)))
    }
}

impl<I> Discounts<I> {
    fn outcome(&mut self, invoice: Invoice) -> Outcome {
        let fields = InvoiceFields {
            invoice_id: invoice.invoice_id.as_bytes(),
            issued_at: invoice.issued_at,
            currency: invoice.currency.as_bytes(),
        };
        if let Err(why) = fields.judge(self.max_event_time_ms) {
            return Outcome::Rejected(invoice, why);
        }
        if let Some(first) = self.first.as_ref().filter(|first| first.invoice_id == invoice.invoice_id) {
            let same = first.is_same(&invoice);
            return if same { Outcome::Doubled(invoice) } else { Outcome::Conflicting(invoice) };
        }
        self.first = Some(invoice.clone());
        let split = self.percent.split(invoice.amount_minor);
        Outcome::First(invoice, split)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn invoice(id: &str, amount_minor: i64, source_offset: i64) -> Result<Invoice, Infallible> {
        Ok(Invoice {
            invoice_id: id.to_owned(),
            customer_id: "17850".to_owned(),
            issued_at: 0,
            amount_minor,
            currency: "GBP".to_owned(),
            source_partition: 0,
            source_offset,
        })
    }

    fn outcomes(input: impl IntoIterator<Item = Result<Invoice, Infallible>>) -> Vec<(i64, &'static str)> {
        let kind = |outcome: Result<Outcome, Infallible>| match outcome.unwrap() {
            Outcome::First(invoice, _) => (invoice.source_offset, "first"),
            Outcome::Doubled(invoice) => (invoice.source_offset, "doubled"),
            Outcome::Conflicting(invoice) => (invoice.source_offset, "conflicting"),
            Outcome::Rejected(invoice, _) => (invoice.source_offset, "rejected"),
        };
        discounts(input, Percent::DEFAULT, i64::MAX).map(kind).collect()
    }

    #[test]
    fn same_number_and_content_is_a_double_and_other_content_a_conflict() {
        let input = [
            invoice("A1", 1_000, 0),
            invoice("A1", 2_000, 7),
            invoice("A1", 1_000, 9),
            invoice("C2", -5, 1),
            invoice("C2", -5, 2),
        ];
        assert_eq!(
            outcomes(input),
            [(0, "first"), (7, "conflicting"), (9, "doubled"), (1, "first"), (2, "doubled")]
        );
    }

    #[test]
    fn every_field_of_the_content_tells_invoices_apart() {
        let base = invoice("A1", 1_000, 0).unwrap();
        let others = [
            Invoice { customer_id: "17851".to_owned(), ..base.clone() },
            Invoice { issued_at: 1, ..base.clone() },
            Invoice { amount_minor: 1_001, ..base.clone() },
            Invoice { currency: "EUR".to_owned(), ..base.clone() },
        ];
        for other in others {
            assert_eq!(outcomes([Ok(base.clone()), Ok(other)]), [(0, "first"), (0, "conflicting")]);
        }
        let elsewhere = Invoice { source_partition: 3, source_offset: 8, ..base.clone() };
        assert_eq!(outcomes([Ok(base), Ok(elsewhere)]), [(0, "first"), (8, "doubled")]);
    }

    #[test]
    fn an_empty_number_is_rejected_each_time() {
        let input = [invoice("", 1, 0), invoice("", 1, 1), invoice("A1", 1, 2)];
        assert_eq!(outcomes(input), [(0, "rejected"), (1, "rejected"), (2, "first")]);
    }

    #[test]
    fn an_error_of_the_source_comes_through() {
        let input = [Err("torn"), invoice("A1", 1_000, 0).map_err(|_| "never")];
        let mut outcomes = discounts(input, Percent::DEFAULT, i64::MAX);
        assert_eq!(outcomes.next(), Some(Err("torn")));
        assert!(matches!(outcomes.next(), Some(Ok(Outcome::First(..)))));
    }
}
