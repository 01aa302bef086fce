//! A topology of one's own, second part: an as-of join.
//!
//! Payments are joined with the card's limit and the shop's country as they were *when the payment was made*. A payment whose card is not
//! known yet waits for it. An alert is corrected if a registration of that time comes later. It runs on the test driver, which needs no log:
//! see `sensor_windows` for a worker on one. Run it with `cargo run -p tidegate-runtime --example payment_join`.

use tidegate_runtime::Key;
use tidegate_runtime::driver::TestDriver;
use tidegate_runtime::error::{BadRecord, Reason, Result};
use tidegate_runtime::join::{
    AsOfJoin, JoinItem, JoinOptions, JoinRules, LetGo, Lookup, OutcomeEvent, OutcomeId, OutcomeReason,
    OutcomeState, Registration, STORES, Side, Verdict,
};
use tidegate_runtime::log::RecordRef;
use tidegate_runtime::time::EventTime;
use tidegate_runtime::topology::{Source, Topology};

/// The rules. Payments are `payment id|shop|cents`, keyed by card; cards are `limit in cents`; shops are `country`.
struct Payments;

impl Payments {
    fn text<'r>(record: &RecordRef<'r>) -> Result<&'r str, BadRecord> {
        let value = record.value().ok_or_else(|| BadRecord::new(Reason::NullValue, "no value"))?;
        std::str::from_utf8(value).map_err(|_| BadRecord::new(Reason::Undecodable, "not UTF-8"))
    }

    fn key(record: &RecordRef<'_>) -> Result<Key, BadRecord> {
        record.key().map(Key::from).ok_or_else(|| BadRecord::new(Reason::NullKey, "no key"))
    }

    fn number(text: &str) -> Result<i64, BadRecord> {
        text.parse().map_err(|_| BadRecord::new(Reason::Rule, format!("`{text}` is no amount")))
    }
}

impl JoinRules for Payments {
    type Item = (String, i64);
    type Table = i64;
    type Broadcast = String;
    /// What an alert says of its payment: the limit and the country.
    type Outcome = (i64, String);
    /// The amount in cents.
    type Measure = i64;

    fn read_item(&mut self, record: &RecordRef<'_>) -> Result<JoinItem<(String, i64)>, BadRecord> {
        let text = Payments::text(record)?;
        let mut parts = text.split('|');
        let (Some(id), Some(shop), Some(cents)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(BadRecord::new(Reason::Rule, format!("`{text}` is no payment")));
        };
        Ok(JoinItem {
            time: record.time(),
            broadcast_key: Key::from(shop),
            table_key: Payments::key(record)?,
            item: (id.to_owned(), Payments::number(cents)?),
        })
    }

    fn read_table(&mut self, record: &RecordRef<'_>) -> Result<Registration<i64>, BadRecord> {
        let limit = Payments::number(Payments::text(record)?)?;
        Ok(Registration { key: Payments::key(record)?, valid_from: record.time(), value: Some(limit) })
    }

    fn read_broadcast(&mut self, record: &RecordRef<'_>) -> Result<Registration<String>, BadRecord> {
        let country = Payments::text(record)?.to_owned();
        Ok(Registration { key: Payments::key(record)?, valid_from: record.time(), value: Some(country) })
    }

    fn outcome_id(&self, item: &JoinItem<(String, i64)>) -> OutcomeId {
        OutcomeId::of(&[item.item.0.as_bytes()])
    }

    fn judge(
        &self,
        item: &JoinItem<(String, i64)>,
        shop: &Lookup<'_, String>,
        card: &Lookup<'_, i64>,
    ) -> Verdict<(i64, String)> {
        let Some(limit) = card.get() else { return Verdict::Missing(Side::Table) };
        if item.item.1 <= *limit {
            return Verdict::Ignore("within-limit");
        }
        let Some(country) = shop.get() else { return Verdict::Missing(Side::Broadcast) };
        Verdict::Emit((*limit, country.clone()))
    }

    fn encode(
        &self,
        item: &JoinItem<(String, i64)>,
        event: &OutcomeEvent<'_, (i64, String)>,
    ) -> (Key, Vec<u8>) {
        let ((id, cents), (limit, country)) = (&item.item, event.outcome);
        let state = match event.state {
            OutcomeState::Issued => "",
            OutcomeState::Revised => "revised: ",
            OutcomeState::Voided => "voided: ",
        };
        let reason = match event.reason {
            OutcomeReason::Item => "",
            OutcomeReason::Registration(Side::Table) => ", because of the card",
            OutcomeReason::Registration(Side::Broadcast) => ", because of the shop",
            OutcomeReason::EarlierRun => ", seen before a reset",
        };
        let alert = format!("{state}{id}: {cents} over {limit} in {country}{reason}");
        (item.table_key.clone(), alert.into_bytes())
    }

    fn measure(&self, item: &JoinItem<(String, i64)>) -> i64 {
        item.item.1
    }

    fn table_could_catch(&self, limit: &i64, _valid_from: EventTime, let_go: &LetGo<i64>) -> bool {
        *limit < let_go.greatest
    }
}

fn topology() -> Topology {
    Topology::new("payment-checks", "check", &STORES, |_| {
        Box::new(AsOfJoin::new(Payments, JoinOptions::default()))
    })
    .source(Source::broadcast("shops"))
    .source(Source::table("cards"))
    .source(Source::stream("payments"))
    .sink("alerts", r#""string""#)
}

fn example() -> Result<Vec<String>> {
    let mut driver = TestDriver::new(topology(), 2)?;
    let events = [
        ("shops", 0, "bakery", "FR"),
        ("cards", 0, "card-1", "100"),
        ("cards", 50, "card-1", "200"),
        ("payments", 49, "card-1", "p1|bakery|150"), // over the limit of that time
        ("payments", 51, "card-1", "p2|bakery|150"), // within the new one
        ("payments", 60, "card-2", "p3|bakery|999"), // held: nobody knows the card
        ("payments", 60, "card-2", "p3|bakery|999"), // the same again
        ("cards", 55, "card-2", "500"),              // p3 is over this
        ("payments", 70, "card-2", "p4|bakery|100"), // within it
        ("cards", 58, "card-2", "700"),              // and this was p3's
        ("payments", 71, "card-2", "p5|bakery|100"), // within that
    ];
    for (topic, time_ms, key, value) in events {
        driver.pipe(topic, EventTime(time_ms), Some(key.as_bytes()), Some(value.as_bytes()))?;
    }
    let text = |bytes: Option<Vec<u8>>| String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
    let mut lines: Vec<String> = driver.read("alerts").into_iter().map(|alert| text(alert.value)).collect();
    for counter in ["judged", "revised", "within-limit", "held", "released", "duplicates"] {
        lines.push(format!("{counter} {}", driver.total(counter)));
    }
    Ok(lines)
}

#[expect(clippy::print_stdout, reason = "an example shows what it does")]
fn main() -> Result<()> {
    print!("{}", topology().describe());
    for line in example()? {
        println!("{line}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_gives_what_it_says() {
        let expected = [
            "p1: 150 over 100 in FR",
            "p3: 999 over 500 in FR, because of the card",
            "revised: p3: 999 over 700 in FR, because of the card",
            "judged 2",
            "revised 1",
            "within-limit 3",
            "held 1",
            "released 1",
            "duplicates 1",
        ];
        assert_eq!(super::example().unwrap(), expected);
    }
}
