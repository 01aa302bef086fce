"""Runs the totals on Quix Streams, exactly once, until SIGTERM."""

import os
import struct

from quixstreams import Application
from quixstreams.models.serializers import Deserializer

FRAMING = 5
RESULT = struct.Struct(">qqq")


class AmountMinor(Deserializer):
    """The one field that is needed, read where it stands in the framed Avro datum: nothing else is decoded or built."""

    def __call__(self, value, ctx):
        at = FRAMING
        # A string is its length and its bytes. Both ids are shorter than 64 bytes, so that a length is one byte of twice its value.
        at += 1 + (value[at] >> 1)
        at += 1 + (value[at] >> 1)
        while value[at] > 127:
            at += 1
        at += 1
        zigzag = shift = 0
        while True:
            byte = value[at]
            zigzag |= (byte & 127) << shift
            if byte < 128:
                return (zigzag >> 1) ^ -(zigzag & 1)
            at += 1
            shift += 7


def first(amount_minor):
    return [1, amount_minor]


def add(total, amount_minor):
    return [total[0] + 1, total[1] + amount_minor]


def result(window):
    count, amount_minor = window["value"]
    return RESULT.pack(window["start"], count, amount_minor)


def main():
    job = os.environ["BENCH_JOB"]
    if job != "totals":
        raise SystemExit(f"error: `BENCH_JOB` is `{job}`; the peer quix does totals")
    app = Application(
        broker_address=os.environ["BENCH_BROKERS"],
        consumer_group=os.environ["BENCH_APP"],
        auto_offset_reset="earliest",
        commit_interval=int(os.environ["BENCH_COMMIT_MS"]) / 1000,
        processing_guarantee="exactly-once",
        state_dir=os.environ["BENCH_STATE"],
        loglevel="WARNING",
        # Drawn at random by default: a restart would wait until the broker gives up the transaction of the one that was killed.
        producer_extra_config={"transactional.id": os.environ["BENCH_APP"]},
    )
    invoices = app.topic(os.environ["BENCH_INPUT"], key_deserializer="bytes", value_deserializer=AmountMinor())
    totals = app.topic(os.environ["BENCH_OUTPUT"], key_serializer="bytes", value_serializer="bytes")
    (
        app.dataframe(invoices)
        .tumbling_window(int(os.environ["BENCH_WINDOW_MS"]))
        .reduce(reducer=add, initializer=first)
        # By key, a window would wait for its customer's next invoice; the others close it with the partition's time.
        .final(closing_strategy="partition")
        .apply(result)
        .to_topic(totals)
    )
    app.run()


if __name__ == "__main__":
    main()
