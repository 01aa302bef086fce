"""The seeded derivative of each real file: an input made to be difficult, and the same from the same seed everywhere.

    derive.py invoices --file online-retail-….csv.gz --seed 1 --out invoices.jsonl.gz
    derive.py readings --file moers-….txt            --seed 1 --out readings.jsonl.gz
    derive.py corrections --file moers-….txt         --seed 1 --out corrections.jsonl.gz

The real files are in order and nearly one invoice per window, so they test little of time. The derivative keeps their amounts, speeds
and numbers and bends the rest: 4 partitions, 8 customers with at least 5 invoices in each of their windows, 8 radars; 5 % out of order,
1 % late, 1 % doubled, and some malformed in every way of law 14. The result is an *input* (see records.py) to be loaded into an
empty log, in this order.
"""

import argparse
import base64
from datetime import datetime

import avro
import kafka
import moers
import records
import retail
import speeding
import zones
from exact import SplitMix64

PARTITIONS = 4
WINDOW_MS = 5000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000


# Disorder, the same for both.

def disorder(rows, random, late_by):
    """Moves 5 % a little later, 1 % by `late_by` places, and doubles 1 %: first decided in order, then sorted by place."""
    placed = []
    for place, row in enumerate(rows):
        kind = random.below(1000)
        if kind < 50:
            placed.append((place + random.between(2, 12), row))
        elif kind < 60:
            placed.append((place + random.between(*late_by), row))
        elif kind < 70:
            placed.append((place, row))
            placed.append((place + random.between(1, 60), row))
        else:
            placed.append((place, row))
    placed.sort(key=lambda pair: pair[0])  # stable: of equal places the earlier stays first
    return [row for _, row in placed]


LONG_FIELD = {"readings": "plate", "invoices": "invoice_id"}
# A speed that cannot be, and a time long before the schedule of fines begins; a currency that is none.
AGAINST_A_RULE = {"readings": [{"speed_kmh": -1}, {"measured_at": 86_400_000}], "invoices": [{"currency": "gbp"}]}


def malformed(row, time_field, random):
    """One bad record of each kind, made from a sound one. Times and keys stay, so that they land between the sound ones.

    Those whose value can be read (no key, a key that is not the value's, against a rule) are of ten days later: who takes
    them for sound moves time, and a read store that keeps them has them on another day.
    """
    topic, value = row["topic"], row["value"]
    place = {"topic": topic, "key": row["key"], "time_ms": row["time_ms"]}
    datum = avro.encode(avro.schema_of(topic), value)
    text = lambda data: base64.b64encode(data).decode("ascii")
    too_large = dict(value)
    later = value | {time_field: value[time_field] + 10 * speeding.DAY_MS}
    other_key = later | {records.KEY_FIELD[topic]: "nobody"}
    too_large[LONG_FIELD[topic]] = "X" * (records.VALUE_MAX_BYTES + random.between(1, 9))
    against_a_rule = [{"time_ms": later[time_field], "value": later | change} for change in AGAINST_A_RULE[topic]]
    return [place | parts for parts in against_a_rule] + [
        place | {"datum_base64": text(datum[: random.between(1, len(datum) - 1)])},
        place | {"datum_base64": text(datum + bytes([random.below(256)]))},
        place | {"raw_base64": text(b"\x01" + datum)},
        place | {"raw_base64": text(b"\x00\x7f\xff\xff\xff" + datum)},
        place | {"raw_base64": text(b"\x00\x00")},
        place | {"raw_base64": ""},
        place | {"value": None},
        {"topic": topic, "partition": random.below(PARTITIONS)}
        | place
        | {"key": None, "time_ms": later[time_field], "value": later},
        place | {"time_ms": later[time_field], "value": other_key},
        place | {"value": value | {time_field: -1 - random.below(1000)}},
        place | {"time_ms": records.MAX_EVENT_TIME + 1, "value": value | {time_field: records.MAX_EVENT_TIME + 1}},
        place | {"value": too_large},
    ]


def with_malformed(rows, time_field, random, rounds):
    """Puts every kind of bad record in, `rounds` times, at places of the seed's choosing."""
    out = list(rows)
    for _ in range(rounds):
        for bad in malformed(rows[random.below(len(rows))], time_field, random):
            out.insert(random.below(len(out) + 1), bad)
    return out


# Invoices.


def customers():
    """Eight customers, two for each partition."""
    wanted, found = {number: 2 for number in range(PARTITIONS)}, []
    number = 1
    while any(wanted.values()):
        name = f"customer-{number:02}"
        home = kafka.partition(name, PARTITIONS)
        if wanted[home]:
            wanted[home] -= 1
            found.append(name)
        number += 1
    return found


def derive_invoices(path, seed):
    """Windows are filled one after the other: 5 to 8 invoices for each customer, in order of time, then now and then a gap.

    The real invoices are used four times over, with a letter behind their number, so that there are windows enough.
    """
    random = SplitMix64(seed)
    pool = [(copy, invoice) for copy in "abcd" for invoice in retail.invoices(path)]
    pool.reverse()
    who, rows = customers(), []
    start = zones.utc_ms(datetime(2010, 12, 1, 8, 0), "UTC")
    while len(pool) >= 8 * len(who):
        of_window = []
        for customer in who:
            for _ in range(random.between(5, 8)):
                copy, invoice = pool.pop()
                derived = invoice | {
                    "invoice_id": invoice["invoice_id"] + copy,
                    "customer_id": customer,
                    "issued_at": start + random.below(WINDOW_MS),
                    # Two currencies for the last customer: one result for each.
                    "currency": "EUR" if customer == who[-1] and random.chance(400) else "GBP",
                    "lines": invoice["lines"][:1],
                }
                of_window.append(derived)
        of_window.sort(key=lambda invoice: invoice["issued_at"])
        rows.extend(retail.as_dump(of_window))
        start += WINDOW_MS * (random.between(2, 20) if random.chance(100) else 1)
    rows = disorder(rows, random, late_by=(150, 400))
    return with_malformed(rows, "issued_at", random, rounds=4)


# Readings.

START = zones.utc_ms(datetime(2016, 10, 24, 0, 0), "Europe/Berlin")
LONG_AGO = zones.utc_ms(datetime(2016, 1, 1, 0, 0), "Europe/Berlin")
VEHICLES = 400
OWNERS = 300
LIMITS = [30, 30, 50, 20, 30, 30, 70, 30]
REUSED_IDS = 40
CORRECTION_PARTS = 5


def radar_id(number):
    return f"radar-{number}"


def radar_event(number, kind, limit, valid_from, radar_kind="FIXED"):
    value = {
        "radar_id": radar_id(number),
        "kind": kind,
        "radar_kind": radar_kind,
        "speed_limit_kmh": limit,
        "place": f"Römerstraße {number}",
        "valid_from": valid_from,
    }
    return {"topic": "radars", "key": value["radar_id"], "time_ms": valid_from, "value": value}


def radars():
    """Eight radars: two that change their limit in the afternoon, one that is taken away at 14:00 and comes back at 16:00, one
    that is there from noon only, one on a tripod."""
    events = []
    for number, limit in enumerate(LIMITS, start=1):
        since = START + 12 * HOUR_MS if number == 8 else LONG_AGO
        events.append(radar_event(number, "INSTALLED", limit, since, "MOBILE" if number == 5 else "FIXED"))
    events.append(radar_event(2, "CHANGED", 50, START + 13 * HOUR_MS))
    events.append(radar_event(3, "CHANGED", 30, START + 15 * HOUR_MS))
    events.append(radar_event(6, "REMOVED", 30, START + 14 * HOUR_MS))
    events.append(radar_event(6, "INSTALLED", 30, START + 16 * HOUR_MS))
    return events


def plate_of(number):
    return f"MO-{number % 26 + 65:c}{number // 26 % 26 + 65:c}-{100 + number}"


def vehicle_event(number, kind, owner, valid_from):
    value = {"plate": plate_of(number), "kind": kind, "owner_id": f"owner-{owner:03}", "valid_from": valid_from}
    return {"topic": "vehicles", "key": value["plate"], "time_ms": valid_from, "value": value}


def vehicles(random):
    """Registered long before; 3 % never, 10 % sold during the day (one in ten of those twice), 3 % deregistered during it."""
    events = []
    for number in range(VEHICLES):
        kind = random.below(100)
        if kind < 3:
            continue
        owner = random.below(OWNERS)
        events.append(vehicle_event(number, "REGISTERED", owner, LONG_AGO + random.below(200) * 24 * HOUR_MS))
        during = START + 9 * HOUR_MS + random.below(12 * HOUR_MS)
        if kind < 13:
            events.append(vehicle_event(number, "TRANSFERRED", random.below(OWNERS), during))
            if kind == 3:
                events.append(vehicle_event(number, "TRANSFERRED", random.below(OWNERS), during + HOUR_MS))
        elif kind < 16:
            events.append(vehicle_event(number, "DEREGISTERED", owner, during))
    return events


def owners():
    for number in range(OWNERS):
        value = {
            "owner_id": f"owner-{number:03}",
            "kind": "REGISTERED",
            "name": f"Owner {number:03}",
            "address": f"Römerstraße {number}, 47441 Moers",
            "valid_from": LONG_AGO,
        }
        yield {"topic": "owners", "key": value["owner_id"], "time_ms": LONG_AGO, "value": value}


def reading_row(value):
    return {"topic": "readings", "key": value["plate"], "time_ms": value["measured_at"], "value": value}


def derive_readings(path, seed):
    """Every real reading, spread over eight radars and 400 plates; one in ten two or three times as fast, so that every bracket and
    the margin above 100 km/h occur. Then a jump by 40 days: what was held is given up, what was remembered is forgotten, and
    a hundredth of the old readings comes again, too late to be judged."""
    registrations, day, tail = parts_of_readings(path, seed)
    return registrations + with_reused_ids(day, SplitMix64(seed + 1000)) + tail


def derive_corrections(path, seed):
    """The same readings, and registrations that come late: in parts, between the readings of the day, all of them before the jump.

    A part begins where a registration follows a reading; whoever loads it lets the processor come to the end before each part. Vehicles'
    events come in any order, so that owners are found, change and vanish again behind the readings. So that law 18 excepts nothing, no
    reading is forgotten before the last registration, and no limit is known that is higher than the one that counts in the end: of a radar
    whose limit falls later in the day, the later event comes first. Ids are not reused.
    """
    registrations, day, tail = parts_of_readings(path, seed)
    random = SplitMix64(seed + 2000)
    of_radars = [row for row in registrations if row["topic"] == "radars"]
    of_radars.sort(key=lambda row: row["value"]["radar_id"] == radar_id(3) and row["value"]["kind"] == "INSTALLED")
    others = [row for row in registrations if row["topic"] != "radars"]
    for last in range(len(others) - 1, 0, -1):
        other = random.below(last + 1)
        others[last], others[other] = others[other], others[last]
    rows = []
    for part in range(CORRECTION_PARTS + 1):
        if part > 0:
            for late in (of_radars, others):
                rows.extend(share(late, part - 1, CORRECTION_PARTS))
        rows.extend(share(day, part, CORRECTION_PARTS + 1))
    return rows + tail


def share(rows, part, parts):
    return rows[len(rows) * part // parts : len(rows) * (part + 1) // parts]


def with_reused_ids(rows, random):
    """Puts in copies of readings with another speed, a little later: of one that is remembered it is a bad record, of one that was let go under
    its limit it is judged."""
    out = list(rows)
    for _ in range(REUSED_IDS):
        at = random.below(len(out))
        value = out[at].get("value")
        if value is None or records.bad({"partition": 0, "timestamp": 0} | out[at]):
            continue
        again = reading_row(value | {"speed_kmh": value["speed_kmh"] + random.between(1, 60)})
        out.insert(min(len(out), at + random.between(1, 60)), again)
    return out


def parts_of_readings(path, seed):
    """Registrations, the day's readings, and those after the jump."""
    random = SplitMix64(seed)
    registrations = [*radars(), *owners(), *vehicles(random)]
    sequences, rows = [0] * len(LIMITS), []
    for reading in moers.readings(path):
        number = random.below(len(LIMITS))
        sequences[number] += 1
        faster = random.below(20)
        value = {
            "radar_id": radar_id(number + 1),
            "sequence": sequences[number],
            "plate": plate_of(random.below(VEHICLES)),
            "measured_at": reading["measured_at"],
            "speed_kmh": reading["speed_kmh"] * (3 if faster == 0 else 2 if faster == 1 else 1),
        }
        rows.append(reading_row(value))
    day = disorder(rows, random, late_by=(100, 300))
    tail = []
    for at, row in enumerate(rows[:400]):
        later = row["value"] | {"measured_at": row["value"]["measured_at"] + 40 * speeding.DAY_MS}
        tail.append(reading_row(later))
        if at >= 60 and random.chance(150):
            tail.append(rows[random.below(len(rows))])
    return registrations, with_malformed(day, "measured_at", random, rounds=4), tail


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["invoices", "readings", "corrections"])
    parser.add_argument("--file", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", default="-")
    options = parser.parse_args()
    derive = {"invoices": derive_invoices, "readings": derive_readings, "corrections": derive_corrections}
    records.write_lines(options.out, derive[options.what](options.file, options.seed))


if __name__ == "__main__":
    main()
