//! The metrics of `process`: what its workers and tasks show on their board.
//!
//! Counters are what *this* process did ([`Ledger`](tidegate_runtime::worker::Ledger)), so that sums over processes count each record once
//! wherever its task goes; they stay when a task leaves. What a task *is* (lag, phase, state) goes with it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tidegate_runtime::task::Phase;
use tidegate_runtime::worker::{Lately, Snapshot, TaskStatus, WorkerStatus};

use super::catalogue as names;
use super::exposition::{Exposition, as_ms, share};

/// A topology is one subtopology: Kafka Streams would write `0_3` for its task 3.
fn task_id(number: u32) -> String {
    format!("0_{number}")
}

/// `failed`: how many workers did.
pub(super) fn collect(out: &mut Exposition, app: &str, snapshot: &Snapshot, failed: u64) {
    let now = Instant::now();
    if let Some(worker) = snapshot.workers.values().next() {
        let labels = [("app", app), ("client_id", client_of(&worker.name))];
        let workers = snapshot.workers.len() as u64;
        out.whole(&names::ALIVE_THREADS, &labels, workers.saturating_sub(failed));
        out.whole(&names::FAILED_THREADS, &labels, failed);
    }
    for (number, worker) in &snapshot.workers {
        collect_worker(out, app, worker, now);
        collect_totals(out, app, *number, worker, snapshot);
    }
    for (task, done) in done_by_task(snapshot) {
        collect_done(out, app, &task_id(task), &done);
    }
    for (number, task) in &snapshot.tasks {
        if let Some(worker) = snapshot.workers.get(&task.worker) {
            collect_task(out, app, &worker.name, &task_id(*number), task);
        }
    }
}

/// What this process did for one task, whichever of its workers had it: a series for each worker that ever had it would be many.
#[derive(Default)]
struct Done<'a> {
    counts: BTreeMap<&'a str, u64>,
    changelog_bytes: u64,
    restored_offsets: u64,
}

impl Done<'_> {
    fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or_default()
    }
}

fn done_by_task(snapshot: &Snapshot) -> BTreeMap<u32, Done<'_>> {
    let mut tasks: BTreeMap<u32, Done<'_>> = BTreeMap::new();
    for ((_, task), ledger) in &snapshot.ledgers {
        let done = tasks.entry(*task).or_default();
        for (name, added) in ledger.counts() {
            *done.counts.entry(name).or_default() += added;
        }
        done.changelog_bytes += ledger.changelog_bytes;
        done.restored_offsets += ledger.restored_offsets;
    }
    tasks
}

/// `app.instance` of `app.instance.worker`.
fn client_of(worker: &str) -> &str {
    worker.rsplit_once('.').map_or(worker, |(client, _)| client)
}

fn collect_worker(out: &mut Exposition, app: &str, worker: &WorkerStatus, now: Instant) {
    let labels = [("app", app), ("thread_id", &*worker.name)];
    let commits = worker.recent_commits.lately(now);
    out.whole(&names::COMMIT_TOTAL, &labels, worker.commits.count());
    out.number(&names::COMMIT_RATE, &labels, rate(commits.count, commits));
    out.number(&names::COMMIT_LATENCY_AVG, &labels, share(as_ms(ns(commits.sum)), commits.count as f64));
    out.number(&names::COMMIT_LATENCY_MAX, &labels, as_ms(ns(commits.max)));
    let work = worker.recent_work.lately(now);
    out.number(&names::PROCESS_LATENCY_AVG, &labels, share(as_ms(ns(work.sum)), work.count as f64));
    out.number(&names::PROCESS_LATENCY_MAX, &labels, as_ms(ns(work.max)));
    out.number(&names::PROCESS_RATIO, &labels, share(ns(work.sum).as_secs_f64(), work.over.as_secs_f64()));
    // Of the same time as the work: a worker that has committed nothing lately has no time of commits.
    let committing = ns(commits.sum).as_secs_f64();
    out.number(&names::COMMIT_RATIO, &labels, share(committing, commits.over.max(work.over).as_secs_f64()));
    let polls = worker.recent_polls.lately(now);
    out.whole(&names::POLL_TOTAL, &labels, worker.polls);
    out.number(&names::POLL_RATE, &labels, rate(polls.count, polls));
    out.number(&names::POLL_RECORDS_AVG, &labels, share(polls.sum as f64, polls.count as f64));
    out.whole(&names::POLL_RECORDS_MAX, &labels, polls.max);
    let blocked = worker.waited + worker.commits.sum();
    out.number(&names::BLOCKED_TIME, &labels, blocked.as_nanos() as f64);
    let started = worker.started.duration_since(UNIX_EPOCH).unwrap_or_default();
    out.whole(&names::THREAD_START_TIME, &labels, u64::try_from(started.as_millis()).unwrap_or_default());
    out.whole(&names::TASK_CREATED, &labels, worker.tasks_created);
    out.whole(&names::TASK_CLOSED, &labels, worker.tasks_closed);
    let restored = worker.recent_restored.lately(now);
    out.number(&names::RESTORE_RATE, &labels, rate(restored.count, restored));
    let records = worker.recent_records.lately(now);
    out.number(&names::PROCESS_RATE, &labels, rate(records.count, records));
    out.histogram(&names::COMMIT_DURATION, &labels, &worker.commits);
    let failed = worker.failed_commits;
    for (outcome, count) in
        [("unknown", failed.unknown), ("fenced", failed.fenced), ("failed", failed.failed)]
    {
        out.whole(&names::COMMITS_FAILED, &[labels[0], labels[1], ("outcome", outcome)], count);
    }
    out.whole(&names::SESSIONS_FAILED, &labels, worker.failed_sessions);
    if let Some(committed) = worker.committed {
        out.moment(&names::LAST_COMMIT, &labels, committed);
    }
    let ago = now.saturating_duration_since(worker.ticked);
    out.moment(&names::LAST_TICK, &labels, SystemTime::now().checked_sub(ago).unwrap_or(UNIX_EPOCH));
}

/// What a worker's tasks come to together.
fn collect_totals(out: &mut Exposition, app: &str, number: u32, worker: &WorkerStatus, snapshot: &Snapshot) {
    let labels = [("app", app), ("thread_id", &*worker.name)];
    let ledgers = snapshot.ledgers.iter().filter(|((worker, _), _)| *worker == number);
    out.whole(&names::PROCESS_TOTAL, &labels, ledgers.map(|(_, ledger)| ledger.processed()).sum());
    let hosted = || snapshot.tasks.values().filter(|task| task.worker == number);
    let restoring = hosted().filter(|task| task.phase == Phase::Restoring).count();
    out.whole(&names::RESTORING_TASKS, &labels, restoring as u64);
    // A broadcast table is an input of every task: the one that lags most speaks for the partition.
    let mut lags = BTreeMap::new();
    for input in hosted().flat_map(|task| &task.inputs) {
        if let Some(lag_records) = input.lag_records {
            let lag = lags.entry(&input.partition).or_insert(lag_records);
            *lag = lag_records.max(*lag);
        }
    }
    for (partition, lag_records) in &lags {
        let number = partition.partition.to_string();
        let place = [("topic", &*partition.topic), ("partition", number.as_str())];
        let labels = [("app", app), ("client_id", &*worker.name), place[0], place[1]];
        out.number(&names::RECORDS_LAG, &labels, *lag_records as f64);
    }
    if let Some(most) = lags.values().max() {
        out.number(&names::RECORDS_LAG_MAX, &[("app", app), ("client_id", &*worker.name)], *most as f64);
    }
}

/// The counts the engine itself makes, and where they are shown; `processed` is Kafka's. Every topology's others go under one name.
const ENGINE_COUNTS: [(&str, &names::Metric); 6] = [
    ("processed", &names::TASK_PROCESS_TOTAL),
    ("late", &names::LATE),
    ("dead-letters", &names::DEAD_LETTERS),
    ("wrong-partition", &names::WRONG_PARTITION),
    ("duplicates", &names::DUPLICATES),
    ("windows-closed", &names::WINDOWS_CLOSED),
];

fn collect_done(out: &mut Exposition, app: &str, task: &str, done: &Done<'_>) {
    let labels = [("app", app), ("task_id", task)];
    // Also those that are 0 still: a rate needs to see where a counter begins.
    for (count, metric) in ENGINE_COUNTS {
        out.whole(metric, &labels, done.count(count));
    }
    out.whole(&names::TASK_DROPPED, &labels, done.count("late") + done.count("dead-letters"));
    out.whole(&names::CHANGELOG_BYTES, &labels, done.changelog_bytes);
    out.whole(&names::RESTORE_TOTAL, &labels, done.restored_offsets);
    for (count, added) in &done.counts {
        if !ENGINE_COUNTS.iter().any(|(own, _)| own == count) {
            out.whole(&names::OTHER_COUNTS, &[labels[0], labels[1], ("count", count)], *added);
        }
    }
}

fn collect_task(out: &mut Exposition, app: &str, thread: &str, id: &str, task: &TaskStatus) {
    let labels = [("app", app), ("thread_id", thread), ("task_id", id)];
    let with = |label| [labels[0], labels[1], labels[2], label];
    for (phase, name) in [
        (Phase::Restoring, "restoring"),
        (Phase::ReadingOutput, "reading-output"),
        (Phase::Running, "running"),
        (Phase::Ended, "ended"),
        (Phase::Stopped, "stopped"),
    ] {
        out.whole(&names::TASK_PHASE, &with(("phase", name)), u64::from(task.phase == phase));
    }
    out.number(&names::RESTORE_REMAINING, &labels, task.restore_left_offsets as f64);
    if task.phase == Phase::Restoring {
        // Its counts are not its own before it is restored.
        return;
    }
    for (count, total) in task.counters.iter() {
        out.whole(&names::COMMITTED_COUNT, &[labels[0], labels[2], ("count", count)], total);
    }
    if let Some(time) = task.stream_time {
        out.number(&names::STREAM_TIME, &labels, share(time.0 as f64, 1_000.0));
    }
    for store in &task.stores {
        out.whole(&names::STATE_BYTES, &with(("store", &store.name)), store.size_bytes as u64);
        out.whole(&names::STATE_ENTRIES, &with(("store", &store.name)), store.entries as u64);
    }
}

/// Per second; not over less than one, or the first moments would look like a flood.
fn rate(count: u64, lately: Lately) -> f64 {
    share(count as f64, lately.over.as_secs_f64().max(1.0))
}

fn ns(nanoseconds: u64) -> Duration {
    Duration::from_nanos(nanoseconds)
}
