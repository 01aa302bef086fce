"""The discount of a business day: of each number's records the one with the lowest (partition, offset), rounded once."""

from datetime import date
from fractions import Fraction

import records
import zones
from exact import half_away


def run(partitions, day: date, zone: str, percent: Fraction):
    start, end = zones.business_day(day, zone)
    first, doubled = {}, 0
    for number in sorted(partitions):
        for record in partitions[number]:
            if records.bad(record) or not start <= record["value"]["issued_at"] < end:
                continue
            invoice = record["value"]
            if invoice["invoice_id"] in first:
                doubled += 1
            else:
                first[invoice["invoice_id"]] = invoice
    rows, totals = [], {}
    for invoice_id in sorted(first, key=str.encode):
        invoice = first[invoice_id]
        amount = invoice["amount_minor"]
        off = half_away(amount * percent / 100)
        rows.append(
            {
                "invoice_id": invoice_id,
                "customer_id": invoice["customer_id"],
                "issued_at": invoice["issued_at"],
                "currency": invoice["currency"],
                "amount_minor": amount,
                "discount_minor": off,
                "remaining_minor": amount - off,
            }
        )
        total = totals.setdefault(invoice["currency"], [0, 0, 0, 0])
        for at, part in enumerate((1, amount, off, amount - off)):
            total[at] += part
    names = ("invoices", "amount_minor", "discount_minor", "remaining_minor")
    summary = {currency: dict(zip(names, total)) for currency, total in sorted(totals.items())}
    return rows, {"discounted": len(rows), "doubled": doubled, "totals": summary}
