//! What follows from a judgement: events, holding, giving up (laws 18 and 19).
//!
//! Guarantees: an event goes out if and only if what is in force for an id changes; a record is held while a side is missing, unless it has been
//! given up before.

use super::operator::JoinOptions;
use super::remembered::{Counted, Remembered, Standing};
use super::rules::{JoinItem, JoinRules, OutcomeEvent, OutcomeReason, OutcomeState, Side, Verdict};
use crate::error::{BadRecord, Reason};
use crate::processor::Context;

type RememberedBy<R> = Remembered<<R as JoinRules>::Item, <R as JoinRules>::Outcome>;

/// What settling a record needs beside it.
pub(super) struct Settling<'j, R> {
    pub(super) rules: &'j R,
    pub(super) options: &'j JoinOptions,
}

impl<R: JoinRules> Settling<'_, R> {
    /// Takes note of a judgement. `reason` is the cause if nothing speaks for a closer one. Returns the bytes of the dead letter, if one was put.
    pub(super) fn settle(
        &self,
        known: &mut RememberedBy<R>,
        verdict: Verdict<R::Outcome>,
        reason: OutcomeReason,
        context: &mut Context<'_>,
    ) -> usize {
        let was = known.standing;
        let reason = closer_reason(reason, was, &verdict);
        match verdict {
            Verdict::Emit(outcome) => {
                self.tell(known, Some(outcome), reason, context);
                known.standing = Standing::Issued;
            }
            Verdict::Ignore(label) => {
                self.tell(known, None, reason, context);
                known.standing = Standing::Ignored;
                if known.counted == Counted::Not {
                    known.counted = Counted::AsIgnored;
                    context.count(label);
                }
            }
            Verdict::Missing(side) => {
                self.tell(known, None, reason, context);
                return self.hold(known, side, context);
            }
        }
        if matches!(was, Standing::Held(_)) {
            context.count("released");
        }
        0
    }

    fn hold(&self, known: &mut RememberedBy<R>, side: Side, context: &mut Context<'_>) -> usize {
        match known.standing {
            Standing::Unidentified(_) => known.standing = Standing::Unidentified(side),
            Standing::Held(_) => known.standing = Standing::Held(side),
            Standing::Issued | Standing::Ignored => {
                context.count("held");
                known.standing = Standing::Held(side);
            }
        }
        self.give_up_if_due(known, context)
    }

    /// Puts a record that has been held for too long into the dead-letter topic. Returns the bytes of its value.
    pub(super) fn give_up_if_due(&self, known: &mut RememberedBy<R>, context: &mut Context<'_>) -> usize {
        let (Standing::Held(side), Some(now)) = (known.standing, context.stream_time()) else { return 0 };
        let hold_for_ms = self.options.hold_for_ms;
        if known.item.time >= now.plus_ms(-hold_for_ms) {
            return 0;
        }
        known.standing = Standing::Unidentified(side);
        context.count("unidentified");
        let missing = self.rules.name_missing(side, known.key_of(side));
        let time = known.item.time;
        let message = format!("no registration of {missing} as of {time} came within {hold_for_ms} ms");
        let record = known.record.with_key(&known.item.table_key);
        context.dead_letter(&record, &BadRecord::new(Reason::Unidentified, message));
        known.record.value_bytes()
    }

    /// Sends an event if what is in force changes. What an earlier run left in force is always answered.
    fn tell(
        &self,
        known: &mut RememberedBy<R>,
        next: Option<R::Outcome>,
        reason: OutcomeReason,
        context: &mut Context<'_>,
    ) {
        let is_earlier = reason == OutcomeReason::EarlierRun;
        let state = match (&known.in_force, &next) {
            (None, None) => return,
            (Some(was), Some(is)) if was == is && !is_earlier => return,
            (Some(_), None) => OutcomeState::Voided,
            (Some(_), Some(_)) if !is_earlier => OutcomeState::Revised,
            (_, Some(_)) => OutcomeState::Issued,
        };
        let Some(outcome) = next.as_ref().or(known.in_force.as_ref()) else { return };
        known.revision += 1;
        let event = OutcomeEvent { outcome, state, revision: known.revision, reason };
        self.send(&known.item, &event, context);
        match state {
            OutcomeState::Issued if known.counted == Counted::AsJudged => context.count("reissued"),
            OutcomeState::Issued => {
                known.counted = Counted::AsJudged;
                context.count("judged");
            }
            OutcomeState::Revised => context.count("revised"),
            OutcomeState::Voided => context.count("voided"),
        }
        known.in_force = next;
    }

    pub(super) fn send(
        &self,
        item: &JoinItem<R::Item>,
        event: &OutcomeEvent<'_, R::Outcome>,
        context: &mut Context<'_>,
    ) {
        let (key, value) = self.rules.encode(item, event);
        context.forward(self.options.sink, item.time, &key, &value);
    }
}

/// A record that is judged again by a registration of one side may owe its change to another one of the other side, which came
/// in the same round. It does if that other side is what it waited for, or what it lacks now.
fn closer_reason<O>(reason: OutcomeReason, was: Standing, verdict: &Verdict<O>) -> OutcomeReason {
    if !matches!(reason, OutcomeReason::Registration(_)) {
        return reason;
    }
    match (was, verdict) {
        (Standing::Held(side) | Standing::Unidentified(side), _) => OutcomeReason::Registration(side),
        (_, Verdict::Missing(side)) => OutcomeReason::Registration(*side),
        _ => reason,
    }
}
