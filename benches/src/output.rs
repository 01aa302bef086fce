//! The check: every committed result against the recomputation. A fast wrong answer is no answer.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};
use serde::de::DeserializeOwned;
use tidegate_runtime::avro::{Decoder, SchemaCache};
use tidegate_runtime::log::embedded::EmbeddedLog;
use tidegate_runtime::log::{Log, TopicPartition, read_range};
use tidegate_schemas::topics::{CUSTOMER_TOTALS, INFRACTIONS};
use tidegate_schemas::{CustomerTotal, Infraction, Topic};

use crate::Job;
use crate::input::Expected;

/// Compares what stands in the output topic with what must stand there.
pub(crate) fn check(job: Job, data: &Path, expected: &Expected) -> Result<()> {
    let log = EmbeddedLog::open(data)?;
    let mut doubled = 0;
    let found = match job {
        Job::Totals => {
            let mut totals = BTreeMap::new();
            read(&log, &CUSTOMER_TOTALS, |total: CustomerTotal| {
                let of = (total.customer_id, total.window_start);
                doubled += u64::from(totals.insert(of, (total.count, total.amount_minor)).is_some());
            })?;
            Expected::Totals(totals)
        }
        Job::Speeding => {
            let mut infractions = BTreeMap::new();
            read(&log, &INFRACTIONS, |infraction: Infraction| {
                let of = (infraction.plate, infraction.measured_at);
                doubled += u64::from(infractions.insert(of, infraction.owner_id).is_some());
            })?;
            Expected::Infractions(infractions)
        }
    };
    if doubled > 0 || found != *expected {
        bail!("the output is wrong: {doubled} results are doubled, or others than the recomputation gives");
    }
    Ok(())
}

fn read<T: DeserializeOwned>(log: &EmbeddedLog, topic: &Topic, mut take: impl FnMut(T)) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let schemas = SchemaCache::new();
    let mut decoder = Decoder::new(schemas.clone());
    for partition in (0..topic.partitions).map(|number| TopicPartition::new(topic.name, number)) {
        let ends = log.watermarks(&partition)?;
        runtime.block_on(read_range(log, &partition, ends.low, ends.high, |chunk| {
            for id in schemas.missing_ids(chunk) {
                schemas.resolve(id, log.registry())?;
            }
            for record in chunk.records() {
                take(decoder.decode(record.value())?);
            }
            anyhow::Ok(())
        }))?;
    }
    Ok(())
}
