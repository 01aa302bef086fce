//! One measurement, as a line to read.

use crate::cost::Cost;
use crate::results::Verdict;
use crate::work::Work;

/// What one peer's one go at the work has cost, and how right it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) cost: Cost,
    /// On the clock: says little on a shared machine.
    pub(crate) wall_ms: u64,
    /// None for the floor, which has no results.
    pub(crate) verdict: Option<Verdict>,
}

impl Measured {
    /// For the screen, while others are still measured.
    pub(crate) fn line(&self, work: &Work) -> String {
        let seconds = self.cost.cpu_ms as f64 / 1e3;
        let micros = self.cost.cpu_ms as f64 * 1e3 / work.records as f64;
        let output = match self.verdict {
            None => "no output".to_owned(),
            Some(verdict) if verdict.is_exact() => format!("all {} results exact", verdict.due),
            Some(verdict) => format!(
                "of {} results {} missing, {} doubled, {} wrong",
                verdict.due, verdict.missing, verdict.doubled, verdict.wrong
            ),
        };
        format!(
            "{seconds:.2} CPU s, {micros:.3} µs per record, {} MiB at most, {:.2} s on the clock; {output}",
            self.cost.peak_kib / 1_024,
            self.wall_ms as f64 / 1e3,
        )
    }
}
