package tidegate.peer;

import java.time.Duration;
import java.util.Properties;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;

/** Runs one job on Kafka Streams, exactly once, until SIGTERM. */
public final class Peer {
    /** Less than the ten seconds after which the harness kills. */
    private static final Duration CLOSE_WITHIN = Duration.ofSeconds(8);

    private Peer() {}

    public static void main(String[] arguments) {
        Job job = Job.from(System.getenv());
        Properties settings = Settings.of(job);
        StreamsBuilder builder = new StreamsBuilder();
        switch (job.name()) {
            case "totals" -> Totals.declare(job, builder);
            case "speeding" -> Speeding.declare(job, builder);
            default -> throw new IllegalArgumentException("`BENCH_JOB` is `" + job.name() + "`; the peer kafka-streams does totals and speeding");
        }
        KafkaStreams streams = new KafkaStreams(builder.build(settings), settings);
        // A run that has failed must end, or the harness waits for offsets that never come.
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.ERROR) {
                Runtime.getRuntime().halt(1);
            }
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(CLOSE_WITHIN)));
        streams.start();
    }
}
