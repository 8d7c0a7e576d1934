"""Typed steps: what each takes and returns is checked, and shown by `GET /activities`."""

from __future__ import annotations

from typing import Literal

import msgspec

from flowmgr import activity

PLACES = {"n1": "roof", "n2": "cellar"}


class RawReading(msgspec.Struct, forbid_unknown_fields=True):
    """What a sensor has sent."""

    sensor: str
    value: float
    unit: Literal["C", "F"]


class Reading(msgspec.Struct):
    """The same in degrees Celsius."""

    sensor: str
    celsius: float


class LocatedReading(Reading):
    """A reading, and where it was taken."""

    place: str


class Summary(msgspec.Struct):
    """A day in numbers."""

    day: str
    count: int
    mean: float
    places: dict[str, int]


@activity
def parse_reading(raw: RawReading) -> Reading:
    celsius = raw.value if raw.unit == "C" else (raw.value - 32) / 1.8
    return Reading(raw.sensor, round(celsius, 3))


@activity
async def locate_reading(reading: Reading) -> LocatedReading:
    place = PLACES.get(reading.sensor, "unknown")
    return LocatedReading(reading.sensor, reading.celsius, place)


@activity
async def summarise_readings(day: str, readings: list[LocatedReading]) -> Summary:
    places: dict[str, int] = {}
    for reading in readings:
        places[reading.place] = places.get(reading.place, 0) + 1
    mean = sum(reading.celsius for reading in readings) / len(readings)
    return Summary(day, len(readings), round(mean, 2), places)
