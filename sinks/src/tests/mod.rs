//! Both sinks against a log, from outside.

mod csv_files;
mod kills;
mod other_topics;
mod outages;
mod read_store;
mod refusals;
mod scripted;

use std::sync::Arc;

use tidegate_runtime::Result;
use tidegate_runtime::avro::Encoder;
use tidegate_runtime::log::{Log, SchemaId};
use tidegate_schemas::{Invoice, InvoiceLine, topics};

use crate::Summary;

/// The longest that a run of a sink takes here, on a machine that has much else to do.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(120);

/// Runs a future as a sink's own thread would.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // What waits for something that never comes fails.
    runtime.block_on(async { tokio::time::timeout(DEADLINE, future).await }).unwrap()
}

/// Runs the CSV sink to the end, or fails with it.
fn csv_to_end(log: Arc<dyn Log>, options: &crate::csv::Options) -> Result<Summary> {
    block_on(crate::csv::run(log, options, std::future::pending()))
}

/// Runs the SQLite sink to the end, or fails with it.
fn sqlite_to_end(log: Arc<dyn Log>, options: &crate::sqlite::Options) -> Result<Summary> {
    block_on(crate::sqlite::run(log, options, std::future::pending()))
}

/// An invoice whose content follows from its number.
fn invoice(number: i64) -> Invoice {
    let line = |at: i64| InvoiceLine {
        stock_code: format!("{at}"),
        description: format!("item \"{number}\", {at}"),
        quantity: at - 1,
        unit_price_micros: 2_550_000,
    };
    Invoice {
        invoice_id: format!("i{number}"),
        customer_id: format!("={}", number % 7),
        issued_at: 1_291_194_000_000 + number * 1_000,
        amount_minor: number - 50,
        currency: "GBP".into(),
        lines: (0..number % 3).map(line).collect(),
    }
}

/// The line of [`invoice`] in a CSV file, written by other means than the sink's.
fn invoice_line(number: i64) -> String {
    let invoice = invoice(number);
    let lines: Vec<String> = invoice
        .lines
        .iter()
        .map(|line| {
            let description = line.description.replace('"', "\\\"");
            format!(
                "{{\"stock_code\":\"{}\",\"description\":\"{description}\",\"quantity\":{},\"unit_price_micros\":{}}}",
                line.stock_code, line.quantity, line.unit_price_micros
            )
        })
        .collect();
    let lines = format!("[{}]", lines.join(","));
    let lines = if invoice.lines.is_empty() { lines } else { format!("\"{}\"", lines.replace('"', "\"\"")) };
    let time = tidegate_runtime::time::EventTime(invoice.issued_at);
    format!("i{number},'={},{time},{},GBP,{lines}\r\n", number % 7, invoice.amount_minor)
}

/// The value of [`invoice`] as the log carries it, under schema 1.
fn invoice_value(number: i64) -> Vec<u8> {
    let mut value = Vec::new();
    Encoder::new(SchemaId(1), topics::INVOICES.schema).unwrap().encode(&invoice(number), &mut value).unwrap();
    value
}
