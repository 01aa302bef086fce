"""Infractions straight from laws 12, 14 and 17 to 19.

`run` gives every output, record by record, for registrations that are all in the log before the readings are read: then every lookup can
be made in the finished table, as of the reading's time, nothing that is judged is changed later, and a vehicle or radar that is unknown at
a reading's time stays so. `in_force` gives what is in force in the end, for registrations that come at any time. Slow on purpose: lookups
scan, and what time forgets is looked for after every record.
"""

import hashlib
from collections import Counter

import records

DAY_MS = 86_400_000
REMEMBERED_MS = 30 * DAY_MS
# Where registrations come first, each infraction has one event, and the reading itself is its reason.
FIRST_EVENT = {"revision": 1, "state": "ISSUED", "reason": "reading"}
GONE = {"REMOVED", "DEREGISTERED"}


def as_of(events, key, time):
    """The event in force at `time`: the latest that is not after it; of equal times the one written last."""
    found = None
    for event in events.get(key, ()):
        if event["valid_from"] <= time and (found is None or event["valid_from"] >= found["valid_from"]):
            found = event
    return None if found is None or found["kind"] in GONE else found


def table_of(log, key_field, dead):
    """{key: [events in the order of the log]}; bad records are dead-lettered."""
    events = {}
    for record in log:
        reason = records.unfit(record)
        if reason:
            dead.append(records.dead_letter(record, reason))
        else:
            events.setdefault(record["value"][key_field], []).append(record["value"])
    return events


def infraction_id(reading) -> str:
    """The first 16 bytes of SHA-256 over radar, time, plate and sequence: each part behind its length in four big-endian
    bytes, numbers as eight big-endian bytes."""
    digest = hashlib.sha256()
    for part in (
        reading["radar_id"].encode("utf-8"),
        reading["measured_at"].to_bytes(8, "big", signed=True),
        reading["plate"].encode("utf-8"),
        reading["sequence"].to_bytes(8, "big", signed=True),
    ):
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.hexdigest()[:32]


def identity(reading):
    return (reading["radar_id"], reading["measured_at"], reading["plate"], reading["sequence"])


def judge(reading, radars, vehicles, schedule):
    """("infraction", value), ("under", None) or ("held", what is missing)."""
    radar = as_of(radars, reading["radar_id"], reading["measured_at"])
    if radar is None:
        return "held", "radar"
    limit = radar["speed_limit_kmh"]
    retained = schedule.retained(reading["speed_kmh"], radar["radar_kind"], reading["measured_at"])
    if retained <= limit:
        return "under", None
    vehicle = as_of(vehicles, reading["plate"], reading["measured_at"])
    if vehicle is None:
        return "held", "vehicle"
    bracket = schedule.bracket(retained - limit, limit, reading["measured_at"])
    return "infraction", {
        "infraction_id": infraction_id(reading),
        "radar_id": reading["radar_id"],
        "plate": reading["plate"],
        "owner_id": vehicle["owner_id"],
        "measured_at": reading["measured_at"],
        "measured_speed_kmh": reading["speed_kmh"],
        "retained_speed_kmh": retained,
        "speed_limit_kmh": limit,
        "excess_kmh": retained - limit,
        "fine_minor": bracket["fine_minor"],
        "currency": bracket["currency"],
        "points": bracket["points"],
        "rule": bracket["rule"],
    }


class Task:
    """One task: what it remembers of its readings, and what it has put out."""

    def __init__(self, radars, vehicles, schedule, hold_for):
        self.radars, self.vehicles, self.schedule, self.hold_for = radars, vehicles, schedule, hold_for
        self.out = {name: [] for name in ("infractions", "duplicates", "late", "dead-letters", "held")}
        self.remembered = {}  # identity -> its record; from the first judgement on, whatever becomes of it (law 12)
        self.held = {}  # identity -> what is missing
        self.stream_time, self.under = None, 0

    def take(self, record):
        reading = record["value"]
        known = self.remembered.get(identity(reading))
        if known and known["value"] == reading:
            self.out["duplicates"].append(records.origin(record))
        elif known:
            self.out["dead-letters"].append(records.dead_letter(record, "id-reused"))
        elif self.is_too_old(reading):
            self.out["late"].append(records.origin(record) | {"stream_time": self.stream_time})
        else:
            self.move_time(reading["measured_at"])
            self.judge(record)

    def judge(self, record):
        reading = record["value"]
        verdict, value = judge(reading, self.radars, self.vehicles, self.schedule)
        if verdict == "under":
            self.under += 1  # let go: not remembered, judged anew if it is sent again
            return
        self.remembered[identity(reading)] = record
        if verdict == "held":
            self.held[identity(reading)] = value
            self.give_up()
        else:
            time, value = reading["measured_at"], value | FIRST_EVENT
            row = {"partition": record["partition"], "key": reading["plate"], "time_ms": time, "value": value}
            self.out["infractions"].append(row)

    def is_too_old(self, reading):
        return self.stream_time is not None and self.stream_time > reading["measured_at"] + REMEMBERED_MS

    def move_time(self, time):
        self.stream_time = time if self.stream_time is None else max(self.stream_time, time)
        self.give_up()
        for who in [who for who, record in self.remembered.items() if self.is_too_old(record["value"])]:
            if who not in self.held:
                del self.remembered[who]

    def give_up(self):
        """Held readings that have waited too long, oldest first. They stay remembered."""
        due = [who for who in self.held if self.stream_time > self.remembered[who]["value"]["measured_at"] + self.hold_for]
        for who in sorted(due, key=lambda who: (self.remembered[who]["value"]["measured_at"], self.remembered[who]["offset"])):
            del self.held[who]
            self.out["dead-letters"].append(records.dead_letter(self.remembered[who], "unidentified"))


def run_task(task, readings, vehicle_log, radar_log, schedule, hold_for):
    """One partition of readings and vehicles, and all radars (whose bad records are task 0's)."""
    tables_dead = []
    radars = table_of(radar_log, "radar_id", tables_dead if task == 0 else [])
    vehicles = table_of(vehicle_log, "plate", tables_dead)
    state = Task(radars, vehicles, schedule, hold_for)
    state.out["dead-letters"].extend(tables_dead)
    for record in readings:
        reason = fault(record, schedule)
        if reason:
            state.out["dead-letters"].append(records.dead_letter(record, reason))
        else:
            state.take(record)
    for who, missing in state.held.items():
        state.out["held"].append(records.origin(state.remembered[who]) | {"missing": missing})
    return state.out, state.under


def fault(record, schedule):
    reason = records.unfit(record)
    if reason is None and schedule.period(record["value"]["measured_at"]) is None:
        reason = "rule"  # from before the schedule begins: nobody can say what it would cost
    return reason


def in_force(topics, schedule):
    """What is in force in the end, whenever the registrations came: all of them are seen first (laws 12 and 18).

    Only stream time and what an id is are taken from the order of the readings: of one id the first reading counts that is not under its
    limit, and a reading that is too old by those before it is not judged. What law 18 excepts is not subtracted: see `derive.py`.
    """
    radar_log = [record for number in sorted(topics["radars"]) for record in topics["radars"][number]]
    radars, found = table_of(radar_log, "radar_id", []), []
    for number, readings in sorted(topics["readings"].items()):
        vehicles = table_of(topics["vehicles"][number], "plate", [])
        stream_time, met = None, set()
        for record in readings:
            reading = record["value"] if fault(record, schedule) is None else None
            if reading is None or identity(reading) in met:
                continue
            if stream_time is not None and stream_time > reading["measured_at"] + REMEMBERED_MS:
                continue
            stream_time = max(stream_time or 0, reading["measured_at"])
            verdict, value = judge(reading, radars, vehicles, schedule)
            if verdict != "under":
                met.add(identity(reading))
            if verdict == "infraction":
                found.append({"value": value})
    return sorted(found, key=lambda row: row["value"]["infraction_id"])


def run(topics, schedule, hold_for=REMEMBERED_MS):
    """All tasks in the order of their numbers; and the counts that must add up."""
    everything = {name: [] for name in ("infractions", "duplicates", "late", "dead-letters", "held")}
    readings, vehicles = topics["readings"], topics["vehicles"]
    radar_log = [record for number in sorted(topics["radars"]) for record in topics["radars"][number]]
    under = 0
    for task in sorted(set(readings) | set(vehicles)):
        out, under_here = run_task(task, readings[task], vehicles[task], radar_log, schedule, hold_for)
        under += under_here
        for name, rows in out.items():
            everything[name].extend(rows)
    counts = {"readings": sum(len(part) for part in readings.values()), "under": under}
    counts |= {name.replace("-", "_"): len(rows) for name, rows in everything.items()}
    counts["reasons"] = dict(sorted(Counter(row["reason"] for row in everything["dead-letters"]).items()))
    of_readings = sum(row["topic"] == "readings" for row in everything["dead-letters"])
    parts = ("infractions", "duplicates", "late", "held")
    assert counts["readings"] == under + of_readings + sum(counts[part] for part in parts), counts
    return everything, counts
