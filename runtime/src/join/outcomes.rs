//! What has been decided, for as long as it must not be decided twice (law 12).
//!
//! Promise: an id is known until stream time passes its record's time by [`REMEMBERED_MS`]. Ordered by time, so that
//! forgetting takes the front, and so that most records are told from duplicates by their time alone.

use serde::{Deserialize, Serialize};

use super::rules::{JoinItem, OutcomeId, Side};
use crate::Key;
use crate::store::{KeyValueStore, Store};
use crate::time::EventTime;

/// How long ids are remembered, and how far back a record may lie to be judged: 30 days of event time. A bound of the laws,
/// not a setting: it is what producers may rely on when they send again.
pub const REMEMBERED_MS: i64 = 30 * 24 * 60 * 60 * 1_000;

/// What came of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Outcome {
    /// A result went out, by these keys.
    Emitted { broadcast_key: Key, table_key: Key },
    /// It was held, and then came to nothing.
    Settled,
}

/// The remembered ids of a task.
pub(super) struct Outcomes {
    outcomes: KeyValueStore<(EventTime, OutcomeId), Outcome>,
}

impl Outcomes {
    pub(super) fn new(name: &str) -> Outcomes {
        Outcomes { outcomes: KeyValueStore::new(name) }
    }

    /// Takes note of a result.
    pub(super) fn emitted<I>(&mut self, id: OutcomeId, item: &JoinItem<I>) {
        let (broadcast_key, table_key) = (item.broadcast_key.clone(), item.table_key.clone());
        self.outcomes.put((item.time, id), Outcome::Emitted { broadcast_key, table_key });
    }

    /// Takes note that a held record led to no result.
    pub(super) fn settled(&mut self, time: EventTime, id: OutcomeId) {
        self.outcomes.put((time, id), Outcome::Settled);
    }

    pub(super) fn contains(&self, time: EventTime, id: OutcomeId) -> bool {
        self.outcomes.get(&(time, id)).is_some()
    }

    /// True if a record of this very time is remembered: only then is its id worth working out.
    pub(super) fn any_at(&self, time: EventTime) -> bool {
        // Most records come in the order of time, and then the last place answers without a search.
        self.outcomes.last().is_some_and(|((last, _), _)| *last >= time)
            && self.outcomes.range(at(time)..=(time, OutcomeId([u8::MAX; 16]))).next().is_some()
    }

    /// The results for `key` of `side` with times `[from, until)`, in the order of (time, id). Looks at every result of
    /// these times: asked for only when a registration is late, which is rare.
    pub(super) fn affected<'s>(
        &'s self,
        side: Side,
        key: &'s [u8],
        from: EventTime,
        until: Option<EventTime>,
    ) -> impl Iterator<Item = OutcomeId> + 's {
        let after = self.outcomes.range(at(from)..);
        let between = after.take_while(move |((time, _), _)| until.is_none_or(|until| *time < until));
        let touched = between.filter(move |(_, outcome)| match (outcome, side) {
            (Outcome::Settled, _) => false,
            (Outcome::Emitted { broadcast_key, .. }, Side::Broadcast) => **broadcast_key == *key,
            (Outcome::Emitted { table_key, .. }, Side::Table) => **table_key == *key,
        });
        touched.map(|((_, id), _)| *id)
    }

    /// Forgets what is older than stream time allows.
    pub(super) fn forget(&mut self, stream_time: EventTime) {
        let oldest = stream_time.plus_ms(-REMEMBERED_MS);
        while let Some(place) = self.first().filter(|(time, _)| *time < oldest) {
            self.outcomes.remove(&place);
        }
    }

    fn first(&self) -> Option<(EventTime, OutcomeId)> {
        self.outcomes.iter().next().map(|(place, _)| *place)
    }

    pub(super) fn store(&mut self) -> &mut dyn Store {
        &mut self.outcomes
    }
}

fn at(time: EventTime) -> (EventTime, OutcomeId) {
    (time, OutcomeId([0; 16]))
}
