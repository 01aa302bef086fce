package tidegate.peer;

import java.util.Map;

/** What the harness asks for, read from the environment once; `benches/peers/README.md` says what each of it means. */
record Job(
        String brokers,
        String name,
        String app,
        String input,
        String output,
        String radars,
        String vehicles,
        String stateDir,
        Variant variant,
        long commitMs,
        long windowMs,
        int threads) {

    static Job from(Map<String, String> environment) {
        return new Job(
                required(environment, "BENCH_BROKERS"),
                required(environment, "BENCH_JOB"),
                required(environment, "BENCH_APP"),
                required(environment, "BENCH_INPUT"),
                required(environment, "BENCH_OUTPUT"),
                environment.getOrDefault("BENCH_RADARS", ""),
                environment.getOrDefault("BENCH_VEHICLES", ""),
                required(environment, "BENCH_STATE"),
                Variant.named(environment.getOrDefault("BENCH_VARIANT", "rocks")),
                Long.parseLong(environment.getOrDefault("BENCH_COMMIT_MS", "100")),
                Long.parseLong(environment.getOrDefault("BENCH_WINDOW_MS", "5000")),
                Integer.parseInt(environment.getOrDefault("BENCH_THREADS", "1")));
    }

    private static String required(Map<String, String> environment, String name) {
        String value = environment.get(name);
        if (value == null || value.isEmpty()) {
            throw new IllegalArgumentException("`" + name + "` is not set; the harness sets it, see benches/peers/README.md");
        }
        return value;
    }
}
