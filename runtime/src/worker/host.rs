//! Hosting tasks: taken when assigned, given back when the group wants them elsewhere, and processing in between.

use tokio::time::Instant;

use super::Worker;
use super::commit::{SEND_BYTES, TRANSACTION_BYTES};
use super::starts::partitions_of;
use crate::error::{Error, Result};
use crate::fault_point;
use crate::log::TopicPartition;
use crate::task::{Input, Phase, Turn};
use crate::topology::SourceKind;

/// After how many turns of its tasks a worker hears of everything else, even if they have more to do. What waits in chunks is bounded
/// by the credits; what earlier records left to do is not.
const TURNS: usize = 64;

impl Worker<'_> {
    pub(super) fn assigned(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        // Partitions that were added are assigned too, and there is no task for them.
        self.plan.check_inputs_now(self.log.as_ref())?;
        for number in numbers(partitions) {
            self.begin_restore(number)?;
        }
        // Not only at the next tick, which may be far: whoever looks must not take it for one without tasks until then.
        self.show_status();
        Ok(())
    }

    /// Commits, then lets go: until the release the group still counts these as ours.
    pub(super) fn revoked(&mut self, partitions: Vec<TopicPartition>) -> Result<()> {
        fault_point::reached("in-revocation-before-commit");
        self.commit()?;
        fault_point::reached("in-revocation-after-commit");
        for number in numbers(&partitions) {
            self.forget(number);
        }
        self.group.release(partitions);
        Ok(())
    }

    /// What is not committed will be done by another: a transaction that holds some of it must not be committed.
    pub(super) fn lost(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let lost = numbers(partitions);
        if !lost.is_empty() {
            let listed: Vec<String> = lost.iter().map(u32::to_string).collect();
            self.options.notice.say(format_args!(
                "`{}` lost its tasks {}: it was silent for longer than its session timeout, or another process has taken its \
                 name; what it had not committed is done by whoever has them now",
                self.transactional_id(),
                listed.join(", ")
            ));
        }
        let touched = lost.iter().any(|number| self.tasks.get(number).is_some_and(|hosted| hosted.touched));
        for number in lost {
            self.forget(number);
        }
        if touched { self.abort() } else { Ok(()) }
    }

    fn forget(&mut self, number: u32) {
        let Some(hosted) = self.tasks.remove(&number) else { return };
        self.options.status.remove(number, self.options.worker);
        self.meter.task_closed(number);
        self.side.release(vec![hosted.task.changelog_partition()]);
        self.release_output(partitions_of(hosted.task.earlier_output()));
    }

    /// They are whole, and nothing more will be written to them.
    pub(super) fn let_go_of_copies(&mut self) {
        self.tasks.values_mut().for_each(|hosted| hosted.copy = None);
    }

    /// A session that was cut short: what it showed of its tasks is no longer so.
    pub(super) fn disappear(&mut self) {
        for number in self.tasks.keys() {
            self.options.status.remove(*number, self.options.worker);
            self.meter.task_closed(*number);
        }
    }

    /// Starts fetching a task's inputs. A broadcast table is fetched once for all tasks, from where the one that knows least needs it:
    /// the others ignore what they know.
    pub(super) fn seek_inputs(&self, number: u32) {
        for input in self.tasks[&number].task.inputs() {
            if input.kind() != SourceKind::Broadcast {
                self.group.seek(input.partition().clone(), input.position());
                continue;
            }
            let running = self.tasks.values().filter(|hosted| !hosted.task.phase().is_starting());
            let inputs = running.flat_map(|hosted| hosted.task.inputs());
            let same = inputs.filter(|other| other.partition() == input.partition());
            if let Some(least) = same.map(Input::fetched).min() {
                self.side.seek(input.partition().clone(), least);
            }
        }
    }

    /// Lets every task process what it has, sending and committing as the bounds ask.
    pub(super) fn process(&mut self) -> Result<()> {
        self.has_more_to_do = false;
        // What has come already is asked for together, and the credits bound how much that is.
        if self.group.has_more() && self.waits_for_answer() {
            return Ok(());
        }
        let mut numbers: Vec<u32> = self.tasks.keys().copied().collect();
        for _ in 0..TURNS {
            let mut more = Vec::new();
            for number in numbers {
                if self.run_task(number)? {
                    more.push(number);
                }
                if self.outgoing.size_bytes() >= SEND_BYTES {
                    self.send()?;
                }
            }
            if self.open_bytes >= TRANSACTION_BYTES {
                self.commit()?;
            }
            numbers = more;
            if numbers.is_empty() {
                return Ok(());
            }
        }
        self.has_more_to_do = true;
        Ok(())
    }

    /// True if the task has more to do.
    fn run_task(&mut self, number: u32) -> Result<bool> {
        let Some(hosted) = self.tasks.get_mut(&number) else { return Ok(false) };
        if hosted.task.phase() == Phase::ReadingOutput {
            return self.read_output(number).map(|()| false);
        }
        let has_more = hosted.task.run(&mut self.outgoing, Turn::of_bytes(SEND_BYTES));
        if let Some(misplaced) = hosted.task.take_misplaced()
            && self.options.status.is_first_misplaced()
        {
            self.options.notice.say(format_args!("`{}`: {misplaced}", self.plan.app));
        }
        hosted.touched |= hosted.task.is_dirty();
        if hosted.touched {
            fault_point::reached("after-processing-before-produce");
        }
        if hosted.task.phase() == Phase::Stopped && hosted.task.is_dirty() {
            self.stop_on_errors(number)?;
        }
        Ok(has_more)
    }

    /// It never returns in good order: the task has met more dead letters than it may.
    fn stop_on_errors(&mut self, number: u32) -> Result<()> {
        self.commit()?;
        let budget = self.options.error_budget.map(|budget| format!("{}/{}", budget.most, budget.among));
        Err(Error::Refused {
            what: format!(
                "task `{number}` of `{}` met more dead letters than `--max-errors {}` allows",
                self.plan.app,
                budget.unwrap_or_default()
            ),
            remedy: "look into the dead-letter topic, then start with `--accept-errors`".to_owned(),
        })
    }

    /// Stream time of a quiet task follows the clock: by what has elapsed, never to what it shows (law 5).
    pub(super) fn advance_idle_tasks(&mut self) {
        let Some(after) = self.options.idle_close else { return };
        let now = Instant::now();
        for hosted in self.tasks.values_mut() {
            if !hosted.task.is_idle() {
                hosted.idle = None;
                continue;
            }
            let (since, moved_to) = hosted.idle.get_or_insert((now, now));
            if now.duration_since(*since) >= after {
                let elapsed_ms = i64::try_from(now.duration_since(*moved_to).as_millis()).unwrap_or(i64::MAX);
                *moved_to = now;
                hosted.task.idle(elapsed_ms, &mut self.outgoing);
            }
        }
    }

    /// What records wait for that was asked for and not answered.
    fn unanswered(&self) -> Option<&str> {
        let tables = self.questions.fault().filter(|_| self.waits_for_answer());
        tables.or_else(|| self.registry.fault().filter(|_| !self.parked.is_empty()))
    }

    pub(super) fn show_status(&mut self) {
        let unanswered = self.unanswered().map(str::to_owned);
        self.meter.status.unanswered = unanswered;
        self.options.status.show(self.meter, &mut self.tasks);
    }
}

fn numbers(partitions: &[TopicPartition]) -> Vec<u32> {
    let mut numbers: Vec<u32> = partitions.iter().map(|partition| partition.partition).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}
