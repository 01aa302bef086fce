//! Memory stays flat however far a processor starts behind (law 16).

use std::sync::Arc;

use tidegate_runtime::avro::Encoder;
use tidegate_runtime::log::{Log, Outgoing, partition_for, subject_of_value};
use tidegate_runtime::time::EventTime;
use tidegate_schemas::Invoice;
use tidegate_schemas::topics::INVOICES;

use crate::place::Place;

/// Writes `count` invoices of 100 customers, a millisecond apart.
fn write(log: &Arc<dyn Log>, count: i64) {
    let id = log.registry().register(&subject_of_value("invoices"), INVOICES.schema).unwrap();
    let encoder = Encoder::new(id, INVOICES.schema).unwrap();
    let topic: Arc<str> = "invoices".into();
    let mut producer = log.producer("writer").unwrap();
    let mut outgoing = Outgoing::default();
    for number in 0..count {
        let invoice = Invoice {
            invoice_id: format!("INV-{number:010}"),
            customer_id: format!("C{:06}", number % 100),
            issued_at: 1_700_000_000_000 + number,
            amount_minor: number % 10_000,
            currency: "EUR".to_owned(),
            lines: Vec::new(),
        };
        let mut value = Vec::new();
        encoder.encode(&invoice, &mut value).unwrap();
        let key = invoice.customer_id.as_bytes();
        let partition = partition_for(key, INVOICES.partitions);
        let to = outgoing.partition(&topic, partition);
        to.push(EventTime(invoice.issued_at), Some(key), Some(&value), &[]);
        if number % 20_000 == 0 || number + 1 == count {
            producer.send(&mut outgoing).unwrap();
            producer.commit(None).unwrap();
        }
    }
}

/// The most memory a process has had, in KiB, as the kernel counts it.
fn peak_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn peak_over(count: i64) -> u64 {
    let place = Place::new();
    write(&place.log, count);
    let mut process = place.start(&["process", "totals", "--until-end"]);
    let mut peak = 0;
    while !process.has_ended() {
        peak = peak.max(peak_kib(process.id()).unwrap_or_default());
        std::thread::yield_now();
    }
    process.finish();
    peak
}

/// Ten times the backlog, the same memory. The whole of 5 million records is measured by the benchmark: here the ratio has to do.
#[test]
#[cfg(target_os = "linux")]
fn memory_does_not_grow_with_the_backlog() {
    let (small, large) = (peak_over(30_000), peak_over(300_000));
    assert!(small > 0, "the peak could be read");
    // A quarter more for what is not in proportion to anything: allocator slack, the database's cache.
    assert!(large * 4 < small * 5 + 16_384 * 4, "{small} KiB over 30 000 records, {large} KiB over 300 000");
}
