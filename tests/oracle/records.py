"""Records as JSON lines, and what is wrong with them (law 14).

One line is one record, in one of two forms:

- a dump, as `tidegate topics tail --format json` prints it: `topic`, `partition`, `offset`, `timestamp`, `key`, `value`; a record
  that cannot be decoded has `error` (its reason) and `raw_base64` instead of `value`;
- an input, as `derive.py` writes it, to be loaded into an empty log: `topic`, `key` (text or null), `time_ms` (the record's
  timestamp), and one of `value` (to be encoded by the topic's schema), `raw_base64` (the value as it is) and `datum_base64` (to be put
  behind the wire format's header with the id of the topic's schema). `partition` stands only where there is no key to choose it.

An input becomes a dump by giving every record the next offset of its partition.
"""

import base64
import gzip
import io
import json
import re
import sys
from collections import defaultdict

import avro
import kafka

PARTITIONS = {"radars": 1, "owners": 1}
DEFAULT_PARTITIONS = 4
BROADCAST = {"radars"}  # read whole, so it does not matter where a record stands
VALUE_MAX_BYTES = 1_000_000
HEADER_BYTES = 5
MAX_EVENT_TIME = 4_102_444_800_000  # 2100-01-01
TIME_FIELD = {"invoices": "issued_at", "readings": "measured_at", "radars": "valid_from", "vehicles": "valid_from"}
KEY_FIELD = {"invoices": "customer_id", "readings": "plate", "vehicles": "plate", "radars": "radar_id"}


def read_lines(path):
    opener = gzip.open if str(path).endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def dump_text(rows) -> str:
    """Compact, keys in the order they were put in, one row a line."""
    return "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)


def write_lines(path, rows):
    """Gzip without name or time, so that the same rows give the same file."""
    data = dump_text(rows).encode("utf-8")
    if str(path) == "-":
        sys.stdout.write(data.decode("utf-8"))
        return
    if str(path).endswith(".gz"):
        packed = io.BytesIO()
        with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as out:
            out.write(data)
        data = packed.getvalue()
    with open(path, "wb") as out:
        out.write(data)


def by_topic(rows, partitions=None):
    """{topic: {partition: [records in offset order]}}; fills in what an input leaves open."""
    partitions = PARTITIONS | (partitions or {})
    topics = defaultdict(lambda: defaultdict(list))
    for row in rows:
        record = dict(row)
        count = partitions.get(record["topic"], DEFAULT_PARTITIONS)
        if "partition" not in record:
            record["partition"] = kafka.partition(record["key"], count)
        if record.get("key") is not None and record["topic"] not in BROADCAST:
            record["home"] = kafka.partition(record["key"], count)
        record.setdefault("timestamp", record.get("time_ms"))
        topics[record["topic"]][record["partition"]].append(record)
    for numbers in topics.values():
        for records in numbers.values():
            if any("offset" in record for record in records):
                records.sort(key=lambda record: record["offset"])
            for offset, record in enumerate(records):
                record.setdefault("offset", offset)
    return topics


def bad(record, max_event_time=MAX_EVENT_TIME):
    """The reason why a record cannot be processed, or None. Size comes first: a value too large is not even looked into."""
    reason = value_fault(record)
    if reason is None and record.get("key") is None:
        reason = "null-key"
    field = TIME_FIELD.get(record["topic"])
    if reason is None and field and not 0 <= record["value"][field] <= max_event_time:
        reason = "event-time"
    if reason is None and not sensible(record):
        reason = "rule"
    return reason


def unfit(record):
    """The same for a processor, which also asks where the record stands: murmur2 gives its key another partition, its `home`."""
    reason = bad(record)
    is_elsewhere = record.get("home", record["partition"]) != record["partition"]
    return "wrong-partition" if is_elsewhere and reason != "too-large" else reason


def sensible(record):
    """The rules of the domain, but for the schedule's: what cannot be true of an invoice, a reading or a registration."""
    value = record["value"]
    field = KEY_FIELD.get(record["topic"])
    in_force = value.get("kind") not in ("REMOVED", "DEREGISTERED")
    return (
        (field is None or record["key"] == value[field])
        and re.fullmatch("[A-Z]{3}", value.get("currency", "GBP")) is not None
        and value.get("invoice_id", "number") != ""
        and 0 <= value.get("speed_kmh", 0) <= 400
        and (not in_force or value.get("speed_limit_kmh", 1) >= 1)
        and (not in_force or value.get("owner_id", "owner") != "")
    )


def value_fault(record):
    if "error" in record:
        return record["error"]
    if "datum_base64" in record:
        return datum_fault(record["topic"], base64.b64decode(record["datum_base64"]))
    if "raw_base64" in record:
        return raw_fault(base64.b64decode(record["raw_base64"]))
    if record.get("value") is None:
        return "null-value"
    datum = avro.encode(avro.schema_of(record["topic"]), record["value"])
    return "too-large" if HEADER_BYTES + len(datum) > VALUE_MAX_BYTES else None


def raw_fault(value: bytes):
    """Of raw values only the header is judged: which ids are registered is not known here, so a raw value with a whole
    header must name one that never is."""
    if len(value) > VALUE_MAX_BYTES:
        return "too-large"
    if not value:
        return "undecodable"
    if value[0] != 0:
        return "wrong-magic"
    return "unknown-schema" if len(value) >= HEADER_BYTES else "undecodable"


def datum_fault(topic, datum: bytes):
    if HEADER_BYTES + len(datum) > VALUE_MAX_BYTES:
        return "too-large"
    try:
        _, rest = avro.decode(avro.schema_of(topic), datum)
    except avro.Undecodable:
        return "undecodable"
    if not rest:
        raise ValueError("a sound datum must be given as `value`")
    return "trailing-bytes"


def dead_letter(record, reason):
    """What is compared of a dead letter: where it stands, its key, its log time and its reason."""
    return {
        "partition": record["partition"],
        "key": record["key"],
        "time_ms": record["timestamp"],
        "topic": record["topic"],
        "reason": reason,
    }


def origin(record):
    """What is compared of a late or a doubled record: the record itself."""
    return {
        "partition": record["partition"],
        "key": record["key"],
        "time_ms": record["timestamp"],
        "topic": record["topic"],
        "value": record["value"],
    }
