//! One story per guarantee.

use super::{DAY, Driver, Input, Payment, REFUSED, id_of, result};

fn merchant(from: i64, limit: Option<i64>) -> Input {
    Input::Merchant { key: 1, from, limit }
}

fn card(from: i64, owner: Option<u8>) -> Input {
    Input::Card { key: 7, from, owner }
}

fn payment(time: i64, amount: i64) -> Payment {
    Payment { card: 7, merchant: 1, time, amount, number: 0 }
}

fn pay(time: i64, amount: i64) -> Input {
    Input::Payment(payment(time, amount))
}

fn driver(inputs: &[Input]) -> Driver {
    let mut driver = Driver::new(30 * DAY);
    inputs.iter().for_each(|input| driver.feed(input));
    driver
}

fn results(driver: &Driver, expected: &[(i64, i64, i64, u8)]) {
    let line =
        |(time, amount, limit, owner): &(i64, i64, i64, u8)| result(&payment(*time, *amount), *limit, *owner);
    assert_eq!(driver.lines("results"), expected.iter().map(line).collect::<Vec<_>>());
}

#[test]
fn the_owner_is_the_one_of_the_payments_time() {
    let driver = driver(&[
        merchant(0, Some(10)),
        card(100, Some(1)),
        card(200, Some(2)),
        pay(250, 20),
        pay(199, 20),
        pay(200, 20),
        pay(100, 20),
    ]);
    results(&driver, &[(250, 20, 10, 2), (199, 20, 10, 1), (200, 20, 10, 2), (100, 20, 10, 1)]);
    assert_eq!(driver.counters.get("judged"), 4);
}

#[test]
fn an_ended_registration_counts_as_none_until_the_next() {
    let mut driver =
        driver(&[merchant(0, Some(10)), card(0, Some(1)), card(100, None), pay(99, 20), pay(100, 20)]);
    results(&driver, &[(99, 20, 10, 1)]);
    assert_eq!(driver.held(), [100]);
    driver.feed(&card(101, Some(2)));
    assert_eq!(driver.held(), [100], "a registration of a later time identifies nobody before it");
    driver.feed(&card(100, Some(3)));
    results(&driver, &[(99, 20, 10, 1), (100, 20, 10, 3)]);
}

#[test]
fn what_comes_to_nothing_is_counted_and_not_remembered() {
    let driver = driver(&[merchant(0, Some(10)), pay(5, 10), pay(5, 10)]);
    assert_eq!(driver.counters.get("small"), 2);
    assert_eq!(driver.counters.get("duplicates"), 0);
}

#[test]
fn a_held_payment_waits_for_the_merchant_and_then_for_the_card() {
    let mut driver = driver(&[pay(50, 20), pay(40, 20), pay(45, 5)]);
    assert_eq!(driver.held(), [40, 45, 50]);
    driver.feed(&merchant(0, Some(10)));
    assert_eq!(driver.held(), [40, 50], "the small one needs no card");
    driver.restart();
    driver.feed(&card(0, Some(4)));
    results(&driver, &[(40, 20, 10, 4), (50, 20, 10, 4)]);
    let count = |name| driver.counters.get(name);
    assert_eq!((count("held"), count("released"), count("judged"), count("small")), (3, 3, 2, 1));
    assert_eq!(driver.lines("late"), Vec::<String>::new(), "nothing was judged without it");
}

#[test]
fn payments_of_one_time_are_released_in_the_order_of_the_log() {
    let number = |number| Payment { number, ..payment(50, 20) };
    let held = [number(9), number(3), number(5)].map(Input::Payment);
    let mut driver = driver(&held);
    driver.feed(&card(0, Some(4)));
    driver.feed(&merchant(0, Some(10)));
    assert_eq!(driver.lines("results"), [9, 3, 5].map(|n| result(&number(n), 10, 4)));
}

#[test]
fn a_held_payment_is_given_up_once_time_has_passed_the_bound() {
    let mut driver = driver(&[merchant(0, Some(1_000)), pay(1, 2_000), pay(1 + 30 * DAY, 5)]);
    assert_eq!(driver.held(), [1], "exactly at the bound it is still held");
    driver.restart();
    driver.feed(&pay(2 + 30 * DAY, 5));
    assert_eq!(driver.held(), [0_i64; 0]);
    let dead = driver.lines("dead");
    assert_eq!(dead.len(), 1);
    assert!(
        dead[0].starts_with("payments[0]@0; unidentified; no registration of `\u{7}` in the table"),
        "{dead:?}"
    );
    assert_eq!(driver.counters.get("unidentified"), 1);
    driver.feed(&card(0, Some(1)));
    assert_eq!(driver.lines("results"), Vec::<String>::new());
    assert_eq!(
        driver.lines("late"),
        ["cards[0]@0; 1970-01-01T00:00:00.001Z; 0; "],
        "it would have identified it"
    );
}

#[test]
fn idle_time_gives_up_too() {
    let mut driver = driver(&[pay(1, 20)]);
    driver.idle_until(1 + 30 * DAY);
    assert_eq!(driver.held(), [1]);
    driver.idle_until(2 + 30 * DAY);
    assert_eq!(driver.held(), [0_i64; 0]);
    assert_eq!(driver.lines("dead").len(), 1);
}

#[test]
fn a_payment_that_comes_after_its_time_of_waiting_does_not_wait() {
    let mut driver = Driver::new(DAY);
    for input in [merchant(0, Some(10)), pay(10 * DAY, 5), pay(9 * DAY, 20), pay(9 * DAY - 1, 20)] {
        driver.feed(&input);
    }
    assert_eq!(driver.held(), [9 * DAY]);
    assert_eq!(driver.lines("dead").len(), 1);
}

#[test]
fn a_shorter_hold_ends_sooner_and_its_id_stays() {
    let mut driver = Driver::new(DAY);
    for input in [pay(0, 20), pay(DAY + 1, 20), pay(0, 20), pay(30 * DAY, 20), pay(0, 20)] {
        driver.feed(&input);
    }
    assert_eq!(driver.lines("dead").len(), 2);
    assert_eq!(driver.lines("duplicates"), ["payments[0]@2", "payments[0]@4"]);
}

#[test]
fn the_same_payment_again_is_a_duplicate_for_30_days_and_late_after() {
    let mut driver =
        driver(&[merchant(0, Some(10)), card(0, Some(1)), pay(1, 20), pay(1, 20), pay(1 + 30 * DAY, 5)]);
    driver.restart();
    driver.feed(&pay(1, 20));
    assert_eq!(driver.lines("duplicates"), ["payments[0]@1", "payments[0]@3"]);
    driver.feed(&pay(2 + 30 * DAY, 5));
    driver.feed(&pay(1, 20));
    driver.feed(&pay(2, 20));
    assert_eq!(driver.lines("late"), ["payments[0]@5; 1970-01-31T00:00:00.002Z; 1"]);
    results(&driver, &[(1, 20, 10, 1), (2, 20, 10, 1)]);
}

#[test]
fn a_held_payment_again_is_a_duplicate_while_held_and_after() {
    let mut driver = Driver::new(60 * DAY);
    for input in [pay(1, 20), pay(1, 20), pay(40 * DAY, 20)] {
        driver.feed(&input);
    }
    driver.restart();
    driver.feed(&pay(1, 20));
    assert_eq!(driver.lines("duplicates"), ["payments[0]@1", "payments[0]@3"], "as long as it is held");
    driver.feed(&merchant(0, Some(10)));
    driver.feed(&card(0, Some(1)));
    driver.feed(&pay(40 * DAY, 20));
    driver.feed(&pay(1, 20));
    assert_eq!(driver.lines("duplicates").len(), 3, "after its release, the younger one only");
    assert_eq!(driver.lines("late"), ["payments[0]@5; 1970-02-10T00:00:00.000Z; 863999999"]);
    results(&driver, &[(1, 20, 10, 1), (40 * DAY, 20, 10, 1)]);
}

#[test]
fn a_released_payment_that_comes_to_nothing_is_still_remembered() {
    let driver = driver(&[pay(1, 5), pay(2, REFUSED), merchant(0, Some(10)), pay(1, 5), pay(2, REFUSED)]);
    assert_eq!(driver.lines("duplicates"), ["payments[0]@2", "payments[0]@3"]);
    assert_eq!(driver.lines("dead"), ["payments[0]@1; rule; refused"]);
    assert_eq!((driver.counters.get("released"), driver.counters.get("small")), (2, 1));
}

#[test]
fn a_registration_that_comes_too_late_names_what_it_touches() {
    let mut driver =
        driver(&[merchant(0, Some(10)), card(0, Some(1)), pay(100, 20), pay(200, 20), pay(300, 20)]);
    driver.feed(&card(301, Some(2)));
    assert_eq!(driver.lines("late"), Vec::<String>::new(), "after everything judged");
    driver.feed(&card(150, Some(1)));
    assert_eq!(driver.lines("late"), Vec::<String>::new(), "the same owner changes nothing");
    driver.feed(&card(140, Some(3)));
    let through = "1970-01-01T00:00:00.300Z";
    let id = |time| id_of(&payment(time, 20));
    assert_eq!(driver.lines("late"), [format!("cards[0]@3; {through}; 0; ")], "valid for [140, 150) only");
    driver.feed(&card(150, Some(3)));
    let touched = format!("cards[0]@4; {through}; 2; {},{}", id(200), id(300));
    assert_eq!(driver.lines("late")[1], touched);
    driver.feed(&merchant(200, Some(15)));
    let touched = format!("merchants[0]@1; {through}; 2; {},{}", id(200), id(300));
    assert_eq!(driver.lines("late")[2], touched);
    driver.feed(&pay(160, 20));
    results(&driver, &[(100, 20, 10, 1), (200, 20, 10, 1), (300, 20, 10, 1), (160, 20, 10, 3)]);
}

#[test]
fn a_card_that_was_never_asked_for_is_never_late() {
    let mut driver = driver(&[merchant(0, Some(10)), pay(100, 5)]);
    driver.feed(&card(0, Some(1)));
    assert_eq!(driver.lines("late"), Vec::<String>::new());
    driver.feed(&merchant(50, Some(1)));
    assert_eq!(driver.lines("late").len(), 1, "but its limit decided");
}

#[test]
fn a_bad_record_moves_no_time() {
    let mut driver = driver(&[pay(1, 20)]);
    driver.feed_raw(2, "payments", 7, 99 * DAY, b"{");
    driver.feed_raw(0, "merchants", 1, 99 * DAY, b"{");
    driver.feed_raw(1, "cards", 1, 99 * DAY, b"{");
    assert_eq!(driver.held(), [1]);
    assert_eq!(driver.lines("dead").len(), 3);
}
