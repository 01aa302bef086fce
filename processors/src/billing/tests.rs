//! The topology of totals, driven as production drives it.

use tidegate_runtime::avro::SchemaCache;
use tidegate_runtime::driver::{DrivenRecord, TestDriver};
use tidegate_runtime::log::{SchemaId, SchemaRegistry, TopicPartition, partition_for};
use tidegate_runtime::window::{Emit, TimeWindows};
use tidegate_schemas::{CustomerTotal, Invoice, InvoiceLine, Record};

use super::*;

const APP: &str = "totals";

fn options(size_ms: i64, advance_ms: i64, grace_ms: i64) -> TotalsOptions {
    TotalsOptions::new(TimeWindows::hopping(size_ms, advance_ms, grace_ms).unwrap())
}

fn driver(options: TotalsOptions) -> TestDriver {
    TestDriver::new(totals_topology(APP, options), 1).unwrap()
}

fn invoice(issued_at: i64, customer: &str, amount_minor: i64, currency: &str) -> Invoice {
    let line = InvoiceLine {
        stock_code: "85123A".to_owned(),
        description: "WHITE HANGING HEART".to_owned(),
        quantity: 1,
        unit_price_micros: 2_550_000,
    };
    Invoice {
        invoice_id: format!("INV-{issued_at}"),
        customer_id: customer.to_owned(),
        issued_at,
        amount_minor,
        currency: currency.to_owned(),
        lines: vec![line],
    }
}

fn pipe(driver: &mut TestDriver, invoice: &Invoice) {
    pipe_under(driver, invoice, Some(invoice.key()));
}

fn pipe_under(driver: &mut TestDriver, invoice: &Invoice, key: Option<&[u8]>) {
    let value = driver.encode(INVOICES.name, INVOICES.schema, invoice).unwrap();
    driver.pipe(INVOICES.name, EventTime(invoice.issued_at), key, Some(&value)).unwrap();
}

/// An invoice as version 1 of the schema had it.
#[derive(Serialize)]
#[serde(rename = "Invoice")]
struct InvoiceV1 {
    invoice_id: String,
    customer_id: String,
    issued_at: i64,
    amount_minor: i64,
    currency: String,
}

/// Knows the one schema results are written under.
struct Results;

impl SchemaRegistry for Results {
    fn register(&self, _subject: &str, _schema: &str) -> tidegate_runtime::Result<SchemaId> {
        Ok(SchemaId(1))
    }
    fn schema(&self, _id: SchemaId) -> tidegate_runtime::Result<Option<String>> {
        Ok(Some(CUSTOMER_TOTALS.schema.to_owned()))
    }
    fn versions(&self, _subject: &str) -> tidegate_runtime::Result<Vec<(SchemaId, String)>> {
        Ok(Vec::new())
    }
    fn subjects(&self) -> tidegate_runtime::Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// Customer, currency, window start, window end, count, amount.
type Row = (String, String, i64, i64, i64, i64);

/// The results so far; checks key and time by the table of topics.
fn totals(driver: &mut TestDriver) -> Vec<Row> {
    let schemas = SchemaCache::new();
    let read = |record: DrivenRecord| {
        let value = record.value.unwrap();
        let id = SchemaId(u32::from_be_bytes(value[1..5].try_into().unwrap()));
        schemas.resolve(id, &Results).unwrap();
        let total: CustomerTotal = Decoder::new(schemas.clone()).decode(Some(&value)).unwrap();
        assert_eq!(record.key.as_deref(), Some(total.key()));
        assert_eq!(record.time.0, total.event_time_ms());
        let CustomerTotal { customer_id, currency, window_start, window_end, count, amount_minor } = total;
        (customer_id, currency, window_start, window_end, count, amount_minor)
    };
    driver.read(CUSTOMER_TOTALS.name).into_iter().map(read).collect()
}

fn row(customer: &str, currency: &str, start: i64, end: i64, count: i64, amount: i64) -> Row {
    (customer.to_owned(), currency.to_owned(), start, end, count, amount)
}

fn refusals(driver: &mut TestDriver) -> Vec<(String, String)> {
    let header = |record: &DrivenRecord, wanted: &str| {
        let found = record.headers.iter().find(|(name, _)| name == wanted);
        String::from_utf8(found.unwrap().1.clone()).unwrap()
    };
    let dead = driver.read(&Topology::dead_letters_of(APP));
    dead.iter().map(|record| (header(record, "reason"), header(record, "message"))).collect()
}

#[test]
fn a_customer_is_totalled_per_window_and_currency() {
    let mut driver = driver(options(5_000, 5_000, 0));
    for (time, customer, amount, currency) in [
        (0, "C10", 100, "GBP"),
        (4_999, "C1", 7, "GBP"),
        (10, "C1", -3, "GBP"),
        (20, "C1", 5, "EUR"),
        (5_000, "C1", 1, "GBP"),
    ] {
        pipe(&mut driver, &invoice(time, customer, amount, currency));
    }
    let expected = [
        row("C1", "EUR", 0, 5_000, 1, 5),
        row("C1", "GBP", 0, 5_000, 2, 4),
        row("C10", "GBP", 0, 5_000, 1, 100),
    ];
    assert_eq!(totals(&mut driver), expected);
    driver.restart().unwrap();
    driver.end_input().unwrap();
    assert_eq!(totals(&mut driver), [row("C1", "GBP", 5_000, 10_000, 1, 1)]);
    assert_eq!(refusals(&mut driver), []);
}

#[test]
fn an_invoice_of_the_older_schema_counts_alike() {
    let mut driver = driver(options(5_000, 5_000, 0));
    let Invoice { invoice_id, customer_id, issued_at, amount_minor, currency, .. } =
        invoice(1, "C1", 2, "GBP");
    let older = InvoiceV1 { invoice_id, customer_id, issued_at, amount_minor, currency };
    let value = driver.encode(INVOICES.name, INVOICES.older_schemas[0], &older).unwrap();
    driver.pipe(INVOICES.name, EventTime(1), Some(b"C1"), Some(&value)).unwrap();
    pipe(&mut driver, &invoice(2, "C1", 3, "GBP"));
    driver.end_input().unwrap();
    assert_eq!(totals(&mut driver), [row("C1", "GBP", 0, 5_000, 2, 5)]);
}

#[test]
fn what_cannot_be_counted_is_dead_lettered() {
    let mut driver = driver(options(10, 5, 0));
    pipe(&mut driver, &invoice(12, "C1", i64::MAX, "GBP"));
    // `[5,15)` is full; `[0,10)`, which has room, must not count it either.
    pipe(&mut driver, &invoice(12, "C1", 1, "GBP"));
    pipe(&mut driver, &invoice(13, "C1", 1, "gbp"));
    pipe(&mut driver, &invoice(13, "C1", 1, "GBPX"));
    pipe_under(&mut driver, &invoice(13, "C1", 1, "GBP"), Some(b"C2"));
    pipe_under(&mut driver, &invoice(13, "C1", 1, "GBP"), None);
    pipe(&mut driver, &invoice(-1, "C1", 1, "GBP"));
    driver.pipe(INVOICES.name, EventTime(13), Some(b"C1"), Some(b"\x01")).unwrap();
    let reasons: Vec<(String, String)> = refusals(&mut driver);
    let expected = [
        ("rule", "amount `1` does not fit behind `9223372036854775807`, the total of `1` invoices"),
        ("rule", "currency `gbp` is no ISO 4217 code"),
        ("rule", "currency `GBPX` is no ISO 4217 code"),
        ("rule", "key `C2` is not the customer_id, `C1`"),
        ("null-key", "the record has no key to aggregate by"),
    ];
    assert_eq!(reasons[..5], expected.map(|(reason, message)| (reason.to_owned(), message.to_owned())));
    assert_eq!(
        reasons[5..].iter().map(|(reason, _)| reason.as_str()).collect::<Vec<_>>(),
        ["event-time", "wrong-magic"]
    );
    driver.end_input().unwrap();
    let expected = [row("C1", "GBP", 5, 15, 1, i64::MAX), row("C1", "GBP", 10, 20, 1, i64::MAX)];
    assert_eq!(totals(&mut driver), expected);
}

/// Else each of two tasks would give a final total for the customer, and both would be wrong.
#[test]
fn an_invoice_in_another_partition_than_its_customers_is_dead_lettered_and_moves_no_time() {
    let mut driver = TestDriver::new(totals_topology(APP, options(5_000, 5_000, 0)), 4).unwrap();
    let home = partition_for(b"C1", 4);
    for (partition, time) in [(home, 1), ((home + 1) % 4, 2), ((home + 2) % 4, 60_000), (home, 3)] {
        let invoice = invoice(time, "C1", 5, "GBP");
        let value = driver.encode(INVOICES.name, INVOICES.schema, &invoice).unwrap();
        let to = TopicPartition::new(INVOICES.name, partition);
        driver.append_to(&to, EventTime(time), Some(invoice.key()), Some(&value)).unwrap();
        driver.process().unwrap();
        driver.commit().unwrap();
    }
    driver.restart().unwrap();
    driver.end_input().unwrap();
    assert_eq!(totals(&mut driver), [row("C1", "GBP", 0, 5_000, 2, 10)]);
    let message = format!(
        "its key belongs in partition {home} of 4 by murmur2; set `partitioner=murmur2_random` in the producer, or the like in its \
         language"
    );
    assert_eq!(refusals(&mut driver), vec![("wrong-partition".to_owned(), message); 2]);
    assert_eq!((driver.total("dead-letters"), driver.total("wrong-partition")), (2, 2));
}

#[test]
fn updates_are_totals_so_far() {
    let mut driver = driver(TotalsOptions { emit: Emit::Updates, ..options(5_000, 5_000, 0) });
    driver.commit_after_each_record(false);
    pipe(&mut driver, &invoice(1, "C1", 2, "GBP"));
    pipe(&mut driver, &invoice(2, "C1", 3, "GBP"));
    driver.commit().unwrap();
    pipe(&mut driver, &invoice(3, "C1", 4, "GBP"));
    driver.commit().unwrap();
    driver.end_input().unwrap();
    let expected = [row("C1", "GBP", 0, 5_000, 2, 5), row("C1", "GBP", 0, 5_000, 3, 9)];
    assert_eq!(totals(&mut driver), expected);
}

#[test]
fn late_invoices_go_to_the_late_topic() {
    let mut driver = driver(options(5_000, 5_000, 1_000));
    for time in [0, 6_000, 4_999] {
        pipe(&mut driver, &invoice(time, "C1", 1, "GBP"));
    }
    assert_eq!(totals(&mut driver), [row("C1", "GBP", 0, 5_000, 1, 1)]);
    let late = driver.read(&Topology::late_of(APP));
    let lateness = late[0].headers.iter().find(|(name, _)| name == "lateness-ms").unwrap();
    assert_eq!((late.len(), lateness.1.as_slice()), (1, b"0".as_slice()));
}

#[test]
fn what_shapes_results_is_kept_with_the_state() {
    let topology = totals_topology(APP, options(5_000, 1_000, 250));
    assert_eq!(topology.parameters_line(), "advance=1000ms emit=close grace=250ms size=5000ms");
    let shifted = TotalsOptions::new(TimeWindows::tumbling(5_000, 0).unwrap().with_offset(300));
    let topology = totals_topology(APP, shifted);
    assert_eq!(topology.parameters_line(), "advance=5000ms emit=close grace=0ms offset=300ms size=5000ms");
    assert_eq!(topology.stores(), ["totals"]);
}
