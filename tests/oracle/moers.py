"""Moers, Römerstraße: from the radar's lines to readings, and from readings and registrations to infractions.

    moers.py facts       --file moers-roemerstrasse-30kmh.txt
    moers.py over        --file …  [--schedule france.toml] --out DIRECTORY
    moers.py infractions --dump topics.jsonl [--schedule france.toml] [--hold-for-days 30] --out DIRECTORY
    moers.py in-force    --dump topics.jsonl [--schedule france.toml] --out DIRECTORY

The file has no plates: which vehicle passed is the producer's choice. So `over` gives what can be known from the file alone (every
reading whose retained speed is over 30 km/h, with its fine), and `infractions` takes the records of the topics `radars`, `vehicles` and
`readings` as they stand in the log and judges them. `in-force` gives only what is in force in the end, whenever the registrations came.
"""

import argparse
import json
from collections import Counter
from datetime import datetime, timedelta

import records
import speeding
import zones
from retail import save
from schedule import Schedule

ZONE = "Europe/Berlin"
LIMIT_KMH = 30


def readings(path):
    """`dd.mm.yy hh:mm:ss;00;speed;length;direction`, CRLF; lines are numbered from 1."""
    found = []
    with open(path, encoding="ascii", newline="") as file:
        for number, line in enumerate(file.read().split("\r\n"), start=1):
            if not line:
                continue
            when, _, speed, _, _ = line.split(";")
            local = datetime.strptime(when, "%d.%m.%y %H:%M:%S")
            found.append({"line": number, "measured_at": zones.utc_ms(local, ZONE), "speed_kmh": int(speed)})
    return found


def facts(all_readings, schedule):
    speeds = [reading["speed_kmh"] for reading in all_readings]
    return {
        "readings": len(speeds),
        "over_the_limit_as_measured": sum(speed > LIMIT_KMH for speed in speeds),
        "over_the_limit_as_retained": sum(retained(reading, schedule) > LIMIT_KMH for reading in all_readings),
        "fastest_kmh": max(speeds),
        "of_each_day": dict(Counter(day_of(reading) for reading in all_readings)),
    }


def retained(reading, schedule):
    return schedule.retained(reading["speed_kmh"], "FIXED", reading["measured_at"])


def day_of(reading):
    # Berlin's summer time, in force on all three days of the file.
    return str((zones.EPOCH + timedelta(milliseconds=reading["measured_at"], hours=2)).date())


def over(all_readings, schedule):
    """What the file alone decides of every infraction, in the order of the file."""
    rows = []
    for reading in all_readings:
        excess = retained(reading, schedule) - LIMIT_KMH
        if excess <= 0:
            continue
        bracket = schedule.bracket(excess, LIMIT_KMH, reading["measured_at"])
        rows.append(
            {
                "line": reading["line"],
                "measured_at": reading["measured_at"],
                "measured_speed_kmh": reading["speed_kmh"],
                "retained_speed_kmh": LIMIT_KMH + excess,
                "speed_limit_kmh": LIMIT_KMH,
                "excess_kmh": excess,
                "fine_minor": bracket["fine_minor"],
                "currency": bracket["currency"],
                "points": bracket["points"],
                "rule": bracket["rule"],
            }
        )
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["facts", "over", "infractions", "in-force"])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--file", help="the real file or an excerpt")
    source.add_argument("--dump", help="records of the topics as JSON lines")
    parser.add_argument("--schedule", help="a schedule of fines; default: the French one of the processors")
    parser.add_argument("--hold-for-days", type=int, default=30)
    parser.add_argument("--out", help="a directory")
    options = parser.parse_args()
    schedule = Schedule.read(options.schedule)
    if options.what == "facts":
        print(json.dumps(facts(readings(options.file), schedule), indent=1))
    elif options.what == "over":
        rows = over(readings(options.file), schedule)
        save(options.out, {"over": rows}, facts(readings(options.file), schedule))
    elif options.what == "in-force":
        rows = speeding.in_force(records.by_topic(records.read_lines(options.dump)), schedule)
        fines = sum(row["value"]["fine_minor"] for row in rows)
        save(options.out, {"in-force": rows}, {"in_force": len(rows), "fine_minor": fines})
    else:
        topics = records.by_topic(records.read_lines(options.dump))
        save(options.out, *speeding.run(topics, schedule, options.hold_for_days * speeding.DAY_MS))


if __name__ == "__main__":
    main()
