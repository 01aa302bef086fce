//! A worker's sessions: what a passing fault ends begins anew, from what is committed.
//!
//! Promise: a fault that may pass never ends the process, wherever it is met. A session that meets one is dropped: first its producer,
//! which ends the open transaction, then its place in the group, and with them every task. Nothing of a task is kept, because
//! everything can start again from what is committed (law 8). The next session has the same ids and opens the transactional one before
//! it reads anything, so that no request of an earlier session can still come in between. What breaks it: carrying over anything
//! that was not committed.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use super::bounded::Run;
use super::meter::Meter;
use super::{Flow, Plan, Worker, WorkerOptions};
use crate::error::{Error, Reaction, Result};
use crate::log::Log;
use crate::patience::Patience;
use crate::topology::Topology;

/// Hosts tasks of `topology` on `log` until `stop` is ready or, with `until_end`, until the application's whole input is processed.
/// Passing faults are told to `options.notice` and tried again for as long as they last.
///
/// # Errors
/// Whatever asks the process to stop; everything up to the last commit is safe, nothing after it is visible.
pub async fn run(
    log: Arc<dyn Log>,
    topology: &Topology,
    options: WorkerOptions,
    stop: impl Future<Output = ()> + Send,
) -> Result<()> {
    let mut stop = Box::pin(stop);
    let mut sessions = Sessions::new(log, topology, options);
    while let Err(error) = sessions.work(&mut stop).await {
        if sessions.bear(error, &mut stop).await? == Flow::Finish {
            break;
        }
    }
    Ok(())
}

/// What outlives a session: what was decided once for all of them, and how well the log is.
struct Sessions<'a> {
    log: Arc<dyn Log>,
    topology: &'a Topology,
    options: WorkerOptions,
    id: String,
    plan: Option<Arc<Plan>>,
    /// A bounded run keeps its number: found again in the middle of it, after others have ended their part, it would be the next one.
    run: Option<Arc<Run>>,
    /// The group has told that the latest session was replaced.
    was_replaced: bool,
    patience: Patience,
    meter: Meter,
}

impl<'a> Sessions<'a> {
    fn new(log: Arc<dyn Log>, topology: &'a Topology, options: WorkerOptions) -> Sessions<'a> {
        let id = format!("{}.{}.{}", topology.app(), options.instance, options.worker);
        let patience = Patience::new(format!("`{id}`"), options.notice.clone());
        let meter = Meter::new(&id, options.worker, options.commit_interval);
        Sessions { log, topology, options, id, plan: None, run: None, was_replaced: false, patience, meter }
    }

    /// One session, to its end.
    async fn work(&mut self, stop: &mut (impl Future<Output = ()> + Unpin)) -> Result<()> {
        self.show();
        let started = tokio::select! {
            biased;
            () = &mut *stop => return Ok(()),
            started = self.start() => started,
        };
        let mut worker = started?;
        worker.show_status();
        let outcome = worker.work(stop).await;
        if outcome.is_err() {
            worker.disappear();
        }
        let was_replaced = worker.is_replaced;
        // Before it leaves the group: whoever gets the tasks on this machine needs the copies.
        worker.let_go_of_copies();
        drop(worker);
        self.was_replaced = was_replaced;
        outcome
    }

    async fn start(&mut self) -> Result<Worker<'_>> {
        let plan = match &self.plan {
            Some(plan) => {
                plan.check_inputs_now(self.log.as_ref())?;
                plan.clone()
            }
            None => {
                let made = Plan::make(self.log.as_ref(), self.topology).await?;
                self.plan.insert(Arc::new(made)).clone()
            }
        };
        let partitions = plan.partitions;
        let mut worker = Worker::join(
            self.log.clone(),
            self.topology,
            &self.options,
            plan,
            &mut self.patience,
            &mut self.meter,
        )?;
        if self.options.until_end {
            let run = match &self.run {
                Some(run) => run.clone(),
                None => {
                    let found = Run::find(self.log.as_ref(), self.topology, partitions).await?;
                    self.run.insert(Arc::new(found)).clone()
                }
            };
            worker.run = Some(run);
        }
        Ok(worker)
    }

    /// Waits until another session is worth a try, or says why there is to be none.
    async fn bear(&mut self, error: Error, stop: &mut (impl Future<Output = ()> + Unpin)) -> Result<Flow> {
        let error = match &error {
            Error::Fenced { who, .. } if *who == self.id => match self.is_replaced(stop).await? {
                Some(true) => return Err(self.replaced()),
                Some(false) => self.ended_by_the_log(),
                None => return Ok(Flow::Finish),
            },
            _ => error,
        };
        if error.reaction() == Reaction::Stop {
            return Err(match &self.plan {
                Some(plan) => plan.explain(self.log.as_ref(), error),
                None => error,
            });
        }
        self.patience.failed(&error);
        self.meter.left(self.patience.fault());
        self.show();
        Ok(self.wait(stop).await)
    }

    /// Between sessions there are no tasks to show.
    fn show(&mut self) {
        self.options.status.show(&mut self.meter, &mut BTreeMap::new());
    }

    /// Who has fenced our own id? A newer instance ends this one (DESIGN: fencing ends the old owner, never the new one). But the log itself
    /// ends a transaction that was open for too long, and an older instance that was slow to start may have opened the id behind us: then
    /// there is nobody else to go on. Nothing if asked to stop meanwhile.
    async fn is_replaced(&mut self, stop: &mut (impl Future<Output = ()> + Unpin)) -> Result<Option<bool>> {
        if self.was_replaced {
            return Ok(Some(true));
        }
        let ask = || self.log.is_replaced(self.topology.app(), &self.id);
        self.patience.until_answered(stop, ask).await
    }

    async fn wait(&self, stop: &mut (impl Future<Output = ()> + Unpin)) -> Flow {
        tokio::select! {
            biased;
            () = stop => Flow::Finish,
            () = self.patience.wait() => Flow::Continue,
        }
    }

    fn replaced(&self) -> Error {
        let instance = &self.options.instance;
        Error::Fenced {
            who: self.id.clone(),
            why: format!("another process runs as instance `{instance}`; give each its own --instance-id"),
        }
    }

    fn ended_by_the_log(&self) -> Error {
        Error::Fenced {
            who: self.id.clone(),
            why: "this process stood still for longer than its transaction timeout, and nobody has taken its place"
                .to_owned(),
        }
    }
}
