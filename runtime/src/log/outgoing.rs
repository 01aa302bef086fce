//! What a step produces on its way to several partitions.

use super::{Records, TopicPartition};

/// Records on their way to several partitions: what a step produces, in order within each partition.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    batches: Vec<(TopicPartition, Records)>,
}

impl Outgoing {
    /// The buffer of one partition; look it up once per run of records.
    pub fn partition(&mut self, topic: &std::sync::Arc<str>, partition: u32) -> &mut Records {
        let found = self.batches.iter().position(|(to, _)| to.partition == partition && to.topic == *topic);
        let at = found.unwrap_or_else(|| {
            let to = TopicPartition { topic: topic.clone(), partition };
            self.batches.push((to, Records::default()));
            self.batches.len() - 1
        });
        &mut self.batches[at].1
    }

    /// Every partition with records in it.
    pub fn batches(&self) -> impl Iterator<Item = (&TopicPartition, &Records)> {
        self.batches.iter().filter(|(_, records)| !records.is_empty()).map(|(to, records)| (to, records))
    }

    /// Every partition with records in it, for a producer to move them out of.
    pub fn batches_mut(&mut self) -> impl Iterator<Item = (&TopicPartition, &mut Records)> {
        let filled = self.batches.iter_mut().filter(|(_, records)| !records.is_empty());
        filled.map(|(to, records)| (&*to, records))
    }

    /// True if there is no record in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batches().next().is_none()
    }

    /// The size of all records.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.batches.iter().map(|(_, records)| records.bytes().len()).sum()
    }

    /// Forgets the records, keeps the memory.
    pub fn clear(&mut self) {
        for (_, records) in &mut self.batches {
            records.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::EventTime;

    #[test]
    fn outgoing_keeps_the_order_within_a_partition() {
        let topic: std::sync::Arc<str> = "t".into();
        let mut outgoing = Outgoing::default();
        for index in 0..4_i64 {
            let partition = u32::from(index % 2 == 1);
            outgoing.partition(&topic, partition).push(EventTime(index), None, None, &[]);
        }
        let odd = outgoing.batches().find(|(to, _)| to.partition == 1).unwrap().1;
        assert_eq!((odd.time(0), odd.time(1)), (EventTime(1), EventTime(3)));
        outgoing.clear();
        assert!(outgoing.is_empty());
    }
}
