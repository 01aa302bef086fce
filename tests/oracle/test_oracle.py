"""The oracle's own tests: python3 -m unittest discover -s tests/oracle"""

import base64
import os
import unittest
import zoneinfo
from datetime import date, datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path

import avro
import derive
import discount
import kafka
import moers
import records
import retail
import speeding
import totals
import zones
from exact import SplitMix64, half_away
from schedule import Schedule

DATA = Path(__file__).resolve().parents[1] / "data"
RETAIL = DATA / "online-retail-2010-12-01-to-08.csv.gz"
MOERS = DATA / "moers-2016-10-24.txt"


class Exact(unittest.TestCase):
    def test_ties_go_away_from_zero(self):
        for value, rounded in [("0.5", 1), ("-0.5", -1), ("1.5", 2), ("2.5", 3), ("-2.5", -3), ("0.49999", 0), ("-0.49999", 0),
                               ("2.500001", 3), ("-2.500001", -3), ("7", 7), ("-7", -7), ("0", 0)]:
            self.assertEqual(half_away(Fraction(value)), rounded, value)

    def test_the_generator_gives_its_published_numbers(self):
        random = SplitMix64(1234567)
        self.assertEqual([random.next() for _ in range(3)],
                         [6457827717110365317, 3203168211198807973, 9817491932198370423])


class Kafka(unittest.TestCase):
    def test_murmur2_gives_kafkas_published_vectors(self):
        for key, signed in [("21", -973932308), ("foobar", -790332482), ("a-little-bit-long-string", -985981536),
                            ("a-little-bit-longer-string", -1486304829),
                            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971), ("abc", 479470107)]:
            self.assertEqual(kafka.murmur2(key.encode()), signed % 2**32, key)

    def test_the_sign_is_dropped_before_the_modulo(self):
        self.assertEqual(kafka.partition("21", 4), (-973932308 & 0x7FFFFFFF) % 4)


class Zones(unittest.TestCase):
    def test_clocks_change_when_they_did(self):
        for local, zone, utc in [
            ("2010-12-01 08:26", "Europe/London", "2010-12-01 08:26"),
            ("2011-03-27 00:59", "Europe/London", "2011-03-27 00:59"),
            ("2011-03-27 02:00", "Europe/London", "2011-03-27 01:00"),
            ("2011-07-01 12:00", "Europe/London", "2011-07-01 11:00"),
            ("2011-10-30 01:30", "Europe/London", "2011-10-30 00:30"),  # struck twice: the first
            ("2011-10-30 02:00", "Europe/London", "2011-10-30 02:00"),
            ("2016-10-24 08:37", "Europe/Berlin", "2016-10-24 06:37"),
            ("2016-10-30 03:00", "Europe/Berlin", "2016-10-30 02:00"),
        ]:
            self.assertEqual(zones.utc_ms(datetime.fromisoformat(local), zone),
                             zones.milliseconds(datetime.fromisoformat(utc)), local)
        with self.assertRaises(ValueError):
            zones.utc_ms(datetime(2011, 3, 27, 1, 30), "Europe/London")

    def test_days_are_23_24_or_25_hours_long(self):
        for day, zone, hours in [("2011-03-27", "Europe/London", 23), ("2011-10-30", "Europe/London", 25),
                                 ("2011-03-28", "Europe/London", 24), ("2016-10-30", "Europe/Berlin", 25)]:
            start, end = zones.business_day(date.fromisoformat(day), zone)
            self.assertEqual(end - start, hours * 3_600_000, day)

    def test_every_hour_agrees_with_the_zone_database_where_there_is_one(self):
        try:
            rules = {zone: zoneinfo.ZoneInfo(zone) for zone in zones.WINTER_HOURS}
        except zoneinfo.ZoneInfoNotFoundError:
            self.skipTest("no zone database on this machine")
        for zone, rule in rules.items():
            utc = datetime(2010, 1, 1, tzinfo=timezone.utc)
            while utc.year < 2017:
                local = utc.astimezone(rule)
                if local.fold == 0:
                    self.assertEqual(zones.utc_ms(local.replace(tzinfo=None), zone),
                                     zones.milliseconds(utc.replace(tzinfo=None)), (zone, utc))
                utc += timedelta(hours=1)


class Avro(unittest.TestCase):
    VALUE = {"invoice_id": "é1", "customer_id": "c", "issued_at": 1_291_161_600_000, "amount_minor": -5, "currency": "GBP",
             "lines": [{"stock_code": "s", "description": "", "quantity": -64, "unit_price_micros": 2_550_000}]}

    def test_numbers_are_the_specifications_examples(self):
        for number, data in [(0, "00"), (-1, "01"), (1, "02"), (-2, "03"), (2, "04"), (-64, "7f"), (64, "8001")]:
            self.assertEqual(avro.varint(number).hex(), data)
            self.assertEqual(avro.read_varint(bytes.fromhex(data)), (number, b""))

    def test_what_is_encoded_is_decoded(self):
        schema = avro.schema_of("invoices")
        datum = avro.encode(schema, self.VALUE)
        self.assertEqual(avro.decode(schema, datum + b"rest"), (self.VALUE, b"rest"))
        for length in range(len(datum)):
            with self.assertRaises(avro.Undecodable):
                avro.decode(schema, datum[:length])


class Records(unittest.TestCase):
    def fault(self, **parts):
        return records.bad({"topic": "invoices", "key": "c"} | parts)

    def test_each_kind_of_bad_record_has_its_reason(self):
        encoded = lambda data: base64.b64encode(data).decode()
        datum = avro.encode(avro.schema_of("invoices"), Avro.VALUE)
        self.assertIsNone(self.fault(value=Avro.VALUE))
        with self.assertRaises(ValueError):
            self.fault(datum_base64=encoded(datum))
        self.assertEqual(self.fault(datum_base64=encoded(datum[:-1])), "undecodable")
        self.assertEqual(self.fault(datum_base64=encoded(datum + b"x")), "trailing-bytes")
        self.assertEqual(self.fault(raw_base64=""), "undecodable")
        self.assertEqual(self.fault(raw_base64=encoded(b"\0\0\0\0")), "undecodable")
        self.assertEqual(self.fault(raw_base64=encoded(b"\1\0\0\0\1x")), "wrong-magic")
        self.assertEqual(self.fault(raw_base64=encoded(b"\0\x7f\xff\xff\xffx")), "unknown-schema")
        self.assertEqual(self.fault(raw_base64=encoded(b"x" * 1_000_001)), "too-large")
        self.assertEqual(self.fault(value=None), "null-value")
        self.assertEqual(self.fault(value=Avro.VALUE, key=None), "null-key")
        self.assertEqual(self.fault(value=Avro.VALUE, key="d"), "rule")
        self.assertEqual(self.fault(value=Avro.VALUE | {"currency": "gbp"}), "rule")
        self.assertEqual(records.bad(passage(1, speed=-1)), "rule")
        self.assertEqual([records.bad(radar(1, kind, limit=0)) for kind in ("CHANGED", "REMOVED")], ["rule", None])
        self.assertEqual([records.bad(vehicle(1, kind, "")) for kind in ("REGISTERED", "DEREGISTERED")], ["rule", None])
        self.assertEqual(self.fault(error="unknown-schema", raw_base64="AA=="), "unknown-schema")

    def test_the_bounds_of_time_and_size_are_inclusive(self):
        at = lambda time: self.fault(value=Avro.VALUE | {"issued_at": time})
        self.assertEqual([at(-1), at(0), at(records.MAX_EVENT_TIME), at(records.MAX_EVENT_TIME + 1)],
                         ["event-time", None, None, "event-time"])
        room = 1_000_000 - 5 - len(avro.encode(avro.schema_of("invoices"), Avro.VALUE | {"invoice_id": ""})) - 2
        self.assertIsNone(self.fault(value=Avro.VALUE | {"invoice_id": "X" * room}))
        self.assertEqual(self.fault(value=Avro.VALUE | {"invoice_id": "X" * (room + 1)}), "too-large")

    def test_an_input_becomes_a_dump(self):
        row = {"topic": "invoices", "key": "21", "time_ms": 7, "value": Avro.VALUE}
        [(number, found)] = records.by_topic([row, row])["invoices"].items()
        self.assertEqual(number, kafka.partition("21", 4))
        self.assertEqual([(record["offset"], record["timestamp"]) for record in found], [(0, 7), (1, 7)])

    def test_a_record_in_another_partition_than_its_keys_is_unfit_for_a_processor_only(self):
        home = kafka.partition("c", 4)
        row = {"topic": "invoices", "key": "c", "time_ms": 7, "value": Avro.VALUE}

        def reasons(**parts):
            [[[record]]] = [numbers.values() for numbers in records.by_topic([row | parts]).values()]
            return records.bad(record), records.unfit(record)

        self.assertEqual(reasons(), (None, None))
        self.assertEqual(reasons(partition=home), (None, None))
        elsewhere = {"partition": (home + 1) % 4}
        self.assertEqual(reasons(**elsewhere), (None, "wrong-partition"))
        self.assertEqual(reasons(**elsewhere, error="wrong-magic"), ("wrong-magic", "wrong-partition"))
        self.assertEqual(reasons(**elsewhere, error="too-large"), ("too-large", "too-large"))
        self.assertEqual(reasons(**elsewhere, error="wrong-magic", topic="radars"), ("wrong-magic", "wrong-magic"))


def sale(time, amount=1, customer="c", currency="GBP", number="1"):
    value = {"invoice_id": number, "customer_id": customer, "issued_at": time, "amount_minor": amount,
             "currency": currency, "lines": []}
    return {"topic": "invoices", "partition": 0, "offset": 0, "timestamp": time, "key": customer, "value": value}


def cells(rows):
    return [(row["value"]["window_start"], row["key"], row["value"]["currency"], row["value"]["count"],
             row["value"]["amount_minor"]) for row in rows]


class Totals(unittest.TestCase):
    def test_windows_are_closed_at_their_start_and_open_at_their_end(self):
        self.assertEqual(totals.windows_of(0, 5000, 5000), [(0, 5000)])
        self.assertEqual(totals.windows_of(4999, 5000, 5000), [(0, 5000)])
        self.assertEqual(totals.windows_of(5000, 5000, 5000), [(5000, 10000)])
        # TimeWindowsTest: hopping windows of 12 by 5 hold 21 from 10 and from 15 and from 20.
        self.assertEqual(totals.windows_of(21, 12, 5), [(10, 22), (15, 27), (20, 32)])
        self.assertEqual(totals.windows_of(3, 12, 5), [(0, 12)])

    def test_a_window_takes_records_until_stream_time_reaches_its_end_and_grace(self):
        for grace, time, taken in [(0, 4999, True), (0, 5000, False), (2000, 6999, True), (2000, 7000, False)]:
            results, late, _ = totals.run_task(0, [sale(0), sale(time, customer="d"), sale(1)], 5000, 5000, grace)
            self.assertEqual(cells(results)[0][3], 2 if taken else 1, (grace, time))
            self.assertEqual([(row["window_end"], row["stream_time"], row["lateness_ms"]) for row in late],
                             [] if taken else [(5000, time, 0)])

    def test_a_jump_closes_all_in_the_order_of_end_and_key(self):
        input = [sale(6000, 2, "b"), sale(1000, 1, "z"), sale(7000, 3, "a"), sale(7001, 4, "a", "EUR"), sale(99_000, 9)]
        results, late, _ = totals.run_task(0, input, 5000, 5000, 60_000)
        self.assertEqual(late, [])
        self.assertEqual(cells(results), [(0, "z", "GBP", 1, 1), (5000, "a", "EUR", 1, 4), (5000, "a", "GBP", 1, 3),
                                          (5000, "b", "GBP", 1, 2), (95_000, "c", "GBP", 1, 9)])
        self.assertEqual(results[0]["time_ms"], 4999)

    def test_hopping_windows_take_and_refuse_one_by_one(self):
        results, late, _ = totals.run_task(0, [sale(12_000), sale(7_000, 5)], 10_000, 5_000, 0)
        # At 12 000 the window [0, 10 000) is over; [5 000, 15 000) still takes the record of 7 000.
        self.assertEqual(cells(results), [(5_000, "c", "GBP", 2, 6), (10_000, "c", "GBP", 1, 1)])
        self.assertEqual([(row["window_start"], row["lateness_ms"]) for row in late], [(0, 2_000)])

    def test_a_bad_record_moves_no_time(self):
        far = sale(records.MAX_EVENT_TIME + 1)
        results, late, dead = totals.run_task(0, [sale(0), far, sale(1)], 5000, 5000, 0)
        self.assertEqual((cells(results), late, len(dead)), ([(0, "c", "GBP", 2, 2)], [], 1))


class Discount(unittest.TestCase):
    DAY = zones.business_day(date(2010, 12, 1), "Europe/London")

    def run_day(self, *partitions, percent="30"):
        return discount.run(dict(enumerate(partitions)), date(2010, 12, 1), "Europe/London", Fraction(percent))

    def test_the_lowest_record_counts_and_ties_go_away_from_zero(self):
        start, end = self.DAY
        rows, summary = self.run_day([sale(end - 1, 15, number="D")],
                                     [sale(start, 99, number="D"), sale(start, -5, number="C"), sale(end, number="no")])
        self.assertEqual([(row["invoice_id"], row["discount_minor"], row["remaining_minor"]) for row in rows],
                         [("C", -2, -3), ("D", 5, 10)])
        self.assertEqual(summary["doubled"], 1)

    def test_a_percentage_may_have_decimals(self):
        rows, _ = self.run_day([sale(self.DAY[0], 100)], percent="12.5")
        self.assertEqual(rows[0]["discount_minor"], 13)


class Retail(unittest.TestCase):
    def test_the_excerpt(self):
        facts = retail.facts(retail.invoices(RETAIL))
        self.assertEqual((facts["lines"], facts["invoices"], facts["five_second_windows"]), (19_632, 905, 862))

    def test_the_full_file_has_the_issues_numbers(self):
        if "TIDEGATE_DATA" not in os.environ:
            self.skipTest("TIDEGATE_DATA is not set")
        facts = retail.facts(retail.invoices(Path(os.environ["TIDEGATE_DATA"]) / "online-retail.csv.gz"))
        self.assertEqual((facts["lines"], facts["invoices"], facts["amount_minor"], facts["five_second_windows"]),
                         (541_909, 25_900, 974_774_793, 25_156))

    def test_customers_lose_their_decimal_point(self):
        self.assertEqual([retail.customer_of(cell) for cell in ("17850.0", "17850", "")], ["17850", "17850", "anonymous"])


class Moers(unittest.TestCase):
    def test_the_excerpt(self):
        facts = moers.facts(moers.readings(MOERS), Schedule.read())
        self.assertEqual(list(facts.values()), [5_911, 1_524, 383, 58, {"2016-10-24": 5_911}])

    def test_the_full_file_has_the_issues_numbers(self):
        if "TIDEGATE_DATA" not in os.environ:
            self.skipTest("TIDEGATE_DATA is not set")
        path = Path(os.environ["TIDEGATE_DATA"]) / "moers-roemerstrasse-30kmh.txt"
        facts = moers.facts(moers.readings(path), Schedule.read())
        self.assertEqual(list(facts.values())[:4], [14_152, 3_947, 1_061, 65])

    def test_the_first_reading(self):
        self.assertEqual(moers.readings(MOERS)[0], {"line": 1, "measured_at": 1_477_291_049_000, "speed_kmh": 32})


def passage(time, speed=60, plate="P", radar="R", sequence=1):
    value = {"radar_id": radar, "sequence": sequence, "plate": plate, "measured_at": time, "speed_kmh": speed}
    return {"topic": "readings", "partition": 0, "offset": time, "timestamp": time, "key": plate, "value": value}


def registration(topic, time, **value):
    key = value.get("radar_id") or value.get("plate")
    return {"topic": topic, "partition": 0, "offset": 0, "timestamp": time, "key": key, "value": value | {"valid_from": time}}


def radar(time, kind="INSTALLED", limit=30, radar_id="R"):
    return registration("radars", time, radar_id=radar_id, kind=kind, radar_kind="FIXED", speed_limit_kmh=limit, place="")


def vehicle(time, kind="REGISTERED", owner="o1", plate="P"):
    return registration("vehicles", time, plate=plate, kind=kind, owner_id=owner)


def plain_schedule():
    """One period from 1970 on, with the French margins and one bracket, for readings of small times."""
    margin = {"below_kmh": 100, "minus_kmh": 5, "percent": 5}
    bracket = {"from_excess_kmh": 1, "fine_minor": 1, "points": 1, "rule": "r"}
    start = datetime(1970, 1, 1, tzinfo=timezone.utc)
    return Schedule([{"valid_from": start, "currency": "EUR", "margin": {"fixed": margin}, "bracket": [bracket]}])


class Fines(unittest.TestCase):
    """The French rules, from the texts rather than from the file: retained speed, fine in cents, points."""

    def at(self, date, measured, limit, kind="FIXED"):
        time = zones.utc_ms(datetime.fromisoformat(date), "Europe/Berlin")
        schedule = Schedule.read()
        retained = schedule.retained(measured, kind, time)
        if retained <= limit:
            return retained, None, None
        bracket = schedule.bracket(retained - limit, limit, time)
        return retained, bracket["fine_minor"], bracket["points"]

    def test_margins(self):
        self.assertEqual([self.at("2016-10-24", speed, 300)[0] for speed in (36, 99, 100, 107, 137, 138)],
                         [31, 94, 95, 101, 130, 131])
        self.assertEqual([self.at("2016-10-24", speed, 300, "MOBILE")[0] for speed in (99, 100, 117)], [89, 90, 105])

    def test_brackets_at_their_bounds(self):
        for date, excess, limit, fine, points in [
            ("2016-10-24", 1, 50, 13500, 1), ("2016-10-24", 1, 51, 6800, 1), ("2016-10-24", 19, 30, 13500, 1),
            ("2016-10-24", 20, 30, 13500, 2), ("2016-10-24", 30, 30, 13500, 3), ("2016-10-24", 40, 30, 13500, 4),
            ("2016-10-24", 49, 30, 13500, 4), ("2016-10-24", 50, 30, 150000, 6),
            ("2023-12-31T23:59:59", 4, 30, 13500, 1), ("2024-01-01", 4, 30, 13500, 0), ("2024-01-01", 5, 30, 13500, 1),
            ("2024-01-01", 4, 80, 6800, 0),
            ("2025-12-28T23:59:59", 50, 30, 150000, 6), ("2025-12-29", 50, 30, 30000, 6),
        ]:
            self.assertEqual(self.at(date, limit + excess + 5, limit)[1:], (fine, points), (date, excess, limit))

    def test_every_excess_has_one_bracket(self):
        schedule = Schedule.read()
        for period in schedule.periods:
            for limit in range(5, 140):
                for excess in range(1, 150):
                    time = zones.milliseconds(period["valid_from"].astimezone(timezone.utc).replace(tzinfo=None))
                    schedule.bracket(excess, limit, time)


class Speeding(unittest.TestCase):
    DAY = speeding.DAY_MS

    def judge(self, readings, vehicles=(vehicle(0),), radars=(radar(0),), hold_for=speeding.REMEMBERED_MS):
        return speeding.run_task(0, readings, vehicles, radars, plain_schedule(), hold_for)

    def test_lookups_are_as_of_the_reading(self):
        vehicles = [vehicle(0), vehicle(100, "TRANSFERRED", "o2"), vehicle(200, "DEREGISTERED", "o2")]
        out, _ = self.judge([passage(time) for time in (99, 100, 199, 200)], vehicles)
        self.assertEqual([row["value"]["owner_id"] for row in out["infractions"]], ["o1", "o2", "o2"])
        self.assertEqual([(row["time_ms"], row["missing"]) for row in out["held"]], [(200, "vehicle")])

    def test_what_is_before_the_schedule_is_a_dead_letter(self):
        out, _ = speeding.run_task(0, [passage(5)], [vehicle(0)], [radar(0)], Schedule.read(), 1)
        self.assertEqual([row["reason"] for row in out["dead-letters"]], ["rule"])

    def test_of_two_registrations_of_one_time_the_later_written_counts(self):
        out, _ = self.judge([passage(5)], [vehicle(0), vehicle(0, "TRANSFERRED", "o2")])
        self.assertEqual(out["infractions"][0]["value"]["owner_id"], "o2")

    def test_a_limit_is_of_its_time_and_an_unknown_radar_holds(self):
        radars = [radar(10, limit=30), radar(20, "CHANGED", 60), radar(30, "REMOVED")]
        out, under = self.judge([passage(time) for time in (9, 10, 20, 30)], radars=radars)
        self.assertEqual([row["time_ms"] for row in out["infractions"]], [10])
        self.assertEqual([(row["time_ms"], row["missing"]) for row in out["held"]], [(9, "radar"), (30, "radar")])
        self.assertEqual(under, 1)

    def test_the_margin_decides_and_an_unknown_vehicle_under_the_limit_is_not_held(self):
        out, under = self.judge([passage(1, 35), passage(2, 36), passage(3, 35, "X"), passage(4, 36, "X")])
        self.assertEqual([row["value"]["excess_kmh"] for row in out["infractions"]], [1])
        self.assertEqual((under, len(out["held"])), (2, 1))

    def test_the_same_reading_again_is_a_duplicate_while_it_is_remembered(self):
        month = 30 * self.DAY
        out, under = self.judge([passage(0), passage(0), passage(month, 20, sequence=2), passage(0),
                                 passage(month + 1, 20, sequence=3), passage(0)])
        self.assertEqual([len(out[name]) for name in ("infractions", "duplicates", "late")], [1, 2, 1])
        self.assertEqual(under, 2)

    def test_an_id_with_other_content_is_refused_while_it_is_remembered(self):
        month = 30 * self.DAY
        out, under = self.judge([passage(5), passage(5, 70), passage(5), passage(5 + month, 20, sequence=2), passage(5, 71),
                                 passage(6 + month, 20, sequence=3), passage(5, 72)])
        self.assertEqual([row["reason"] for row in out["dead-letters"]], ["id-reused"] * 2)
        self.assertEqual([len(out[name]) for name in ("infractions", "duplicates", "late")], [1, 1, 1])

    def test_a_reading_under_its_limit_is_let_go_and_judged_anew(self):
        out, under = self.judge([passage(5, 35), passage(5, 35), passage(5, 60), passage(5, 35)])
        self.assertEqual(under, 2)
        self.assertEqual([len(out[name]) for name in ("infractions", "duplicates", "dead-letters")], [1, 0, 1])

    def test_what_was_given_up_stays_remembered(self):
        unknown = [passage(5, plate="X"), passage(106, 20)]
        out, _ = self.judge([*unknown, passage(5, plate="X"), passage(5, 61, plate="X")], hold_for=100)
        self.assertEqual([row["reason"] for row in out["dead-letters"]], ["unidentified", "id-reused"])
        self.assertEqual(len(out["duplicates"]), 1)

    def test_what_is_held_is_remembered_for_as_long(self):
        later = [passage(5, plate="X"), passage(6 + 30 * self.DAY, 20)]
        out, _ = self.judge([*later, passage(5, plate="X")], hold_for=45 * self.DAY)
        self.assertEqual([len(out[name]) for name in ("held", "duplicates", "late")], [1, 1, 0])

    def test_what_comes_unknown_past_its_hold_is_given_up_at_once(self):
        out, _ = self.judge([passage(106, 20), passage(5, plate="X")], hold_for=100)
        self.assertEqual([row["reason"] for row in out["dead-letters"]], ["unidentified"])
        self.assertEqual(out["held"], [])

    def test_what_is_held_too_long_is_unidentified(self):
        readings = [passage(5, plate="X"), passage(3, plate="X", sequence=2), passage(105, 20), passage(106, 20, sequence=9)]
        self.assertEqual(len(self.judge(readings[:3], hold_for=100)[0]["held"]), 1)
        dead = self.judge(readings, hold_for=100)[0]["dead-letters"]
        self.assertEqual([(row["time_ms"], row["reason"]) for row in dead], [(3, "unidentified"), (5, "unidentified")])


class InForce(unittest.TestCase):
    def owners(self, readings, vehicles=(vehicle(0),), radars=(radar(0),)):
        topics = {"readings": {0: readings}, "vehicles": {0: vehicles}, "radars": {0: radars}}
        return [row["value"]["owner_id"] for row in speeding.in_force(topics, plain_schedule())]

    def test_it_is_what_comes_out_when_registrations_come_first(self):
        topics = records.by_topic(derive.derive_readings(MOERS, 1))
        everything, _ = speeding.run(topics, Schedule.read())
        expected = sorted((row["value"] for row in everything["infractions"]), key=lambda value: value["infraction_id"])
        found = [row["value"] | speeding.FIRST_EVENT for row in speeding.in_force(topics, Schedule.read())]
        self.assertEqual(found, expected)

    def test_of_an_id_the_first_reading_that_is_remembered_counts(self):
        self.assertEqual(self.owners([passage(5, 35), passage(5, 60), passage(5, 70)]), ["o1"])
        self.assertEqual(self.owners([passage(31 * speeding.DAY_MS, 20), passage(5)]), [])

    def test_of_two_registrations_of_one_time_the_greater_place_counts(self):
        two = {0: [radar(0, limit=30)], 1: [radar(0, limit=90)]}
        topics = {"readings": {0: [passage(5)]}, "vehicles": {0: [vehicle(0)]}, "radars": two}
        self.assertEqual(speeding.in_force(topics, plain_schedule()), [])


class InfractionId(unittest.TestCase):
    def test_it_is_the_digest_of_the_content(self):
        # printf '\0\0\0\1R\0\0\0\10\0\0\0\0\0\0\0\5\0\0\0\1P\0\0\0\10\0\0\0\0\0\0\0\1' | sha256sum
        self.assertEqual(speeding.infraction_id(passage(5)["value"]), "94b5cc705bbb458d28aef1edb213a713")


class Derive(unittest.TestCase):
    def test_the_same_seed_gives_the_same_input_and_another_one_another(self):
        first, again, other = (derive.derive_invoices(RETAIL, seed) for seed in (1, 1, 2))
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)

    def test_invoices_are_as_difficult_as_promised(self):
        rows = derive.derive_invoices(RETAIL, 1)
        sound = [row for row in rows if not records.bad(by_default(row))]
        numbers = [row["value"]["invoice_id"] for row in sound]
        self.assertTrue(all(len(part) == 2 for part in homes(derive.customers()).values()))
        self.assertTrue(8 <= 1000 * (len(numbers) - len(set(numbers))) // len(numbers) <= 12)
        windows = {}
        for row in sound:
            windows.setdefault((row["key"], row["time_ms"] // 5000), set()).add(row["value"]["invoice_id"])
        self.assertGreaterEqual(min(len(window) for window in windows.values()), 5)
        self.assertEqual({kafka.partition(key, 4) for key, _ in windows}, {0, 1, 2, 3})

    def test_corrections_are_of_every_kind_and_except_nothing(self):
        rows = derive.derive_corrections(MOERS, 1)
        places = {"radars": [], "vehicles": [], "readings": []}
        for place, row in enumerate(rows):
            places.get(row["topic"], []).append((place, row))
        plain = derive.derive_readings(MOERS, 1)
        registrations = lambda rows: sorted(str(row) for row in rows if row["topic"] != "readings")
        self.assertEqual(registrations(rows), registrations(plain))
        # No reading is forgotten before the last registration: the jump comes behind it.
        last = max(place for topic in ("radars", "vehicles") for place, _ in places[topic])
        self.assertTrue(all(row["time_ms"] < derive.START + 20 * derive.HOUR_MS * 24 for place, row in places["readings"]
                            if place < last and not records.bad(by_default(row))))
        # No limit is known at any moment that is higher than the one that counts in the end.
        events = {}
        for _, row in places["radars"]:
            events.setdefault(row["key"], []).append(row["value"])
        for key, of_radar in events.items():
            for known in range(1, len(of_radar)):
                for time in (event["valid_from"] for event in of_radar):
                    before, after = (speeding.as_of({key: part}, key, time) for part in (of_radar[:known], of_radar))
                    if before and after:
                        self.assertLessEqual(before["speed_limit_kmh"], after["speed_limit_kmh"])
        # There is something to correct: registrations come behind readings that they decide.
        self.assertGreater(sum(place > places["readings"][0][0] for place, _ in places["vehicles"]), 300)

    def test_every_kind_of_bad_record_occurs(self):
        for rows in (derive.derive_invoices(RETAIL, 1), derive.derive_readings(MOERS, 1)):
            reasons = {records.bad(by_default(row)) for row in rows} - {None}
            self.assertEqual(reasons, {"undecodable", "trailing-bytes", "wrong-magic", "unknown-schema", "null-value",
                                       "null-key", "event-time", "too-large", "rule"})


def by_default(row):
    return {"partition": 0, "timestamp": row["time_ms"]} | row


def homes(keys):
    found = {}
    for key in keys:
        found.setdefault(kafka.partition(key, 4), []).append(key)
    return found


if __name__ == "__main__":
    unittest.main()
