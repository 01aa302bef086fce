"""Margins and fines as the schedule file says them: `processors/schedules/france.toml`, whose head explains the format."""

import tomllib
from datetime import timedelta, timezone
from pathlib import Path

import zones

DEFAULT = Path(__file__).resolve().parents[2] / "processors" / "schedules" / "france.toml"


class Schedule:
    """A list of periods, each in force from its time to the next one's."""

    def __init__(self, periods):
        self.periods = sorted(periods, key=since)

    @staticmethod
    def read(path=None):
        with open(path or DEFAULT, "rb") as file:
            return Schedule(tomllib.load(file)["period"])

    def period(self, time_ms):
        """The period in force, or None before the first."""
        in_force = [period for period in self.periods if since(period) <= time_ms]
        return in_force[-1] if in_force else None

    def retained(self, measured, kind, time_ms):
        """The measured speed less the margin of the kind of radar, rounded down to whole km/h."""
        margin = self.period(time_ms)["margin"][kind.lower()]
        if measured < margin["below_kmh"]:
            return measured - margin["minus_kmh"]
        return measured * (100 - margin["percent"]) // 100

    def bracket(self, excess, limit, time_ms):
        """What an excess costs at a limit: the one bracket that covers both, with the period's currency."""
        period = self.period(time_ms)
        [found] = [bracket for bracket in period["bracket"] if covers(bracket, excess, limit)]
        return {name: found[name] for name in ("fine_minor", "points", "rule")} | {"currency": period["currency"]}


def since(period):
    utc = period["valid_from"].astimezone(timezone.utc).replace(tzinfo=None)
    return (utc - zones.EPOCH) // timedelta(milliseconds=1)


def covers(bracket, excess, limit):
    in_excess = bracket["from_excess_kmh"] <= excess < bracket.get("to_excess_kmh", excess + 1)
    return in_excess and bracket.get("limit_over_kmh", 0) < limit <= bracket.get("limit_up_to_kmh", limit)
