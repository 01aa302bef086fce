//! Any interleaving of the three inputs, with commits and restores anywhere, gives what the oracle gives.

use proptest::prelude::*;

use super::oracle::Oracle;
use super::{DAY, Driver, Input, Payment, REFUSED};

/// What happens next, and how far time goes on by it, in units of five days.
#[derive(Clone, Debug)]
struct Step {
    advance: i64,
    what: What,
    back: i64,
    jitter: i64,
    restart: bool,
}

#[derive(Clone, Debug)]
enum What {
    Merchant(u8, Option<i64>),
    Card(u8, Option<u8>),
    Payment(u8, u8, i64, u8),
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let limits = prop::option::weighted(0.8, prop::sample::select(vec![10_i64, 30]));
    let what = prop_oneof![
        2 => (0_u8..2, limits).prop_map(|(key, limit)| What::Merchant(key, limit)),
        3 => (0_u8..3, prop::option::weighted(0.8, 0_u8..2)).prop_map(|(key, owner)| What::Card(key, owner)),
        6 => (0_u8..3, 0_u8..2, prop::sample::select(vec![5_i64, REFUSED, 20, 40, 40]), 0_u8..2)
            .prop_map(|(card, merchant, amount, number)| What::Payment(card, merchant, amount, number)),
    ];
    let step = (0_i64..3, what, 0_i64..9, 0_i64..2, prop::bool::weighted(0.2));
    let step =
        step.prop_map(|(advance, what, back, jitter, restart)| Step { advance, what, back, jitter, restart });
    prop::collection::vec(step, 1..most)
}

fn inputs(steps: &[Step]) -> Vec<Input> {
    let mut clock = 9;
    let input = |step: &Step| {
        clock += step.advance / 2;
        let time = (clock - step.back) * 5 * DAY + step.jitter;
        match step.what {
            What::Merchant(key, limit) => Input::Merchant { key, from: time, limit },
            What::Card(key, owner) => Input::Card { key, from: time, owner },
            What::Payment(card, merchant, amount, number) => {
                Input::Payment(Payment { card, merchant, time, amount, number })
            }
        }
    };
    steps.iter().map(input).collect()
}

fn agree(driver: &Driver, oracle: &Oracle) -> Result<(), TestCaseError> {
    prop_assert_eq!(driver.lines("results"), oracle.results.clone());
    prop_assert_eq!(driver.lines("late"), oracle.late.clone());
    prop_assert_eq!(driver.lines("duplicates"), oracle.duplicates.clone());
    let dead: Vec<String> = driver.lines("dead").iter().map(|line| first_two(line)).collect();
    prop_assert_eq!(dead, oracle.dead.clone());
    prop_assert_eq!(driver.held(), oracle.held());
    let count = |name| driver.counters.get(name);
    prop_assert_eq!(count("small"), oracle.small);
    prop_assert_eq!(count("judged"), oracle.results.len() as u64);
    prop_assert_eq!(count("held") - count("released") - count("unidentified"), driver.held().len() as u64);
    Ok(())
}

/// Origin and reason of a dead letter, without the message.
fn first_two(line: &str) -> String {
    line.splitn(3, "; ").take(2).collect::<Vec<_>>().join("; ")
}

fn run(inputs: &[Input], restarts: &[bool], hold_for: i64) -> Driver {
    let mut driver = Driver::new(hold_for);
    for (input, restart) in inputs.iter().zip(restarts) {
        driver.feed(input);
        match restart {
            true => driver.restart(),
            false => driver.commit(),
        }
    }
    driver
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_interleaving_gives_what_the_oracle_gives(
        steps in steps(70),
        hold_for in prop::sample::select(vec![0, 10 * DAY, 30 * DAY, 45 * DAY]),
    ) {
        let inputs = inputs(&steps);
        let restarts: Vec<bool> = steps.iter().map(|step| step.restart).collect();
        let mut oracle = Oracle::new(hold_for);
        inputs.iter().for_each(|input| oracle.feed(input));
        agree(&run(&inputs, &restarts, hold_for), &oracle)?;
        let mut uncommitted = Driver::new(hold_for);
        inputs.iter().for_each(|input| uncommitted.feed(input));
        agree(&uncommitted, &oracle)?;
    }

    /// Law 11 for joins: with the registrations in the log first, their order and every restart are invisible.
    #[test]
    fn registrations_that_come_first_may_come_in_any_order(
        steps in steps(60),
        turn in 0_usize..30,
    ) {
        let (payments, mut registrations): (Vec<_>, Vec<_>) =
            inputs(&steps).into_iter().partition(|input| matches!(input, Input::Payment(_)));
        // Of one key and validity the last in the log counts: there order means something.
        registrations.sort_by_key(place);
        registrations.dedup_by_key(|input| place(input));
        let mut oracle = Oracle::new(30 * DAY);
        registrations.iter().chain(&payments).for_each(|input| oracle.feed(input));
        prop_assert!(!oracle.late.iter().any(|line| !line.starts_with("payments")));
        let turn = turn % registrations.len().max(1);
        registrations.rotate_left(turn);
        registrations.reverse();
        let inputs: Vec<Input> = registrations.into_iter().chain(payments).collect();
        let restarts: Vec<bool> = steps.iter().map(|step| step.restart).collect();
        agree(&run(&inputs, &restarts, 30 * DAY), &oracle)?;
    }
}

fn place(input: &Input) -> (u8, u8, i64) {
    match input {
        Input::Merchant { key, from, .. } => (0, *key, *from),
        Input::Card { key, from, .. } => (1, *key, *from),
        Input::Payment(payment) => (2, payment.card, payment.time),
    }
}
