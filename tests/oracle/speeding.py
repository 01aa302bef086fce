"""Infractions straight from laws 12, 14 and 17 to 19, for registrations that are all in the log before the readings are read.

Then every lookup can be made in the finished table, as of the reading's time, and nothing that is judged is changed later; a vehicle
or radar that is unknown at a reading's time stays so. (What a registration does that comes after a judgement is law 18's
second half and not computed here.) Slow on purpose: lookups scan, and what time forgets is looked for after every record.
"""

import hashlib
from collections import Counter

import records

DAY_MS = 86_400_000
REMEMBERED_MS = 30 * DAY_MS
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


def run_task(task, readings, vehicle_log, radar_log, schedule, hold_for):
    """One task: one partition of readings and vehicles, and all radars (whose bad records are task 0's)."""
    out = {name: [] for name in ("infractions", "duplicates", "late", "dead-letters", "held")}
    tables_dead = []
    radars = table_of(radar_log, "radar_id", tables_dead if task == 0 else [])
    vehicles = table_of(vehicle_log, "plate", tables_dead)
    out["dead-letters"].extend(tables_dead)
    remembered, held = {}, {}  # identity -> time it may be forgotten after; identity -> (reading, missing)
    stream_time, under = None, 0
    for record in readings:
        reason = records.unfit(record)
        if reason is None and schedule.period(record["value"]["measured_at"]) is None:
            reason = "rule"  # from before the schedule begins: nobody can say what it would cost
        if reason:
            out["dead-letters"].append(records.dead_letter(record, reason))
            continue
        reading = record["value"]
        time = reading["measured_at"]
        stream_time = time if stream_time is None else max(stream_time, time)
        for who in sorted(held, key=lambda who: (held[who][0]["value"]["measured_at"], held[who][0]["offset"])):
            if stream_time > held[who][0]["value"]["measured_at"] + hold_for:
                given_up, _ = held.pop(who)
                out["dead-letters"].append(records.dead_letter(given_up, "unidentified"))
        for who in [who for who, until in remembered.items() if stream_time > until and who not in held]:
            del remembered[who]
        if stream_time > time + REMEMBERED_MS:
            out["late"].append(records.origin(record) | {"stream_time": stream_time})
            continue
        if identity(reading) in remembered:
            out["duplicates"].append(records.origin(record))
            continue
        verdict, value = judge(reading, radars, vehicles, schedule)
        if verdict == "under":
            under += 1
            continue
        remembered[identity(reading)] = time + REMEMBERED_MS
        if verdict == "held":
            held[identity(reading)] = (record, value)
        else:
            row = {"partition": task, "key": reading["plate"], "time_ms": time, "value": value}
            out["infractions"].append(row)
    for record, missing in held.values():
        out["held"].append(records.origin(record) | {"missing": missing})
    return out, under


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
