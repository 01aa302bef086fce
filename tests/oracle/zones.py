"""Local time to UTC, without a time zone database: the European Union's rule, in force unchanged since 1996.

Clocks go forward on the last Sunday of March at 01:00 UTC and back on the last Sunday of October at 01:00 UTC, everywhere at
once. Both real files lie within those years.
"""

from datetime import date, datetime, timedelta

WINTER_HOURS = {"Europe/London": 0, "Europe/Berlin": 1}
EPOCH = datetime(1970, 1, 1)


def last_sunday(year: int, month: int) -> datetime:
    """01:00 on the last Sunday of a month of 31 days."""
    day = date(year, month, 31)
    while day.isoweekday() != 7:
        day -= timedelta(days=1)
    return datetime(year, month, day.day, 1)


def is_summer(utc: datetime) -> bool:
    return last_sunday(utc.year, 3) <= utc < last_sunday(utc.year, 10)


def utc_ms(local: datetime, zone: str) -> int:
    """UTC milliseconds of a wall clock's time. A time that was struck twice is the first; one that was skipped is an error."""
    assert local.year >= 1996
    if zone == "UTC":
        return milliseconds(local)
    for hours in (WINTER_HOURS[zone] + 1, WINTER_HOURS[zone]):  # summer first: it comes first where both fit
        utc = local - timedelta(hours=hours)
        if is_summer(utc) == (hours == WINTER_HOURS[zone] + 1):
            return milliseconds(utc)
    raise ValueError(f"{local} does not exist in {zone}")


def milliseconds(utc: datetime) -> int:
    return (utc - EPOCH) // timedelta(milliseconds=1)


def business_day(day: date, zone: str) -> tuple[int, int]:
    """The first millisecond of a day and the first behind it. (Midnight always exists in these zones.)"""
    midnight = datetime(day.year, day.month, day.day)
    return utc_ms(midnight, zone), utc_ms(midnight + timedelta(days=1), zone)
