//! What is done: the same for everybody who is measured.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tidegate_schemas::Topic;
use tidegate_schemas::topics::{CUSTOMER_TOTALS, INFRACTIONS, INVOICES, RADARS, READINGS, VEHICLES};

/// The processor that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Job {
    /// Count and sum per customer and window of five seconds, emitted on close.
    Totals,
    /// Readings joined with vehicles and radars; one in ten is over the limit.
    Speeding,
}

impl Job {
    /// As commands and folders name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Job::Totals => "totals",
            Job::Speeding => "speeding",
        }
    }

    /// The topic whose records are counted.
    pub(crate) fn input(self) -> &'static Topic {
        match self {
            Job::Totals => &INVOICES,
            Job::Speeding => &READINGS,
        }
    }

    /// Every topic that holds input.
    pub(crate) fn inputs(self) -> &'static [&'static Topic] {
        static OF_TOTALS: [&Topic; 1] = [&INVOICES];
        static OF_SPEEDING: [&Topic; 3] = [&RADARS, &VEHICLES, &READINGS];
        match self {
            Job::Totals => &OF_TOTALS,
            Job::Speeding => &OF_SPEEDING,
        }
    }

    /// Where Tidegate's results go.
    pub(crate) fn output(self) -> &'static Topic {
        match self {
            Job::Totals => &CUSTOMER_TOTALS,
            Job::Speeding => &INFRACTIONS,
        }
    }
}

/// A job and the size of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Work {
    pub(crate) job: Job,
    /// Invoices or readings.
    pub(crate) records: u64,
    /// Customers or vehicles.
    pub(crate) keys: u64,
    /// Of the input, and of the output.
    pub(crate) partitions: u32,
}

impl Work {
    /// Partitions of an input topic: a topic of one partition is read whole by every task.
    pub(crate) fn partitions_of(&self, topic: &Topic) -> u32 {
        if topic.partitions == 1 { 1 } else { self.partitions }
    }
}

/// Names a folder or a topic by what it holds.
impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}-{}", self.job.name(), self.records, self.keys, self.partitions)
    }
}
