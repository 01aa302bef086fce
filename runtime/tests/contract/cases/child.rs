//! Other processes: the test binary again, in a role, talking over its pipes.
//!
//! A role says what it did in lines that begin with `> `, so that the test harness around it can say what it likes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{SystemTime, UNIX_EPOCH};

use tidegate_runtime::log::{Event, Log, Offset, Outgoing, TopicPartition};
use tidegate_runtime::{Error, time::EventTime};

use super::home::*;

/// A child process; killed when dropped.
pub(crate) struct Process {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Process {
    /// Starts `role` with its arguments on this home's log.
    pub(crate) fn start(home: &dyn Home, role: &[&str]) -> Process {
        let mut command: Command = home.child(&role.join(" "));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(said) = line.split("> ").nth(1) {
                    let _ = sender.send(said.to_owned());
                }
            }
        });
        Process { child, stdin, lines }
    }

    /// The next thing it says.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(DEADLINE).expect("the child says something in time")
    }

    /// What it has said since, once it is dead.
    pub(crate) fn last_words(mut self) -> Vec<String> {
        self.child.wait().unwrap();
        self.lines.iter().collect()
    }

    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, at once.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Waits for it to end by itself; true if it succeeded.
    pub(crate) fn succeeds(mut self) -> bool {
        self.child.wait().unwrap().success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the child's side does.
pub(crate) fn play(log: &dyn Log, role: &str) {
    let words: Vec<&str> = role.split(' ').collect();
    match words[..] {
        ["writer", from] => write_until_killed(log, from.parse().unwrap()),
        ["counting-writer", name, count] => write_counting(log, name, count.parse().unwrap()),
        ["reader", writers, count] => read_counting(log, writers.parse().unwrap(), count.parse().unwrap()),
        ["member", name, timeout_ms] => be_member(log, name, timeout_ms.parse().unwrap()),
        ["echo"] => echo(log),
        _ => panic!("no such role: `{role}`"),
    }
}

fn say(line: &str) {
    let mut out = stdout().lock();
    writeln!(out, "> {line}").unwrap();
    out.flush().unwrap();
}

/// Transaction `n`: ten records in each of two partitions, and `n + 1` as an offset.
fn write_until_killed(log: &dyn Log, from: i64) {
    let mut producer = log.producer("writer").unwrap();
    for number in from.. {
        for partition in 0..2 {
            send(&mut *producer, "t", partition, number * 10..number * 10 + 10);
        }
        producer.commit(Some(&offsets("g", None, &[(at("t", 0), number + 1)]))).unwrap();
        say(&number.to_string());
    }
}

fn write_counting(log: &dyn Log, name: &str, count: i64) {
    let mut producer = log.producer(name).unwrap();
    for number in 0..count {
        let mut outgoing = Outgoing::default();
        for partition in 0..2 {
            let records = outgoing.partition(&"t".into(), partition);
            records.push(EventTime(number), Some(name.as_bytes()), None, &[]);
        }
        producer.send(&mut outgoing).unwrap();
        producer.commit(None).unwrap();
    }
}

/// Reads until every writer's records have come, in order and none missing.
fn read_counting(log: &dyn Log, writers: usize, count: i64) {
    let mut worker = Worker::new(log.reader(1 << 20).unwrap());
    for partition in 0..2 {
        worker.consumer.seek(at("t", partition), Offset(0));
    }
    let mut next: BTreeMap<(TopicPartition, String), i64> = BTreeMap::new();
    while next.len() < 2 * writers || next.values().any(|next| *next < count) {
        let chunk = worker.chunk();
        for (_, number, writer, _) in seen(&chunk) {
            let expected = next.entry((chunk.partition.clone(), writer)).or_default();
            assert_eq!(number, *expected);
            *expected += 1;
        }
    }
}

/// A member of group `g` on `t`, told what to do line by line.
fn be_member(log: &dyn Log, name: &str, timeout_ms: u64) {
    let mut worker = Worker::join(log, "g", name, &["t"], timeout_ms);
    let mut producer = log.producer(name).unwrap();
    for line in stdin().lock().lines() {
        let line = line.unwrap();
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["own", count] => {
                let count: usize = count.parse().unwrap();
                worker.until(|worker| worker.owned.len() == count);
                say("done");
            }
            ["commit", partition, next] => {
                let (partition, next) = (at("t", partition.parse().unwrap()), next.parse().unwrap());
                send(&mut *producer, "t", partition.partition, [next]);
                let offsets = offsets("g", Some(worker.membership()), &[(partition, next)]);
                match producer.commit(Some(&offsets)) {
                    Ok(_) => say("committed"),
                    Err(Error::Fenced { .. }) => {
                        producer.abort().unwrap();
                        say("fenced");
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            _ => panic!("no such order: `{line}`"),
        }
    }
}

/// Says how many microseconds lie between the time in a record and its arrival.
fn echo(log: &dyn Log) {
    let mut worker = Worker::new(log.reader(1 << 20).unwrap());
    worker.consumer.seek(at("t", 0), Offset(0));
    while let Ok(Event::Chunk(chunk)) = worker.event() {
        let now_us = wall_clock_us();
        match seen(&chunk).last() {
            Some(record) => say(&(now_us - record.1).to_string()),
            None => say("waiting"),
        }
    }
}

pub(crate) fn wall_clock_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64
}
