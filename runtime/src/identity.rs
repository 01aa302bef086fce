//! What an application is, kept with its state: the kind of its topology, its stores, and the topics that it reads and writes.
//!
//! Guarantees: state is only ever taken up by the application that it belongs to. [`check_kept`] compares what is kept with what is
//! started, before the application joins its group and again when a task takes up its state. State that was kept before there were
//! identities has the names of its inputs and its parameters, and is compared by these alone.

use serde::{Deserialize, Serialize};

use crate::changelog::Progress;
use crate::error::{Error, Result};
use crate::log::{Offset, TopicInfo};
use crate::topology::{Source, SourceKind, Topology};

/// What an application is, apart from its parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// What kind of application: its topology's operator.
    pub kind: String,
    /// The names of its stores, in order.
    pub stores: Vec<String>,
    /// The topics it reads, in the order of their declaration.
    pub inputs: Vec<InputTopic>,
    /// The topics it writes, in the order of their declaration.
    pub outputs: Vec<String>,
}

/// A topic that an application reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputTopic {
    /// Its name.
    pub name: String,
    /// Which of all topics of that name (see [`TopicInfo::id`]), where the log has topic ids.
    pub id: Option<String>,
    /// How many partitions it has.
    pub partitions: u32,
    /// Its partitions are read by the tasks of their numbers: these topics have as many as there are tasks.
    pub is_partitioned: bool,
}

impl Identity {
    /// What `topology` is on a log with these topics. Inputs that are not among them are left out.
    #[must_use]
    pub fn of(topology: &Topology, topics: &[TopicInfo]) -> Identity {
        let input = |source: &Source| {
            let found = topics.iter().find(|topic| topic.name == source.topic)?;
            Some(InputTopic {
                name: source.topic.clone(),
                id: found.id.clone(),
                partitions: found.partitions,
                is_partitioned: source.kind != SourceKind::Broadcast,
            })
        };
        Identity {
            kind: topology.operator().to_owned(),
            stores: topology.stores().to_vec(),
            inputs: topology.sources().iter().filter_map(input).collect(),
            outputs: topology.sinks().iter().map(|sink| sink.topic.clone()).collect(),
        }
    }
}

/// What is kept with state must be what is started now.
///
/// # Errors
/// [`Error::Refused`], which says what differs.
pub fn check_kept(app: &str, kept: &Progress, parameters: &str, now: &Identity) -> Result<()> {
    check_kind(app, kept, &now.kind, now.inputs.iter().map(|input| input.name.as_str()))?;
    if kept.parameters != parameters {
        let kept = &kept.parameters;
        return refuse(
            app,
            format!("application `{app}` was started with `{kept}` before, and now with `{parameters}`"),
        );
    }
    let Some(identity) = &kept.identity else { return Ok(()) };
    let differs = |what: &str, kept: &[String], now: &[String]| {
        let (kept, now) = (listed(kept), listed(now));
        refuse(app, format!("application `{app}` {what} {kept} before, and now {now}"))
    };
    if identity.stores != now.stores {
        return differs("kept the stores", &identity.stores, &now.stores);
    }
    if identity.outputs != now.outputs {
        return differs("wrote to", &identity.outputs, &now.outputs);
    }
    check_inputs(app, &identity.inputs, &now.inputs)
}

/// What is kept must be of this kind. Old state does not say its kind, but names the inputs of its task, which must be among these.
pub(crate) fn check_kind<'n>(
    app: &str,
    kept: &Progress,
    kind: &str,
    inputs: impl Iterator<Item = &'n str> + Clone,
) -> Result<()> {
    let kept_kind = kept.identity.as_ref().map(|identity| identity.kind.as_str());
    if let Some(kept) = kept_kind.filter(|kept| *kept != kind) {
        return refuse(
            app,
            format!(
                "application `{app}` is of the kind `{kept}`, and was now started as one of the kind `{kind}`"
            ),
        );
    }
    let is_unknown = |(topic, ..): &&(String, u32, Offset)| !inputs.clone().any(|input| input == topic);
    match kept.inputs.iter().find(is_unknown).filter(|_| kept_kind.is_none()) {
        None => Ok(()),
        Some((topic, ..)) => {
            refuse(app, format!("application `{app}` has state for `{topic}`, which is no input of it now"))
        }
    }
}

/// The topics must be those that were read before, with as many partitions: another topic of the same name has other records at the same
/// offsets, and with another number of partitions keys are in other tasks.
///
/// # Errors
/// [`Error::Refused`], which says what has happened to which topic.
pub fn check_inputs(app: &str, kept: &[InputTopic], now: &[InputTopic]) -> Result<()> {
    let names = |inputs: &[InputTopic]| inputs.iter().map(|input| input.name.clone()).collect::<Vec<_>>();
    if names(kept) != names(now) {
        let (kept, now) = (listed(&names(kept)), listed(&names(now)));
        return refuse(app, format!("application `{app}` read {kept} before, and now {now}"));
    }
    for (kept, now) in kept.iter().zip(now) {
        let is_another = matches!((&kept.id, &now.id), (Some(kept), Some(now)) if kept != now);
        if is_another {
            return refuse(
                app,
                format!(
                    "topic `{}` was deleted and created again since application `{app}` first read it: it is another topic, and what \
                     is kept of the old one does not fit it",
                    now.name
                ),
            );
        }
        if kept.partitions != now.partitions {
            return refuse(app, other_partitions(app, &now.name, kept.partitions, now.partitions));
        }
    }
    Ok(())
}

/// The changelog has a partition for each task, in old state too.
pub(crate) fn check_tasks(app: &str, tasks: u32, now: &Identity) -> Result<()> {
    let other = |input: &&InputTopic| input.is_partitioned && input.partitions != tasks;
    match now.inputs.iter().find(other) {
        None => Ok(()),
        Some(input) => refuse(app, other_partitions(app, &input.name, tasks, input.partitions)),
    }
}

fn other_partitions(app: &str, topic: &str, kept: u32, now: u32) -> String {
    format!(
        "topic `{topic}` had {kept} partitions when application `{app}` began, and has {now} now: its keys are in other partitions than \
         the state that is kept of them"
    )
}

fn refuse<T>(app: &str, what: String) -> Result<T> {
    Err(Error::Refused { what, remedy: remedy(app) })
}

/// What helps against state that does not fit.
pub(crate) fn remedy(app: &str) -> String {
    format!("`tidegate reset --app {app}` clears offsets, state and time together")
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names => format!("`{}`", names.join("`, `")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(id: Option<&str>, partitions: u32) -> InputTopic {
        let id = id.map(str::to_owned);
        InputTopic { name: "words".to_owned(), id, partitions, is_partitioned: true }
    }

    fn identity(input: InputTopic) -> Identity {
        let names = |name: &str| vec![name.to_owned()];
        Identity { kind: "count".to_owned(), stores: names("s"), inputs: vec![input], outputs: names("o") }
    }

    fn refusal(outcome: Result<()>) -> String {
        match outcome.unwrap_err() {
            error @ Error::Refused { .. } => error.to_string(),
            error => panic!("{error}"),
        }
    }

    #[test]
    fn partitions_that_were_added_are_named() {
        let (kept, now) = (vec![input(Some("a"), 4)], vec![input(Some("a"), 6)]);
        let text = refusal(check_inputs("app", &kept, &now));
        assert!(
            text.contains("topic `words` had 4 partitions when application `app` began, and has 6 now"),
            "{text}"
        );
        assert!(text.contains("reset --app app"), "{text}");
        let text = refusal(check_tasks("app", 4, &identity(input(None, 6))));
        assert!(text.contains("had 4 partitions"), "{text}");
        let broadcast = InputTopic { is_partitioned: false, ..input(None, 6) };
        check_tasks("app", 4, &identity(broadcast)).unwrap();
    }

    #[test]
    fn a_log_without_topic_ids_tells_topics_by_their_names() {
        for (kept, now) in [(None, None), (None, Some("a")), (Some("a"), None), (Some("a"), Some("a"))] {
            check_inputs("app", &[input(kept, 4)], &[input(now, 4)]).unwrap();
        }
        let text = refusal(check_inputs("app", &[input(Some("a"), 4)], &[input(Some("b"), 6)]));
        assert!(text.contains("was deleted and created again"), "{text}");
    }

    /// An earlier version kept the names of a task's inputs and the parameters.
    #[test]
    fn old_state_is_compared_by_what_it_holds() {
        let old = Progress {
            parameters: "size=5".to_owned(),
            inputs: vec![("words".to_owned(), 0, Offset(3))],
            ..Progress::default()
        };
        let now = identity(input(Some("a"), 4));
        check_kept("app", &old, "size=5", &now).unwrap();
        assert!(refusal(check_kept("app", &old, "size=6", &now)).contains("now with `size=6`"));
        let other = Progress { inputs: vec![("letters".to_owned(), 0, Offset(3))], ..old };
        let text = refusal(check_kept("app", &other, "hold-for=3", &now));
        assert!(text.contains("has state for `letters`, which is no input of it now"), "{text}");
    }
}
