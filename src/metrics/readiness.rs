//! Is this process doing its work? What is missing, in words.
//!
//! Promise: ready means that the group has told every worker what is its, every task it hosts is restored and processes, nothing it
//! needs is being asked for in vain, and the log has answered within [`SILENCE`]. A worker the group has nothing for is a spare, and ready.
//! Broken by: taking silence of the input for silence of the log; therefore the log is asked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use tidegate_runtime::Error;
use tidegate_runtime::log::{Log, TopicPartition};
use tidegate_runtime::patience::with_causes;
use tidegate_runtime::task::Phase;
use tidegate_runtime::worker::{Snapshot, Standing, TableWaitStatus};
use tidegate_sinks::SinkStatus;

/// How long the log may say nothing, and a worker may be busy with one thing: longer than a broker takes to come back from a restart, and
/// short enough that a balancer notices.
pub(super) const SILENCE: Duration = Duration::from_secs(10);

/// How long a table may stand still before that is a wait: longer than it takes to fetch what is there, even from a busy broker.
const NOTICEABLE: Duration = Duration::from_millis(500);

/// How long a table must stand still before an open transaction is thought of, which holds back what is in it and behind it. Below the
/// 5 s after which a wait is told, so that the first line says it.
const STANDSTILL: Duration = Duration::from_secs(3);

/// An answer this fresh is not asked for again: any number of lookers ask the log once a second.
const FRESH: Duration = Duration::from_secs(1);

/// How long one look waits for the log: Kubernetes gives a probe one second in all.
const PATIENCE: Duration = Duration::from_millis(500);

/// Something a process lacks to do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It will come by itself.
    Wait {
        /// What is waited for, and by whom.
        what: String,
        /// How far that is, if it is known.
        how_far: Option<String>,
    },
    /// A fault, of which the process speaks when it meets it.
    Fault(String),
}

impl Missing {
    /// In words.
    pub(crate) fn into_text(self) -> String {
        match self {
            Missing::Wait { what, how_far: Some(how_far) } => format!("{what}: {how_far}"),
            Missing::Wait { what: text, how_far: None } | Missing::Fault(text) => text,
        }
    }
}

fn wait(what: String) -> Missing {
    Missing::Wait { what, how_far: None }
}

/// What is missing in a process of `workers` workers.
pub(crate) fn of_workers(snapshot: &Snapshot, workers: u32, now: Instant) -> Vec<Missing> {
    let mut missing = Vec::new();
    for number in 0..workers {
        let Some(worker) = snapshot.workers.get(&number) else {
            missing.push(wait(format!("worker `{number}` has not started yet")));
            continue;
        };
        let name = &worker.name;
        match &worker.standing {
            Standing::Outside(None) => {
                missing.push(wait(format!("worker `{name}` has not joined its group yet")));
            }
            Standing::Outside(Some(fault)) => {
                missing.push(Missing::Fault(format!(
                    "worker `{name}` is out of its group and tries again: {fault}"
                )));
            }
            Standing::Waiting => {
                missing.push(wait(format!("worker `{name}` waits for its group to assign tasks")));
            }
            Standing::Member => {}
        }
        if let Some(fault) = &worker.unanswered {
            missing.push(Missing::Fault(format!(
                "worker `{name}` asks again what its records wait for: {fault}"
            )));
        }
        // It ticks this often by itself; between two sessions it does nothing but wait.
        let is_inside = !matches!(worker.standing, Standing::Outside(_));
        let held_up = now.saturating_duration_since(worker.ticked).saturating_sub(worker.commit_interval);
        if is_inside && held_up > SILENCE {
            let how_far = Some(format!("{} s", held_up.as_secs()));
            missing.push(Missing::Wait { what: format!("worker `{name}` is held up"), how_far });
        }
    }
    for (number, task) in &snapshot.tasks {
        match task.phase {
            Phase::Restoring => {
                let left = task.restore_left_offsets;
                missing.push(Missing::Wait {
                    what: format!("task {number} is being restored"),
                    how_far: Some(format!("{left} offsets of its changelog are left")),
                });
            }
            Phase::ReadingOutput => {
                let (read, all) = task.earlier_output_offsets;
                missing.push(Missing::Wait {
                    what: format!("task {number} is reading its earlier output"),
                    how_far: Some(format!("{read} of {all} offsets")),
                });
            }
            Phase::Stopped => {
                missing.push(Missing::Fault(format!("task {number} stopped on too many dead letters")));
            }
            Phase::Running | Phase::Ended => {}
        }
        missing.extend(task.table_wait.as_ref().and_then(|wait| of_table(*number, wait, now)));
    }
    missing
}

/// A wait for a table, once it takes longer than it does to fetch a few records.
fn of_table(number: u32, wait: &TableWaitStatus, now: Instant) -> Option<Missing> {
    let stands_still = now.saturating_duration_since(wait.since);
    if stands_still < NOTICEABLE {
        return None;
    }
    let (table, left) = (&wait.partition, wait.left_offsets);
    let why = if stands_still < STANDSTILL { "" } else { "; an open transaction may hold them back" };
    Some(Missing::Wait {
        what: format!("task {number} waits for table `{table}`"),
        how_far: Some(format!("{left} offsets are left{why}")),
    })
}

/// What is missing in a sink.
pub(super) fn of_sink(status: &SinkStatus) -> Vec<String> {
    let mut missing = Vec::new();
    if status.lanes.is_empty() {
        missing.push("the sink has not opened its place yet".to_owned());
    }
    if let Some(fault) = &status.unanswered {
        missing.push(format!("the sink asks the log again: {fault}"));
    }
    if status.is_waiting {
        missing.push("the sink's place is busy: it waits to commit".to_owned());
    }
    missing
}

/// Asks the log something small, to know that it is there.
#[derive(Default)]
pub(super) struct Probe {
    question: OnceLock<Question>,
    is_asking: AtomicBool,
    answers: Mutex<Answers>,
}

struct Question {
    /// Not held: who only looks must not keep the log open.
    log: Weak<dyn Log>,
    partition: TopicPartition,
}

#[derive(Debug, Default)]
struct Answers {
    good: Option<Instant>,
    /// When it was first asked what it has not answered since.
    unanswered: Option<Instant>,
    /// What went wrong the last time, if it did.
    fault: Option<String>,
}

impl Probe {
    /// From here on there is a log to ask.
    pub(super) fn opened(&self, log: &Arc<dyn Log>, partition: TopicPartition) {
        // A command opens one log.
        let _ = self.question.set(Question { log: Arc::downgrade(log), partition });
    }

    pub(super) fn is_open(&self) -> bool {
        self.question.get().is_some()
    }

    /// Asks, and says what there is to say about a log that does not answer. Before its first answer that is something; later
    /// it may be silent for a while.
    pub(super) async fn silence(self: &Arc<Probe>) -> Option<String> {
        self.refresh().await;
        let answers = self.answers();
        let silent = answers.unanswered?.elapsed();
        if answers.good.is_some() && silent <= SILENCE {
            return None;
        }
        let why = answers.fault.as_ref().map_or_else(String::new, |fault| format!(": {fault}"));
        Some(format!("the log has not answered for {} s{why}", silent.as_secs()))
    }

    /// Asks, unless that was done a moment ago or is being done: a log that does not answer is asked once, not once per look.
    async fn refresh(self: &Arc<Probe>) {
        if !self.is_open() {
            return;
        }
        let is_fresh = self.answers().good.is_some_and(|good| good.elapsed() < FRESH);
        if is_fresh || self.is_asking.swap(true, Ordering::AcqRel) {
            return;
        }
        self.answers().unanswered.get_or_insert_with(Instant::now);
        let probe = self.clone();
        let asking = tokio::task::spawn_blocking(move || {
            probe.ask();
            probe.is_asking.store(false, Ordering::Release);
        });
        // Its answer counts at the next look if it is late.
        let _ = tokio::time::timeout(PATIENCE, asking).await;
    }

    fn ask(&self) {
        let Some(Question { log, partition }) = self.question.get() else { return };
        let answer = match log.upgrade() {
            // Closed: the command is ending, and says so itself.
            None => return,
            Some(log) => log.watermarks(partition),
        };
        let mut answers = self.answers();
        match answer {
            // That the topic has not been made yet is an answer too.
            Ok(_) | Err(Error::UnknownTopic(_)) => {
                *answers = Answers { good: Some(Instant::now()), ..Answers::default() };
            }
            Err(error) => answers.fault = Some(with_causes(&error)),
        }
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tidegate_runtime::worker::WorkerStatus;

    use super::*;

    fn snapshot(standing: Standing, unanswered: Option<&str>) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let mut worker = WorkerStatus::new("totals.0.0", Duration::from_secs(60));
        worker.standing = standing;
        worker.unanswered = unanswered.map(str::to_owned);
        snapshot.workers.insert(0, worker);
        snapshot
    }

    fn words(snapshot: &Snapshot, now: Instant) -> String {
        let missing = of_workers(snapshot, 1, now).into_iter().map(Missing::into_text);
        missing.collect::<Vec<String>>().join("; ")
    }

    #[test]
    fn a_worker_is_ready_when_its_group_has_told_it_what_is_its_and_nothing_is_unanswered() {
        let now = Instant::now();
        let missing = |standing, unanswered| words(&snapshot(standing, unanswered), now);
        let fault = || Some("could not ask: no route".to_owned());
        assert_eq!(missing(Standing::Member, None), "", "with tasks or without");
        assert_eq!(
            missing(Standing::Outside(None), None),
            "worker `totals.0.0` has not joined its group yet"
        );
        assert_eq!(
            missing(Standing::Outside(fault()), None),
            "worker `totals.0.0` is out of its group and tries again: could not ask: no route"
        );
        assert_eq!(
            missing(Standing::Waiting, None),
            "worker `totals.0.0` waits for its group to assign tasks"
        );
        assert_eq!(
            missing(Standing::Member, fault().as_deref()),
            "worker `totals.0.0` asks again what its records wait for: could not ask: no route"
        );
        assert_eq!(words(&Snapshot::default(), now), "worker `0` has not started yet");
    }

    #[test]
    fn a_table_that_stands_still_is_named_and_soon_an_open_transaction_too() {
        let since = Instant::now();
        let after = |ms| {
            let wait =
                TableWaitStatus { partition: TopicPartition::new("vehicles", 3), left_offsets: 2, since };
            of_table(3, &wait, since + Duration::from_millis(ms)).map(Missing::into_text)
        };
        let waits = "task 3 waits for table `vehicles[3]`: 2 offsets are left";
        assert_eq!(after(100), None);
        assert_eq!(after(600).as_deref(), Some(waits));
        let held_back = format!("{waits}; an open transaction may hold them back");
        assert_eq!(after(3_000), Some(held_back));
    }

    #[test]
    fn a_worker_that_ticks_seldom_is_not_held_up_and_one_that_misses_its_tick_is() {
        let after = |seconds, standing| {
            let snapshot = snapshot(standing, None);
            let now = snapshot.workers[&0].ticked + Duration::from_secs(seconds);
            words(&snapshot, now)
        };
        assert_eq!(after(65, Standing::Member), "");
        assert_eq!(after(85, Standing::Member), "worker `totals.0.0` is held up: 25 s");
        let outside = after(85, Standing::Outside(Some("away".to_owned())));
        assert!(!outside.contains("held up"), "it waits for the log, and says so: {outside}");
    }
}
