//! The same promises, slowly: every registration and every decision is kept for ever and searched from end to end.

use super::{DAY, Input, Payment, REFUSED, id_of, result};
use crate::join::{OutcomeId, Side};
use crate::time::EventTime;

struct Registered {
    side: Side,
    key: u8,
    from: i64,
    value: Option<i64>,
}

struct Waiting {
    missing: Side,
    offset: usize,
    payment: Payment,
}

enum Judged {
    Result(String),
    Refused,
    Small,
    Missing(Side),
}

#[derive(Default)]
pub(super) struct Oracle {
    hold_for: i64,
    now: Option<i64>,
    offsets: [usize; 3],
    registered: Vec<Registered>,
    waiting: Vec<Waiting>,
    /// Side, key and time of everything that was decided by them.
    decided: Vec<(Side, u8, i64)>,
    emitted: Vec<Payment>,
    known: Vec<(i64, OutcomeId)>,
    pub results: Vec<String>,
    pub dead: Vec<String>,
    pub late: Vec<String>,
    pub duplicates: Vec<String>,
    pub small: u64,
}

fn key_of(payment: &Payment, side: Side) -> u8 {
    if side == Side::Broadcast { payment.merchant } else { payment.card }
}

impl Oracle {
    pub(super) fn new(hold_for: i64) -> Oracle {
        Oracle { hold_for, ..Oracle::default() }
    }

    pub(super) fn feed(&mut self, input: &Input) {
        match input {
            Input::Merchant { key, from, limit } => self.register(Side::Broadcast, *key, *from, *limit),
            Input::Card { key, from, owner } => self.register(Side::Table, *key, *from, owner.map(i64::from)),
            Input::Payment(payment) => self.pay(payment),
        }
    }

    pub(super) fn held(&self) -> Vec<i64> {
        let mut places: Vec<_> = self.waiting.iter().map(|w| (w.payment.time, w.offset)).collect();
        places.sort_unstable();
        places.into_iter().map(|(time, _)| time).collect()
    }

    fn offset(&mut self, source: usize) -> usize {
        self.offsets[source] += 1;
        self.offsets[source] - 1
    }

    /// The version in force: of equal times the last one in the log.
    fn version(&self, side: Side, key: u8, time: i64) -> Option<&Registered> {
        let of_key = self.registered.iter().filter(|r| r.side == side && r.key == key && r.from <= time);
        of_key.max_by_key(|r| r.from)
    }

    fn as_of(&self, side: Side, key: u8, time: i64) -> Option<i64> {
        self.version(side, key, time).and_then(|version| version.value)
    }

    fn register(&mut self, side: Side, key: u8, from: i64, value: Option<i64>) {
        let (source, topic) = if side == Side::Broadcast { (0, "merchants") } else { (1, "cards") };
        let offset = self.offset(source);
        let horizon = self.now.map(|now| now - self.hold_for.max(30 * DAY));
        let base = horizon.and_then(|horizon| self.version(side, key, horizon));
        let past = base.is_some_and(|base| from < base.from);
        let changes = past || self.as_of(side, key, from) != value;
        let same_key = |r: &&Registered| r.side == side && r.key == key && r.from > from;
        let until = self.registered.iter().filter(same_key).map(|r| r.from).min().unwrap_or(i64::MAX);
        let decided =
            self.decided.iter().filter(|(s, k, _)| *s == side && *k == key).map(|(_, _, time)| *time);
        if let Some(through) = decided.max().filter(|through| changes && *through >= from) {
            let remembered = self.now.unwrap_or(0) - 30 * DAY;
            let touched =
                |p: &&Payment| key_of(p, side) == key && p.time >= from.max(remembered) && p.time < until;
            let mut ids: Vec<_> = self.emitted.iter().filter(touched).map(|p| (p.time, id_of(p))).collect();
            ids.sort_unstable();
            let names: Vec<_> = ids.iter().map(|(_, id)| id.to_string()).collect();
            let (through, count) = (EventTime(through), names.len());
            self.late.push(format!("{topic}[0]@{offset}; {through}; {count}; {}", names.join(",")));
        }
        self.registered.push(Registered { side, key, from, value });
        self.waiting.sort_by_key(|waiting| (waiting.payment.time, waiting.offset));
        for waiting in std::mem::take(&mut self.waiting) {
            let missing = waiting.missing;
            let same = (missing, key_of(&waiting.payment, missing)) == (side, key);
            if same && self.as_of(side, key, waiting.payment.time).is_some() {
                self.judge(waiting.payment, waiting.offset);
            } else {
                self.waiting.push(waiting);
            }
        }
    }

    fn pay(&mut self, payment: &Payment) {
        let offset = self.offset(2);
        let (time, id) = (payment.time, id_of(payment));
        let too_old = self.now.is_some_and(|now| now - time > 30 * DAY);
        let waits = self.waiting.iter().any(|waiting| id_of(&waiting.payment) == id);
        if waits || (self.known.contains(&(time, id)) && !too_old) {
            self.duplicates.push(format!("payments[0]@{offset}"));
            return;
        }
        if let Some(now) = self.now.filter(|_| too_old) {
            self.late.push(format!("payments[0]@{offset}; {}; {}", EventTime(now), now - time - 30 * DAY));
            return;
        }
        let now = self.now.map_or(time, |now| now.max(time));
        self.now = Some(now);
        self.give_up(now);
        self.judge(payment.clone(), offset);
        self.give_up(now);
    }

    fn give_up(&mut self, now: i64) {
        self.waiting.sort_by_key(|waiting| (waiting.payment.time, waiting.offset));
        for waiting in std::mem::take(&mut self.waiting) {
            if now - waiting.payment.time <= self.hold_for {
                self.waiting.push(waiting);
                continue;
            }
            let side = waiting.missing;
            self.decided.push((side, key_of(&waiting.payment, side), waiting.payment.time));
            self.dead.push(format!("payments[0]@{}; unidentified", waiting.offset));
        }
    }

    fn verdict(&self, payment: &Payment) -> Judged {
        let Some(limit) = self.as_of(Side::Broadcast, payment.merchant, payment.time) else {
            return Judged::Missing(Side::Broadcast);
        };
        if payment.amount == REFUSED {
            return Judged::Refused;
        }
        if payment.amount <= limit {
            return Judged::Small;
        }
        match self.as_of(Side::Table, payment.card, payment.time) {
            None => Judged::Missing(Side::Table),
            Some(owner) => Judged::Result(result(payment, limit, u8::try_from(owner).unwrap())),
        }
    }

    fn judge(&mut self, payment: Payment, offset: usize) {
        let verdict = self.verdict(&payment);
        if !matches!(verdict, Judged::Missing(_)) {
            self.decided.push((Side::Broadcast, payment.merchant, payment.time));
        }
        match verdict {
            Judged::Small => self.small += 1,
            Judged::Refused => self.dead.push(format!("payments[0]@{offset}; rule")),
            Judged::Missing(missing) => {
                self.known.push((payment.time, id_of(&payment)));
                self.waiting.push(Waiting { missing, offset, payment });
            }
            Judged::Result(result) => {
                self.decided.push((Side::Table, payment.card, payment.time));
                self.known.push((payment.time, id_of(&payment)));
                self.results.push(result);
                self.emitted.push(payment);
            }
        }
    }
}
