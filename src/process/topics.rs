//! Which topics a processor reads and writes: those of the table, those it was told, or those it has written before.
//!
//! Guarantees: two applications write to one topic only if the user says so. An application under another name than the default writes to a
//! topic of its own, `APP-TOPIC`, as in `minute-customer-totals`; one that has state goes on with the topic it has written to before.

use anyhow::Result;
use tidegate_runtime::Error;
use tidegate_runtime::kept::Kept;
use tidegate_runtime::log::Log;
use tidegate_runtime::topology::{Sink, Topology};
use tidegate_schemas::Topic;
use tidegate_schemas::topics::{CUSTOMER_TOTALS, INFRACTIONS};

use super::{speeding, totals};
use crate::used_topics::{self, PartitionArgs, UsedTopic};

/// The topics of a processor: the rows of the table whose shapes they have, and their names.
#[derive(Debug)]
pub(super) struct Topics {
    /// Its inputs; the output gets as many partitions as the last one.
    pub(super) inputs: Vec<(&'static Topic, String)>,
    /// Its output, with the name that the user gave.
    pub(super) output: (&'static Topic, Option<String>),
    /// The name under which it writes to the topic of the table.
    pub(super) default_app: &'static str,
}

impl Topics {
    /// The topology on these topics; `kept` is what the log keeps of the application.
    pub(super) fn apply(&self, topology: Topology, kept: Option<&Kept>) -> Result<Topology> {
        let mut applied = topology;
        for (row, name) in &self.inputs {
            applied = applied.replace_source(row.name, name);
        }
        let output = self.output(&applied, kept)?;
        Ok(applied.replace_sink(self.output.0.name, &output))
    }

    fn output(&self, topology: &Topology, kept: Option<&Kept>) -> Result<String> {
        let (row, told) = &self.output;
        let app = topology.app();
        let progress = kept.and_then(|kept| kept.progress.as_ref());
        let before = progress.and_then(|progress| match &progress.identity {
            Some(identity) if identity.kind == topology.operator() => identity.outputs.first().cloned(),
            // Another kind of application: that is refused later, with what it is.
            Some(_) => None,
            // State of a version that always wrote to the topic of the table.
            None => Some(row.name.to_owned()),
        });
        match (told, before) {
            (Some(told), Some(before)) if *told != before => Err(other_output(app, &before, told).into()),
            (Some(told), _) => Ok(told.clone()),
            (None, Some(before)) => Ok(before),
            (None, None) => Ok(first_output(app, self.default_app, row)),
        }
    }

    /// Creates what is missing: inputs of the table and the output. An input with another name must be there.
    pub(super) fn create(&self, log: &dyn Log, topology: &Topology, partitions: PartitionArgs) -> Result<()> {
        let names: Vec<&str> = self.inputs.iter().map(|(_, name)| name.as_str()).collect();
        let found = log.topics_of(&names)?;
        let is_there = |name: &str| found.iter().any(|topic| topic.name == name);
        // Before anything is created: a name that was mistyped leaves nothing behind.
        if let Some(missing) =
            names.iter().find(|name| !is_there(name) && tidegate_schemas::topic(name).is_none())
        {
            return Err(Error::UnknownTopic((*missing).to_owned()).into());
        }
        // Inputs that are joined need the same number of partitions: a missing one gets those of one that is there.
        let mut joined = self.inputs.iter().filter(|(row, _)| row.partitions > 1);
        let like = joined.find(|(_, name)| is_there(name)).map(|(_, name)| name.as_str());
        let input = |(row, name): &(&'static Topic, String)| UsedTopic::input(name, row, like);
        let inputs: Vec<UsedTopic> = self.inputs.iter().map(input).collect();
        used_topics::create(log, &inputs, partitions)?;
        let last = names.last().copied().unwrap_or_default();
        // Afterwards: then it is known how many partitions the inputs have.
        let output = |sink: &Sink| UsedTopic::output(&sink.topic, self.output.0, last);
        used_topics::create(log, &topology.sinks().iter().map(output).collect::<Vec<_>>(), partitions)
    }
}

/// Where an application without state writes to unless it is told.
fn first_output(app: &str, default_app: &str, row: &Topic) -> String {
    if app == default_app { row.name.to_owned() } else { format!("{app}-{}", row.name) }
}

/// True if the application would choose this output by itself at its first start, as one of the two kinds there are.
pub(crate) fn is_first_output(app: &str, output: &str) -> bool {
    let kinds = [(totals::APP, &CUSTOMER_TOTALS), (speeding::APP, &INFRACTIONS)];
    kinds.iter().any(|(default_app, row)| first_output(app, default_app, row) == output)
}

fn other_output(app: &str, before: &str, told: &str) -> Error {
    Error::Refused {
        what: format!("application `{app}` wrote to `{before}` before, and now to `{told}`"),
        remedy: format!(
            "choose another `--app`, or `tidegate reset --app {app}` clears offsets, state and time together"
        ),
    }
}

#[cfg(test)]
mod tests {
    use tidegate_processors::billing::{TotalsOptions, totals_topology};
    use tidegate_runtime::changelog::Progress;
    use tidegate_runtime::identity::Identity;
    use tidegate_runtime::time::EventTime;
    use tidegate_runtime::window::{Emit, TimeWindows};
    use tidegate_schemas::topics::INVOICES;

    use super::*;

    fn output(app: &str, told: Option<&str>, kept: Option<Option<Identity>>) -> Result<String> {
        let windows = TimeWindows::hopping(5_000, 5_000, 0).unwrap();
        let options = TotalsOptions { windows, emit: Emit::OnClose, max_event_time: EventTime::DEFAULT_MAX };
        let topics = Topics {
            inputs: vec![(&INVOICES, INVOICES.name.to_owned())],
            output: (&CUSTOMER_TOTALS, told.map(str::to_owned)),
            default_app: "totals",
        };
        let progress = kept.map(|identity| Progress { identity, ..Progress::default() });
        let kept = progress.map(|progress| Kept { tasks: 4, progress: Some(progress) });
        let topology = topics.apply(totals_topology(app, options), kept.as_ref())?;
        Ok(topology.sinks()[0].topic.clone())
    }

    fn wrote_to(topic: &str) -> Option<Option<Identity>> {
        let (kind, outputs) = ("totals".to_owned(), vec![topic.to_owned()]);
        Some(Some(Identity { kind, outputs, ..Identity::default() }))
    }

    #[test]
    fn an_application_writes_to_a_topic_of_its_own_unless_it_has_written_or_is_told() {
        for (app, told, kept, expected) in [
            ("totals", None, None, "customer-totals"),
            ("minute", None, None, "minute-customer-totals"),
            ("minute", Some("minutes"), None, "minutes"),
            ("minute", Some("customer-totals"), None, "customer-totals"),
            ("minute", None, wrote_to("minutes"), "minutes"),
            ("minute", Some("minutes"), wrote_to("minutes"), "minutes"),
            ("totals", None, wrote_to("other"), "other"),
            // Kept by a version that had one output.
            ("minute", None, Some(None), "customer-totals"),
            ("minute", Some("customer-totals"), Some(None), "customer-totals"),
        ] {
            assert_eq!(output(app, told, kept).unwrap(), expected, "{app} {told:?}");
        }
        for kept in [wrote_to("minutes"), Some(None)] {
            let error = output("minute", Some("other"), kept).unwrap_err().to_string();
            assert!(error.contains("and now to `other`") && error.contains("reset --app minute"), "{error}");
        }
    }
}
