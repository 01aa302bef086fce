#!/usr/bin/env python3
"""The simulators once more, from their description alone: writes the goldens of tests/simulation.rs.

Nothing but the standard library; ChaCha8 is written out from its paper. What producers/src/random.rs promises stands here a second
time: key = seed, purpose (8 bytes each, least significant first), zeros; stream = the item's number; words in order.

    python3 simulate.py radars > radars.jsonl
    python3 simulate.py invoices > invoices.jsonl
"""

import json
import math
import struct
import sys
from fractions import Fraction

PLATES, OWNER, VEHICLE, RADAR, READING, INVOICE, REPLAYED, DISORDER = range(1, 9)
DAY = 86_400_000
START = 1_704_067_200_000


def block(key, counter, stream):
    mask = 0xFFFFFFFF
    state = list(struct.unpack("<4I", b"expand 32-byte k")) + list(struct.unpack("<8I", key))
    state += [counter & mask, counter >> 32, stream & mask, stream >> 32]
    x = state[:]

    def quarter(a, b, c, d):
        for p, q, r, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[p] = (x[p] + x[q]) & mask
            v = x[r] ^ x[p]
            x[r] = (v << turn | v >> 32 - turn) & mask

    for _ in range(4):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return [(a + b) & mask for a, b in zip(x, state)]


class Dice:
    def __init__(self, seed, purpose, item):
        key = struct.pack("<QQ16x", seed, purpose)
        self.words = (word for counter in range(1 << 60) for word in block(key, counter, item))

    def below(self, bound):
        while True:
            product = next(self.words) * bound
            if product % 2**32 >= 2**32 % bound:
                return product // 2**32

    def between(self, low, high):
        return low + self.below(high - low + 1)

    def small_below(self, bound):
        return min(self.below(bound), self.below(bound))

    def pick(self, options):
        return options[self.below(len(options))]


LETTERS = "ABCDEFGHJKLMNPQRSTVWXYZ"
FIRST = "Ada Anton Chiara Clara Emil Fatma Hugo Ines Jonas Lea Malik Nora Oskar Paula Samir Zoé".split()
LAST = "Bauer Demir Dubois Fischer Garcia Hansen Kowalski Lambert Martin Moreau Novak Petit Rossi Schmidt Weber Yilmaz".split()
STREETS = ["Am Markt", "Bergstraße", "Hafenweg", "Lindenallee", "rue de la Gare", "rue des Écoles", "rue du Moulin", "Schulgasse"]
LIMITS = [30, 50, 50, 80, 110, 130]
FAULTS = ["Truncated", "TrailingGarbage", "WrongMagic", "UnknownSchema", "NullKey", "EventTime"]


def plate(seed, vehicle):
    all_plates = 23**4 * 999
    n = (Dice(seed, PLATES, 0).below(all_plates) + vehicle * 179_424_673) % all_plates
    n, d = divmod(n, 23)
    n, c = divmod(n, 23)
    n, digits = divmod(n, 999)
    a, b = divmod(n, 23)
    return f"{LETTERS[a]}{LETTERS[b]}-{digits + 1:03}-{LETTERS[c]}{LETTERS[d]}"


def registrations(seed, vehicles):
    year_ago = START - 365 * DAY
    owners = vehicles - vehicles // 10
    for owner in range(owners):
        dice = Dice(seed, OWNER, owner)
        name = f"{dice.pick(FIRST)} {dice.pick(LAST)}"
        street = dice.pick(STREETS)
        address = f"{street} {dice.between(1, 120)}, {dice.between(1000, 99999):05}"
        key = f"O-{owner:06}"
        value = dict(owner_id=key, kind="REGISTERED", name=name, address=address, valid_from=year_ago)
        yield record("owners", key, year_ago, value)
    transfers = []
    for vehicle in range(vehicles):
        dice = Dice(seed, VEHICLE, vehicle)
        key = plate(seed, vehicle)
        owner, days = dice.below(owners), dice.below(200)
        value = dict(plate=key, kind="REGISTERED", owner_id=f"O-{owner:06}", valid_from=year_ago + days * DAY)
        yield record("vehicles", key, value["valid_from"], value)
        if dice.below(100) < 3:
            owner, days = dice.below(owners), dice.between(10, 29)
            value = dict(plate=key, kind="TRANSFERRED", owner_id=f"O-{owner:06}", valid_from=START - days * DAY)
            transfers.append(record("vehicles", key, value["valid_from"], value))
    yield from transfers


def record(topic, key, time, value):
    return dict(topic=topic, key=key, time_ms=time, fault=None, value=value)


def radar(seed, number):
    dice = Dice(seed, RADAR, number)
    limit = dice.pick(LIMITS)
    kind = "FIXED" if dice.below(10) < 8 else "MOBILE"
    return limit, kind, f"D{dice.between(1, 999)} PK {dice.between(0, 99)}"


def radars(seed, count, rate, vehicles, number_of_radars, shares):
    for number in range(number_of_radars):
        limit, kind, place = radar(seed, number)
        key, since = f"R-{number:04}", START - 365 * DAY
        value = dict(radar_id=key, kind="INSTALLED", radar_kind=kind, speed_limit_kmh=limit, place=place, valid_from=since)
        yield record("radars", key, since, value)
    yield from registrations(seed, vehicles)
    counters = [0] * number_of_radars

    def reading(index, time):
        dice = Dice(seed, READING, index)
        number = dice.below(number_of_radars)
        key = plate(seed, dice.small_below(vehicles))
        limit = radar(seed, number)[0]
        over = dice.below(100) < 13
        speed = limit + 1 + dice.small_below(60) if over else limit - dice.below(21)
        counters[number] += 1
        value = dict(radar_id=f"R-{number:04}", sequence=counters[number], plate=key, measured_at=time, speed_kmh=speed)
        return record("readings", key, time, value)

    yield from disordered(seed, count, rate, shares, reading, "measured_at")


ARTICLES = [
    "BIRTHDAY CARD", "BREAD BIN", "CAKE STAND", "DOORMAT", "HOT WATER BOTTLE", "JAM JAR SET", "LUNCH BOX", "METAL LANTERN",
    "NAPKINS", "PICTURE FRAME", "T-LIGHT HOLDER", "WICKER BASKET",
]


def invoices(seed, count, rate, customers, currencies, shares):
    def invoice(index, time):
        dice = Dice(seed, INVOICE, index)
        key = str(10_000 + dice.small_below(customers))
        currency = dice.pick(currencies)
        sign, prefix = (-1, "C") if dice.below(100) < 3 else (1, "")
        lines, total = [], Fraction(0)
        for _ in range(dice.between(1, 5)):
            article, quantity = dice.below(12), sign * dice.between(1, 12)
            price = dice.between(1, 49_999) * 1_000 if dice.below(50) == 0 else dice.between(1, 4_999) * 10_000
            lines.append(dict(
                stock_code=str(20_000 + article), description=ARTICLES[article], quantity=quantity, unit_price_micros=price))
            total += Fraction(quantity * price, 10_000)
        amount = math.floor(abs(total) + Fraction(1, 2)) * (1 if total >= 0 else -1)
        value = dict(
            invoice_id=f"{prefix}{index + 1:08}", customer_id=key, issued_at=time, amount_minor=amount, currency=currency, lines=lines)
        return record("invoices", key, time, value)

    yield from disordered(seed, count, rate, shares, invoice, "issued_at")


def disordered(seed, count, rate, shares, make, time_field):
    out_of_order, late, duplicates, malformed = shares
    again = []
    for index in range(count):
        for due in sorted(again):
            if due[0] <= index:
                yield due[2]
        again = [due for due in again if due[0] > index]
        time = START + index * 1000 // rate
        dice = Dice(seed, DISORDER, index)
        place = dice.below(10_000)
        if place < out_of_order:
            yield make(index, time - dice.between(1_000, 9_000))
        elif place < out_of_order + late:
            yield make(index, time - dice.between(120_000, 600_000))
        elif place < out_of_order + late + duplicates:
            made = make(index, time)
            again.append((index + 1 + dice.below(20), index, made))
            yield made
        elif place < out_of_order + late + duplicates + malformed:
            made = make(index, time)
            made["fault"] = dice.pick(FAULTS)
            if made["fault"] == "NullKey":
                made["key"] = None
            if made["fault"] == "EventTime":
                made["time_ms"] = made["value"][time_field] = time + 200 * 365 * DAY
            yield made
        else:
            yield make(index, time)
    for due in sorted(again):
        yield due[2]


GOLDENS = {
    "radars": lambda: radars(42, 80, 3, 40, 3, (1000, 500, 1000, 1500)),
    "invoices": lambda: invoices(2**64 - 1, 80, 7, 5, ["EUR", "SEK"], (1000, 500, 1000, 1500)),
}

for made in GOLDENS[sys.argv[1]]():
    print(json.dumps(made, ensure_ascii=False, separators=(",", ":")))
