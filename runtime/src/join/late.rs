//! The late record of a registration (law 18).
//!
//! Promise: it names the results the registration touches, in the order of (time, id), as many as a record can carry, and
//! always how many there are.

use super::rules::OutcomeId;
use crate::processor::{Aside, Context, VALUE_MAX_BYTES};
use crate::time::EventTime;

/// Room for names in any case: what Kafka's `message.max.bytes` leaves beside the longest value, with framing to spare.
const NAMES_LEAST_BYTES: usize = 32 * 1_024;

/// What a registration came too late for.
pub(super) struct Late<A> {
    /// The latest time judged by its key.
    pub judged_through: EventTime,
    /// The remembered results whose times it changed.
    pub affected: A,
}

impl<A: Iterator<Item = OutcomeId>> Late<A> {
    /// Puts the registration into the late topic with headers `judged-through`, `affected-count` and `affected`: ids
    /// separated by commas, cut off behind the last that fits.
    pub(super) fn put_aside(self, registration: &Aside, context: &mut Context<'_>) {
        let taken = [&registration.key, &registration.value].map(|part| part.as_ref().map_or(0, Vec::len));
        let room = VALUE_MAX_BYTES.saturating_sub(taken.iter().sum()).max(NAMES_LEAST_BYTES);
        let (mut names, mut count) = (String::new(), 0_u64);
        for id in self.affected {
            count += 1;
            let name = id.to_string();
            if names.len() + 1 + name.len() <= room {
                if !names.is_empty() {
                    names.push(',');
                }
                names.push_str(&name);
            }
        }
        let details = [
            ("judged-through", self.judged_through.to_string()),
            ("affected-count", count.to_string()),
            ("affected", names),
        ];
        context.late(registration, &details);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Offset, Outgoing};
    use crate::processor::{Counters, Routes};
    use crate::time::StreamTime;

    #[test]
    fn names_are_cut_off_where_the_record_is_full_and_still_counted() {
        let routes = Routes {
            partition: 0,
            sinks: Vec::new(),
            dead_letters: "dead".into(),
            late: "late".into(),
            duplicates: "duplicates".into(),
        };
        for (value_bytes, named) in [(0, 30_303), (970_000, 993), (VALUE_MAX_BYTES, 993)] {
            let (mut clock, mut counters, mut outgoing) =
                (StreamTime::default(), Counters::default(), Outgoing::default());
            let registration = Aside {
                topic: "cards".into(),
                partition: 0,
                offset: Offset(0),
                time: EventTime(0),
                key: None,
                value: Some(vec![0; value_bytes]),
                headers: Vec::new(),
            };
            let affected = (0..40_000_u128).map(|number| OutcomeId(number.to_be_bytes()));
            let mut context = Context::new(&routes, &mut clock, &mut counters, &mut outgoing);
            Late { judged_through: EventTime(0), affected }.put_aside(&registration, &mut context);
            let (_, records) = outgoing.batches().next().unwrap();
            let header = |wanted: &str| {
                let (_, value) = records.headers(0).find(|(name, _)| *name == wanted).unwrap();
                String::from_utf8(value.to_vec()).unwrap()
            };
            assert_eq!(header("affected-count"), "40000");
            assert_eq!(header("affected").split(',').count(), named, "beside {value_bytes} bytes");
            assert!(records.bytes().len() < 1_048_588, "Kafka's `message.max.bytes`");
        }
    }
}
