//! A topology of one's own, second part: an as-of join.
//!
//! Payments are joined with the card's limit and the shop's country as they were *when the payment was made*. A payment whose card is not
//! known yet waits for it. It runs on the test driver, which needs no log: see `sensor_windows` for a worker on one. Run
//! it with `cargo run -p tidegate-runtime --example payment_join`.

use tidegate_runtime::Key;
use tidegate_runtime::driver::TestDriver;
use tidegate_runtime::error::{BadRecord, Reason, Result};
use tidegate_runtime::join::{
    AsOfJoin, JoinItem, JoinOptions, JoinRules, Lookup, OutcomeId, Registration, STORES, Side, Verdict,
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
    ) -> Verdict {
        let Some(limit) = card.get() else { return Verdict::Missing(Side::Table) };
        let (id, cents) = &item.item;
        if cents <= limit {
            return Verdict::Ignore("within-limit");
        }
        let Some(country) = shop.get() else { return Verdict::Missing(Side::Broadcast) };
        let value = format!("{id}: {cents} over {limit} in {country}").into_bytes();
        Verdict::Emit { key: item.table_key.clone(), value }
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
        ("cards", 55, "card-2", "500"),              // now p3 is judged
    ];
    for (topic, time_ms, key, value) in events {
        driver.pipe(topic, EventTime(time_ms), Some(key.as_bytes()), Some(value.as_bytes()))?;
    }
    let text = |bytes: Option<Vec<u8>>| String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
    let mut lines: Vec<String> = driver.read("alerts").into_iter().map(|alert| text(alert.value)).collect();
    for counter in ["judged", "within-limit", "held", "released", "duplicates"] {
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
            "p3: 999 over 500 in FR",
            "judged 2",
            "within-limit 1",
            "held 1",
            "released 1",
            "duplicates 1",
        ];
        assert_eq!(super::example().unwrap(), expected);
    }
}
