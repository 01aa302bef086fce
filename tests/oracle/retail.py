"""Online Retail: from invoice lines to invoices, to customers' totals and to the discount of a day.

    retail.py facts     --file online-retail.csv.gz
    retail.py totals    --file … | --dump invoices.jsonl   [--size 5000] [--advance 5000] [--grace 0] --out DIRECTORY
    retail.py discount  --file … | --dump invoices.jsonl   --date 2010-12-01 [--zone Europe/London] [--percent 30] --out DIRECTORY

The rules are the issue's: an invoice is all lines of one InvoiceNo; its time is its first line's, Europe/London; its amount is the
exact sum of quantity × unit price, rounded once, half away from zero, to pence; GBP; the customer `17850` for `17850.0`, `anonymous`
where there is none. Invoices stand in the log in the order of their first lines.
"""

import argparse
import csv
import gzip
import json
import os
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction

import discount
import records
import totals
import zones
from exact import half_away

ZONE = "Europe/London"


def lines_of(path):
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def customer_of(cell: str) -> str:
    if not cell:
        return "anonymous"
    whole = Decimal(cell)
    assert whole == int(whole), cell
    return str(int(whole))


def invoices(path):
    """Invoices in the order of their first lines, with the exact amount beside the rounded one."""
    found = {}
    for line in lines_of(path):
        number = line["InvoiceNo"]
        if number not in found:
            issued = datetime.strptime(line["InvoiceDate"], "%Y-%m-%d %H:%M:%S")
            found[number] = {
                "invoice_id": number,
                "customer_id": customer_of(line["CustomerID"]),
                "issued_at": zones.utc_ms(issued, ZONE),
                "amount_minor": None,
                "currency": "GBP",
                "lines": [],
            }
        price = Fraction(line["UnitPrice"])
        micros = price * 1_000_000
        assert micros.denominator == 1, line
        found[number]["lines"].append(
            {
                "stock_code": line["StockCode"],
                "description": line["Description"],
                "quantity": int(line["Quantity"]),
                "unit_price_micros": int(micros),
            }
        )
    for invoice in found.values():
        pounds = sum(Fraction(line["quantity"] * line["unit_price_micros"], 1_000_000) for line in invoice["lines"])
        invoice["amount_minor"] = half_away(pounds * 100)
    return list(found.values())


def as_dump(all_invoices):
    """The topic `invoices` as replay fills it."""
    return [
        {"topic": "invoices", "key": invoice["customer_id"], "time_ms": invoice["issued_at"], "value": invoice}
        for invoice in all_invoices
    ]


def facts(all_invoices):
    customers = {invoice["customer_id"] for invoice in all_invoices}
    cells = {(invoice["customer_id"], invoice["issued_at"] // 5000) for invoice in all_invoices}
    return {
        "lines": sum(len(invoice["lines"]) for invoice in all_invoices),
        "invoices": len(all_invoices),
        "amount_minor": sum(invoice["amount_minor"] for invoice in all_invoices),
        "customers": len(customers - {"anonymous"}),
        "anonymous_invoices": sum(invoice["customer_id"] == "anonymous" for invoice in all_invoices),
        "credit_notes": sum(invoice["invoice_id"].startswith("C") for invoice in all_invoices),
        "adjustments": sum(invoice["invoice_id"].startswith("A") for invoice in all_invoices),
        "not_positive": sum(invoice["amount_minor"] <= 0 for invoice in all_invoices),
        "five_second_windows": len(cells),
    }


def save(directory, outputs, counts):
    os.makedirs(directory, exist_ok=True)
    for name, rows in outputs.items():
        records.write_lines(os.path.join(directory, f"{name}.jsonl.gz"), rows)
    with open(os.path.join(directory, "counts.json"), "w", encoding="utf-8") as out:
        out.write(json.dumps(counts, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["facts", "totals", "discount"])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--file", help="the real file or an excerpt, gzip of CSV")
    source.add_argument("--dump", help="records of the topic `invoices` as JSON lines")
    for name, default in (("--size", 5000), ("--advance", 5000), ("--grace", 0)):
        parser.add_argument(name, type=int, default=default, help="milliseconds")
    parser.add_argument("--date", type=date.fromisoformat)
    parser.add_argument("--zone", default=ZONE)
    parser.add_argument("--percent", type=Fraction, default=Fraction(30))
    parser.add_argument("--out", help="a directory")
    options = parser.parse_args()
    if options.what == "facts":
        print(json.dumps(facts(invoices(options.file)), indent=1))
        return
    dump = as_dump(invoices(options.file)) if options.file else records.read_lines(options.dump)
    partitions = records.by_topic(dump)["invoices"]
    if options.what == "totals":
        save(options.out, *totals.run(partitions, options.size, options.advance, options.grace))
    else:
        rows, summary = discount.run(partitions, options.date, options.zone, options.percent)
        save(options.out, {"discounts": rows}, summary)


if __name__ == "__main__":
    main()
