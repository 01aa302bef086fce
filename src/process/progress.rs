//! What a processor tells its user on its way: which tasks have begun or ended, and what it waits for when that takes long.
//!
//! Promise: a process that does nothing says why, soon, and then ever more seldom. What faults it meets is told where they are met.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tidegate_runtime::task::Phase;
use tidegate_runtime::worker::Snapshot;

use crate::metrics::{Missing, missing_in};

/// Longer than a start takes where nothing is amiss: Kafka spreads a new group's tasks after 3 s (`group.initial.rebalance.delay.ms`).
const SOON: Duration = Duration::from_secs(5);

/// So much of what is waited for is named.
const MOST_NAMED: usize = 3;

/// What was told already.
pub(super) struct Progress {
    app: String,
    workers: u32,
    phases: BTreeMap<u32, Phase>,
    wait: Option<Wait>,
}

/// Something is waited for.
struct Wait {
    /// As of the last look.
    whats: BTreeSet<String>,
    since: Instant,
    /// How long it must have taken to be worth another line.
    patience: Duration,
}

impl Progress {
    pub(super) fn new(app: &str, workers: u32) -> Progress {
        Progress { app: app.to_owned(), workers, phases: BTreeMap::new(), wait: None }
    }

    /// The lines to be said now. Whoever is to stop waits for nothing but the end.
    pub(super) fn look(&mut self, snapshot: &Snapshot, now: Instant, is_to_stop: bool) -> Vec<String> {
        let mut news = self.phases(snapshot);
        if !is_to_stop {
            news.extend(self.wait(snapshot, now));
        }
        news.iter().map(|line| format!("{}: {line}", self.app)).collect()
    }

    /// Which tasks have begun or ended.
    fn phases(&mut self, snapshot: &Snapshot) -> Vec<String> {
        let mut news: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (number, task) in &snapshot.tasks {
            if self.phases.insert(*number, task.phase) != Some(task.phase) {
                let phase = match task.phase {
                    Phase::Restoring => "restoring",
                    Phase::ReadingOutput => "reading their earlier output",
                    Phase::Running => "running",
                    Phase::Ended => "ended",
                    Phase::Stopped => "stopped on errors",
                };
                news.entry(phase).or_default().push(number.to_string());
            }
        }
        news.into_iter().map(|(phase, tasks)| format!("tasks {phase}: {}", tasks.join(", "))).collect()
    }

    /// What is waited for, if that has taken twice as long as when it was last told.
    fn wait(&mut self, snapshot: &Snapshot, now: Instant) -> Option<String> {
        let waits =
            missing_in(snapshot, self.workers, now).into_iter().filter_map(|missing| match &missing {
                Missing::Wait { what, .. } => Some((what.clone(), missing.into_text())),
                Missing::Fault(_) => None,
            });
        let (whats, mut texts): (BTreeSet<String>, Vec<String>) = waits.unzip();
        // What has taken the place of everything that was waited for is another wait.
        if self.wait.as_ref().is_some_and(|wait| wait.whats.is_disjoint(&whats)) {
            self.wait = None;
        }
        if whats.is_empty() {
            return None;
        }
        let wait = self.wait.get_or_insert(Wait { whats: BTreeSet::new(), since: now, patience: SOON });
        wait.whats = whats;
        let waited = now.saturating_duration_since(wait.since);
        if waited < wait.patience {
            return None;
        }
        wait.patience = 2 * waited;
        let more = texts.len().saturating_sub(MOST_NAMED);
        texts.truncate(MOST_NAMED);
        if more > 0 {
            texts.push(format!("and {more} more"));
        }
        Some(format!("for {} s now: {}", waited.as_secs(), texts.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use tidegate_runtime::worker::{Standing, WorkerStatus};

    use super::*;

    const GROUP: &str = "worker `totals.a.0` waits for its group to assign tasks";

    fn snapshot(standing: Standing) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let mut worker = WorkerStatus::new("totals.a.0", Duration::from_secs(3_600));
        worker.standing = standing;
        snapshot.workers.insert(0, worker);
        snapshot
    }

    /// The lines of one second after the other, with the second they were said in.
    fn lines(standings: impl IntoIterator<Item = Standing>) -> Vec<String> {
        let (mut progress, begun) = (Progress::new("totals", 1), Instant::now());
        let mut said = Vec::new();
        for (second, standing) in (0..).zip(standings) {
            let lines = progress.look(&snapshot(standing), begun + Duration::from_secs(second), false);
            said.extend(lines.iter().map(|line| format!("{second}: {line}")));
        }
        said
    }

    #[test]
    fn a_long_wait_is_told_ever_more_seldom() {
        let said = lines(vec![Standing::Waiting; 60]);
        let expected = [5, 10, 20, 40].map(|s| format!("{s}: totals: for {s} s now: {GROUP}"));
        assert_eq!(said, expected);
    }

    #[test]
    fn a_wait_that_is_over_is_not_told_and_the_next_begins_anew() {
        let short = [vec![Standing::Waiting; 5], vec![Standing::Member; 9]].concat();
        assert_eq!(lines(short.clone()), Vec::<String>::new());
        let long = [short, vec![Standing::Waiting; 6]].concat();
        assert_eq!(lines(long), [format!("19: totals: for 5 s now: {GROUP}")]);
    }

    #[test]
    fn what_is_waited_for_next_has_a_time_of_its_own() {
        let one_by_one = [vec![Standing::Outside(None); 9], vec![Standing::Waiting; 7]].concat();
        let joining = "worker `totals.a.0` has not joined its group yet";
        let expected =
            [format!("5: totals: for 5 s now: {joining}"), format!("14: totals: for 5 s now: {GROUP}")];
        assert_eq!(lines(one_by_one), expected);
    }

    #[test]
    fn whoever_is_to_stop_waits_for_nothing() {
        let (mut progress, begun) = (Progress::new("totals", 1), Instant::now());
        for second in 0..30 {
            let now = begun + Duration::from_secs(second);
            assert_eq!(progress.look(&snapshot(Standing::Waiting), now, true), Vec::<String>::new());
        }
    }

    #[test]
    fn a_fault_is_told_where_it_is_met() {
        let away = || Standing::Outside(Some("no route".to_owned()));
        assert_eq!(lines(std::iter::repeat_with(away).take(30)), Vec::<String>::new());
    }

    #[test]
    fn many_waits_are_one_line() {
        let mut progress = Progress::new("totals", 9);
        let begun = Instant::now();
        progress.look(&Snapshot::default(), begun, false);
        let said = progress.look(&Snapshot::default(), begun + SOON, false);
        let expected = "totals: for 5 s now: worker `0` has not started yet; worker `1` has not started yet; worker `2` has not \
                        started yet; and 6 more";
        assert_eq!(said, [expected]);
    }
}
