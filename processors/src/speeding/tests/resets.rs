//! What a first start finds in the output of an earlier run.

use std::sync::Arc;

use tidegate_runtime::avro::{Decoder, Encoder, SchemaCache};
use tidegate_runtime::log::{Chunk, Offset, Outgoing, Records, SchemaId, SchemaRegistry, TopicPartition};
use tidegate_runtime::processor::{Context, Counters, Processor, Routes};
use tidegate_runtime::time::StreamTime;
use tidegate_schemas::{
    Infraction, InfractionState, RadarEvent, RadarEventKind, RadarKind, Reading, Record, VehicleEvent,
    VehicleEventKind,
};

use super::*;

const NOON: i64 = 1_780_315_200_000;

/// Schema ids by topic.
struct Schemas;

const SCHEMAS: [&tidegate_schemas::Topic; 4] = [&INFRACTIONS, &RADARS, &VEHICLES, &READINGS];

impl SchemaRegistry for Schemas {
    fn register(&self, _subject: &str, _schema: &str) -> tidegate_runtime::Result<SchemaId> {
        Ok(SchemaId(1))
    }
    fn schema(&self, id: SchemaId) -> tidegate_runtime::Result<Option<String>> {
        Ok(SCHEMAS.get(id.0 as usize - 1).map(|topic| topic.schema.to_owned()))
    }
    fn versions(&self, _subject: &str) -> tidegate_runtime::Result<Vec<(SchemaId, String)>> {
        Ok(Vec::new())
    }
    fn subjects(&self) -> tidegate_runtime::Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// The processor of speeding, without a task.
struct FirstStart {
    processor: Box<dyn Processor>,
    schemas: SchemaCache,
    clock: StreamTime,
    counters: Counters,
    outgoing: Outgoing,
}

impl FirstStart {
    fn new() -> FirstStart {
        let schemas = SchemaCache::new();
        for id in 1..=4 {
            schemas.resolve(SchemaId(id), &Schemas).unwrap();
        }
        let encoder = Arc::new(Encoder::new(SchemaId(1), INFRACTIONS.schema).unwrap());
        let topology = speeding_topology("speeding", SpeedingOptions::default());
        assert_eq!(topology.earlier_output(), Some(0));
        let processor = topology.build(&TaskEnvironment::new(schemas.clone(), vec![encoder])).unwrap();
        let (clock, counters, outgoing) = Default::default();
        FirstStart { processor, schemas, clock, counters, outgoing }
    }

    fn take<R: Record>(&mut self, record: &R) {
        let number = SCHEMAS.iter().position(|topic| topic.name == R::TOPIC.name).unwrap();
        let mut value = Vec::new();
        let encoder = Encoder::new(SchemaId(number as u32 + 1), R::TOPIC.schema).unwrap();
        encoder.encode(record, &mut value).unwrap();
        let mut records = Records::default();
        records.push(EventTime(record.event_time_ms()), Some(record.key()), Some(&value), &[]);
        let partition = TopicPartition::new(R::TOPIC.name, 0);
        let chunk = Chunk::contiguous(partition, Offset(0), Offset(0), records, Offset(1));
        if number == 0 {
            self.processor.take_earlier_output(0, &chunk.record(0)).unwrap();
            return;
        }
        let routes = Routes {
            partition: 0,
            sinks: vec![(INFRACTIONS.name.into(), 1)],
            dead_letters: "dead".into(),
            late: "late".into(),
            duplicates: "duplicates".into(),
        };
        let mut context = Context::new(&routes, &mut self.clock, &mut self.counters, &mut self.outgoing);
        self.processor.process(number - 1, &chunk.record(0), &mut context).unwrap();
    }

    fn told(&self) -> Vec<Infraction> {
        let mut told = Vec::new();
        for (_, records) in self.outgoing.batches() {
            let read = |index| Decoder::new(self.schemas.clone()).decode(records.value(index)).unwrap();
            told.extend((0..records.len()).map(read));
        }
        told
    }
}

/// By another schedule, and of another owner.
fn earlier(sequence: i64) -> Infraction {
    Infraction {
        infraction_id: infraction_id("r", NOON, "V", sequence),
        radar_id: "r".to_owned(),
        plate: "V".to_owned(),
        owner_id: "earlier".to_owned(),
        measured_at: NOON,
        measured_speed_kmh: 99,
        retained_speed_kmh: 98,
        speed_limit_kmh: 7,
        excess_kmh: 91,
        fine_minor: 123_456,
        currency: "CHF".to_owned(),
        points: 9,
        rule: "an old rule".to_owned(),
        revision: 4,
        state: InfractionState::Revised,
        reason: "radar".to_owned(),
    }
}

fn reading(sequence: i64, speed_kmh: i32) -> Reading {
    let (radar_id, plate) = ("r".to_owned(), "V".to_owned());
    Reading { radar_id, sequence, plate, measured_at: NOON, speed_kmh }
}

#[test]
fn an_infraction_of_an_earlier_run_is_voided_as_it_was_or_issued_again() {
    let mut start = FirstStart::new();
    for sequence in 1..=4 {
        start.take(&earlier(sequence));
    }
    start.take(&Infraction { state: InfractionState::Voided, ..earlier(4) });
    start.take(&RadarEvent {
        radar_id: "r".to_owned(),
        kind: RadarEventKind::Installed,
        radar_kind: RadarKind::Fixed,
        speed_limit_kmh: 50,
        place: "p".to_owned(),
        valid_from: NOON,
    });
    start.take(&VehicleEvent {
        plate: "V".to_owned(),
        kind: VehicleEventKind::Registered,
        owner_id: "ann".to_owned(),
        valid_from: NOON,
    });
    start.take(&reading(1, 20));
    start.take(&reading(2, 60));
    start.take(&reading(4, 20));
    let told = start.told();
    let answer = |sequence, state| Infraction {
        revision: 1,
        state,
        reason: "earlier-run".to_owned(),
        ..earlier(sequence)
    };
    assert_eq!(told[0], answer(1, InfractionState::Voided), "the other fields repeat what was");
    let again = (&*told[1].owner_id, told[1].revision, told[1].state, &*told[1].reason);
    assert_eq!(again, ("ann", 1, InfractionState::Issued, "earlier-run"));
    assert_eq!(told.len(), 2, "the third waits for its reading, the fourth was voided before");
}
