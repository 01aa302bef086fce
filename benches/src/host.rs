//! The process that is measured: one worker, until the end of the input.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use tidegate_processors::billing::{TotalsOptions, totals_topology};
use tidegate_processors::speeding::{SpeedingOptions, speeding_topology};
use tidegate_runtime::log::Log;
use tidegate_runtime::log::embedded::EmbeddedLog;
use tidegate_runtime::topology::Topology;
use tidegate_runtime::window::TimeWindows;
use tidegate_runtime::worker::{self, WorkerOptions};

use crate::{Job, measure};

/// The topologies as the program runs them, with its defaults.
pub(crate) fn topology(job: Job) -> Result<Topology> {
    Ok(match job {
        Job::Totals => totals_topology("bench", TotalsOptions::new(TimeWindows::tumbling(5_000, 0)?)),
        Job::Speeding => speeding_topology("bench", SpeedingOptions::default()),
    })
}

/// Processes the input to its end and prints what the process has cost.
pub(crate) fn run(job: Job, data: &Path) -> Result<()> {
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(data)?);
    let options = WorkerOptions { until_end: true, ..WorkerOptions::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(worker::run(log, &topology(job)?, options, std::future::pending()))?;
    println!("{}", measure::own_cost()?);
    Ok(())
}
