//! How a row looks in a CSV file (RFC 4180: quoted where needed, lines ended by CR LF).
//!
//! Promise: what a spreadsheet would run as a formula is text to it, and the text can be had back (`csv_text` of
//! `tidegate-schemas`). Times are RFC 3339 in UTC to the millisecond, amounts whole numbers of the unit their column names, a list is
//! one cell of JSON.

use std::fmt::Write;
use std::io;

use csv::{Terminator, WriterBuilder};
use tidegate_runtime::time::EventTime;
use tidegate_schemas::csv_text::escaped;

use crate::intake::Reject;
use crate::layout::{Column, Kind, Layout};
use crate::row::{Cell, Row};

/// Written at once: large enough that a system call costs nothing beside its bytes.
const BUFFER_BYTES: usize = 64 << 10;

/// The columns of a file of bad records.
const REJECT_COLUMNS: [&str; 6] = ["offset", "time", "reason", "message", "key_hex", "value_hex"];

/// A writer of lines.
pub(super) fn writer<W: io::Write>(to: W) -> csv::Writer<W> {
    WriterBuilder::new().terminator(Terminator::CRLF).buffer_capacity(BUFFER_BYTES).from_writer(to)
}

/// Writes the names of the columns.
pub(super) fn write_header<W: io::Write>(to: &mut csv::Writer<W>, layout: &Layout) -> csv::Result<()> {
    to.write_record(layout.columns.iter().map(|column| column.name))
}

/// Writes the names of a reject's columns.
pub(super) fn write_reject_header<W: io::Write>(to: &mut csv::Writer<W>) -> csv::Result<()> {
    to.write_record(REJECT_COLUMNS)
}

/// Writes a row that fits `layout`. `scratch` is used again and again.
pub(super) fn write_row<W: io::Write>(
    to: &mut csv::Writer<W>,
    layout: &Layout,
    row: &Row,
    scratch: &mut String,
) -> csv::Result<()> {
    for (column, (_, cell)) in layout.columns.iter().zip(&row.0) {
        scratch.clear();
        match (cell, &column.kind) {
            (Cell::Text(text), _) => {
                to.write_field(escaped(text).as_ref())?;
                continue;
            }
            (Cell::Integer(ms), Kind::Time) => push(scratch, EventTime(*ms)),
            (Cell::Integer(number), _) => push(scratch, number),
            (Cell::Flag(flag), _) => push(scratch, flag),
            (Cell::Null, _) => {}
            (Cell::List(rows), kind) => push_list(scratch, rows, kind),
        }
        to.write_field(scratch.as_bytes())?;
    }
    to.write_record(None::<&[u8]>)
}

/// Writes a bad record.
pub(super) fn write_reject<W: io::Write>(to: &mut csv::Writer<W>, reject: &Reject<'_>) -> csv::Result<()> {
    let hex = |bytes: Option<&[u8]>| {
        let mut text = String::with_capacity(2 * bytes.map_or(0, <[u8]>::len));
        for byte in bytes.unwrap_or_default() {
            push(&mut text, format_args!("{byte:02x}"));
        }
        text
    };
    to.write_field(reject.offset.to_string())?;
    to.write_field(reject.time.to_string())?;
    to.write_field(reject.bad.reason.code())?;
    to.write_field(escaped(&reject.bad.message).as_ref())?;
    to.write_field(hex(reject.key))?;
    to.write_field(hex(reject.value))?;
    to.write_record(None::<&[u8]>)
}

/// `[{"quantity":6,…},…]`: the fields of the schema, in its order.
fn push_list(json: &mut String, rows: &[Row], kind: &Kind) {
    let Kind::List(layout) = kind else { return };
    json.push('[');
    for (index, row) in rows.iter().enumerate() {
        json.push_str(if index == 0 { "{" } else { ",{" });
        for (at, (column, (name, cell))) in layout.columns.iter().zip(&row.0).enumerate() {
            push(json, format_args!("{}\"{name}\":", if at == 0 { "" } else { "," }));
            push_json(json, cell, column);
        }
        json.push('}');
    }
    json.push(']');
}

fn push_json(json: &mut String, cell: &Cell, column: &Column) {
    match (cell, &column.kind) {
        (Cell::Null, _) => json.push_str("null"),
        (Cell::Flag(flag), _) => push(json, flag),
        (Cell::Integer(ms), Kind::Time) => push(json, format_args!("\"{}\"", EventTime(*ms))),
        (Cell::Integer(number), _) => push(json, number),
        (Cell::Text(text), _) => push(json, serde_json::Value::from(text.as_str())),
        (Cell::List(rows), kind) => push_list(json, rows, kind),
    }
}

fn push(text: &mut String, shown: impl std::fmt::Display) {
    // Writing to a string cannot fail.
    let _ = write!(text, "{shown}");
}

#[cfg(test)]
mod tests {
    use tidegate_schemas::topics;

    use super::*;
    use crate::row::known_field;

    fn field(name: &str, cell: Cell) -> (&'static str, Cell) {
        (known_field(name).unwrap(), cell)
    }

    #[test]
    fn an_invoice_is_one_line() {
        let layout = Layout::of(&topics::INVOICES).unwrap();
        let text = |value: &str| Cell::Text(value.into());
        let line = Row(vec![
            field("stock_code", text("85123A")),
            field("description", text("WHITE \"HEART\", LARGE")),
            field("quantity", Cell::Integer(-6)),
            field("unit_price_micros", Cell::Integer(2_550_000)),
        ]);
        let row = Row(vec![
            field("invoice_id", text("C536379")),
            field("customer_id", text("=17850")),
            field("issued_at", Cell::Integer(1_477_291_049_001)),
            field("amount_minor", Cell::Integer(-1_530)),
            field("currency", text("GBP")),
            field("lines", Cell::List(vec![line])),
        ]);
        let mut to = writer(Vec::new());
        write_header(&mut to, &layout).unwrap();
        write_row(&mut to, &layout, &row, &mut String::new()).unwrap();
        let written = String::from_utf8(to.into_inner().unwrap()).unwrap();
        let json = "[{\"stock_code\":\"85123A\",\"description\":\"WHITE \\\"HEART\\\", LARGE\",\"quantity\":-6,\
                    \"unit_price_micros\":2550000}]";
        assert_eq!(
            written,
            format!(
                "invoice_id,customer_id,issued_at,amount_minor,currency,lines\r\n\
                 C536379,'=17850,2016-10-24T06:37:29.001Z,-1530,GBP,\"{}\"\r\n",
                json.replace('"', "\"\"")
            )
        );
    }
}
