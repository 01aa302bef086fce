//! The schemas of the input for peers, as files: no peer needs a registry's client to skip five bytes.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use tidegate_runtime::log::{Log as _, subject_of_value};

use super::cluster::Cluster;
use crate::input;
use crate::work::Job;

/// Writes `SUBJECT.avsc` for each input topic, and `ids.csv` (topic, id).
pub(crate) fn write(cluster: &Cluster, job: Job, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut ids = String::new();
    for topic in job.inputs() {
        let (id, schema) = input::register(cluster.log.registry(), topic)?;
        std::fs::write(folder.join(format!("{}.avsc", subject_of_value(topic.name))), schema)?;
        writeln!(ids, "{},{id}", topic.name)?;
    }
    Ok(std::fs::write(folder.join("ids.csv"), ids)?)
}
