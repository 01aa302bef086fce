//! What was measured, as raw rows: one number each, so that every benchmark has the same form and any two runs can be compared.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a number is, with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Metric {
    /// User and system time of the whole process.
    CpuMs,
    /// Instructions in user space, where the kernel counts them.
    Instructions,
    /// The most memory resident.
    PeakKib,
    /// On the clock.
    WallMs,
    /// How long a result took, in the middle.
    P50Us,
    /// How long the slowest hundredth took at least.
    P99Us,
    /// From start to the first commit that did work.
    FirstCommitMs,
    /// Bytes, where something was written.
    WrittenKib,
    /// Results that must be there.
    Due,
    /// Lost: a later window of the same partition has its results.
    Missing,
    /// Closed, but not said yet: no later window of the same partition has results either.
    Pending,
    Doubled,
    Wrong,
    /// How busy all cores were just before, in thousandths: others were at work.
    BusyBefore,
    /// How much time the hypervisor kept from this machine meanwhile, in thousandths.
    Steal,
    /// What a fixed piece of arithmetic took just before: how fast this machine is now.
    CalibrationUs,
}

/// What everybody is measured on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Case {
    pub(crate) bench: String,
    pub(crate) home: String,
    pub(crate) records: u64,
    pub(crate) keys: u64,
    pub(crate) partitions: u32,
    pub(crate) instances: u32,
}

impl Case {
    #[cfg(test)]
    pub(crate) fn of_a_test(records: u64) -> Case {
        let (bench, home) = ("totals".to_owned(), "kafka".to_owned());
        Case { bench, home, records, keys: 2, partitions: 4, instances: 1 }
    }

    /// As a heading.
    pub(crate) fn title(&self) -> String {
        let count = |number: u64, one: &str| match number {
            0 => String::new(),
            1 => format!(", 1 {one}"),
            _ => format!(", {number} {one}s"),
        };
        format!(
            "{} on {}: {} records{}{}{}",
            self.bench,
            self.home,
            self.records,
            count(self.keys, "key"),
            count(self.partitions.into(), "partition"),
            if self.instances > 1 { format!(", {} instances", self.instances) } else { String::new() },
        )
    }
}

/// One number, as `raw.csv` keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) bench: String,
    pub(crate) home: String,
    pub(crate) peer: String,
    pub(crate) records: u64,
    pub(crate) keys: u64,
    pub(crate) partitions: u32,
    pub(crate) instances: u32,
    pub(crate) round: u32,
    pub(crate) metric: Metric,
    pub(crate) value: u64,
}

impl Row {
    fn case(&self) -> Case {
        Case {
            bench: self.bench.clone(),
            home: self.home.clone(),
            records: self.records,
            keys: self.keys,
            partitions: self.partitions,
            instances: self.instances,
        }
    }
}

/// Every row of a run, and why some are not there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sheet {
    pub(crate) rows: Vec<Row>,
    /// Peers without a number, and why.
    pub(crate) absent: BTreeMap<String, String>,
}

impl Sheet {
    /// Adds what one go has given.
    pub(crate) fn add(&mut self, case: &Case, peer: &str, round: u32, values: &[(Metric, u64)]) {
        let Case { bench, home, records, keys, partitions, instances } = case.clone();
        for (metric, value) in values {
            self.rows.push(Row {
                bench: bench.clone(),
                home: home.clone(),
                peer: peer.to_owned(),
                records,
                keys,
                partitions,
                instances,
                round,
                metric: *metric,
                value: *value,
            });
        }
    }

    /// In the order in which they were measured first.
    pub(crate) fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for case in self.rows.iter().map(Row::case) {
            if !cases.contains(&case) {
                cases.push(case);
            }
        }
        cases
    }

    /// Who was measured in a case, likewise.
    pub(crate) fn peers(&self, case: &Case) -> Vec<String> {
        let mut peers: Vec<String> = Vec::new();
        for row in self.rows.iter().filter(|row| row.case() == *case) {
            if !peers.contains(&row.peer) {
                peers.push(row.peer.clone());
            }
        }
        peers
    }

    /// One metric of one peer, round by round.
    pub(crate) fn values(&self, case: &Case, peer: &str, metric: Metric) -> Vec<u64> {
        let wanted = |row: &&Row| row.metric == metric && row.peer == peer && row.case() == *case;
        self.rows.iter().filter(wanted).map(|row| row.value).collect()
    }

    /// One metric of the whole run.
    pub(crate) fn all(&self, metric: Metric) -> Vec<u64> {
        self.rows.iter().filter(|row| row.metric == metric).map(|row| row.value).collect()
    }
}
