package tidegate.peer;

import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.GlobalKTable;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.BuiltInDslStoreSuppliers;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Readings over their radar's limit, with the vehicle's owner. The radar is looked up first: nine readings in ten end there, before
 * the larger table is asked. Both tables hold events as they came, so that their topics serve as changelogs.
 */
final class Speeding {
    /** What is taken off a measured speed: 5 km/h below 100, from there 5 per cent. */
    private static final int PERCENT_FROM_KMH = 100;
    private static final int MARGIN_KMH = 5;
    private static final int RETAINED_PERCENT = 95;

    private Speeding() {}

    private record Reading(String radarId, long measuredAt, int speedKmh) {}

    private record Offence(Reading reading, int limitKmh) {}

    static void declare(Job job, StreamsBuilder builder) {
        var bytes = Serdes.ByteArray();
        GlobalKTable<String, byte[]> radars =
                builder.globalTable(job.radars(), Consumed.with(Serdes.String(), bytes), Speeding.<String>stored(job, "radars"));
        KTable<byte[], byte[]> vehicles =
                builder.table(job.vehicles(), Consumed.with(bytes, bytes), Speeding.<byte[]>stored(job, "vehicles"));
        builder.stream(job.input(), Consumed.with(bytes, bytes))
                .mapValues(Speeding::reading)
                .join(radars, (plate, reading) -> reading.radarId(), Speeding::judged)
                .filter((plate, offence) -> offence != null)
                .join(vehicles, Speeding::infraction, Joined.keySerde(bytes))
                .to(job.output(), Produced.with(bytes, bytes));
    }

    private static <K> Materialized<K, byte[], KeyValueStore<Bytes, byte[]>> stored(Job job, String name) {
        Materialized<K, byte[], KeyValueStore<Bytes, byte[]>> stored = Materialized.as(name);
        return job.variant().inMemory() ? stored.withStoreType(BuiltInDslStoreSuppliers.IN_MEMORY) : stored;
    }

    private static Reading reading(byte[] value) {
        Datum datum = new Datum(value);
        String radarId = datum.readString();
        long measuredAt = datum.skipLong().skipString().readLong();
        return new Reading(radarId, measuredAt, datum.readInt());
    }

    private static Offence judged(Reading reading, byte[] radar) {
        int limitKmh = new Datum(radar).skipString().skipLong().skipLong().readInt();
        int speedKmh = reading.speedKmh();
        int retainedKmh = speedKmh < PERCENT_FROM_KMH ? speedKmh - MARGIN_KMH : speedKmh * RETAINED_PERCENT / 100;
        return retainedKmh > limitKmh ? new Offence(reading, limitKmh) : null;
    }

    private static byte[] infraction(Offence offence, byte[] vehicle) {
        String ownerId = new Datum(vehicle).skipString().skipLong().readString();
        Reading reading = offence.reading();
        String text = reading.radarId() + '|' + reading.measuredAt() + '|' + ownerId + '|' + reading.speedKmh() + '|' + offence.limitKmh();
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
