package tidegate.peer;

import java.nio.ByteBuffer;
import java.time.Duration;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.EmitStrategy;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.TimeWindowedKStream;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.state.BuiltInDslStoreSuppliers;
import org.apache.kafka.streams.state.WindowStore;

/** Count and sum per customer and tumbling window, grace 0, emitted on close. Keys and values stay bytes from the topic to the store. */
final class Totals {
    private static final int STATE_BYTES = 16;
    private static final int RESULT_BYTES = 24;
    /**
     * Closed windows are looked for once a second of the clock, and by default the store drops what is a window's length behind: catching
     * up, most of them before they are looked for. More than an hour of records' time cannot be read in a second.
     */
    private static final Duration RETENTION = Duration.ofHours(1);
    private static final byte[] NOTHING = new byte[STATE_BYTES];

    private Totals() {}

    static void declare(Job job, StreamsBuilder builder) {
        var bytes = Serdes.ByteArray();
        TimeWindowedKStream<byte[], byte[]> windows = builder
                .stream(job.input(), Consumed.with(bytes, bytes))
                .groupByKey(Grouped.with(bytes, bytes))
                .windowedBy(TimeWindows.ofSizeWithNoGrace(Duration.ofMillis(job.windowMs())));
        closed(job, windows)
                .toStream()
                .map((window, total) -> KeyValue.pair(window.key(), result(window.window().start(), total)))
                .to(job.output(), Produced.with(bytes, bytes));
    }

    /** Kafka Streams has two ways to show a window when it closes, and only then. */
    private static KTable<Windowed<byte[]>, byte[]> closed(Job job, TimeWindowedKStream<byte[], byte[]> windows) {
        if (job.variant().suppress()) {
            return sums(windows, stored(job)).suppress(Suppressed.untilWindowCloses(Suppressed.BufferConfig.unbounded()));
        }
        return sums(windows.emitStrategy(EmitStrategy.onWindowClose()), stored(job).withRetention(RETENTION));
    }

    private static KTable<Windowed<byte[]>, byte[]> sums(
            TimeWindowedKStream<byte[], byte[]> windows, Materialized<byte[], byte[], WindowStore<Bytes, byte[]>> stored) {
        return windows.aggregate(() -> NOTHING, (customer, invoice, total) -> add(total, amountMinor(invoice)), stored);
    }

    private static Materialized<byte[], byte[], WindowStore<Bytes, byte[]>> stored(Job job) {
        Materialized<byte[], byte[], WindowStore<Bytes, byte[]>> stored =
                Materialized.<byte[], byte[], WindowStore<Bytes, byte[]>>as("totals")
                        .withKeySerde(Serdes.ByteArray())
                        .withValueSerde(Serdes.ByteArray());
        if (job.variant().inMemory()) {
            stored = stored.withStoreType(BuiltInDslStoreSuppliers.IN_MEMORY);
        }
        return job.variant().cached() ? stored.withCachingEnabled() : stored.withCachingDisabled();
    }

    private static long amountMinor(byte[] invoice) {
        return new Datum(invoice).skipString().skipString().skipLong().readLong();
    }

    /** A new array each time: the cache and the in-memory store keep the old one. */
    private static byte[] add(byte[] total, long amountMinor) {
        ByteBuffer before = ByteBuffer.wrap(total);
        byte[] after = new byte[STATE_BYTES];
        ByteBuffer.wrap(after).putLong(before.getLong() + 1).putLong(before.getLong() + amountMinor);
        return after;
    }

    private static byte[] result(long windowStartMs, byte[] total) {
        return ByteBuffer.allocate(RESULT_BYTES).putLong(windowStartMs).put(total).array();
    }
}
