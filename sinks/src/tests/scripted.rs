//! A log whose every offset the test decides: gaps where a transaction's markers would stand, any watermark, faults on
//! demand. One topic, `invoices`; schemas 1 and 2 are its current and its older one.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use tidegate_runtime::log::{
    Chunk, Cleanup, Command, Consumer, Event, EventSender, GroupInfo, GroupOffsets, Log, Notice, Offset,
    Outgoing, Producer, Receipt, Records, SchemaId, SchemaRegistry, Subscription, TopicInfo, TopicPartition,
    TopicSpec, Watermarks,
};
use tidegate_runtime::time::EventTime;
use tidegate_runtime::{Error, Result};
use tidegate_schemas::topics;
use tokio::sync::watch;

use super::{invoice, invoice_value};

/// Few, so that segments begin and end within chunks and between them.
const CHUNK_RECORDS: usize = 7;

#[derive(Clone, Default)]
pub(super) struct Record {
    pub(super) time: EventTime,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
}

#[derive(Clone, Default)]
pub(super) struct Partition {
    pub(super) low: i64,
    pub(super) high: i64,
    pub(super) records: BTreeMap<i64, Record>,
}

impl Partition {
    /// A good record at `offset`, which becomes the last one.
    pub(super) fn invoice(&mut self, offset: i64) {
        let time = EventTime(invoice(offset).issued_at);
        let key = Some(invoice(offset).customer_id.into_bytes());
        self.put(offset, Record { time, key, value: Some(invoice_value(offset)) });
    }

    pub(super) fn put(&mut self, offset: i64, record: Record) {
        self.records.insert(offset, record);
        self.high = self.high.max(offset + 1);
    }
}

pub(super) type Positions = BTreeMap<TopicPartition, Offset>;

pub(super) struct Scripted {
    pub(super) partitions: Mutex<Vec<Partition>>,
    /// What sinks have published, for tests to wait on.
    pub(super) published: watch::Sender<Positions>,
    /// Errors the registry and new readers give before they work.
    pub(super) registry_faults: Mutex<u32>,
    pub(super) reader_faults: Mutex<u32>,
    pub(super) topic_faults: Mutex<u32>,
    pub(super) producer_faults: Mutex<u32>,
    /// How often it was asked for a partition's ends, and which of these questions fail.
    pub(super) watermarks_asked: Mutex<u32>,
    pub(super) watermark_faults: Mutex<Range<u32>>,
}

impl Scripted {
    pub(super) fn new(partitions: Vec<Partition>) -> Arc<Scripted> {
        Arc::new(Scripted {
            partitions: Mutex::new(partitions),
            published: watch::Sender::new(BTreeMap::new()),
            registry_faults: Mutex::new(0),
            reader_faults: Mutex::new(0),
            topic_faults: Mutex::new(0),
            producer_faults: Mutex::new(0),
            watermarks_asked: Mutex::new(0),
            watermark_faults: Mutex::new(0..0),
        })
    }

    /// Ready when a sink has published `offset` for partition 0.
    pub(super) async fn published_at(&self, offset: i64) {
        let at = TopicPartition::new("invoices", 0);
        let reached = |positions: &Positions| positions.get(&at).is_some_and(|next| next.0 >= offset);
        self.published.subscribe().wait_for(reached).await.unwrap();
    }
}

fn fault(left: &Mutex<u32>) -> Result<()> {
    let mut left = left.lock().unwrap();
    if *left == 0 {
        return Ok(());
    }
    *left -= 1;
    Err(out_of_reach())
}

fn out_of_reach() -> Error {
    Error::Transient { what: "out of reach".into(), cause: "as the test has it".into() }
}

fn not_scripted<T>() -> Result<T> {
    Err(Error::Defect("the scripted log does not do this".into()))
}

/// The chunks of one partition from `from` on, ended by the news of its end.
fn chunks(number: u32, partition: &Partition, from: i64) -> Vec<Chunk> {
    let at = TopicPartition::new("invoices", number);
    let mut rest: VecDeque<_> = partition.records.range(from.max(partition.low)..partition.high).collect();
    let mut chunks = Vec::new();
    let mut position = Offset(from);
    while let Some((first, _)) = rest.front().copied() {
        let mut records = Records::default();
        // Other than on Kafka, a gap ends a chunk; whether it stands within or between them is all the same to a reader.
        while records.len() < CHUNK_RECORDS
            && rest.front().is_some_and(|(at, _)| **at == first + records.len() as i64)
        {
            let (_, record) = rest.pop_front().unwrap();
            records.push(record.time, record.key.as_deref(), record.value.as_deref(), &[]);
        }
        let chunk = Chunk::contiguous(at.clone(), position, Offset(*first), records, Offset(partition.high));
        position = chunk.next;
        chunks.push(chunk);
    }
    let mut end = Chunk::empty(at, position, Offset(partition.high));
    end.next = Offset(partition.high);
    chunks.push(end);
    chunks
}

impl Log for Scripted {
    fn address(&self) -> String {
        "scripted:0".into()
    }

    fn identity(&self) -> Result<String> {
        Ok("scripted-log".into())
    }

    fn topics(&self) -> Result<Vec<TopicInfo>> {
        fault(&self.topic_faults)?;
        let partitions = self.partitions.lock().unwrap().len() as u32;
        let (name, id) = ("invoices".into(), Some("scripted-topic".into()));
        Ok(vec![TopicInfo { name, id, partitions, cleanup: Cleanup::Delete }])
    }

    fn watermarks(&self, partition: &TopicPartition) -> Result<Watermarks> {
        let mut asked = self.watermarks_asked.lock().unwrap();
        *asked += 1;
        if self.watermark_faults.lock().unwrap().contains(&*asked) {
            return Err(out_of_reach());
        }
        let found = &self.partitions.lock().unwrap()[partition.partition as usize];
        Ok(Watermarks { low: Offset(found.low), high: Offset(found.high) })
    }

    fn reader(&self, _buffer_bytes: usize) -> Result<Consumer> {
        let (commands, received) = channel();
        let (events, receiver) = tokio::sync::mpsc::channel(4);
        let partitions = self.partitions.lock().unwrap().clone();
        let broken = fault(&self.reader_faults);
        let thread = std::thread::spawn(move || serve(&received, &events, &partitions, broken));
        Ok(Consumer::new(receiver, commands, || {}, None, thread))
    }

    fn producer(&self, transactional_id: &str) -> Result<Box<dyn Producer>> {
        fault(&self.producer_faults)?;
        Ok(Box::new(ScriptedProducer { id: transactional_id.into(), published: self.published.clone() }))
    }

    fn registry(&self) -> &dyn SchemaRegistry {
        self
    }

    fn create_topics(&self, _specs: &[TopicSpec]) -> Result<()> {
        not_scripted()
    }

    fn delete_topic(&self, _name: &str) -> Result<()> {
        not_scripted()
    }

    fn offset_at_time(&self, _partition: &TopicPartition, _time: EventTime) -> Result<Offset> {
        not_scripted()
    }

    fn trim(&self, _partition: &TopicPartition, _before: Offset) -> Result<()> {
        not_scripted()
    }

    fn groups(&self) -> Result<Vec<GroupInfo>> {
        not_scripted()
    }

    fn committed(&self, _group: &str) -> Result<BTreeMap<TopicPartition, Offset>> {
        not_scripted()
    }

    fn delete_group(&self, _group: &str) -> Result<()> {
        not_scripted()
    }

    fn subscribe(&self, _subscription: &Subscription) -> Result<Consumer> {
        not_scripted()
    }
}

fn serve(commands: &Receiver<Command>, events: &EventSender, partitions: &[Partition], broken: Result<()>) {
    if let Err(error) = broken {
        // A reader's last word: it ends with its first error.
        let _ = events.blocking_send(Err(error));
        return;
    }
    while let Ok(command) = commands.recv() {
        match command {
            Command::Seek(at, from) => {
                // What was under way from another position, as after any seek: to be ignored.
                let mut stale = Chunk::empty(at.clone(), from.next(), from.next());
                stale.next = Offset(from.0 + 2);
                if events.blocking_send(Ok(Notice::Event(Event::Chunk(stale)))).is_err() {
                    return;
                }
                for chunk in chunks(at.partition, &partitions[at.partition as usize], from.0) {
                    if events.blocking_send(Ok(Notice::Event(Event::Chunk(chunk)))).is_err() {
                        return;
                    }
                }
            }
            Command::Release(_) => {}
            Command::Close => return,
        }
    }
}

struct ScriptedProducer {
    id: String,
    published: watch::Sender<Positions>,
}

impl Producer for ScriptedProducer {
    fn send(&mut self, _outgoing: &mut Outgoing) -> Result<()> {
        not_scripted()
    }

    fn commit(&mut self, offsets: Option<&GroupOffsets>) -> Result<Receipt> {
        let offsets = offsets.unwrap();
        assert_eq!((&offsets.group, &offsets.membership), (&self.id, &None));
        self.published.send_modify(|positions| positions.extend(offsets.offsets.iter().cloned()));
        Ok(Receipt::default())
    }

    fn abort(&mut self) -> Result<()> {
        not_scripted()
    }
}

impl SchemaRegistry for Scripted {
    fn register(&self, _subject: &str, _schema: &str) -> Result<SchemaId> {
        not_scripted()
    }

    fn schema(&self, id: SchemaId) -> Result<Option<String>> {
        fault(&self.registry_faults)?;
        Ok(match id.0 {
            1 => Some(topics::INVOICES.schema.into()),
            2 => Some(topics::INVOICES.older_schemas[0].into()),
            _ => None,
        })
    }

    fn versions(&self, _subject: &str) -> Result<Vec<(SchemaId, String)>> {
        not_scripted()
    }

    fn subjects(&self) -> Result<Vec<String>> {
        not_scripted()
    }
}
