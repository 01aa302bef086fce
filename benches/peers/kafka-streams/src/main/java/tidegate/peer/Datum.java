package tidegate.peer;

import java.nio.charset.StandardCharsets;

/**
 * Reads fields of an Avro datum in Confluent's framing where they stand: nothing is allocated for what is skipped, and no generic
 * record is built. Fields are asked for in the order of the schema.
 */
final class Datum {
    /** A zero byte and the schema's id stand before the datum. */
    private static final int FRAMING = 5;

    private final byte[] bytes;
    private int at = FRAMING;

    Datum(byte[] bytes) {
        this.bytes = bytes;
    }

    /** A varint, which is also how Avro writes an int and the index of an enum's symbol. */
    long readLong() {
        long zigzag = 0;
        int shift = 0;
        byte next;
        do {
            next = bytes[at++];
            zigzag |= (next & 0x7fL) << shift;
            shift += 7;
        } while (next < 0);
        return (zigzag >>> 1) ^ -(zigzag & 1);
    }

    int readInt() {
        return (int) readLong();
    }

    String readString() {
        int length = readInt();
        String text = new String(bytes, at, length, StandardCharsets.UTF_8);
        at += length;
        return text;
    }

    Datum skipString() {
        int length = readInt();
        at += length;
        return this;
    }

    Datum skipLong() {
        while (bytes[at++] < 0) {
            // A byte below 128 is a varint's last.
        }
        return this;
    }
}
