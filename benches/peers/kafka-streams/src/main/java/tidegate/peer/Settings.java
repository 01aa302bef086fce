package tidegate.peer;

import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.streams.StreamsConfig;

/** Kafka Streams' settings: exactly once, and what the README's trials found best. */
final class Settings {
    /** How often closed windows are looked for, in milliseconds of the clock: 1000. An internal setting, which no documentation names. */
    private static final String EMIT_INTERVAL_MS = StreamsConfig.InternalConfig.EMIT_INTERVAL_MS_KSTREAMS_WINDOWED_AGGREGATION;

    private Settings() {}

    static Properties of(Job job) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, job.app());
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, job.brokers());
        settings.put(StreamsConfig.STATE_DIR_CONFIG, job.stateDir());
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, job.commitMs());
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, job.threads());
        settings.put(StreamsConfig.TOPOLOGY_OPTIMIZATION_CONFIG, StreamsConfig.OPTIMIZE);
        if (job.variant().prompt()) {
            settings.put(EMIT_INTERVAL_MS, 0L);
        }
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        settings.put(StreamsConfig.mainConsumerPrefix(ConsumerConfig.GROUP_INSTANCE_ID_CONFIG), instanceId(job));
        return settings;
    }

    /**
     * A static member: after SIGKILL the next process takes its place at once, where the group would otherwise wait until the session of
     * the dead one has passed. The directory of its state tells one instance from another and stays over a restart.
     */
    private static String instanceId(Job job) {
        return job.app() + "-" + Integer.toHexString(job.stateDir().hashCode());
    }
}
