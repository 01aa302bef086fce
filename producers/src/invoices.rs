//! `simulate invoices`: customers buying, now and then returning something.

use tidegate_schemas::{Invoice, InvoiceLine};

use crate::disorder::Simulation;
use crate::money::minor_from_micros;
use crate::options::{DEFAULT_START_MS, OptionError, Pace, Shares};
use crate::produced::Produced;
use crate::random::{Dice, Purpose};

/// Currencies invoices can be in: those with two decimals, for that is what amounts are rounded to.
const CURRENCIES: [&str; 8] = ["CHF", "CZK", "DKK", "EUR", "GBP", "NOK", "SEK", "USD"];

const ARTICLES: [&str; 12] = [
    "BIRTHDAY CARD",
    "BREAD BIN",
    "CAKE STAND",
    "DOORMAT",
    "HOT WATER BOTTLE",
    "JAM JAR SET",
    "LUNCH BOX",
    "METAL LANTERN",
    "NAPKINS",
    "PICTURE FRAME",
    "T-LIGHT HOLDER",
    "WICKER BASKET",
];

/// Of a hundred invoices, so many are credit notes.
const CREDIT_NOTES_OF_HUNDRED: u32 = 3;

/// What invoices to simulate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvoiceOptions {
    /// The same seed gives the same records.
    pub seed: u64,
    /// How many invoices, duplicates not counted.
    pub count: u64,
    /// How many customers (`--keys`).
    pub customers: u32,
    /// Currencies to choose from, each as likely.
    pub currencies: Vec<String>,
    /// The first invoice's time, in UTC milliseconds.
    pub start_ms: i64,
    /// Invoices per second of event time.
    pub per_second: u32,
    /// How many take which detour.
    pub shares: Shares,
}

impl Default for InvoiceOptions {
    /// 100 per second for 50 customers: ten for each in a window of 5 seconds.
    fn default() -> InvoiceOptions {
        InvoiceOptions {
            seed: 1,
            count: 10_000,
            customers: 50,
            currencies: vec!["EUR".into()],
            start_ms: DEFAULT_START_MS,
            per_second: 100,
            shares: Shares::default(),
        }
    }
}

/// The invoices.
///
/// # Errors
/// If an option is out of its bounds.
pub fn simulate_invoices(options: &InvoiceOptions) -> Result<Simulation, OptionError> {
    let InvoiceOptions { seed, count, customers, start_ms, per_second, shares, .. } = *options;
    shares.check()?;
    if customers == 0 {
        return Err(OptionError::new("keys", 0, "give at least 1 customer"));
    }
    let currencies = options.currencies.clone();
    if currencies.is_empty() {
        return Err(OptionError::new("currency", "", "give at least one, for instance `EUR`"));
    }
    if let Some(unknown) = currencies.iter().find(|code| !CURRENCIES.contains(&code.as_str())) {
        let remedy = "give one of CHF, CZK, DKK, EUR, GBP, NOK, SEK, USD: currencies with two decimals";
        return Err(OptionError::new("currency", unknown, remedy));
    }
    let pace = Pace::new(start_ms, per_second, count)?;
    let make =
        Box::new(move |index, time_ms| Produced::of(invoice(seed, index, time_ms, customers, &currencies)));
    Ok(Simulation::new((seed, count), pace, shares, Box::new(std::iter::empty()), make))
}

fn invoice(seed: u64, index: u64, issued_at: i64, customers: u32, currencies: &[String]) -> Invoice {
    let mut dice = Dice::new(seed, Purpose::Invoice, index);
    let customer = dice.small_below(customers);
    let currency = dice.pick(currencies).clone();
    let credit_note = dice.below(100) < CREDIT_NOTES_OF_HUNDRED;
    let lines: Vec<_> = (0..dice.between(1, 5)).map(|_| line(&mut dice, credit_note)).collect();
    let exact = lines.iter().map(|line| i128::from(line.quantity) * i128::from(line.unit_price_micros)).sum();
    let number = index + 1;
    Invoice {
        invoice_id: if credit_note { format!("C{number:08}") } else { format!("{number:08}") },
        customer_id: format!("{}", 10_000 + u64::from(customer)),
        issued_at,
        // Five lines of twelve pieces at 50 each are far from the end of the range.
        amount_minor: minor_from_micros(exact).unwrap_or(i64::MAX),
        currency,
        lines,
    }
}

/// One line; one price in fifty has three decimals, as in real lists.
fn line(dice: &mut Dice, credit_note: bool) -> InvoiceLine {
    let article = dice.below(12);
    let quantity = i64::from(dice.between(1, 12));
    let unit_price_micros = if dice.below(50) == 0 {
        i64::from(dice.between(1, 49_999)) * 1_000
    } else {
        i64::from(dice.between(1, 4_999)) * 10_000
    };
    InvoiceLine {
        stock_code: format!("{}", 20_000 + article),
        description: ARTICLES[article as usize].into(),
        quantity: if credit_note { -quantity } else { quantity },
        unit_price_micros,
    }
}
