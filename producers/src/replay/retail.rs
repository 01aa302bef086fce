//! `replay invoices`: the lines of a shop, made into invoices.
//!
//! An invoice is all lines of one `InvoiceNo`, wherever they stand; its time is its first line's, in Europe/London; its amount is
//! the exact sum of quantity × unit price, rounded once, half away from zero, to pence. Credit notes (`C…`), adjustments
//! (`A…`) and amounts of zero or less are invoices too. Invoices come in the order of their first lines.
//!
//! Guarantees: an invoice is whole or left out. If one of its lines is bad, if its amount does not fit, or if its record is larger than a
//! log takes, each of its lines is handed to the caller, with its number and the reason.
//!
//! The file is read twice: first to check every line and to count each invoice's, then to build them. So an invoice is handed out as soon
//! as its last line was read, and no more invoices are in memory than lie between the lines of a scattered one; of the others only their
//! numbers are. If invoices are left out, the file is read once more in between, for the sound lines of these.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};

use tidegate_runtime::time::EventTime;
use tidegate_schemas::validity::Why;
use tidegate_schemas::{ANONYMOUS, Invoice, InvoiceFields, InvoiceLine};

use super::lines::ReplayBounds;
use super::record_size::RecordSize;
use super::rows::Rows;
use super::unfit::{BadInvoices, MAX_NUMBER_BYTES, Unfit};
use super::zone::{Moment, Zone};
use super::{Expected, Misfit, ReplayError, TakeBad, sift};
use crate::money::{MICROS_PER_MINOR, micros_from_text, minor_from_micros};
use crate::options::OptionError;
use crate::produced::Produced;

const ZONE: &str = "Europe/London";
pub(super) const CURRENCY: &str = "GBP";
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
    rows: Rows,
    zone: Zone,
    /// How many lines each invoice has in all, from the first reading of the file.
    sizes: HashMap<String, u64>,
    /// Invoices that are left out: their lines are passed over.
    dropped: HashMap<String, Unfit>,
    expected: Expected,
    open: VecDeque<Draft>,
    failed: bool,
    summary: RetailSummary,
}

/// An invoice in the first reading.
struct Tally {
    lines: u64,
    exact_micros: i128,
    size: RecordSize,
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

/// Replays the shop's file `file`. The whole file is checked first. Each line that is no line of an invoice is handed to `bad`; then, if
/// `bad` lets the replay go on, each sound line of an invoice that is left out.
///
/// # Errors
/// If the file cannot be read to its end, is no such CSV, or `bad` ends it.
pub fn replay_invoices(
    file: &Path,
    bounds: ReplayBounds,
    bad: TakeBad<'_>,
) -> Result<RetailReplay, ReplayError> {
    let missing = "update tidegate: its time zones are compiled in";
    let zone = Zone::named(ZONE).ok_or_else(|| OptionError::new("zone", ZONE, missing))?;
    let mut bad_left = 0;
    let mut bad_invoices = BadInvoices::default();
    let mut tallies: HashMap<String, Tally> = HashMap::new();
    let mut rows = self::rows(file, bounds)?;
    let mut count_bad = |error| {
        bad_left += 1;
        bad_invoices.take(&error);
        bad(error)
    };
    while let Some((number, moment, customer_id, line)) = read(&mut rows, file, &zone, &mut count_bad)? {
        let tally = tallies.entry(number).or_insert_with_key(|number| Tally {
            lines: 0,
            exact_micros: 0,
            size: RecordSize::new(number, &customer_id, moment.utc_ms),
        });
        tally.add(&line);
    }
    let mut sizes = HashMap::with_capacity(tallies.len());
    let mut dropped = HashMap::new();
    for (number, tally) in tallies {
        match bad_invoices.first_bad_line(&number).map(Unfit::BadLine).or_else(|| tally.unfit()) {
            None => drop(sizes.insert(number, tally.lines)),
            Some(unfit) => drop(dropped.insert(number, unfit)),
        }
    }
    let expected = Expected { bad_left };
    if !dropped.is_empty() {
        let rows = self::rows(file, bounds)?;
        leave_out(&dropped, rows, file, &zone, expected.clone(), bad)?;
    }
    Ok(RetailReplay {
        file: file.to_owned(),
        rows: self::rows(file, bounds)?,
        zone,
        sizes,
        dropped,
        expected,
        open: VecDeque::new(),
        failed: false,
        summary: RetailSummary::default(),
    })
}

/// Hands each sound line of the invoices `dropped` to `bad`.
fn leave_out(
    dropped: &HashMap<String, Unfit>,
    mut rows: Rows,
    file: &Path,
    zone: &Zone,
    mut expected: Expected,
    bad: TakeBad<'_>,
) -> Result<(), ReplayError> {
    while let Some((number, ..)) = read(&mut rows, file, zone, &mut |_| expected.take(file))? {
        if let Some(unfit) = dropped.get(&number) {
            bad(unfit.misfit(&number).at(file, rows.number(), rows.text()))?;
        }
    }
    expected.end(file)
}

impl Tally {
    fn add(&mut self, line: &InvoiceLine) {
        self.lines += 1;
        self.exact_micros = self.exact_micros.saturating_add(exact_micros(line));
        self.size.add(line);
    }

    /// What is wrong with an invoice of sound lines.
    fn unfit(&self) -> Option<Unfit> {
        match minor_from_micros(self.exact_micros) {
            None => Some(Unfit::Amount),
            Some(amount_minor) => (!self.size.is_sendable(amount_minor)).then_some(Unfit::TooLarge),
        }
    }
}

fn exact_micros(line: &InvoiceLine) -> i128 {
    i128::from(line.quantity) * i128::from(line.unit_price_micros)
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
            let RetailReplay { rows, file, zone, expected, .. } = self;
            let Some(row) = read(rows, file, zone, &mut |_| expected.take(file))? else {
                // The first reading saw more lines than the second.
                self.expected.end(&self.file)?;
                let whole = self.open.is_empty();
                return if whole { Ok(None) } else { Err(ReplayError::Changed { file: self.file.clone() }) };
            };
            self.take_line(row)?;
        }
    }

    fn take_line(&mut self, (number, moment, customer_id, line): Row) -> Result<(), ReplayError> {
        if self.dropped.contains_key(&number) {
            return Ok(());
        }
        let exact = exact_micros(&line);
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

    fn finish(&mut self, draft: Draft) -> Result<Produced, ReplayError> {
        let Draft { mut invoice, exact_micros, .. } = draft;
        invoice.amount_minor = minor_from_micros(exact_micros).ok_or_else(|| {
            let number = &invoice.invoice_id;
            Unfit::Amount.misfit(number).at(&self.file, self.rows.number(), number.as_bytes())
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

/// A line: the invoice's number, its time, the customer and what was sold.
type Row = (String, Moment, String, InvoiceLine);

/// Reads the next good line; bad ones are handed to `bad`.
fn read(rows: &mut Rows, file: &Path, zone: &Zone, bad: TakeBad<'_>) -> Result<Option<Row>, ReplayError> {
    loop {
        match rows.advance(file) {
            Ok(false) => return Ok(None),
            Ok(true) => {
                let parsed = parse(rows, zone).map_err(|misfit| misfit.at(file, rows.number(), rows.text()));
                if let Some(row) = sift(parsed, bad)? {
                    return Ok(Some(row));
                }
            }
            Err(error) => {
                sift(Err::<(), _>(error), bad)?;
            }
        }
    }
}

fn parse(rows: &Rows, zone: &Zone) -> Result<Row, Misfit> {
    let [number, stock, description, quantity, date, price, customer, _country] = rows.fields()?;
    let unread = || {
        Misfit::new(HEADER[4], date, "expected a time as `2010-12-01 08:26:00` that London's clocks showed")
    };
    if number.len() > MAX_NUMBER_BYTES {
        return Err(Misfit::new(HEADER[0], number, "expected an invoice's number of at most 200 bytes"));
    }
    let moment = zone.moment("%Y-%m-%d %H:%M:%S", date).ok_or_else(unread)?;
    let (invoice_id, currency) = (number.as_bytes(), CURRENCY.as_bytes());
    let fields = InvoiceFields { invoice_id, issued_at: moment.utc_ms, currency };
    fields.judge(EventTime::DEFAULT_MAX.0).map_err(|invalid| match invalid.why {
        Why::EventTime(_) => Misfit::new(HEADER[4], date, "expected a time from 1970 to 2099"),
        Why::Key(_) | Why::Rule(_) => Misfit::new(HEADER[0], number, "expected an invoice's number"),
    })?;
    let whole = || Misfit::new(HEADER[3], quantity, "expected a whole number");
    let plain = || {
        Misfit::new(HEADER[5], price, "expected a decimal number with at most six decimals and no exponent")
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

/// The rows behind the header.
fn rows(file: &Path, bounds: ReplayBounds) -> Result<Rows, ReplayError> {
    let mut rows = Rows::open(file, bounds)?;
    rows.advance(file)?;
    if rows.fields().ok() != Some(HEADER) {
        let remedy =
            "expected InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country";
        return Err(Misfit::new("the header", rows.text(), remedy).at(file, 1, rows.text()));
    }
    Ok(rows)
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
