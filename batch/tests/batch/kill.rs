//! Does a killed execution resume at its chunk bounds?
//!
//! The job runs in a process of its own: this test binary again, with [`child`] as its only test. After each committed chunk it asks
//! for leave to go on, so the parent chooses the moment of the SIGKILL without a clock.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use tidegate_batch::{BusinessDay, Discount, Event, Invoice};

use crate::world::{World, invoice, run};

const DIRECTORY: &str = "TIDEGATE_BATCH_TEST_DIRECTORY";
const CHUNK: usize = 7;

fn day() -> Vec<Invoice> {
    let one = |offset| {
        let number = offset % 90;
        invoice(&format!("{number:03}"), 995 + number, number, offset)
    };
    (0..100).map(one).collect()
}

/// The killed process. Without a parent there is nothing to do.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(std::path::PathBuf::from) else { return };
    let job = Discount {
        read_store: directory.join("read.sqlite3"),
        output_store: directory.join("discounts.sqlite3"),
        export: None,
        day: BusinessDay::parse("2010-12-01", "Europe/London").unwrap(),
        percent: "30".parse().unwrap(),
        max_event_time_ms: 4_102_444_800_000,
        chunk_invoices: CHUNK.try_into().unwrap(),
    };
    let mut leave = std::io::stdin().lines();
    job.run(&mut || 0, &mut |event| {
        if let Event::Chunk(counts) = event {
            println!("\nchunk {}", counts.chunks);
            leave.next().unwrap().unwrap();
        }
    })
    .unwrap();
}

fn spawn(world: &World) -> (Child, impl Iterator<Item = String>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--nocapture"])
        .env(DIRECTORY, world.path(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    (child, lines.filter(|line| line.starts_with("chunk ")))
}

/// Lets `chunks` be committed, then kills: at the bound itself, or somewhere in the chunk after it.
fn kill_after(world: &World, chunks: u64, at_the_bound: bool) {
    let (mut child, mut committed) = spawn(world);
    let mut stdin = child.stdin.take().unwrap();
    for number in 1..=chunks {
        assert_eq!(committed.next(), Some(format!("chunk {number}")));
        if number < chunks || !at_the_bound {
            writeln!(stdin, "go on").unwrap();
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_killed_execution_leaves_whole_chunks_and_is_resumed() {
    let straight = World::new(&day());
    run(&straight.job("2010-12-01", "30", CHUNK)).unwrap();
    for at_the_bound in [true, false] {
        let world = World::new(&day());
        for chunks in [1, 2, 5, 9, 14, 3, 0, 1, 12, 7] {
            kill_after(&world, chunks, at_the_bound);
            let rows = world.results();
            // 90 invoices, 10 doubled: every committed chunk is whole, so the doubles among the first are known.
            assert!(rows.iter().all(|row| straight.results().contains(row)));
            if at_the_bound && chunks == 14 {
                assert_eq!(rows.len(), 14 * CHUNK - 10);
            }
        }
        let summary = run(&world.job("2010-12-01", "30", CHUNK)).unwrap();
        assert_eq!(summary.counts.discounted + summary.counts.discounted_before, 90);
        assert_eq!(summary.counts.doubled, 10);
        assert_eq!(world.results(), straight.results());
        let executions = world.executions();
        let (last, killed) = executions.split_last().unwrap();
        assert_eq!(last.0, "COMPLETED");
        assert!(
            killed.iter().all(|(status, why)| status == "FAILED" && why.starts_with("ended without a word"))
        );
    }
}

#[test]
fn counts_of_a_killed_execution_are_those_of_its_committed_chunks() {
    let world = World::new(&day());
    kill_after(&world, 3, true);
    let step = world
        .query("SELECT read_count, write_count, doubled_skip_count, commit_count FROM steps", |row| {
            Ok::<[i64; 4], _>([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
        });
    // 000 to 009 are doubled: the first 21 records are 000 to 010, ten of them twice.
    assert_eq!(step, [[21, 11, 10, 3]]);
    assert_eq!(world.results().len(), 11);
}

#[test]
fn a_second_execution_waits_for_the_first() {
    let world = World::new(&day());
    let (mut child, mut committed) = spawn(&world);
    assert_eq!(committed.next().as_deref(), Some("chunk 1"));
    let refused = run(&world.job("2010-12-01", "30", CHUNK)).unwrap_err().to_string();
    assert!(refused.starts_with("another execution is writing to `"), "{refused}");
    child.kill().unwrap();
    child.wait().unwrap();
    run(&world.job("2010-12-01", "30", CHUNK)).unwrap();
}
