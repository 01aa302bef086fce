"""Count and total per customer, currency and window, straight from law 2 and law 4.

Slow on purpose: after every record, every open window is looked at.
"""

from collections import Counter

import records


def windows_of(time_ms: int, size: int, advance: int):
    """The windows `[start, end)` that hold a time, oldest first. They begin at multiples of `advance`, none before 1970."""
    start = time_ms - time_ms % advance
    starts = []
    while start > time_ms - size and start >= 0:
        starts.append(start)
        start -= advance
    return [(start, start + size) for start in reversed(starts)]


def run_task(task: int, invoices, size: int, advance: int, grace: int):
    """One task: one partition of `invoices`, in order. Gives its totals, late records and dead letters, each in sequence."""
    totals, late, dead = [], [], []
    open_windows = {}  # (end, customer, currency) -> [start, count, amount]
    stream_time = None

    def close(is_closed):
        for identity in sorted(open_windows, key=lambda window: (window[0], window[1].encode(), window[2].encode())):
            end, customer, currency = identity
            if is_closed(end):
                start, count, amount = open_windows.pop(identity)
                totals.append(
                    {
                        "partition": task,
                        "key": customer,
                        "time_ms": end - 1,
                        "value": {
                            "customer_id": customer,
                            "currency": currency,
                            "window_start": start,
                            "window_end": end,
                            "count": count,
                            "amount_minor": amount,
                        },
                    }
                )

    for record in invoices:
        reason = records.unfit(record)
        if reason:
            dead.append(records.dead_letter(record, reason))
            continue
        invoice = record["value"]
        time = invoice["issued_at"]
        stream_time = time if stream_time is None else max(stream_time, time)
        for start, end in windows_of(time, size, advance):
            if end > stream_time - grace:
                window = open_windows.setdefault((end, record["key"], invoice["currency"]), [start, 0, 0])
                window[1] += 1
                window[2] += invoice["amount_minor"]
            else:
                missed = {
                    "window_start": start,
                    "window_end": end,
                    "stream_time": stream_time,
                    "lateness_ms": stream_time - (end + grace),  # 0 is just too late
                }
                late.append(records.origin(record) | missed)
        close(lambda end: stream_time >= end + grace)
    close(lambda end: True)  # --until-end closes what is left
    return totals, late, dead


def run(partitions, size, advance, grace):
    """All tasks, in the order of their numbers; and the counts that must add up."""
    totals, late, dead = [], [], []
    for task in sorted(partitions):
        of_task = run_task(task, partitions[task], size, advance, grace)
        for everything, part in zip((totals, late, dead), of_task):
            everything.extend(part)
    counts = {
        "records": sum(len(part) for part in partitions.values()),
        "windows": len(totals),
        "counted": sum(row["value"]["count"] for row in totals),
        "late": len(late),
        "dead_letters": len(dead),
        "reasons": dict(sorted(Counter(row["reason"] for row in dead).items())),
    }
    return {"customer-totals": totals, "late": late, "dead-letters": dead}, counts
