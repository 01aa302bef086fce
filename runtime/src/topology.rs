//! A topology is data: what an application reads, keeps and writes, declared before anything runs.
//!
//! Promise: the same value is validated, printed by `describe` and run by worker and test driver. What an operator does
//! stands in its processor; that the declaration tells the truth about stores is checked when a task starts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::avro::{Decoder, Encoder, SchemaCache};
use crate::error::{Error, Result};
use crate::log::{Cleanup, TopicInfo, TopicSpec};
use crate::processor::Processor;

/// What a source is to its topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// Each record counts by itself and moves stream time.
    Stream,
    /// Co-partitioned with the stream; holds versions by validity time; does not move stream time.
    Table,
    /// Read whole by every task, whatever its partition.
    Broadcast,
}

/// A topic a topology reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The topic.
    pub topic: String,
    /// What it is to the topology.
    pub kind: SourceKind,
}

impl Source {
    /// A stream of records.
    pub fn stream(topic: impl Into<String>) -> Source {
        Source { topic: topic.into(), kind: SourceKind::Stream }
    }

    /// A co-partitioned table.
    pub fn table(topic: impl Into<String>) -> Source {
        Source { topic: topic.into(), kind: SourceKind::Table }
    }

    /// A broadcast (global) table.
    pub fn broadcast(topic: impl Into<String>) -> Source {
        Source { topic: topic.into(), kind: SourceKind::Broadcast }
    }
}

/// A topic a topology writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    /// The topic.
    pub topic: String,
    /// The Avro schema of its values, as JSON text.
    pub schema: String,
}

/// What a processor is built with: one environment per task.
pub struct TaskEnvironment {
    schemas: SchemaCache,
    encoders: Vec<Arc<Encoder>>,
}

impl TaskEnvironment {
    /// `encoders` in the order of the topology's sinks.
    #[must_use]
    pub fn new(schemas: SchemaCache, encoders: Vec<Arc<Encoder>>) -> TaskEnvironment {
        TaskEnvironment { schemas, encoders }
    }

    /// A decoder for this task's inputs.
    #[must_use]
    pub fn decoder(&self) -> Decoder {
        Decoder::new(self.schemas.clone())
    }

    /// The encoder of sink number `sink`.
    ///
    /// # Panics
    /// If the topology declares no such sink.
    #[must_use]
    pub fn encoder(&self, sink: usize) -> Arc<Encoder> {
        self.encoders[sink].clone()
    }
}

type Supplier = Arc<dyn Fn(&TaskEnvironment) -> Box<dyn Processor> + Send + Sync>;

/// What an application reads, keeps and writes.
#[derive(Clone)]
pub struct Topology {
    app: String,
    sources: Vec<Source>,
    operator: String,
    stores: Vec<String>,
    sinks: Vec<Sink>,
    parameters: BTreeMap<String, String>,
    earlier_output: Option<usize>,
    supplier: Supplier,
}

impl Topology {
    /// An application's topology around one operator. `supplier` builds its processor, once per task and again after every
    /// restore; `stores` are the names of its stores, in order.
    pub fn new(
        app: impl Into<String>,
        operator: impl Into<String>,
        stores: &[&str],
        supplier: impl Fn(&TaskEnvironment) -> Box<dyn Processor> + Send + Sync + 'static,
    ) -> Topology {
        Topology {
            app: app.into(),
            sources: Vec::new(),
            operator: operator.into(),
            stores: stores.iter().map(|store| (*store).to_owned()).collect(),
            sinks: Vec::new(),
            parameters: BTreeMap::new(),
            earlier_output: None,
            supplier: Arc::new(supplier),
        }
    }

    /// Adds a source; the processor knows it by its number, from 0.
    #[must_use]
    pub fn source(mut self, source: Source) -> Topology {
        self.sources.push(source);
        self
    }

    /// Adds an output topic with its value schema; the processor knows it by its number, from 0.
    #[must_use]
    pub fn sink(mut self, topic: impl Into<String>, schema: impl Into<String>) -> Topology {
        self.sinks.push(Sink { topic: topic.into(), schema: schema.into() });
        self
    }

    /// Adds a parameter that shapes results. It is kept with the state: another value on the same application is refused.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Topology {
        self.parameters.insert(name.into(), value.into());
        self
    }

    /// Reads the topic `by` instead of the topic `declared`, if that is one of its sources.
    #[must_use]
    pub fn replace_source(mut self, declared: &str, by: &str) -> Topology {
        let sources = self.sources.iter_mut().filter(|source| source.topic == declared);
        sources.for_each(|source| by.clone_into(&mut source.topic));
        self
    }

    /// Writes to the topic `by` instead of the topic `declared`, if that is one of its outputs.
    #[must_use]
    pub fn replace_sink(mut self, declared: &str, by: &str) -> Topology {
        let sinks = self.sinks.iter_mut().filter(|sink| sink.topic == declared);
        sinks.for_each(|sink| by.clone_into(&mut sink.topic));
        self
    }

    /// Lets a task that starts for the first time read what an earlier run wrote to output number `sink`, before any input: see
    /// [`Processor::take_earlier_output`].
    #[must_use]
    pub fn reads_earlier_output(mut self, sink: usize) -> Topology {
        self.earlier_output = Some(sink);
        self
    }

    /// The output whose earlier records a first start reads, if any.
    #[must_use]
    pub fn earlier_output(&self) -> Option<usize> {
        self.earlier_output
    }

    /// The application's name: its group, its changelog and its topics are named after it.
    #[must_use]
    pub fn app(&self) -> &str {
        &self.app
    }

    /// Its sources, by number.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Its outputs, by number.
    #[must_use]
    pub fn sinks(&self) -> &[Sink] {
        &self.sinks
    }

    /// The names of its stores, by number.
    #[must_use]
    pub fn stores(&self) -> &[String] {
        &self.stores
    }

    /// The parameters kept with the state, as one line.
    #[must_use]
    pub fn parameters_line(&self) -> String {
        let pairs: Vec<String> =
            self.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join(" ")
    }

    /// What does the work: the kind of this application (see [`Identity`](crate::identity::Identity)).
    #[must_use]
    pub fn operator(&self) -> &str {
        &self.operator
    }

    /// The names of all topics it reads and writes.
    #[must_use]
    pub fn topics(&self) -> Vec<&str> {
        let sources = self.sources.iter().map(|source| source.topic.as_str());
        sources.chain(self.sinks.iter().map(|sink| sink.topic.as_str())).collect()
    }

    /// Builds the processor of one task.
    ///
    /// # Errors
    /// [`Error::Refused`] if its stores are not those that were declared, in their order: what a store forgets to be declared with would be
    /// forgotten at the next start.
    pub fn build(&self, environment: &TaskEnvironment) -> Result<Box<dyn Processor>> {
        let mut processor = (self.supplier)(environment);
        let stores: Vec<String> = processor.stores().iter().map(|store| store.name().to_owned()).collect();
        if stores == self.stores {
            return Ok(processor);
        }
        Err(Error::Refused {
            what: format!(
                "topology `{}` declares the stores [{}], and its processor has the stores [{}]",
                self.app,
                self.stores.join(", "),
                stores.join(", ")
            ),
            remedy: "declare the stores that `Processor::stores` returns, in the same order: the state of another one would be lost"
                .to_owned(),
        })
    }

    /// The topic that holds the state of the application named `app`.
    #[must_use]
    pub fn changelog_of(app: &str) -> String {
        format!("{app}-changelog")
    }

    /// The topic for bad records.
    #[must_use]
    pub fn dead_letters_of(app: &str) -> String {
        format!("{app}-dead-letters")
    }

    /// The topic for late records.
    #[must_use]
    pub fn late_of(app: &str) -> String {
        format!("{app}-late")
    }

    /// The topic for records that were there before.
    #[must_use]
    pub fn duplicates_of(app: &str) -> String {
        format!("{app}-duplicates")
    }

    /// The topics the runtime makes for an application: one partition per task each.
    #[must_use]
    pub fn own_topics(app: &str, partitions: u32) -> Vec<TopicSpec> {
        [
            Topology::changelog_of(app),
            Topology::dead_letters_of(app),
            Topology::late_of(app),
            Topology::duplicates_of(app),
        ]
        .map(|name| TopicSpec { name, partitions, cleanup: Cleanup::Delete })
        .to_vec()
    }

    /// Checks the declaration against the topics there are; the number of tasks.
    ///
    /// # Errors
    /// [`Error::Refused`] naming what does not fit: no stream, a missing topic, a name that is used twice, inputs that are not
    /// co-partitioned, an output that is also an input.
    pub fn validate(&self, topics: &[TopicInfo]) -> Result<u32> {
        self.check_topics(topics)?;
        self.co_partitioned(topics)
    }

    /// Every topic is there, and has one part in it.
    pub(crate) fn check_topics(&self, topics: &[TopicInfo]) -> Result<()> {
        let refuse = |what: String, remedy: &str| {
            Err(Error::Refused {
                what: format!("topology `{}`: {what}", self.app),
                remedy: remedy.to_owned(),
            })
        };
        if !self.sources.iter().any(|source| source.kind == SourceKind::Stream) {
            return refuse("it has no stream to read".to_owned(), "declare at least one `Source::stream`");
        }
        let mut seen = Vec::new();
        let names = self.sources.iter().map(|source| &source.topic);
        for name in names.chain(self.sinks.iter().map(|sink| &sink.topic)) {
            if seen.contains(&name) {
                return refuse(format!("topic `{name}` is named twice"), "name every topic once");
            }
            if !topics.iter().any(|topic| topic.name == *name) {
                return refuse(format!("topic `{name}` does not exist"), "create it first");
            }
            seen.push(name);
        }
        Ok(())
    }

    /// The partition count all streams and tables share.
    pub(crate) fn co_partitioned(&self, topics: &[TopicInfo]) -> Result<u32> {
        let partitioned = self.sources.iter().filter(|source| source.kind != SourceKind::Broadcast);
        let mut counts = partitioned.filter_map(|source| {
            let found = topics.iter().find(|topic| topic.name == source.topic)?;
            Some((source.topic.as_str(), found.partitions))
        });
        let Some((first, partitions)) = counts.next() else {
            return Err(Error::Defect(
                "a topology without partitioned sources got past its check".to_owned(),
            ));
        };
        match counts.find(|(_, count)| *count != partitions) {
            None => Ok(partitions),
            Some((other, count)) => Err(Error::Refused {
                what: format!(
                    "topology `{}`: `{first}` has {partitions} partitions and `{other}` has {count}",
                    self.app
                ),
                remedy: "inputs that are joined need the same number of partitions".to_owned(),
            }),
        }
    }

    /// The topology as text, for people and golden files.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = format!("topology {}\n", self.app);
        for source in &self.sources {
            let kind = match source.kind {
                SourceKind::Stream => "stream",
                SourceKind::Table => "table",
                SourceKind::Broadcast => "broadcast table",
            };
            let _ = writeln!(text, "  source     {} ({kind}) -> {}", source.topic, self.operator);
        }
        let _ = writeln!(text, "  processor  {} (stores: {})", self.operator, self.stores.join(", "));
        for sink in &self.sinks {
            let _ = writeln!(text, "  sink       {} <- {}", sink.topic, self.operator);
        }
        for topic in Topology::own_topics(&self.app, 1) {
            let _ = writeln!(text, "  own topic  {}", topic.name);
        }
        for (name, value) in &self.parameters {
            let _ = writeln!(text, "  parameter  {name} = {value}");
        }
        text
    }

    /// The topology as a Mermaid flow chart.
    #[must_use]
    pub fn describe_mermaid(&self) -> String {
        let mut text = String::from("flowchart LR\n");
        let _ = writeln!(text, "  op[{}]", self.operator);
        for (number, source) in self.sources.iter().enumerate() {
            let arrow = if source.kind == SourceKind::Stream { "-->" } else { "-.->" };
            let _ = writeln!(text, "  in{number}([{}]) {arrow} op", source.topic);
        }
        for (number, store) in self.stores.iter().enumerate() {
            let _ = writeln!(text, "  op --- st{number}[({store})]");
        }
        for (number, sink) in self.sinks.iter().enumerate() {
            let _ = writeln!(text, "  op --> out{number}([{}])", sink.topic);
        }
        text
    }
}
