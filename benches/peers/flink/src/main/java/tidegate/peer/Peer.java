package tidegate.peer;

import java.util.concurrent.TimeUnit;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import sun.misc.Signal;

/** Runs one job on Flink inside this JVM, exactly once, until SIGTERM. */
public final class Peer {
    /** Less than the ten seconds after which the harness kills. */
    private static final long STOP_WITHIN_SECONDS = 8;

    private Peer() {}

    public static void main(String[] arguments) throws Exception {
        Job job = Job.from(System.getenv());
        StreamExecutionEnvironment flink = StreamExecutionEnvironment.createLocalEnvironment(job.threads(), settings(job));
        if (!job.name().equals("totals")) {
            throw new IllegalArgumentException("`BENCH_JOB` is `" + job.name() + "`; the peer flink does totals");
        }
        Totals.declare(job, flink);
        JobClient running = flink.executeAsync(job.app());
        // A shutdown hook would run beside Flink's own, which take down what a stop needs.
        Signal.handle(new Signal("TERM"), signal -> new Thread(() -> stop(job, running)).start());
        try {
            running.getJobExecutionResult().get();
        } catch (Exception failed) {
            failed.printStackTrace();
            // A run that has failed must end, or the harness waits for offsets that never come.
            Runtime.getRuntime().halt(1);
        }
    }

    /** As `flink stop` does: one more checkpoint, which also commits the sink's last transaction. */
    private static void stop(Job job, JobClient running) {
        int code = 0;
        try {
            running.stopWithSavepoint(false, directory(job, "savepoint"), SavepointFormatType.NATIVE)
                    .get(STOP_WITHIN_SECONDS, TimeUnit.SECONDS);
        } catch (Exception failed) {
            failed.printStackTrace();
            code = 1;
        }
        Runtime.getRuntime().halt(code);
    }

    private static Configuration settings(Job job) {
        Configuration settings = new Configuration();
        settings.setString("state.backend.type", "hashmap");
        settings.setString("execution.checkpointing.mode", "EXACTLY_ONCE");
        settings.setString("execution.checkpointing.interval", job.checkpointMs() + " ms");
        settings.setString("execution.checkpointing.unaligned.enabled", "false");
        settings.setString("execution.checkpointing.dir", directory(job, "checkpoints"));
        settings.setString("pipeline.object-reuse", "true");
        settings.setString("restart-strategy.type", "none");
        return settings;
    }

    private static String directory(Job job, String name) {
        return "file://" + job.stateDir() + "/" + name;
    }
}
