package tidegate.peer;

import java.io.Serializable;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.sink.TransactionNamingStrategy;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetResetStrategy;

/** Topics as Flink's sources and sinks, read committed and written exactly once. */
final class Topics {
    /** At most the broker's `transaction.max.timeout.ms`, 15 minutes by default; the sink's own default of an hour is refused. */
    private static final String TRANSACTION_TIMEOUT_MS = "600000";

    private Topics() {}

    /** Makes of a record what the job needs, where the record is read. */
    interface Decode<T> extends Serializable {
        T apply(ConsumerRecord<byte[], byte[]> record);
    }

    static <T> KafkaSource<T> source(Job job, String topic, Class<T> type, Decode<T> decode) {
        return KafkaSource.<T>builder()
                .setBootstrapServers(job.brokers())
                .setGroupId(job.app())
                .setTopics(topic)
                .setStartingOffsets(OffsetsInitializer.committedOffsets(OffsetResetStrategy.EARLIEST))
                .setDeserializer(new Decoder<>(type, decode))
                .setProperty("isolation.level", "read_committed")
                .build();
    }

    static KafkaSink<Result> sink(Job job) {
        return KafkaSink.<Result>builder()
                .setBootstrapServers(job.brokers())
                .setRecordSerializer(KafkaRecordSerializationSchema.<Result>builder()
                        .setTopic(job.output())
                        .setKeySerializationSchema(new Key())
                        .setValueSerializationSchema(new Value())
                        .build())
                .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
                .setTransactionalIdPrefix(job.app())
                .setTransactionNamingStrategy(TransactionNamingStrategy.POOLING)
                .setProperty("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS)
                .build();
    }

    /** A class, not a lambda: the builder asks for its type arguments. */
    private static final class Key implements SerializationSchema<Result> {
        private static final long serialVersionUID = 1;

        @Override
        public byte[] serialize(Result result) {
            return result.key;
        }
    }

    private static final class Value implements SerializationSchema<Result> {
        private static final long serialVersionUID = 1;

        @Override
        public byte[] serialize(Result result) {
            return result.value;
        }
    }

    private static final class Decoder<T> implements KafkaRecordDeserializationSchema<T> {
        private static final long serialVersionUID = 1;

        private final Class<T> type;
        private final Decode<T> decode;

        Decoder(Class<T> type, Decode<T> decode) {
            this.type = type;
            this.decode = decode;
        }

        @Override
        public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<T> collector) {
            collector.collect(decode.apply(record));
        }

        @Override
        public TypeInformation<T> getProducedType() {
            return TypeInformation.of(type);
        }
    }
}
