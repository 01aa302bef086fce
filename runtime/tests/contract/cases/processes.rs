//! Several processes on one log: killed, stopped, crowded, woken.

use std::time::{Duration, Instant};

use tidegate_runtime::log::Log;

use super::child::{Process, wall_clock_us};
use super::home::*;

/// Transactions are all there or not at all, in both partitions and the offset; returns how many.
fn check_whole(log: &dyn Log) -> i64 {
    let count = committed(log, "g").get(&at("t", 0)).copied().unwrap_or_default();
    for partition in 0..2 {
        let all = times(log, "t", partition);
        assert!(
            all.iter().copied().eq(0..count * 10),
            "t[{partition}] holds {} records of {count}0",
            all.len()
        );
    }
    count
}

pub(crate) fn a_writer_killed_at_any_moment_leaves_whole_transactions(home: &dyn Home) {
    let log = home.open();
    topic(&*log, "t", 2);
    let (mut acknowledged, mut seed) = (0, 0x2545_f491_4f6c_dd1d_u64);
    for _ in 0..30 {
        let mut writer = Process::start(home, &["writer", &acknowledged.to_string()]);
        writer.line();
        // Xorshift: anywhere within the next few transactions.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let until = Instant::now() + Duration::from_micros(seed % 8_000);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        writer.kill();
        let said = writer.last_words().last().map(|line| line.parse::<i64>().unwrap() + 1);
        let count = check_whole(&*log);
        assert!(count >= said.unwrap_or(acknowledged + 1), "an acknowledged commit is there");
        acknowledged = count;
    }
}

pub(crate) fn two_writers_and_ten_readers_never_meet_a_lock(home: &dyn Home) {
    let log = home.open();
    topic(&*log, "t", 2);
    let readers: Vec<Process> = (0..10).map(|_| Process::start(home, &["reader", "2", "150"])).collect();
    let writers: Vec<Process> =
        ["a", "b"].map(|name| Process::start(home, &["counting-writer", name, "150"])).into();
    for process in writers.into_iter().chain(readers) {
        assert!(process.succeeds());
    }
}

pub(crate) fn another_process_wakes_without_a_poll_being_felt(home: &dyn Home) {
    let log = home.open();
    topic(&*log, "t", 1);
    let echo = Process::start(home, &["echo"]);
    let mut delays: Vec<i64> = Vec::new();
    let mut producer = log.producer("writer").unwrap();
    while delays.len() < 40 {
        assert_eq!(echo.line(), "waiting");
        send(&mut *producer, "t", 0, [wall_clock_us()]);
        producer.commit(None).unwrap();
        delays.push(echo.line().parse().unwrap());
    }
    delays.sort_unstable();
    // Commit included. A poll every 100 ms would take 50 ms in the middle; the promise is 10 ms on an idle machine.
    assert!(delays[20] < 30_000, "microseconds: {delays:?}");
}

pub(crate) fn a_silent_member_is_evicted_and_its_commit_fenced(home: &dyn Home) {
    let log = home.open();
    topic(&*log, "t", 4);
    let timeout_ms = home.session_timeout_ms();
    let mut zombie = Process::start(home, &["member", "m1", &timeout_ms.to_string()]);
    zombie.tell("own 4");
    assert_eq!(zombie.line(), "done");
    zombie.tell("commit 0 1");
    assert_eq!(zombie.line(), "committed");
    home.stop(zombie.id());
    // It can release nothing: only its lease can end its ownership.
    let mut heir = Worker::join(&*log, "g", "m2", &["t"], timeout_ms);
    heir.until(|heir| heir.owned.len() == 4);
    let mut producer = log.producer("m2").unwrap();
    send(&mut *producer, "t", 0, [2]);
    producer.commit(Some(&offsets("g", Some(heir.membership()), &[(at("t", 0), 2)]))).unwrap();
    resume(zombie.id());
    zombie.tell("commit 0 3");
    assert_eq!(zombie.line(), "fenced");
    assert_eq!(times(&*log, "t", 0), [1, 2]);
    // It hears of its loss, joins again, and gets its share; its new life can commit.
    zombie.tell("own 0");
    assert_eq!(zombie.line(), "done");
    heir.until(|heir| heir.owned.len() == 2);
    zombie.tell("own 2");
    assert_eq!(zombie.line(), "done");
    zombie.tell("commit 0 4");
    assert_eq!(zombie.line(), "committed");
    assert_eq!(times(&*log, "t", 0), [1, 2, 4]);
}

pub(crate) fn a_killed_members_partitions_go_to_the_others(home: &dyn Home) {
    let log = home.open();
    topic(&*log, "t", 4);
    let timeout_ms = home.session_timeout_ms();
    let mut victim = Process::start(home, &["member", "m1", &timeout_ms.to_string()]);
    victim.tell("own 4");
    assert_eq!(victim.line(), "done");
    let mut heir = Worker::join(&*log, "g", "m2", &["t"], timeout_ms);
    victim.kill();
    heir.until(|heir| heir.owned.len() == 4);
    assert_eq!(group(&*log, "g").members.len(), 1);
}
