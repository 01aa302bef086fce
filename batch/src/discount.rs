//! The pure core: an iterator of invoices in, an iterator of outcomes out.
//!
//! Promise: no IO, no clock, and one invoice in memory, so millions of them cost no more than one. A doubled invoice (the same
//! number more than once) is discounted once, by its record with the lowest `(partition, offset)`; the others come out as skips.
//! What it needs for that: invoices in `(invoice_id, source_partition, source_offset)` order. Out of order, doubles that do not
//! stand side by side pass, and only the output store's unique key catches them, counting them as discounted before.

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

/// What becomes of an invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its discount, and what remains.
    Discounted(Invoice, Split),
    /// Another record of an invoice that came before: skipped.
    Doubled(Invoice),
}

/// Takes `percent` off each invoice. The first error of the source comes through and ends nothing: that is the caller's to
/// decide.
pub fn discounts<I, E>(invoices: I, percent: Percent) -> Discounts<I::IntoIter>
where
    I: IntoIterator<Item = Result<Invoice, E>>,
{
    Discounts { invoices: invoices.into_iter(), percent, last_id: None }
}

/// The iterator of [`discounts`].
#[derive(Debug)]
pub struct Discounts<I> {
    invoices: I,
    percent: Percent,
    last_id: Option<String>,
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
        if self.last_id.as_deref() == Some(&invoice.invoice_id) {
            return Some(Ok(Outcome::Doubled(invoice)));
        }
        self.last_id.get_or_insert_default().clone_from(&invoice.invoice_id);
        let split = self.percent.split(invoice.amount_minor);
        Some(Ok(Outcome::Discounted(invoice, split)))
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

    #[test]
    fn a_doubled_invoice_is_discounted_by_its_first_record() {
        let input =
            [invoice("A1", 1_000, 0), invoice("A1", 2_000, 7), invoice("A1", 1_000, 9), invoice("C2", -5, 1)];
        let seen: Vec<_> = discounts(input, Percent::DEFAULT)
            .map(|outcome| match outcome.unwrap() {
                Outcome::Discounted(invoice, split) => (invoice.source_offset, Some(split.remaining_minor)),
                Outcome::Doubled(invoice) => (invoice.source_offset, None),
            })
            .collect();
        assert_eq!(seen, [(0, Some(700)), (7, None), (9, None), (1, Some(-3))]);
    }

    #[test]
    fn an_error_of_the_source_comes_through() {
        let input = [Err("torn"), invoice("A1", 1_000, 0).map_err(|_| "never")];
        let mut outcomes = discounts(input, Percent::DEFAULT);
        assert_eq!(outcomes.next(), Some(Err("torn")));
        assert!(matches!(outcomes.next(), Some(Ok(Outcome::Discounted(..)))));
    }
}
