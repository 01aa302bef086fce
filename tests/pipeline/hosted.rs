//! Law 11: the same output, however it is interrupted and by however many processes it is hosted.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::files::{as_csv, csv_rows, table_rows, values};
use crate::place::{Place, Process, rows, tests_path};
use crate::straight::infractions_equal;
use crate::topics::{Kind, compare};

/// A small generator (SplitMix64), so that a failing run can be had again by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// What a run is made of: the same commands a user types, once for live work and once to the end.
struct Job<'p> {
    place: &'p Place,
    processor: &'static [&'static str],
    sinks: Vec<Vec<String>>,
}

impl Job<'_> {
    fn processor(&self, more: &[&str]) -> Vec<String> {
        let live = ["--commit-interval", "5ms", "--session-timeout", "1s"];
        let words = self.processor.iter().chain(&live).chain(more);
        words.map(|word| (*word).to_owned()).collect()
    }

    fn start(&self, words: &[String]) -> Process {
        self.place.start(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Feeds the input bit by bit while the processes are killed at random moments and started again, `kills` times at least; then
    /// lets everything run to the end.
    fn run_with_kills(&self, input: &[Value], processors: usize, kills: usize, seed: u64) {
        let mut random = Random(seed);
        let words: Vec<Vec<String>> =
            (0..processors).map(|_| self.processor(&[])).chain(self.sinks.iter().cloned()).collect();
        let mut running: Vec<Process> = words.iter().map(|words| self.start(words)).collect();
        let rounds = kills + 5;
        for round in 0..rounds {
            let part = input.len() * round / rounds..input.len() * (round + 1) / rounds;
            self.place.load(&input[part]);
            let victim = random.below(running.len() as u64) as usize;
            let moment = Instant::now() + Duration::from_micros(random.below(150_000));
            while Instant::now() < moment {
                std::thread::yield_now();
            }
            running.swap_remove(victim).kill();
            let fresh = self.start(&words[victim]);
            running.push(fresh);
            let last = running.len() - 1;
            running.swap(victim, last);
        }
        for process in running {
            process.kill();
        }
        self.finish(processors);
    }

    /// To the end, by several processes of which one is killed on the way and one joins late.
    fn finish(&self, processors: usize) {
        let to_end = self.processor(&["--until-end"]);
        let mut running: Vec<Process> = (0..processors).map(|_| self.start(&to_end)).collect();
        if processors > 1 {
            running.remove(0).kill();
            running.push(self.start(&to_end));
        }
        running.into_iter().for_each(Process::finish);
        for sink in &self.sinks {
            let to_end: Vec<String> = sink.iter().cloned().chain(["--until-end".to_owned()]).collect();
            self.start(&to_end).finish();
        }
    }
}

fn sinks(place: &Place, topic: &str) -> Vec<Vec<String>> {
    let path = |name: &str| place.path(name).to_str().unwrap().to_owned();
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    vec![
        words(&format!("sink csv --topic {topic} --segment-records 50 --out {}", path("csv"))),
        words(&format!("sink sqlite --topic {topic} --out {}", path("store.sqlite3"))),
    ]
}

fn sinks_equal(place: &Place, topic: &str, table: &str, golden: &str, times: &[&str]) {
    let golden = rows(&tests_path("golden").join(golden));
    compare("CSV", &csv_rows(&place.path("csv")), &as_csv(&golden, times));
    let mut found = table_rows(&place.path("store.sqlite3"), table);
    let mut expected = values(&golden);
    if topic == "customer-totals" {
        // Kept by customer, currency and window: its rows have an order of their own.
        for rows in [&mut found, &mut expected] {
            rows.sort_by_key(Value::to_string);
        }
    }
    compare("read store", &found, &expected);
}

fn totals_under_kills(processors: usize, kills: usize, seed: u64) {
    let input = rows(&tests_path("golden/invoices-derivative/input.jsonl.gz"));
    let place = Place::new();
    let job = Job {
        place: &place,
        processor: &["process", "totals", "--grace", "2s"],
        sinks: sinks(&place, "customer-totals"),
    };
    job.run_with_kills(&input, processors, kills, seed);
    let golden = "invoices-derivative/size-5000-advance-5000-grace-2000";
    place.compare("customer-totals", Kind::Results, &format!("{golden}/customer-totals.jsonl.gz"));
    place.compare("totals-late", Kind::Late, &format!("{golden}/late.jsonl.gz"));
    place.compare("totals-dead-letters", Kind::DeadLetters, &format!("{golden}/dead-letters.jsonl.gz"));
    let times = ["window_start", "window_end"];
    let golden = format!("{golden}/customer-totals.jsonl.gz");
    sinks_equal(&place, "customer-totals", "customer_totals", &golden, &times);
}

fn speeding_under_kills(processors: usize, kills: usize, seed: u64) {
    let input = rows(&tests_path("golden/readings-derivative/input.jsonl.gz"));
    let (readings, registrations): (Vec<_>, Vec<_>) =
        input.into_iter().partition(|row| row["topic"] == "readings");
    let place = Place::new();
    // Law 11 for joins: a registration is in the log before a reading of later time is judged.
    place.load(&registrations);
    let job = Job { place: &place, processor: &["process", "speeding"], sinks: sinks(&place, "infractions") };
    job.run_with_kills(&readings, processors, kills, seed);
    infractions_equal(&place);
    let golden = "readings-derivative/speeding/infractions.jsonl.gz";
    sinks_equal(&place, "infractions", "infractions", golden, &["measured_at"]);
}

#[test]
fn totals_by_one_process_killed_twenty_times() {
    totals_under_kills(1, 20, 1);
}

#[test]
fn totals_by_two_processes() {
    totals_under_kills(2, 10, 2);
}

#[test]
fn totals_by_four_processes() {
    totals_under_kills(4, 10, 3);
}

#[test]
fn infractions_by_one_process_killed_twenty_times() {
    speeding_under_kills(1, 20, 4);
}

#[test]
fn infractions_by_two_processes() {
    speeding_under_kills(2, 10, 5);
}

#[test]
fn infractions_by_four_processes() {
    speeding_under_kills(4, 10, 6);
}

/// Law 12: a replay that is killed goes on where it was.
#[test]
fn a_replay_killed_at_random_moments_writes_every_record_once() {
    let file = tests_path("data/online-retail-2010-12-01-to-08.csv.gz");
    let words = ["replay", "invoices", "--from", file.to_str().unwrap()];
    let straight = Place::new();
    straight.run(&words);
    let place = Place::new();
    let mut random = Random(7);
    // Slow enough that eight lives do not see its end, each of them several commits long.
    let slow = [&words[..], &["--rate", "400"]].concat();
    for _ in 0..8 {
        let before = place.count("invoices");
        let process = place.start(&slow);
        let more = before + 1 + random.below(40) as i64;
        wait_for("the replay to go on", || place.count("invoices") >= more);
        process.kill();
    }
    place.run(&words);
    let content = |place: &Place| place.content("invoices", Kind::Results);
    compare("replay", &content(&place), &content(&straight));
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} took more than a minute");
        std::thread::yield_now();
    }
}

/// State may vanish with the machine that held it: it comes back from the changelog (law 10), here by another instance each time.
#[test]
fn another_instance_each_time_gives_the_same_answer() {
    let input = rows(&tests_path("golden/readings-derivative/input.jsonl.gz"));
    let place = Place::new();
    let (readings, registrations): (Vec<_>, Vec<_>) =
        input.into_iter().partition(|row| row["topic"] == "readings");
    place.load(&registrations);
    for (round, part) in readings.chunks(readings.len() / 5).enumerate() {
        place.load(part);
        let processed = place.count("readings");
        let id = format!("machine-{round}");
        let process = place.start(&["process", "speeding", "--instance-id", &id, "--session-timeout", "1s"]);
        let done = || -> i64 {
            let offsets = place.log.committed("speeding").unwrap();
            offsets.iter().filter(|(of, _)| &*of.topic == "readings").map(|(_, offset)| offset.0).sum()
        };
        wait_for("the readings", || done() == processed);
        process.kill();
    }
    place.run(&["process", "speeding", "--until-end"]);
    infractions_equal(&place);
    assert!(Path::new(&place.path("data")).join("log.sqlite3").exists());
}
