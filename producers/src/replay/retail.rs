//! `replay invoices`: the lines of a shop, made into invoices.
//!
//! An invoice is all lines of one `InvoiceNo`, wherever they stand; its time is its first line's, in Europe/London; its amount is
//! the exact sum of quantity × unit price, rounded once, half away from zero, to pence. Credit notes (`C…`), adjustments
//! (`A…`) and amounts of zero or less are invoices too. Invoices come in the order of their first lines.
//!
//! The file is read twice: first to count each invoice's lines, then to build them. So an invoice is handed out as soon as its last
//! line was read, and no more invoices are in memory than lie between the lines of a scattered one.

use std::collections::{HashMap, VecDeque};
use std::io::BufRead;
use std::path::{Path, PathBuf};

use csv::{Reader, ReaderBuilder, StringRecord};
use tidegate_runtime::time::EventTime;
use tidegate_schemas::validity::Why;
use tidegate_schemas::{ANONYMOUS, Invoice, InvoiceFields, InvoiceLine};

use super::zone::{Moment, Zone};
use super::{Misfit, ReplayError, open, unreadable};
use crate::money::{MICROS_PER_MINOR, micros_from_text, minor_from_micros};
use crate::options::OptionError;
use crate::produced::Produced;

const ZONE: &str = "Europe/London";
const CURRENCY: &str = "GBP";
const HEADER: [&str; 8] = [
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
];

/// How lines were grouped, as far as invoices have been handed out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetailSummary {
    /// Lines of the invoices handed out.
    pub lines: u64,
    /// Invoices handed out.
    pub invoices: u64,
    /// Of them, credit notes: their number begins with `C`.
    pub credit_notes: u64,
    /// Of them, adjustments: their number begins with `A`.
    pub adjustments: u64,
    /// Of them, with an amount of zero.
    pub zero_amounts: u64,
    /// Of them, with an amount below zero.
    pub negative_amounts: u64,
    /// Of them, without a customer.
    pub anonymous: u64,
    /// Of them, with an exact sum that is no whole number of pence.
    pub rounded: u64,
    /// Of them, with lines of other invoices between their own.
    pub scattered: u64,
    /// Of them, with lines of different times; the first line's was taken.
    pub differing_times: u64,
    /// Of them, with lines of different customers; the first line's was taken.
    pub differing_customers: u64,
    /// Of them, at an hour that the clock showed twice; the first one was taken.
    pub ambiguous_times: u64,
    /// The sum of their amounts in pence.
    pub amount_minor: i128,
}

/// The invoices of a file, in the order of their first lines.
pub struct RetailReplay {
    file: PathBuf,
    lines: Reader<Box<dyn BufRead + Send>>,
    zone: Zone,
    /// How many lines each invoice has in all, from the first reading of the file.
    sizes: HashMap<String, u64>,
    open: VecDeque<Draft>,
    /// The line being read; kept for its memory.
    record: StringRecord,
    failed: bool,
    summary: RetailSummary,
}

/// An invoice of which lines are missing.
struct Draft {
    invoice: Invoice,
    moment: Moment,
    exact_micros: i128,
    missing: u64,
    scattered: bool,
    differing_times: bool,
    differing_customers: bool,
}

/// Replays the shop's file `file`.
///
/// # Errors
/// If the file cannot be read to its end or is no such CSV.
pub fn replay_invoices(file: &Path) -> Result<RetailReplay, ReplayError> {
    let missing = "update tidegate: its time zones are compiled in";
    let zone = Zone::named(ZONE).ok_or_else(|| OptionError::new("zone", ZONE, missing))?;
    let mut sizes = HashMap::new();
    let mut lines = reader(file)?;
    let mut record = StringRecord::new();
    while lines.read_record(&mut record).map_err(|error| damaged(file, error))? {
        match sizes.get_mut(&record[0]) {
            Some(size) => *size += 1,
            None => {
                sizes.insert(record[0].to_owned(), 1);
            }
        }
    }
    Ok(RetailReplay {
        file: file.to_owned(),
        lines: reader(file)?,
        zone,
        sizes,
        open: VecDeque::new(),
        record,
        failed: false,
        summary: RetailSummary::default(),
    })
}

impl RetailReplay {
    /// How what has been handed out so far was grouped.
    #[must_use]
    pub fn summary(&self) -> &RetailSummary {
        &self.summary
    }

    fn next_invoice(&mut self) -> Result<Option<Produced>, ReplayError> {
        loop {
            if self.open.front().is_some_and(|draft| draft.missing == 0)
                && let Some(draft) = self.open.pop_front()
            {
                return self.finish(draft).map(Some);
            }
            if !self.lines.read_record(&mut self.record).map_err(|error| damaged(&self.file, error))? {
                // The first reading saw more lines than the second.
                let whole = self.open.is_empty();
                return if whole { Ok(None) } else { Err(ReplayError::Changed { file: self.file.clone() }) };
            }
            self.take_line()?;
        }
    }

    fn take_line(&mut self) -> Result<(), ReplayError> {
        let line_number = self.record.position().map_or(0, csv::Position::line);
        let parsed = self.parse().map_err(|misfit| misfit.at(&self.file, line_number))?;
        let (number, moment, customer_id, line) = parsed;
        let exact = i128::from(line.quantity) * i128::from(line.unit_price_micros);
        let last = self.open.len().wrapping_sub(1);
        // Nearly always the last one: looked for from the back.
        let found = self.open.iter().rposition(|draft| draft.invoice.invoice_id == number);
        let Some(at) = found else {
            let size = self.sizes.remove(&number);
            let missing = size.ok_or_else(|| ReplayError::Changed { file: self.file.clone() })? - 1;
            self.open.push_back(Draft::new(number, moment, customer_id, line, missing));
            return Ok(());
        };
        let draft = &mut self.open[at];
        draft.missing =
            draft.missing.checked_sub(1).ok_or_else(|| ReplayError::Changed { file: self.file.clone() })?;
        draft.scattered |= at != last;
        draft.differing_times |= draft.moment != moment;
        draft.differing_customers |= draft.invoice.customer_id != customer_id;
        draft.exact_micros += exact;
        draft.invoice.lines.push(line);
        Ok(())
    }

    fn parse(&self) -> Result<(String, Moment, String, InvoiceLine), Misfit> {
        let [number, stock, description, quantity, date, price, customer, _country] =
            std::array::from_fn(|at| &self.record[at]);
        let unread = || {
            Misfit::new(
                HEADER[4],
                date,
                "expected a time as `2010-12-01 08:26:00` that London's clocks showed",
            )
        };
        let moment = self.zone.moment("%Y-%m-%d %H:%M:%S", date).ok_or_else(unread)?;
        let (invoice_id, currency) = (number.as_bytes(), CURRENCY.as_bytes());
        let fields = InvoiceFields { invoice_id, issued_at: moment.utc_ms, currency };
        fields.judge(EventTime::DEFAULT_MAX.0).map_err(|invalid| match invalid.why {
            Why::EventTime(_) => Misfit::new(HEADER[4], date, "expected a time from 1970 to 2099"),
            Why::Key(_) | Why::Rule(_) => Misfit::new(HEADER[0], number, "expected an invoice's number"),
        })?;
        let whole = || Misfit::new(HEADER[3], quantity, "expected a whole number");
        let plain = || {
            Misfit::new(
                HEADER[5],
                price,
                "expected a decimal number with at most six decimals and no exponent",
            )
        };
        let line = InvoiceLine {
            stock_code: stock.to_owned(),
            description: description.to_owned(),
            quantity: integer(quantity).ok_or_else(whole)?,
            unit_price_micros: micros_from_text(price).ok_or_else(plain)?,
        };
        let nobody = || Misfit::new(HEADER[6], customer, "expected a number as `17850.0`, or nothing");
        let customer_id = customer_id(customer).ok_or_else(nobody)?;
        Ok((number.to_owned(), moment, customer_id, line))
    }

    fn finish(&mut self, draft: Draft) -> Result<Produced, ReplayError> {
        let Draft { mut invoice, exact_micros, .. } = draft;
        invoice.amount_minor = minor_from_micros(exact_micros).ok_or_else(|| {
            let remedy = "its amount does not fit 64 bits: split it";
            Misfit::new("invoice", invoice.invoice_id.clone(), remedy).at(&self.file, 0)
        })?;
        let counts = &mut self.summary;
        counts.invoices += 1;
        counts.lines += invoice.lines.len() as u64;
        counts.credit_notes += u64::from(invoice.invoice_id.starts_with('C'));
        counts.adjustments += u64::from(invoice.invoice_id.starts_with('A'));
        counts.zero_amounts += u64::from(invoice.amount_minor == 0);
        counts.negative_amounts += u64::from(invoice.amount_minor < 0);
        counts.anonymous += u64::from(invoice.customer_id == ANONYMOUS);
        counts.rounded += u64::from(exact_micros % i128::from(MICROS_PER_MINOR) != 0);
        counts.scattered += u64::from(draft.scattered);
        counts.differing_times += u64::from(draft.differing_times);
        counts.differing_customers += u64::from(draft.differing_customers);
        counts.ambiguous_times += u64::from(draft.moment.ambiguous);
        counts.amount_minor += i128::from(invoice.amount_minor);
        Ok(Produced::of(invoice))
    }
}

impl Iterator for RetailReplay {
    type Item = Result<Produced, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.next_invoice();
        self.failed = next.is_err();
        next.transpose()
    }
}

impl Draft {
    fn new(
        invoice_id: String,
        moment: Moment,
        customer_id: String,
        line: InvoiceLine,
        missing: u64,
    ) -> Draft {
        Draft {
            exact_micros: i128::from(line.quantity) * i128::from(line.unit_price_micros),
            invoice: Invoice {
                invoice_id,
                customer_id,
                issued_at: moment.utc_ms,
                amount_minor: 0,
                currency: CURRENCY.into(),
                lines: vec![line],
            },
            moment,
            missing,
            scattered: false,
            differing_times: false,
            differing_customers: false,
        }
    }
}

fn reader(file: &Path) -> Result<Reader<Box<dyn BufRead + Send>>, ReplayError> {
    let mut lines = ReaderBuilder::new().from_reader(open(file)?);
    let header = lines.headers().map_err(|error| damaged(file, error))?;
    if header != HEADER.as_slice() {
        let found = header.iter().collect::<Vec<_>>().join(",");
        let remedy =
            "expected InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country";
        return Err(Misfit::new("the header", found, remedy).at(file, 1));
    }
    Ok(lines)
}

/// `17850` for `17850.0`, as the original's export to floats wrote it; `anonymous` for nothing.
fn customer_id(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some(ANONYMOUS.into());
    }
    let digits = text.strip_suffix(".0").unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.to_owned())
}

/// A whole number without a plus sign, which `parse` would let through.
fn integer(text: &str) -> Option<i64> {
    if text.starts_with('+') { None } else { text.parse().ok() }
}

fn damaged(file: &Path, error: csv::Error) -> ReplayError {
    let line = error.position().map_or(0, csv::Position::line);
    match error.into_kind() {
        csv::ErrorKind::Io(cause) => unreadable(file, cause),
        csv::ErrorKind::UnequalLengths { len, .. } => {
            Misfit::new("number of fields", len.to_string(), "expected 8").at(file, line)
        }
        _ => Misfit::new("text", "not UTF-8", "convert the file to UTF-8").at(file, line),
    }
}
