//! What a record costs in allocations once everything it touches has been seen before: a counting allocator watches the real topologies.
#![allow(
    unsafe_code,
    reason = "what is allocated is seen by an allocator alone, and implementing one is unsafe"
)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use tidegate_processors::billing::{TotalsOptions, totals_topology};
use tidegate_processors::speeding::{SpeedingOptions, speeding_topology};
use tidegate_runtime::driver::TestDriver;
use tidegate_runtime::time::EventTime;
use tidegate_runtime::window::TimeWindows;
use tidegate_schemas::topics::CUSTOMER_TOTALS;
use tidegate_schemas::{
    Invoice, InvoiceLine, RadarEvent, RadarEventKind, RadarKind, Reading, Record, VehicleEvent,
    VehicleEventKind,
};

/// 1 June 2026, 12:00 UTC: a multiple of the windows' size.
const START: i64 = 1_780_315_200_000;

/// Records of a step.
const RECORDS: i64 = 20_000;

/// What a step of any length may allocate: the driver copies it into one chunk, whose two vectors double some fifteen times each, and keeps
/// a few lists of inputs.
const PER_STEP: u64 = 60;

thread_local! {
    /// Of this thread alone: tests run beside each other.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

fn count_one() {
    // A thread that ends allocates when its counter is gone; nobody asks for it then.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_one();
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn append<R: Record>(driver: &mut TestDriver, record: &R) {
    let value = driver.encode(R::TOPIC.name, R::TOPIC.schema, record).unwrap();
    let time = EventTime(record.event_time_ms());
    driver.append(R::TOPIC.name, time, Some(record.key()), Some(&value)).unwrap();
}

/// What processing takes of all that was appended and not processed yet.
fn allocations_of(driver: &mut TestDriver) -> u64 {
    let before = ALLOCATIONS.get();
    driver.process().unwrap();
    ALLOCATIONS.get() - before
}

/// Five milliseconds apart, of fifty customers.
fn append_invoices(driver: &mut TestDriver, from: i64) {
    for number in from..from + RECORDS {
        let line = InvoiceLine {
            stock_code: "85123A".to_owned(),
            description: "WHITE HANGING HEART".to_owned(),
            quantity: 1,
            unit_price_micros: 2_550_000,
        };
        let invoice = Invoice {
            invoice_id: format!("INV-{number:010}"),
            customer_id: format!("C{:06}", number % 50),
            issued_at: START + number * 5,
            amount_minor: 100 + number % 7,
            currency: "EUR".to_owned(),
            lines: vec![line],
        };
        append(driver, &invoice);
    }
}

#[test]
fn an_invoice_allocates_nothing_and_a_window_in_its_turn_nothing_either() {
    let options = TotalsOptions::new(TimeWindows::tumbling(5_000, 0).unwrap());
    let mut driver = TestDriver::new(totals_topology("totals", options), 1).unwrap();
    for from in [0, RECORDS] {
        append_invoices(&mut driver, from);
        driver.process().unwrap();
        driver.commit().unwrap();
    }
    driver.read(CUSTOMER_TOTALS.name);
    append_invoices(&mut driver, 2 * RECORDS);
    let allocations = allocations_of(&mut driver);
    driver.commit().unwrap();
    assert_eq!(driver.read(CUSTOMER_TOTALS.name).len(), 50 * 20, "the results of the windows closed");
    assert!(allocations <= PER_STEP, "`{allocations}` allocations for `{RECORDS}` invoices");
}

fn speeding_driver() -> TestDriver {
    let mut driver = TestDriver::new(speeding_topology("speeding", SpeedingOptions::default()), 1).unwrap();
    for number in 0..3 {
        let radar = RadarEvent {
            radar_id: format!("r{number}"),
            kind: RadarEventKind::Installed,
            radar_kind: RadarKind::Fixed,
            speed_limit_kmh: 50,
            place: "Roemerstrasse".to_owned(),
            valid_from: START - 1,
        };
        append(&mut driver, &radar);
    }
    for number in 0..50 {
        let vehicle = VehicleEvent {
            plate: format!("AB-{number:03}-CD"),
            kind: VehicleEventKind::Registered,
            owner_id: format!("owner-{number}"),
            valid_from: START - 1,
        };
        append(&mut driver, &vehicle);
    }
    driver
}

fn append_readings(driver: &mut TestDriver, from: i64) {
    for number in from..from + RECORDS {
        let reading = Reading {
            radar_id: format!("r{}", number % 3),
            sequence: number,
            plate: format!("AB-{:03}-CD", number % 50),
            measured_at: START + number * 5,
            speed_kmh: 45,
        };
        append(driver, &reading);
    }
}

#[test]
fn a_reading_under_the_limit_allocates_nothing() {
    let mut driver = speeding_driver();
    append_readings(&mut driver, 0);
    driver.process().unwrap();
    driver.commit().unwrap();
    append_readings(&mut driver, RECORDS);
    let allocations = allocations_of(&mut driver);
    driver.commit().unwrap();
    assert_eq!(driver.total("under-limit"), 2 * RECORDS.unsigned_abs());
    assert!(allocations <= PER_STEP, "`{allocations}` allocations for `{RECORDS}` readings");
}
