//! Which commits can wait: those that show nothing to anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tidegate_runtime::log::RecordRef;
use tidegate_runtime::processor::{Context, Processor};
use tidegate_runtime::store::Store;
use tidegate_runtime::task::Phase;
use tidegate_runtime::topology::{Source, Topology};
use tidegate_runtime::worker::{StatusBoard, TaskStatus, WorkerOptions};
use tidegate_runtime::{BadRecord, Reason, Result};

use crate::counting::{PARTITIONS, Place, Running, live, until_end, wait_for};
use crate::faulty::FaultyLog;

const NEVER: Duration = Duration::from_secs(3_600);

/// Repeats what it hears at once, with the next commit, or not at all.
struct Echo {
    heard: Arc<AtomicU64>,
    later: Vec<Vec<u8>>,
}

impl Processor for Echo {
    fn process(
        &mut self,
        _source: usize,
        record: &RecordRef<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), BadRecord> {
        let value = record.value().unwrap_or_default();
        context.observe(record.time());
        self.heard.fetch_add(1, Ordering::SeqCst);
        match value {
            b"now" => context.forward(0, record.time(), b"key", value),
            b"later" => self.later.push(value.to_vec()),
            b"bad" => return Err(BadRecord::new(Reason::Rule, "it says `bad`")),
            _ => {}
        }
        Ok(())
    }

    fn holds_results(&self) -> bool {
        !self.later.is_empty()
    }

    fn before_commit(&mut self, context: &mut Context<'_>) {
        for value in self.later.drain(..) {
            context.forward(0, context.stream_time().unwrap(), b"key", &value);
        }
    }

    fn stores(&mut self) -> Vec<&mut dyn Store> {
        Vec::new()
    }
}

fn echo(heard: &Arc<AtomicU64>) -> Topology {
    let ears = heard.clone();
    let topology = Topology::new("counting", "echo", &[], move |_| {
        Box::new(Echo { heard: ears.clone(), later: Vec::new() })
    });
    topology.source(Source::stream("words")).sink("counts", r#""bytes""#)
}

/// A worker at work, whose log counts commits.
struct Echoing {
    place: Place,
    log: Arc<FaultyLog>,
    heard: Arc<AtomicU64>,
    board: StatusBoard,
    running: Running,
}

impl Echoing {
    fn start(progress_interval: Duration) -> Echoing {
        let (place, heard, board) = (Place::new(), Arc::<AtomicU64>::default(), StatusBoard::default());
        let log = FaultyLog::new(&place.log);
        let options = WorkerOptions { progress_interval, status: board.clone(), ..live("a") };
        let running = Running::start_topology(&log.as_log(), echo(&heard), options);
        let echoing = Echoing { place, log, heard, board, running };
        // Past the commits that tasks begin with.
        let is_running = |task: &TaskStatus| task.phase == Phase::Running;
        wait_for("every task", || {
            echoing.board.tasks().values().filter(|task| is_running(task)).count() == PARTITIONS as usize
        });
        echoing.say(b"now");
        wait_for("an echo", || echoing.echoes() == 1);
        wait_for("its count", || echoing.board.total("processed") == 1);
        echoing
    }

    /// Writes a record; waits until it is processed and a tick has come after that.
    fn say(&self, value: &'static [u8]) {
        let before = self.heard.load(Ordering::SeqCst);
        self.place.append(&[(b"key".to_vec(), value)]);
        wait_for("the record to be processed", || self.heard.load(Ordering::SeqCst) > before);
        let processed = Instant::now();
        let has_ticked =
            || self.board.snapshot().workers.get(&0).is_some_and(|worker| worker.ticked > processed);
        wait_for("a tick", has_ticked);
    }

    fn echoes(&self) -> usize {
        self.place.count_output()
    }
}

#[test]
fn progress_waits_until_there_is_something_to_show() {
    let echoing = Echoing::start(NEVER);
    let commits = echoing.log.commits();
    for value in [&b"now"[..], b"later", b"bad"] {
        let before = echoing.log.commits();
        let counted = echoing.board.total("processed");
        for _ in 0..5 {
            echoing.say(b"nothing");
        }
        assert_eq!(echoing.log.commits(), before, "nobody would see anything");
        assert_eq!(
            echoing.board.total("processed"),
            counted,
            "what is shown does not fall back after a kill"
        );
        echoing.say(value);
        wait_for("a commit", || echoing.log.commits() == before + 1);
        wait_for("its counts", || echoing.board.total("processed") >= counted + 5);
    }
    wait_for("the echoes", || echoing.echoes() == 3);
    assert_eq!(echoing.place.read("counting-dead-letters").len(), 1);
    echoing.say(b"nothing");
    echoing.running.stop().unwrap();
    assert_eq!(echoing.log.commits(), commits + 4, "what is left is committed by the stop");
}

#[test]
fn progress_does_not_wait_for_ever() {
    let echoing = Echoing::start(Duration::from_millis(100));
    let commits = echoing.log.commits();
    echoing.say(b"nothing");
    wait_for("a commit", || echoing.log.commits() == commits + 1);
    echoing.running.stop().unwrap();
}

#[test]
fn the_end_of_a_bounded_run_is_no_mere_progress() {
    let place = Place::new();
    place.append(&[(b"key".to_vec(), &b"nothing"[..])]);
    let options = WorkerOptions { progress_interval: NEVER, ..until_end("a") };
    let running = Running::start_topology(&place.log, echo(&Arc::default()), options);
    wait_for("the end", || running.has_ended());
    running.wait().unwrap();
}
