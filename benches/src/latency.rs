//! `bench latency`: how long after the broker has the record that closes a window its results can be read, in real time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use tidegate_runtime::log::partition_for;

use crate::cli::{Home, LatencyArgs};
use crate::datum::{self, Form};
use crate::input::{START_MS, WINDOW_MS, customer};
use crate::kafka::batches::Batches;
use crate::kafka::client;
use crate::kafka::stream::{self, Flow, Written};
use crate::kafka::{Entry, Field};
use crate::peer::Peer;
use crate::processing;
use crate::progress::Progress;
use crate::results::Found;
use crate::rounds::Rounds;
use crate::sheet::Metric;
use crate::stats::quantile;
use crate::work::{Job, Work};

const TOPIC_POLL: Duration = Duration::from_millis(50);
/// The broker does not wake a reader when a transaction ends: it must come and ask. So much at most it comes too late.
const ASK_AGAIN_MS: &str = "2";

/// How often everybody commits unless the user says otherwise.
const COMMIT_MS: u64 = 10;

/// Measures every peer in every round.
pub(crate) fn run(args: &LatencyArgs) -> Result<()> {
    let mut rounds = Rounds::begin("latency", &args.peers, &args.run)?;
    let flow = Flow {
        rate: args.rate,
        keys: args.keys,
        partitions: args.partitions,
        length: Duration::from_secs(args.seconds),
    };
    let records = args.rate * args.seconds;
    let work = Work { job: Job::Totals, records, keys: args.keys, partitions: args.partitions };
    let cluster = processing::cluster(&mut rounds, "flow", &args.run)?;
    let mut field = Field::of(cluster, work);
    let cache = rounds.peers_cache();
    let commit_ms = args.run.commit_ms.unwrap_or(COMMIT_MS);
    let entry = Entry { cache: &cache, commit_ms, instances: 1 };
    let warm_up = Duration::from_secs(args.warm_up);
    let case = processing::case_of("latency", Home::Kafka, &work);
    rounds.in_turn(&case, |peer, progress| measure(&mut field, peer, &entry, &flow, warm_up, progress))?;
    rounds.end()?;
    Ok(())
}

/// When each result could be read first, and what stood in it.
type Seen = Vec<(Found, Instant)>;

/// Lets a peer follow a flow; windows that close during `warm_up` are looked at for their results, not for their time.
fn measure(
    field: &mut Field,
    peer: &Peer,
    entry: &Entry<'_>,
    flow: &Flow,
    warm_up: Duration,
    progress: &mut Progress,
) -> Result<Vec<(Metric, u64)>> {
    field.empty_input()?;
    let mut started = field.start(peer, entry)?;
    let work = field.work;
    let mut config = client::config(&field.cluster.brokers, "bench", true);
    config.set("fetch.wait.max.ms", ASK_AGAIN_MS).set("enable.partition.eof", "false");
    let partitions = 0..i32::try_from(flow.partitions)?;
    let mut reader = Batches::start(&config, &started.output, partitions)?;
    let done = AtomicBool::new(false);
    let begun = Instant::now();
    let (written, seen, values) = std::thread::scope(|scope| {
        let reading = scope.spawn(|| read(&mut reader, &work, peer.form(), &done));
        let writing = scope.spawn(|| stream::write(&field.cluster, flow));
        while !writing.is_finished() {
            progress.at(begun.elapsed().as_secs(), flow.length.as_secs());
            std::thread::sleep(TOPIC_POLL);
        }
        let outcome = (|| {
            let written = writing.join().map_err(|_| anyhow!("the writer panicked"))??;
            let values = field.watch(&mut started.processes, &started.app, progress)?;
            client::settled(&field.cluster.brokers, &started.output)?;
            anyhow::Ok((written, values))
        })();
        // What is readable now is read by then, or would be later than any result may be.
        std::thread::sleep(Duration::from_secs(1));
        done.store(true, Ordering::Relaxed);
        let seen = reading.join().map_err(|_| anyhow!("the reader panicked"))??;
        let (written, values) = outcome?;
        anyhow::Ok((written, seen, values))
    })?;
    field.finish(started)?;
    let mut values = values;
    values.extend(judge(&written, &seen, flow, begun + warm_up)?);
    Ok(values)
}

/// A record can be read when its batch has arrived: how long it takes to be understood is the reader's affair.
fn read(reader: &mut Batches, work: &Work, form: Form, done: &AtomicBool) -> Result<Seen> {
    let mut seen = Seen::new();
    while !done.load(Ordering::Relaxed) {
        reader.take(|arrived, key, value| seen.push((datum::decode(work, form, key, value), arrived)))?;
    }
    Ok(seen)
}

/// Latencies, and how right the results are.
fn judge(written: &Written, seen: &Seen, flow: &Flow, from: Instant) -> Result<Vec<(Metric, u64)>> {
    let mut latencies_us = Vec::new();
    let (mut doubled, mut wrong, mut right) = (0, 0, 0);
    let mut known: HashMap<(i64, u64), ()> = HashMap::new();
    for (found, at) in seen {
        let Found::Total { window, customer: number, count, amount } = *found else {
            wrong += 1;
            continue;
        };
        let start = START_MS + i64::try_from(window)? * WINDOW_MS;
        if known.insert((start, number), ()).is_some() {
            doubled += 1;
            continue;
        }
        let partition = partition_for(customer(number).as_bytes(), flow.partitions);
        let closed = written.closed.get(&(partition, start));
        let is_right = written.totals.get(&(start, number)) == Some(&(count, amount));
        let (true, Some(closed)) = (is_right, closed) else {
            wrong += 1;
            continue;
        };
        right += 1;
        if *closed >= from {
            // The answer to the writer may come after the reader has the result.
            latencies_us.push(u64::try_from(at.saturating_duration_since(*closed).as_micros())?);
        }
    }
    let is_closed = |start: i64, number: u64| {
        written.closed.contains_key(&(partition_for(customer(number).as_bytes(), flow.partitions), start))
    };
    let due = written.totals.keys().filter(|(start, number)| is_closed(*start, *number)).count() as u64;
    latencies_us.sort_unstable();
    if latencies_us.is_empty() {
        return Err(anyhow!("no window closed after the warm-up; give a longer --seconds"));
    }
    Ok(vec![
        (Metric::P50Us, quantile(&latencies_us, 0.50) as u64),
        (Metric::P99Us, quantile(&latencies_us, 0.99) as u64),
        (Metric::Due, due),
        (Metric::Missing, due.saturating_sub(right)),
        (Metric::Doubled, doubled),
        (Metric::Wrong, wrong),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_runs_from_the_closing_record_to_the_result() {
        let flow = Flow { rate: 1, keys: 2, partitions: 1, length: Duration::ZERO };
        let from = Instant::now();
        let at = |ms: u64| from + Duration::from_millis(ms);
        let start = |window: i64| START_MS + window * WINDOW_MS;
        let mut written = Written::default();
        for window in 0..3 {
            written.totals.insert((start(window), 1), (4, 40));
        }
        // The first closes within the warm-up; the third stays open.
        written.closed.insert((0, start(0)), from - Duration::from_millis(1));
        written.closed.insert((0, start(1)), at(10));
        let found = |window: u64, count: i64| Found::Total { window, customer: 1, count, amount: 40 };
        let judged = |seen: Seen| judge(&written, &seen, &flow, from);
        let values = judged(vec![(found(0, 4), at(500)), (found(1, 4), at(35))]).unwrap();
        let expected = [(Metric::P50Us, 25_000), (Metric::P99Us, 25_000), (Metric::Due, 2)];
        assert_eq!(values[..3], expected);
        assert!(values[3..].iter().all(|(_, count)| *count == 0), "{values:?}");
        let seen =
            vec![(found(1, 4), at(35)), (found(1, 4), at(36)), (found(2, 4), at(40)), (Found::Stray, at(1))];
        let values = judged(seen).unwrap();
        assert_eq!(values[3..], [(Metric::Missing, 1), (Metric::Doubled, 1), (Metric::Wrong, 2)]);
        assert!(judged(vec![(found(0, 4), at(500))]).is_err(), "nothing to time");
    }
}
