"""Avro's binary encoding, as far as the schemas of `schemas/avro` go: records, strings, ints, longs, enums, arrays.

Only needed to make malformed values (a truncated datum is a datum first) and to say what is wrong with one.
"""

import json
from pathlib import Path

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas" / "avro"
OF_TOPIC = {
    "invoices": "invoice",
    "readings": "reading",
    "radars": "radar_event",
    "vehicles": "vehicle_event",
    "owners": "owner_event",
}


def schema_of(topic: str) -> dict:
    return json.loads((SCHEMAS / f"{OF_TOPIC[topic]}.avsc").read_text("utf-8"))


def encode(schema, value) -> bytes:
    kind = schema["type"] if isinstance(schema, dict) else schema
    if isinstance(kind, dict):
        return encode(kind, value)
    if kind == "record":
        return b"".join(encode(field["type"], value[field["name"]]) for field in schema["fields"])
    if kind in ("int", "long"):
        return varint(value)
    if kind == "string":
        return varint(len(value.encode("utf-8"))) + value.encode("utf-8")
    if kind == "enum":
        return varint(schema["symbols"].index(value))
    if kind == "array":
        items = b"".join(encode(schema["items"], item) for item in value)
        return (varint(len(value)) + items if value else b"") + varint(0)
    raise ValueError(f"no such type here: {kind}")


def varint(number: int) -> bytes:
    zigzag = number * 2 if number >= 0 else -number * 2 - 1
    out = bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)


class Undecodable(ValueError):
    """The bytes end before the datum does, or cannot be one."""


def decode(schema, data: bytes):
    """The datum at the beginning, and what is left behind it."""
    kind = schema["type"] if isinstance(schema, dict) else schema
    if isinstance(kind, dict):
        return decode(kind, data)
    if kind == "record":
        value = {}
        for field in schema["fields"]:
            value[field["name"]], data = decode(field["type"], data)
        return value, data
    if kind in ("int", "long"):
        return read_varint(data)
    if kind == "string":
        length, data = read_varint(data)
        if not 0 <= length <= len(data):
            raise Undecodable(f"a string of {length} bytes, with {len(data)} left")
        try:
            return data[:length].decode("utf-8"), data[length:]
        except UnicodeDecodeError as error:
            raise Undecodable(str(error)) from error
    if kind == "enum":
        index, data = read_varint(data)
        if not 0 <= index < len(schema["symbols"]):
            raise Undecodable(f"no symbol {index}")
        return schema["symbols"][index], data
    if kind == "array":
        items = []
        while True:
            count, data = read_varint(data)
            if count == 0:
                return items, data
            if count < 0:  # a block with its size in bytes
                count, (_, data) = -count, read_varint(data)
            for _ in range(count):
                item, data = decode(schema["items"], data)
                items.append(item)
    raise ValueError(f"no such type here: {kind}")


def read_varint(data: bytes):
    zigzag = 0
    for at, byte in enumerate(data[:10]):
        zigzag |= (byte & 0x7F) << (7 * at)
        if byte < 0x80:
            return (zigzag >> 1) ^ -(zigzag & 1), data[at + 1 :]
    raise Undecodable("the bytes end within a number")
