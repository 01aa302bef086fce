package tidegate.peer;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.DataStreamUtils;
import org.apache.flink.streaming.api.datastream.KeyedStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/** Count and sum per customer and tumbling window, no lateness allowed, emitted when the watermark passes the window's end. */
final class Totals {
    private static final int RESULT_BYTES = 24;

    private Totals() {}

    /** What is needed of an invoice. Public, with public fields: so Flink knows it for a POJO and needs no reflection per record. */
    public static class Amount {
        public String customer;
        public long amountMinor;
    }

    /** The state of a window. */
    public static class Total {
        public long count;
        public long amountMinor;
    }

    static void declare(Job job, StreamExecutionEnvironment flink) {
        DataStream<Amount> amounts = flink.fromSource(
                Topics.source(job, job.input(), Amount.class, Totals::amount), WatermarkStrategy.forMonotonousTimestamps(), "invoices");
        keyed(job, amounts)
                .window(TumblingEventTimeWindows.of(Duration.ofMillis(job.windowMs())))
                .aggregate(new Sum(), new Emit())
                .sinkTo(Topics.sink(job));
    }

    /**
     * With one task, everything of a key is in that task already: saying so keeps source, window and sink in one thread, and no record
     * is serialized on its way.
     */
    private static KeyedStream<Amount, String> keyed(Job job, DataStream<Amount> amounts) {
        if (job.threads() == 1) {
            return DataStreamUtils.reinterpretAsKeyedStream(amounts, amount -> amount.customer);
        }
        return amounts.keyBy(amount -> amount.customer);
    }

    private static Amount amount(ConsumerRecord<byte[], byte[]> record) {
        Amount amount = new Amount();
        amount.customer = new String(record.key(), StandardCharsets.UTF_8);
        amount.amountMinor = new Datum(record.value()).skipString().skipString().skipLong().readLong();
        return amount;
    }

    private static final class Sum implements AggregateFunction<Amount, Total, Total> {
        private static final long serialVersionUID = 1;

        @Override
        public Total createAccumulator() {
            return new Total();
        }

        @Override
        public Total add(Amount amount, Total total) {
            total.count += 1;
            total.amountMinor += amount.amountMinor;
            return total;
        }

        @Override
        public Total getResult(Total total) {
            return total;
        }

        @Override
        public Total merge(Total one, Total other) {
            one.count += other.count;
            one.amountMinor += other.amountMinor;
            return one;
        }
    }

    private static final class Emit extends ProcessWindowFunction<Total, Result, String, TimeWindow> {
        private static final long serialVersionUID = 1;

        @Override
        public void process(String customer, Context context, Iterable<Total> totals, Collector<Result> results) {
            Total total = totals.iterator().next();
            Result result = new Result();
            result.key = customer.getBytes(StandardCharsets.UTF_8);
            result.value = ByteBuffer.allocate(RESULT_BYTES)
                    .putLong(context.window().getStart())
                    .putLong(total.count)
                    .putLong(total.amountMinor)
                    .array();
            results.collect(result);
        }
    }
}
