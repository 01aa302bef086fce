//! What our topologies need of a log, whichever home it has: inputs that fit together, applications that still fit them, schemas.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_processors::billing::{TotalsOptions, totals_topology};
use tidegate_processors::speeding::{SpeedingOptions, speeding_topology};
use tidegate_runtime::kept::kept;
use tidegate_runtime::log::{Log, SchemaRegistry, subject_of_value};
use tidegate_runtime::time::EventTime;
use tidegate_runtime::topology::Topology;
use tidegate_runtime::window::{Emit, TimeWindows};
use tidegate_schemas::TOPICS;

use super::finding::Finding;
use super::{applications, placement, registry, topics};
use crate::workers::block_on;

/// How many partitions each topic has.
pub(super) type Partitions<'t> = BTreeMap<&'t str, u32>;

/// The inputs of each processor. What they read does not depend on their options.
pub(super) fn inputs(log: &dyn Log, partitions: &Partitions<'_>) -> anyhow::Result<Vec<Finding>> {
    let windows = TimeWindows::hopping(1_000, 1_000, 0)?;
    let totals = TotalsOptions { windows, emit: Emit::OnClose, max_event_time: EventTime::DEFAULT_MAX };
    let topologies = [
        speeding_topology("process speeding", SpeedingOptions::default()),
        totals_topology("process totals", totals),
    ];
    let mut findings: Vec<Finding> =
        topologies.iter().map(|topology| topics::co_partitioned(topology, partitions)).collect();
    findings.extend(placement::judge(log, &topologies, partitions));
    Ok(findings)
}

/// The applications to look at: those that are asked for, or all that have run here.
pub(super) fn applications_of(asked: &[String], partitions: &Partitions<'_>) -> BTreeSet<String> {
    match asked.is_empty() {
        true => applications::found(partitions.keys().copied()),
        false => asked.iter().cloned().collect(),
    }
}

/// Each application with its inputs.
pub(super) fn applications(
    log: &dyn Log,
    apps: &BTreeSet<String>,
    partitions: &Partitions<'_>,
) -> Vec<Finding> {
    if apps.is_empty() {
        return vec![Finding::skip(
            "applications",
            "none has run here yet; --app names one that should have",
        )];
    }
    let judge = |app: &String| match log.committed(app) {
        Ok(offsets) => {
            let inputs = offsets.keys().map(|partition| partition.topic.to_string()).collect();
            applications::judge(app, partitions, &inputs)
        }
        Err(error) => {
            let reason = format!("{:#}", anyhow::Error::new(error));
            Finding::skip(format!("application {app}"), format!("its positions could not be read: {reason}"))
        }
    };
    apps.iter().map(judge).collect()
}

/// Every schema of the table; without `may_register`, what is not registered is missing.
pub(super) fn schemas(of: &dyn SchemaRegistry, may_register: bool) -> Vec<Finding> {
    let judge = |topic: &tidegate_schemas::Topic| {
        let subject = subject_of_value(topic.name);
        let standing = of.check(&subject, topic.schema);
        let standing = standing.map_err(|error| format!("{:#}", anyhow::Error::new(error)));
        registry::schema(&subject, &standing, may_register)
    };
    TOPICS.into_iter().map(judge).collect()
}

/// The names of an application's own topics.
pub(super) fn own_topics(app: &str) -> Vec<String> {
    Topology::own_topics(app, 1).into_iter().map(|spec| spec.name).collect()
}

/// The topics with names of the user's own that an application reads and writes, as its state has them.
pub(super) struct KeptTopics {
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
}

/// What cannot be read is said of the application elsewhere.
pub(super) fn kept_topics(log: &dyn Log, app: &str) -> KeptTopics {
    let kept = block_on(kept(log, app)).ok().and_then(Result::ok).flatten();
    let identity =
        kept.and_then(|kept| kept.progress).and_then(|progress| progress.identity).unwrap_or_default();
    let is_own = |name: &String| tidegate_schemas::topic(name).is_none();
    let inputs = identity.inputs.into_iter().map(|input| input.name).filter(is_own).collect();
    KeptTopics { inputs, outputs: identity.outputs.into_iter().filter(is_own).collect() }
}
