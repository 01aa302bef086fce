//! Every metric of the program: its name, what kind it is, what it says and in which unit.
//!
//! Names that begin with `kafka_` are Kafka's own, as the Prometheus JMX exporter spells them (`kafka.streams:type=stream-thread-metrics` and
//! `process-rate` become `kafka_streams_stream_thread_metrics_process_rate`), so that dashboards made for Kafka Streams find them; the units are
//! Kafka's too. All else begins with `tidegate_` or, for what every process has, `process_`. `docs/metrics.md` lists them all.

/// What may be done with a metric's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Never goes back while the process lives: take its rate.
    Counter,
    /// As it is now.
    Gauge,
    /// How long something took: `_bucket`, `_sum`, `_count`.
    Histogram,
}

/// One metric.
#[derive(Debug)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident: $kind:ident $name:literal $help:literal;)*) => {
        $(pub(super) const $constant: Metric = Metric { name: $name, kind: Kind::$kind, help: $help };)*

        /// All of them.
        #[cfg(test)]
        pub(super) const ALL: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    // Kafka Streams: the process, its threads (our workers).
    ALIVE_THREADS: Gauge "kafka_streams_stream_metrics_alive_stream_threads" "Workers that run.";
    FAILED_THREADS: Gauge "kafka_streams_stream_metrics_failed_stream_threads" "Workers that failed; the process ends then.";
    PROCESS_TOTAL: Counter "kafka_streams_stream_thread_metrics_process_total" "Records processed and committed by the worker.";
    PROCESS_RATE: Gauge "kafka_streams_stream_thread_metrics_process_rate" "Records processed and committed per second, over the last half to whole minute.";
    PROCESS_LATENCY_AVG: Gauge "kafka_streams_stream_thread_metrics_process_latency_avg" "Milliseconds a step of work took on average, commits not included, over the last half to whole minute.";
    PROCESS_LATENCY_MAX: Gauge "kafka_streams_stream_thread_metrics_process_latency_max" "Milliseconds the longest step of work took, commits not included, over the last half to whole minute.";
    PROCESS_RATIO: Gauge "kafka_streams_stream_thread_metrics_process_ratio" "Share of the time spent working, commits not included, over the last half to whole minute.";
    COMMIT_TOTAL: Counter "kafka_streams_stream_thread_metrics_commit_total" "Commits made by the worker.";
    COMMIT_RATE: Gauge "kafka_streams_stream_thread_metrics_commit_rate" "Commits per second, over the last half to whole minute.";
    COMMIT_LATENCY_AVG: Gauge "kafka_streams_stream_thread_metrics_commit_latency_avg" "Milliseconds a commit took on average, over the last half to whole minute.";
    COMMIT_LATENCY_MAX: Gauge "kafka_streams_stream_thread_metrics_commit_latency_max" "Milliseconds the longest commit took, over the last half to whole minute.";
    COMMIT_RATIO: Gauge "kafka_streams_stream_thread_metrics_commit_ratio" "Share of the time spent committing, over the last half to whole minute.";
    POLL_TOTAL: Counter "kafka_streams_stream_thread_metrics_poll_total" "Chunks of input the worker was given.";
    POLL_RATE: Gauge "kafka_streams_stream_thread_metrics_poll_rate" "Chunks of input per second, over the last half to whole minute.";
    POLL_RECORDS_AVG: Gauge "kafka_streams_stream_thread_metrics_poll_records_avg" "Records in a chunk of input on average, over the last half to whole minute.";
    POLL_RECORDS_MAX: Gauge "kafka_streams_stream_thread_metrics_poll_records_max" "Records in the largest chunk of input, over the last half to whole minute.";
    BLOCKED_TIME: Counter "kafka_streams_stream_thread_metrics_blocked_time_ns_total" "Nanoseconds the worker waited for the log: for input and in commits.";
    THREAD_START_TIME: Gauge "kafka_streams_stream_thread_metrics_thread_start_time" "When the worker started, in milliseconds since 1970.";
    TASK_CREATED: Counter "kafka_streams_stream_thread_metrics_task_created_total" "Tasks the worker took up, anew after a failed commit included.";
    TASK_CLOSED: Counter "kafka_streams_stream_thread_metrics_task_closed_total" "Tasks the worker let go of.";
    RESTORING_TASKS: Gauge "kafka_streams_stream_state_updater_metrics_active_restoring_tasks" "Tasks whose changelog is being read.";
    RESTORE_RATE: Gauge "kafka_streams_stream_state_updater_metrics_restore_records_rate" "Changelog offsets restored per second, over the last half to whole minute.";
    // Kafka Streams: tasks.
    TASK_PROCESS_TOTAL: Counter "kafka_streams_stream_task_metrics_process_total" "Records of the task processed and committed by this process.";
    TASK_DROPPED: Counter "kafka_streams_stream_task_metrics_dropped_records_total" "Records of the task that gave no result, put aside by this process: late ones and dead letters.";
    RESTORE_TOTAL: Counter "kafka_streams_stream_task_metrics_restore_total" "Changelog offsets this process restored for the task.";
    RESTORE_REMAINING: Gauge "kafka_streams_stream_task_metrics_restore_remaining_records_total" "Changelog offsets still to be restored; 0 once the task processes.";
    RECORDS_LAG: Gauge "kafka_consumer_consumer_fetch_manager_metrics_records_lag" "Records between the position and the high watermark of an input partition, markers included.";
    RECORDS_LAG_MAX: Gauge "kafka_consumer_consumer_fetch_manager_metrics_records_lag_max" "The greatest lag of the worker's input partitions, in records.";
    // What Kafka Streams does not have, or counts together.
    LATE: Counter "tidegate_late_records_total" "Late records of the task, put aside by this process.";
    DEAD_LETTERS: Counter "tidegate_dead_letters_total" "Bad records of the task, put aside by this process.";
    WRONG_PARTITION: Counter "tidegate_wrong_partition_records_total" "Records of the task in another partition than their key's, put aside by this process; they count as dead letters too.";
    DUPLICATES: Counter "tidegate_duplicate_records_total" "Doubled records of the task, put aside by this process.";
    WINDOWS_CLOSED: Counter "tidegate_windows_closed_total" "Windows of the task closed by this process: one per key and window.";
    OTHER_COUNTS: Counter "tidegate_topology_counts_total" "What else the topology counts, by its own names, as added by this process; names that end in -ms are milliseconds.";
    COMMITTED_COUNT: Gauge "tidegate_task_committed_count" "A count of the task's state since the application's first start, whichever process hosted it; take the maximum over instances.";
    TASK_PHASE: Gauge "tidegate_task_phase" "1 for the phase the task is in.";
    STREAM_TIME: Gauge "tidegate_task_stream_time_seconds" "Stream time of the task, in seconds since 1970.";
    STATE_BYTES: Gauge "tidegate_state_size_bytes" "Rough size of a state store, in bytes of its snapshot.";
    STATE_ENTRIES: Gauge "tidegate_state_entries" "Entries of a state store.";
    CHANGELOG_BYTES: Counter "tidegate_changelog_written_bytes_total" "Bytes this process committed to the task's changelog.";
    COMMIT_DURATION: Histogram "tidegate_commit_duration_seconds" "Seconds a commit took that was made.";
    COMMITS_FAILED: Counter "tidegate_commits_failed_total" "Commits that were not made: refused to a former owner (fenced), outcome unknown (unknown), or failed.";
    SESSIONS_FAILED: Counter "tidegate_sessions_failed_total" "Sessions of the worker that a passing fault ended or kept from beginning; it began again.";
    LAST_COMMIT: Gauge "tidegate_last_commit_timestamp_seconds" "When the worker last committed, in seconds since 1970.";
    LAST_TICK: Gauge "tidegate_last_tick_timestamp_seconds" "When the worker last looked after its tasks, in seconds since 1970.";
    // Sinks and producers.
    SINK_ROWS: Counter "tidegate_sink_rows_total" "Rows written by this process.";
    SINK_REJECTS: Counter "tidegate_sink_rejects_total" "Bad records this process put beside its rows.";
    SINK_LAG: Gauge "tidegate_sink_lag_records" "Records between the sink's position and the high watermark, markers included.";
    SINK_POSITION: Gauge "tidegate_sink_position_offset" "The next offset the sink reads.";
    SINK_COMMIT_DURATION: Histogram "tidegate_sink_commit_duration_seconds" "Seconds a commit of the sink took.";
    SINK_COMMIT_WAITS: Counter "tidegate_sink_commit_waits_total" "Commits of the sink that had to wait because its place was busy.";
    SINK_LAST_COMMIT: Gauge "tidegate_sink_last_commit_timestamp_seconds" "When the sink last committed something, in seconds since 1970.";
    PRODUCED: Gauge "tidegate_produced_records" "Records of the sequence that are in the log, those of earlier runs included.";
    // The process.
    READY: Gauge "tidegate_ready" "1 if /readyz would say so, by what is known without asking the log.";
    BUILD_INFO: Gauge "tidegate_build_info" "1; the version is a label.";
    CPU: Counter "process_cpu_seconds_total" "User and system CPU time, in seconds.";
    RESIDENT: Gauge "process_resident_memory_bytes" "Resident memory, in bytes.";
    VIRTUAL: Gauge "process_virtual_memory_bytes" "Virtual memory, in bytes.";
    START_TIME: Gauge "process_start_time_seconds" "When the process started, in seconds since 1970.";
    OPEN_FILES: Gauge "process_open_fds" "Open file descriptors.";
    MAX_FILES: Gauge "process_max_fds" "The most file descriptors that may be open.";
    THREADS: Gauge "process_threads" "Threads of the process.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_metric_has_a_name_of_its_own_that_fits_its_kind() {
        let mut names = BTreeSet::new();
        for Metric { name, kind, help } in ALL {
            assert!(names.insert(name), "{name} is there twice");
            assert!(
                ["kafka_", "tidegate_", "process_"].iter().any(|prefix| name.starts_with(prefix)),
                "{name}"
            );
            assert!(help.ends_with('.') && !help.contains('\n'), "{name}: {help}");
            // Kafka's own name for what is left to restore ends in `_total` and goes back: it is a gauge.
            if *name != RESTORE_REMAINING.name {
                assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            }
        }
    }

    #[test]
    fn help_names_the_unit_of_what_has_one() {
        for Metric { name, help, .. } in ALL {
            let units = [
                ("_seconds", "seconds"),
                ("_bytes", "bytes"),
                ("_ns_", "Nanoseconds"),
                ("latency", "Milliseconds"),
                ("_rate", "per second"),
            ];
            for (_, unit) in units.into_iter().filter(|(part, _)| name.contains(part)) {
                assert!(help.to_lowercase().contains(&unit.to_lowercase()), "{name}: {help}");
            }
        }
    }
}
